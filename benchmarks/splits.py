"""The data of each task, cut into parts in one way for object2vec and for its peers.

Each function takes the folder that holds all data sets, as ``--data`` names it, and returns train,
dev and test parts. Settings are chosen with train and dev; test is looked at once, at the end. What
a part holds is said in its docstring, and in `PROTOCOLS`, which results files quote.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Tokens = list[str]
Part = TypeVar("Part")

DEV_ARTICLES, TEST_ARTICLES = 2_000, 10_000
PROTOCOLS = {
    "retrieval": "wikipedia_en_63k: of 42,383 articles (seed 0) 2,000 dev and 10,000 test; one "
    "random sentence of each test article asks for the rest of its article among the rests of all "
    "10,000, all tokens as they are",
    "ratings": "MovieLens 100K, ua.base (90,570 ratings) and ua.test (9,430, 10 of each user); "
    "dev: 10 ratings of each user of ua.base, at most half of them (seed 0)",
    "topn": "lastfm (LightGCN's split): 1,885 users, 17,388 artists; all artists are ranked "
    "without those of train and valid; recall@20 = hits / test artists of a user, mean over users",
    "similarity": "STS benchmark, 1,379 test pairs by cosine; trained on the captions of "
    "Multi30K's 29,000 images, without or with the 5,749 training pairs of STS",
    "nli": "snli_counterfactual: 8,330 train, 1,000 dev and 2,000 test pairs",
    "goemotions": "GoEmotions, 28 labels: 43,410 train, 5,426 dev and 5,427 test texts",
    "tmdb5000": "TMDB 5000: films with overview and genre, 70 % train, 10 % dev, 20 % test "
    "(seed 0)",
}


@dataclass(frozen=True)
class Split(Generic[Part]):
    """The parts of a data set."""

    train: Part
    dev: Part
    test: Part


@dataclass(frozen=True)
class Queries:
    """Sentences, and for each the rest of the article that it was taken out of."""

    sentences: list[Tokens]
    rests: list[Tokens]


@dataclass(frozen=True)
class Articles:
    """Articles to learn from, each a list of sentences, and queries to measure with."""

    train: list[list[Tokens]]
    dev: Queries
    test: Queries

    def to_choose_by(self) -> Articles:
        """Return parts with as many dev queries as test has: articles of training become dev.

        None of these is learned from, and they alone are ranked, so that what is measured on dev is
        what test would show, but for the articles that training lacks. Among articles that were
        learned from, those of dev would be easier to find.
        """
        more = max(0, len(self.test.rests) - len(self.dev.rests))
        added = _queries(self.train[:more], np.random.default_rng(2))
        dev = Queries(self.dev.sentences + added.sentences, self.dev.rests + added.rests)
        return Articles(self.train[more:], dev, self.test)


def retrieval(data: Path, dev: int = DEV_ARTICLES, test: int = TEST_ARTICLES) -> Articles:
    """Return articles and queries, of the same articles and sentences as benchmarks/documents.py.

    Parameters
    ----------
    data : path
        The folder of all data sets, or the file of the articles itself.
    dev, test : int
        Articles of these parts.
    """
    path = data / "wikipedia_en_63k/wiki_train_sents.txt.zst" if data.is_dir() else data
    with io.TextIOWrapper(pa.input_stream(path, compression="zstd"), encoding="utf-8") as lines:
        articles = [[s.split() for s in line.rstrip("\n").split("\t")] for line in lines]
    whole = ([sentence for sentence in article if sentence] for article in articles)
    texts = [article for article in whole if len(article) > 1]
    order = np.random.default_rng(0).permutation(len(texts)).tolist()
    generator = np.random.default_rng(1)
    queries = []
    for start, stop in ((0, dev), (dev, dev + test)):
        part = [texts[i] for i in order[start:stop]]
        queries.append(_queries(part, generator))
        generator.integers(1, len(part), (5, len(part)))  # the wrong pairs of documents.py
    return Articles([texts[i] for i in order[dev + test :]], *queries)


def _queries(articles: list[list[Tokens]], generator: np.random.Generator) -> Queries:
    """Return a random sentence of each article and what stays of it."""
    sentences, rests = [], []
    for article in articles:
        sentence = int(generator.permutation(len(article))[0])
        sentences.append(article[sentence])
        others = [other for i, other in enumerate(article) if i != sentence]
        rests.append([token for other in others for token in other])
    return Queries(sentences, rests)


def ratings(data: Path) -> Split[Ints]:
    """Return rows of user, film, rating and time: ua.base without dev, dev, ua.test."""
    folder = data / "movielens_100k" if (data / "movielens_100k").is_dir() else data
    base, test = (_read_ratings(folder, name) for name in ("ua.base", "ua.test"))
    shuffled = np.random.default_rng(0).permutation(base)  # (n, 4)
    order = np.argsort(shuffled[:, 0], kind="stable")
    _, first, counts = np.unique(shuffled[order, 0], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(first, counts)  # within the user's ratings
    is_dev = rank < np.repeat(np.minimum(10, counts // 2), counts)
    return Split(shuffled[order[~is_dev]], shuffled[order[is_dev]], test)


def _read_ratings(folder: Path, name: str) -> Ints:
    path = folder / name
    with open(path) if path.exists() else gzip.open(f"{path}.gz", "rt") as file:
        return np.loadtxt(file, dtype=np.int64, ndmin=2)


def topn(data: Path) -> Split[Ints]:
    """Return rows of user and artist; numbers begin at 0."""
    folder = data / "interactions_lastfm_lightgcn"
    train, dev, test = (
        np.array([*_visits(folder / f"{name}.txt.gz")], np.int64)
        for name in ("train", "valid", "test")
    )
    return Split(train, dev, test)


def _visits(path: Path) -> Iterator[tuple[int, int]]:
    with gzip.open(path, "rt") as lines:
        for line in lines:
            user, *items = map(int, line.split())
            yield from ((user, item) for item in items)


@dataclass(frozen=True)
class Sentences:
    """Pairs of sentences with a score from 0 to 5."""

    first: list[str]
    second: list[str]
    score: NDArray[np.float64]


def similarity(data: Path) -> Split[Sentences]:
    """Return the parts of the STS benchmark."""
    parts = []
    for name in ("train", "dev", "test"):
        path = data / f"stsb/stsb-en-{name}.csv.gz"
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            first, second, score = zip(*csv.reader(file), strict=True)
        parts.append(Sentences(list(first), list(second), np.array(score, float)))
    return Split(*parts)


def captions(data: Path, part: str = "train") -> list[list[str]]:
    """Return the five captions of each image of Multi30K; `part` is train or val."""
    columns = []
    for number in range(1, 6):
        with gzip.open(data / f"multi30k/task2_{part}.{number}.en.gz", "rt", encoding="utf-8") as f:
            columns.append([line.strip() for line in f])
    return [list(image) for image in zip(*columns, strict=True)]


@dataclass(frozen=True)
class Labelled:
    """Texts, and for each the names of its labels."""

    texts: list[str]
    labels: list[list[str]]


def goemotions(data: Path) -> Split[Labelled]:
    """Return texts with emotions, as published."""
    folder = data / "goemotions"
    names = (folder / "labels.txt").read_text(encoding="utf-8").split()
    parts = []
    for name in ("train", "dev", "test"):
        with gzip.open(folder / f"{name}.tsv.gz", "rt", encoding="utf-8", newline="\n") as lines:
            rows = [line.rstrip("\n").split("\t") for line in lines]
        labels = [[names[int(label)] for label in row[1].split(",")] for row in rows]
        parts.append(Labelled([row[0] for row in rows], labels))
    return Split(*parts)


def tmdb5000(data: Path) -> Split[Labelled]:
    """Return overviews of films with genres: 70 %, 10 % and 20 % of those that have both."""
    path = data / "tmdb5000/tmdb_5000_movies.csv.gz"
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        films = [
            (row["overview"].strip(), [g["name"] for g in json.loads(row["genres"])])
            for row in csv.DictReader(file)
        ]
    films = [film for film in films if all(film)]
    order = np.random.default_rng(0).permutation(len(films)).tolist()
    cuts = [0, int(0.7 * len(films)), int(0.8 * len(films)), len(films)]
    parts = []
    for start, stop in pairwise(cuts):
        texts, labels = zip(*(films[i] for i in order[start:stop]), strict=True)
        parts.append(Labelled(list(texts), list(labels)))
    return Split(*parts)


def nli(data: Path) -> Split[list[dict[str, Any]]]:
    """Return pairs as dicts of sentence1, sentence2 and gold_label."""
    parts = []
    for name in ("train", "dev", "test"):
        path = data / f"snli_counterfactual/all_combined_{name}.tsv.gz"
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            parts.append([*csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)])
    return Split(*parts)
