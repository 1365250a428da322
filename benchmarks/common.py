"""What the benchmarks share: their options, the record of a training run, and the results file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_PACKAGES = ("object2vec", "torch", "numpy", "numba", "pyarrow")


def parser(doc: str, data: str) -> argparse.ArgumentParser:
    """Return the options of a benchmark of quality.

    Parameters
    ----------
    doc : str
        The script's docstring; its help text.
    data : str
        Where the data lies by default, as seen from the root of the repository.
    """
    options = _parser(doc, data, threads=1)
    options.add_argument("--seeds", type=int, default=5, help="runs with seed 0, 1, ...")
    options.add_argument(
        "--quick", action="store_true", help="a small run that only shows it works"
    )
    return options


def speed_parser(
    doc: str, data: str | None = None, rounds: int | None = 7, threads: int | None = 2
) -> argparse.ArgumentParser:
    """Return the options of a benchmark of speed; `data` if it needs some, None if not.

    `rounds` is the default number of measured turns, None where nothing takes turns; `threads` that
    of threads, None where the settings that are measured decide.
    """
    options = _parser(doc, data, threads)
    if rounds is not None:
        options.add_argument("--rounds", type=int, default=rounds, help=f"default: {rounds}")
    return options


def _parser(doc: str, data: str | None, threads: int | None) -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if data is not None:
        options.add_argument("--data", type=Path, default=ROOT / data, help=f"default: {data}")
    options.add_argument(
        "--results",
        type=Path,
        default=ROOT / "benchmarks/results",
        help="folder of the JSON files; default: benchmarks/results",
    )
    if threads is None:
        options.set_defaults(threads=0)  # all cores, the hyperparameter's default
    else:
        options.add_argument("--threads", type=int, default=threads)
    return options


class Recorder:
    """Keeps the events of a run as dicts.

    A reporter as `object2vec.Object2Vec.fit` takes it.
    """

    def __init__(self) -> None:
        self.history: list[dict[str, Any]] = []

    def __call__(self, event: Any) -> None:
        """Take the next event."""
        if event.name in ("epoch", "test", "finished"):
            self.history.append(event.to_dict())

    def close(self) -> None:
        """Do nothing: no file is open."""


def curve(history: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the metrics of each epoch of a run's events."""
    return [
        {"epoch": event["epoch"], "train": event["train"], "validation": event["validation"]}
        for event in history
        if event["event"] == "epoch"
    ]


def ending(history: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how a run ended: best epoch and loss, early stopping or not, seconds."""
    (finished,) = (event for event in history if event["event"] == "finished")
    return {name: finished[name] for name in ("epochs", "best_epoch", "stopped_early", "total_s")}


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Return the mean, the extremes and the values themselves."""
    return {
        "mean": sum(values) / len(values),
        "min": min(values),
        "max": max(values),
        "values": list(values),
    }


def save(
    name: str,
    result: Mapping[str, Any],
    options: argparse.Namespace,
    *,
    versions: Sequence[str] = _PACKAGES,
) -> None:
    """Write a result with what is needed to run it again, and say where it lies.

    `versions` are the packages that it needs. What `result` has, such as a command, holds.
    """
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / f"{name}.json"
    script = Path(sys.argv[0]).stem
    facts = {
        "command": f"python -m benchmarks.{script} {_arguments()}".strip(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": _machine(),
        "versions": {each: version(each) for each in versions}
        | {"python": platform.python_version()},
        "threads": options.threads,
    }
    path.write_text(json.dumps(facts | dict(result), indent=1) + "\n", encoding="utf-8")
    print(f"-> {path.name}\n", flush=True)


def _arguments() -> str:
    """Return the words of the command line, without the folders of this machine."""
    return shlex.join(
        f"PATH/{Path(word).name}" if Path(word).is_absolute() else word for word in sys.argv[1:]
    )


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows in columns; floats with four digits."""
    texts = [
        list(header),
        *([f"{v:.4f}" if isinstance(v, float) else str(v) for v in row] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for text in texts:
        print("  ".join(cell.ljust(width) for cell, width in zip(text, widths, strict=True)))


def _commit() -> str:
    """Return the commit, marked where the code differs from it."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "benchmarks/*.py")
    return (git("rev-parse", "HEAD") or "unknown") + (" with changes" if changed else "")


def _machine() -> dict[str, Any]:
    """Return processor, cores and memory."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        model = platform.processor() or platform.machine()
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": platform.platform(),
    }


def _memory_gib() -> float | None:
    """Return the machine's memory, or None where the system does not say."""
    try:
        size_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return round(size_bytes / 2**30, 1)
