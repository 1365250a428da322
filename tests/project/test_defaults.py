"""What holds where nobody says anything: numbers and switches of commands, methods and settings."""

from __future__ import annotations

import importlib
import inspect

import pytest

AT = (1, 5, 10, 20, 50)
EVALUATION = {"resamples": 1000, "seed": 0}
LISTING = {"as_json": False, "markdown": False}

DEFAULTS = {
    "cli.commands": {
        "train": {"resume": False, "overwrite": False},
        "encode": {"lines": False},
        "evaluate": EVALUATION | {"as_json": False, "compat_metrics": False},
        "nearest": {"k": 10, "whole": False, "as_json": False, "lines": False},
        "vocabulary": {"as_json": False},
        "hyperparameters": LISTING,
        "kinds": LISTING,
        "pairs": LISTING,
        "presets": {"as_json": False},
        "info": {"as_json": False},
        "cache": {"clear": False},
        "demo": {"overwrite": False},
    },
    "cli.deployment": {
        "serve": {"port": 8080},
        "transform": {"max_payload": 6, "overwrite": False},
        "local": {"port": 0, "slots": 0, "own_s3": False},
    },
    "cli.tuning": {
        "tune": {"trials": 20, "parallel": 0, "early_stopping": False, "seed": 0, "resume": False}
    },
    "errors": {"RequestError": {"status": 400}},
    "evaluation.detection": {"false_alarms": {"recall": 1.0}},
    "evaluation.measure": {"Measure.figures": EVALUATION | {"level": 0.95}},
    "evaluation.retrieval": {"retrieval_metrics": {"at": AT}, "rank_measure": {"at": AT}},
    "inference.transform": {"TransformSettings": {"max_payload_mb": 6, "overwrite": False}},
    "model": {
        "Object2Vec.fit": {"resume": False, "overwrite": False},
        "Object2Vec.nearest": {"k": 10, "whole": False},
        "Object2Vec.save": {"overwrite": False},
    },
    "sagemaker.local.protocol": {"Response": {"status": 200}, "ServiceError": {"status": 400}},
    "sagemaker.local.service": {
        "Service": {"port": 0, "slots": 0, "has_remote_storage": False},
        "Service.running": {"grace_s": 120.0},
    },
    "serving.limits": {"Overloaded": {"retry_after_s": 1}},
    "serving.server": {"run": {"port": 8080}},
    "serving.settings": {
        "Settings": {
            "max_payload_bytes": 6291456,
            "workers": 1,
            "timeout_s": 60.0,
            "batch_instances": 512,
            "batch_tokens": 32768,
            "batch_wait_ms": 0.0,
            "queue_units": 262144,
            "max_response_numbers": 33554432,
            "max_held_bytes": 536870912,
        }
    },
    "tasks.base": {"Question": EVALUATION | {"at": AT}},
    "training.options": {"Habits": {"resume": False, "overwrite": False}},
    "tuning.search": {
        "Search": {"seed": 0, "early_stopping": False, "epochs": 30, "grid_points": 4}
    },
    "tuning.space": {"Numbers": {"is_integer": False}},
    "tuning.tuner": {
        "Tuner": {"parallel": 1},
        "Trained": {"is_rejected": False, "is_interrupted": False},
    },
}


@pytest.mark.parametrize(
    ("module", "path", "defaults"),
    [
        pytest.param(module, path, defaults, id=f"{module}:{path}")
        for module, paths in DEFAULTS.items()
        for path, defaults in paths.items()
    ],
)
def test_what_holds_where_nobody_says_anything(module, path, defaults):
    found = importlib.import_module(f"object2vec.{module}")
    for name in path.split("."):
        found = getattr(found, name)
    parameters = inspect.signature(found).parameters.values()
    numbers = {
        each.name: each.default
        for each in parameters
        if isinstance(each.default, bool | int | float)
        or (isinstance(each.default, tuple) and each.default)
    }
    assert numbers == defaults
    assert {name: type(each) for name, each in numbers.items()} == {
        name: type(each) for name, each in defaults.items()
    }
