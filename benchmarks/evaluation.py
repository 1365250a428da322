"""How long exact retrieval takes: the ranks of 10,000 queries among 10,000 candidates of width 300.

Each part runs in a process of its own; memory is what it takes beside the vectors themselves. The
plain way is the whole matrix of similarities by one product and one sort.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np

from benchmarks.common import save, speed_parser, table


def main() -> None:
    """Time the parts."""
    options = speed_parser(__doc__, rounds=3)
    options.add_argument("--rows", type=int, default=10_000)
    options.add_argument("--width", type=int, default=300)
    given = options.parse_args()
    results = []
    for name, part in PARTS.items():
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            found = pool.submit(_timed, part, given.rows, given.width, given.rounds).result()
        results.append({"of": name, **found})
    table(("of", "seconds", "MiB"), [(r["of"], r["seconds"], r["memory_mib"]) for r in results])
    save("evaluation", {"rows": given.rows, "width": given.width, "results": results}, given)


def _timed(part: Any, rows: int, width: int, rounds: int) -> dict[str, float]:
    generator = np.random.default_rng(0)
    queries, candidates = generator.standard_normal((2, rows, width), np.float32)
    part(queries[:100], candidates[:100])
    before = _peak_mib()
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        part(queries, candidates)
        seconds.append(time.perf_counter() - started)
    return {"seconds": float(np.median(seconds)), "memory_mib": _peak_mib() - before}


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ranks(queries: Any, candidates: Any) -> None:
    """Rank each query's own candidate among all."""
    from object2vec.evaluation import ranks

    ranks(queries, candidates, np.arange(len(queries)))


def measured(queries: Any, candidates: Any) -> None:
    """Rank, and give every figure its interval."""
    from object2vec.evaluation import rank_measure, ranks

    rank_measure(ranks(queries, candidates, np.arange(len(queries)))).figures()


def nearest(queries: Any, candidates: Any) -> None:
    """Find the ten nearest candidates of each query."""
    from object2vec.evaluation import nearest

    nearest(queries, candidates, 10)


def plain(queries: Any, candidates: Any) -> None:
    """Compute all similarities at once and sort them."""
    a, b = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (queries, candidates))
    order = np.argsort(-(a @ b.T), axis=1)
    np.argmax(order == np.arange(len(order))[:, None], axis=1)


PARTS = {
    "ranks": ranks,
    "ranks and intervals by 1,000 samples": measured,
    "ten nearest": nearest,
    "plain sort in float32": plain,
}

if __name__ == "__main__":
    main()
