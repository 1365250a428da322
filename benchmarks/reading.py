"""Rows per second from JSON Lines to columns, and the time to open them again.

300,000 pairs of 50 + 50 ids, plain JSON Lines. Ours is `Pairs.read` with an empty cache: every
value checked, columns on the disk at the end. Beside it, readers that stop at objects or columns in
memory and check nothing: pyarrow with the schema given, msgspec with a typed row, json. ``open``
is `Pairs.read` of what was read before, in a new process, with what it imports for that.

No data needed.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import save, speed_parser, table
from benchmarks.race import Work, race, show

ROWS, TOKENS, VOCABULARY = 300_000, 50, 250_000


def main() -> None:
    """Race the readers, then open what was read."""
    options = speed_parser(__doc__, rounds=5)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.jsonl"
        _write(path)
        raced = race(
            {
                "object2vec": (ours, (path, Path(folder) / "cache")),
                "pyarrow": (arrow, (path,)),
                "msgspec": (typed, (path,)),
                "json": (plain, (path,)),
            },
            given.rounds,
        )
        opened = _opened(path, Path(folder) / "cache", given.rounds)
    results = [{"of": name, **figures} for name, figures in raced.items()]
    show("rows/s", results)
    table(("open", "median ms"), [("a cached set", statistics.median(opened) * 1e3)])
    save(
        "reading",
        {"rows": ROWS, "tokens": 2 * TOKENS, "results": results, "open_cached_s": opened},
        given,
    )


def _write(path: Path) -> None:
    ids = np.random.default_rng(0).integers(1, VOCABULARY, (2, ROWS, TOKENS)).tolist()
    lines = (
        f'{{"in0": {a}, "in1": {b}, "label": {i % 2}}}\n'
        for i, (a, b) in enumerate(zip(*ids, strict=True))
    )
    path.write_text("".join(lines), encoding="utf-8")


def _opened(path: Path, cache: Path, rounds: int) -> list[float]:
    """Return how long it takes to open what was read before, each time in a new process."""
    program = (
        "import sys, time; from object2vec import Pairs; started = time.perf_counter(); "
        "Pairs.read(sys.argv[1], cache_dir=sys.argv[2]); print(time.perf_counter() - started)"
    )
    command = [sys.executable, "-c", program, str(path), str(cache)]
    return [
        float(subprocess.run(command, check=True, capture_output=True).stdout)
        for _ in range(rounds)
    ]


def ours(path: Path, cache: Path) -> Work:
    """Return a function that reads the file into columns on the disk."""
    from object2vec import Pairs

    def read() -> float:
        shutil.rmtree(cache, ignore_errors=True)
        return len(Pairs.read(path, cache_dir=cache))

    return read


def arrow(path: Path) -> Work:
    """Return the same by pyarrow, which uses every core."""
    import pyarrow as pa
    from pyarrow import json

    ids = pa.list_(pa.int32())
    schema = pa.schema({"in0": ids, "in1": ids, "label": pa.float32()})
    options = json.ParseOptions(explicit_schema=schema)

    def read() -> float:
        return json.read_json(path, parse_options=options).num_rows

    return read


def typed(path: Path) -> Work:
    """Return the same by msgspec, line by line."""
    import msgspec

    class Row(msgspec.Struct):
        in0: list[int]
        in1: list[int]
        label: float

    decoder = msgspec.json.Decoder(Row)

    def read() -> float:
        with path.open("rb") as file:
            return sum(1 for line in file if decoder.decode(line))

    return read


def plain(path: Path) -> Work:
    """Return the same by the standard library."""
    import json

    def read() -> float:
        with path.open("rb") as file:
            return sum(1 for line in file if json.loads(line))

    return read


if __name__ == "__main__":
    main()
