"""What a study has found: a table for the terminal, and one page with pictures."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from object2vec.files.whole import whole_file
from object2vec.tuning.objective import Goal
from object2vec.tuning.search import Search
from object2vec.tuning.space import Numbers, Range
from object2vec.tuning.trials import Study, Trial

_WIDTH, _HEIGHT, _MARGIN = 960, 320, 48
_TABLED = 20  # trials of the table in the terminal


def table(study: Study, search: Search, *, most: int = _TABLED) -> list[str]:
    """Return the lines of a table: the best trials, and what their values matter."""
    names = list(search.space.ranges)
    rows = [["trial", study.objective.name, "epochs", "state", *names]]
    for trial in ranked(study.trials(), study.objective)[:most]:
        value = "" if trial.value is None else f"{trial.value:.6g}"
        said = [_short(trial.values.get(name)) for name in names]
        rows.append([str(trial.number), value, str(len(trial.course)), trial.state, *said])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(t.ljust(w) for t, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    if weights := search.importance(study.trials()):
        said = [f"{name} {share:.0%}" for name, share in weights.items()]
        lines.append(f"What decides: {', '.join(said)}.")
    return lines


def ranked(trials: Sequence[Trial], objective: Goal) -> list[Trial]:
    """Return trials, the best first; those without a value last."""

    def key(trial: Trial) -> tuple[bool, float, int]:
        value = trial.value
        return value is None, objective.sign * (value or 0.0), trial.number

    return sorted(trials, key=key)


def write_page(study: Study, search: Search) -> Path:
    """Write ``report.html`` into the folder of a study, and return its path.

    The page stands alone: it needs no network, and no script of others.
    """
    trials, objective = study.trials(), study.objective
    known = [trial for trial in trials if trial.value is not None]
    best = study.best()
    parts = [
        f"<h1>{html.escape(objective.name)}, to {objective.direction}</h1>",
        f"<p>{_summary(trials, best)}</p>",
        "<h2>History</h2>",
        *_history(known, objective),
        "<h2>Values and what they led to</h2>",
        *_coordinates(known, search, objective),
        "<h2>Importance</h2>",
        *_importance(search.importance(trials)),
        "<h2>Trials</h2>",
        *_rows(trials, search, objective),
    ]
    path = study.path / "report.html"
    with whole_file(path) as stream:
        stream.write((_HEAD + "\n".join(parts) + "</body></html>\n").encode())
    return path


def _summary(trials: Sequence[Trial], best: Trial | None) -> str:
    counts = {state: sum(trial.state == state for trial in trials) for state in _STATES}
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    found = "" if best is None else f" Best: trial {best.number}, {_short(best.value)}."
    return f"{len(trials)} trials: {said}.{found}"


_STATES = ("completed", "stopped", "failed", "running", "waiting")


def _history(trials: Sequence[Trial], objective: Goal) -> Iterator[str]:
    """Yield the picture of each trial's value, and of the best one so far."""
    if not trials:
        yield "<p>No trial has a value yet.</p>"
        return
    values = [trial.known_value for trial in trials]
    low, high = min(values), max(values)
    last = max(trial.number for trial in trials)

    def point(trial: Trial) -> tuple[float, float]:
        x = _MARGIN + (_WIDTH - 2 * _MARGIN) * (trial.number - 1) / max(1, last - 1)
        return x, _y((trial.known_value - low) / (high - low or 1.0))

    yield from _opened(_HEIGHT)
    best = math.inf
    path: list[str] = []
    for trial in trials:
        x, y = point(trial)
        cost = objective.sign * trial.known_value
        if cost < best:
            if path:
                path.append(f"H{x:.1f}")
            path.append(f"{'V' if path else f'M{x:.1f} '}{y:.1f}")
            best = cost
    yield f'<path class="best" d="{" ".join(path)} H{_WIDTH - _MARGIN}"/>'
    for trial in trials:
        x, y = point(trial)
        title = f"trial {trial.number}: {_short(trial.value)}"
        yield f'<circle class="{trial.state}" cx="{x:.1f}" cy="{y:.1f}" r="4">'
        yield f"<title>{html.escape(title)}</title></circle>"
    yield f'<text x="4" y="{_y(0):.0f}">{_short(low)}</text>'
    yield f'<text x="4" y="{_y(1):.0f}">{_short(high)}</text>'
    yield "</svg>"


def _coordinates(trials: Sequence[Trial], search: Search, objective: Goal) -> Iterator[str]:
    """Yield the picture with an axis for each hyperparameter, and a line for each trial."""
    if not trials:
        return
    values = [trial.known_value for trial in trials]
    ends = Numbers(min(values), max(values), "Linear")
    axes: list[tuple[str, Range]] = [*search.space.ranges.items(), (objective.name, ends)]
    step = (_WIDTH - 2 * _MARGIN) / max(1, len(axes) - 1)
    yield from _opened(_HEIGHT + 40)
    order = {trial.number: i for i, trial in enumerate(reversed(ranked(trials, objective)))}
    for trial in sorted(trials, key=lambda each: order[each.number]):
        said = [*(trial.values.get(name) for name, _ in axes[:-1]), trial.value]
        heights = [_share(each, value) for (_, each), value in zip(axes, said, strict=True)]
        points = [f"{_MARGIN + i * step:.1f},{_y(share):.1f}" for i, share in enumerate(heights)]
        share = order[trial.number] / max(1, len(trials) - 1)
        title = ", ".join(f"{n} {_short(v)}" for (n, _), v in zip(axes, said, strict=True))
        yield f'<polyline points="{" ".join(points)}" style="stroke:{_color(share)}">'
        yield f"<title>trial {trial.number}: {html.escape(title)}</title></polyline>"
    for i, (name, each) in enumerate(axes):
        yield from _axis(_MARGIN + i * step, name, each)
    yield "</svg>"


def _axis(x: float, name: str, each: Range) -> Iterator[str]:
    """Yield one axis with its name and its ends."""
    yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{_y(0):.0f}" y2="{_y(1):.0f}"/>'
    if isinstance(each, Numbers):
        marks: list[tuple[float, str]] = [(0.0, _short(each.low)), (1.0, _short(each.high))]
    else:
        marks = [(_share(each, value), value) for value in each.values]
    for share, text in marks:
        at, said = _y(share) + (14 if share == 0.0 else -6), html.escape(text)
        yield f'<text x="{x:.1f}" y="{at:.0f}" class="mark">{said}</text>'
    yield (
        f'<text class="name" transform="translate({x:.1f},{_HEIGHT + 8}) rotate(-12)">'
        f"{html.escape(name)}</text>"
    )


def _share(each: Range, value: Any) -> float:
    """Return how far up its axis a value stands, 0 to 1, on the scale that it is drawn on."""
    if not isinstance(each, Numbers):
        at = each.values.index(str(value)) if str(value) in each.values else 0
        return at / max(1, len(each.values) - 1)
    low, high, scale = each.low, each.high, each.resolved
    number = min(max(float(value), low), high)
    if scale == "Logarithmic":
        low, high, number = math.log(low), math.log(high), math.log(number)
    elif scale == "ReverseLogarithmic":
        low, high, number = -math.log(1 - low), -math.log(1 - high), -math.log(1 - number)
    return (number - low) / (high - low or 1.0)


def _importance(weights: dict[str, float]) -> Iterator[str]:
    if not weights:
        yield "<p>Too few trials to tell.</p>"
        return
    yield "<table>"
    for name, share in weights.items():
        bar = f'<span class="bar" style="width:{320 * share:.0f}px"></span>'
        yield f"<tr><td>{html.escape(name)}</td><td>{bar} {share:.0%}</td></tr>"
    yield "</table>"


def _rows(trials: Sequence[Trial], search: Search, objective: Goal) -> Iterator[str]:
    names = list(search.space.ranges)
    heads = ["trial", objective.name, "epochs", "seconds", "state", *names]
    yield f"<table><tr>{''.join(f'<th>{html.escape(head)}</th>' for head in heads)}</tr>"
    for trial in ranked(trials, objective):
        cells = [trial.number, _short(trial.value), len(trial.course), f"{trial.seconds:.1f}"]
        cells += [trial.state, *(_short(trial.values.get(name)) for name in names)]
        title = f' title="{html.escape(trial.error)}"' if trial.error else ""
        said = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells)
        yield f"<tr{title}>{said}</tr>"
    yield "</table>"


def _opened(height: int) -> Iterator[str]:
    yield f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">'


def _y(share: float) -> float:
    return _HEIGHT - _MARGIN - (_HEIGHT - 2 * _MARGIN) * share


def _color(share: float) -> str:
    """Return the color of a rank: grey for the worst, blue for the best."""
    return f"rgba({200 - 180 * share:.0f},{200 - 100 * share:.0f},{205 + 20 * share:.0f},0.8)"


def _short(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>object2vec tune</title><style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; color: #223; }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
svg { max-width: 100%; height: auto; } svg text { font-size: 11px; fill: #556 }
circle.completed { fill: #1464c8 } circle.stopped { fill: #b8bcc6 }
path.best { fill: none; stroke: #e0702a; stroke-width: 1.5 }
polyline { fill: none; stroke-width: 1.5 } polyline:hover { stroke: #e0702a !important }
line.axis { stroke: #889 } text.mark, text.name { text-anchor: middle }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px }
td, th { padding: 2px 10px 2px 0; text-align: left } .bar { display: inline-block; height: 10px;
background: #1464c8 }
</style></head><body>
"""
