"""What columns mean: contradictions, token tables by segments, growth, files."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from safetensors.numpy import load_file

from object2vec.errors import ArtifactError, ConfigError, DataError
from object2vec.fields.base import ValueMistakes
from object2vec.fields.kinds import KINDS
from object2vec.fields.label import LabelField
from object2vec.fields.schema import ObjectSchema, side_by_side
from object2vec.fields.specification import parse_field
from object2vec.fields.table_schema import Making, TableSchema, kind_of
from object2vec.files.tensors import map_arrays, map_matrix, write_arrays
from object2vec.objects.ragged import MAX_ID, Ragged


def declared(in0="user:token", in1="film:token", **roles):
    """A schema of fields in the form of the command line; several of a side between blanks."""
    first, second = (tuple(map(parse_field, side.split())) for side in (in0, in1))
    return TableSchema((first, second), **roles)


def fit(schema, columns, start=None, label=None):
    """Learn the fields of a schema from columns of lists."""
    fitted = []
    for number, part in enumerate(schema.parts):
        fields = [schema.fields[i][1] for i in part]
        learner = kind_of(fields[0]).learner(start and start.parts[number].fitted)
        for field in fields:
            learner.beside(kind_of(field)).observe(pa.array(columns[field.column]))
        fitted.append(learner.finish())
    return ObjectSchema.fit(schema, fitted, label or LabelField(), start)


def rows_of(schema, side, **columns):
    arrays = {name: pa.array(values) for name, values in columns.items()}
    column, _ = schema.encode(side, arrays)
    return [column.row(i).tolist() for i in range(len(column))]


def known(schema, side):
    """The row of each token of a side's table; of several with one name, a list."""
    found = {}
    for column, entry in schema.entries(side):
        found[column, entry.token or entry.note] = entry.row
    return found


USERS = {"user": ["ann", "bob", "ann"], "film": ["Up", "Up", "Alien"]}


@pytest.mark.parametrize(
    ("in0", "in1", "roles", "message"),
    [
        ("", "film", {}, "in0: must name at least one column of the table; got 'none'"),
        ("user user", "film", {}, "in0: must name each field once; got 'user'"),
        ("user", "film", {"label": "film"}, "label: must not be a column of an object"),
        ("user", "film", {"weight": "user"}, "weight: must not be a column of an object"),
        ("user", "film", {"label": "x", "weight": "x"}, "weight: must be another column than lab"),
        ("user", "film", {"label": "x", "group": "x"}, "group: must be another column than label"),
        ("user", "film", {"weight": "x", "time": "x"}, "time: must be another column than weight"),
        ("user", "film", {"group": "x", "time": "x", "label": "y", "weight": "z"}, ""),
        ("user user:text", "film", {"group": "user", "time": "film"}, ""),
        (
            "user",
            "film",
            {"share": [("user", "film"), ("film", "user")]},
            "each column once; got 'f",
        ),
        (
            "user",
            "film",
            {"share": [("user", "user")]},
            "share: must name two or more columns; got",
        ),
        ("user", "film", {"share": [("user", "flim")]}, "got 'flim'. Did you mean film?"),
        ("user", "film", {"share": [("user",)]}, "share: must name two or more columns"),
        ("user", "film", {"share": [("user", "film")] * 2}, "share: must name each column once"),
        ("user:token", "film:text", {"share": [("user", "film")]}, ""),
        ("user:number", "film:number", {"share": [("user", "film")]}, ""),
        (
            "user:number",
            "film:number(8)",
            {"share": [("user", "film")]},
            "share: must name columns whose kinds can have one vocabulary; got",
        ),
        (
            "user:token",
            "film:number",
            {"share": [("user", "film")]},
            "share: must name columns whose kinds can have one vocabulary; got",
        ),
        ("user:token(weight=2)", "film:tokens(weight=2)", {"share": [("user", "film")]}, ""),
        (
            "user:token",
            "film:token(weight=2)",
            {"share": [("user", "film")]},
            "share: must name columns whose kinds can have one vocabulary; got",
        ),
    ],
)
def test_a_schema_that_contradicts_itself(in0, in1, roles, message):
    if not message:
        declared(in0, in1, **roles)
        return
    with pytest.raises(ConfigError) as raised:
        declared(in0, in1, **roles)
    assert message in str(raised.value)


@pytest.mark.parametrize("weight", ["0", "-1", "0.001", "101", "nan", "inf", "much"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_that_makes_no_sense(kind, weight):
    must = rf"user:{kind}\(weight\): must be a number in \[0.01, 100\]; got '?{weight}"
    with pytest.raises(ConfigError, match=must):
        parse_field(f"user:{kind}(weight={weight})")


def test_each_row_counts_what_its_field_says():
    columns = {"user": ["ann", "bob"], "age": [1.0, 2.0], "film": ["Up", "Alien"]}
    fields = "user:token(weight=0.5) age:number(2,weight=3) user:token", "film:token(weight=2)"
    schema = fit(declared(*fields), columns)
    grown = fit(declared(*fields), columns | {"user": ["cid", "ann"]}, schema)
    for each in (schema, grown):
        weights = each.weights(0, each.table_size(0) + 2)
        assert weights[[0, -2, -1]].tolist() == [1, 1, 1]
        for part, weight in zip(each.parts, (0.5, 3.0, 1.0), strict=False):
            of_part = weights[part.in_table(np.arange(part.fitted.size))]
            assert set(of_part.tolist()) == {weight}
        assert each.weights(1, each.table_size(1)).tolist()[1:] == [2.0] * (each.table_size(1) - 1)
    assert grown.table_size(0) > schema.table_size(0)
    again = TableSchema.from_state(schema.declared.state())
    assert again == schema.declared
    assert again.names[0] == "in0 user:token(weight=0.5)"


def test_columns_of_both_sides_count_alike_in_their_one_table():
    fields = "user:token(weight=0.5) age:token", "friend:token(weight=0.5)"
    columns = {"user": ["ann"], "age": ["1"], "friend": ["bob"]}
    schema = fit(declared(*fields, share=[("user", "friend")]), columns)
    weights = schema.weights(0, schema.table_size(0))
    (pair,) = rows_of(schema, 0, user=["ann"], age=["1"])
    assert weights[pair].tolist() == [0.5, 1.0]
    assert weights[rows_of(schema, 1, friend=["bob"])[0]].tolist() == [0.5]


def test_all_contradictions_are_listed():
    with pytest.raises(ConfigError, match="3 problems"):
        declared("", "film", label="film", share=[("a", "film")])


def test_a_group_may_be_an_object_and_a_time_a_field():
    schema = declared("user when", "film", group="user", time="when")
    assert schema.columns == ["user", "when", "film"]


def test_a_table_has_as_many_rows_as_an_id_can_say():
    schema = declared("user age", "film")
    sizes = [SimpleNamespace(size=size) for size in (MAX_ID - 11, 10, 5)]
    assert ObjectSchema.fit(schema, sizes, LabelField()).table_size(0) == MAX_ID
    sizes[1].size = 11
    must = rf"^vocabulary: must have at most {MAX_ID} rows; got {MAX_ID + 1}. Set max_size or min_"
    with pytest.raises(DataError, match=must):
        ObjectSchema.fit(schema, sizes, LabelField())


def test_columns_of_a_schema_are_read_once():
    schema = declared("user age user:text", "film", label="stars", group="user", time="when")
    assert schema.columns == ["user", "age", "film", "stars", "when"]
    assert schema.roles == {"label": "stars", "group": "user", "time": "when"}
    assert schema.names == ["in0 user", "in0 age", "in0 user:text", "in1 film"]
    assert [schema.holds_text(side) for side in (0, 1)] == [True, False]
    assert declared("user:characters", "film:text").holds_text(0)
    made = declared("user", "film next", making=Making("walks", ("next",)))
    assert made.columns == ["user", "film"]
    assert [made.is_read(number) for number in range(3)] == [True, True, False]
    assert TableSchema.from_state(json.loads(json.dumps(made.state()))) == made


def test_rows_begin_behind_padding_and_fields_follow_one_another():
    schema = fit(declared("user:token city:token"), {**USERS, "city": ["Rome", None, "Oslo"]})
    # A field's own rows: missing, unknown, then tokens by count and text.
    assert known(schema, 0) == {
        ("user", "missing"): 1,
        ("user", "unknown"): 2,
        ("user", "ann"): 3,
        ("user", "bob"): 4,
        ("city", "missing"): 5,
        ("city", "unknown"): 6,
        ("city", "Oslo"): 7,
        ("city", "Rome"): 8,
    }
    assert (schema.table_size(0), schema.table_size(1)) == (9, 5)
    assert rows_of(schema, 0, user=["bob", "eve"], city=["Rome", None]) == [[4, 8], [2, 5]]
    assert schema.columns(0) == ["user", "city"]
    assert schema.untrained_rows(0).tolist() == [1, 2, 6]


def test_coverage_is_told_by_field():
    schema = fit(declared(), USERS)
    _, coverage = schema.encode(0, {"user": pa.array(["ann", "eve", None, "eve"])})
    found = coverage["user:token"]
    assert (found.values, found.missing, found.known, found.unknown) == (4, 1, 1, 2)


def test_an_object_without_a_column():
    schema = fit(declared("user:token city:token"), {**USERS, "city": ["Rome", None, "Oslo"]})
    with pytest.raises(
        DataError, match=r'in0: must have the column "city"; .*Did you mean citty\?'
    ):
        rows_of(schema, 0, user=["ann"], citty=["Rome"])
    column, coverage = schema.encode(0, {"city": pa.array(["Rome"])}, partial=True)
    assert column.values.tolist() == [1, 8]
    assert coverage["user:token"].missing == 1
    with pytest.raises(DataError, match='must have the column "user"'):
        schema.encode(0, {"age": pa.array([1])}, partial=True)


def test_mistakes_of_all_fields_name_their_columns():
    given = "user:token(unseen=error) city:token(unseen=error)"
    schema = fit(declared(given), {**USERS, "city": ["Rome", "Rome", "Oslo"]})
    with pytest.raises(ValueMistakes) as raised:
        rows_of(schema, 0, user=["ann", "eve"], city=["Paris", "Rome"])
    assert [(m.row, m.must.split()[0], m.got) for m in raised.value.mistakes] == [
        (0, '"city"', "Paris"),
        (1, '"user"', "eve"),
    ]


def test_a_shared_vocabulary_ties_the_tables():
    columns = {"user": ["ann", "bob"], "friend": ["bob", "cid"], "film": ["Up", "Up"]}
    schema = fit(
        declared("user:token film:token", "friend:token", share=[("user", "friend")]), columns
    )
    assert schema.is_tied
    assert schema.table_size(0) == schema.table_size(1) == 1 + 5 + 3
    ((first, film),) = rows_of(schema, 0, user=["bob"], film=["Up"])
    assert rows_of(schema, 1, friend=["bob"]) == [[first]]
    assert known(schema, 0) == known(schema, 1)
    assert known(schema, 0)["user,friend", "bob"] == first == 3  # seen twice
    assert known(schema, 0)["film", "Up"] == film


def test_fields_of_one_side_can_share_without_tying():
    columns = {"last": ["a", "b"], "before": ["b", "c"], "next": ["a", "c"]}
    schema = fit(
        declared("last:token before:token", "next:token", share=[("last", "before")]), columns
    )
    assert not schema.is_tied
    assert rows_of(schema, 0, last=["b"], before=["b"]) == [[3, 3]]
    assert schema.table_size(0) == 1 + 5


def test_lists_and_single_tokens_can_share():
    columns = {"history": ["a|b", "b|c"], "film": ["b", "d"]}
    schema = declared('history:tokens("|")', "film:token", share=[("history", "film")])
    schema = fit(schema, columns)
    ((a, b),) = rows_of(schema, 0, history=["a|b"])
    assert rows_of(schema, 1, film=["b", "a"]) == [[b], [a]]


def test_what_grows_keeps_its_rows(tmp_path):
    schema = declared("user:token city:token", "film:token")
    before = fit(schema, {**USERS, "city": ["Rome", None, "Oslo"]})
    new = {"user": ["eve", "ann", "eve"], "city": ["Oslo"] * 3, "film": ["Up", "Up", "Big"]}
    after = fit(schema, new, before)
    old, grown = known(before, 0), known(after, 0)
    assert {token: grown[token] for token in old} == old
    assert grown["user", "eve"] == before.table_size(0) == 9
    assert after.table_size(0) == 10
    assert known(after, 1)["film", "Big"] == before.table_size(1)
    third = fit(schema, {"user": ["flo"], "city": ["Bonn"], "film": ["Up"]}, after)
    assert known(third, 0)["user", "flo"] == 10
    assert known(third, 0)["city", "Bonn"] == 11
    values = {"user": ["flo", "eve", "ann"], "city": ["Bonn", "Oslo", "Bonn"]}
    assert rows_of(third, 0, **values) == [[10, 11], [9, 7], [3, 11]]
    third.to_files(tmp_path)
    loaded = ObjectSchema.from_files(tmp_path)
    assert rows_of(loaded, 0, **values) == rows_of(third, 0, **values)
    assert len({before.fingerprint, after.fingerprint, third.fingerprint}) == 3
    assert loaded.fingerprint == third.fingerprint


def test_rows_of_known_and_of_hashed_tokens_are_told_apart_wherever_they_lie():
    fields = "user:token age:number(2) name:characters(buckets=4)", "film:token(buckets=3)"
    columns = {"user": ["ann", "bob"], "age": [1, 2], "name": ["x", "y"], "film": ["Up", "Big"]}
    schema = fit(declared(*fields), columns)
    grown = fit(declared(*fields), {**columns, "user": ["eve", "flo"]}, schema)
    for each, new in ((schema, []), (grown, [15, 16])):
        # padding; user: missing, unknown, ann, bob; age: missing, two bins; name: missing, four
        # buckets, x, y; then the new users
        known = [3, 4, 6, 7, 13, 14, *new]
        assert np.flatnonzero(each.known_rows(0)).tolist() == known
        assert each.hashed_rows(0).tolist() == [9, 10, 11, 12]
        assert len(each.known_rows(0)) == each.table_size(0) == 15 + len(new)
        assert np.flatnonzero(each.known_rows(1)).tolist() == [5, 6]
        assert each.hashed_rows(1).tolist() == [2, 3, 4]


def test_where_every_token_is_hashed_its_buckets_are_what_is_known():
    schema = fit(declared(in1="film:token(buckets=3,max_size=0)"), USERS)
    assert np.flatnonzero(schema.known_rows(1)).tolist() == [2, 3, 4]
    assert schema.hashed_rows(1).tolist() == [2, 3, 4]


def test_tied_tables_grow_together():
    schema = declared("user:token", "friend:token", share=[("user", "friend")])
    before = fit(schema, {"user": ["ann"], "friend": ["bob"]})
    after = fit(schema, {"user": ["cid"], "friend": ["ann"]}, before)
    assert after.table_size(0) == after.table_size(1) == before.table_size(0) + 1
    assert known(after, 1)["user,friend", "cid"] == before.table_size(0)


def test_a_schema_is_saved_and_read(tmp_path):
    label = LabelField("stars", ("bad", "good"))
    schema = fit(
        declared("user:token", "film:token(min_count=2)", label="stars"), USERS, label=label
    )
    schema.to_files(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "schema.json",
        "vocabularies.safetensors",
    ]
    loaded = ObjectSchema.from_files(tmp_path)
    assert loaded.declared == schema.declared
    assert loaded.label == label
    assert list(loaded.entries(1)) == list(schema.entries(1))
    assert rows_of(loaded, 1, film=["Up", "Alien", None]) == [[3], [2], [1]]


def edited(name, **changes):
    """A change of an entry of schema.json."""

    def edit(folder):
        path = folder / "schema.json"
        content = json.loads(path.read_text())
        content[name] = changes.get("to", content[name])
        if "to" not in changes:
            content[name] = changes["by"](content[name])
        path.write_text(json.dumps(content))

    return edit


def cut(name, size):
    def edit(folder):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[:size])

    return edit


def flipped(folder):
    path = folder / "vocabularies.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "schema.json").unlink(),
        lambda folder: (folder / "vocabularies.safetensors").unlink(),
        lambda folder: (folder / "schema.json").write_text("[1]"),
        cut("schema.json", 50),
        cut("vocabularies.safetensors", 9),
        cut("vocabularies.safetensors", -8),
        flipped,
        edited("format", to=2),
        edited("declared", to={}),
        edited("declared", by=lambda said: {**said, "in0": ["user"]}),
        edited("declared", by=lambda said: {**said, "in0": ["user:nonsense"]}),
        edited("label", to=None),
        edited("decisions", to=3),
        edited("vocabularies", to=[]),
        edited("vocabularies", by=lambda said: [{**said[0], "segments": [[0, 2]]}, said[1]]),
        edited("vocabularies", by=lambda said: [{**said[0], "segments": [[1, 1]]}, said[1]]),
        edited("vocabularies", by=lambda said: [{**said[0], "segments": []}, said[1]]),
        edited("vocabularies", by=lambda said: [{**said[0], "segments": [[0, "x"]]}, said[1]]),
        edited("vocabularies", by=lambda said: [{**said[0], "state": {}}, said[1]]),
        edited("vocabulary_file", to=None),
    ],
)
def test_a_damaged_schema_is_rejected(tmp_path, damage):
    fit(declared(), USERS).to_files(tmp_path)
    damage(tmp_path)
    with pytest.raises(ArtifactError) as raised:
        ObjectSchema.from_files(tmp_path)
    assert str(raised.value).startswith((str(tmp_path), "vocabulary: "))


def test_segments_must_not_lie_over_one_another(tmp_path):
    schema = declared("user:token city:token", "film:token")
    before = fit(schema, {**USERS, "city": ["Rome", None, "Oslo"]})
    before.to_files(tmp_path)
    edited("vocabularies", by=lambda said: [said[0], {**said[1], "segments": [[0, 1]]}, said[2]])(
        tmp_path
    )
    with pytest.raises(ArtifactError, match="segments that do not fill a table"):
        ObjectSchema.from_files(tmp_path)


def test_a_large_schema_opens_at_once(tmp_path):
    names = [f"name {i:07d}" for i in range(100_000)]
    fit(declared(), {"user": names, "film": ["Up"]}).to_files(tmp_path)
    started = time.perf_counter()
    ObjectSchema.from_files(tmp_path)
    assert time.perf_counter() - started < 0.5


def test_arrays_are_mapped_as_they_were_written(tmp_path):
    path = tmp_path / "some.safetensors"
    arrays = {
        "a": np.arange(6, dtype=np.int64).reshape(2, 3),
        "b": np.zeros(0, np.uint8),
        "c": np.array([True, False]),
        "d": np.array([1.5], np.float32),
        "e": np.array([2**63], np.uint64),
    }
    write_arrays(path, arrays)
    found = map_arrays(path)
    assert found.keys() == arrays.keys() == load_file(path).keys()
    assert all(array.flags.aligned for array in found.values())
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
    with pytest.raises(ValueError, match="read-only"):
        found["a"][0, 0] = 1


def test_a_matrix_is_mapped_and_may_be_written_in_memory_alone(tmp_path):
    path = tmp_path / "some.safetensors"
    write_arrays(path, {"a": np.ones((2, 3), np.float32)})
    before, found = path.read_bytes(), map_matrix(path, "a", (2, 3))
    assert not found.flags.owndata
    found[:] = 2
    assert path.read_bytes() == before
    with pytest.raises(ArtifactError, match=r"must hold a of shape \(3, 2\); got \(2, 3\)"):
        map_matrix(path, "a", (3, 2))
    with pytest.raises(ArtifactError, match=r"must hold b of shape \(2, 3\); got 'none'"):
        map_matrix(path, "b", (2, 3))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01",
        (10**18).to_bytes(8, "little") + b"{}",
        b"\x02\0\0\0\0\0\0\0[]",
        b"\x02\0\0\0\0\0\0\0{",
    ],
)
def test_a_damaged_header_is_rejected(tmp_path, content):
    path = tmp_path / "some.safetensors"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="must be a whole safetensors file"):
        map_arrays(path)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "I64", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "I64", "shape": [1], "data_offsets": [8, 16]},
        {"dtype": "I64", "shape": [1], "data_offsets": [-8, 0]},
        {"dtype": "X1", "shape": [1], "data_offsets": [0, 8]},
        {"dtype": "I64", "shape": [1]},
        {"dtype": "I64", "shape": ["x"], "data_offsets": [0, 8]},
        [],
    ],
)
def test_an_array_that_its_file_does_not_hold_is_rejected(tmp_path, entry):
    header = json.dumps({"a": entry}).encode()
    path = tmp_path / "some.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ArtifactError, match="must be a whole safetensors file"):
        map_arrays(path)


def test_side_by_side_keeps_the_order_of_columns():
    rng = np.random.default_rng(0)
    columns = [
        Ragged.build([rng.integers(9, size=rng.integers(4)).tolist() for _ in range(20)])
        for _ in range(3)
    ]
    joined = side_by_side(columns)
    for i in range(20):
        assert joined.row(i).tolist() == [x for each in columns for x in each.row(i).tolist()]
