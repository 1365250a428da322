"""Rivals that take turns on the same work, each in a process of its own.

Every competitor has its own process, so that each has its own peak memory and none disturbs
another's caches, allocator or threads; all keep freed memory as object2vec's training does, except
those named plain. They take turns, a round each, and a ratio is taken within a round: what disturbs
the machine for a while disturbs all of them.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.common import table

Work = Callable[[], float]  # does one round of work and returns how many units it did
WARM_UP_ROUNDS = 2


def race(
    rivals: Mapping[str, tuple[Callable[..., Work], tuple[Any, ...]]],
    rounds: int,
    plain: Collection[str] = (),
) -> dict[str, dict[str, Any]]:
    """Let rivals take turns; return what each one did.

    Parameters
    ----------
    rivals : dict of str to (function, arguments)
        ``function(*arguments)`` is called in the rival's process and returns its work. The first
        rival is the one that the others are measured by.
    rounds : int
        Turns of each after the warm-up.
    plain : collection of str
        Rivals that leave the allocator as the system sets it.

    Returns
    -------
    dict of str to dict
        ``per_s``, units per second, median over the rounds; ``rounds``, all of them;
        ``peak_memory_mib``; ``ours_is_times``, the median ratio within a round of the first rival's
        rate to this one's, and its extremes ``ratio_spread``.
    """
    with _started(rivals, plain) as lanes:
        rates: dict[str, list[float]] = {name: [] for name in lanes}
        for _ in range(rounds):
            for name, lane in lanes.items():
                rates[name].append(_turn(lane))
        return _figures(rates, {name: _stop(lane) for name, lane in lanes.items()})


@contextlib.contextmanager
def lanes(
    rivals: Mapping[str, tuple[Callable[..., Work], tuple[Any, ...]]],
) -> Iterator[dict[str, Callable[[], float]]]:
    """Have rivals ready while the block runs; give what lets each do a round, for its rate."""
    with _started(rivals, ()) as started:
        yield {name: functools.partial(_turn, lane) for name, lane in started.items()}
        for lane in started.values():
            _stop(lane)


@contextlib.contextmanager
def _started(
    rivals: Mapping[str, tuple[Callable[..., Work], tuple[Any, ...]]], plain: Collection[str]
) -> Iterator[dict[str, Connection]]:
    context = multiprocessing.get_context("spawn")
    with contextlib.ExitStack() as stack:
        found: dict[str, Connection] = {}
        for name, (function, arguments) in rivals.items():
            near, far = context.Pipe()
            process = context.Process(target=_run, args=(far, function, arguments, name in plain))
            process.start()
            stack.callback(_end, process)
            found[name] = near
        for name, near in found.items():
            if near.recv() != "ready":
                raise SystemExit(f"{name} could not begin; its message stands above")
        yield found


def _turn(lane: Connection) -> float:
    """Let a rival do a round; return its rate."""
    lane.send("go")
    rate: float = lane.recv()
    return rate


def race_one_by_one(
    rivals: Mapping[str, tuple[Callable[..., Work], tuple[Any, ...]]], rounds: int
) -> dict[str, dict[str, Any]]:
    """Do the same one rival after the other: for those that do not fit into memory together."""
    alone = {name: race({name: rival}, rounds)[name] for name, rival in rivals.items()}
    return _figures(
        {name: figures["rounds"] for name, figures in alone.items()},
        {name: figures["peak_memory_mib"] for name, figures in alone.items()},
    )


def show(unit: str, results: list[dict[str, Any]], *keys: str) -> None:
    """Print results, the settings named by `keys` first."""
    table(
        (*keys, "of", unit, "ours is x", "from", "to", "peak MiB"),
        [
            (
                *(r[key] for key in keys),
                r["of"],
                f"{r['per_s']:.4g}",
                f"{r['ours_is_times']:.2f}",
                *(f"{ratio:.2f}" for ratio in r["ratio_spread"]),
                round(r["peak_memory_mib"]),
            )
            for r in results
        ],
    )


def _figures(
    rates: Mapping[str, list[float]], peaks: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    first = next(iter(rates.values()))
    figures = {}
    for name, theirs in rates.items():
        ratios = [ours / their for ours, their in zip(first, theirs, strict=True)]
        figures[name] = {
            "per_s": statistics.median(theirs),
            "rounds": theirs,
            "ours_is_times": statistics.median(ratios),
            "ratio_spread": [min(ratios), max(ratios)],
            "peak_memory_mib": peaks[name],
        }
    return figures


def _run(
    lane: Connection, function: Callable[..., Work], arguments: tuple[Any, ...], is_plain: bool
) -> None:
    """Be one rival: do a round of work whenever told to."""
    from object2vec.devices import retain_freed_memory

    try:
        if not is_plain:
            retain_freed_memory()
        work = function(*arguments)
        for _ in range(WARM_UP_ROUNDS):
            work()
    except BaseException:
        lane.send("failed")
        raise
    lane.send("ready")
    while lane.recv() == "go":
        started = time.perf_counter()
        units = work()
        lane.send(units / (time.perf_counter() - started))
    lane.send(_peak_mib())


def _peak_mib() -> float:
    """Return the peak memory of this process, or of one that it ran if that was larger.

    What getrusage says on Linux begins with the peak of the process that started this one.
    """
    ran = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
    status = Path("/proc/self/status")
    if not status.exists():
        return max(ran, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10)
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return max(ran, int(line.split()[1]) / 2**10)


def _end(process: Any) -> None:
    """Wait for a rival that was told to stop; end one that was not, as another could not begin."""
    process.join(timeout=5)
    process.kill()


def _stop(lane: Connection) -> float:
    """End a rival; return its peak memory in MiB."""
    lane.send("stop")
    peak: float = lane.recv()
    return peak
