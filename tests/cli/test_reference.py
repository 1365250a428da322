"""What there is to choose from: hyperparameters, kinds of column, makers of pairs, presets."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from object2vec.cli import main
from object2vec.config.page import describe as describe_rows
from object2vec.config.presets import PRESETS
from object2vec.config.table import GROUPS
from object2vec.fields.describe import describe, described_table
from object2vec.fields.kinds import KINDS
from object2vec.pairs.makers import MAKERS

REGISTRIES = {
    "kinds": (KINDS, ("kind", "what the column holds")),
    "pairs": (MAKERS, ("maker", "what it makes of the rows")),
}


def printed(command, capsys):
    assert main(command.split()) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", REGISTRIES)
def test_a_registry_is_listed_in_every_form(command, capsys):
    known, titles = REGISTRIES[command]
    assert printed(f"{command} --markdown", capsys) == described_table(known, *titles)
    all_of_them = describe(known, "")
    assert json.loads(printed(f"{command} --json", capsys)) == all_of_them
    for each in all_of_them:
        assert json.loads(printed(f"{command} {each['name']} --json", capsys)) == each
    lines = printed(command, capsys).splitlines()
    assert [line for line in lines if line[0] != " "] == [*known]
    assert sum(line.startswith("     ") for line in lines) == 0, "options are listed of one alone"


@pytest.mark.parametrize(
    ("command", "name"), [(c, name) for c, (known, _) in REGISTRIES.items() for name in known]
)
def test_one_of_a_registry_is_listed_with_its_options(command, name, capsys):
    (each,) = describe(REGISTRIES[command][0], "", [name])
    title, *lines = printed(f"{command} {name}", capsys).splitlines()
    meaning = [line.strip() for line in lines if line.strip() and not line.startswith(" " * 5)]
    names = [option["name"] for option in each["options"]]
    assert title == name
    said = " ".join(meaning)
    assert said == " ".join([*each["meaning"].split(), *names])
    words = " ".join(" ".join(lines).split())
    for option in each["options"]:
        default = option["default"] or "none"
        assert f"{option['meaning']}: {option['valid']}; default {default}" in words


@pytest.mark.parametrize("command", REGISTRIES)
def test_an_unknown_name_is_rejected(command, capsys):
    assert main([command, "nothing"]) == 2
    assert "Error: NAME: must be a " in capsys.readouterr().err


def test_presets_are_listed_in_every_form(capsys):
    found = json.loads(printed("presets --json", capsys))
    assert found == {name: {**preset.values} for name, preset in PRESETS.items()}
    lines = printed("presets", capsys).splitlines()
    assert [line for line in lines if line[0] != " "] == [*PRESETS]
    expected = []
    for each in PRESETS.values():
        values = (f"{name}={value}" for name, value in each.values.items())
        expected += [each.name, each.meaning, ", ".join(values), *each.decided]
    assert " ".join(lines).split() == " ".join(expected).split()


def test_hyperparameters_stand_under_the_titles_of_their_groups(capsys):
    lines = printed("hyperparameters", capsys).splitlines()
    assert lines[0] == next(iter(GROUPS))
    for number, (title, rows) in enumerate(GROUPS.items()):
        at = lines.index(title)
        assert lines[at + 1] == "-" * len(title)
        assert number == 0 or lines[at - 1] == ""
        assert lines[at + 2] == rows[0].name
    assert sum(not line for line in lines) == len(GROUPS) - 1


@pytest.mark.parametrize("row", describe_rows(), ids=lambda row: row["name"])
def test_a_hyperparameter_is_listed_with_what_is_valid(row, capsys):
    title, *lines = printed(f"hyperparameters {row['name']}", capsys).splitlines()
    default = row["default"] or "empty"
    if not default.startswith("required"):
        default = f"default {default}"
    assert title == row["name"]
    assert " ".join(" ".join(lines).split()) == f"{row['valid']}; {default} {row['meaning']}"


@pytest.mark.parametrize(("command", "depths"), [("kinds", {4}), ("kinds tokens", {4, 8})])
def test_lines_are_filled(command, depths, capsys):
    lines = printed(command, capsys).splitlines()
    depth = {line: len(line) - len(line.lstrip()) for line in lines}
    texts = [(a, b) for a, b in pairwise(lines) if depth[a] == depth[b] == max(depths)]
    assert {*depth.values()} == {0, *depths}
    for line, following in texts:
        assert len(line) <= 80 < len(f"{line} {following.split()[0]}")
    assert len(texts) > 5
