"""Finding the article of a sentence: BM25, TF-IDF, and StaticEmbedding of sentence-transformers.

BM25 and TF-IDF see the rests of the test articles alone, as an index does; StaticEmbedding learns
vectors of words from the sentences and rests of the training articles, by the loss of
sentence-transformers (MultipleNegativesRankingLoss), each step with a random sentence of each of
2,048 articles. How long it may train is `--set steps=N` or `--set seconds=S`.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import splits
from benchmarks.peers.running import Peer, main
from object2vec.evaluation import rank_measure, ranks, ranks_by_score

_BLOCK = 500


def bm25(data: Path, seed: int, is_dev: bool, **settings: Any) -> dict[str, float]:
    """Return the figures of BM25 by bm25s."""
    import bm25s

    _, queries = _articles(data, is_dev)
    started = time.perf_counter()
    index = bm25s.BM25(**settings)
    index.index(queries.rests, show_progress=False)
    scores = (
        np.stack([index.get_scores(sentence) for sentence in queries.sentences[at : at + _BLOCK]])
        for at in range(0, len(queries.sentences), _BLOCK)
    )
    return _figures(ranks_by_score(scores, np.arange(len(queries.rests))), started)


def tf_idf(data: Path, seed: int, is_dev: bool, **settings: Any) -> dict[str, float]:
    """Return the figures of the cosine of TF-IDF by scikit-learn."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    _, queries = _articles(data, is_dev)
    started = time.perf_counter()
    vectorizer = TfidfVectorizer(analyzer=_itself, **settings)
    candidates = vectorizer.fit_transform(queries.rests)
    asked = vectorizer.transform(queries.sentences)
    scores = (
        (asked[at : at + _BLOCK] @ candidates.T).toarray()
        for at in range(0, asked.shape[0], _BLOCK)
    )
    return _figures(ranks_by_score(scores, np.arange(asked.shape[0])), started)


def static_embedding(
    data: Path,
    seed: int,
    is_dev: bool,
    *,
    width: int,
    min_count: int,
    batch: int,
    learning_rate: float,
    warm_up: float,
    steps: int,
    seconds: float | None = None,
) -> dict[str, float]:
    """Return the figures of StaticEmbedding, trained on pairs of sentences and rests."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    torch.manual_seed(seed)
    articles, queries = _articles(data, is_dev)
    started = time.perf_counter()
    counts = Counter(t for article in articles for sentence in article for t in sentence)
    model = SentenceTransformer(modules=[_layer(counts, min_count, width)], device="cpu")
    loss = MultipleNegativesRankingLoss(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    for step, pairs in enumerate(_batches(articles, batch, seed)):
        done = step / steps if seconds is None else (time.perf_counter() - started) / seconds
        if done >= 1:
            break
        rate = min(done / warm_up, (1 - done) / (1 - warm_up))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * max(rate, 1e-3)
        features = [model.tokenize(list(texts)) for texts in zip(*pairs, strict=True)]
        optimizer.zero_grad()
        loss(features, None).backward()
        optimizer.step()
    trained = time.perf_counter()
    a, b = (
        model.encode([" ".join(tokens) for tokens in part], batch_size=512)
        for part in (queries.sentences, queries.rests)
    )
    figures = _figures(ranks(a, b, np.arange(len(b))), started)
    return figures | {"steps": step, "training_seconds": trained - started}


def _layer(counts: Counter[str], min_count: int, width: int) -> Any:
    """Return a table of vectors of the words that are seen often enough."""
    from sentence_transformers.models import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = [word for word, count in counts.most_common() if count >= min_count]
    vocabulary = {word: row for row, word in enumerate(["[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return StaticEmbedding(tokenizer, embedding_dim=width)


def _batches(
    articles: Sequence[list[list[str]]], size: int, seed: int
) -> Iterator[list[tuple[str, str]]]:
    """Yield pairs of a random sentence and the rest of its article, of different articles."""
    generator = random.Random(seed)
    texts = [[" ".join(sentence) for sentence in article] for article in articles]
    while True:
        order = generator.sample(range(len(texts)), len(texts))
        for at in range(0, len(order) - size + 1, size):
            yield [_pair(texts[i], generator) for i in order[at : at + size]]


def _pair(sentences: list[str], generator: random.Random) -> tuple[str, str]:
    chosen = generator.randrange(len(sentences))
    return sentences[chosen], " ".join(sentences[:chosen] + sentences[chosen + 1 :])


def _articles(data: Path, is_dev: bool) -> tuple[list[list[splits.Tokens]], splits.Queries]:
    """Return the articles to learn from, and the queries of dev or of test."""
    articles = splits.retrieval(data)
    if is_dev:
        articles = articles.to_choose_by()
    return articles.train, articles.dev if is_dev else articles.test


def _itself(tokens: list[str]) -> list[str]:
    return tokens


def _figures(found: Any, started: float) -> dict[str, float]:
    values = rank_measure(found, at=(1, 10)).values()
    names = ("hits@1", "hits@10", "mean_reciprocal_rank", "mean_rank", "median_rank")
    seconds = time.perf_counter() - started
    return {name: values[name] for name in names} | {"seconds": seconds}


PEERS = {
    "BM25": Peer(
        bm25,
        {"method": "bm25+", "k1": 1.5, "b": 1.0},
        {"method": ("lucene", "bm25+", "bm25l"), "k1": (1.2, 1.5, 2.0, 3.0), "b": (0.75, 1.0)},
        seeds=1,
        package="bm25s",
    ),
    "TF-IDF": Peer(
        tf_idf,
        {"sublinear_tf": True},
        {"sublinear_tf": (True, False), "smooth_idf": (True, False)},
        seeds=1,
        package="scikit-learn",
    ),
    "StaticEmbedding": Peer(
        static_embedding,
        {
            "width": 300,
            "min_count": 2,
            "batch": 2048,
            "learning_rate": 0.2,
            "warm_up": 0.1,
            "steps": 300,
        },
        {"learning_rate": (0.1, 0.2, 0.4)},
        package="sentence-transformers",
    ),
}

if __name__ == "__main__":
    main("retrieval", PEERS, __doc__)
