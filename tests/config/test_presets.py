"""Presets: each is a valid start, and there is exactly one for every kind of objects and labels."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import get_args

import pytest

from object2vec import Config, ConfigError
from object2vec.config.presets import (
    PRESETS,
    Labels,
    Objects,
    Preset,
    maker_named,
    names_columns,
    preset_of,
    suitable_preset,
)
from object2vec.objectives import objective_of

SIZES = {f"enc{side}_{name}": 2 for side in (0, 1) for name in ("vocab_size", "max_seq_len")}
CASES = list(itertools.product(get_args(Objects), get_args(Labels)))


def test_presets_are_what_the_results_were_measured_with():
    """Their numbers were chosen on dev parts (benchmarks/LOG.md), so that none changes by a slip.

    Whoever changes one measures again and changes it in presets.json, too.
    """
    chosen = json.loads(Path(__file__).with_name("presets.json").read_text())
    for preset in PRESETS.values():
        others = ("prior_rows", "updates", "tokens_read", "pairs")
        found = dict(preset.values) | {name: getattr(preset, name) for name in others}
        found = {name: value for name, value in found.items() if value is not None}
        assert json.loads(json.dumps(found)) == chosen.pop(preset.name)
    assert not chosen


def built(preset: Preset) -> Config:
    """The configuration of a table, which is what presets are for."""
    return Config.build(SIZES | dict(preset.values), beyond_aws=True)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_valid_configuration_without_warnings(name):
    preset = PRESETS[name]
    assert preset.name == name
    assert not [note for note in built(preset).notes if note.level == "warning"]


@pytest.mark.parametrize(("objects", "labels"), CASES)
def test_one_preset_suits_any_table(objects, labels):
    suited = [p for p in PRESETS.values() if (objects, labels) in p.suits]
    assert suited == [suitable_preset(objects, labels)]
    config = built(suited[0])
    is_against_all = objective_of(config).is_in_batch or config.candidates == "all"
    assert (bool(config.negatives) or is_against_all) == (labels == "none")


def test_the_preset_of_aws_is_its_defaults():
    assert not PRESETS["aws"].values
    assert not PRESETS["aws"].suits


def test_a_preset_that_nobody_knows():
    with pytest.raises(
        ConfigError, match=r"^preset: must be one of .*; got 'rating'. Did you mean "
    ):
        preset_of("rating")


def test_what_presets_say_beside_hyperparameters():
    """The hyperparameters themselves stand on the page of commands."""
    keys = ("pairs", "prior_rows", "updates", "tokens_read")
    said = {
        name: {key: value for key in keys if (value := getattr(preset, key)) is not None}
        for name, preset in PRESETS.items()
    }
    assert {name: values for name, values in said.items() if values} == {
        "ratings": {"prior_rows": 16},
        "topn": {"pairs": "history(dropout=0.3)"},
        "multilabel": {"updates": 200, "tokens_read": 20},
        "words": {"pairs": "windows"},
    }


@pytest.mark.parametrize(
    ("pairs", "objects", "labels", "name"),
    [
        ("windows", "tokens", "numbers", "words"),  # what makes the pairs says more than they
        ("history", "texts", "classes", "topn"),
        ("sentence_rest", "texts", "none", "retrieval"),
        (None, "tokens", "none", "topn"),
    ],
)
def test_what_makes_the_pairs_has_its_preset(pairs, objects, labels, name):
    assert suitable_preset(objects, labels, pairs).name == name


def test_a_preset_may_say_what_makes_the_pairs_and_of_which_columns():
    assert maker_named(None, None) is None
    assert maker_named(None, "words") == "windows"
    assert maker_named("history", "words") == "history"
    assert not maker_named(None, "ratings")
    assert names_columns("words")  # of any text
    assert not names_columns("topn")  # of columns that a user names
    assert not names_columns("ratings")
    assert not names_columns(None)
    for ask in (lambda: maker_named(None, "word"), lambda: names_columns("word")):
        with pytest.raises(ConfigError, match="Did you mean words"):
            ask()


def test_what_rows_decide_is_said():
    preset = Preset("a", "b", {}, prior_rows=0.5, updates=3, tokens_read=7)
    assert preset.decided == [
        "weight_decay is 0.5 over the number of rows",
        "epochs are those of 3 updates or more",
        "token_dropout leaves 7 tokens of an in0, or half",
    ]
    assert not Preset("a", "b", {}).decided
