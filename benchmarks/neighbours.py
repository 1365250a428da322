"""Records per second of training steps beside busy processes, by the number of threads.

Each task's step as `fit` makes it, with the threads that a user gets who sets none, with one thread
and with two, beside 0, 1, 2 and 4 processes that this script starts and that compute all the time.
Where who sets none gets one or two, that number is measured once: two lanes of the same differ by a
third beside other processes. The goal is never to fall below 0.8 of the better of one and two
threads. The processes are those of a user of the library: how idle threads wait is what the library
makes of OpenMP's defaults.

No data needed.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks import movielens_speed, sequences, training
from benchmarks.common import save, speed_parser, table
from benchmarks.race import Work, lanes
from object2vec.compiled.cores import available_cores

NEIGHBOURS = (0, 1, 2, 4)
THREADS = {"1 thread": 1, "2 threads": 2}
BUSY = "while True: pass"
POOLED = {"vocabulary": 250_000, "negatives": 0, "precision": "float32"}
RATING, LIKE = {"rating": (movielens_speed.RATING, 40)}, {"like": (movielens_speed.LIKE, 1)}
_TASKS: dict[str, tuple[Any, ...]] = {
    "MovieLens, rating": (movielens_speed, "TASKS", RATING, "rating"),
    "MovieLens, like": (movielens_speed, "TASKS", LIKE, "like"),
    "50 + 50 tokens": (training, "BATCHES", 2, POOLED),
    "hcnn, wide": (sequences, "SIZES", {"wide": (64, 512, 4)}, "hcnn", "wide", "float32"),
    "hcnn, quick": (sequences, "SIZES", {"quick": (2048, 16, 1)}, "hcnn", "quick", "float32"),
    "bilstm, wide": (sequences, "SIZES", {"wide": (64, 512, 4)}, "bilstm", "wide", "float32"),
    "bilstm, quick": (sequences, "SIZES", {"quick": (2048, 16, 1)}, "bilstm", "quick", "float32"),
}


def main() -> None:
    """Let the numbers of threads take turns, at each task and number of neighbours."""
    options = speed_parser(__doc__, threads=None)
    options.add_argument("--task", choices=_TASKS, action="append")
    given = options.parse_args()
    results, cores = [], available_cores()
    default = next((name for name, count in THREADS.items() if count == cores), "as it comes")
    for task in given.task or _TASKS:
        counts = THREADS if default in THREADS else THREADS | {default: 0}
        rivals = {name: (steps, (task, count)) for name, count in counts.items()}
        with _as_users_have_it(), lanes(rivals) as turns:
            for count in NEIGHBOURS:
                results.append(_measure(task, count, turns, default, given.rounds))
                print(task, count, f"{results[-1]['of_better']:.2f}", flush=True)
    table(
        ("task", "neighbours", *results[0]["per_s"], "of the better", "from", "to"),
        [
            (
                r["task"],
                r["neighbours"],
                *map(round, r["per_s"].values()),
                r["of_better"],
                *r["spread"],
            )
            for r in results
        ],
    )
    save("neighbours", {"as_it_comes": cores, "results": results}, given)


def _measure(task: str, count: int, turns: Any, default: str, rounds: int) -> dict[str, Any]:
    """Return the rates beside so many busy processes; `default` names who sets no threads."""
    rates: dict[str, list[float]] = {name: [] for name in turns}
    with _busy(count):
        for _ in range(rounds):
            for name, turn in turns.items():
                rates[name].append(turn())
    both = zip(*(rates[name] for name in THREADS), strict=True)
    shares = [own / max(pair) for own, pair in zip(rates[default], both, strict=True)]
    medians = {name: statistics.median(found) for name, found in rates.items()}
    own, better = medians[default], max(medians[name] for name in THREADS)
    return {
        "task": task,
        "neighbours": count,
        "per_s": {"as it comes": own, **{name: medians[name] for name in THREADS}},
        "rounds": rates,
        "of_better": own / better,
        "spread": [min(shares), max(shares)],
    }


@contextlib.contextmanager
def _busy(count: int) -> Iterator[None]:
    """Have so many processes compute while the block runs."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        time.sleep(0.5)
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@contextlib.contextmanager
def _as_users_have_it() -> Iterator[None]:
    """Start processes without what this machine's environment says of OpenMP's waiting."""
    before = {name: os.environ.pop(name) for name in list(os.environ) if "OMP_" in name}
    try:
        yield
    finally:
        os.environ.update(before)


def steps(task: str, threads: int) -> Work:
    """Return a function that trains on a few batches of a task and counts their records."""
    for name in [name for name in os.environ if "OMP_" in name]:
        del os.environ[name]  # what a startup file of this environment has set
    module, constant, size, *words = _TASKS[task]
    setattr(module, constant, size)
    work: Work = module.ours(*words, threads)
    return work


if __name__ == "__main__":
    main()
