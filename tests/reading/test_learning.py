"""Tables to cached records of ids: one parse, splits, the cache, mistakes."""

from __future__ import annotations

import numpy as np
import pytest

from object2vec.errors import ConfigError, DataError
from object2vec.fields.schema import TableSchema
from object2vec.fields.specification import parse_field
from object2vec.reading.learning import learn, read_with
from object2vec.reading.tables import open_table

RATINGS = """user,film,rating,when
ann,Titanic,5,2024-01-03
bob,Titanic,3,2024-01-01
ann,Up,4,2024-01-02
cid,,1,2024-01-04
"""


def declared(in0="user:token", in1="film:token", **roles):
    """A schema of fields in the form of the command line; several of a side between blanks."""
    first, second = (tuple(map(parse_field, side.split())) for side in (in0, in1))
    return TableSchema((first, second), **roles)


@pytest.fixture
def ratings(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text(RATINGS, encoding="utf-8")
    return path


@pytest.fixture
def read(tmp_path):
    """Learn from a file or from columns, with a cache of its own."""

    def learned(source, schema, **options):
        table = open_table(source)
        return learn({"train": table}, schema, cache_dir=tmp_path / "cache", **options)

    return learned


def tokens(learned, side):
    return {entry.row: entry.token for _, entry in learned.schema.entries(side)}


def objects(learned, side, channel="train"):
    """The tokens of each object."""
    known = tokens(learned, side)
    column = learned.channels[channel].columns[f"in{side}"]
    return [[known[row] for row in column.row(i).tolist()] for i in range(len(column))]


def test_a_csv_becomes_ids_of_its_tokens(ratings, read):
    learned = read(ratings, declared(label="rating"))
    assert objects(learned, 0) == [["ann"], ["bob"], ["ann"], ["cid"]]
    assert objects(learned, 1) == [["Titanic"], ["Titanic"], ["Up"], [None]]
    train = learned.channels["train"]
    assert train.columns["label"].tolist() == [5, 3, 4, 1]
    assert [train.where(row) for row in (0, 3)] == [f"{ratings}:2", f"{ratings}:5"]
    assert learned.facts["train"].coverage["in1 film:token"].missing == 1
    assert learned.schema.label.distinct == (1, 3, 4, 5)


def test_strings_and_hand_numbered_ids_give_the_same_columns(tmp_path, read):
    rng = np.random.default_rng(0)
    users, films = rng.zipf(1.5, (2, 500)) % 50
    labels = rng.integers(0, 2, 500)
    names = {
        "user": [f"user{i}" for i in users],
        "film": [f"film{i}" for i in films],
        "label": labels,
    }
    learned = read(names, declared(label="label"))
    for side, name in enumerate(("user", "film")):
        counts = {}
        for each in names[name]:
            counts[each] = counts.get(each, 0) + 1
        order = sorted(counts, key=lambda each: (-counts[each], each))
        number = {each: 3 + i for i, each in enumerate(order)}  # padding, missing, unknown
        found = learned.channels["train"].columns[f"in{side}"]
        assert found.values.tolist() == [number[each] for each in names[name]]
    assert learned.channels["train"].columns["label"].tolist() == labels.tolist()


def test_all_mistakes_of_a_table_are_listed_with_their_lines(tmp_path, read):
    rows = [f"u{i},f{i},{'x' if i in (3, 7) else '' if i == 2 else i}" for i in range(10)]
    path = tmp_path / "some.csv"
    path.write_text("\n".join(["user,film,clicks", *rows]), encoding="utf-8")
    with pytest.raises(DataError) as raised:
        read(path, declared(weight="clicks"))
    assert str(raised.value).splitlines() == [
        "4 problems:",
        f"  {path}:2: \"clicks\" must have a weight above 0; got '0'. Remove the row.",
        f'  {path}:4: "clicks" must have a weight; got None. Fill it in or remove the row.',
        f"  {path}:5: \"clicks\" must have a finite number as weight; got 'x'. Fix the number.",
        f"  {path}:9: \"clicks\" must have a finite number as weight; got 'x'. Fix the number.",
    ]


def test_a_split_contradicts_a_validation_table(ratings, read):
    with pytest.raises(ConfigError, match=r"split: must be a share in \[0, 1\); got 1"):
        read(ratings, declared(), split=1)
    table = open_table(ratings)
    with pytest.raises(ConfigError, match="must be 0 if there is a validation table"):
        learn({"train": table, "validation": table}, declared(), split=0.1)


def test_another_table_is_read_with_the_schema(ratings, tmp_path, read):
    schema = read(ratings, declared(label="rating")).schema
    other = {"user": ["cid", "dan"], "film": ["Up", "Up"], "rating": [2.5, 1]}
    cached, facts = read_with(open_table(other), schema)
    assert cached.columns["in0"].values.tolist() == [5, 2]  # dan is unknown
    assert facts.coverage["in0 user:token"].unknown == 1
    assert cached.where(1) == "table row 1"
