"""Records per second of whole trainings with few and with many rows.

Does the end of an epoch cost the vocabulary? The same 60,000 records an epoch, whose ids are 30
thousand different ones, are spread over a table of 30 thousand rows and of 3 million. Every epoch
is the best one so far. Measured is a whole `fit`, from the open channels to the restored best
weights, as a user's log has it: batches, ends of epochs and, where they are asked for, a checkpoint
at the end of each epoch; in seconds and, for a machine with other work, in seconds of its CPUs.
What a larger table costs once, its first random numbers and the model's file, is measured beside.

No data needed.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import save, speed_parser, table

FEW, MANY = 30_000, 3_000_000
RECORDS, TOKENS, WIDTH, BATCH, EPOCHS = 60_000, 5, 128, 4096, 20


def main() -> None:
    """Let trainings take turns, each in a process of its own."""
    options = speed_parser(__doc__, rounds=3)
    given = options.parse_args()
    lanes = [(rows, has) for has in (False, True) for rows in (FEW, MANY)]
    runs: dict[tuple[int, bool], list[dict[str, float]]] = {lane: [] for lane in lanes}
    for _ in range(given.rounds):
        for lane in lanes:
            runs[lane].append(_in_process(*lane, given.threads))
    results = []
    for (rows, has), measured in runs.items():
        few = runs[FEW, has]
        shares = [
            b["records_per_s"] / a["records_per_s"] for a, b in zip(few, measured, strict=True)
        ]
        results.append(
            {
                "rows": rows,
                "checkpoints": has,
                "runs": measured,
                "records_per_s": statistics.median(run["records_per_s"] for run in measured),
                "of_few_rows": statistics.median(shares),
                "spread": [min(shares), max(shares)],
                "cpu_s": statistics.median(run["cpu_s"] for run in measured),
                "start_s": statistics.median(run["start_s"] for run in measured),
                "save_s": statistics.median(run["save_s"] for run in measured),
            }
        )
    table(
        ("rows", "checkpoints", "records/s", "of few rows", "CPU s", "start s", "save s"),
        [
            (
                r["rows"],
                r["checkpoints"],
                round(r["records_per_s"]),
                r["of_few_rows"],
                r["cpu_s"],
                r["start_s"],
                r["save_s"],
            )
            for r in results
        ],
    )
    save(
        "epoch_end",
        {
            "records": RECORDS,
            "tokens": TOKENS,
            "width": WIDTH,
            "batch": BATCH,
            "epochs": EPOCHS,
            "results": results,
        },
        given,
    )


def _in_process(rows: int, has_checkpoints: bool, threads: int) -> dict[str, float]:
    """Return the figures of a training in a process of its own."""
    context = multiprocessing.get_context("spawn")
    near, far = context.Pipe()
    process = context.Process(target=_send, args=(far, rows, has_checkpoints, threads))
    process.start()
    far.close()
    figures: dict[str, float] = near.recv()
    process.join()
    return figures


def _send(lane: Connection, rows: int, has_checkpoints: bool, threads: int) -> None:
    lane.send(train(rows, has_checkpoints, threads))


class Clock:
    """Notes when each event came; a reporter as `object2vec.Object2Vec.fit` takes it."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self.cpu_times: dict[str, float] = {}
        self.best = 0

    def __call__(self, event: Any) -> None:
        """Take the next event; of those of a kind the last one counts."""
        self.times[event.name] = time.perf_counter()
        self.cpu_times[event.name] = time.process_time()
        if event.name == "epoch":
            self.best += event.verdict.is_best

    def close(self) -> None:
        """Do nothing: no file is open."""


def train(rows: int, has_checkpoints: bool, threads: int) -> dict[str, float]:
    """Train once; return records per second of the training, and the seconds around it."""
    from object2vec import Object2Vec

    draw = np.random.default_rng(0)
    ids = draw.choice(np.arange(1, rows), min(FEW, rows) - 1, replace=False).astype(np.int32)
    data = {
        "in0": ids[draw.integers(0, len(ids), (RECORDS, TOKENS))],
        "in1": ids[draw.integers(0, len(ids), (RECORDS, TOKENS))],
        "label": (draw.random(RECORDS) < 0.01).astype(np.float32),
    }
    model = Object2Vec(
        enc0_network="pooled_embedding",
        enc0_max_seq_len=TOKENS,
        enc0_vocab_size=rows,
        enc_dim=WIDTH,
        comparator_list="hadamard",
        mlp_layers=1,
        mlp_dim=64,
        epochs=EPOCHS,
        tied_token_embedding_weight=True,
        token_embedding_storage_type="row_sparse",
        mini_batch_size=BATCH,
        learning_rate=0.0001,
        seed=0,
        threads=threads,
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        given: dict[str, Any] = {"save_to": Path(folder) / "model"}
        if has_checkpoints:
            steps = -(-RECORDS // BATCH)
            given |= {"checkpoints": Path(folder) / "run", "checkpoint_every": steps}
        started = time.perf_counter()
        model.fit(data, reporters=[clock], **given)
        ended = time.perf_counter()
    assert clock.best == EPOCHS, "an epoch was not the best one"
    return {
        "records_per_s": RECORDS * EPOCHS / (clock.times["best"] - clock.times["channel"]),
        "cpu_s": clock.cpu_times["best"] - clock.cpu_times["channel"],
        "start_s": clock.times["channel"] - started,
        "save_s": ended - clock.times["best"],
    }


if __name__ == "__main__":
    main()
