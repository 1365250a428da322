"""Standard streams that are closed, or whose encoding lacks what is written."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from object2vec.cli import main

RECORD = '{"in0": [1], "in1": [1, 2], "label": 1}\n'
HYPER = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 2,
    "enc0_vocab_size": 5,
    "enc_dim": 4,
    "mlp_layers": 0,
    "epochs": 1,
    "threads": 1,
}
TRAIN = "train --train train.jsonl --config hp.json --out"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with pairs, hyperparameters and a model."""
    folder = tmp_path_factory.mktemp("streams")
    (folder / "train.jsonl").write_text(RECORD * 4)
    (folder / "hp.json").write_text(json.dumps(HYPER))
    here = os.getcwd()
    os.chdir(folder)
    assert main([*TRAIN.split(), "model"]) == 0
    os.chdir(here)
    return folder


@pytest.fixture
def place(model, monkeypatch):
    monkeypatch.chdir(model)


NO_INPUT = "Error: <stdin>: must be readable; got 'Bad file descriptor'"
NO_OUTPUT = "Error: standard output: must be writable"


@pytest.mark.parametrize(
    ("closed", "command", "code", "message"),
    [
        ("stdin", "encode model --side in0", 2, NO_INPUT),
        ("stdin", "encode model --side in0 train.jsonl", 0, ""),
        ("stdin", "predict model", 2, NO_INPUT),
        ("stdin", "evaluate model -", 2, NO_INPUT),
        ("stdin", "check -", 2, NO_INPUT),
        ("stdin", f"{TRAIN} closed --train -", 2, NO_INPUT),
        ("stdout", "encode model --side in0 train.jsonl", 1, NO_OUTPUT),
        ("stdout", "encode model --side in0 train.jsonl --format npy", 1, NO_OUTPUT),
        ("stdout", "encode model --side in0 train.jsonl --format arrow", 1, NO_OUTPUT),
        ("stdout", "encode model --side in0 train.jsonl --out vectors", 0, ""),
        ("stdout", "predict model train.jsonl", 1, NO_OUTPUT),
        ("stdout", "predict model train.jsonl --out scores", 0, ""),
        ("stdout", "evaluate model train.jsonl", 1, NO_OUTPUT),
        ("stdout", "check train.jsonl", 1, NO_OUTPUT),
        ("stdout", "hyperparameters", 1, NO_OUTPUT),
        ("stdout", "info model", 1, NO_OUTPUT),
        ("stdout", "cache", 1, NO_OUTPUT),
        ("stdout", "--version", 1, NO_OUTPUT),
        ("stdout", "--help", 1, NO_OUTPUT),
        ("stdout", f"{TRAIN} log --log-format sagemaker", 1, NO_OUTPUT),
        ("stdout", f"{TRAIN} plain", 0, "done: 1 epochs"),
        ("stdout", "transform model train.jsonl --out answers", 0, "4 records"),
        ("stderr", f"{TRAIN} quiet", 0, ""),
        ("stderr", "transform model train.jsonl --out others", 0, ""),
        ("stderr", "check nothing.jsonl", 2, ""),
        ("stderr", "no-such-command", 2, ""),
    ],
)
@pytest.mark.usefixtures("place")
def test_a_closed_stream_is_an_error_only_where_it_is_needed(
    closed, command, code, message, capsys, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(sys, closed, None)
        assert main(command.split()) == code
        stream = getattr(sys, closed)
        number = stream.fileno()
        assert os.get_inheritable(number)  # what it starts has the stream, too
        stream.close()
        os.close(number)  # fails if the stream has closed it, as the end of Python would
    text = capsys.readouterr().err
    assert message in text
    assert text == "" or message
    assert "Traceback" not in text


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_process_works_without_a_stream(closed, model, tmp_path):
    program = f"{sys.executable} -m object2vec encode model train.jsonl --side in0 --out"
    done = subprocess.run(
        f"{program} {tmp_path}/vectors {closed}", shell=True, cwd=model, capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (tmp_path / "vectors").read_text().count("embeddings") == 4


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize(
    "command", ["info {}", "info {} --json", f"{TRAIN} {{}} --overwrite --log-format sagemaker"]
)
@pytest.mark.usefixtures("place")
def test_names_that_the_output_cannot_hold_are_escaped(encoding, command, monkeypatch, capsys):
    name = "モデル"
    if not os.path.exists(name):
        assert main([*TRAIN.split(), name]) == 0
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        assert main(command.format(name).split()) == 0
    stream.flush()
    assert stream.errors == "strict"
    shown = {"utf-8": name, "ascii": ascii(name)[1:-1], "latin-1": ascii(name)[1:-1]}[encoding]
    text = written.getvalue().decode(encoding)
    assert (ascii(name)[1:-1] if "--json" in command else shown) in text


@pytest.mark.parametrize("command", ["hyperparameters", "vocabulary model --side in0", "--version"])
@pytest.mark.usefixtures("place")
def test_a_reader_that_has_left_ends_a_command_quietly(command, capsys, monkeypatch):
    class Left(io.StringIO):
        def flush(self):
            raise BrokenPipeError

        def fileno(self):
            return os.open(os.devnull, os.O_WRONLY)

    with open("vocab0.json", "w") as file:
        file.write('{"a": 1}')
    os.replace("vocab0.json", "model/vocab0.json")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Left())
        assert main(command.split()) == 141
    os.remove("model/vocab0.json")
    assert capsys.readouterr().err == ""
