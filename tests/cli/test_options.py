"""Every option of every command arrives where it has its effect."""

from __future__ import annotations

import dataclasses
import inspect
import json
from pathlib import Path
from pkgutil import resolve_name

import pytest
import typer

from object2vec.cli import main
from object2vec.cli.deployment import app

# What a command calls: its arguments by name are what the options are for. The test replaces it.
CALLED = {
    "train": ("object2vec.model.Object2Vec.fit", "object2vec.cli.training.reporter"),
    "encode": ("object2vec.cli.inference.encode",),
    "predict": ("object2vec.cli.inference.predict",),
    "evaluate": ("object2vec.cli.inference.evaluate",),
    "check": ("object2vec.cli.inspection.check",),
    "hyperparameters": ("object2vec.cli.inspection.hyperparameters",),
    "info": ("object2vec.cli.inspection.info",),
    "cache": ("object2vec.cli.inspection.cache",),
    "demo": ("object2vec.examples.demo.run",),
    "serve": ("object2vec.serving.server.run",),
    "transform": ("object2vec.inference.transform.transform",),
}
BASE = {
    "train": "--train a.jsonl --out model --set enc0_max_seq_len=1 --set enc0_vocab_size=9",
    "encode": "model --side in0",
    "predict": "model",
    "evaluate": "model a.jsonl",
    "check": "a.jsonl",
    "hyperparameters": "",
    "info": "model",
    "cache": "",
    "demo": "",
    "serve": "saved",
    "transform": "model a.jsonl --out answers",
}
# For each option, what is given and the argument that it must become.
ARRIVES = {
    "train": {
        "--train": ("--train b.jsonl", {"train": ["a.jsonl", "b.jsonl"]}),
        "--out": ("--out other", {"save_to": "other", "checkpoints": Path("other.checkpoint")}),
        "--validation": ("--validation b.jsonl", {"validation": ["b.jsonl"]}),
        "--test": ("--test b.jsonl", {"test": ["b.jsonl"]}),
        "--auxiliary": ("--auxiliary files", {"auxiliary": "files"}),
        "--config": ("--config hp.json", {"seed": 77}),
        "--set": ("--set epochs=7 dropout=0.5", {"epochs": "7", "dropout": "0.5"}),
        "--resume": ("--resume", {"resume": True}),
        "--overwrite": ("--overwrite", {"overwrite": True}),
        "--checkpoints": ("--checkpoints run", {"checkpoints": Path("run")}),
        "--checkpoint-every": ("--checkpoint-every 7", {"checkpoint_every": "7"}),
        "--log-format": ("--log-format json", {"log_format": "json"}),
        "--host": ("--host algo-9", {"host": "algo-9"}),
    },
    "encode": {
        "--side": ("--side in1", {"side": 1}),
        "--format": ("--format npy", {"row_format": "npy"}),
        "--out": ("--out vectors", {"out": "vectors"}),
        "--device": ("--device cpu", {"device": "cpu"}),
    },
    "predict": {
        "--out": ("--out scores", {"out": "scores"}),
        "--device": ("--device cpu", {"device": "cpu"}),
    },
    "evaluate": {
        "--compat-metrics": ("--compat-metrics", {"compat": True}),
        "--device": ("--device cpu", {"device": "cpu"}),
    },
    "check": {
        "--config": ("--config hp.json", {"config": "hp.json"}),
        "--set": ("--set epochs=7", {"settings": ["epochs=7"]}),
        "--channel": ("--channel test", {"channel": "test"}),
    },
    "hyperparameters": {
        "--json": ("--json", {"as_json": True}),
        "--markdown": ("--markdown", {"as_markdown": True}),
    },
    "info": {"--json": ("--json", {"as_json": True})},
    "cache": {"--clear": ("--clear", {"clear": True})},
    "demo": {
        "--out": ("--out folder", {"out": Path("folder")}),
        "--overwrite": ("--overwrite", {"overwrite": True}),
        "--log-format": ("--log-format plain", {"log_format": "plain"}),
    },
    "serve": {
        "--host": ("--host ::1", {"host": "::1"}),
        "--port": ("--port 7", {"port": 7}),
        "--log-level": ("--log-level debug", {"log_level": "debug"}),
    },
    "transform": {
        "--out": ("--out others", {"out": "others"}),
        "--content-type": ("--content-type application/json", {"content_type": "application/json"}),
        "--accept": ("--accept application/json", {"accept": "application/json"}),
        "--split-type": ("--split-type Line", {"split_type": "Line"}),
        "--strategy": ("--strategy SingleRecord", {"strategy": "SingleRecord"}),
        "--max-payload": ("--max-payload 7", {"max_payload_mb": 7}),
        "--overwrite": ("--overwrite", {"overwrite": True}),
        "--device": ("--device cpu", {"device": "cpu"}),
    },
}


class Result(int):
    """What every replaced function returns: an exit code, a text, a report, a reporter."""

    failed = done = skipped = ()

    def __call__(self, event):
        """Take an event, as a reporter does."""


@pytest.fixture
def called(monkeypatch, tmp_path):
    """Return a function that runs a command and returns the arguments of what it called."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jsonl", "b.jsonl"):
        Path(name).write_text('{"in0": [1], "in1": [1], "label": 1}\n')
    Path("hp.json").write_text(json.dumps({"seed": 77}))
    Path("saved").mkdir()

    def run(command: str, options: str) -> dict:
        arguments = {}
        with monkeypatch.context() as patch:
            for path in CALLED[command]:
                parent, name = path.rsplit(".", 1)
                owner = resolve_name(parent)
                patch.setattr(owner, name, recorder(getattr(owner, name), arguments))
            assert main([command, *BASE[command].split(), *options.split()]) == 0
        return arguments

    return run


def recorder(function, arguments):
    signature = inspect.signature(function)

    def record(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        for name, value in bound.arguments.items():
            if dataclasses.is_dataclass(value):
                arguments.update(dataclasses.asdict(value))
            elif hasattr(value, "get_params"):
                arguments.update(value.get_params())
            else:
                arguments.setdefault(name, value)
        return Result()

    return record


def options_of(command: str) -> set[str]:
    parameters = typer.main.get_command(app).commands[command].params
    return {p.opts[0] for p in parameters if p.param_type_name == "option"}


def test_every_option_of_every_command_is_tried():
    commands = set(typer.main.get_command(app).commands) - {"sagemaker"}
    assert commands == CALLED.keys() == BASE.keys() == ARRIVES.keys()
    for command in commands:
        assert options_of(command) == ARRIVES[command].keys(), command


@pytest.mark.parametrize(
    ("command", "option"), [(c, o) for c, options in ARRIVES.items() for o in options]
)
def test_the_option_arrives(command, option, called):
    given, expected = ARRIVES[command][option]
    before, after = called(command, ""), called(command, given)
    assert {name: after[name] for name in expected} == expected
    for name in expected:
        assert before.get(name) != expected[name], "it would be so without the option, too"
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed - {"reporters", "provided", "self"} == expected.keys(), "something else changed"
