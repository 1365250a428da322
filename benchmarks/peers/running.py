"""Runs peers, each seed in a process of its own, and keeps what they measured."""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import save, speed_parser, summary, table
from benchmarks.splits import PROTOCOLS

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Peer:
    """Another tool.

    Parameters
    ----------
    run : callable
        ``run(data, seed, is_dev, **settings)`` returns figures by name, of dev or of test.
    settings : mapping
        Those that were chosen on dev.
    grid : mapping of str to sequence
        What was compared; the other settings stayed as they are.
    seeds : int
        1 where nothing is drawn.
    package : str
        What it is of.
    """

    run: Callable[..., dict[str, float]]
    settings: Settings = field(default_factory=dict)
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    seeds: int = 3
    package: str = "numpy"


def main(
    task: str, peers: Mapping[str, Peer], doc: str | None, arguments: Sequence[str] | None = None
) -> None:
    """Run the peers of a task that are asked for.

    Parameters
    ----------
    task : str
        Name of the results file and of the protocol.
    peers : mapping of str to Peer
    doc : str
        Docstring of the script.
    arguments : sequence of str, optional
        In place of the command line's.
    """
    options = speed_parser(doc or "", "../shared/data", rounds=None)
    options.add_argument("--only", choices=peers, action="append", help="these peers alone")
    options.add_argument("--choose", action="store_true", help="compare settings on dev")
    options.add_argument("--seeds", type=int, help="at the most; by default as each peer needs")
    options.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="another setting, such as steps=100",
    )
    given = options.parse_args(arguments)
    given.script = f"peers.{Path(sys.argv[0]).stem}"
    more = {
        name: json.loads(value) for name, _, value in (text.partition("=") for text in given.set)
    }
    chosen = {name: peers[name] for name in given.only or peers}
    if given.choose:
        _choose(task, chosen, more, given)
        return
    rows = []
    for name, peer in chosen.items():
        seeds = min(peer.seeds, given.seeds or peer.seeds)
        rows.append(_measured(name, peer, dict(peer.settings) | more, seeds, given))
        _merge(f"peers_{task}", "peers", rows, {"protocol": PROTOCOLS[task]}, given)


def _measured(
    name: str, peer: Peer, settings: Settings, seeds: int, given: argparse.Namespace
) -> dict[str, Any]:
    """Return what a peer's runs measured on test."""
    runs = [_alone(peer.run, given.data, seed, False, settings) for seed in range(seeds)]
    figures = {f: summary([run["figures"][f] for run in runs]) for f in runs[0]["figures"]}
    seconds = summary([run["seconds"] for run in runs])
    memory = max(run["peak_memory_mib"] for run in runs)
    means = [each["mean"] for each in (*figures.values(), seconds)]
    table(["peer", *figures, "seconds", "MiB"], [[name, *means, memory]])
    return {
        "of": name,
        "package": peer.package,
        "settings": dict(settings),
        "seeds": seeds,
        "figures": figures,
        "seconds": seconds,
        "peak_memory_mib": memory,
    }


def _choose(
    task: str, peers: Mapping[str, Peer], more: Settings, given: argparse.Namespace
) -> None:
    """Print and write what each of the settings to compare gives on dev."""
    for name, peer in peers.items():
        trials = []
        for values in itertools.product(*peer.grid.values()):
            settings = dict(peer.settings) | more | dict(zip(peer.grid, values, strict=True))
            run = _alone(peer.run, given.data, 0, True, settings)
            trials.append(
                {"of": name, "settings": settings, "dev": run["figures"], "seconds": run["seconds"]}
            )
            print(
                name,
                dict(zip(peer.grid, values, strict=True)),
                run["figures"],
                f"{run['seconds']:.0f} s",
                flush=True,
            )
        _merge(f"peers_{task}_choose", "trials", trials, {"protocol": PROTOCOLS[task]}, given)


def _alone(
    run: Callable[..., dict[str, float]], data: Path, seed: int, is_dev: bool, settings: Settings
) -> dict[str, Any]:
    """Return the figures, seconds and peak memory of a run in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(partial(_timed, run, data, seed, is_dev, dict(settings))).result()


def _timed(
    run: Callable[..., dict[str, float]], data: Path, seed: int, is_dev: bool, settings: Settings
) -> dict[str, Any]:
    started = time.perf_counter()
    figures = run(data, seed, is_dev, **settings)
    seconds = figures.pop("seconds", time.perf_counter() - started)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"figures": figures, "seconds": seconds, "peak_memory_mib": memory}


def _merge(
    name: str, key: str, rows: Sequence[Mapping[str, Any]], facts: Settings, given: Any
) -> None:
    """Write rows into a results file, beside those of peers that were not run now."""
    path = given.results / f"{name}.json"
    old = json.loads(path.read_text(encoding="utf-8"))[key] if path.exists() else []
    ran = {row["of"] for row in rows}
    kept = [row for row in old if row["of"] not in ran]
    every = [*kept, *rows]
    packages = sorted({"numpy", *(row.get("package", "numpy") for row in every)})
    command = f"python -m benchmarks.{given.script} --data PATH/data"
    command += " --choose" if given.choose else ""
    save(name, {"command": command, **facts, key: every}, given, versions=packages)
