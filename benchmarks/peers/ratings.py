"""Ratings: matrix factorisation by cornac and Surprise, myFM, and Bayesian MF by Gibbs sampling.

All are trained on ua.base (dev: on what is not held out of it); predictions are clipped to 1 to 5.
myFM's second row knows age, gender, occupation, year and genres, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import splits
from benchmarks.movielens import open_text, read_movies
from benchmarks.peers.running import Peer, main
from object2vec.evaluation import error_measure

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def gibbs(
    data: Path, seed: int, is_dev: bool, *, factors: int, sweeps: int, burn_in: int
) -> dict[str, float]:
    """Return the figures of Bayesian MF (Salakhutdinov and Mnih 2008) with biases, in numpy.

    The prediction is the mean of those of all samples after the burn-in.
    """
    train, test = _parts(data, is_dev)
    generator = np.random.default_rng(seed)
    mean = train[:, 2].mean()
    sides = [_Side(train, column, factors, generator) for column in (0, 1)]
    others = (sides[1], sides[0])
    rows = [side.rows(test[:, column]) for column, side in enumerate(sides)]
    noise, total = 1.0, np.zeros(len(test))
    for sweep in range(sweeps):
        for side, other in zip(sides, others, strict=True):
            side.sample(other, train[:, 2] - mean, noise, generator)
        errors = train[:, 2] - mean - _products(*sides)
        noise = generator.gamma(1 + len(errors) / 2, 1 / (1 + (errors @ errors) / 2))
        if sweep >= burn_in:
            total += mean + _products(*sides, rows)
    return _figures(total / (sweeps - burn_in), test)


class _Side:
    """The vectors of one side: factors, then its bias, then the 1 that the other's bias meets."""

    def __init__(
        self, train: Ints, column: int, factors: int, generator: np.random.Generator
    ) -> None:
        self._names, self.of = np.unique(train[:, column], return_inverse=True)
        order = np.argsort(self.of, kind="stable")
        self._records = np.split(order, np.cumsum(np.bincount(self.of))[:-1])
        self.own = [*range(factors), factors + column]  # those that are sampled
        self.vectors = 0.1 * generator.standard_normal((len(self._names) + 1, factors + 2))
        self.vectors[:, factors + 1 - column] = 1
        self.vectors[-1, self.own] = 0  # of what training has not seen

    def rows(self, names: Ints) -> Ints:
        """Return which vector each name has."""
        found = np.minimum(np.searchsorted(self._names, names), len(self._names) - 1)
        return np.where(self._names[found] == names, found, len(self._names))

    def sample(
        self, other: _Side, target: Floats, noise: float, generator: np.random.Generator
    ) -> None:
        """Draw the prior and then each vector anew, given those of the other side."""
        own, width = self.vectors[:-1, self.own], len(self.own)
        mean, precision = _prior(own, generator)
        rest = next(i for i in range(width + 1) if i not in self.own)
        seen = other.vectors[other.of]  # (n, width + 1)
        left = target - seen[:, rest]
        for row, records in enumerate(self._records):
            x = seen[records][:, self.own]
            a = precision + noise * x.T @ x
            b = precision @ mean + noise * x.T @ left[records]
            root = np.linalg.cholesky(a)
            drawn = np.linalg.solve(a, b) + np.linalg.solve(
                root.T, generator.standard_normal(width)
            )
            self.vectors[row, self.own] = drawn


def _prior(own: Floats, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw mean and precision of vectors (n, k), each coordinate by itself."""
    n = len(own)
    center = own.mean(axis=0)
    spread = np.square(own - center).sum(axis=0) + n / (n + 1) * np.square(center)
    precision = generator.gamma(1 + n / 2, 1 / (1 + spread / 2))
    mean = n * center / (n + 1) + generator.standard_normal(len(center)) / np.sqrt(
        (n + 1) * precision
    )
    return mean, np.diag(precision)


def _products(first: _Side, second: _Side, rows: list[Ints] | None = None) -> Floats:
    a, b = (first.of, second.of) if rows is None else rows
    found: Floats = np.einsum("nk,nk->n", first.vectors[a], second.vectors[b])
    return found


def cornac_mf(data: Path, seed: int, is_dev: bool, **settings: Any) -> dict[str, float]:
    """Return the figures of cornac's MF by SGD with biases."""
    import cornac

    train, test = _parts(data, is_dev)
    rows = [(str(user), str(film), float(rating)) for user, film, rating in train[:, :3].tolist()]
    known = cornac.data.Dataset.build(rows, seed=seed)
    model = cornac.models.MF(use_bias=True, seed=seed, **settings)
    model.fit(known)
    users, films = known.uid_map, known.iid_map
    predicted = [
        model.rate(users.get(str(user), known.num_users), films[str(film)])
        if str(film) in films
        else known.global_mean
        for user, film in test[:, :2].tolist()
    ]
    return _figures(predicted, test)


def surprise_svd(data: Path, seed: int, is_dev: bool, **settings: Any) -> dict[str, float]:
    """Return the figures of Surprise's SVD."""
    return _surprise("SVD", data, seed, is_dev, settings)


def surprise_svdpp(data: Path, seed: int, is_dev: bool, **settings: Any) -> dict[str, float]:
    """Return the figures of Surprise's SVD++."""
    return _surprise("SVDpp", data, seed, is_dev, settings)


def _surprise(name: str, data: Path, seed: int, is_dev: bool, settings: Any) -> dict[str, float]:
    import pandas
    import surprise

    train, test = _parts(data, is_dev)
    frame = pandas.DataFrame(train[:, :3], columns=["user", "film", "rating"])
    reader = surprise.Reader(rating_scale=(1, 5))
    known = surprise.Dataset.load_from_df(frame, reader).build_full_trainset()
    model = getattr(surprise, name)(random_state=seed, **settings)
    model.fit(known)
    return _figures([model.predict(u, i).est for u, i in test[:, :2].tolist()], test)


def my_fm(
    data: Path, seed: int, is_dev: bool, *, rank: int, samples: int, has_features: bool = False
) -> dict[str, float]:
    """Return the figures of myFM's Bayesian factorisation machine."""
    import myfm
    from sklearn.preprocessing import OneHotEncoder

    train, test = _parts(data, is_dev)
    tables = [
        _described(data, part) if has_features else part[:, :2].astype(str)
        for part in (train, test)
    ]
    encoder = OneHotEncoder(handle_unknown="ignore").fit(tables[0])
    model = myfm.MyFMRegressor(rank=rank, random_seed=seed)
    width = [len(names) for names in encoder.categories_]
    model.fit(
        encoder.transform(tables[0]), train[:, 2].astype(float), n_iter=samples, group_shapes=width
    )
    return _figures(model.predict(encoder.transform(tables[1])), test)


def _described(data: Path, part: Ints) -> NDArray[np.str_]:
    """Return user, film and what is known of both, as texts, (n, columns)."""
    folder = data / "movielens_100k"
    with open_text(folder, "u.user") as lines:
        users = {
            int(row[0]): [str(int(row[1]) // 10), row[2], row[3]]
            for row in (line.split("|") for line in lines)
        }
    films = {
        int(row[0]): [row[2][-4:], *(flag.strip() for flag in row[5:])]
        for row in read_movies(folder)
    }
    return np.array([[str(u), str(i), *users[u], *films[i]] for u, i in part[:, :2].tolist()])


def _parts(data: Path, is_dev: bool) -> tuple[Ints, Ints]:
    split = splits.ratings(data)
    if is_dev:
        return split.train, split.dev
    return np.concatenate([split.train, split.dev]), split.test


def _figures(predicted: Any, test: Ints) -> dict[str, float]:
    return error_measure(np.clip(predicted, 1, 5), test[:, 2]).values()


PEERS = {
    "Bayesian MF (Gibbs)": Peer(
        gibbs,
        {"factors": 16, "sweeps": 160, "burn_in": 40},
        {"factors": (8, 16, 32)},
        package="numpy",
    ),
    "cornac MF": Peer(
        cornac_mf,
        {"k": 16, "max_iter": 60, "learning_rate": 0.01, "lambda_reg": 0.08},
        {"k": (16, 64), "max_iter": (40, 60, 120), "lambda_reg": (0.05, 0.08, 0.12)},
        package="cornac",
    ),
    "Surprise SVD": Peer(
        surprise_svd,
        {"n_factors": 100, "n_epochs": 40, "lr_all": 0.01, "reg_all": 0.1},
        {"n_factors": (50, 200), "n_epochs": (40, 80), "reg_all": (0.07, 0.1)},
        package="scikit-surprise",
    ),
    "Surprise SVD++": Peer(
        surprise_svdpp,
        {"n_factors": 20, "n_epochs": 40, "lr_all": 0.007, "reg_all": 0.08, "cache_ratings": True},
        {"n_epochs": (20, 40), "reg_all": (0.05, 0.08, 0.12)},
        package="scikit-surprise",
    ),
    "myFM": Peer(my_fm, {"rank": 8, "samples": 300}, {"rank": (4, 8, 12)}, package="myfm"),
    "myFM with features": Peer(
        my_fm,
        {"rank": 8, "samples": 300, "has_features": True},
        {"rank": (4, 8, 12)},
        package="myfm",
    ),
}

if __name__ == "__main__":
    main("ratings", PEERS, __doc__)
