"""Values have one result, one count and one error, whoever reads them: files, requests, Python."""

from __future__ import annotations

import json
import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from object2vec import Object2Vec
from object2vec.cli import main
from object2vec.errors import ConfigError, DataError
from object2vec.inference.transform import TransformSettings, transform
from object2vec.serving.app import create_app
from support.servers import ask
from support.values import value_model

CSV_TYPE = {"content-type": "text/csv"}.items()

OBJECTS = {
    "film": ["Titanic", "Nope", None, "Up", " Zoë ", "Heat"],
    "genres": [["drama", "romance"], ["war"], None, [], ["crime"], ["drama"]],
}
CSV = """film,genres,other
Titanic,drama|romance,1
Nope,war,2
,,3
Up,,4
 Zoë ,crime,5
"Heat",drama,6
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in ("plays", "pairs"):
        value_model(name).save(folder / name)
    return folder


def as_dicts(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def run(*argv) -> int:
    return main([*map(str, argv)])


# --------------------------------------------------------------------------- the same bytes


def test_the_same_objects_have_the_same_vectors_on_every_surface(saved, tmp_path):
    model = value_model("plays")
    wanted = model.encode(in1=OBJECTS)
    assert wanted.shape == (6, 4)
    assert len(np.unique(wanted, axis=0)) == 6
    frame = pd.DataFrame(OBJECTS)
    for given in (as_dicts(OBJECTS), frame, pa.table(OBJECTS), iter(as_dicts(OBJECTS))):
        assert model.encode(in1=given).tobytes() == wanted.tobytes()
    assert Object2Vec.load(saved / "plays").encode(in1=frame).tobytes() == wanted.tobytes()

    (tmp_path / "a.csv").write_text(CSV, encoding="utf-8")
    argv = ["encode", saved / "plays", "--side", "in1", tmp_path / "a.csv", "--format", "npy"]
    assert run(*argv, "--out", tmp_path / "a.npy") == 0
    assert np.load(tmp_path / "a.npy").tobytes() == wanted.tobytes()

    body = {"instances": [{"in1": each} for each in as_dicts(OBJECTS)]}
    app = create_app(model)
    status, _, response = ask(app, body)
    assert status == 200
    assert vectors(json.loads(response)["predictions"]).tobytes() == wanted.tobytes()
    csv = CSV.encode(), {"content-type": "text/csv"}.items()
    assert ask(app, *csv)[2] == response
    for media, text in (("jsonlines", as_lines(body["instances"])), ("csv", CSV.encode())):
        (tmp_path / media).write_bytes(text)
        kind = "text/csv" if media == "csv" else "application/jsonlines"
        settings = TransformSettings(content_type=kind, accept="application/jsonlines")
        assert not transform(saved / "plays", [tmp_path / media], tmp_path, settings).failed
        lines = (tmp_path / f"{media}.out").read_text().splitlines()
        assert vectors(map(json.loads, lines)).tobytes() == wanted.tobytes()


def vectors(predictions) -> np.ndarray:
    return np.array([each["embeddings"] for each in predictions], np.float32)


def as_lines(records) -> bytes:
    return "".join(json.dumps(each) + "\n" for each in records).encode()


def test_the_same_pairs_have_the_same_scores_on_every_surface(saved, tmp_path):
    model = value_model("pairs")
    pairs = {"user": ["ann", "zed", "Zoë"], "film": ["Titanic", "Up", "Nope"]}
    wanted = model.predict(in0=pairs["user"], in1=np.array(pairs["film"]))
    assert wanted.shape == (3, 3)
    assert model.predict(pairs).tobytes() == wanted.tobytes()
    assert model.classes == ("bad", "fine", "good")
    path = tmp_path / "a.csv"
    pd.DataFrame(pairs).to_csv(path, index=False)
    assert model.predict(path).tobytes() == wanted.tobytes()
    assert model.predict(str(path)).tobytes() == wanted.tobytes()

    assert run("predict", saved / "pairs", path, "--out", tmp_path / "out") == 0
    printed = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert np.array([p["scores"] for p in printed], np.float32).tobytes() == wanted.tobytes()
    best = [model.classes[index] for index in wanted.argmax(axis=1)]
    said = [{"label": name} for name in best]
    said[1]["unknown"], said[2]["unknown"] = ["in0"], ["in1"]
    assert [{k: v for k, v in p.items() if k != "scores"} for p in printed] == said

    body = {"instances": [{"in0": u, "in1": f} for u, f in zip(*pairs.values(), strict=True)]}
    served = json.loads(ask(create_app(model), body)[2])["predictions"]
    assert [{k: v for k, v in p.items() if k != "scores"} for p in served] == said
    np.testing.assert_allclose([p["scores"] for p in served], wanted, rtol=1e-5)


def test_one_object_has_the_same_vector_alone_and_in_any_order():
    model = value_model("plays")
    together = model.encode(in1=OBJECTS)
    for row in range(len(together)):
        alone = {name: values[row : row + 1] for name, values in OBJECTS.items()}
        assert model.encode(in1=alone).tobytes() == together[row].tobytes()


@pytest.mark.parametrize(
    "values",
    [
        ["ann", "bob", None],
        np.array(["ann", "bob", None], object),
        pa.array(["ann", "bob", None]),
        pd.Series(["ann", "bob", None]),
        pd.Series(["ann", "bob", None], dtype="category"),
        iter(["ann", "bob", None]),
        ("ann", "bob", None),
        {"user": ["ann", "bob", None]},
        pa.chunked_array([["ann"], ["bob", None]]),
    ],
)
def test_a_column_may_come_in_any_form(values):
    model = value_model("pairs")
    wanted = model.encode(in0=[{"user": "ann"}, {"user": "bob"}, {"user": None}])
    assert model.encode(in0=values).tobytes() == wanted.tobytes()


@pytest.mark.parametrize("values", [[], np.array([], object), pa.array([], pa.string())])
def test_no_objects_have_no_vectors(values):
    assert value_model("pairs").encode(in0=values).shape == (0, 4)


def test_what_is_not_known_of_an_object_may_be_left_away(caplog):
    model = value_model("plays")
    known = model.encode(in0={"user": ["new"], "history": [["Alien", "Heat"]]})
    assert known.any()
    # A user without a name reads the row for missing names; one whose name is new reads none.
    nameless = model.encode(in0={"user": [None], "history": [["Alien", "Heat"]]})
    caplog.clear()
    assert model.encode(in0={"history": [["Alien", "Heat"]]}).tobytes() == nameless.tobytes()
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "table: has no column user; it is missing in every object of in0."
    ]


# --------------------------------------------------------------------------- counts


def test_what_training_does_not_cover_is_said_once(saved, tmp_path, capsys, caplog):
    (tmp_path / "a.csv").write_text(CSV, encoding="utf-8")
    argv = ["encode", saved / "plays", "--side", "in1", tmp_path / "a.csv"]
    assert run(*argv, "--out", tmp_path / "out") == 0
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "warning: in1: objects without a token that training knew: 2.",
        "in1 film:token(unseen=skip): 1 of 6 values missing (16.7 %), "
        "2 of 5 tokens rare or unseen (40.0 %), left out",
        'in1 genres:tokens("|", unseen=buckets, buckets=4): 2 of 6 values missing (33.3 %), '
        "1 of 5 tokens rare or unseen (20.0 %), hashed",
    ]
    lines = (tmp_path / "out").read_text().splitlines()
    assert ["unknown" in line for line in lines] == [False, True, True, False, False, False]
    assert json.loads(lines[2])["unknown"] == ["in1"]
    with caplog.at_level(logging.INFO):
        value_model("plays").encode(in1=OBJECTS)
    assert caplog.records[0].levelname == "WARNING"
    assert [r.levelname for r in caplog.records[1:]] == ["INFO", "INFO"]
    settings = TransformSettings(content_type="text/csv")
    caplog.clear()
    with caplog.at_level(logging.INFO):
        transform(saved / "plays", [tmp_path / "a.csv"], tmp_path / "t", settings)
    text = "\n".join(record.getMessage() for record in caplog.records)
    for line in said:
        assert f"{tmp_path / 'a.csv'}: {line.removeprefix('warning: ')}" in text


def test_evaluate_says_it_too(saved, tmp_path, capsys):
    text = "user,history,film,genres,mark\nann,,Heat,crime,good\nbob,,Nothing,crime,bad\n"
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    assert run("evaluate", saved / "plays", tmp_path / "a.csv") == 0
    said = capsys.readouterr().err
    assert "in1 film:token(unseen=skip): 1 of 2 tokens rare or unseen (50.0 %), left out" in said


# --------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("side", "given", "text"),
    [
        ("in1", {"flim": ["a"]}, r"got 'film'\. Did you mean flim\?"),
        ("in1", {"film": ["a"], "genre": ["b"]}, r"got 'genres'\. Did you mean genre\?"),
        ("in1", ["a"], r"in1: must have the columns film, genres; got 'one column \(list\)'"),
        ("in1", "a.csv", r"in1: must be a column of values or a table; got 'a.csv'"),
        ("in1", {"film": [["a"]]}, r'row 0: "film" must be text, a number'),
    ],
)
def test_what_does_not_fit_the_schema_is_named(side, given, text):
    with pytest.raises(DataError, match=text):
        value_model("plays").encode(**{side: given})


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "must be given a table, or in0 and in1; got 'nothing'"),
        ({"in0": ["ann"]}, "must be given a table, or in0 and in1; got 'in0'"),
        ({"table": {}, "in0": ["ann"]}, "must be given a table, or in0 and in1; got 'table, in0'"),
        ({"in0": ["ann"], "in1": ["Up", "Up"]}, r"must have columns of one length; got \[1, 2\]"),
    ],
)
def test_a_pair_has_two_objects(given, text):
    with pytest.raises(DataError, match=text):
        value_model("pairs").predict(**given)


def test_a_file_that_does_not_fit_is_named_with_its_columns(saved, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("title,genre\nUp,drama\n")
    assert run("encode", saved / "plays", "--side", "in1", tmp_path / "a.csv") == 2
    error = capsys.readouterr().err
    assert f"Error: {tmp_path / 'a.csv'}: must have every column that is named" in error
    assert "It has the columns title, genre." in error
    assert "Add it, empty where it is not known." in error


def test_a_model_of_ids_reads_no_tables(tmp_path):
    records = [{"in0": [1], "in1": [1], "label": i % 2} for i in range(4)]
    given = {"enc0_network": "pooled_embedding", "enc0_max_seq_len": 2, "enc0_vocab_size": 9}
    Object2Vec(**given, enc_dim=4, epochs=1).fit(records).save(tmp_path / "model")
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    settings = TransformSettings(content_type="text/csv")
    with pytest.raises(ConfigError, match=r"must be application/json or application/jsonlines in"):
        transform(tmp_path / "model", [tmp_path / "a.csv"], tmp_path, settings)


# --------------------------------------------------------------------------- files of a transform


def test_a_csv_is_transformed_record_by_record(saved, tmp_path, monkeypatch):
    monkeypatch.setattr("object2vec.inference.inputs._ROWS", 2)
    (tmp_path / "a.csv").write_text('ann,Up\nbob,"two\nlines"\neve,Heat\nann,Up\nann,Alien\n')
    settings = TransformSettings(content_type="text/csv", accept="application/jsonlines")
    report = transform(saved / "pairs", [tmp_path / "a.csv"], tmp_path, settings)
    assert [*report.done.values()] == [5]
    lines = (tmp_path / "a.csv.out").read_text().splitlines()
    assert lines[0] == lines[3]
    assert [json.loads(line).get("unknown") for line in lines] == [None, ["in1"], None, None, None]


def test_records_of_a_csv_that_are_wrong_are_named_by_their_lines(saved, tmp_path):
    (tmp_path / "a.csv").write_text("user,film\nann,Up\n" + "bob\n")
    settings = TransformSettings(content_type="text/csv")
    report = transform(saved / "pairs", [tmp_path / "a.csv"], tmp_path, settings)
    ((name, text),) = report.failed.items()
    assert text.startswith(f"{name}:3: ")


@pytest.mark.parametrize("name", ["plays", "pairs"])
def test_the_lines_of_a_file_are_values(name, saved, tmp_path, capsys):
    (tmp_path / "a.txt").write_bytes(b'ann\r\n"bob"\n\nbob\nZo\xc3\xab')
    argv = ["encode", saved / name, "--side", "in0", tmp_path / "a.txt", "--lines"]
    if name == "plays":
        assert run(*argv) == 2
        error = capsys.readouterr().err
        assert "--lines: must be left out: an object has the columns user, history" in error
        return
    assert run(*argv, "--format", "npy", "--out", tmp_path / "a.npy") == 0
    wanted = value_model("pairs").encode(in0=["ann", '"bob"', None, "bob", "Zoë"])
    assert np.load(tmp_path / "a.npy").tobytes() == wanted.tobytes()
    assert wanted[0].any()
    (tmp_path / "a.txt").write_bytes(b"ann\n\xff\n")
    assert run(*argv) == 2
    assert "a.txt:2: must be UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["ann,ann\n", "ann,\n", "ann,Up|Nope|Heat\n", '"ann",Up\n'])
def test_a_csv_request_without_names_holds_values_as_they_are(text):
    # Names would be different and not empty; a request has commas, whatever else looks like one.
    app = create_app(value_model("pairs"))
    status, *named = ask(app, ("user,film\n" + text).encode(), CSV_TYPE)
    assert status == 200
    assert ask(app, text.encode(), CSV_TYPE) == (status, *named)
