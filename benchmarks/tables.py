"""Write the figures of results/*.json into the tables of the README and the documentation.

A table stands between ``<!-- figures: NAME -->`` and ``<!-- end -->``; NAME is a function here.
With ``--check`` nothing is written and the exit code says whether every table is up to date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
PAGES = ("README.md",)


def main() -> int:
    """Write or check every page; return the exit code."""
    is_check = "--check" in sys.argv[1:]
    stale = []
    for name in PAGES:
        page = ROOT / name
        text = page.read_text(encoding="utf-8")
        fresh = filled(text)
        if fresh != text:
            stale.append(name)
            if not is_check:
                page.write_text(fresh, encoding="utf-8")
    print("\n".join(f"{name}: {'stale' if is_check else 'written'}" for name in stale))
    return 1 if is_check and stale else 0


def filled(text: str) -> str:
    """Return a page with every table made anew."""
    pattern = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def _result(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


def _table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(header)]
    lines += [["---"] * len(lines[0]), *([str(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def training() -> str:
    """Return records per second of a training step beside plain PyTorch."""
    result = _result("training")
    rows = [
        (f"{r['vocabulary']:,}", r["rate"], r["of"], f"{r['records_per_s']:,.0f}",
         f"{r['ours_is_times']:.1f}x", f"{r['peak_memory_mib']:,.0f}")
        for r in result["results"]
    ]  # fmt: skip
    header = ("vocabulary", "negatives", "of", "records/s", "ours is", "peak MiB")
    return _table(header, rows)


def movielens() -> str:
    """Return what MovieLens gives with AWS's settings and with ours, beside what others publish."""
    rows: list[tuple[str, str, str]] = []
    rating = _result("movielens_rating")["best_validation_mse"]
    rows.append(("rating, AWS's settings: validation MSE", _spread(rating), "0.92 in AWS's log"))
    if (RESULTS / "movielens_like.json").exists():
        like = _result("movielens_like")["validation_accuracy"]
        rows.append(("liked or not, AWS's settings: accuracy", _spread(like), "0.703 in AWS's log"))
    if (RESULTS / "movielens_ours.json").exists():
        ours = _result("movielens_ours")["test_mse"]
        quoted = "Surprise: SVD 0.907, SVD++ 0.874"
        rows.append(("rating, settings of our own: test MSE", _spread(ours), quoted))
    return _table(("task", "mean (smallest to largest)", "beside"), rows)


def _spread(values: dict[str, Any]) -> str:
    return f"{values['mean']:.3f} ({values['min']:.3f} to {values['max']:.3f})"


TABLES: dict[str, Callable[[], str]] = {"movielens": movielens, "training": training}

if __name__ == "__main__":
    sys.exit(main())
