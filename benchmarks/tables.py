"""Write the figures of results/*.json into the tables of the README and the documentation.

A table stands between ``<!-- figures: NAME -->`` and ``<!-- end -->``; NAME is a function here. With
``--check`` nothing is written and the exit code says whether every table is up to date.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "docs/benchmarks.md")


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
    path = ROOT / "benchmarks/results" / f"{name}.json"
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
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


TABLES: dict[str, Callable[[], str]] = {"training": training}

if __name__ == "__main__":
    sys.exit(main())
