"""A table where AWS's records are expected: what it holds, and a command that reads it."""

from __future__ import annotations

import json
import shlex

import pytest

from object2vec.cli import main
from support.console import give_stdin

MUST = "must be AWS's JSON Lines of integers unless --in0 and --in1 name columns"


@pytest.fixture
def explained(tmp_path, monkeypatch, capsys):
    """Return a function that checks a file and returns the error, line by line."""
    monkeypatch.chdir(tmp_path)

    def check(name, text, *more):
        (tmp_path / name).write_text(text)
        assert main(["check", name, *more]) == 2
        return capsys.readouterr().err.splitlines()

    return check


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("user,film,rating\nann,Up,3\n", "--in0 user --in1 film --label rating"),
        ("Stars,user,film\n3,ann,Up\n", "--in0 user --in1 film --label Stars"),
        ("when,user,film\n3,ann,Up\n", "--in0 when --in1 user"),
        ("Timestamp,user,film\n3,ann,Up\n", "--in0 user --in1 film"),
        ("user,film,age\nann,Up,3\n", "--in0 user --in1 film"),
        ("text,stars\na b,3\n", "--in0 text --in1 stars"),  # two columns are both sides
        ("date,text\n2020-01-02,a\n", "--in0 date --in1 text"),
        ("name\nann\n", "--in0 name --in1 name"),
        ("1,2,5.0\n3,4,1.5\n", "--columns column1,column2,column3 --in0 column1 --in1 column2"),
        ("a,2020-01-02\nb,2020-01-03\n", "--columns column1,column2 --in0 column1 --in1 column2"),
    ],
)
def test_the_command_has_the_columns_for_what_their_names_say(text, options, explained):
    error = explained("a.csv", text)
    names = text.splitlines()[0].split(",")
    assert error[0] == f"Error: a.csv: {MUST}; got {names}. For example:"
    assert error[1] == f"  object2vec train --train a.csv {options} --out model"


def test_the_command_that_is_proposed_runs(explained, tmp_path):
    lines = explained("a table.csv", "user,film,rating\n" + "ann,Up,3\nbob,Heat,4\n" * 9)
    words = shlex.split(lines[1])
    assert words[:4] == ["object2vec", "train", "--train", "a table.csv"]
    assert main([*words[1:], "--set", "epochs=1", "enc_dim=4"]) == 0
    assert (tmp_path / "model" / "schema.json").exists()


@pytest.mark.parametrize(
    ("longest", "shown"), [("x" * 54, f"{'x' * 54}, a, b"), ("x" * 55, f"{'x' * 55}, a, ...")]
)
def test_columns_are_shown_with_their_first_values(longest, shown, explained):
    rows = [["id", "a long text"], ["1", longest], ["2", "a"], ["3", "b"], ["4", "c"]]
    error = explained("a.csv", "".join(",".join(row) + "\n" for row in rows))
    assert error[2:] == ["Its columns:", "  id           1, 2, 3", f"  a long text  {shown}"]


def test_dates_that_python_has_not_are_shown_too(tmp_path, capsys):
    import pyarrow as pa
    from pyarrow import parquet

    times = pa.array([0, 3 * 10**14], pa.timestamp("ms"))  # years 1970 and 11476
    file = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"when": times, "all": [times.to_numpy().tolist()] * 2}), file)
    assert main(["check", str(file)]) == 2
    error = capsys.readouterr().err
    assert "when  1970-01-01 00:00:00, " in error


def test_of_many_columns_the_first_twenty_are_shown(explained):
    names = [f"c{number}" for number in range(25)]
    error = explained("a.csv", ",".join(names) + "\n" + ",".join("x" * 25) + "\n")
    assert error[3:] == [f"  {name:3}  x" for name in names[:20]]


@pytest.mark.parametrize(
    ("record", "is_a_table"),
    [
        ({"in0": ["a"], "in1": [1], "label": 1}, True),
        ({"in0": 1, "in1": 2}, True),
        ({"user": [1], "film": [2]}, True),
        ({"in0": [1], "film": "Up"}, False),
        ({"in1": [1]}, False),
        ({}, False),  # no column that a command could name
    ],
)
def test_records_of_ids_and_what_holds_nothing_keep_their_own_error(record, is_a_table, explained):
    error = explained("a.jsonl", json.dumps(record) + "\n")
    assert (MUST in error[0]) is is_a_table
    assert "IndexError" not in error[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a.csv: must hold at least one record; got 'none'"),
        ("PK\x03\x04 is a zip", "a.csv: must be text, plain or packed with"),
    ],
)
def test_what_is_no_table_either_keeps_its_own_error(text, said, explained):
    (error,) = explained("a.csv", text)
    assert error.startswith(f"Error: {said}")


def test_what_is_right_but_for_the_hyperparameters_is_no_table(explained):
    error = explained("a.jsonl", '{"in0": [7], "in1": [1], "label": 1}\n', "--set", "enc_dim=2")
    assert error[0] == "Error: 3 problems:"


def test_a_pipe_is_not_read_again(monkeypatch, capsys):
    give_stdin(monkeypatch, b"user,film\nann,Up\n")
    assert main(["check", "-"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: 2 problems:\n  <stdin>:1: must be one JSON object")
    assert MUST not in error


def test_train_names_the_model_that_was_asked_for(explained, capsys):
    explained("a.csv", "user,film\nann,Up\n")
    assert main(["train", "--train", "a.csv", "--out", "films"]) == 2
    error = capsys.readouterr().err.splitlines()
    assert error[1] == "  object2vec train --train a.csv --in0 user --in1 film --out films"
