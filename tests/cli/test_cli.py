"""The command line: in process where that shows all, as a process for signals and pipes."""

import io
import json
import logging
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import hypothesis.extra.numpy as arrays
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from object2vec import Object2Vec
from object2vec.cli import main
from object2vec.cli.inference import _has_bare_list
from object2vec.cli.options import _repeat_options
from object2vec.cli.output import json_lines
from object2vec.cli.settings import read_hyperparameters
from object2vec.config.page import markdown
from object2vec.config.table import HYPERPARAMETERS
from object2vec.errors import ConfigError, Interrupted
from object2vec.files.whole import TEMPORARY_PREFIX
from object2vec.inference.pooled import PooledReader
from object2vec.training.checkpoint import CheckpointFolder
from object2vec.training.loop import Loop
from object2vec.training.step import Step
from support.console import assert_as_said, examples, give_stdin, run_example

DOCS = Path(__file__).parents[2] / "docs"
COMMANDS = (
    "train",
    "encode",
    "predict",
    "evaluate",
    "nearest",
    "vocabulary",
    "check",
    "hyperparameters",
    "kinds",
    "pairs",
    "presets",
    "info",
    "cache",
    "demo",
)
HYPER = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": "1",
    "enc0_vocab_size": "20",
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": "3",
    "enc1_vocab_size": "30",
    "enc_dim": "6",
    "mlp_dim": "4",
    "mini_batch_size": "8",
    "epochs": "3",
    "dropout": "0.2",
    "learning_rate": "0.02",
    "mlp_activation": "relu",
    "threads": "1",
}


def make_records(n, seed=0):
    draw = np.random.default_rng(seed)
    return [
        {
            "in0": [int(draw.integers(1, 20))],
            "in1": draw.integers(1, 30, draw.integers(1, 6)).tolist(),
            "label": int(draw.integers(2)),
        }
        for _ in range(n)
    ]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with train.jsonl, hp.json and a model trained from them by the command line."""
    folder = tmp_path_factory.mktemp("world")
    write_lines(folder / "train.jsonl", make_records(40))
    (folder / "hp.json").write_text(json.dumps(HYPER))
    here = Path.cwd()
    os.chdir(folder)
    try:
        assert main(TRAIN) == 0
    finally:
        os.chdir(here)
    return folder


TRAIN = [
    "train",
    "--train",
    "train.jsonl",
    "--validation",
    "train.jsonl",
    "--test",
    "train.jsonl",
    "--config",
    "hp.json",
    "--out",
    "model",
    "--log-format",
    "plain",
]


@pytest.fixture
def place(world, tmp_path, monkeypatch):
    """An empty folder to work in, with the files of the world."""
    for name in ("train.jsonl", "hp.json", "model"):
        (tmp_path / name).symlink_to(world / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fresh(place):
    """The same without a model."""
    (place / "model").unlink()
    return place


def out_of(capsys, *argv, code=0):
    """Run a command and return what it wrote to standard output, which has no log in it."""
    assert main([*map(str, argv)]) == code
    return capsys.readouterr().out


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def without_times(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        {k: v for k, v in row.items() if not k.endswith("_s") and k != "version"} for row in rows
    ]


# ---------------------------------------------------------------------------------------- the help


def test_help_and_check_are_light(world):
    code = f"""
import sys
from object2vec.cli import main
heavy = lambda *names: sorted(set(names) & set(sys.modules))
assert main(["--help"]) == 0
assert not heavy("object2vec.config", "object2vec.objectives", "object2vec.artifact")
assert [main(argv) for argv in (["train", "--help"], ["hyperparameters"])] == [0] * 2
light = heavy("torch", "numba", "pyarrow", "numpy", "fsspec", "msgspec")
assert main(["check", {str(world / "train.jsonl")!r}, "--config", {str(world / "hp.json")!r}]) == 0
print(light, heavy("torch"), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[] []"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_a_terminal(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = out_of(capsys, *command.split(), "--help")
    assert text.startswith(f"Usage: object2vec {command}".rstrip())
    assert max(map(len, text.splitlines())) <= 80
    assert "..." not in text.split("Commands:")[-1].replace("FILE...", "").replace("]...", "")


def test_every_command_is_listed(capsys):
    listed = re.findall(r"^  (\w+) ", out_of(capsys, "--help").split("Commands:")[1], re.MULTILINE)
    assert listed[: len(COMMANDS)] == list(COMMANDS)


def test_version(capsys):
    from importlib.metadata import version

    assert out_of(capsys, "--version") == f"object2vec {version('object2vec')}\n"


def test_the_module_is_the_program(world):
    argv = [sys.executable, "-m", "object2vec", "check", world / "train.jsonl"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "40 pairs")


# ------------------------------------------------------------------------------- options and errors


@pytest.mark.parametrize(
    ("given_args", "spread"),
    [
        ("--train a --out m", "--train a --out m"),
        ("--train a b c --out m", "--train a --train b --train c --out m"),
        ("--train a - --set x=1 y=2", "--train a --train - --set x=1 --set y=2"),
        ("--train a --resume b", "--train a --resume b"),
        ("--train=a b", "--train=a b"),
    ],
)
def test_options_take_what_the_shell_fills_in(given_args, spread):
    assert list(_repeat_options(given_args.split())) == spread.split()


def test_every_file_of_a_channel_is_read(fresh, capsys):
    for name, n in (("a", 3), ("b", 4), ("c", 5)):
        write_lines(fresh / f"{name}.jsonl", make_records(n))
    argv = "train --train a.jsonl b.jsonl --train c.jsonl --config hp.json --set epochs=1 --out m"
    assert main(argv.split()) == 0
    assert "train: 12 records, 12 + " in capsys.readouterr().err
    assert Object2Vec.load("m").facts.data["train"]["rows"] == 12


BASE = "train --train train.jsonl --out m "
WRONG = [
    ("bogus", 2, r"No such command 'bogus'\."),
    ("train --train a --out m --bogus", 2, r"No such option:? '?--bogus"),
    ("train --out m", 2, r"Missing option '--train'"),
    ("train --train a", 2, r"Missing option '--out'"),
    (BASE + "--config hp.json --log-format xml", 2, r"Invalid value for '--log-format'"),
    ("encode model --side in2", 2, r"Invalid value for '--side'.*'in2'"),
    ("encode --side in0", 2, r"Missing argument 'MODEL'"),
    ("evaluate model", 2, r"Missing argument 'FILE\.\.\.'"),
    (BASE + "--set enc_dim", 2, r"--set: must be NAME=VALUE; got 'enc_dim'\. Write for example"),
    (BASE + "--set =3", 2, r"--set: must be NAME=VALUE; got '=3'\."),
    (
        BASE + "--config no.json",
        2,
        r"no\.json: must be a readable file; got 'No such .*\. Check the",
    ),
    (BASE + "--config bad.json", 2, r"bad\.json: must be a readable JSON file; got 'Expecting"),
    (BASE + "--config list.json", 2, r"list\.json: must hold one JSON object; got \[1\]\."),
    (BASE, 2, r"2 problems:\n  enc0_max_seq_len: is required .*\n  enc0_vocab_size: is required"),
    (BASE + "--config hp.json --set enc_dims=8", 2, r"enc_dims: .* Did you mean enc_dim\?"),
    (BASE + "--config hp.json --set enc_dim=2", 2, r"enc_dim: must be an integer in \[4, 10000\]"),
    (
        BASE + "--config hp.json --checkpoint-every soon",
        2,
        r"checkpoint interval: must be a number of steps or a time; got 'soon'\.",
    ),
    ("train --train no.jsonl --config hp.json --out m", 2, r"no\.jsonl: must be a file or folder"),
    (
        BASE + "--config hp.json --set enc0_vocab_size=2",
        2,
        r"the first 20 problems:\n  train\.jsonl:1: Inconsistent vocab",
    ),
    (BASE + "--config hp.json --set device=cuda:99", 2, r"device: must be there; \d+ CUDA devices"),
    ("check bad.jsonl", 2, r'bad\.jsonl:1: must have the key "in1"; got \[\'in0\'\]\.'),
    ("check /dev/null", 2, r"/dev/null: must hold at least one record; got 'none'\."),
    ("check train.jsonl --set enc_dim=2", 2, r"3 problems:"),
    ("hyperparameters encdim", 2, r"NAME: must be a hyperparameter; got 'encdim'\. Did you mean"),
    ("hyperparameters qqq", 2, r"NAME: .*; got 'qqq'\. Leave it out to list all\."),
    ("info no-model", 1, r"no-model: must be a model folder; got 'nothing'\."),
    ("encode empty --side in0 train.jsonl", 1, r"empty/config\.json: must be a JSON object; got"),
    ("encode model --side in0 no.jsonl", 2, r"no\.jsonl: must be a file or folder"),
    ("encode model --side in0 train.jsonl --device gpu", 2, r"device: must be"),
    ("encode model --side in1 bad.jsonl", 2, r'bad\.jsonl:1: must have the key "in1"'),
    ("predict model bad.jsonl", 2, r'bad\.jsonl:1: must have the key "in1"'),
    ("evaluate model bad.jsonl", 2, r'bad\.jsonl:1: must have the key "in1"'),
    ("evaluate model no.jsonl", 2, r"no\.jsonl: must be a file or folder"),
]


@pytest.mark.parametrize(("command", "code", "message"), WRONG, ids=[w[0] for w in WRONG])
def test_what_is_wrong_is_said_once_and_leaves_nothing(command, code, message, place, capsys):
    (place / "bad.json").write_text("{")
    (place / "list.json").write_text("[1]")
    (place / "bad.jsonl").write_text('{"in0": [1]}\n')
    (place / "empty").mkdir()
    before = sorted(place.rglob("*"))
    assert main(command.split()) == code
    written = capsys.readouterr()
    assert re.search(f"^Error: {message}", written.err, re.MULTILINE), written.err
    assert (written.err.count("Error: "), written.out) == (1, "")
    assert "Traceback" not in written.err
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("argv", [["--debug", "info", "no"], ["info", "no", "--debug"]])
def test_debug_shows_the_traceback(argv, capsys):
    assert main(argv) == 1
    assert re.search(r"(?s)Traceback.*ArtifactError.*^Error: no: ", capsys.readouterr().err, re.M)


def test_debug_by_the_environment(capsys, monkeypatch):
    for value, is_shown in (("1", True), ("0", False), ("", False)):
        monkeypatch.setenv("OBJECT2VEC_DEBUG", value)
        assert main(["info", "no"]) == 1
        assert ("Traceback" in capsys.readouterr().err) is is_shown


@pytest.mark.parametrize(
    ("err", "code", "message"),
    [
        (KeyError("x"), 1, "Error: KeyError: 'x'. OBJECT2VEC_DEBUG=1 shows where this comes from."),
        (OSError(28, "No space left on device"), 1, "Error: [Errno 28] No space left on device"),
        (KeyboardInterrupt(), 130, "Interrupted."),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_an_error_of_any_kind_ends_with_a_code(err, code, message, capsys, monkeypatch):
    def fail():
        raise err

    monkeypatch.setattr("object2vec.reading.cache.cache_root", fail)
    assert main(["cache"]) == code
    assert capsys.readouterr().err.strip() == message


def test_log_lines_go_to_standard_error(capsys, monkeypatch):
    logger = logging.getLogger("object2vec")
    before = (list(logger.handlers), logger.level)

    def tell():
        logger.info("for all")
        logger.warning("take care")
        return Path("nowhere")

    monkeypatch.setattr("object2vec.reading.cache.cache_root", tell)
    assert main(["cache"]) == 0
    written = capsys.readouterr()
    assert written.err == "for all\nwarning: take care\n"
    assert written.out == "nowhere: 0 sets of records, 0.0 MiB\n"
    assert (list(logger.handlers), logger.level) == before


# ------------------------------------------------------------------------------------------- train


def test_train_saves_what_python_trains(world, place):
    model = Object2Vec(**HYPER).fit("train.jsonl", validation="train.jsonl", test="train.jsonl")
    model.save("python")
    assert weights(place / "python") == weights(world / "model")
    ours, theirs = Object2Vec.load("model").facts, Object2Vec.load("python").facts
    assert (ours.data, ours.metrics) == (theirs.data, theirs.metrics)
    assert without_times(place / "model/metrics.jsonl") == without_times(
        place / "python/metrics.jsonl"
    )
    assert not (world / "model.checkpoint").exists()


def test_train_reads_standard_input(world, fresh, monkeypatch):
    give_stdin(monkeypatch, (world / "train.jsonl").read_bytes())
    assert main(["train", "--train", "-", *TRAIN[3:]]) == 0
    assert weights(fresh / "model") == weights(world / "model")


@pytest.mark.parametrize("log_format", ["rich", "plain", "sagemaker", "json"])
def test_the_log_ends_with_the_saved_model(log_format, fresh, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    host = ["--host", "algo-7"] if log_format == "sagemaker" else []
    assert main([*TRAIN[:-1], log_format, *host]) == 0
    written = capsys.readouterr()
    log = written.out if log_format == "sagemaker" else written.err
    if log_format == "json":
        events = [json.loads(line)["event"] for line in log.splitlines()]
        assert events[-4:] == ["best", "test", "saved", "finished"]
    elif log_format == "sagemaker":
        assert "host=algo-7" in log
        assert "Serializing model to model" in log
        assert "model.serialize.time" in log.splitlines()[-1]
    else:
        shown = [line.split(":")[0] for line in log.splitlines()]
        assert shown[-4:] == ["best", "test", "model", "done"]
    assert (written.out == "") is (log_format != "sagemaker")


def test_json_logs_are_json_in_every_line(fresh, capsys):
    write_lines(fresh / "new.jsonl", make_records(9, seed=9))
    assert main([*TRAIN[:2], "new.jsonl", *TRAIN[3:-1], "json"]) == 0
    log = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    texts = [event["text"] for event in log if event["event"] == "log"]
    assert texts[0].startswith("Reading new.jsonl into ")
    assert {event["level"] for event in log if event["event"] == "log"} == {"info"}


def test_a_model_that_is_there_is_refused_before_training(place, capsys, monkeypatch):
    monkeypatch.setattr(Loop, "run", None)
    before = weights(place / "model")
    assert main(TRAIN) == 2
    assert capsys.readouterr().err == (
        "Error: --out: must not exist yet; got 'model'. Name another folder, or replace what is "
        "there with --overwrite.\n"
    )
    assert weights(place / "model") == before


def test_overwrite_replaces_the_model(fresh, capsys):
    (fresh / "model").mkdir()
    assert main([*TRAIN, "--overwrite"]) == 0
    assert Object2Vec.load("model").config.enc_dim == 6
    assert sorted(path.name for path in fresh.iterdir()) == ["hp.json", "model", "train.jsonl"]


def test_a_finished_run_has_nothing_to_resume(place, capsys, monkeypatch):
    monkeypatch.setattr(Loop, "run", None)
    assert main([*TRAIN, "--resume"]) == 0
    assert capsys.readouterr().err == "model is finished; there is nothing to do.\n"


def test_half_a_model_is_not_called_finished(world, fresh, capsys, monkeypatch):
    monkeypatch.setattr(Loop, "run", None)
    shutil.copytree(world / "model", fresh / "model", ignore=lambda *_: {"config.json"})
    assert main([*TRAIN, "--resume"]) == 2
    assert "--out: must not exist yet; got 'model'. Name another folder, or replace what" in (
        capsys.readouterr().err
    )


def test_overwriting_is_not_advised_where_it_would_not_help(fresh, capsys, monkeypatch):
    monkeypatch.setattr(Loop, "run", None)
    (fresh / "model").mkdir()
    (fresh / "model" / "notes.txt").write_text("mine")
    assert main(TRAIN) == 1
    text = capsys.readouterr().err
    assert "Choose another path, or move what is there away." in text
    assert "--overwrite" not in text


def test_resume_without_a_checkpoint_starts_afresh(world, fresh, capsys):
    assert main([*TRAIN, "--resume"]) == 0
    assert "There is no checkpoint in model.checkpoint: starting afresh." in capsys.readouterr().err
    assert weights(fresh / "model") == weights(world / "model")


@pytest.fixture
def stop_at(monkeypatch, python_takes_signals):
    """Send this process a signal in the middle of a step, as a terminal or a scheduler would."""
    call = Step.__call__

    def arm(number, at):
        def stopping(step, *given):
            encoded = call(step, *given)
            if step.count == at:
                os.kill(os.getpid(), number)
            return encoded

        monkeypatch.setattr(Step, "__call__", stopping)

    yield arm
    monkeypatch.setattr(Step, "__call__", call)


@pytest.mark.parametrize(
    ("number", "step", "code"),
    [(signal.SIGTERM, 1, 143), (signal.SIGINT, 7, 130), (signal.SIGTERM, 10, 143)],
)
def test_a_stopped_run_resumes_to_the_same_model(number, step, code, world, fresh, capsys, stop_at):
    stop_at(number, step)
    assert main(TRAIN) == code
    log = capsys.readouterr().err
    name = signal.Signals(number).name
    assert log.endswith(
        f"Error: Stopped by {name}. Go on from model.checkpoint/step-{step:09} with resume.\n"
        "The same command with --resume goes on from there.\n"
    )
    assert not (fresh / "model").exists()
    live = without_times(fresh / "model.checkpoint/metrics.jsonl")
    assert [event["event"] for event in live] == ["run"] + ["epoch"] * ((step - 1) // 5)

    assert main(TRAIN) == 2
    assert capsys.readouterr().err == (
        "Error: --checkpoints: must hold no checkpoint of an earlier run; got 'model.checkpoint'. "
        "Go on from it with --resume, or start afresh with --overwrite.\n"
    )
    stop_at(signal.SIGTERM, 0)
    assert main([*TRAIN, "--resume"]) == 0
    assert f"resumed: epoch {1 + (step - 1) // 5} after " in capsys.readouterr().err
    assert weights(fresh / "model") == weights(world / "model")
    assert without_times(fresh / "model/metrics.jsonl") == without_times(
        world / "model/metrics.jsonl"
    )
    assert sorted(path.name for path in fresh.iterdir()) == ["hp.json", "model", "train.jsonl"]


def test_overwrite_starts_afresh_where_a_run_was_stopped(world, fresh, capsys, stop_at):
    stop_at(signal.SIGTERM, 3)
    assert main([*TRAIN, "--set", "seed=5"]) == 143
    stop_at(signal.SIGTERM, 0)
    assert main([*TRAIN, "--resume"]) == 1
    assert "must belong to this run; got 'other seed'." in capsys.readouterr().err
    assert main([*TRAIN, "--overwrite"]) == 0
    assert weights(fresh / "model") == weights(world / "model")


def test_an_overwriting_run_that_was_stopped_is_finished_with_both_options(
    world, fresh, capsys, stop_at
):
    (fresh / "model").mkdir()
    stop_at(signal.SIGINT, 4)
    assert main([*TRAIN, "--overwrite"]) == 130
    stop_at(signal.SIGINT, 0)
    capsys.readouterr()
    assert main([*TRAIN, "--resume"]) == 2
    assert capsys.readouterr().err == (
        "Error: --out: must not exist yet; got 'model beside unfinished work in model.checkpoint'. "
        "Finish that work and replace the model with --resume --overwrite.\n"
    )
    assert main([*TRAIN, "--resume", "--overwrite"]) == 0
    assert "resumed: epoch 1 after 4 batches" in capsys.readouterr().err
    assert weights(fresh / "model") == weights(world / "model")


def test_checkpoints_go_where_they_are_asked_for_and_as_often(fresh, capsys):
    options = ["--checkpoints", "deep/down", "--checkpoint-every", "4"]
    assert main([*TRAIN, *options]) == 0
    assert re.findall(r"in (deep/down/step-\d+)", capsys.readouterr().err) == [
        "deep/down/step-000000004",
        "deep/down/step-000000008",
        "deep/down/step-000000012",
    ]
    assert list((fresh / "deep").iterdir()) == []


@pytest.mark.usefixtures("python_takes_signals")  # and so does a process that inherits them
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_a_signal_ends_leaves_no_temporary_file(place, number):
    with subprocess.Popen(
        [sys.executable, "-m", "object2vec", "encode", "model", "--side", "in0", "--out", "v"],
        stdin=subprocess.PIPE,
    ) as process:
        before, deadline = set(place.iterdir()), time.monotonic() + 60
        while set(place.iterdir()) <= before and time.monotonic() < deadline:
            time.sleep(0.01)
        (work,) = set(place.iterdir()) - before
        assert work.name.startswith(TEMPORARY_PREFIX)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    assert set(place.iterdir()) == before


def test_python_is_refused_what_the_command_line_is(world, fresh, stop_at):
    stop_at(signal.SIGTERM, 2)
    with pytest.raises(Interrupted, match=r"Go on from run/step-000000002 with resume\."):
        Object2Vec(**HYPER).fit("train.jsonl", checkpoints="run")
    stop_at(signal.SIGTERM, 0)
    with pytest.raises(OSError, match=r"run: must hold no checkpoint of an earlier run; got .*2'"):
        Object2Vec(**HYPER).fit("train.jsonl", checkpoints="run")
    with pytest.raises(OSError, match=r"hp\.json: must not exist yet; got 'a file'"):
        Object2Vec(**HYPER).fit("train.jsonl", save_to="hp.json")
    model = Object2Vec(**HYPER).fit(
        "train.jsonl", validation="train.jsonl", checkpoints="run", save_to="m", overwrite=True
    )
    assert weights(fresh / "m") == weights(world / "model")
    assert model.encode(in0=[[1]]).shape == (1, 6)
    assert not (fresh / "run").exists()


def test_resuming_needs_no_hard_links(world, fresh, stop_at, monkeypatch):
    def refuse(source, target):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    stop_at(signal.SIGTERM, 8)
    assert main(TRAIN) == 143
    stop_at(signal.SIGTERM, 0)
    assert main([*TRAIN, "--resume"]) == 0
    assert weights(fresh / "model") == weights(world / "model")


# A table too large for the limit that stands for a full disk; the records are the same.
WIDE = ["--set", "enc1_vocab_size=20000", "--checkpoint-every", "1"]


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits there")
def test_a_full_disk_leaves_the_checkpoint(fresh, capsys, stop_at):
    import resource

    assert main([*TRAIN, *WIDE, "--out", "whole"]) == 0
    stop_at(signal.SIGTERM, 3)
    assert main([*TRAIN, *WIDE]) == 143
    stop_at(signal.SIGTERM, 0)
    capsys.readouterr()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        code = main([*TRAIN, *WIDE, "--resume"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert code == 1
    assert re.search(
        r"Error: model\.checkpoint.*: must be writable, with space left; got .*File too large.*\. "
        r"Free space or choose another path; what stood there before is unchanged\.\n$",
        capsys.readouterr().err,
    )
    assert [path.name for path in (fresh / "model.checkpoint").glob("step-*")] == ["step-000000003"]
    assert main([*TRAIN, *WIDE, "--resume"]) == 0
    assert weights(fresh / "model") == weights(fresh / "whole")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_said(fresh, capsys):
    (fresh / "locked").mkdir(mode=0o500)
    assert main([*TRAIN, "--out", "locked/model"]) == 1
    assert "must be writable, with space left; got 'Permission denied'" in capsys.readouterr().err


def test_a_place_that_cannot_be_is_said(fresh, capsys):
    assert main([*TRAIN, "--out", "hp.json/model"]) == 1
    assert re.search(
        r"Error: hp\.json/model: must be writable, .*'Not a directory'",
        capsys.readouterr().err,
    )


def test_a_folder_belongs_to_one_process(fresh, capsys):
    with CheckpointFolder(fresh / "model.checkpoint").locked():
        assert main([*TRAIN, "--overwrite"]) == 1
    assert re.search(
        r"Error: model\.checkpoint: must belong to one process; got 'another one that trains here'",
        capsys.readouterr().err,
    )


@pytest.fixture
def started(world, tmp_path):
    """A process that trains, when it has done two epochs of many."""
    write_lines(tmp_path / "train.jsonl", make_records(1000))
    argv = [
        *TRAIN[:2],
        str(tmp_path / "train.jsonl"),
        "--config",
        str(world / "hp.json"),
        "--set",
        "epochs=40",
        "mini_batch_size=32",
        "--out",
        str(tmp_path / "model"),
        "--log-format",
        "plain",
    ]
    command = [sys.executable, "-m", "object2vec", *argv]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("epoch 2/40"):
                break
        yield process, argv
        process.kill()


def test_a_process_that_is_terminated_can_be_resumed(started, tmp_path, capsys):
    process, argv = started
    process.send_signal(signal.SIGSTOP)  # it still owns the folder
    assert main([*argv, "--resume"]) == 1
    assert "must belong to one process" in capsys.readouterr().err
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    log = process.stderr.read()
    assert (process.wait(), "Traceback" in log) == (143, False)
    assert log.endswith("The same command with --resume goes on from there.\n")
    assert main([*argv, "--resume"]) == 0
    assert main([*argv, "--out", str(tmp_path / "whole")]) == 0
    assert weights(tmp_path / "model") == weights(tmp_path / "whole")


@pytest.mark.usefixtures("python_takes_signals")
def test_ctrl_c_ends_a_process_with_130(started, tmp_path):
    process, _ = started
    process.send_signal(signal.SIGINT)
    assert "Stopped by SIGINT. Go on from " in process.stderr.read()
    assert process.wait() == 130
    assert len(list((tmp_path / "model.checkpoint").glob("step-*"))) == 1


# ------------------------------------------------------------------------------- encode and predict


def embeddings_of(text):
    return np.array([json.loads(line)["embeddings"] for line in text.splitlines()], np.float32)


@pytest.mark.parametrize("side", [0, 1])
def test_encode_writes_what_the_model_answers(side, place, capsys, tmp_path):
    column = [record[f"in{side}"] for record in make_records(40)]
    expected = Object2Vec.load("model").encode(**{f"in{side}": column})
    argv = ["encode", "model", "--side", f"in{side}", "train.jsonl"]
    assert np.array_equal(embeddings_of(out_of(capsys, *argv)), expected)
    assert out_of(capsys, *argv, "--out", "v.npy", "--format", "npy") == ""
    assert np.array_equal(np.load("v.npy"), expected)
    out_of(capsys, *argv, "--out", "v.arrow", "--format", "arrow")
    with pa.ipc.open_stream("v.arrow") as file:
        table = file.read_all()
    assert table.schema.field("embeddings").type == pa.list_(pa.float32(), 6)
    assert not table.schema.field("embeddings").nullable
    values = table["embeddings"].combine_chunks().flatten().to_numpy()
    assert np.array_equal(values.reshape(40, 6), expected)


@pytest.mark.parametrize("row_format", ["jsonl", "npy", "arrow"])
def test_a_file_holds_what_standard_output_gets(row_format, place, capfdbinary):
    argv = ["encode", "model", "--side", "in1", "train.jsonl", "--format", row_format]
    assert main(argv) == 0
    assert main([*argv, "--out", "file"]) == 0
    assert capfdbinary.readouterr().out == (place / "file").read_bytes() != b""


@pytest.mark.parametrize("data", [b"", b"\n\n \n"])
def test_no_input_gives_no_output(data, place, capfdbinary, monkeypatch):
    for row_format in ("jsonl", "npy", "arrow"):
        give_stdin(monkeypatch, data)
        assert main(["encode", "model", "--side", "in0", "--format", row_format]) == 0
        written = capfdbinary.readouterr().out
        if row_format == "jsonl":
            assert written == b""
        elif row_format == "npy":
            assert np.load(io.BytesIO(written)).shape == (0, 6)
        else:
            table = pa.ipc.open_stream(written).read_all()
            assert (table.num_rows, table.column_names) == (0, ["embeddings"])
    give_stdin(monkeypatch, data)
    assert main(["predict", "model"]) == 0
    assert capfdbinary.readouterr().out == b""


def test_encode_reads_bare_lists_and_records_in_any_order(place, capsys, monkeypatch):
    lines = b'[3]\n{"x": [[1]], "in0": [4], "in1": "not looked at"}\n\n  [ 5 ,6 ]\r\n[]\n["'
    give_stdin(monkeypatch, lines[:-2])
    found = embeddings_of(out_of(capsys, "encode", "model", "--side", "in0"))
    expected = Object2Vec.load("model").encode(in0=[[3], [4], [5, 6], []])
    assert np.array_equal(found, expected)
    assert not found[-1].any()
    give_stdin(monkeypatch, lines)
    assert main(["encode", "model", "--side", "in0", "-"]) == 2
    assert re.search(
        r"<stdin>:6: must be one JSON object \(.*\); got '\[\"'", capsys.readouterr().err
    )


@pytest.mark.parametrize("pack", ["plain", "gzip"])
def test_encode_reads_files_one_after_another(pack, place, capsys):
    import gzip

    for name, n in (("a", 2), ("b", 3)):
        data = b"".join(b"[%d]\n" % (i + n) for i in range(n))
        (place / name).write_bytes(gzip.compress(data) if pack == "gzip" else data)
    found = embeddings_of(out_of(capsys, "encode", "model", "--side", "in1", "a", "b"))
    expected = Object2Vec.load("model").encode(in1=[[2], [3], [3], [4], [5]])
    assert np.array_equal(found, expected)


def test_unknown_ids_are_named_by_file_and_line(place, capsys):
    (place / "bad.jsonl").write_text("[1]\n\n[2, 30, 31]\n[1, 2, 3, 99]\n[40]\n")
    assert main(["encode", "model", "--side", "in1", "bad.jsonl"]) == 2
    written = capsys.readouterr()
    rest = "is not less than vocab_size=30. Use the ids of training.\n"
    assert written.err == (
        "Error: 3 problems:\n"
        f'  bad.jsonl:3: Inconsistent vocab for in1 found. Vocab id "30" {rest}'
        f'  bad.jsonl:3: Inconsistent vocab for in1 found. Vocab id "31" {rest}'
        f'  bad.jsonl:5: Inconsistent vocab for in1 found. Vocab id "40" {rest}'
    )
    assert written.out == ""


def test_a_file_is_replaced_by_a_whole_one_or_not_at_all(place, capsys):
    (place / "bad.jsonl").write_text("[1]\n[77]\n")
    (place / "vectors").write_text("as before")
    before = sorted(place.iterdir())
    argv = ["encode", "model", "--side", "in1", "--out", "vectors"]
    assert main([*argv, "bad.jsonl"]) == 2
    assert (place / "vectors").read_text() == "as before"
    assert sorted(place.iterdir()) == before
    assert main([*argv, "train.jsonl"]) == 0
    assert embeddings_of((place / "vectors").read_text()).shape == (40, 6)
    assert sorted(place.iterdir()) == before


@pytest.mark.skipif(os.name == "nt", reason="no named pipes there")
@pytest.mark.parametrize(
    "argv",
    [
        *(
            ["encode", "model", "--side", "in1", "train.jsonl", "--format", row_format]
            for row_format in ("jsonl", "npy", "arrow")
        ),
        ["predict", "model", "train.jsonl"],
    ],
)
def test_a_pipe_named_by_out_stays_a_pipe(argv, place, capsys):
    assert main([*argv, "--out", "file"]) == 0
    os.mkfifo(place / "pipe")
    read = []
    reader = threading.Thread(target=lambda: read.append((place / "pipe").read_bytes()))
    reader.start()
    assert main([*argv, "--out", "pipe"]) == 0
    reader.join()
    assert read == [(place / "file").read_bytes()]
    assert stat.S_ISFIFO((place / "pipe").stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="no /dev/stdout there")
@pytest.mark.parametrize(
    ("command", "out", "to"),
    [
        ("encode --side in1 --format npy", "/dev/stdout", "| cat >> got"),
        ("encode --side in1 --format npy", "/dev/fd/1", ">> got"),
        ("encode --side in1", "-", ">> got"),
        ("predict", "/dev/stdout", ">> got"),
    ],
)
def test_standard_output_by_any_of_its_names(command, to, out, place):
    (place / "got").write_bytes(b"first\n")
    name, *options = command.split()
    assert main([name, "model", "train.jsonl", *options, "--out", "file"]) == 0
    line = f"{shlex.quote(sys.executable)} -m object2vec {command} model train.jsonl --out {out} "
    done = subprocess.run(["bash", "-c", line + to], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (
        b"",
        b"warning: in1: sequences read in part: 20 truncated.\n",
    )
    assert (place / "got").read_bytes() == b"first\n" + (place / "file").read_bytes()
    assert not (place / "-").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="as /dev/null is on Linux")
@pytest.mark.parametrize("row_format", ["jsonl", "npy", "arrow"])
def test_a_device_takes_any_format(row_format, place):
    argv = ["encode", "model", "--side", "in1", "train.jsonl", "--format", row_format]
    assert main([*argv, "--out", "/dev/null"]) == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize(
    ("out", "got"), [("folder", "Is a directory"), ("hp.json/x", "Not a directory|File exists")]
)
def test_an_output_that_cannot_be_written_is_said(out, got, place, capsys):
    (place / "folder").mkdir()
    assert main(["encode", "model", "--side", "in1", "train.jsonl", "--out", out]) == 1
    assert re.search(
        rf"Error: \S+/{out}: must be writable, with space left; got '({got})'",
        capsys.readouterr().err,
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/full is Linux")
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            "encode model --side in1 train.jsonl",
            "Error: standard output: must be writable, with space left; got 'No space left on",
        ),
        ("predict model train.jsonl", "Error: standard output: must be writable, with space"),
        (
            "evaluate model train.jsonl",
            "Error: standard output: must be writable; got 'No space left on device'. Send it to",
        ),
    ],
)
def test_a_full_standard_output_is_said(command, message, place, capsys, monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code = main(command.split())
        monkeypatch.undo()
    assert code == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row_format", ["jsonl", "npy", "arrow"])
def test_a_model_that_has_diverged_writes_nothing(row_format, bad, world, tmp_path, capsys):
    model = Object2Vec.load(world / "model")
    model.artifact.network.table(0).weight[3, 2] = bad
    model.save(tmp_path / "diverged")
    (tmp_path / "in0.jsonl").write_text("[1]\n[3, 1]\n[2]\n")
    argv = ["encode", tmp_path / "diverged", "--side", "in0", tmp_path / "in0.jsonl"]
    argv += ["--format", row_format, "--out", tmp_path / "out"]
    assert main([*map(str, argv)]) == 1
    assert capsys.readouterr().err == (
        "Error: embeddings: must be finite numbers; got 'nan or inf'. The model has diverged: "
        "train it again with a lower learning_rate or another optimizer.\n"
    )
    assert not (tmp_path / "out").exists()


@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(0, 5), st.integers(1, 4)),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    )
)
def test_json_lines_read_back_to_the_same_bits(rows):
    lines = json_lines(rows, "embeddings").decode().splitlines()
    read = [np.array(json.loads(line)["embeddings"], np.float32) for line in lines]
    assert len(read) == len(rows)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(read, rows, strict=True))


def test_json_lines_are_the_shortest():
    rows = np.array([[0.1, 1 / 3], [-0.0, 1e-30]], np.float32)
    assert json_lines(rows, "scores") == (
        b'{"scores": [0.1, 0.33333334]}\n{"scores": [-0.0, 1e-30]}\n'
    )


def test_predict_writes_what_the_model_answers(place, capsys, monkeypatch):
    records = make_records(40)
    expected = Object2Vec.load("model").predict(
        in0=[record["in0"] for record in records], in1=[record["in1"] for record in records]
    )
    lines = [
        json.loads(row)
        for row in out_of(capsys, "predict", "model", "train.jsonl").split("\n")[:-1]
    ]
    assert np.array_equal(np.array([row["scores"] for row in lines], np.float32), expected)
    assert expected.shape == (40, 2)
    give_stdin(monkeypatch, (place / "train.jsonl").read_bytes())
    assert out_of(capsys, "predict", "model", "--out", "scores") == ""
    assert [json.loads(row) for row in (place / "scores").read_text().splitlines()] == lines


def test_answers_come_in_pieces(place, capsys, monkeypatch):
    """More rows than one piece: each is asked for when the one before is written."""
    sizes = []
    encode = PooledReader.encode
    monkeypatch.setattr("object2vec.inference.inputs._NUMBERS", 6 * 16)

    def counting(self, side, sequences):
        rows = encode(self, side, sequences)
        sizes.append(len(rows))
        return rows

    monkeypatch.setattr(PooledReader, "encode", counting)
    found = embeddings_of(out_of(capsys, "encode", "model", "--side", "in1", "train.jsonl"))
    assert sizes == [16, 16, 8]
    column = [record["in1"] for record in make_records(40)]
    assert np.array_equal(found, Object2Vec.load("model").encode(in1=column))


MEMORY = """
import resource, sys
from object2vec.cli import main
from object2vec.cli.inference import _has_bare_list
model, small, large, out = sys.argv[1:]
peaks = []
for path in (small, large):
    for row_format in ("npy", "arrow"):
        argv = ["encode", model, "--side", "in1", path, "--out", out, "--format", row_format]
        assert main(argv) == 0
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(*peaks)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell")
def test_memory_is_flat_for_any_input(fresh, tmp_path):
    """Ten times the rows take less memory than their vectors alone: the blocks read ahead."""
    settings = ["--set", "epochs=1", "enc_dim=128"]
    assert main([*TRAIN, *settings]) == 0
    line = b'{"in0": [1], "in1": [1, 2, 3, 4, 5], "label": 1}\n'
    (tmp_path / "small").write_bytes(line * 20_000)
    (tmp_path / "large").write_bytes(line * 200_000)
    paths = [str(tmp_path / name) for name in ("model", "small", "large", "out")]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *paths], capture_output=True, text=True, check=True
    )
    small, large = map(int, done.stdout.split())
    grown = (large - small) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 0.75 * 200_000 * 128 * 4


@pytest.mark.skipif(os.name == "nt", reason="no shell pipelines there")
def test_a_closed_pipe_ends_quietly(place):
    (place / "many.jsonl").write_text("[1, 2]\n" * 20_000)
    program = f"{shlex.quote(sys.executable)} -m object2vec"
    pipeline = (
        f"cat many.jsonl | {program} encode model --side in1 | head -n 1; echo ${{PIPESTATUS[@]}}"
    )
    done = subprocess.run(["bash", "-c", pipeline], capture_output=True, text=True, check=True)
    first, codes = done.stdout.splitlines()
    assert embeddings_of(first).shape == (1, 6)
    assert codes.split()[1:] == ["141", "0"]
    assert done.stderr == ""


# ------------------------------------------------------------------------------- the other commands


def test_evaluate_prints_the_metrics(place, capsys):
    expected = Object2Vec.load("model").evaluate("train.jsonl")
    found = json.loads(out_of(capsys, "evaluate", "model", "train.jsonl"))
    assert found == expected
    assert list(found) == ["perplexity", "cross_entropy", "accuracy"]


def test_evaluate_averages_as_aws_does(place, capsys):
    write_lines(place / "few.jsonl", make_records(12))
    plain = json.loads(out_of(capsys, "evaluate", "model", "few.jsonl"))
    compat = json.loads(out_of(capsys, "evaluate", "model", "few.jsonl", "--compat-metrics"))
    assert compat == Object2Vec.load("model").evaluate("few.jsonl", compat_metrics=True)
    assert compat["cross_entropy"] != plain["cross_entropy"]


def test_evaluate_writes_no_number_that_json_lacks(place, capsys, monkeypatch):
    monkeypatch.setattr(Object2Vec, "evaluate", lambda *_, **__: {"cross_entropy": float("nan")})
    assert out_of(capsys, "evaluate", "model", "train.jsonl") == '{"cross_entropy": null}\n'


def test_check_says_what_a_model_needs(place, capsys):
    records = make_records(40)
    lines = out_of(capsys, "check", "train.jsonl").splitlines()
    longest = max(len(record["in1"]) for record in records)
    largest = [max(max(record[key]) for record in records) for key in ("in0", "in1")]
    assert lines[0] == "40 pairs"
    assert lines[-4:] == [
        "  --set enc0_max_seq_len=1",
        f"  --set enc0_vocab_size={largest[0] + 1}",
        f"  --set enc1_max_seq_len={longest}",
        f"  --set enc1_vocab_size={largest[1] + 1}",
    ]
    settings = " ".join(lines[-4:]).split()
    argv = ["check", "train.jsonl", "--set", "enc1_network=hcnn", *settings]
    assert "truncated" not in out_of(capsys, *argv)
    settings[-1] = f"enc1_vocab_size={largest[1]}"
    assert main([*argv[:4], *settings]) == 2
    assert "Inconsistent vocab" in capsys.readouterr().err


def test_check_says_what_is_unusual(place, capsys):
    (place / "odd.jsonl").write_text(
        '{"in0": [0], "in1": [], "label": 0}\n{"in0": [1], "in1": [0, 2], "label": 7}\n'
    )
    assert out_of(capsys, "check", "odd.jsonl").splitlines() == [
        "2 pairs",
        "in0: 2 tokens, 1 to 1 in a sequence, ids up to 1, 1 times the id 0, which stands for "
        "padding",
        "in1: 2 tokens, 0 to 2 in a sequence, ids up to 2, 1 sequences without tokens, "
        "1 times the id 0, which stands for padding",
        "label: whole numbers from 0 to 7, mean 3.5",
        "A model for them needs at least:",
        "  --set enc0_max_seq_len=1",
        "  --set enc0_vocab_size=2",
        "  --set enc1_max_seq_len=2",
        "  --set enc1_vocab_size=3",
        "  --set num_classes=8",
    ]


def test_check_reads_pairs_without_labels_as_negative_sampling_does(place, capsys):
    (place / "bare.jsonl").write_text('{"in0": [1], "in1": [2]}\n' * 2)
    assert "label: none; such pairs" in out_of(capsys, "check", "bare.jsonl")
    assert main(["check", "bare.jsonl", "--config", "hp.json"]) == 2
    assert 'must have the key "label"' in capsys.readouterr().err
    sampled = ["check", "bare.jsonl", "--config", "hp.json", "--set", "negative_sampling_rate=2"]
    assert "train: labels 0: 0, 1: 2" in out_of(capsys, *sampled)
    assert main([*sampled, "--channel", "validation"]) == 2


def test_check_shows_the_notes_of_the_config(place, capsys):
    argv = ["check", "train.jsonl", "--config", "hp.json", "--set", "enc1_max_seq_len=2"]
    lines = out_of(capsys, *argv, "--set", "enc1_network=hcnn").splitlines()
    assert lines[0].startswith("info: Inconsistent enc_dim and token_embedding_dim found")
    assert any("sequences have been truncated" in line for line in lines)


def test_hyperparameters_prints_the_table(capsys):
    text = out_of(capsys, "hyperparameters")
    assert [line for line in text.splitlines() if line in HYPERPARAMETERS] == list(HYPERPARAMETERS)
    assert max(map(len, text.splitlines())) <= 80
    table = json.loads(out_of(capsys, "hyperparameters", "--json"))
    assert [row["name"] for row in table] == list(HYPERPARAMETERS)
    assert json.loads(out_of(capsys, "hyperparameters", "dropout", "--json")) in table
    assert out_of(capsys, "hyperparameters", "--markdown") == markdown()


def test_info_knows_the_model(place, capsys):
    facts = json.loads(out_of(capsys, "info", "model", "--json"))
    model = Object2Vec.load("model")
    assert facts["hyperparameters"] == model.config.to_dict()
    assert facts["metrics"] == model.facts.metrics
    assert facts["data"]["train"]["rows"] == 40
    assert facts["model"]["token_parameters"] == (20 + 30) * 6
    assert facts["model"]["parameters"] == (4 * 24 + 4) + (4 * 4 + 4) + (2 * 4 + 2)
    files = [path for path in Path("model").iterdir() if path.is_file()]
    assert facts["model"]["size_bytes"] == sum(path.stat().st_size for path in files)
    text = out_of(capsys, "info", "model")
    assert "\nenc1\n  network: pooled_embedding\n  layers: 1\n  vocab_size: 30\n" in text
    assert f"  validation: perplexity {facts['metrics']['validation']['perplexity']:.6g}, " in text


def test_cache_is_shown_and_cleared(place, capsys, monkeypatch, tmp_path):
    root = tmp_path / "cached"
    monkeypatch.setenv("OBJECT2VEC_CACHE", str(root))
    assert out_of(capsys, "cache") == f"{root}: 0 sets of records, 0.0 MiB\n"
    out_of(capsys, "check", "train.jsonl", "--config", "hp.json")
    (root / "ours.txt").write_text("stays")
    (root / ".incomplete-123").write_bytes(b"x" * 2**21)
    assert re.search(r": 2 sets of records, 2\.0 MiB$", out_of(capsys, "cache").strip())
    assert out_of(capsys, "cache", "--clear").endswith("2.0 MiB, removed\n")
    assert [path.name for path in root.iterdir()] == ["ours.txt"]
    out_of(capsys, "check", "train.jsonl", "--config", "hp.json")


@pytest.mark.parametrize(
    ("argv", "given_args"),
    [
        ([], (None, {"overwrite": False, "log_format": None})),
        (
            ["--out", "m", "--overwrite", "--log-format", "json"],
            (Path("m"), {"overwrite": True, "log_format": "json"}),
        ),
    ],
)
def test_demo_runs_the_demo(argv, given_args, monkeypatch):
    called = []
    module = types.SimpleNamespace(run=lambda out, **options: called.append((out, options)))
    monkeypatch.setitem(sys.modules, "object2vec.examples.demo", module)
    assert main(["demo", *argv]) == 0
    assert called == [given_args]


# --------------------------------------------------------------------------------------------- docs

_FILE = re.compile(r"`([\w.]+)`:\n\n```(?:json|csv)\n(.*?)```", re.DOTALL)


def test_the_examples_of_the_page_print_what_it_says(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("OBJECT2VEC_CACHE", str(tmp_path / "cache"))
    page = (DOCS / "cli.md").read_text(encoding="utf-8")
    for name, content in _FILE.findall(page):
        Path(name).write_text(content)
    ran = []
    for command, output in examples(page):
        assert_as_said(run_example(command, capsys, monkeypatch), output, command)
        ran.append(command.split("object2vec ")[1].split()[0])
    assert {*COMMANDS} <= {*ran}


@pytest.mark.parametrize(
    ("text", "may"),
    [
        (b"", False),
        (b'{"in0":[1]}\n{"in0": [2]}\n', False),
        (b"[1]\n", True),
        (b" [1]", True),
        (b'{"in0":[1]}\n[2]\n', True),
        (b'{"in0":[1]}\n\n\t[2]', True),
        (b"{}\n{}", False),
    ],
)
def test_records_are_not_searched_for_bare_lists(text, may):
    assert _has_bare_list(text) == may


def test_a_file_of_hyperparameters_names_each_once(tmp_path):
    (tmp_path / "hp.json").write_text('{"enc_dim": 8, "epochs": 3, "enc_dim": 16}')
    with pytest.raises(ConfigError, match=r"hp\.json: must be a readable JSON file; .* 'enc_dim'"):
        read_hyperparameters(str(tmp_path / "hp.json"), None)
    (tmp_path / "hp.json").write_text('\ufeff{"enc_dim": 8, "epochs": 3}')
    given = read_hyperparameters(str(tmp_path / "hp.json"), ["epochs=4", " seed = 1", "epochs=5"])
    assert given == {"enc_dim": 8, "epochs": "5", "seed": " 1"}
