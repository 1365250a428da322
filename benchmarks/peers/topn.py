"""Top-N on lastfm: ALS of implicit, and EASE (Steck 2019) in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import splits
from benchmarks.peers.running import Peer, main
from object2vec.evaluation import rank_measure, ranks_by_score

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


def als(
    data: Path,
    seed: int,
    is_dev: bool,
    *,
    factors: int,
    regularization: float,
    alpha: float,
    iterations: int,
) -> dict[str, float]:
    """Return the figures of implicit's alternating least squares."""
    from implicit.als import AlternatingLeastSquares
    from scipy.sparse import csr_matrix

    known, test, shape = parts(data, is_dev)
    seen = csr_matrix((np.ones(len(known), np.float32), known.T), shape)
    model = AlternatingLeastSquares(
        factors=factors,
        regularization=regularization,
        alpha=alpha,
        iterations=iterations,
        random_state=seed,
    )
    model.fit(seen, show_progress=False)
    return figures_of(
        np.asarray(model.user_factors) @ np.asarray(model.item_factors).T, known, test
    )


def ease(data: Path, seed: int, is_dev: bool, *, regularization: float) -> dict[str, float]:
    """Return the figures of EASE, by way of the smaller matrix of users.

    With P = (X'X + l I)^-1 = (I - X'K X) / l and K = (XX' + l I)^-1, a user's scores X B, with
    B = I - P / diag(P), are X - K X / diag(P).
    """
    known, test, shape = parts(data, is_dev)
    x = np.zeros(shape, np.float64)
    x[known[:, 0], known[:, 1]] = 1
    small = np.linalg.solve(x @ x.T + regularization * np.eye(len(x)), x)  # K X, (users, items)
    diagonal = (1 - np.einsum("ui,ui->i", x, small)) / regularization  # (items,)
    return figures_of(x - small / diagonal, known, test)


def item_knn(data: Path, seed: int, is_dev: bool, *, k: int, shrink: float) -> dict[str, float]:
    """Return the figures of the cosine of items, of which the nearest are kept."""
    known, test, shape = parts(data, is_dev)
    x = np.zeros(shape, np.float32)
    x[known[:, 0], known[:, 1]] = 1
    sizes = np.linalg.norm(x, axis=0)
    scores = np.zeros(shape, np.float32)
    for at in range(0, shape[1], 512):
        stop = min(at + 512, shape[1])
        near = x.T @ x[:, at:stop] / (sizes[:, None] * sizes[at:stop] + shrink)  # (items, 512)
        near[np.arange(at, stop), np.arange(stop - at)] = 0
        least = np.partition(near, -k, axis=0)[-k]
        scores[:, at:stop] = x @ np.where(near >= least, near, 0)
    return figures_of(scores, known, test)


def popularity(data: Path, seed: int, is_dev: bool) -> dict[str, float]:
    """Return the figures of ranking by how often an artist was played."""
    known, test, shape = parts(data, is_dev)
    counts = np.bincount(known[:, 1], minlength=shape[1]).astype(np.float32)
    return figures_of(np.broadcast_to(counts, shape), known, test)


def parts(data: Path, is_dev: bool) -> tuple[Ints, Ints, tuple[int, int]]:
    """Return the pairs that are known, those to find, and how many users and artists there are."""
    split = splits.topn(data)
    users, items = np.concatenate([split.train, split.dev, split.test]).max(axis=0) + 1
    if is_dev:
        return split.train, split.dev, (int(users), int(items))
    return np.concatenate([split.train, split.dev]), split.test, (int(users), int(items))


def figures_of(scores: NDArray[np.floating], known: Ints, test: Ints) -> dict[str, float]:
    """Return the figures of scores of all users and artists."""
    test = test[np.argsort(test[:, 0], kind="stable")]
    blocks = (scores[at : at + 256] for at in range(0, len(scores), 256))
    pairs = known[:, 0], known[:, 1]
    found = ranks_by_score(blocks, test[:, 1], query=test[:, 0], known=pairs)
    values = rank_measure(found, test[:, 0], at=(10, 20)).values()
    return {name: values[name] for name in ("recall@20", "ndcg@20", "recall@10", "ndcg@10")}


PEERS = {
    "ALS": Peer(
        als,
        {"factors": 128, "regularization": 100.0, "alpha": 20.0, "iterations": 15},
        {"factors": (64, 128), "regularization": (50.0, 100.0, 200.0), "alpha": (10.0, 20.0)},
        package="implicit",
    ),
    "EASE": Peer(
        ease, {"regularization": 150.0}, {"regularization": (50.0, 100.0, 150.0, 300.0)}, seeds=1
    ),
    "item-kNN": Peer(
        item_knn, {"k": 200, "shrink": 10.0}, {"k": (50, 200, 800), "shrink": (0.0, 10.0)}, seeds=1
    ),
    "popularity": Peer(popularity, seeds=1),
}

if __name__ == "__main__":
    main("topn", PEERS, __doc__)
