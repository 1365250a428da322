"""How well the cosine of sentence vectors follows people, on the STS tasks of 2012 to 2016.

The table of AWS's comparison with InferSent: for each year Pearson's correlation, as the mean of
the year's data sets and as the mean weighted by their pairs; Spearman's beside it. A pair without a
score (STS'15 and '16 rated a part of them) is left out. Both sentences go through one encoder, as
in AWS's notebook.

    python -m benchmarks.sts --model MODEL --data DIR

The data are not ours to pass on: https://ixa2.si.ehu.eus/stswiki. DIR holds a folder for each year,
called after it (STS12-en-test, sts2016-english-with-gs-v1.0), with files as they were published:
STS.input.MSRvid.txt, a pair a line with a tab between the sentences, and STS.gs.MSRvid.txt, a score
a line. `--vectors` measures the mean of word vectors instead of a model.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import save, speed_parser, table
from object2vec.evaluation import correlation_measure, cosines

Floats = NDArray[np.float64]
Encode = Callable[[list[str]], NDArray[Any]]

YEARS = (2012, 2013, 2014, 2015, 2016)
# Pearson in the charts of AWS's post, read off to half a point.
QUOTED = {
    "Object2Vec": (0.604, 0.583, 0.632, 0.696, 0.676),
    "InferSent": (0.572, 0.586, 0.676, 0.685, 0.687),
}
_YEAR = re.compile(r"sts(?:20)?(1[2-6])(?!\d)", re.IGNORECASE)


@dataclass(frozen=True)
class Dataset:
    """The rated pairs of one data set."""

    year: int
    name: str
    first: list[str]
    second: list[str]
    score: Floats


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure a model on all data sets that are there."""
    options = speed_parser(__doc__, "../shared/data/sts", rounds=None)
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", help="folder of a model whose objects are texts")
    source.add_argument("--vectors", type=Path, help="word vectors as GloVe writes them")
    options.add_argument("--side", choices=("in0", "in1"), default="in0", help="the encoder")
    given = options.parse_args(arguments)
    encode = _mean_of_words(given.vectors) if given.vectors else _encoder(given)
    found = [_measured(each, encode) for each in datasets(given.data)]
    if not found:
        raise SystemExit(f"{given.data} holds no folder of a year with STS.input and STS.gs files")
    years = [_of_year(year, [each for each in found if each["year"] == year]) for year in YEARS]
    years = [each for each in years if each]
    table(
        (
            "year",
            "sets",
            "pairs",
            "Pearson",
            "weighted",
            "Spearman",
            "weighted ",
            *(f"{name}, quoted" for name in QUOTED),
        ),
        [
            (
                y["year"],
                y["datasets"],
                y["pairs"],
                y["pearson"],
                y["pearson_weighted"],
                y["spearman"],
                y["spearman_weighted"],
                *(values[YEARS.index(y["year"])] for values in QUOTED.values()),
            )
            for y in years
        ],
    )
    save("sts", {"years": years, "datasets": found, "quoted": QUOTED}, given)


def datasets(folder: Path) -> Iterator[Dataset]:
    """Yield the data sets of all years, by year and name."""
    found = []
    for path in folder.rglob("*.input.*.txt"):
        year = _YEAR.search(str(path.relative_to(folder)))
        gold = path.with_name(path.name.replace(".input.", ".gs."))
        name = path.name.split(".input.")[1].removesuffix(".txt")
        if year and gold.exists() and name != "ALL":
            found.append((2000 + int(year[1]), name, path, gold))
    for year, name, path, gold in sorted(found):
        yield _read(year, name, path, gold)


def _read(year: int, name: str, pairs: Path, gold: Path) -> Dataset:
    """Return the pairs that have a score; what else a line says, such as its origin, is left."""
    lines = [p.read_text(encoding="utf-8").removesuffix("\n").split("\n") for p in (pairs, gold)]
    if len(lines[0]) != len(lines[1]):
        raise SystemExit(f"{pairs} has {len(lines[0])} lines, and {gold} {len(lines[1])}")
    rated = [
        (*line.split("\t")[:2], float(score))
        for line, score in zip(*lines, strict=True)
        if score.strip()
    ]
    first, second, scores = zip(*rated, strict=True)
    return Dataset(year, name, list(first), list(second), np.array(scores))


def _measured(dataset: Dataset, encode: Encode) -> dict[str, Any]:
    scores = cosines(encode(dataset.first), encode(dataset.second))
    values = correlation_measure(scores, dataset.score).values()
    return {"year": dataset.year, "name": dataset.name, "pairs": len(scores), **values}


def _of_year(year: int, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the means of a year's data sets; nothing if there are none."""
    if not found:
        return {}
    pairs = np.array([each["pairs"] for each in found])
    means: dict[str, float] = {}
    for name in ("pearson", "spearman"):
        values = np.array([each[name] for each in found])
        means[name] = float(values.mean())
        means[f"{name}_weighted"] = float(values @ pairs / pairs.sum())
    return {"year": year, "datasets": len(found), "pairs": int(pairs.sum()), **means}


def _encoder(given: argparse.Namespace) -> Encode:
    from object2vec import Object2Vec

    model = Object2Vec.load(given.model)
    return lambda texts: model.encode(**{given.side: texts})


def _mean_of_words(path: Path) -> Encode:
    """Return what makes the mean of the vectors of a text's words."""
    from object2vec.files.contents import read_blocks
    from object2vec.files.sources import list_sources

    (source,) = list_sources([str(path)])
    text = b"".join(block.data for block in read_blocks(source)).decode("utf-8")
    rows = (line.split(" ") for line in text.splitlines())
    vectors = {row[0]: np.array(row[1:], np.float64) for row in rows}
    nothing = np.zeros(len(next(iter(vectors.values()))))

    def encode(texts: list[str]) -> Floats:
        words = [re.findall(r"\w+|[^\w\s]", text.lower()) for text in texts]
        return np.stack([sum((vectors.get(w, nothing) for w in each), nothing) for each in words])

    return encode


if __name__ == "__main__":
    main()
