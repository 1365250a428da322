"""Tables to cached records of ids: one parse, splits, the cache, mistakes."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from object2vec import Config, Pairs
from object2vec.errors import ConfigError, DataError, StorageError
from object2vec.fields.specification import parse_field
from object2vec.fields.table_schema import TableSchema
from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import RECORDS
from object2vec.objects.statistics import IdStatistics
from object2vec.pairs.batches import TrainingBatches
from object2vec.reading import learning
from object2vec.reading.facts import CountedRecords, counted_lengths
from object2vec.reading.learning import learn
from object2vec.reading.table_records import read_with
from object2vec.reading.tables import TableOptions, lines, open_table

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
def read(tmp_path, monkeypatch):
    """Learn from a file or from columns, with a cache of its own."""
    monkeypatch.setenv("OBJECT2VEC_CACHE", str(tmp_path / "cache"))

    def learned(source, schema, **options):
        return learn({"train": open_table(source)}, schema, **options)

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


ODD = ["ann", " ann", "ann\u00a0", "", "  ", "e\u0301", "\u00e9", "日本", "a" * 20, "bob"]


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("size", [64, 1 << 20])
@pytest.mark.parametrize("policy", ["unknown", "skip", "buckets"])
def test_a_text_without_quotes_is_read_as_the_same_table_in_memory(
    tmp_path, read, monkeypatch, separator, size, policy
):
    """Its values are looked up as they stand, and those that are no tokens are normalised."""
    monkeypatch.setattr(lines, "PARSED_BYTES", size)
    monkeypatch.setattr(learning, "_HELD_BYTES", 2000)
    rng = np.random.default_rng(0)
    names = [ODD[i] for i in rng.integers(0, len(ODD), 300)] + ["new", "new"]
    films = [f"film {i}" for i in rng.zipf(1.5, 302) % 40]
    path = tmp_path / "t.csv"
    rows = [f"{film}{separator}{name}\n" for name, film in zip(names, films, strict=True)]
    path.write_text("".join(rows), encoding="utf-8")
    schema = declared(f"name:token(min_count=2,unseen={policy})", "film:token", group="film")
    options = TableOptions("csv", columns=("film", "name"), separator=separator)
    table = {"name": [name or None for name in names], "film": films}
    found, same = (
        learn({"train": source, "validation": source}, schema)
        for source in (open_table(path, options), open_table(table))
    )
    assert found.schema.fingerprint == same.schema.fingerprint
    for channel in ("train", "validation"):
        assert found.facts[channel].coverage == same.facts[channel].coverage
        assert objects(found, 0, channel) == objects(same, 0, channel)
        assert objects(found, 1, channel) == objects(same, 1, channel)


def test_columns_of_a_csv_beside_parquet_are_learned_alike(tmp_path, read):
    names = [f"ann{i % 3}" for i in range(50)]
    parquet = pa.table({"name": names, "film": names[::-1]})
    (tmp_path / "t").mkdir()
    pq.write_table(parquet, tmp_path / "t" / "a.parquet")
    rows = "".join(f"{a},{b}\n" for a, b in zip(names, names[::-1], strict=True))
    (tmp_path / "t" / "b.csv").write_text(f"name,film\n{rows}")
    learned = read(tmp_path / "t", declared("name:token", "film:token"))
    assert objects(learned, 0) == [[name] for name in names] * 2
    assert objects(learned, 1) == [[name] for name in names[::-1]] * 2


def test_an_unseen_token_of_a_text_is_named_with_its_line(tmp_path, read):
    path = tmp_path / "t.csv"
    path.write_text("a,b\nann,x\nbob,y\n", encoding="utf-8")
    learned = read(path, declared("a:token(unseen=error)", "b:token"))
    path.write_text("a,b\nann,x\n ann,x\ncid,y\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"t\.csv:4: .*got 'cid'"):
        read_with(open_table(path), learned.schema)


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


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            [*map(str, range(19)), "good"],
            r"some\.csv:21: \"stars\" must have a number as label.*'good",
        ),
        (["4", "5", "oops", "3", "2"], "stars: must hold numbers only, or names .*; got 'oops'"),
    ],
)
def test_labels_that_are_nearly_all_numbers_are_no_classes(labels, message, tmp_path, read):
    rows = [f'u{i},f{i},"{label}"' for i, label in enumerate(labels)]
    path = tmp_path / "some.csv"
    path.write_text("\n".join(["user,film,stars", *rows]), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read(path, declared(label="stars"))


def test_a_number_among_names_is_a_class(read):
    labels = ["yes", "no", "2", "no"]
    table = {"user": list("abcd"), "film": list("wxyz"), "answer": labels}
    assert read(table, declared(label="answer")).schema.label.classes == ("2", "no", "yes")


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


def halves(learned):
    """The names of the users of each channel, in order."""
    return [[name for (name,) in objects(learned, 0, each)] for each in ("train", "validation")]


def many(**columns):
    """A table of 400 records of different users, whose numbers are their order."""
    return {
        "user": [f"u{i:03d}" for i in range(400)],
        "film": [f"f{i % 7}" for i in range(400)],
        **columns,
    }


def test_a_split_by_row_is_exact_disjoint_and_of_the_seed(read):
    learned = read(many(), declared(), split=0.25, seed=1)
    sizes = [facts.records for facts in learned.facts.values()]
    assert sum(sizes) == 400
    assert 60 < sizes[1] < 140
    where = {
        channel: [int(cached.where(row).rpartition(" ")[2]) for row in range(size)]
        for (channel, cached), size in zip(learned.channels.items(), sizes, strict=True)
    }
    assert sorted(where["train"] + where["validation"]) == list(range(400))
    assert [sorted(rows) for rows in where.values()] == list(where.values())
    train = learned.channels["train"].columns["in0"].values - 3
    assert [f"u{row:03d}" for row in where["train"]] == sorted(
        entry.token for _, entry in learned.schema.entries(0) if entry.token
    )
    assert train.tolist() == list(range(sizes[0]))  # validation is not counted
    assert (learned.channels["validation"].columns["in0"].values == 2).all()
    again = read(many(), declared(), split=0.25, seed=2)
    assert again.facts["train"].records != 0
    assert again.channels["train"].where(0) != learned.channels["train"].where(0) or (
        halves(again) != halves(learned)
    )


@pytest.mark.parametrize("values", [lambda i: f"g{i % 20}", lambda i: i % 20])
def test_a_group_is_never_on_both_sides_of_a_split(read, values):
    groups = [values(i) for i in range(400)]
    learned = read(many(group=groups), declared(group="group"), split=0.25)
    held = [set(learned.channels[c].columns["group"].tolist()) for c in ("train", "validation")]
    assert not held[0] & held[1]
    assert len(held[0] | held[1]) == 20
    assert all(held)


@pytest.mark.parametrize(
    "time_of",
    [
        lambda i: str(i * 37 % 400),
        lambda i: i * 37 % 400 / 2,
        lambda i: f"2024-01-{1 + i * 37 % 28:02d}",
        lambda i: datetime(2024, 1, 1) + timedelta(hours=i * 37 % 400),
    ],
)
def test_a_split_by_time_holds_the_latest(read, time_of):
    times = [time_of(i) for i in range(400)]
    learned = read(many(time=times), declared(time="time"), split=0.25)
    assert [facts.records for facts in learned.facts.values()] == [300, 100]
    key = float if "-" not in str(times[0]) else str
    held = [
        [key(times[int(cached.where(row).rpartition(" ")[2])]) for row in range(facts.records)]
        for cached, facts in zip(learned.channels.values(), learned.facts.values(), strict=True)
    ]
    assert max(held[0]) <= min(held[1])


def test_times_of_another_form_are_mistakes(read):
    table = {**many(), "time": ["2024-01-01"] * 398 + ["yesterday", None]}
    with pytest.raises(DataError) as raised:
        read(table, declared(time="time"), split=0.25)
    assert "table row 398: \"time\" must have a time; got 'yesterday'" in str(raised.value)
    assert 'table row 399: "time" must have a time; got None' in str(raised.value)


def test_a_split_must_leave_both_sides_something(read):
    with pytest.raises(DataError, match="split: must leave records for training and"):
        read(many(group=["one"] * 400), declared(group="group"), split=0.25)
    with pytest.raises(ConfigError, match="must be by time or by group"):
        read(many(), declared(group="user", time="user"), split=0.25)


def test_what_was_learned_is_opened_again(ratings, read, monkeypatch):
    learned = read(ratings, declared(label="rating"), split=0.5)
    monkeypatch.setattr("object2vec.reading.learning._Learning.run", None)
    again = read(ratings, declared(label="rating"), split=0.5)
    assert again.schema.fingerprint == learned.schema.fingerprint
    assert again.facts == learned.facts
    for channel, cached in learned.channels.items():
        assert objects(again, 1, channel) == objects(learned, 1, channel)
        assert again.channels[channel].where(0) == cached.where(0)
    for options in ({"split": 0.4}, {"split": 0.5, "seed": 1}):
        with pytest.raises(TypeError):
            read(ratings, declared(label="rating"), **options)
    with pytest.raises(TypeError):
        read(ratings, declared(in1="film:token(min_count=2)", label="rating"), split=0.5)


def test_a_changed_file_is_read_anew(ratings, read):
    read(ratings, declared())
    ratings.write_text(RATINGS.replace("bob", "eve"), encoding="utf-8")
    assert objects(read(ratings, declared()), 0)[1] == ["eve"]


def test_a_damaged_cache_is_made_anew(ratings, read, tmp_path):
    learned = read(ratings, declared())
    (folder,) = (tmp_path / "cache").iterdir()
    for name in ("facts.json", "schema.json", "train/meta.json"):
        (folder / name).write_text("{", encoding="utf-8")
        assert objects(read(ratings, declared()), 0) == objects(learned, 0)


def test_a_table_in_memory_leaves_nothing_behind(read, tmp_path):
    read(many(), declared(), split=0.1)
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").iterdir())


def test_a_table_in_memory_is_read_where_its_folder_stays(read, folders_stay):
    assert len(read(many(), declared()).channels["train"].columns["in0"]) == 400
    assert folders_stay


def test_more_rows_than_a_block(tmp_path, read):
    count = 300_000
    path = tmp_path / "large.csv"
    numbers = np.arange(count) * 7919 % 1000
    lines = "".join(f"u{n:04d},{'f' * 20}{n % 10},{n % 5}\n" for n in numbers.tolist())
    path.write_text(f"user,film,stars\n{lines}", encoding="utf-8")
    learned = read(path, declared(label="stars"), split=0.1)
    for channel in ("train", "validation"):
        cached, size = learned.channels[channel], learned.facts[channel].records
        names = tokens(learned, 0)
        assert [(source.name, source.rows) for source in cached.sources] == [(str(path), size)]
        for row in (0, 1, size // 2, size - 1):
            line = int(cached.where(row).rpartition(":")[2])
            n = numbers[line - 2]
            assert names[int(cached.columns["in0"].values[row])] == f"u{n:04d}"
            assert cached.columns["label"][row] == n % 5
    assert sum(facts.records for facts in learned.facts.values()) == count


def test_twenty_mistakes_end_the_reading(tmp_path, read):
    path = tmp_path / "bad.csv"
    path.write_text("user,film,w\n" + "a,b,0\n" * 100, encoding="utf-8")
    with pytest.raises(DataError) as raised:
        read(path, declared(weight="w"))
    lines = str(raised.value).splitlines()
    assert len(lines) == 21
    assert lines[0] == "the first 20 problems:"
    assert f"{path}:21: " in lines[-1]


def test_a_column_that_is_not_there(ratings, read):
    with pytest.raises(DataError, match=r"Did you mean rating\?"):
        read(ratings, declared(label="ratings"))
    with pytest.raises(DataError, match=r"Did you mean film\?"):
        read(ratings, declared(in1="flim"))


def test_growth_goes_on_with_the_fields_of_the_model(ratings, read):
    first = read(ratings, declared(label="rating")).schema
    table = {"user": ["dan", "ann"], "film": ["Up", "Big"], "rating": [1, 2]}
    learned = read(table, declared("user", "film", label="rating"), start=first)
    old = {entry.token: entry.row for _, entry in first.entries(0)}
    new = {entry.token: entry.row for _, entry in learned.schema.entries(0)}
    assert {token: new[token] for token in old} == old
    assert new["dan"] == first.table_size(0)
    assert objects(learned, 1) == [["Up"], ["Big"]]
    with pytest.raises(ConfigError, match="in0: must have the fields of the model that it starts"):
        read(table, declared("film", "user", label="rating"), start=first)
    with pytest.raises(ConfigError, match="label: must be given, as in the model"):
        read(table, declared("user", "film"), start=first)


def test_weights_and_groups_become_columns(read):
    table = {**many(), "clicks": np.arange(400) + 1, "session": [f"s{i // 2}" for i in range(400)]}
    learned = read(table, declared(weight="clicks", group="session"))
    train = learned.channels["train"]
    assert train.schema.names == ["in0", "in1", "label", "weight", "group"]
    assert train.columns["weight"].tolist() == list(range(1, 401))
    groups = train.columns["group"]
    assert (groups[::2] == groups[1::2]).all()
    assert len(set(groups.tolist())) == 200
    assert train.columns["label"].tolist() == [1] * 400
    cached, _ = read_with(open_table(table), learned.schema)
    for name in ("in0", "in1"):
        assert cached.columns[name].values.tolist() == train.columns[name].values.tolist()
    assert cached.columns["group"].tolist() == groups.tolist()


def test_what_looks_wrong_is_said(read):
    table = {"user": ["a", "b", "c"], "film": ["x y", "", "x"], "label": [1, 1, 1]}
    learned = read(table, declared("user:token", "film:text", label="label"))
    assert learned.warnings == [
        "in1: 1 of 3 objects have no token",
        "in0 user: all 3 tokens differ: nothing is shared",
    ]
    assert learned.facts["train"].lengths == ({1: 3}, {0: 1, 1: 1, 2: 1})


def test_nothing_is_said_of_tokens_that_are_shared_or_alone(read):
    for users, is_said in ((["a", "b", "a"], False), (["a", "b", "c"], True), (["a"], False)):
        table = {"user": users, "film": ["x"] * len(users)}
        warnings = read(table, declared(), split=0).warnings
        said = [f"in0 user: all {len(users)} tokens differ: nothing is shared"]
        assert [each for each in warnings if each.startswith("in0")] == said * is_said
    table = {"user": ["anna", "bob", "cid"], "film": ["x"] * 3}
    assert read(table, declared("user:characters")).warnings == []  # their runs may be shared


@pytest.mark.parametrize("split", [-0.1, 1.0, 1.5, float("nan")])
def test_a_split_is_a_share(read, split):
    with pytest.raises(
        ConfigError, match=rf"^split: must be a share in \[0, 1\); got {split}. Use"
    ):
        read(many(), declared(), split=split)


def test_a_split_that_leaves_nothing_on_one_side_says_how_much(read):
    for split, held in ((0.001, 0), (0.999, 400)):
        must = rf"got '{held} of 400 for validation'. Choose another share, or pass a file"
        with pytest.raises(DataError, match=must):
            read(many(time=[*range(400)]), declared(time="time"), split=split)


def test_a_column_that_no_kind_can_read_is_named(read):
    table = {**many(), "user": [None, *[timedelta(1)] * 399]}
    with pytest.raises(
        DataError, match=r"table: column user: must be text, a number, true or fals"
    ):
        read(table, declared("user"))


@pytest.mark.parametrize(
    ("roles", "where"),
    [
        ({"in0": "film:token"}, "in0"),
        ({"in0": "user:text"}, "in0"),
        ({"in1": "film:token film:text"}, "in1"),
        ({"label": None}, "label"),
    ],
)
def test_a_model_to_start_from_has_its_fields(ratings, read, roles, where):
    start = read(ratings, declared(label="rating")).schema
    with pytest.raises(ConfigError, match=f"^{where}: must .* the model that it starts from"):
        read(ratings, declared(**{"label": "rating", **roles}), start=start)
    again = read(ratings, declared("user", "film", label="rating"), start=start)
    assert again.schema.declared == start.declared


def test_an_unseen_value_of_validation_that_is_an_error_is_named(read):
    with pytest.raises(DataError) as raised:
        read(many(), declared("user:token(unseen=error)"), split=0.1)
    assert '"user" must be a token of the training data; got \'u' in str(raised.value)


def test_kinds_are_guessed_from_the_first_values_and_shared_columns_have_one(read):
    table = {
        "user": ["ann", "bob"],
        "about": ["a film of a ship that sinks", "Jaws: a shark eats all the guests"],
    }
    table["other"] = ["ann", "eve"]
    learned = read(table, declared("user", "about", label=None))
    assert learned.schema.declared.state()["in1"] == ["about:text"]
    assert learned.guesses.keys() == {"in0 user:token", "in1 about:text"}
    shared = declared("user:tokens", "other", label=None, share=(("user", "other"),))
    assert read(table, shared).guesses == {
        "in1 other:tokens": "a column that shares its vocabulary is of this kind"
    }


def test_the_first_fields_of_shared_columns_share_and_the_second_ones_do(read):
    table = {"a": ["x y", "y z"], "b": ["y z", "z"]}
    of_b = ("b:text(min_count=1)", "b:text(min_count=1,ngrams=2,shortest=2,weight=0.5)")
    of_a = tuple(each.replace("b:", "a:") for each in of_b)
    for in0, in1, parts in (
        (of_a, of_b, [[0, 2], [1, 3]]),
        (of_a, of_b[:1], [[0, 2], [1]]),
        (of_a[:1], of_b, [[0, 1], [2]]),
    ):
        schema = declared(" ".join(in0), " ".join(in1), label=None, share=(("a", "b"),))
        assert schema.parts == parts
        learned = read(table, schema)
        for side in (0, 1):
            assert {"x", "y", "z"} <= set(tokens(learned, side).values())
    with pytest.raises(ConfigError, match="share: must name columns whose kinds can have one"):
        declared(" ".join(of_a[::-1]), " ".join(of_b), share=(("a", "b"),))


def test_labels_with_a_decimal_comma_are_no_classes(read):
    table = {"user": ["a", "b", "c"], "film": ["x", "y", "z"], "stars": ["3,5", "4", "1,5"]}
    with pytest.raises(DataError, match="stars: must have numbers with a decimal point; got '1,5'"):
        read(table, declared(label="stars"))


def test_lists_and_single_tokens_share_a_vocabulary(read):
    table = {"seen": ["Up|Alien", "", "Big"], "film": ["Alien", "Up", "Up"]}
    learned = read(table, declared('seen:tokens("|")', "film:token", share=(("seen", "film"),)))
    up, alien = objects(learned, 0)[0]
    assert (up, alien) == ("Up", "Alien")
    assert objects(learned, 1) == [["Alien"], ["Up"], ["Up"]]
    assert learned.schema.table_size(0) == learned.schema.table_size(1)


def test_times_are_read_only_for_a_split_by_them(read):
    table = {**many(), "time": ["whenever"] * 400}
    assert read(table, declared(time="time")).facts["train"].records == 400
    with pytest.raises(DataError, match=r"Did you mean time\?"):
        read(table, declared(time="tim"))


def test_a_full_disk_is_told(read, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("object2vec.reading.learning._Learning._finish", full)
    with pytest.raises(StorageError, match="No space left on device"):
        read(many(), declared())


def test_weights_and_groups_of_large_sets_are_read_row_by_row(read, monkeypatch):
    table = {**many(), "clicks": np.arange(400) + 1, "session": [f"s{i // 4}" for i in range(400)]}
    schema = declared(weight="clicks", group="session")
    rows = np.array([7, 399, 0, 7])
    small = read(table, schema).channels["train"]
    monkeypatch.setattr("object2vec.reading.cached_set._MAPPED_BYTES", 0)
    large = read(table, schema).channels["train"]
    assert large.files
    assert not small.files
    for name, column in small.take(rows).items():
        found = large.take(rows)[name]
        values = [getattr(each, "values", each).tolist() for each in (column, found)]
        assert values[0] == values[1]
    pairs = Pairs(large.columns, "train", large.schema, large)
    config = Config.build(
        {
            "enc0_max_seq_len": 1,
            "enc0_vocab_size": 500,
            "mini_batch_size": 8,
            "negative_sampling_rate": 1,
        }
    )
    groups = large.columns["group"]
    for batch in TrainingBatches(pairs, config).epoch(0):
        users = batch.in0.values[batch.pairing.rows0] - 3
        assert batch.columns["group"].tolist() == groups[users].tolist()


@pytest.mark.parametrize(
    ("rows", "lengths"),
    [
        ([[1, 2], [3, 4]], {2: 2}),
        ([[], []], {0: 2}),
        ([[1], [], [2, 3], [4]], {0: 1, 1: 2, 2: 1}),
        ([], {}),
    ],
)
def test_lengths_of_objects_are_counted_with_their_records(rows, lengths):
    column = Ragged.of_lists(rows)
    columns = {"in0": column, "in1": column, "label": np.ones(len(rows), np.float32)}
    found = CountedRecords.counted(columns, {}, RECORDS)
    assert found.lengths == (lengths, lengths)
    assert len(found) == len(rows)
    assert found.statistics["in0"] == IdStatistics.of(column)


def test_lengths_are_counted_without_room_for_the_longest():
    assert counted_lengths(np.array([2, 1 << 50, 2, 0])) == {0: 1, 2: 2, 1 << 50: 1}
    assert counted_lengths(np.array([2, 5, 2])) == {2: 2, 5: 1}
    assert counted_lengths(np.zeros(0, np.int64)) == {}
