"""Users and films that training never saw: how well their histories and genres stand for them.

A tenth of the users and of the films of MovieLens' ua.base are left out whole. Ratings of 4 and 5
are positives: a model learns from pairs of a user with other films that he likes (at most 20) and
a film with its genres and the words of its title, without a label, by the preset with other
dropout and fewer epochs. ua.test is not read. Two questions, each to the model and to what knows
less:

unseen users
    Half of what the user likes is the history, the other half is to be found among all films that
    training knows, without the history. Beside: the most popular films, and the model without the
    history, which then knows nothing of a user: the mean vector. As negatives are films of other
    users, the model's log odds say how much more often than by chance user and film meet; with the
    logarithm of a film's count they say how often (history and popularity).
unseen films
    Which of the films that were left out does a known user like? Beside: the model without genres
    and title, the mean vector. Popularity knows nothing of a new film: all are equal.

Recall@20 of users, recall@5 of films, each the mean over users; equals count as drawn by lot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import ending, parser, save, summary, table
from benchmarks.movielens import open_text
from object2vec import Object2Vec

LIKED, LEFT_OUT, HISTORY, TOP_FILMS, TOP_COLD = 4, 0.1, 20, 20, 5
COLUMNS = {
    "in0": ["user", 'history:tokens(" ")'],
    "in1": ['film:tokens(" ")', 'genres:tokens("|")', "title:text(min_count=2)"],
    "share": ["history", "film"],
}
SETTINGS = {"dropout": 0.0, "epochs": 8}
_FIRST_SEED = 2  # the users and films that seed 1 leaves out have chosen the settings
Likes = dict[str, list[str]]


def main(words: Sequence[str] | None = None) -> None:
    """Train with each seed and ask both questions."""
    given = parser(__doc__, "../shared/data/movielens_100k").parse_args(words)
    likes, films = read_likes(given.data), read_films(given.data)
    settings = SETTINGS | {"threads": given.threads} | ({"epochs": 1} if given.quick else {})
    seeds = range(_FIRST_SEED, _FIRST_SEED + given.seeds)
    runs = [_run(likes, films, settings | {"seed": seed}) for seed in seeds]
    names = [name for name in runs[0] if name != "training"]
    result = {name: summary([run[name] for run in runs]) for name in names}
    rows = [(n, *(round(result[n][key], 3) for key in ("mean", "min", "max"))) for n in names]
    table(("question", "mean", "lowest", "highest"), rows)
    trainings = [run["training"] for run in runs]
    found = {"columns": COLUMNS, "hyperparameters": settings, "recall": result}
    save("cold_start", found | {"trainings": trainings}, given)


def read_likes(folder: Path) -> Likes:
    """Return the films that each user likes."""
    likes: Likes = {}
    for line in _lines(folder, "ua.base"):
        user, film, rating, _ = line.split("\t")
        if int(rating) >= LIKED:
            likes.setdefault(user, []).append(film)
    return likes


def _lines(folder: Path, name: str) -> list[str]:
    with open_text(folder, name) as file:
        return file.read().splitlines()


def read_films(folder: Path) -> dict[str, dict[str, str]]:
    """Return the title and the genres of each film."""
    films = {}
    for line in _lines(folder, "u.item"):
        film, title, *rest = line.split("|")
        marks = rest[-19:]
        genres = "|".join(f"genre {i}" for i, mark in enumerate(marks) if mark == "1")
        films[film] = {"film": film, "title": title, "genres": genres}
    return films


def _run(
    likes: Likes, films: Mapping[str, Mapping[str, str]], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what one training answers."""
    generator = np.random.default_rng(settings["seed"])
    cold_users, cold_films = (_some(each, generator) for each in (likes, films))
    known = {
        user: warm
        for user, liked in likes.items()
        if len(warm := [film for film in liked if film not in cold_films]) > 1
    }
    warm = {user: liked for user, liked in known.items() if user not in cold_users}
    rows = [
        {"user": user, "history": _history(liked, film, generator), **films[film]}
        for user, liked in warm.items()
        for film in liked
    ]
    model = Object2Vec(**COLUMNS, **settings).fit(rows)
    found = _unseen_users(model, {u: known[u] for u in cold_users if u in known}, warm, films)
    asked = {u: [f for f in likes[u] if f in cold_films] for u in warm}
    cold = [films[film] for film in sorted(cold_films)]
    found |= _unseen_films(model, {u: f for u, f in asked.items() if f}, warm, cold)
    return found | {"training": {"pairs": len(rows), **ending(model.facts.history)}}


def _some(names: Mapping[str, Any], generator: np.random.Generator) -> set[str]:
    """Return a tenth of the names, at least one."""
    every = sorted(names)
    return {*generator.choice(every, max(1, round(LEFT_OUT * len(every))), replace=False)}


def _history(liked: Sequence[str], target: str, generator: np.random.Generator) -> str:
    """Return some of the other films that a user likes."""
    others = [film for film in liked if film != target]
    return " ".join(generator.permutation(others)[:HISTORY])


def _unseen_users(
    model: Object2Vec, likes: Likes, warm: Likes, films: Mapping[str, Mapping[str, str]]
) -> dict[str, float]:
    """Return how much of their other half is found of users that were left out."""
    counts: dict[str, int] = {}
    for film in (film for liked in warm.values() for film in liked):
        counts[film] = counts.get(film, 0) + 1
    candidates = sorted(counts)
    popularity = np.array([counts[film] for film in candidates], float)
    columns = [films[film] for film in candidates]
    names = ("history and popularity", "history", "popularity", "mean")
    recalls: dict[str, list[float]] = {name: [] for name in names}
    for user, liked in sorted(likes.items()):
        history, wanted = liked[::2], {*liked[1::2]} & {*candidates}
        if not wanted:
            continue
        is_open = np.array([film not in history for film in candidates])
        right = np.array([film in wanted for film in candidates])
        fits = _scores(model, {"user": user, "history": " ".join(history)}, columns)
        scores = {
            "history": fits,
            "history and popularity": fits + np.log(popularity),
            "popularity": popularity,
            "mean": _scores(model, {"user": user, "history": ""}, columns),
        }
        for name, each in scores.items():
            recalls[name].append(_recall(each[is_open], right[is_open], TOP_FILMS))
    return {f"unseen users, {name}": float(np.mean(each)) for name, each in recalls.items()}


def _unseen_films(
    model: Object2Vec, likes: Likes, warm: Likes, cold: Sequence[Mapping[str, str]]
) -> dict[str, float]:
    """Return how many of the films that were left out are found by users who like them."""
    nothing = [{"film": each["film"], "genres": "", "title": ""} for each in cold]
    recalls: dict[str, list[float]] = {"genres and title": [], "mean": []}
    for user, wanted in sorted(likes.items()):
        right = np.array([film["film"] in wanted for film in cold])
        asked = {"user": user, "history": " ".join(warm[user][:HISTORY])}
        for name, columns in (("genres and title", cold), ("mean", nothing)):
            recalls[name].append(_recall(_scores(model, asked, columns), right, TOP_COLD))
    return {f"unseen films, {name}": float(np.mean(each)) for name, each in recalls.items()}


def _scores(
    model: Object2Vec, user: Mapping[str, str], films: Sequence[Mapping[str, str]]
) -> np.ndarray:
    """Return the log odds that a user goes with each film and not with another's, (n,)."""
    chance = model.predict(in0=[user] * len(films), in1=list(films))[:, -1].astype(float)
    return np.log(chance) - np.log1p(-chance)


def _recall(scores: np.ndarray, right: np.ndarray, count: int) -> float:
    """Return the share of the right ones among the first `count`, of as many as there could be."""
    order = np.lexsort((np.random.default_rng(0).random(len(scores)), -scores))
    return float(right[order[:count]].sum() / min(count, right.sum()))


if __name__ == "__main__":
    main()
