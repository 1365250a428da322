"""How often a sentence finds the article that it was taken out of, among 10,000 that are new.

One command trains on the sentences of the other articles, as a user would:

    object2vec train --train articles.txt --pairs sentence_rest --preset retrieval --out model

and its vectors of 300 numbers rank the rests of all test articles by cosine, all tokens read.
`long` is the preset as it stands, which must take less than five minutes on two cores; `short` has
fewer epochs, for less than one. Both also read pairs of words that stand side by side often, as a
field that counts less than words; the short one begins with topics, what words of training stand
with; and the long one with vectors from outside, as a user would who has them: GloVe's 50 numbers
of 50,000 words, learned from six billion. BM25 ranks the same articles, and so does the sum of BM25
and a multiple of the cosine, chosen on dev: what a user should take where both are at hand.

`--dev` is there to choose settings, some of which `--set` changes: 8,000 articles are taken from
training and join the dev articles, and these 10,000 are ranked among themselves.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import ROOT, parser, save, summary, table
from benchmarks.splits import PROTOCOLS, Articles, Queries, Tokens, retrieval
from object2vec import Object2Vec
from object2vec.evaluation import ranks, ranks_by_score, retrieval_metrics

_SHORT = (
    "epochs=1",
    "mini_batch_size=1024",
    "learning_rate=0.01",
    "ranking_scale=20",
    "token_dropout=0.1",
)
_PAIRS = (
    "sentence:text",
    "sentence:text(ngrams=2, shortest=2, min_count=15, unseen=skip, weight=0.15)",
)
_WITH_PAIRS = ("epochs=5", "ranking_scale=16", "token_dropout=0.3")
_GLOVE = "glove_6b_50d/glove.6B.50d.top50k.txt.gz"


@dataclass(frozen=True)
class Run:
    """What a run has beyond the preset: settings, fields of in0, and a file of vectors."""

    settings: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    vectors: str = ""

    def options(self, data: Path) -> list[str]:
        """Return options of the command line."""
        options = [word for each in self.settings for word in ("--set", each)]
        options += [word for each in self.fields for word in ("--in0", each)]
        return options + (
            ["--vectors", str((data / self.vectors).resolve())] if self.vectors else []
        )


RUNS = {
    "long": Run(),
    "short": Run(_SHORT),
    "short with topics": Run((*_SHORT, "topics=50")),
    "long with GloVe": Run(("remove_components=1",), vectors=_GLOVE),
    "long with pairs of words": Run(_WITH_PAIRS, _PAIRS),
    "short with topics and pairs of words": Run((*_SHORT, "topics=50", "ranking_scale=16"), _PAIRS),
    "long with GloVe and pairs of words": Run(
        (*_WITH_PAIRS, "remove_components=1"), _PAIRS, _GLOVE
    ),
}
GOALS = {"long": "43 / 71 / 120 (47 / 75 / 90)", "short": "36.7 / 66.9 / 126"}
SHARES = (0, 2, 4, 6, 8, 10, 12, 15, 20, 25, 30, 40, 60, 80, 100, 150)  # of the cosine, to BM25
FIGURES = ("hits@1", "hits@10", "mean_rank", "median_rank", "mean_reciprocal_rank")
_BLOCK = 500
Floats = NDArray[np.float64]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, retrieve and save."""
    options = parser(__doc__ or "", "../shared/data")
    options.set_defaults(seeds=3, threads=2)
    options.add_argument("--dev", action="store_true", help="measure on dev, and save nothing")
    options.add_argument(
        "--run",
        choices=RUNS,
        action="append",
        help="only this one; the results file keeps the others' rows",
    )
    options.add_argument("--set", metavar="NAME=VALUE", action="append", default=[])
    given = options.parse_args(arguments)
    articles = retrieval(given.data, *((20, 60) if given.quick else ()))
    if given.quick:
        articles = Articles(articles.train[:300], articles.dev, articles.test)
    if given.dev:
        articles = articles.to_choose_by()
    asked = articles.dev if given.dev else articles.test
    lexical = {name: Lexical(part) for name, part in (("dev", articles.dev), ("asked", asked))}
    rows = {"BM25": [_figures(ranks_by_score(lexical["asked"].blocks(), _own(asked)))]}
    for name in given.run or RUNS:
        for seed in range(given.seeds):
            more = (*given.set, f"seed={seed}", f"threads={given.threads}")
            run = replace(RUNS[name], settings=(*RUNS[name].settings, *more))
            command = run.options(given.data)
            for row, values in _run(articles, asked, lexical, command).items():
                rows.setdefault(f"{row}, {name}", []).append(values)
            _tell(rows)
    if not given.dev:
        found = {name: _summary(values) for name, values in rows.items()}
        save(
            "retrieval",
            {
                "protocol": PROTOCOLS["retrieval"],
                "goals": GOALS,
                "runs": {name: asdict(run) for name, run in RUNS.items()},
                **_beside_earlier(found, given.results / "retrieval.json"),
            },
            given,
        )


def _beside_earlier(found: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return rows, and those of a file that were not measured again, with where they are from.

    A row names its run after a comma.
    """
    old = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"rows": {}}
    kept = {
        name: row
        for name, row in old["rows"].items()
        if name not in found and name.partition(", ")[2] in RUNS
    }
    origins = {name: origin for name, origin in old.get("earlier", {}).items() if name in kept}
    for name in kept:
        origins.setdefault(name, {fact: old[fact] for fact in ("command", "date", "commit")})
    return {"rows": {**kept, **found}, "earlier": origins}


def _run(
    articles: Articles,
    asked: Queries,
    lexical: Mapping[str, Lexical],
    options: Sequence[str],
) -> dict[str, dict[str, float]]:
    """Train once; return the figures of the vectors, and of them with BM25."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = train(articles.train, folder, options)
        model = Object2Vec.load(folder / "model")
        dev, vectors = _vectors(model, articles.dev), _vectors(model, asked)
    alone = _figures(ranks(*vectors, _own(asked)))
    share = max(SHARES, key=lambda each: _both(lexical["dev"], dev, each, articles.dev)["hits@1"])
    both = _both(lexical["asked"], vectors, share, asked)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    alone |= {"seconds": seconds, "memory_mib": memory}
    return {"object2vec": alone, "BM25 + object2vec": both | {"share": share}}


def train(articles: Sequence[list[Tokens]], folder: Path, options: Sequence[str]) -> float:
    """Run the command on articles, a document a line; return how many seconds it took."""
    texts = folder / "articles.txt"
    lines = ("\t".join(map(" ".join, sentences)) + "\n" for sentences in articles)
    texts.write_text("".join(lines), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "object2vec",
        "train",
        "--train",
        texts,
        "--out",
        folder / "model",
        "--pairs",
        "sentence_rest",
        "--preset",
        "retrieval",
    ]
    started = time.perf_counter()
    subprocess.run([*map(str, command), *options], check=True, cwd=ROOT)
    return time.perf_counter() - started


def _vectors(model: Object2Vec, queries: Queries) -> tuple[Any, Any]:
    """Return the embeddings of sentences and of rests, all tokens read."""
    sides = zip(("in0", "in1"), (queries.sentences, queries.rests), strict=True)
    longest = 2 * max(map(len, queries.rests))  # words and pairs of them
    first, second = (
        model.encode(**{side: [" ".join(tokens) for tokens in part]}, max_seq_lens=2 * (longest,))
        for side, part in sides
    )
    return first, second


class Lexical:
    """BM25+ of sentences and rests (Lv & Zhai 2011; k1 2, b 1 and delta 1, chosen on dev)."""

    def __init__(self, queries: Queries, k1: float = 2.0, b: float = 1.0, delta: float = 1.0):
        from scipy.sparse import csr_matrix

        words: dict[str, int] = {}
        asked, texts = (
            [Counter(words.setdefault(token, len(words)) for token in tokens) for tokens in part]
            for part in (queries.sentences, queries.rests)
        )
        lengths = np.array([*map(len, queries.rests)])
        counted = [_matrix(part) for part in (asked, texts)]
        rows, columns, counts = counted[1]
        df = np.bincount(columns, minlength=len(words))
        idf = np.log((len(texts) + 1) / np.maximum(df, 1))
        norm = k1 * (1 - b + b * lengths / lengths.mean())
        values = idf[columns] * (delta + counts * (k1 + 1) / (counts + norm[rows]))
        shape = len(texts), len(words)
        self._texts = csr_matrix((values, (rows, columns)), shape).T.tocsr()
        rows, columns, counts = counted[0]
        self._asked = csr_matrix((counts, (rows, columns)), shape)

    def blocks(self) -> Iterator[Floats]:
        """Yield the scores of all texts, a block of sentences at a time, (m, n)."""
        for start in range(0, self._asked.shape[0], _BLOCK):
            yield (self._asked[start : start + _BLOCK] @ self._texts).toarray()


def _matrix(texts: Sequence[Counter[int]]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return row, column and count of each word of each text."""
    rows = np.repeat(np.arange(len(texts)), [*map(len, texts)])
    columns = np.array([word for text in texts for word in text])
    return rows, columns, np.array([n for text in texts for n in text.values()], float)


def _both(
    lexical: Lexical, vectors: tuple[Any, Any], share: float, queries: Queries
) -> dict[str, float]:
    """Return the figures of BM25 and so much of the cosine."""
    a, b = (
        part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in vectors
    )
    starts = range(0, len(a), _BLOCK)
    scores = (
        block + share * (a[start : start + _BLOCK] @ b.T)
        for start, block in zip(starts, lexical.blocks(), strict=True)
    )
    return _figures(ranks_by_score(scores, _own(queries)))


def _own(queries: Queries) -> NDArray[np.int64]:
    return np.arange(len(queries.rests))


def _figures(found: Any) -> dict[str, float]:
    values = retrieval_metrics(found)
    return {name: values[name] for name in FIGURES}


def _summary(values: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    return {name: summary([each[name] for each in values]) for name in values[0]}


def _tell(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Print the means so far."""
    names = (*FIGURES[:3], "seconds")

    def mean(row: Sequence[Mapping[str, float]], name: str) -> Any:
        return float(np.mean([each[name] for each in row])) if name in row[0] else ""

    table(["", *names], [[name, *(mean(row, n) for n in names)] for name, row in rows.items()])
    sys.stdout.flush()


if __name__ == "__main__":
    main()
