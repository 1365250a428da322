"""How long it takes to begin: importing, the first answer of the command line, the first step.

Each line is a fresh process, in turns, `--rounds` times after one that only warms the disk's cache.
``first step`` is a whole `object2vec train` of a single batch on data that were read before: with
start-up, opening the cache, the step, and saving the model. Beside them, what importing the
libraries costs that a user would take otherwise.

No data needed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import save, speed_parser, table

PEERS = ("torch", "gensim", "sentence_transformers", "model2vec")


def main() -> None:
    """Time every command."""
    options = speed_parser(__doc__)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        commands = _commands(Path(folder))
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(given.rounds + 1):
            for name, command in commands.items():
                shutil.rmtree(Path(folder) / "model", ignore_errors=True)
                taken = _time(command, Path(folder))
                if turn:
                    seconds[name].append(taken)
    results = [
        {"of": name, "median_s": statistics.median(times), "rounds_s": times}
        for name, times in seconds.items()
    ]
    table(
        ("what", "median s", "fastest", "slowest"),
        [(r["of"], r["median_s"], min(r["rounds_s"]), max(r["rounds_s"])) for r in results],
    )
    save("startup", {"results": results}, given)


def _commands(folder: Path) -> dict[str, list[str]]:
    """Return the command of each line."""
    train = folder / "train.jsonl"
    lines = [f'{{"in0": [{i}], "in1": [{i + 1}], "label": {i % 2}}}\n' for i in range(1, 65)]
    train.write_text("".join(lines), encoding="utf-8")
    settings = {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": 1,
        "enc0_vocab_size": 100,
        "enc_dim": 64,
        "mini_batch_size": 64,
        "epochs": 1,
    }
    (folder / "hp.json").write_text(json.dumps(settings), encoding="utf-8")
    program = [sys.executable, "-m", "object2vec"]
    own = {
        "import object2vec": [sys.executable, "-c", "import object2vec"],
        "object2vec --help": [*program, "--help"],
        "first step": [
            *program,
            "train",
            "--train",
            str(train),
            "--config",
            str(folder / "hp.json"),
            "--out",
            str(folder / "model"),
        ],
    }
    bare = {"python -c pass": [sys.executable, "-c", "pass"]}
    found = [name for name in PEERS if importlib.util.find_spec(name)]
    return own | bare | {f"import {n}": [sys.executable, "-c", f"import {n}"] for n in found}


def _time(command: list[str], folder: Path) -> float:
    environment = os.environ | {"OBJECT2VEC_CACHE": str(folder / "cache")}
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
