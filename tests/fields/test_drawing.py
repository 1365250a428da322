"""Values drawn from all that there could be, and tokens that are all hashed."""

from __future__ import annotations

import ipaddress

import numpy as np
import pyarrow as pa
import pytest

from object2vec.fields.kinds import KINDS
from object2vec.fields.specification import parse_field
from object2vec.fields.table_schema import TableSchema
from object2vec.reading.learning import learn
from object2vec.reading.tables import open_table

ADDRESSES = pa.array(["10.1.2.3", "10.1.2.4", "10.9.0.1", "192.168.7.7", "192.168.7.7"])


def learned(text, values):
    learner = parse_field(text).kind.learner()
    learner.observe(values)
    return learner.finish()


def test_a_drawn_address_has_the_rows_of_what_it_is():
    field = learned("a:ipv4(min_count=1)", ADDRESSES)
    rows = field.draw(3000, np.random.default_rng(3))
    packed = np.frombuffer(np.random.default_rng(3).bytes(12_000), ">u4")
    values = pa.array([str(ipaddress.IPv4Address(int(each))) for each in packed])
    expected, _ = field.rows(values)
    assert rows.values.tolist() == expected.values.tolist()
    assert rows.offsets.tolist() == expected.offsets.tolist()
    assert 0 < rows.lengths.mean() < 10  # short networks are known, whole addresses are not
    assert rows.values.tolist() != field.draw(3000, np.random.default_rng(4)).values.tolist()


def test_nobody_knows_which_names_there_could_be():
    names = learned("user:token", pa.array(["ann", "bob"]))
    assert names.draw(5, np.random.default_rng(0)) is None
    assert {name for name, kind in KINDS.items() if hasattr(kind, "drawn")} >= {"ipv4"}


@pytest.mark.parametrize("buckets", [1, 7, 5000])
def test_without_a_vocabulary_every_token_is_hashed_seen_or_not(buckets):
    field = learned(f"user:token(max_size=0, buckets={buckets})", pa.array(["ann", "bob", "ann"]))
    assert field.size == 1 + buckets  # and one for what is missing
    rows, coverage = field.rows(pa.array(["ann", "bob", "eve", "ann"]))
    ann, bob, eve, again = rows.values.tolist()
    assert ann == again
    assert all(1 <= row <= buckets for row in (ann, bob, eve))
    assert (coverage.known, coverage.hashed) == (0, 4)
    if buckets == 5000:
        assert len({ann, bob, eve}) == 3


def test_blanks_around_an_address_are_no_part_of_it():
    field = learned("a:ipv4(min_count=1)", ADDRESSES)
    rows, _ = field.rows(pa.array(["10.1.2.3", " 10.1.2.3", "10.1.2.3 \t"]))
    first, *others = (rows.row(i).tolist() for i in range(3))
    assert others == [first, first]


def test_a_schema_draws_objects_of_a_side_if_all_its_fields_can():
    schema = fitted(TableSchema(((parse_field("user"),), (parse_field("address:ipv4"),))))
    assert schema.drawing(0) is None
    draw = schema.drawing(1)
    drawn = draw(50, np.random.default_rng(1))
    packed = np.frombuffer(np.random.default_rng(1).bytes(200), ">u4")
    values = pa.array([str(ipaddress.IPv4Address(int(each))) for each in packed])
    expected, _ = schema.encode(1, {"address": values})
    assert drawn.values.tolist() == expected.values.tolist()
    assert drawn.offsets.tolist() == expected.offsets.tolist()
    both = (parse_field("address:ipv4"), parse_field("user"))
    assert fitted(TableSchema(((parse_field("user"),), both))).drawing(1) is None


def fitted(declared):
    table = pa.table({"user": list("aabbc") * 4, "address": [*ADDRESSES.to_pylist()] * 4})
    return learn({"train": open_table(table)}, declared).schema
