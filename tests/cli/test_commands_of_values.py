"""Commands of a model that was trained on a table."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from object2vec import Object2Vec
from object2vec.cli import main
from object2vec.serving.inputs import example
from support.values import LETTERS, PLAYS, value_model


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in ("plays", "pairs"):
        value_model(name).save(folder / name)
    return folder


def run(*argv) -> int:
    return main([*map(str, argv)])


def feed(monkeypatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


# ----------------------------------------------------------------------------- files


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "jsonl", "feather"])
def test_any_format_of_a_table_is_encoded_alike(kind, saved, tmp_path):
    frame = pd.DataFrame({"user": ["ann", "bob", "Zoë"], "film": ["Up", "Heat", "Titanic"]})
    path = tmp_path / f"a.{kind}"
    write = {
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "parquet": lambda: frame.to_parquet(path),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "feather": lambda: frame.to_feather(path),
    }
    write[kind]()
    argv = ["encode", saved / "pairs", "--side", "in0", path, "--format", "npy"]
    assert run(*argv, "--out", tmp_path / "a.npy") == 0
    wanted = value_model("pairs").encode(in0=frame["user"])
    assert np.load(tmp_path / "a.npy").tobytes() == wanted.tobytes()


def test_options_say_how_to_read_what_does_not_say_so_itself(saved, tmp_path, capsys):
    (tmp_path / "a.dat").write_text("bob;Up\nann;Heat\n")
    options = ["--input-format", "csv", "--columns", "user,film", "--separator", ";"]
    assert run("predict", saved / "pairs", tmp_path / "a.dat", *options) == 0
    wanted = value_model("pairs").predict(in0=["bob", "ann"], in1=["Up", "Heat"])
    printed = [json.loads(line)["scores"] for line in capsys.readouterr().out.splitlines()]
    assert np.array(printed, np.float32).tobytes() == wanted.tobytes()


def test_standard_input_is_read_where_no_file_is_named(saved, monkeypatch, capsys):
    wanted = value_model("pairs").encode(in0=["ann", "bob"])
    given = ("user,film\nann,Up\nbob,\n", []), ("ann\nbob\n", ["--lines"])
    for text, options in (*given, ("user\nann\nbob\n", ["--input-format", "csv"])):
        feed(monkeypatch, text)
        assert run("encode", saved / "pairs", "--side", "in0", *options) == 0
        printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        found = np.array([each["embeddings"] for each in printed], np.float32)
        assert found.tobytes() == wanted.tobytes()


def test_evaluate_reads_the_label_by_its_name(saved, tmp_path, capsys):
    pd.DataFrame(PLAYS).to_csv(tmp_path / "a.csv", index=False)
    assert run("evaluate", saved / "pairs", tmp_path / "a.csv") == 0
    metrics = json.loads(capsys.readouterr().out)
    scores = value_model("pairs").predict(in0=PLAYS["user"], in1=PLAYS["film"])
    truth = [("bad", "fine", "good").index(mark) for mark in PLAYS["mark"]]
    assert metrics["accuracy"] == pytest.approx((scores.argmax(axis=1) == truth).mean())


def test_a_model_of_ids_says_which_options_it_has_no_use_for(tmp_path, capsys):
    from support.servers import fitted

    fitted("pooled").save(tmp_path / "model")
    (tmp_path / "a.jsonl").write_text('{"in0": [1]}\n')
    argv = ["encode", tmp_path / "model", "--side", "in0", tmp_path / "a.jsonl"]
    for given, names in (
        (["--lines"], "--lines"),
        (["--quote", "", "--columns", "a"], "--columns, --quote"),
    ):
        assert run(*argv, *given) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"Error: {names}: must be left out: this model was trained on ids")


@pytest.mark.parametrize("texts", [["ann"], ["ann", "", "Zoe\u0308", "nobody"], ["bob"] * 70_000])
def test_text_is_encoded_without_torch_and_little_of_it_without_numba(saved, texts):
    heavy = ["torch", "numba", *(["pandas"] if texts == ["ann"] else [])]
    script = (
        "import sys\nfrom object2vec.cli import main\n"
        f"code = main(['encode', {str(saved / 'pairs')!r}, '--side', 'in0', '--lines'])\n"
        f"print([n for n in {heavy} if n in sys.modules], file=sys.stderr)\n"
        "sys.exit(code)\n"
    )
    lines = "".join(f"{text}\n" for text in texts).encode()
    done = subprocess.run([sys.executable, "-c", script], input=lines, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(b"['numba']\n" if len(texts) > 9 else b"[]\n"), done.stderr
    found = np.array([json.loads(line)["embeddings"] for line in done.stdout.splitlines()])
    expected = Object2Vec.load(saved / "pairs").encode(in0=texts)
    assert found.astype(np.float32).tobytes() == expected.tobytes()


def test_a_line_is_an_object_of_one_column(saved, monkeypatch, capsys):
    feed(monkeypatch, "ann\n")
    assert run("encode", saved / "plays", "--side", "in0", "--lines") == 2
    said = capsys.readouterr().err
    assert "--lines: must be left out: an object has the columns user, history; got 'it'." in said


# ----------------------------------------------------------------------------- what is inside


def test_a_vocabulary_has_its_tokens_by_count_and_then_the_rows_of_no_token(saved, capsys):
    assert run("vocabulary", saved / "pairs", "--side", "in0") == 0
    assert (
        capsys.readouterr().out == "ann\t2\t2\nbob\t3\t2\nZoë\t4\t1\neve\t5\t1\n<missing>\t1\t0\n"
    )
    assert run("vocabulary", saved / "plays", "--side", "in1", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == {"token": "Titanic", "id": 2, "count": 2, "field": "film"}
    assert [row["note"] for row in rows if row["token"] is None] == ["missing"] * 2 + ["bucket"] * 4
    assert sorted(row["id"] for row in rows) == [*range(1, len(rows) + 1)]


def test_a_vocabulary_file_is_listed_too(tmp_path, capsys):
    from support.servers import fitted

    fitted("pooled").save(tmp_path / "model")
    assert run("vocabulary", tmp_path / "model", "--side", "in0") == 2
    assert "must have a vocabulary of in0; got 'a model of bare ids'" in capsys.readouterr().err
    (tmp_path / "model" / "vocab0.json").write_text('{"a\\tb": 3, "c": 1}')
    assert run("vocabulary", tmp_path / "model", "--side", "in0") == 0
    assert capsys.readouterr().out == "a\\tb\t3\t0\nc\t1\t0\n"


def test_info_shows_what_objects_are_made_of(saved, capsys):
    assert run("info", saved / "plays") == 0
    text = capsys.readouterr().out
    for line in (
        "    user:token(unseen=skip): tokens 4, shared_rows 1",
        '    genres:tokens("|", unseen=buckets, buckets=4): tokens 5, shared_rows 5',
        "  label: mark",
        "  classes: bad, fine, good",
    ):
        assert line in text.splitlines()
    assert run("info", saved / "plays", "--json") == 0
    schema = json.loads(capsys.readouterr().out)["schema"]
    assert schema["classes"] == ["bad", "fine", "good"]


# ----------------------------------------------------------------------------- check


@pytest.fixture
def plays(tmp_path):
    path = tmp_path / "plays.csv"
    pd.DataFrame(PLAYS).to_csv(path, index=False)
    return path


def test_check_says_what_training_would_learn_and_decide(plays, capsys):
    argv = ["check", plays, "--in0", "user", "--in1", "film", "--in1", 'genres:tokens("|")']
    assert run(*argv, "--label", "mark") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "rows: 6 train" in lines
    assert any(line.split()[:3] == ["in1", "genres", 'tokens("|")'] for line in lines)
    assert "train, genres: 1 of 6 values missing (16.7 %)" in lines
    decided = {line.split()[0]: line.split()[1] for line in lines if line.startswith("  ")}
    assert decided["output_layer"] == "softmax"
    assert decided["num_classes"] == "3"
    assert "train: labels 0: 2, 1: 1, 2: 3" in lines
    assert [*plays.parent.iterdir()] == [plays]


def test_check_applies_the_limits_that_are_set(plays, capsys):
    argv = ["check", plays, "--in0", "history:tokens", "--in1", "film"]
    assert run(*argv, "--set", "enc0_max_seq_len=1") == 0
    assert "exceeded max_seq_len (train: 2 in in0, 0 in in1)" in capsys.readouterr().out
    assert run(*argv[:-1], "flim") == 2
    assert "Did you mean film?" in capsys.readouterr().err


def test_check_of_a_table_needs_no_torch(plays):
    script = (
        "import sys\nfrom object2vec.cli import main\n"
        f"code = main(['check', {str(plays)!r}, '--in0', 'user', '--in1', 'film'])\n"
        "sys.exit(code or 5 * ('torch' in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_a_table_is_explained_where_no_columns_are_named(plays, capsys):
    assert run("check", plays) == 2
    error = capsys.readouterr().err
    assert "must be AWS's JSON Lines of integers unless --in0 and --in1 name columns" in error


def test_letters_of_any_language_stay_what_they_are(tmp_path, capsys, monkeypatch):
    """What people read has no escapes of JSON, in a model's files and in what is printed."""
    monkeypatch.chdir(tmp_path)
    model = value_model("letters")
    model.save("m")
    pd.DataFrame(LETTERS).to_csv("table.csv", index=False)
    found = {name: Path("m", name).read_text() for name in ("schema.json", "README.md")}
    commands = ["nearest m 花 --side in0 --json", "predict m table.csv", "info m"]
    for command in [*commands, *(f"vocabulary m --side in{side} --json" for side in (0, 1))]:
        assert run(*command.split()) == 0
        found[command] = capsys.readouterr().out
    found["example"] = example(model.schema)
    wanted = {
        "schema.json": ["観客 1", "作品 2", "国", "良", "悪", "可"],
        "README.md": ['in0=["観客 1"]', 'in1={"作品 2": [...], "国": [...]}', '`"観客 1":token`'],
        "nearest m 花 --side in0 --json": ['"query": "花"', '"object": "月"'],
        "predict m table.csv": ['"label": "'],
        "info m": ['"観客 1":token', '"作品 2":token', "国:token", "良"],
        "vocabulary m --side in0 --json": ['"token": "花"', '"token": "月"'],
        "vocabulary m --side in1 --json": ['"token": "雪"', '"field": "作品 2"', '"field": "国"'],
        "example": ['{"in0": "...", "in1": {"作品 2": "...", "国": "..."}}'],
    }
    for where, texts in wanted.items():
        assert [text for text in texts if text not in found[where]] == [], where
        assert "\\u" not in found[where], where
