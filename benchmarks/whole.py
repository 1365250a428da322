"""Records per second of the whole command `object2vec train`, beside its steps alone.

A user waits for all of it: the start of Python, reading the file of JSON Lines, the first weights,
batches, the ends of epochs and the model's file. Tasks are those of the benchmarks of steps with
their settings, so many epochs that a training lasts some seconds. ``steps`` are timed as those
benchmarks do, ``log`` is what the command's own log says of its epochs, ``command`` all of it.

No data needed.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import movielens_speed, sequences, training
from benchmarks.common import save, speed_parser, table
from benchmarks.race import lanes
from benchmarks.steps import training_steps

# Settings, records, and epochs of each task.
Task = tuple[Callable[[], tuple[dict[str, Any], Any]], int]


def _pooled(vocabulary: int, **more: Any) -> tuple[dict[str, Any], Any]:
    task = {"vocabulary": vocabulary, "negatives": 0, "precision": "float32", **more}
    return training.settings(task), training.columns(task, training.BATCH * training.BATCHES)


def _movielens(name: str) -> tuple[dict[str, Any], Any]:
    return dict(movielens_speed.TASKS[name][0]), movielens_speed.records(name)


def _sequences(encoder: str, size: str) -> tuple[dict[str, Any], Any]:
    batch, _, batches = sequences.SIZES[size]
    return sequences.settings(encoder, size), sequences.records(batch * batches)


FEW, MANY = training.FEW, training.MANY
TASKS: dict[str, Task] = {
    "50 + 50 tokens, 250,000 rows a side": (lambda: _pooled(250_000), 20),
    "50 + 50 tokens, 30,000 rows": (lambda: _pooled(FEW, spread=FEW, tied=True), 20),
    "50 + 50 tokens, 3,000,000 rows": (lambda: _pooled(MANY, spread=FEW, tied=True), 20),
    "MovieLens, rating": (lambda: _movielens("rating"), 5),
    "MovieLens, like": (lambda: _movielens("like"), 2),
    "hcnn, wide": (lambda: _sequences("hcnn", "wide"), 5),
    "bilstm, wide": (lambda: _sequences("bilstm", "wide"), 5),
}


def main() -> None:
    """Run each task's steps and command in turns."""
    options = speed_parser(__doc__, rounds=3)
    options.add_argument("--task", choices=TASKS, action="append")
    given = options.parse_args()
    results = []
    for name in given.task or TASKS:
        make, epochs = TASKS[name]
        runs = _runs(name, make, epochs, given)
        medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        results.append({"task": name, "epochs": epochs, **medians, "runs": runs})
    table(
        ("task", "epochs", "steps/s", "log/s", "command/s", "seconds"),
        [
            (
                r["task"],
                r["epochs"],
                *(round(r[key]) for key in ("steps", "log", "command")),
                r["seconds"],
            )
            for r in results
        ],
    )
    save("whole", {"results": results}, given)


def _runs(name: str, make: Any, epochs: int, given: Any) -> list[dict[str, float]]:
    """Return records per second of each round: of the steps, the log and the command."""
    found, columns = make()
    with (
        tempfile.TemporaryDirectory() as folder,
        lanes({name: (steps, (name, given.threads))}) as (turns),
    ):
        data, config = Path(folder) / "train.jsonl", Path(folder) / "hp.json"
        _write(data, columns)
        settings = found | {"epochs": epochs, "threads": given.threads, "seed": 0}
        # Each epoch counts, also those that early stopping would spare.
        config.write_text(json.dumps(settings | {"early_stopping_patience": 5}), encoding="utf-8")
        return [
            {"steps": turns[name](), **_command(Path(folder), len(columns[2]) * epochs)}
            for _ in range(given.rounds)
        ]


def steps(name: str, threads: int) -> Any:
    """Return a function that trains on all records of a task once and counts them."""
    settings, columns = TASKS[name][0]()
    return training_steps(settings, *columns, threads)


def _write(path: Path, columns: Any) -> None:
    """Write records as a user has them."""
    with path.open("w", encoding="utf-8") as file:
        for in0, in1, label in zip(*columns, strict=True):
            record = {"in0": np.asarray(in0).tolist(), "in1": np.asarray(in1).tolist()}
            file.write(json.dumps(record | {"label": int(label)}) + "\n")


def _command(folder: Path, records: int) -> dict[str, float]:
    """Train with the command; return records per second by its log and by the clock."""
    from object2vec import Object2Vec

    words = ["--train", "train.jsonl", "--config", "hp.json", "--out", "model", "--overwrite"]
    command = [sys.executable, "-m", "object2vec", "train", *words]
    started = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    history = Object2Vec.load(folder / "model").facts.history
    (finished,) = (event for event in history if event["event"] == "finished")
    done = records * finished["epochs"] / json.loads((folder / "hp.json").read_text())["epochs"]
    return {"log": finished["pairs_per_s"], "command": done / seconds, "seconds": seconds}


if __name__ == "__main__":
    main()
