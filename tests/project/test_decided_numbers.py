"""Numbers that somebody decided: limits, thresholds, waiting times, marks of formats.

Most have a test of what they do as well, which takes a smaller number in their stead. Here stands
what they are, so that none changes by a slip: whoever changes one changes it here, too.
"""

from __future__ import annotations

import importlib
import math
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "object2vec"
LARGEST_FLOAT = float.fromhex("0x1.fffffep127")  # of 32 bits

DECIDED = {
    "limits of AWS": {
        "config.rules": {
            "_CONSOLE_NEGATIVES": 100,
            "_AUTO_LAYERS": {"hcnn": 4, "bilstm": 1, "pooled_embedding": 1},
        },
        "config.table": {"MAX_SEQ_LEN": 5000, "MAX_VOCAB_SIZE": 3_000_000, "_LARGEST": 2147483647},
        "fields": {"MOST_BUCKETS": 250_000_000},
        "inference.transform": {"MAX_PAYLOAD_MB": 100},
        "sagemaker.ipinsights": {"_MOST_NEGATIVES": 500},
        "sagemaker.local.service": {"MAX_BODY_BYTES": 5368709120},
        "sagemaker.local.tuning_jobs": {"_DEFAULT_PARALLEL": 1, "_DEFAULT_JOBS": 10, "_PAGE": 10},
        "training.decisions": {"_MOST_EPOCHS": 100},
    },
    "limits of what is read": {
        "artifact.content": {"_MAX_JSON_BYTES": 1073741824},
        "artifact.location": {"_MAX_CONFIG_BYTES": 16777216},
        "files.archive": {"MAX_FILES": 1000, "MAX_BYTES": 68719476736, "_MAX_HEADER_BYTES": 65536},
        "files.tensors": {"_MAX_HEADER_BYTES": 1048576},
        "objects.layouts": {"INFINITE": (LARGEST_FLOAT + 2.0**128) / 2},
        "reading.scanner": {"_MOST_KEYS": 62},
        "sagemaker.local.service": {"_MAX_REQUEST_BYTES": 67108864, "_MAX_LINE": 65536},
        "sagemaker.local.tunnels": {"_MAX_HEAD_BYTES": 65536},
        "training.run": {"_MOST_THREADS": 1024},
    },
    "limits of what is shown": {
        "cli.reference": {"_COLUMNS": 80},
        "config.configuration": {"_NAME_CHARACTERS": 80},
        "config.page": {"_COLUMNS": 100},
        "errors": {"_SHOWN_CHARACTERS": 80},
        "estimator": {"_COLUMNS": 80},
        "fields.kinds.characters": {"_LONGEST": 20},
        "inference.neighbours": {"_NAMES": 100_000},
        "serving.inputs": {"_SHOWN": 20, "_SUGGESTED": 10_000, "_LONGEST": 100},
        "training.memory": {"_WORTH_TELLING": 67108864},
    },
    "what data decide": {
        "fields.kinds.number": {"_MOST_BINS": 10_000},
        "fields.kinds.pieces": {"_MOST_WORDS": 5_000_000, "_LONGEST_PIECE": 24},
        "fields.label": {"MOST_DISTINCT": 31, "_MISTAKEN_SHARE": 0.1},
        "fields.times": {
            "_UNITS": ((10**11, 1), (10**14, 1000), (10**17, 10**6), (2**63, 10**9)),
            "_WITHIN": (-62135596800, 253402300799),
        },
        "fields": {
            "MANY_TOKENS": 100_000,
            "_FEWEST_CHOSEN": 1024,
            "_MOST_CHOSEN": 131072,
        },
        "inference.values": {"_ALIKE": 0.75},
        "reading": {"FIRST_ROWS": 10_000},
        "reading.tables.formats.csv": {"_SNIFFED_ROWS": 100},
        "reading.tables.formats.jsonl": {"_HEAD_RECORDS": 1000},
        "reading.tables.lines": {"FIRST_BYTES": 65536, "_NUL_SHARE": 0.4},
        "training.decisions": {
            "MAX_CLASSES": 30,
            "LOST_SHARE": 0.001,
            "_FEW_UPDATES": 64,
            "_SMALLEST_BATCH": 32,
            "_FEWEST_POSITIVES": 16,
            "_LARGEST_DROPOUT": 0.5,
            "_LARGEST_DECAY": 0.0005,
            "_SPARSE_ROWS": 10_000,
            "_DENSE_ROWS": 100_000,
            "_MOST_CANDIDATES": 20_000,
        },
        "training.measuring": {"MAX_QUERIES": 10_000, "MAX_CANDIDATES": 50_000},
        "training.partners": {"_MOST": 1000},
    },
    "numbers of formulas": {
        "evaluation.measure": {"RESAMPLES": 1000, "LEVEL": 0.95, "_DRAWS": 200_000_000},
        "evaluation.retrieval": {"_MARGIN": 1e-12, "_PERCENTILES": (50, 80, 90, 99)},
        "kernels.rules": {"TINY": 1e-30},
        "network.network": {"_TINY": 1e-12},
        "objectives.ranking": {"MAX_SCALE": 100.0},
        "objectives.softmax": {"CROSS_ENTROPY_CLIP": 1e-12, "PERPLEXITY_CLIP": 1e-10},
        "training.schedule": {"PLATEAU_DIVISOR": 5.0},
    },
    "what a seed leads to": {
        "kernels.noise": {"MASK": 0xFFFFFFFF, "MULTIPLIERS": (0x7FEB352D, 0x846CA68B)},
        "pairs.batches": {"_TRIES": 20, "_LISTED": 1048576},
        "pairs.blocks": {"_WORDS": 256, "_MEASURED": 64},
        "pairs.makers.windows": {"_TRIES": 8},
        "pairs.order": {"_ROUNDS": 8},
        "training.measuring": {"_SAMPLE": 7},
        "training.optimizer": {"_NOISE": 6},
        "training.settling": {"_SAMPLE": 65536},
        "training.step": {"_DROPOUT": 3},
    },
    "seconds": {
        "reading.cache": {"_STALE_S": 86400, "_TICK_S": 0.02, "_COARSE_TICK_S": 2.0},
        "reporting.live": {"_SHOW_EVERY_S": 0.1},
        "reporting.plain": {"_PLAIN_EVERY_S": 10.0},
        "sagemaker.local.calls": {"_RESPONSE_S": 70.0},
        "sagemaker.local.checkpoints": {"_SYNC_S": 1.0},
        "sagemaker.local.command": {"_POLL_S": 0.2},
        "sagemaker.local.endpoints": {"_START_S": 120.0, "_POLL_S": 0.05},
        "sagemaker.local.jobs": {"_STOP_S": 120.0},
        "sagemaker.local.service": {"_IDLE_S": 120.0, "_POLL_S": 0.05},
        "sagemaker.local.training": {"_MOST_S": 86_400},
        "sagemaker.local.tuning_jobs": {"_POLL_S": 0.1},
        "sagemaker.local.tunnels": {"_CONNECT_S": 30, "_IDLE_S": 120.0},
        "serving.metrics": {
            "_SECONDS": (
                *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
                *(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            ),
        },
        "training.loop": {"_REPORT_S": 1.0},
        "tuning.processes": {"_GRACE_S": 60.0},
        "tuning.tuner": {"_POLL_S": 0.5},
    },
    "marks of formats and systems": {
        "artifact.content": {"SCHEMA_VERSION": 1},
        "cli": {"SIGNALLED": 128, "_INTERRUPTED": 130, "_PIPE_CLOSED": 141},
        "fields.saved": {"_FORMAT": 1},
        "fields": {"MISSING_ROW": 0, "_UNKNOWN_ROW": 1, "NO_ROW": -1},
        "files.contents": {"HEAD_BYTES": 512},
        "files.whole": {"_KEEP_SIZE": 1, "_HERE": -100, "_EXCHANGE": 2, "_KEPT_CHARACTERS": 50},
        "objects.ragged": {"PADDING": 0},
        "reading.cache": {"CACHE_VERSION": 2},
        "serving.metrics": {"_SIZES": tuple(2**n for n in range(11))},
        "tuning.trials": {"SCHEMA_VERSION": 1},
    },
}


@pytest.mark.parametrize(
    ("module", "numbers"),
    [
        pytest.param(module, numbers, id=f"{module}: {why}")
        for why, modules in DECIDED.items()
        for module, numbers in modules.items()
    ],
)
def test_numbers_are_those_that_were_decided(module, numbers):
    """They may move within what is named: a module, or the modules of a room."""
    found = dict(vars(importlib.import_module(f"object2vec.{module}")))
    for path in (SOURCE / module.replace(".", "/")).glob("[!_]*.py"):
        more = vars(importlib.import_module(f"object2vec.{module}.{path.stem}"))
        found |= {name: value for name, value in more.items() if name in numbers}
    assert {name: found[name] for name in numbers} == numbers


def test_the_largest_float_rounds_down_to_itself():
    assert math.isclose(LARGEST_FLOAT, 3.4028234663852886e38, rel_tol=1e-15)
