"""What each mechanism of training that generalises costs of a step, when on and when off.

A step looks up 20 + 20 tokens of each of 1,024 records in two tables of 50,000 rows, 128 wide, has
a head of 64 hidden units and updates the rows that it read. All variants train in one process and
take turns, some steps each; a ratio is taken within a round, to the step without any mechanism. The
line "off" is a second run of that: how far it lies from 1 is what the machine adds.

No mechanism may cost more than 15 % of a step.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.common import save, speed_parser, summary, table
from object2vec.config import Config
from object2vec.devices import set_threads
from object2vec.kernels import kernel_for
from object2vec.network.network import new_network
from object2vec.pairs.batches import Batch, TrainingBatches
from object2vec.pairs.dataset import Pairs
from object2vec.training.schedule import Horizon
from object2vec.training.step import Step

ROWS, WIDTH, RECORDS, TOKENS = 50_000, 128, 1024, 20
SETTINGS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": TOKENS,
    "enc0_vocab_size": ROWS,
    "enc_dim": WIDTH,
    "comparator_list": "hadamard, concat",
    "mlp_layers": 1,
    "mlp_dim": 64,
    "mlp_activation": "relu",
    "output_layer": "mean_squared_error",
    "mini_batch_size": RECORDS,
    "token_embedding_storage_type": "row_sparse",
    "learning_rate": 0.001,
    "epochs": 100,
}
MECHANISMS: dict[str, dict[str, Any]] = {
    "off": {},
    "token_init": {"token_init": "unit"},
    "learning_rate_schedule, warmup": {"learning_rate_schedule": "linear", "warmup": 0.1},
    "weight_averaging": {"weight_averaging": 1.0},
    "noise_temperature": {"noise_temperature": 1.0},
    "embedding_decay": {"embedding_decay": 0.05},
    "weight_decay": {"weight_decay": 0.0001},
    "decoupled_weight_decay": {"weight_decay": 0.0001, "decoupled_weight_decay": True},
    "gradient_clip_norm": {"gradient_clip_norm": 1.0},
    "token_dropout": {"token_dropout": 0.1},
}
OPTIMIZERS = ("adam", "adagrad", "sgd")
STEPS = 8  # of each variant in a round


def main(arguments: Sequence[str] | None = None) -> None:
    """Let every mechanism take turns under each rule, and write what it costs."""
    given = speed_parser(__doc__, rounds=9).parse_args(arguments)
    set_threads(given.threads)
    pairs = _pairs()
    results = []
    for optimizer in OPTIMIZERS:
        base = SETTINGS | {"optimizer": optimizer, "threads": given.threads}
        lanes = {name: _steps(base | more, pairs) for name, more in MECHANISMS.items()}
        lanes = {"none": _steps(base, pairs)} | lanes
        seconds: dict[str, list[float]] = {name: [] for name in lanes}
        for turn in range(given.rounds + 1):
            for name, steps in lanes.items():
                started = time.perf_counter()
                for _ in itertools.islice(steps, STEPS):
                    pass
                if turn:  # the first compiles and warms the caches
                    seconds[name].append((time.perf_counter() - started) / STEPS)
        for name in MECHANISMS:
            ratios = [a / b for a, b in zip(seconds[name], seconds["none"], strict=True)]
            results.append(
                {
                    "optimizer": optimizer,
                    "of": name,
                    "ratio": statistics.median(ratios),
                    "in_rounds": summary(ratios),
                    "step_ms": 1e3 * statistics.median(seconds[name]),
                }
            )
        own = [each for each in results if each["optimizer"] == optimizer]
        table(
            ["rule", "mechanism", "step, ms", "of a plain step"],
            [[optimizer, r["of"], r["step_ms"], r["ratio"]] for r in own],
        )
    save("mechanisms", {"settings": SETTINGS, "mechanisms": MECHANISMS, "results": results}, given)


def _pairs() -> Pairs:
    """Return records whose tokens follow Zipf's law."""
    generator = np.random.default_rng(0)
    sides = [
        [
            (generator.zipf(1.2, TOKENS) % (ROWS - 1) + 1).astype(np.int32)
            for _ in range(RECORDS * 8)
        ]
        for _ in range(2)
    ]
    return Pairs.build(in0=sides[0], in1=sides[1], label=generator.normal(size=RECORDS * 8))


def _steps(settings: dict[str, Any], pairs: Pairs) -> Iterator[object]:
    """Make one update after another, as a run does."""
    config = Config.build(settings)
    batches = TrainingBatches(pairs, config)
    horizon = Horizon(len(batches) * config.epochs, batches.records)
    step = Step(new_network(config, kernel_for("auto", "cpu")).train(), horizon)
    for batch in _endless(batches):
        yield step(batch)


def _endless(batches: TrainingBatches) -> Iterator[Batch]:
    for epoch in itertools.count():
        yield from batches.epoch(epoch)


if __name__ == "__main__":
    main()
