"""A new column is one more entry of a schema: it is read, kept, counted, taken and batched."""

from __future__ import annotations

import json

import numpy as np
import pytest

from object2vec import Config, DataError, Pairs
from object2vec.files.contents import Block
from object2vec.files.sources import list_sources
from object2vec.objects.layouts import LAYOUTS
from object2vec.objects.schema import RECORDS, Column, Schema
from object2vec.objects.statistics import NumberStatistics
from object2vec.pairs.batches import TrainingBatches
from object2vec.reading import cached_set
from object2vec.reading.jsonl import _Reader, read_columns
from object2vec.reading.scanner import scan

WEIGHT = Column("weight", LAYOUTS["number"])
HISTORY = Column("a history", LAYOUTS["ids"], side=0)
WEIGHTED = Schema((*RECORDS, WEIGHT))
WIDE = Schema((HISTORY, *RECORDS, WEIGHT, Column("größe", LAYOUTS["number"])))

ROWS = [
    {
        "in0": [i],
        "in1": [i, i],
        "label": i % 2,
        "weight": i / 4,
        "a history": [7] * (i % 3),
        "größe": -i,
    }
    for i in range(1, 30)
]
FORMS = {
    "scanner": lambda row: json.dumps(row),
    "arrow": lambda row: json.dumps({**row, "note": "x"}),
    "lines": lambda row: json.dumps(row).replace('"in0"', '"in\\u0030"'),
}


@pytest.fixture(autouse=True)
def cache_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("OBJECT2VEC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def written(tmp_path):
    def write(rows, form="scanner"):
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(FORMS[form](row) + "\n" for row in rows), encoding="utf-8")
        return path

    return write


def values(pairs, name):
    column = pairs.columns[name]
    if isinstance(column, np.ndarray):
        return column.tolist()
    return [column.row(i).tolist() for i in range(len(column))]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mapped_bytes", [0, 1 << 30], ids=["row by row", "mapped"])
@pytest.mark.parametrize("schema", [WEIGHTED, WIDE], ids=["weighted", "wide"])
def test_a_column_more_is_read_cached_and_taken(written, monkeypatch, schema, mapped_bytes, form):
    monkeypatch.setattr(cached_set, "_MAPPED_BYTES", mapped_bytes)
    path = written(ROWS, form)
    for _ in range(2):  # read, then opened
        pairs = Pairs.read(path, schema=schema)
        taken = pairs.take(np.array([3, 0, 3]))
        assert [*pairs.columns] == schema.names
        for name in schema.names:
            assert values(pairs, name) == [row[name] for row in ROWS]
            assert values(taken, name) == [ROWS[i][name] for i in (3, 0, 3)]
        assert pairs.statistics["weight"] == NumberStatistics(29, 0.25, 7.25, 108.75, False)
    assert pairs.statistics == Pairs.read(ROWS, schema=schema).statistics
    assert pairs.fingerprint == Pairs.read(ROWS, schema=schema).fingerprint


def test_each_form_is_read_by_the_way_it_is_named_after():
    line = {form: write(ROWS[0]).encode() for form, write in FORMS.items()}
    assert scan(line["scanner"], WEIGHTED) is None  # it has keys that are not of the schema
    plain = b'{"weight":0.5,"label":1,"in1":[2],"in0":[1]}\n{"in0":[3],"in1":[],"label":0}\n'
    scanned = scan(plain, WEIGHTED)
    assert scanned.counts == {"in0": 2, "in1": 2, "label": 2, "weight": 1}
    assert scanned.columns["weight"][0] == 0.5
    assert np.isnan(scanned.columns["weight"][1])
    assert _Reader(WEIGHTED)._parse(Block(line["arrow"], 1)).rows == 1
    assert _Reader(WEIGHTED)._parse(Block(line["lines"], 1)).rows == 1
    assert scan(line["lines"], WEIGHTED) is None


def test_the_scanner_leaves_keys_that_need_an_escape_to_others():
    for name in ('a"b', "a\\b", "a\nb", "größe", "\ud800"):
        schema = Schema((Column(name, LAYOUTS["ids"]),))
        assert scan(json.dumps({name: [1]}).encode(), schema) is None
    for name in ("", "in", "in00", "a b"):
        schema = Schema((*RECORDS, Column(name, LAYOUTS["ids"])))
        record = {"in0": [4], name: [5, 6], "in1": [], "label": 1}
        scanned = scan(json.dumps(record).encode(), schema)
        assert scanned.columns[name].values.tolist() == [5, 6]
        assert scanned.columns["in0"].values.tolist() == [4]


def test_a_column_that_is_missing_is_named(written):
    path = written([{k: v for k, v in row.items() if k != "weight"} for row in ROWS])
    with pytest.raises(DataError, match=r'rows.jsonl:1: must have the key "weight"; got'):
        Pairs.read(path, schema=WEIGHTED)
    (chunk,) = read_columns(list_sources(path), WEIGHTED.but(weight={"need": "optional"}))
    assert "weight" not in chunk.columns
    ones = Pairs.read(path, schema=WEIGHTED.but(weight={"default": 1.0})).columns["weight"]
    assert ones.tolist() == [1.0] * 29
    with pytest.raises(DataError, match=r'^pairs row 0: must have the key "weight"; got'):
        Pairs.read([{"in0": [1], "in1": [1], "label": 1}], schema=WEIGHTED)
    with pytest.raises(DataError, match=r"^pairs: must have columns of its schema; got 'wieght'\."):
        Pairs.build(in0=[[1]], wieght=[1])
    with pytest.raises(KeyError, match="wieght"):
        WEIGHTED.but(wieght={"need": "ignored"})


def test_another_schema_is_another_cached_set(written, cache_dir):
    path = written(ROWS)
    for schema in (RECORDS, WEIGHTED, WEIGHTED.but(weight={"default": 1.0})):
        assert len(Pairs.read(path, schema=schema).columns) == len(schema.names)
    assert len([*cache_dir.iterdir()]) == 3


def test_columns_whose_arrays_would_share_a_name_do_not(written):
    names = ["in0.values", "blank_lines", ".blank_lines", "a/b", "größe", "%2E"]
    schema = Schema((*RECORDS, *(Column(name, LAYOUTS["number"]) for name in names)))
    rows = [{**row, **{name: i for i, name in enumerate(names)}} for row in ROWS]
    for _ in range(2):
        taken = Pairs.read(written(rows), schema=schema).take(np.array([1]))
        assert [values(taken, name) for name in names] == [[i] for i in range(len(names))]


def test_a_negative_has_the_weight_of_its_positive_and_label_0(written):
    pairs = Pairs.read(written(ROWS), schema=WEIGHTED)
    config = Config.build(
        {
            "enc0_network": "pooled_embedding",
            "enc0_max_seq_len": 3,
            "enc0_vocab_size": 100,
            "enc_dim": 4,
            "mini_batch_size": 12,
            "negative_sampling_rate": 2,
        }
    )
    for batch in TrainingBatches(pairs, config).epoch(0):
        positives = len(batch.in0)
        own = batch.in0.values[batch.pairing.rows0]
        weights = own / 4 / pairs.columns["weight"].mean(dtype=np.float64)  # of mean 1
        np.testing.assert_allclose(batch.columns["weight"], weights, rtol=1e-6)
        assert batch.label[:positives].tolist() == [i % 2 for i in batch.in0.values]
        assert (batch.label[positives:] == 0).all()
