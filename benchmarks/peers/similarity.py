"""The cosine of two sentences on the STS benchmark: GloVe weighted by SIF, and StaticEmbedding.

StaticEmbedding of sentence-transformers begins with GloVe's vectors where a word has one, learns
from two captions of one image (MultipleNegativesRankingLoss, no image twice in a batch), and goes
on with the training pairs of STS (CoSENTLoss). All read the words in small letters.
"""

from __future__ import annotations

import gzip
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import splits
from benchmarks.peers.running import Peer, main
from object2vec.evaluation import correlation_measure, cosines

_WORDS = re.compile(r"\w+|[^\w\s]")
Floats = NDArray[np.float64]


def glove_sif(data: Path, seed: int, is_dev: bool, *, a: float, removed: int) -> dict[str, float]:
    """Return the figures of GloVe's vectors, weighted by a / (a + p), without common components.

    Smooth inverse frequency (Arora, Liang and Ma 2017); frequencies and components are those of the
    captions and of the training pairs.
    """
    glove = _glove(data)
    texts = [caption for image in splits.captions(data) for caption in image]
    train = splits.similarity(data).train
    texts += [*train.first, *train.second]
    counts = Counter(word for text in texts for word in _words(text))
    total = sum(counts.values())

    def encode(texts: Iterable[str]) -> Floats:
        return np.stack([_weighted(_words(text), glove, counts, total, a) for text in texts])

    some = encode(texts[:: max(1, len(texts) // 20_000)])
    common = np.linalg.svd(some, full_matrices=False)[2][:removed]  # (removed, 50)

    def without(texts: Iterable[str]) -> Floats:
        vectors = encode(texts)
        return vectors - vectors @ common.T @ common

    return _figures(without, data, is_dev)


def static_embedding(
    data: Path,
    seed: int,
    is_dev: bool,
    *,
    width: int,
    learning_rate: float,
    steps: int,
    batch: int,
    graded_steps: int,
    graded_rate: float,
) -> dict[str, float]:
    """Return the figures of StaticEmbedding after captions, or after those and pairs with a score.

    With `width` 50 it begins with GloVe's vectors, else at random.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.losses import CoSENTLoss, MultipleNegativesRankingLoss

    torch.manual_seed(seed)
    images, train = splits.captions(data), splits.similarity(data).train
    texts = [caption for image in images for caption in image] + [*train.first, *train.second]
    layer = _layer({word for text in texts for word in _words(text)}, _glove(data), width, seed)
    model = SentenceTransformer(modules=[layer], device="cpu")
    generator = random.Random(seed)

    def learn(loss: Any, batches: Iterator[Any], count: int, rate: float) -> None:
        optimizer = torch.optim.Adam(model.parameters(), lr=rate)
        for step in range(count):
            pairs, label = next(batches)
            done = step / count
            for group in optimizer.param_groups:
                group["lr"] = rate * max(min(done / 0.1, (1 - done) / 0.9), 1e-3)
            columns = zip(*pairs, strict=True)
            features = [model.tokenize([_spaced(text) for text in column]) for column in columns]
            optimizer.zero_grad()
            loss(features, label).backward()
            optimizer.step()

    ranking = MultipleNegativesRankingLoss(model)
    learn(ranking, _of_images(images, batch, generator), steps, learning_rate)
    if graded_steps:
        graded = _of_scores(train, batch, generator)
        learn(CoSENTLoss(model), graded, graded_steps, graded_rate)
    return _figures(lambda texts: model.encode([_spaced(text) for text in texts]), data, is_dev)


def _of_images(images: list[list[str]], size: int, generator: random.Random) -> Iterator[Any]:
    while True:
        yield [generator.sample(image, 2) for image in generator.sample(images, size)], None


def _of_scores(train: splits.Sentences, size: int, generator: random.Random) -> Iterator[Any]:
    import torch

    rows = range(len(train.score))
    while True:
        chosen = generator.sample(rows, min(size, len(rows)))
        pairs = [(train.first[i], train.second[i]) for i in chosen]
        yield pairs, torch.tensor(train.score[chosen] / 5, dtype=torch.float32)


def _layer(words: set[str], glove: dict[str, Floats], width: int, seed: int) -> Any:
    """Return a table of vectors of words."""
    from sentence_transformers.models import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    every = ["[UNK]", *sorted(words | (glove.keys() if width == 50 else set()))]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(every)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    weights = np.random.default_rng(seed).normal(0, width**-0.5, (len(every), width))
    if width == 50:
        for row, word in enumerate(every):
            weights[row] = glove.get(word, weights[row])
    return StaticEmbedding(tokenizer, embedding_weights=weights.astype(np.float32))


def _weighted(
    words: list[str], glove: dict[str, Floats], counts: Counter[str], total: int, a: float
) -> Floats:
    found = [glove[w] * a / (a + counts[w] / total) for w in words if w in glove]
    return np.mean(found, axis=0) if found else np.zeros(50)


def _glove(data: Path) -> dict[str, Floats]:
    path = data / "glove_6b_50d/glove.6B.50d.top50k.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = (line.rstrip("\n").split(" ") for line in lines)
        return {row[0]: np.array(row[1:], np.float64) for row in rows}


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.lower())


def _spaced(text: str) -> str:
    return " ".join(_words(text))


def _figures(encode: Any, data: Path, is_dev: bool) -> dict[str, float]:
    """Return 100 times the correlations, as the field writes them."""
    split = splits.similarity(data)
    part = split.dev if is_dev else split.test
    scores = cosines(encode(part.first), encode(part.second))
    values = correlation_measure(scores, part.score).values()
    return {name: 100 * value for name, value in values.items()}


_STATIC = {
    "width": 256,
    "learning_rate": 0.003,
    "steps": 500,
    "batch": 1024,
    "graded_steps": 0,
    "graded_rate": 0.002,
}
PEERS = {
    "GloVe, SIF": Peer(
        glove_sif,
        {"a": 1e-3, "removed": 1},
        {"a": (1e-4, 1e-3, 1e-2), "removed": (0, 1, 3)},
        seeds=1,
    ),
    "StaticEmbedding, captions": Peer(
        static_embedding,
        _STATIC,
        {"width": (50, 256), "learning_rate": (0.003, 0.01, 0.03), "steps": (200, 500)},
        package="sentence-transformers",
    ),
    "StaticEmbedding, captions and STS": Peer(
        static_embedding,
        _STATIC | {"graded_steps": 150},
        {"graded_rate": (0.001, 0.003, 0.01)},
        package="sentence-transformers",
    ),
}

if __name__ == "__main__":
    main("similarity", PEERS, __doc__)
