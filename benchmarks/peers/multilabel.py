"""Several labels of a text: logistic regression on TF-IDF for each label, and fastText's ova.

Thresholds are chosen on dev: one for all labels, and one for each (`_per_label`). Without
`--corpus` GoEmotions and TMDB are run one after the other.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import splits
from benchmarks.peers.running import Peer, main
from object2vec.evaluation import best_threshold, label_measure, label_thresholds

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def logistic_regression(
    corpus: str, data: Path, seed: int, is_dev: bool, *, c: float, min_df: int, ngrams: int
) -> dict[str, float]:
    """Return the figures of scikit-learn's logistic regression, one for each label."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    split, names = _split(corpus, data)
    vectorizer = TfidfVectorizer(ngram_range=(1, ngrams), min_df=min_df, sublinear_tf=True)
    x = vectorizer.fit_transform(split.train.texts)
    truth = _truth(split.train, names)
    models = [LogisticRegression(C=c, max_iter=300).fit(x, column) for column in truth.T]

    def scores(part: splits.Labelled) -> Floats:
        rows = vectorizer.transform(part.texts)
        return np.stack([model.predict_proba(rows)[:, 1] for model in models], axis=1)

    return _figures(scores, split, names, is_dev)


def fasttext(corpus: str, data: Path, seed: int, is_dev: bool, **settings: Any) -> dict[str, float]:
    """Return the figures of fastText with a logistic loss for each label."""
    import fasttext as package

    split, names = _split(corpus, data)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as file:
        for text, labels in zip(split.train.texts, split.train.labels, strict=True):
            said = " ".join(f"__label__{label.replace(' ', '_')}" for label in labels)
            file.write(f"{said} {_plain(text)}\n")
        file.flush()
        model = package.train_supervised(
            file.name, loss="ova", seed=seed, thread=1, verbose=0, **settings
        )
    columns = {f"__label__{name.replace(' ', '_')}": k for k, name in enumerate(names)}

    def scores(part: splits.Labelled) -> Floats:
        found = np.zeros((len(part.texts), len(names)))
        for row, text in enumerate(part.texts):
            for chance, label in model.f.predict(_plain(text) + "\n", -1, 0.0, "strict"):
                found[row, columns[label]] = chance
        return found

    return _figures(scores, split, names, is_dev)


def _plain(text: str) -> str:
    """Return a text as fastText's page prepares it: small letters, punctuation by itself."""
    spaced = "".join(c if c.isalnum() else f" {c} " for c in text.lower())
    return " ".join(spaced.split())


def _split(corpus: str, data: Path) -> tuple[splits.Split[splits.Labelled], list[str]]:
    split = getattr(splits, corpus)(data)
    names = sorted({label for labels in split.train.labels for label in labels})
    return split, names


def _truth(part: splits.Labelled, names: Sequence[str]) -> Bools:
    return np.array([[name in labels for name in names] for labels in part.labels])


def _figures(
    scores: Any, split: splits.Split[splits.Labelled], names: Sequence[str], is_dev: bool
) -> dict[str, float]:
    """Return the figures of test, or of dev, with thresholds of dev."""
    dev, truth = scores(split.dev), _truth(split.dev, names)
    part = split.dev if is_dev else split.test
    of_part, right = (dev, truth) if is_dev else (scores(part), _truth(part, names))
    found = {}
    for suffix, threshold in (
        ("", best_threshold(dev, truth)),
        ("_per_label", label_thresholds(dev, truth)),
    ):
        values = label_measure(of_part, right, threshold).values()
        found |= {f"{name}{suffix}": values[name] for name in ("micro_f1", "macro_f1")}
    return found


CHOSEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # of both peers, on dev
    "goemotions": ({"c": 3.0, "ngrams": 2}, {"lr": 0.3, "epoch": 5, "wordNgrams": 1}),
    "tmdb5000": ({"c": 10.0, "ngrams": 2}, {"lr": 0.3, "epoch": 25, "wordNgrams": 2}),
}


def peers(corpus: str) -> dict[str, Peer]:
    """Return the peers, with the settings for a corpus."""
    regression, bags = CHOSEN[corpus]
    return {
        "logistic regression on TF-IDF": Peer(
            partial(logistic_regression, corpus),
            {"min_df": 2} | regression,
            {"c": (0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0), "ngrams": (1, 2)},
            seeds=1,
            package="scikit-learn",
        ),
        "fastText": Peer(
            partial(fasttext, corpus),
            {"dim": 100, "minCount": 2, "bucket": 200_000} | bags,
            {"lr": (0.05, 0.1, 0.2, 0.3), "epoch": (5, 10, 25), "wordNgrams": (1, 2)},
            package="fasttext",
        ),
    }


if __name__ == "__main__":
    words = sys.argv[1:]
    chosen = ["goemotions", "tmdb5000"]
    if "--corpus" in words:
        at = words.index("--corpus")
        chosen = [words[at + 1]]
        del words[at : at + 2]
    for corpus in chosen:
        main(corpus, peers(corpus), __doc__, words)
