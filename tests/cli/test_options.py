"""Every option of every command arrives where it has its effect."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name

import pytest
import typer

from object2vec.cli import main
from object2vec.cli.deployment import app
from object2vec.cli.evaluation import ASKED
from object2vec.tasks import Question

# What a command calls: its arguments by name are what the options are for. The test replaces it.
CALLED = {
    "train": (
        "object2vec.model.Object2Vec.fit",
        "object2vec.cli.training.reporter",
    ),
    "encode": ("object2vec.cli.inference.encode",),
    "predict": ("object2vec.cli.inference.predict",),
    "evaluate": ("object2vec.cli.evaluation.evaluate",),
    "nearest": ("object2vec.cli.inference.nearest",),
    "vocabulary": ("object2vec.cli.inspection.vocabulary",),
    "check": ("object2vec.cli.inspection.check",),
    "hyperparameters": ("object2vec.cli.reference.hyperparameters",),
    "info": ("object2vec.cli.inspection.info",),
    "kinds": ("object2vec.cli.reference.kinds",),
    "pairs": ("object2vec.cli.reference.pairs",),
    "presets": ("object2vec.cli.reference.presets",),
    "cache": ("object2vec.cli.inspection.cache",),
    "demo": ("object2vec.examples.demo.run",),
    "serve": ("object2vec.serving.server.run",),
    "transform": ("object2vec.inference.transform.transform",),
    "tune": ("object2vec.cli.tuning.run",),
}
BASE = {
    "train": "--train a.jsonl --out model --set enc0_max_seq_len=1 --set enc0_vocab_size=9",
    "encode": "model --side in0",
    "predict": "model",
    "evaluate": "model a.jsonl",
    "nearest": "model film",
    "vocabulary": "model --side in0",
    "check": "a.jsonl",
    "hyperparameters": "",
    "info": "model",
    "kinds": "",
    "pairs": "",
    "presets": "",
    "cache": "",
    "demo": "",
    "serve": "saved",
    "transform": "model a.jsonl --out answers",
    "tune": "--train a.jsonl --out study --objective validation:accuracy",
}
SIDES = "--in0 user --in1 film"
NAMED = {"in0": ["user"], "in1": ["film"]}
READING = {
    "--input-format": ("--input-format csv", {"format": "csv"}),
    "--columns": ("--columns user,film", {"columns": "user,film"}),
    "--separator": ("--separator ;", {"separator": ";"}),
    "--quote": ("--quote |", {"quote": "|"}),
    "--encoding": ("--encoding latin-1", {"encoding": "latin-1"}),
}
LINES = {"--lines": ("--lines", {"is_lines": True})}
# For each option, what is given and the argument that it must become.
ARRIVES = {
    "train": {
        "--train": ("--train b.jsonl", {"train": ["a.jsonl", "b.jsonl"]}),
        "--out": ("--out other", {"save_to": "other", "checkpoints": Path("other.checkpoint")}),
        "--validation": ("--validation b.jsonl", {"validation": ["b.jsonl"]}),
        "--test": ("--test b.jsonl", {"test": ["b.jsonl"]}),
        "--in0": (SIDES, NAMED),
        "--in1": (SIDES + " --in1 genres", {**NAMED, "in1": ["film", "genres"]}),
        "--label": (SIDES + " --label rating", {**NAMED, "label": "rating"}),
        "--weight": (SIDES + " --weight clicks", {**NAMED, "weight": "clicks"}),
        "--group": (SIDES + " --group session", {**NAMED, "group": "session"}),
        "--time": (
            SIDES + " --time day --split 0.2",
            {**NAMED, "time": "day", "split": 0.2},
        ),
        "--share": (SIDES + " --share user,film", {**NAMED, "share": (("user", "film"),)}),
        "--pairs": (
            SIDES + " --pairs sentence_rest",
            {**NAMED, "pairs": "sentence_rest"},
        ),
        "--split": (SIDES + " --split 0.2", {**NAMED, "split": 0.2}),
        "--preset": (SIDES + " --preset topn", {**NAMED, "preset": "topn"}),
        "--vectors": (SIDES + " --vectors glove.txt", {**NAMED, "vectors": "glove.txt"}),
        "--start-from": ("--start-from other", {"start_from": "other"}),
        "--start-state": (
            "--start-from other --start-state state",
            {"start_from": "other", "start_state": "state"},
        ),
        "--save-state": ("--save-state state", {"save_state": "state"}),
        "--format": (SIDES + " --format csv", {**NAMED, "format": "csv"}),
        "--columns": (SIDES + " --columns user,film", {**NAMED, "columns": ("user", "film")}),
        "--separator": (SIDES + " --separator ;", {**NAMED, "separator": ";"}),
        "--quote": (SIDES + " --quote |", {**NAMED, "quote": "|"}),
        "--encoding": (SIDES + " --encoding latin-1", {**NAMED, "encoding": "latin-1"}),
        "--auxiliary": ("--auxiliary files", {"auxiliary": "files"}),
        "--config": ("--config hp.json", {"seed": 77}),
        "--set": ("--set epochs=7 dropout=0.5", {"epochs": "7", "dropout": "0.5"}),
        "--resume": ("--resume", {"resume": True}),
        "--overwrite": ("--overwrite", {"overwrite": True}),
        "--checkpoints": ("--checkpoints run", {"checkpoints": Path("run")}),
        "--checkpoint-every": ("--checkpoint-every 7", {"checkpoint_every": "7"}),
        "--log-format": ("--log-format json", {"log_format": "json"}),
        "--host": (
            "--log-format sagemaker --host algo-9",
            {"log_format": "sagemaker", "host": "algo-9"},
        ),
    },
    "encode": {
        "--side": ("--side in1", {"side": 1}),
        "--format": ("--format npy", {"row_format": "npy"}),
        **READING,
        **LINES,
        "--out": ("--out vectors", {"out": "vectors"}),
        "--device": ("--device cpu", {"device": "cpu"}),
    },
    "predict": {
        **READING,
        "--out": ("--out scores", {"out": "scores"}),
        "--device": ("--device cpu", {"device": "cpu"}),
    },
    "evaluate": {
        **READING,
        "--task": ("--task retrieval", {"task": "retrieval"}),
        "--label": ("--label rating", {"label": "rating"}),
        "--validation": ("--validation b.jsonl", {"validation": "b.jsonl"}),
        "--known": ("--known a.jsonl --known b.jsonl", {"known": ["a.jsonl", "b.jsonl"]}),
        "--candidates": ("--candidates b.jsonl", {"candidates": "b.jsonl"}),
        "--by": ("--by cosine", {"by": "cosine"}),
        "--ties": ("--ties pessimistic", {"ties": "pessimistic"}),
        "--at": ("--at 3,7", {"at": "3,7"}),
        "--relevant": ("--relevant 4", {"relevant": 4.0}),
        "--clip": ("--clip 1:5", {"clip": "1:5"}),
        "--resamples": ("--resamples 7", {"resamples": 7}),
        "--seed": ("--seed 7", {"seed": 7}),
        "--json": ("--json", {"as_json": True}),
        "--compat-metrics": ("--compat-metrics", {"compat": True}),
        "--device": ("--device cpu", {"device": "cpu"}),
    },
    "nearest": {
        **{
            name: (f"--candidates b.jsonl {words}", {"candidates": "b.jsonl", **arrived})
            for name, (words, arrived) in (READING | LINES).items()
        },
        "--side": ("--side in1", {"sides": (1, 1)}),
        "--of": ("--of in1", {"sides": (0, 1)}),
        "-k": ("-k 7", {"k": 7}),
        "--candidates": ("--candidates b.jsonl", {"candidates": "b.jsonl"}),
        "--whole": ("--whole", {"is_whole": True}),
        "--json": ("--json", {"as_json": True}),
        "--device": ("--device cpu", {"device": "cpu"}),
    },
    "vocabulary": {
        "--side": ("--side in1", {"side": 1}),
        "--json": ("--json", {"as_json": True}),
    },
    "check": {
        "--in0": ("--in0 user", {"in0": ["user"]}),
        "--in1": ("--in1 film", {"in1": ["film"]}),
        **{
            name: (f"{SIDES} {words}", {**NAMED, **arrived})
            for name, (words, arrived) in {
                "--label": ("--label rating", {"label": "rating"}),
                "--weight": ("--weight clicks", {"weight": "clicks"}),
                "--group": ("--group session", {"group": "session"}),
                "--share": ("--share user,film", {"share": ["user,film"]}),
                "--preset": ("--preset topn", {"preset": "topn"}),
                **{name: how for name, how in READING.items() if name != "--input-format"},
                "--format": ("--format csv", {"format": "csv"}),
            }.items()
        },
        "--pairs": ("--pairs sentence_rest", {"pairs": "sentence_rest"}),
        "--config": ("--config hp.json", {"config": "hp.json"}),
        "--set": ("--set epochs=7", {"settings": ["epochs=7"]}),
        "--channel": (
            "--set epochs=7 --channel test",
            {"settings": ["epochs=7"], "channel": "test"},
        ),
    },
    "hyperparameters": {
        "--json": ("--json", {"as_json": True}),
        "--markdown": ("--markdown", {"as_markdown": True}),
    },
    "kinds": {
        "--json": ("--json", {"as_json": True}),
        "--markdown": ("--markdown", {"as_markdown": True}),
    },
    "pairs": {
        "--json": ("--json", {"as_json": True}),
        "--markdown": ("--markdown", {"as_markdown": True}),
    },
    "presets": {"--json": ("--json", {"as_json": True})},
    "info": {"--json": ("--json", {"as_json": True})},
    "cache": {"--clear": ("--clear", {"clear": True})},
    "demo": {
        "--out": ("--out folder", {"out": Path("folder")}),
        "--overwrite": (
            "--out folder --overwrite",
            {"out": Path("folder"), "overwrite": True},
        ),
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
    "tune": {
        "--out": ("--out other", {"out": Path("other")}),
        "--objective": ("--objective test:accuracy", {"objective": "test:accuracy"}),
        "--space": ("--space s.json", {"space": "s.json"}),
        "--trials": ("--trials 7", {"trials": 7}),
        "--strategy": ("--strategy grid", {"strategy": "grid"}),
        "--parallel": ("--parallel 3", {"parallel": 3}),
        "--early-stopping": ("--early-stopping", {"early_stopping": True}),
        "--parent": (
            "--parent a --parent b",
            {"parents": ("a", "b"), "warm_start": "IDENTICAL_DATA_AND_ALGORITHM"},
        ),
        "--warm-start": (
            "--parent a --warm-start TRANSFER_LEARNING",
            {"parents": ("a",), "warm_start": "TRANSFER_LEARNING"},
        ),
        "--search-seed": ("--search-seed 5", {"seed": 5}),
        "--resume": ("--resume", {"resume": True}),
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
            elif isinstance(value, Mapping):
                arguments.update(value)
            elif hasattr(value, "get_params"):
                arguments.update(value.get_params())
            else:
                arguments.setdefault(name, value)
        return Result()

    return record


def test_what_is_asked_of_a_task_are_the_fields_of_a_question():
    assert sorted(ASKED) == sorted(each.name for each in dataclasses.fields(Question))


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


def helped(command: str, capsys) -> tuple[str, dict[str, dict[str, str]]]:
    """The usage line of a command's help, and what it says of each option, by section."""
    assert main([command, "--help"]) == 0
    usage, *lines = capsys.readouterr().out.splitlines()
    sections, entries = {}, []
    for line in lines:
        if line and line[0] != " ":
            entries = sections[line.rstrip(":")] = []
        elif sections and line.startswith("  -"):
            entries.append(line.strip())
        elif sections and line:
            entries[-1] += f" {line.strip()}"
    return usage, {
        title: {entry.split()[0].strip(","): entry for entry in entries}
        for title, entries in sections.items()
    }


@pytest.mark.parametrize("command", CALLED)
def test_the_help_says_what_is_given_what_must_be_and_what_else_holds(command, capsys):
    usage, sections = helped(command, capsys)
    parameters = typer.main.get_command(app).commands[command].params
    arguments = [p.metavar for p in parameters if p.param_type_name == "argument"]
    assert usage == " ".join(["Usage: object2vec", command, *arguments, "[OPTIONS]"])
    said = {name: entry for entries in sections.values() for name, entry in entries.items()}
    assert said.keys() == options_of(command) | {"-h"}
    for each in (p for p in parameters if p.param_type_name == "option"):
        entry = said[each.opts[0]]
        assert each.help.split()[0] in entry
        assert entry.endswith("[required]") == each.required
        own, shown = (re.findall(r"\[default: (.*)\]", text) for text in (each.help, entry))
        is_said = own or each.required or each.is_flag or each.default in (None, "", [], ())
        assert shown == (own if is_said else [str(each.default)])


def test_options_are_listed_by_what_they_are_for(capsys):
    lists = {command: helped(command, capsys)[1] for command in CALLED}
    assert all([*sections][-1] == "Options" for sections in lists.values())
    assert lists["train"].pop("Options").keys() == {"-h"}
    of_train = {name: title for title, entries in lists["train"].items() for name in entries}
    others = lists["evaluate"].pop("Options").keys()
    assert others == {"--json", "--compat-metrics", "--device", "-h"}
    of_all = {"--columns", "--separator", "--quote", "--encoding"}
    for command, sections in lists.items():
        for title, entries in sections.items():
            if title == "How to read a table":
                assert entries.keys() - {"--format", "--input-format", "--lines"} == of_all
            elif title in of_train.values():
                assert {of_train[name] for name in entries} == {title}, command
        assert not {"--lines", "--input-format", *of_all} & sections.get("Options", {}).keys()
