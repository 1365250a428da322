r"""How well the cosine of two sentences follows what people say of them, on the STS benchmark.

Two commands, as a user would give them. The first learns from the captions of Multi30K: two of the
five of an image belong together, those of other images are the negatives. The second goes on from
it with the training pairs of STS, which have a score:

    object2vec train --train captions.tsv --columns a,image --in0 a:text --in1 b:text \
        --group image --pairs group --preset similarity --set epochs=3 --out captions
    object2vec train --train sts.tsv --columns a,b,score --in0 a:text --in1 b:text \
        --label score --preset similarity --set epochs=20 --start-from captions --out graded

`--vectors` begins with a file of vectors of words. `--dev` measures on the dev part instead, to
choose settings; then `--set` changes some of the first command, and `--graded` of the second.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import ROOT, parser, save, summary, table
from benchmarks.splits import PROTOCOLS, Sentences, captions, similarity
from object2vec import Object2Vec
from object2vec.evaluation import correlation_measure, cosines

GOALS = {"captions": "67 / 67 (70 / 70)", "with STS": "74 / 74 (77 / 77)"}
FIGURES = ("pearson", "spearman")
CAPTIONS = ("epochs=3",)  # each caption of an image is an in0 once an epoch
GRADED = ("epochs=20",)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure and save."""
    options = parser(__doc__ or "", "../shared/data")
    options.set_defaults(seeds=3, threads=2)
    options.add_argument("--dev", action="store_true", help="measure on dev, and save nothing")
    options.add_argument("--vectors", metavar="FILE", help="vectors of words to begin with")
    options.add_argument("--set", metavar="NAME=VALUE", action="append", default=[])
    options.add_argument("--graded", metavar="NAME=VALUE", action="append", default=[])
    given = options.parse_args(arguments)
    parts, images = similarity(given.data), captions(given.data)[: 500 if given.quick else None]
    measured = parts.dev if given.dev else parts.test
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in range(given.seeds):
        common = (f"seed={seed}", f"threads={given.threads}")
        first, second = (
            (*common, *chosen) for chosen in ((*CAPTIONS, *given.set), (*GRADED, *given.graded))
        )
        for name, values in _run(images, parts.train, measured, first, second, given.vectors):
            rows.setdefault(name, []).append(values)
        _tell(rows)
    if not given.dev:
        found = {name: _summary(values) for name, values in rows.items()}
        save(
            "similarity",
            {
                "protocol": PROTOCOLS["similarity"],
                "goals": GOALS,
                "rows": found,
            },
            given,
        )


def _run(
    images: Sequence[Sequence[str]],
    graded: Sentences,
    measured: Sentences,
    first: Sequence[str],
    second: Sequence[str],
    vectors: str | None,
) -> Iterable[tuple[str, dict[str, float]]]:
    """Yield what each of the two commands has reached."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        members = [(caption, i) for i, image in enumerate(images) for caption in image]
        _write(folder / "captions.tsv", members)
        words = ["--columns", "a,image", "--group", "image", "--pairs", "group"]
        words += ["--vectors", vectors] if vectors else []
        seconds = _train(folder, "captions", [*words, *_settings(first)])
        yield "captions", _figures(folder / "captions", measured) | {"seconds": seconds}
        _write(folder / "graded.tsv", zip(graded.first, graded.second, graded.score, strict=True))
        words = ["--columns", "a,b,score", "--label", "score", "--start-from", "captions"]
        seconds += _train(folder, "graded", [*words, *_settings(second)])
        yield "with STS", _figures(folder / "graded", measured) | {"seconds": seconds}


def _write(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows(rows)


def _settings(chosen: Iterable[str]) -> list[str]:
    return [word for each in chosen for word in ("--set", each)]


def _train(folder: Path, name: str, words: Sequence[str]) -> float:
    """Run a command on a table of this name; return how many seconds it took."""
    command = [
        sys.executable,
        "-m",
        "object2vec",
        "train",
        "--train",
        f"{name}.tsv",
        "--out",
        name,
        "--in0",
        "a:text",
        "--in1",
        "b:text",
        "--preset",
        "similarity",
        "--separator",
        "\t",
        "--log-format",
        "plain",
    ]
    started = time.perf_counter()
    subprocess.run(
        [*command, *words],
        check=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    return time.perf_counter() - started


def _figures(model: Path, measured: Sentences) -> dict[str, float]:
    """Return 100 times the correlations of the cosine with the scores."""
    loaded = Object2Vec.load(model)
    a, b = loaded.encode(in0=measured.first), loaded.encode(in1=measured.second)
    values = correlation_measure(cosines(a, b), measured.score).values()
    return {name: 100 * values[name] for name in FIGURES}


def _summary(values: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    return {name: summary([each[name] for each in values]) for name in values[0]}


def _tell(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Print the means so far."""
    names = (*FIGURES, "seconds")
    means = [[name, *(_mean(row, each) for each in names)] for name, row in rows.items()]
    table(["trained on", *names], means)
    sys.stdout.flush()


def _mean(row: Sequence[Mapping[str, float]], name: str) -> float:
    return sum(each[name] for each in row) / len(row)


if __name__ == "__main__":
    main()
