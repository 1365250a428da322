"""One record has one result, and one warning, whoever reads it: files, requests, Python."""

from __future__ import annotations

import json
import logging
import re
import tarfile

import fsspec
import numpy as np
import pytest

from object2vec import Object2Vec
from object2vec.cli import main
from object2vec.inference.encoder import open_encoder
from object2vec.inference.engine import Engine
from object2vec.inference.pooled import PooledReader
from object2vec.inference.transform import transform
from object2vec.serving.app import create_app
from support.servers import ask

SETTINGS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 3,
    "enc0_vocab_size": 9,
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": 2,
    "enc1_vocab_size": 7,
    "enc_dim": 4,
    "mlp_dim": 4,
    "epochs": 1,
    "seed": 1,
    "threads": 1,
}
RECORDS = [{"in0": [i % 8 + 1], "in1": [i % 6 + 1, 1], "label": i % 2} for i in range(16)]
LINES = {"content-type": "application/jsonlines"}


@pytest.fixture(scope="module")
def model():
    return Object2Vec(**SETTINGS).fit(RECORDS)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model"
    model.save(path)
    return path


GOOD = [
    b'{"in0": [1, 2]}',
    b'  {"in0":[3]}\t\r',
    b'{"in0": []}',
    b'{"in0": [0, 2, 0]}',
    b'{"in0": [1, 2, 3, 2147483647]}',
    b'{"in0": [1, 2, 3, 4, 5]}',
    b'{"in0": [4], "label": "anything", "x": {"in0": [1], "in0": 2}}',
    b'{"in0": [4], "label": 1, "label": 2}',
    b'{"x": "\\"in0\\": [1]", "in0": [5]}',
    b'{"in\\u0030": [6]}',
    b'{"in0": [-0, 1]}',
    b'{"in0": [1.0]}',
    b'{"in0": [1e0, 2]}',
    b'{"in0": [-0.0, 2, 3.0, 2147483647.0]}',
    b'{"in0": [4], "x": 1e999}',
    b'{"in0": [4], "x": "\xc3\xa9"}',
]
BAD = [
    b'{"in0": [1], "in0": [2]}',
    b'{"in0": [1], "in\\u0030": [2]}',
    b'{"in0": [1], "in0": [1]}',
    b'{"in0": [9]}',
    b'{"in0": [1, 2, 10]}',
    b'{"in0": [-1]}',
    b'{"in0": [1, 2, 3, -1]}',
    b'{"in0": [1, 2, 3, 2147483648]}',
    b'{"in0": [1.5]}',
    b'{"in0": [1, 2, 3, 1.5]}',
    b'{"in0": [9.0]}',
    b'{"in0": [-1.0]}',
    b'{"in0": [1, 2, 3, 2147483648.0]}',
    b'{"in0": [1e999]}',
    b'{"in0": [true]}',
    b'{"in0": ["1"]}',
    b'{"in0": [null]}',
    b'{"in0": null}',
    b'{"in0": 1}',
    b'{"in0": [[1]]}',
    b'{"in0": [1,]}',
    b'{"in0": [01]}',
    b'{"in0": [1]} {"in0": [2]}',
    b'{"in0": [1]',
    b'{"in0":\n[1]}',
    b'{"IN0": [1]}',
    b'{"label": 1}',
    b"{}",
    b"7",
    b'{"instances": [{"in0": [1]}]}',
    b'{"in0": [1], "x": 01}',
]


def surfaces(saved, model, line: bytes, tmp_path, *command: str):
    """Exit code or status of each surface, and the numbers that it gave."""
    (tmp_path / "a.jsonl").write_bytes(line + b"\n")
    argv = [command[0], saved, *command[1:], tmp_path / "a.jsonl", "--out", tmp_path / "encoded"]
    codes = [main([*map(str, argv)])]
    report = transform(saved, [tmp_path / "a.jsonl"], tmp_path)
    codes.append(2 * bool(report.failed))
    status, _, body = ask(create_app(model), line, LINES.items())
    codes.append({200: 0, 400: 2}[status])
    files = (tmp_path / "encoded", tmp_path / "a.jsonl.out")
    texts = [path.read_bytes() for path in files if path.exists()] + [body] * (status == 200)
    return codes, [next(iter(json.loads(text).values())) for text in texts]


@pytest.mark.parametrize("line", GOOD)
def test_what_one_surface_takes_all_take_and_give_the_same(line, saved, model, tmp_path):
    codes, found = surfaces(saved, model, line, tmp_path, "encode", "--side", "in0")
    assert codes == [0, 0, 0]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 4
    ids = [int(each) for each in json.loads(line.decode("utf-8", "replace"))["in0"]]
    assert found[0] == pytest.approx(model.encode(in0=[ids])[0].tolist())


@pytest.mark.parametrize("line", BAD)
def test_what_one_surface_rejects_all_reject(line, saved, model, tmp_path):
    codes, found = surfaces(saved, model, line, tmp_path, "encode", "--side", "in0")
    assert codes == [2, 2, 2]
    assert found == []


PAIR = b'"in0": [1, 2], "in1": [3]'


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{%b}" % PAIR, 0),
        (b'{%b, "label": 1, "x": []}' % PAIR, 0),
        (b'{"in0": [1, 2, 3, 99], "in1": [1, 2, 99]}', 0),
        (b'{%b, "in1": [3]}' % PAIR, 2),
        (b'{%b, "in\\u0031": [3]}' % PAIR, 2),
        (b'{"in0": [1, 2, 3, 99], "in1": [1, 99]}', 2),
        (b'{"in0": [1], "in1": null}', 2),
        (b'{"in0": [1], "in1": [1.5]}', 2),
    ],
)
def test_pairs_are_taken_and_rejected_alike(line, code, saved, model, tmp_path):
    codes, found = surfaces(saved, model, line, tmp_path, "predict")
    assert codes == [code] * 3
    assert len(found) == (0 if code else 3)
    for scores in found[1:]:
        np.testing.assert_allclose(scores, found[0], rtol=1e-6)


# ------------------------------------------------------------------- what is left out is said

LEFT_OUT = [{"in0": [1, 2, 3, 4]}, {"in0": [0]}, {"in0": []}, {"in0": [1, 0]}, {"in0": [5]}]
SAID = (
    "in0: sequences read in part: 1 truncated; 2 with id 0, padding, which is ignored; "
    "2 without tokens, embedded as zeros."
)


def test_python_logs_what_was_left_out(model, caplog):
    model.encode(in0=[record["in0"] for record in LEFT_OUT])
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [("WARNING", SAID)]
    caplog.clear()
    model.predict(in0=[[1]], in1=[[1, 2, 3]])
    assert [r.getMessage() for r in caplog.records] == ["in1: sequences read in part: 1 truncated."]
    caplog.clear()
    model.predict(in0=[[1, 2, 3, 4]], in1=[[1, 2, 3]], max_seq_lens=(4, 2))
    assert [r.getMessage() for r in caplog.records] == ["in1: sequences read in part: 1 truncated."]
    caplog.clear()
    model.evaluate([{"in0": [0], "in1": [1, 2, 3], "label": 1}])
    assert [r.getMessage() for r in caplog.records] == [
        "in0: sequences read in part: 1 with id 0, padding, which is ignored.",
        "in1: sequences read in part: 1 truncated.",
    ]


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("rows", [1, 100])
def test_commands_say_once_what_was_left_out(rows, saved, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("object2vec.inference.inputs._ROWS", rows)
    source = write(tmp_path / "a.jsonl", LEFT_OUT)
    assert main(["encode", str(saved), "--side", "in0", str(source)]) == 0
    assert capsys.readouterr().err == f"warning: {SAID}\n"
    pairs = write(tmp_path / "b.jsonl", [{"in0": [1], "in1": [1, 2, 3], "label": 1}] * 2)
    for command in ("predict", "evaluate"):
        assert main([command, str(saved), str(pairs)]) == 0
        assert "warning: in1: sequences read in part: 2 truncated.\n" in capsys.readouterr().err
    assert main(["encode", str(saved), "--side", "in0", str(pairs)]) == 0
    assert capsys.readouterr().err == ""


def test_transform_says_for_each_file_what_was_left_out(saved, tmp_path, caplog):
    source = write(tmp_path / "a.jsonl", LEFT_OUT)
    other = write(tmp_path / "b.jsonl", [{"in0": [1], "in1": [1, 2, 3]}, {"in1": [1, 1, 1]}])
    with caplog.at_level(logging.WARNING):
        transform(saved, [source, other], tmp_path / "out")
    assert [record.getMessage() for record in caplog.records] == [
        f"{source}: {SAID}",
        f"{other}: in1: sequences read in part: 2 truncated.",
    ]


def test_the_server_counts_what_was_left_out(model):
    app = create_app(model)
    for body in ({"instances": LEFT_OUT}, {"in0": [1], "in1": [1, 2, 3]}, {"in0": [1]}):
        assert ask(app, body)[0] == 200
    _, _, text = ask(app, b"", method="GET", path="/metrics")
    pattern = r'^object2vec_omissions_total\{kind="(\w+)",side="(in\d)"\} (\S+)$'
    counts = {
        (side, kind): float(count)
        for kind, side, count in re.findall(pattern, text.decode(), re.MULTILINE)
    }
    assert {key: count for key, count in counts.items() if count} == {
        ("in0", "truncated"): 1,
        ("in0", "padded"): 2,
        ("in0", "empty"): 2,
        ("in1", "truncated"): 1,
    }


# ------------------------------------------------------------------------------ opening a model


def test_opening_chooses_the_encoder_once_and_fetches_a_model_once(saved, tmp_path, monkeypatch):
    import object2vec.artifact.location as location

    hcnn = tmp_path / "hcnn"
    mixed = SETTINGS | {"enc0_network": "hcnn", "enc0_token_embedding_dim": 3}
    Object2Vec(**mixed).fit(RECORDS).save(hcnn)
    store = fsspec.filesystem("memory")
    for path in hcnn.iterdir():
        store.pipe(f"/surfaces/{path.name}", path.read_bytes())
    fetched = []
    fetch = location.fetch
    monkeypatch.setattr(
        location, "fetch", lambda url, *rest: (fetched.append(url), fetch(url, *rest))[1]
    )
    encoder = open_encoder("memory://surfaces", 0)
    assert (type(encoder), fetched) == (Engine, ["memory://surfaces"])
    encoder = open_encoder("memory://surfaces", 1)
    assert (type(encoder), len(fetched)) == (PooledReader, 2)
    assert type(open_encoder(saved, 0)) is PooledReader
    store.rm("/surfaces", recursive=True)


@pytest.mark.parametrize("kind", ["url", "archive", "url of an archive"])
def test_every_command_takes_a_model_wherever_it_lies(kind, model, saved, tmp_path, capsys):
    store, place = fsspec.filesystem("memory"), str(tmp_path / "model.tar.gz")
    with tarfile.open(place, "w:gz") as archive:
        archive.add(saved, arcname=".")
    if kind == "url of an archive":
        store.put_file(place, "/places/model.tar.gz")
        place = "memory://places/model.tar.gz"
    elif kind == "url":
        place = "memory://places/model"
        model.save(place)
    data = str(write(tmp_path / "a.jsonl", RECORDS))
    for argv in (
        ["encode", "--side", "in1", data],
        ["predict", data],
        ["evaluate", data],
        ["info"],
    ):
        results = []
        for where in (str(saved), place):
            assert main([argv[0], where, *argv[1:]]) == 0
            results.append(capsys.readouterr().out.replace(where, "MODEL"))
        assert results[0] == results[1] != ""
    column = [record["in0"] for record in RECORDS]
    assert np.array_equal(Object2Vec.load(place).encode(in0=column), model.encode(in0=column))
    if kind != "archive":
        store.rm("/places", recursive=True)
