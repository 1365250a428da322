"""What a model knows of users and films that training never saw, on MovieLens 100K.

A row of training is a film that a user likes (4 or 5 stars): the user, the other films that they
like, the film, its genres, its year and the words of its title. There is no label; negatives are
drawn. Two parts, each with trainings of its own:

users
    A fifth of the users is left out as a whole. Half of what such a user likes is the history, the
    other half is to be found among all films that are not in it.
films
    A fifth of the films is left out as a whole, from histories, too. Who likes such a film is to be
    found among the users of training, by its genres, its year and its title.

Negatives are drawn as often as they are liked, which takes that out of the score (it is the log
odds of a pair against chance), so candidates are ranked by score plus log popularity: how many
users like the film, how many films the user likes. Beside it: popularity alone; the same with the
mean of the embeddings of training in place of the object's own; the score alone; chance. "half
without id" is the same training with the id of the object missing in half of the rows, drawn at
random, so that the other fields learn to stand alone.

Settings were chosen on a fifth of the users and of the films (`--choose`), which are never among
those that a test leaves out.

The data: https://grouplens.org/datasets/movielens/100k/ (for research, not to be passed on);
`--data` names the folder of ua.base, ua.test and u.item, packed with gzip or not.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import parser, save, summary, table
from benchmarks.movielens import read_movies, read_ratings
from object2vec import Object2Vec, Text, Token, Tokens

LIKED = 4  # stars
SHARE = 0.2  # of users or films that are left out
IN0 = (Token("user"), Tokens("history"))
IN1 = (Token("film"), Tokens("genres", "|"), Token("year"), Text("title"))
GENRES = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)

SETTINGS: dict[str, Any] = {
    "preset": "topn",
    "output_layer": "dot_product",
    "dropout": 0.0,
    "weight_decay": 0.0,
    "enc0_pool_exponent": 1.0,
    "enc1_pool_exponent": 1.0,
    "epochs": 10,
}
TRIALS: dict[str, dict[str, Any]] = {
    "chosen": {},
    "5 epochs": {"epochs": 5},
    "20 epochs": {"epochs": 20},
    "dropout 0.5": {"dropout": 0.5},
    "weight_decay 1e-5": {"weight_decay": 1e-5},
    "films are sums": {"enc1_pool_exponent": 0},
    "one table of films": {"share": ["history", "film"]},
}
IDS = {"object2vec": 0.0, "half without id": 0.5}  # share of rows without the object's id
MEASURES = ("NDCG@10", "recall@20", "MRR", "mean rank")

Floats = NDArray[np.float64]


class Likes(NamedTuple):
    """Who likes what, and what is known of the films.

    Attributes
    ----------
    users, films : int arrays (n,)
        One pair for each like.
    facts : dict of str to dict
        Genres, year and title, each by the number of the film.
    """

    users: NDArray[np.int64]
    films: NDArray[np.int64]
    facts: dict[str, dict[int, str]]

    def only(self, kept: NDArray[np.bool_]) -> Likes:
        """Return some of the pairs."""
        return Likes(self.users[kept], self.films[kept], self.facts)


def read(folder: Path) -> Likes:
    """Return the likes of all ratings, and what u.item says of the films."""
    ratings = np.concatenate([read_ratings(folder, name) for name in ("ua.base", "ua.test")])
    users, films, _ = ratings[ratings[:, 2] >= LIKED].T
    facts: dict[str, dict[int, str]] = {"genres": {}, "year": {}, "title": {}}
    for number, title, *rest in read_movies(folder):
        film, found = int(number), re.fullmatch(r"(.*?) *\((\d{4})\) *", title)
        facts["title"][film], facts["year"][film] = found.groups() if found else (title, "")
        flags = zip(GENRES, rest[-len(GENRES) :], strict=False)
        facts["genres"][film] = "|".join(genre for genre, flag in flags if flag == "1")
    return Likes(users, films, facts)


class Test(NamedTuple):
    """What is trained on, and what is to be found.

    Attributes
    ----------
    rows : dict of str to list
        The table of training.
    side : {0, 1}
        Of the objects that training does not see.
    objects, candidates : dict of str to list
        Columns of n such objects, without their ids, and of N candidates.
    popularity : int array (N,)
        How often training has each candidate.
    found, history : bool arrays (n, N)
        The candidates that are to be found, and those that are known and left away.
    """

    rows: dict[str, list[Any]]
    side: int
    objects: dict[str, list[Any]]
    candidates: dict[str, list[Any]]
    popularity: NDArray[np.int64]
    found: NDArray[np.bool_]
    history: NDArray[np.bool_]


def main(arguments: Sequence[str] | None = None) -> None:
    """Choose, or run both parts with every seed."""
    options = parser(__doc__, "../shared/data/movielens_100k")
    options.set_defaults(seeds=3)
    options.add_argument("--choose", action="store_true", help="compare settings instead")
    given = options.parse_args(arguments)
    likes = read(given.data)
    (_choose if given.choose else _measure)(likes, given)


def _choose(likes: Likes, given: argparse.Namespace) -> None:
    """Compare settings on the users and films that no test leaves out."""
    trials = []
    for part, make in PARTS.items():
        test = make(likes, left_out(likes, part, None), 0)
        for name, settings in TRIALS.items():
            run = _run(test, settings, given, 0, "object2vec", 0.0)
            figures = run["figures"]["object2vec"]
            trials.append({"part": part, "name": name, "settings": settings, **figures})
            print(part, name, figures, flush=True)
    save(
        "cold_start_choose",
        {
            "protocol": "settings on their own users and films, seed 0",
            "settings": SETTINGS,
            "trials": trials,
        },
        given,
    )


def _measure(likes: Likes, given: argparse.Namespace) -> None:
    """Measure every seed, and keep mean and spread."""
    parts, runs = {}, []
    for part, make in PARTS.items():
        figures = []
        for seed in range(given.seeds):
            test = make(likes, left_out(likes, part, seed), seed)
            found: dict[str, dict[str, float]] = {}
            for name, share in IDS.items():
                run = _run(test, {}, given, seed, name, share)
                figured = run.pop("figures")
                found |= {of: each for of, each in figured.items() if of not in found}
                runs.append({"part": part, "seed": seed, "of": name, **run})
            figures.append(found)
        parts[part] = {
            name: {m: summary([each[name][m] for each in figures]) for m in MEASURES}
            for name in figures[0]
        }
        table(
            (part, *MEASURES),
            [(name, *(each[m]["mean"] for m in MEASURES)) for name, each in parts[part].items()],
        )
    save(
        "cold_start",
        {
            "protocol": f"a share of {SHARE} of users or films left out as a whole, by seed; likes "
            f"are {LIKED} stars or more; settings chosen on other users and films",
            "settings": SETTINGS,
            "results": parts,
            "runs": runs,
        },
        given,
    )


def _run(
    test: Test,
    changed: dict[str, Any],
    given: argparse.Namespace,
    seed: int,
    name: str,
    share: float,
) -> dict[str, Any]:
    """Train once; return the figures of the model and of what stands beside it."""
    settings = SETTINGS | changed | {"threads": given.threads, "seed": seed}
    if given.quick:
        settings |= {"epochs": 1, "enc_dim": 8}
    started = time.perf_counter()
    rows = without_ids(test.rows, ("user", "film")[test.side], share, seed)
    model = Object2Vec(in0=IN0, in1=IN1, **settings).fit(rows)
    train_s = time.perf_counter() - started
    names = [each.column for each in (IN0, IN1)[test.side]]
    mean = _encode(model, test.side, {n: test.rows[n] for n in names}).mean(axis=0)  # (D,)
    own = _encode(model, test.side, test.objects)  # (n, D)
    vectors = _encode(model, 1 - test.side, test.candidates)  # (N, D)
    popularity = np.log(test.popularity)
    scores = own @ vectors.T  # (n, N)
    rankings = {
        "chance": np.zeros_like(scores),
        "popularity": np.broadcast_to(popularity, scores.shape),
        "mean vector": np.broadcast_to(vectors @ mean + popularity, scores.shape),
        f"{name}, score alone": scores,
        name: scores + popularity,
    }
    figures = {key: measures(each, test, seed) for key, each in rankings.items()}
    return {
        "figures": figures,
        "train_s": train_s,
        "rows": len(rows["film"]),
        "objects": len(own),
        "candidates": len(vectors),
    }


def _encode(model: Object2Vec, side: int, columns: dict[str, list[Any]]) -> Floats:
    return (model.encode(in1=columns) if side else model.encode(in0=columns)).astype(np.float64)


def left_out(likes: Likes, part: str, seed: int | None) -> NDArray[np.int64]:
    """Return the users or films that a test leaves out, or those that settings are chosen on."""
    objects = np.unique(likes.users if part == "users" else likes.films)
    count = max(1, int(SHARE * len(objects)))
    chosen_on = np.random.default_rng(0).choice(objects, count, replace=False)
    if seed is None:
        return chosen_on
    others = np.setdiff1d(objects, chosen_on)
    return np.random.default_rng(1 + seed).choice(others, count, replace=False)


def unseen_users(likes: Likes, left: NDArray[np.int64], seed: int) -> Test:
    """Return the test of users that are left out; each has half of their likes as history."""
    is_left = np.isin(likes.users, left)
    known = likes.only(~is_left)
    films, popularity = np.unique(known.films, return_counts=True)  # (N,) each
    order = np.random.default_rng(seed).permutation(np.flatnonzero(is_left))
    asked = Likes(likes.users[order], likes.films[order], likes.facts)
    asked = asked.only(np.isin(asked.films, films))
    asked = asked.only(np.bincount(asked.users)[asked.users] > 1)
    users, films_of = np.unique(asked.users), asked.films
    turns = np.concatenate([np.arange(n) for n in np.unique(asked.users, return_counts=True)[1]])
    by_user = np.argsort(asked.users, kind="stable")
    is_history = np.zeros(len(by_user), np.bool_)
    is_history[by_user] = turns % 2 == 1
    past = histories(asked.only(is_history))
    row, column = np.searchsorted(users, asked.users), np.searchsorted(films, films_of)
    return Test(
        rows_of(known),
        0,
        {"history": [past[user] for user in users.tolist()]},
        {"film": films.tolist(), **of_films(likes, films)},
        popularity,
        *(_marked((len(users), len(films)), row[m], column[m]) for m in (~is_history, is_history)),
    )


def unseen_films(likes: Likes, left: NDArray[np.int64], seed: int) -> Test:
    """Return the test of films that are left out."""
    is_left = np.isin(likes.films, left)
    known = likes.only(~is_left)
    users, popularity = np.unique(known.users, return_counts=True)  # (N,) each
    asked = likes.only(is_left & np.isin(likes.users, users))
    films, past = np.unique(asked.films), histories(known)
    candidates = {"user": users.tolist(), "history": [past[user] for user in users.tolist()]}
    shape = (len(films), len(users))
    found = np.searchsorted(films, asked.films), np.searchsorted(users, asked.users)
    return Test(
        rows_of(known),
        1,
        of_films(likes, films),
        candidates,
        popularity,
        _marked(shape, *found),
        np.zeros(shape, np.bool_),
    )


PARTS = {"users": unseen_users, "films": unseen_films}


def _marked(
    shape: tuple[int, int], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return an array that is true there."""
    marked = np.zeros(shape, np.bool_)
    marked[rows, columns] = True
    return marked


def histories(likes: Likes) -> dict[int, list[str]]:
    """Return the films that each user likes."""
    found: dict[int, list[str]] = {}
    for user, film in zip(likes.users.tolist(), likes.films.tolist(), strict=True):
        found.setdefault(user, []).append(str(film))
    return found


def rows_of(likes: Likes) -> dict[str, list[Any]]:
    """Return the table to train on; a film is never in the history of its own row."""
    past = histories(likes)
    users, films = likes.users.tolist(), likes.films.tolist()
    others = [
        [other for other in past[user] if other != str(film)]
        for user, film in zip(users, films, strict=True)
    ]
    return {"user": users, "history": others, "film": films, **of_films(likes, likes.films)}


def of_films(likes: Likes, films: NDArray[np.int64]) -> dict[str, list[Any]]:
    """Return the columns that say what films are."""
    return {name: [values[film] for film in films] for name, values in likes.facts.items()}


def without_ids(
    rows: dict[str, list[Any]], column: str, share: float, seed: int
) -> dict[str, list[Any]]:
    """Return rows of which a share, drawn at random, has no value in a column."""
    hidden = np.random.default_rng(seed).random(len(rows[column])) < share
    values = [None if h else value for h, value in zip(hidden, rows[column], strict=True)]
    return {**rows, column: values}


def measures(scores: Floats, test: Test, seed: int) -> dict[str, float]:
    """Return how well scores (n, N) find what is to be found; equal ones are in random order."""
    count = scores.shape[1]
    drawn = np.random.default_rng(seed).permutation(count)
    known = np.where(test.history, -np.inf, scores)[:, drawn]
    order = drawn[np.argsort(-known, axis=1, kind="stable")]  # (n, N)
    hits = np.take_along_axis(test.found, order, axis=1)  # (n, N)
    total = test.found.sum(axis=1)  # (n,)
    gains = 1 / np.log2(np.arange(2, 12))[: min(10, count)]
    best = np.cumsum(gains)[np.minimum(total, len(gains)) - 1]  # (n,)
    ranks = (hits * np.arange(1, count + 1)).sum(axis=1) / total  # (n,)
    values = (
        (hits[:, :10] @ gains) / best,
        hits[:, :20].sum(axis=1) / np.minimum(total, 20),
        1 / (1 + hits.argmax(axis=1)),
        ranks,
    )
    return {name: float(each.mean()) for name, each in zip(MEASURES, values, strict=True)}


if __name__ == "__main__":
    main()
