"""How well object2vec predicts ratings: MovieLens 100K, ua, from users and films alone.

What a user types, once for each seed, and the squared error of the one saved model:
``object2vec train --train ua.tsv --columns user,film,rating,time --in0 user --in1 film --label
rating --preset ratings --out model``. Predictions are measured as they are, not clipped. Settings
were chosen with ``--dev``: trained on ua.base without ten ratings of each user, measured on those
(benchmarks/LOG.md); ua.test is looked at without it.

Peers: `peers/ratings.py`. The data: https://grouplens.org/datasets/movielens/100k. `--data` names
the folder that holds the folder movielens_100k.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import splits
from benchmarks.common import Recorder, ending, parser, save, summary, table

COLUMNS = ("user", "film", "rating", "time")
FIGURES = ("mean_squared_error", "mean_absolute_error")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train with each seed, save, load and measure."""
    options = parser(__doc__, "../shared/data")
    options.set_defaults(seeds=3)
    options.add_argument("--dev", action="store_true", help="measure on dev, without ua.test")
    options.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="another hyperparameter than the preset's",
    )
    given = options.parse_args(arguments)
    split = splits.ratings(given.data)
    train, test = split.train, split.dev
    if not given.dev:
        train, test = np.concatenate([split.train, split.dev]), split.test
    settings = {n: json.loads(v) for n, _, v in (text.partition("=") for text in given.set)}
    settings |= {"epochs": 1} if given.quick else {}
    settings["threads"] = given.threads
    runs = []
    for seed in range(given.seeds):
        runs.append(_run(train, test, settings | {"seed": seed}))
        print(runs[-1], flush=True)
    figures = {name: summary([run[name] for run in runs]) for name in FIGURES}
    figures["seconds"] = summary([run["total_s"] for run in runs])
    table(["of", *figures], [["user and film", *(each["mean"] for each in figures.values())]])
    save(
        "ratings_dev" if given.dev else "ratings",
        {
            "protocol": splits.PROTOCOLS["ratings"],
            "rows": {"user and film": figures},
            "runs": runs,
        },
        given,
    )


def _run(train: Any, test: Any, settings: dict[str, Any]) -> dict[str, Any]:
    """Train the preset on a file, save the model and measure it."""
    from object2vec import Object2Vec

    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.tsv" for name in ("train", "test")}
        for path, rows in zip(paths.values(), (train, test), strict=True):
            header = "\t".join(COLUMNS)
            np.savetxt(path, rows, "%d", "\t", header=header, comments="")
        recorder = Recorder()
        model = Object2Vec(in0="user", in1="film", label="rating", preset="ratings", **settings)
        model.fit(paths["train"], reporters=[recorder])
        model.save(Path(folder) / "model")
        measured = Object2Vec.load(Path(folder) / "model").evaluate(paths["test"])
    return {
        "seed": settings["seed"],
        **{name: measured[name] for name in FIGURES},
        **ending(recorder.history),
    }


if __name__ == "__main__":
    main()
