"""The memory that training needs, with data ten times larger than its allowance.

The promise: peak resident memory stays within 1.3 times the token tables and their optimizer state,
plus 512 MB, whatever the size of the data. Here tables and state are small, so the allowance is
about 600 MB, and the JSON Lines file has ten times as many bytes. The file is written first, then
`object2vec train` runs on it: reading, checking, one epoch, saving. Beside it the same training on
a thousandth of it.

No data needed, but room on the disk: 20 GB in the folder `--work`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import save, speed_parser, table

VOCABULARY, WIDTH, TOKENS = 20_000, 256, 50
TABLES_BYTES = 2 * VOCABULARY * WIDTH * 4 * 3  # two tables, each with two states of adam
ALLOWANCE_BYTES = 1.3 * TABLES_BYTES + 512e6
ROWS = 4096  # written at a time, again and again in another order


def main() -> None:
    """Train on both files."""
    options = speed_parser(__doc__, rounds=None)
    options.add_argument("--work", type=Path, default=None, help="folder for 20 GB; temporary")
    given = options.parse_args()
    runs = []
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        for times in (0.01, 10):
            data = Path(folder) / "train.jsonl"
            rows = _write(data, times * ALLOWANCE_BYTES)
            run = {"data_bytes": data.stat().st_size, "pairs": rows} | _train(Path(folder), given)
            runs.append(run | {"of_allowance": run["peak_bytes"] / ALLOWANCE_BYTES})
            data.unlink()
    table(
        ("data MB", "pairs", "peak MB", "of the allowance", "seconds"),
        [
            (
                round(r["data_bytes"] / 1e6),
                r["pairs"],
                round(r["peak_bytes"] / 1e6),
                r["of_allowance"],
                round(r["seconds"]),
            )
            for r in runs
        ],
    )
    save(
        "memory",
        {"tables_and_state_bytes": TABLES_BYTES, "allowance_bytes": ALLOWANCE_BYTES, "runs": runs},
        given,
    )


def _write(path: Path, size_bytes: float) -> int:
    """Write pairs until the file has this size; return their number."""
    draw = np.random.default_rng(0)
    ids = draw.integers(1, VOCABULARY, (2, ROWS, TOKENS)).tolist()
    lines = [
        f'{{"in0": {a}, "in1": {b}, "label": {i % 2}}}\n'
        for i, (a, b) in enumerate(zip(*ids, strict=True))
    ]
    rows = 0
    with path.open("w", encoding="utf-8") as file:
        while file.tell() < size_bytes:
            file.write("".join(lines[i] for i in draw.permutation(ROWS)))
            rows += ROWS
    return rows


def _train(folder: Path, given: Any) -> dict[str, float]:
    """Train on the file for an epoch; return peak memory and time of the command."""
    settings = {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": TOKENS,
        "enc0_vocab_size": VOCABULARY,
        "enc_dim": WIDTH,
        "comparator_list": "hadamard",
        "token_embedding_storage_type": "row_sparse",
        "mini_batch_size": 4096,
        "epochs": 1,
        "threads": given.threads,
    }
    (folder / "hp.json").write_text(json.dumps(settings), encoding="utf-8")
    model = folder / "model"
    command = [
        sys.executable,
        "-m",
        "object2vec",
        "train",
        "--train",
        str(folder / "train.jsonl"),
        "--config",
        str(folder / "hp.json"),
        "--out",
        str(model),
        "--log-format",
        "plain",
    ]
    started = time.perf_counter()
    environment = os.environ | {"OBJECT2VEC_CACHE": str(folder / "cache")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SystemExit(f"{' '.join(command)} failed with status {status}")
    shutil.rmtree(model)
    shutil.rmtree(folder / "cache")
    return {"peak_bytes": usage.ru_maxrss * 1024, "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    main()
