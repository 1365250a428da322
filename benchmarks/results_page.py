"""The tables of docs/results.md: each task's figures beside those of its peers, the best first.

What object2vec reached stands in ``results/TASK.json``, what peers reached in
``results/peers_TASK.json``; both name their rows. Nothing is left out: what is better than
object2vec stands above it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Shown:
    """A figure of a table.

    Parameters
    ----------
    name : str
        In the results file.
    title : str
    form : str
        How it is written.
    is_less_better : bool
    """

    name: str
    title: str
    form: str = ".3f"
    is_less_better: bool = False


@dataclass(frozen=True)
class TaskTable:
    """What is shown of a task.

    Parameters
    ----------
    title : str
        In the README.
    figures : sequence of Shown
        The first one orders the rows.
    files : sequence of str
        Names of results files without a suffix, object2vec's first.
    peers : sequence of str
        Those without which a comparison would flatter us.
    """

    title: str
    figures: Sequence[Shown]
    files: Sequence[str]
    peers: Sequence[str] = ()


_F1 = (
    Shown("micro_f1", "micro F1", ".1%"),
    Shown("micro_f1_per_label", "with a threshold each", ".1%"),
    Shown("macro_f1_per_label", "macro F1", ".1%"),
)
_LABELLERS = ("logistic regression on TF-IDF", "fastText")
TASKS = {
    "retrieval": TaskTable(
        "find the article of a sentence, hits@1",
        (
            Shown("hits@1", "hits@1", ".1%"),
            Shown("hits@10", "hits@10", ".1%"),
            Shown("mean_rank", "mean rank", ".0f", is_less_better=True),
        ),
        ("retrieval", "peers_retrieval"),
        ("BM25", "TF-IDF", "StaticEmbedding"),
    ),
    "ratings": TaskTable(
        "predict ratings, MSE",
        (
            Shown("mean_squared_error", "MSE", ".4f", is_less_better=True),
            Shown("mean_absolute_error", "MAE", ".4f", is_less_better=True),
        ),
        ("ratings", "peers_ratings"),
        ("myFM", "Bayesian MF (Gibbs)", "cornac MF", "Surprise SVD", "Surprise SVD++"),
    ),
    "topn": TaskTable(
        "recommend artists, recall@20",
        (Shown("recall@20", "recall@20", ".4f"), Shown("ndcg@20", "NDCG@20", ".4f")),
        ("topn", "peers_topn"),
        ("ALS", "EASE"),
    ),
    "similarity": TaskTable(
        "similar sentences, Pearson x 100",
        (Shown("pearson", "Pearson", ".1f"), Shown("spearman", "Spearman", ".1f")),
        ("similarity", "peers_similarity"),
        ("StaticEmbedding, captions", "StaticEmbedding, captions and STS"),
    ),
    "nli": TaskTable(
        "infer one sentence from another, accuracy",
        (Shown("test", "accuracy", ".1%"), Shown("dev", "dev", ".1%")),
        ("nli", "nli"),
    ),
    "goemotions": TaskTable(
        "emotions of texts, micro F1", _F1, ("goemotions", "peers_goemotions"), _LABELLERS
    ),
    "tmdb5000": TaskTable(
        "genres of films, micro F1", _F1, ("tmdb5000", "peers_tmdb5000"), _LABELLERS
    ),
}


def task_table(task: str) -> str:
    """Return the protocol and the table of a task."""
    shown = TASKS[task]
    found = [result for name in dict.fromkeys(shown.files) if (result := _result(name))]
    named = {row["of"]: row for row in _rows(found, shown.figures[0].name)}
    rows = sorted(named.values(), key=_order(shown.figures[0]))
    if not rows:
        return "Not measured yet.\n"
    best = {each.name: _best(rows, each) for each in shown.figures}
    titles = ["of", *(each.title for each in shown.figures), "seeds", "seconds", "peak MiB"]
    lines = ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    for row in rows:
        cells = [row["of"], *(_cell(row, each, best[each.name]) for each in shown.figures)]
        cells += [str(row["seeds"]), _plain(row["seconds"]), _plain(row["memory"])]
        lines.append("| " + " | ".join(cells) + " |")
    notes = [f"Protocol: {found[0]['protocol']}.", "", *lines, "", *_commands(found)]
    if missing := [name for name in shown.peers if name not in named]:
        notes += [f"Still to be measured: {', '.join(missing)}.", ""]
    return "\n".join(notes)


def gist() -> str:
    """Return the README's table: object2vec's best row of each task, and the best peer's.

    Tasks of which we or a peer that matters have no figures are left out.
    """
    lines = []
    for task in TASKS.values():
        figure = task.figures[0]
        sides = [[result] if (result := _result(name)) else [] for name in task.files]
        ours, peers = (sorted(_rows(found, figure.name), key=_order(figure)) for found in sides)
        ours = [row for row in ours if row["of"].startswith("object2vec")]
        peers = [row for row in peers if not row["of"].startswith("object2vec")]
        if ours and peers and {row["of"] for row in peers} >= {*task.peers}:
            of = peers[0]["of"]
            cells = _cell(ours[0], figure), f"{_cell(peers[0], figure)}, {of}"
            lines.append(f"| {task.title} | {' | '.join(cells)} |")
    header = [
        "What vectors are worth, beside the tools that one would take instead, run by us on the",
        "same splits ([all of them](docs/results.md)):",
        "",
        "| task | object2vec | best of the peers |",
        "| --- | --- | --- |",
    ]
    return "\n".join([*header, *lines]) + "\n\n" if lines else ""


def _result(name: str) -> dict[str, Any]:
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found | {"file": path.name} if found else {}


def _rows(results: Sequence[Mapping[str, Any]], needed: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of results files: figures, how many seeds, seconds and memory."""
    for result in results:
        for row in result.get("peers", ()):
            yield {
                "of": row["of"],
                "figures": row["figures"],
                "seeds": row["seeds"],
                "seconds": row["seconds"]["mean"],
                "memory": row["peak_memory_mib"],
            }
        for row in result.get("results", ()):
            if needed in row:
                yield {
                    "of": row["of"],
                    "figures": row,
                    "seeds": len(row[needed]["values"]),
                    "seconds": row["total_s"]["mean"],
                    "memory": None,
                }
        for name, figures in result.get("rows", {}).items():
            if needed in figures:
                seconds, memory = (
                    figures.get(n, {}).get("mean") for n in ("seconds", "memory_mib")
                )
                yield {
                    "of": _ours(name),
                    "figures": figures,
                    "seconds": seconds,
                    "memory": memory,
                    "seeds": len(figures[needed]["values"]),
                }


def _ours(name: str) -> str:
    return name if "object2vec" in name or name == "BM25" else f"object2vec, {name}"


def _order(figure: Shown) -> Callable[[Mapping[str, Any]], float]:
    sign = 1 if figure.is_less_better else -1
    return lambda row: sign * row["figures"][figure.name]["mean"]


def _best(rows: Sequence[Mapping[str, Any]], figure: Shown) -> float | None:
    values = [r["figures"][figure.name]["mean"] for r in rows if figure.name in r["figures"]]
    choose = min if figure.is_less_better else max
    return choose(values, default=None)


def _cell(row: Mapping[str, Any], figure: Shown, best: float | None = None) -> str:
    """Return the mean of a figure, how far the seeds lie from it, and whether it is the best."""
    found = row["figures"].get(figure.name)
    if found is None:
        return ""
    text = format(found["mean"], figure.form)
    if found["mean"] == best:
        text = f"**{text}**"
    if len(found["values"]) > 1:
        text += f" ± {format((found['max'] - found['min']) / 2, figure.form)}"
    return text


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _commands(results: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield where the figures are from."""
    for result in results:
        machine, day = result["machine"], result["date"][:10]
        yield (
            f"`benchmarks/results/{result['file']}`, by `{result['command']}`, {day}: "
            f"{machine['cpu']}, {result['threads']} of {machine['cores']} cores."
        )
        yield ""
        for name, origin in result.get("earlier", {}).items():
            yield f"{name}: by `{origin['command']}`, {origin['date'][:10]}."
            yield ""
