"""An option that would have no effect is an error, whatever the command."""

from __future__ import annotations

import contextlib

import pytest
import typer

from object2vec.cli import main
from object2vec.cli.idle import IDLE, check_idle
from object2vec.cli.tuning import app
from object2vec.errors import ConfigError

TRAIN = "train --train a.csv --out model"
TABLE = "--in0 user --in1 film"
TUNE = "tune --train a.csv --out study --objective train:accuracy"
OF_TABLES = [
    "--label rating",
    "--weight clicks",
    "--group session",
    "--time day",
    "--share user,film",
    "--preset topn",
    "--columns user,film",
    "--separator ;",
    "--quote |",
    "--encoding latin-1",
    "--format csv",
]
READING = ["--input-format csv", *OF_TABLES[6:10]]
BESIDE_TABLES = "goes with --in0 and --in1"
MARKDOWN = "must be left out with --markdown"
GRID, HYPERBAND = "--strategy grid", "--strategy Hyperband"

REJECTED = [
    *((TRAIN, option, BESIDE_TABLES) for option in [*OF_TABLES, "--vectors glove.txt"]),
    (f"{TRAIN} --start-from old", "--label rating", BESIDE_TABLES),
    (f"{TRAIN} {TABLE}", "--time day", "goes with --split"),
    (f"{TRAIN} {TABLE}", "--auxiliary files", "must be left out with a table"),
    (f"{TRAIN} --preset words", "--auxiliary files", "must be left out with a table"),
    (TRAIN, "--host algo-9", "goes with --log-format sagemaker"),
    (f"{TRAIN} --log-format json", "--host algo-9", "goes with --log-format sagemaker"),
    *(("check a.csv", option, BESIDE_TABLES) for option in OF_TABLES if option != "--time day"),
    (f"check a.csv {TABLE}", "--channel test", "goes with hyperparameters for AWS's records"),
    ("check a.csv", "--channel train", "goes with hyperparameters for AWS's records"),
    *(
        ("encode model --side in0 --lines", option, "must be left out with --lines")
        for option in READING
    ),
    *(
        ("nearest model up --lines --candidates a.csv", option, "must be left out with --lines")
        for option in READING
    ),
    *(("nearest model up", option, "goes with --candidates") for option in [*READING, "--lines"]),
    ("evaluate model a.csv --task ranking", "--compat-metrics", "must be left out with --task"),
    *(
        (f"{about} --markdown", "--json", MARKDOWN)
        for about in ("hyperparameters", "kinds", "pairs")
    ),
    ("demo", "--overwrite", "goes with --out"),
    (TUNE, "--warm-start TRANSFER_LEARNING", "goes with --parent"),
    (f"{TUNE} {GRID}", "--parent old", "goes with a strategy that learns"),
    (f"{TUNE} --strategy random", "--parent old", "goes with a strategy that learns"),
    (f"{TUNE} {GRID}", "--search-seed 5", "must be left out with --strategy grid"),
    (f"{TUNE} {HYPERBAND}", "--early-stopping", "must be left out with --strategy hyperband"),
    (TUNE, "--host algo-9", "goes with --log-format sagemaker"),
    (TUNE, "--label rating", BESIDE_TABLES),
]


@pytest.mark.parametrize(("command", "option", "must"), REJECTED)
def test_an_option_without_effect_is_an_error(command, option, must, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("user,film\n1,2\n")
    assert main([*command.split(), *option.split()]) == 2
    text = capsys.readouterr().err
    name, _, value = option.partition(" ")
    assert f"{name}: {must}" in text
    assert f"got {value or 'it'}." in text.replace("'", "")
    assert not (tmp_path / "model").exists()


def test_check_has_no_option_for_what_it_does_not_read(monkeypatch, tmp_path, capsys):
    """The time of a row decides how train splits a table, which check does not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("user,film,day\n1,2,2020-01-01\n")
    assert main(["check", "a.csv", *TABLE.split(), "--time", "day"]) == 2
    assert "No such option: --time" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("strategy", "warm_start", "is_rejected"),
    [
        ("grid", "TRANSFER_LEARNING", True),
        ("Random", "IDENTICAL_DATA_AND_ALGORITHM", True),
        ("Random", "TRANSFER_LEARNING", False),  # what was best there is tried first
        ("bayesian", "IDENTICAL_DATA_AND_ALGORITHM", False),
        ("hyperband", "TRANSFER_LEARNING", False),
    ],
)
def test_a_strategy_that_learns_from_other_trainings_has_parents(strategy, warm_start, is_rejected):
    given = {"strategy": strategy, "warm_start": warm_start, "parent": ["old"]}
    with pytest.raises(ConfigError) if is_rejected else contextlib.nullcontext():
        check_idle("tune", given, {"parent": "--parent"})


@pytest.mark.parametrize(
    ("command", "named", "given", "is_rejected"),
    [
        ("train", "columns", {}, True),
        ("train", "columns", {"in0": ["user"]}, False),
        ("train", "columns", {"start_from": "old"}, False),
        ("train", "columns", {"preset": "words"}, False),
        ("check", "channel", {"config": "hp.json"}, False),
        ("check", "channel", {"settings": ["epochs=1"]}, False),
        ("check", "channel", {"settings": ["epochs=1"], "pairs": "windows"}, True),
    ],
)
def test_options_with_an_effect_are_taken(command, named, given, is_rejected):
    names = ("in0", "in1", "pairs", "preset", "start_from", "config", "settings", named)
    with pytest.raises(ConfigError) if is_rejected else contextlib.nullcontext():
        check_idle(command, dict.fromkeys(names) | given, {named: f"--{named}"})


def test_a_name_beside_the_page_of_all_is_an_error(capsys):
    assert main(["kinds", "text", "--markdown"]) == 2
    assert "name: must be left out with --markdown" in capsys.readouterr().err


def test_all_of_them_are_said_at_once(capsys):
    assert main([*TRAIN.split(), "--label", "rating", "--host", "algo-9"]) == 2
    assert capsys.readouterr().err.startswith("Error: 2 problems:\n  --label: ")


def test_every_rule_is_tried_here():
    tried = {(command.split()[0], option.split()[0]) for command, option, _ in REJECTED}
    tried |= {(command, "name") for command in ("hyperparameters", "kinds", "pairs")}
    commands = typer.main.get_command(app).commands
    for command, rules in IDLE.items():
        named = {each.name: each.opts[0] for each in commands[command].params}
        for rule in rules:
            assert {(command, named[name]) for name in rule.options.split()} <= tried
