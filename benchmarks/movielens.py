"""How good object2vec is on MovieLens 100K: with AWS's settings, and with settings of our own.

Everything runs through the command line, `object2vec train` and `object2vec encode`, on the split
ua.base / ua.test (10 ratings of each user are in ua.test). Four parts, each with its results file:

rating
    AWS's notebook, task 1: predict the rating. AWS's protocol: ua.test is the validation channel,
    so early stopping and the choice of the best epoch look at it.
like
    AWS's notebook, task 2: predict whether the rating is above 3. The same protocol. Its task 3 is
    answered by the last of these models: which movies are nearest to Terminator?
choose
    Compare settings of our own on a part of ua.base that is held out, 10 ratings of each user (half
    of them where there are fewer than 20). ua.test is never read.
ours
    Train the settings chosen there on all of ua.base, with as many epochs as were best there, and
    score ua.test once.

The data: https://grouplens.org/datasets/movielens/100k/ (for research, not to be passed on);
`--data` names the folder of ua.base, ua.test and u.item, packed with gzip or not.
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import curve, ending, parser, save, summary, table

TERMINATOR = 195
NEIGHBOURS = 10

_PAIR = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 1,
    "enc0_vocab_size": 944,
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": 1,
    "enc1_vocab_size": 1684,
}
RATING = _PAIR | {
    "enc0_token_embedding_dim": 300,
    "enc1_token_embedding_dim": 300,
    "enc0_layers": "auto",
    "enc1_layers": "auto",
    "enc0_cnn_filter_width": 3,
    "bucket_width": 0,
    "enc_dim": 1024,
    "epochs": 20,
    "learning_rate": 0.001,
    "mini_batch_size": 64,
    "mlp_activation": "tanh",
    "mlp_dim": 256,
    "mlp_layers": 1,
    "optimizer": "adam",
    "output_layer": "mean_squared_error",
    "early_stopping_patience": 3,
    "early_stopping_tolerance": 0.01,
}
LIKE = RATING | {
    "enc_dim": 2048,
    "mini_batch_size": 2048,
    "mlp_activation": "relu",
    "mlp_dim": 1024,
    "enc1_cnn_filter_width": 3,
    "output_layer": "softmax",
    "num_classes": 2,
}

# Settings of our own. abs_diff is left out: dropout of the embeddings makes differences larger in
# training than they are afterwards.
_OURS = RATING | {
    "enc_dim": 64,
    "dropout": 0.5,
    "weight_decay": 5e-5,
    "comparator_list": "hadamard, concat",
    "early_stopping_tolerance": 1e-4,
    "epochs": 30,
}
TRIALS = {
    "first": _OURS,
    "row_sparse": _OURS | {"token_embedding_storage_type": "row_sparse"},
    "relu": _OURS | {"mlp_activation": "relu"},
    "dropout 0.3": _OURS | {"dropout": 0.3},
    "weight_decay 2e-5": _OURS | {"weight_decay": 2e-5},
}
OURS = TRIALS["relu"]  # the best on the held-out part, after the last of its 30 epochs

# AWS's own curves, `(train, validation)` of each epoch, from the log of its notebook.
AWS_RATING = [
    (1.021, 0.980),
    (0.661, 0.986),
    (0.275, 0.959),
    (0.167, 0.952),
    (0.112, 0.934),
    (0.087, 0.932),
    (0.082, 0.931),
    (0.077, 0.928),
    (0.065, 0.919),
]
AWS_LIKE = [
    (0.617, 0.579),
    (0.544, 0.571),
    (0.506, 0.589),
    (0.342, 0.727),
    (0.086, 0.885),
    (0.0148, 1.022),
    (0.0032, 1.086),
]
# Figures of others on this split; quoted, not run here.
QUOTED = {"Surprise SVD": 0.907, "Surprise SVD++": 0.874}

Ratings = NDArray[np.int64]  # (n, 3): user, movie, rating


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts that are asked for."""
    options = parser(__doc__, "../shared/data/movielens_100k")
    options.add_argument(
        "--part",
        choices=("rating", "like", "choose", "ours"),
        action="append",
        help="only this part; may be given again",
    )
    options.add_argument(
        "--precision",
        default="float32",
        help="of the part like: its head is wide, bfloat16 is faster",
    )
    given = options.parse_args(arguments)
    for part in given.part or ("rating", "like", "choose", "ours"):
        print(f"== {part}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            globals()[f"_{part}"](given, Path(folder))


def _rating(given: Any, folder: Path) -> None:
    """Answer the first part."""
    base, test = (read_ratings(given.data, name) for name in ("ua.base", "ua.test"))
    runs = _aws_runs(given, folder, RATING, base, test)
    metric = "mean_squared_error"
    best = summary([min(epoch["validation"][metric] for epoch in run["curve"]) for run in runs])
    print(f"best validation MSE: mean {best['mean']:.4f}, {best['min']:.4f} to {best['max']:.4f}")
    _beside_aws(runs, metric, AWS_RATING)
    save(
        "movielens_rating",
        {
            "protocol": "ua.base / ua.test, which drives early stopping and the best epoch, as on "
            "AWS",
            "target": {"mean_at_most": 0.93},
            "best_validation_mse": best,
            "aws_curve": AWS_RATING,
            "hyperparameters": RATING,
            "runs": runs,
        },
        given,
    )


def _like(given: Any, folder: Path) -> None:
    """Answer the second and third part."""
    base, test = (liked(read_ratings(given.data, name)) for name in ("ua.base", "ua.test"))
    settings = LIKE | {"precision": given.precision}
    runs = _aws_runs(given, folder, settings, base, test)
    # The model that is kept is that of the best epoch by cross-entropy.
    accuracy = summary([run["best"]["accuracy"] for run in runs])
    print(
        f"validation accuracy: mean {accuracy['mean']:.4f}, "
        f"{accuracy['min']:.4f} to {accuracy['max']:.4f}"
    )
    _beside_aws(runs, "cross_entropy", AWS_LIKE)
    majority = max(test[:, 2].mean(), 1 - test[:, 2].mean())
    nearest = _nearest(folder, np.unique(base[:, 1]), _titles(given.data))
    print("nearest to", nearest["of"])
    table(["movie", "distance"], [[n["title"], n["distance"]] for n in nearest["movies"]])
    save(
        "movielens_like",
        {
            "protocol": "ua.base / ua.test, label 1 if the rating is above 3; ua.test drives early "
            "stopping and the best epoch, as on AWS",
            "target": {"mean_at_least": 0.70},
            "validation_accuracy": accuracy,
            "majority_baseline": float(majority),
            "aws_curve": AWS_LIKE,
            "nearest": nearest,
            "hyperparameters": settings,
            "runs": runs,
        },
        given,
    )


def _choose(given: Any, folder: Path) -> None:
    """Answer the third part."""
    fit, held_out = _held_out(read_ratings(given.data, "ua.base"))
    channels = _write_channels(folder, train=fit, validation=held_out)
    trials = []
    for name, settings in TRIALS.items():
        history = _train(
            given, folder / "model", channels, _shortened(settings, given) | {"seed": 0}
        )
        mse = [epoch["validation"]["mean_squared_error"] for epoch in curve(history)]
        trials.append(
            {
                "name": name,
                "best_mse": min(mse),
                "best_epoch": int(np.argmin(mse)),
                "settings": settings,
                "curve": curve(history),
            }
        )
        print(f"{name}: {min(mse):.4f} at epoch {np.argmin(mse)}", flush=True)
    trials.sort(key=lambda trial: trial["best_mse"])
    rows = [[trial["name"], trial["best_mse"], trial["best_epoch"]] for trial in trials]
    table(["settings", "held-out MSE", "epoch"], rows)
    save(
        "movielens_choose",
        {
            "protocol": f"ua.base: {len(fit)} ratings to train on, {len(held_out)} held out "
            "(seed 0)",
            "trials": trials,
        },
        given,
    )


def _ours(given: Any, folder: Path) -> None:
    """Answer the fourth part."""
    base, test = read_ratings(given.data, "ua.base"), read_ratings(given.data, "ua.test")
    channels = _write_channels(folder, train=base, test=test)
    runs = []
    for seed in range(given.seeds):
        history = _train(
            given, folder / "model", channels, _shortened(OURS, given) | {"seed": seed}
        )
        (tested,) = (event["metrics"] for event in history if event["event"] == "test")
        runs.append({"seed": seed, "test": tested, **ending(history), "curve": curve(history)})
        print(f"seed {seed}: test {tested}", flush=True)
    mse = summary([run["test"]["mean_squared_error"] for run in runs])
    table(
        ["MSE on ua.test", "mean", "lowest", "highest"],
        [
            ["object2vec", mse["mean"], mse["min"], mse["max"]],
            *([f"{name} (quoted)", value, "", ""] for name, value in QUOTED.items()),
        ],
    )
    save(
        "movielens_ours",
        {
            "protocol": "trained on ua.base for a number of epochs that was chosen on a part of "
            "it; ua.test is scored once per seed, after training",
            "target": {"mean_at_most": 0.885},
            "test_mse": mse,
            "quoted": QUOTED,
            "hyperparameters": OURS,
            "runs": runs,
        },
        given,
    )


def _aws_runs(
    given: Any, folder: Path, settings: Mapping[str, Any], base: Ratings, test: Ratings
) -> list[dict[str, Any]]:
    """Train with each seed, ua.test as the validation channel; the last model stays in `folder`."""
    channels = _write_channels(folder, train=base, validation=test)
    runs = []
    for seed in range(given.seeds):
        history = _train(
            given, folder / "model", channels, _shortened(settings, given) | {"seed": seed}
        )
        run = {"seed": seed, **ending(history), "curve": curve(history)}
        run["best"] = run["curve"][run["best_epoch"]]["validation"]
        runs.append(run)
        print(
            f"seed {seed}: epoch {run['best_epoch']} of {run['epochs']}, {run['best']}", flush=True
        )
    return runs


def _beside_aws(runs: list[dict[str, Any]], metric: str, aws: list[tuple[float, float]]) -> None:
    """Print the mean curve of the runs beside AWS's; an epoch counts where all runs have it."""
    rows = []
    for epoch in range(min(len(run["curve"]) for run in runs)):
        row: list[Any] = [epoch]
        for place, channel in enumerate(("train", "validation")):
            values = [run["curve"][epoch][channel][metric] for run in runs]
            row += [sum(values) / len(values), aws[epoch][place] if epoch < len(aws) else ""]
        rows.append(row)
    table(["epoch", "train", "AWS train", "validation", "AWS validation"], rows)


def _train(
    given: Any, model: Path, channels: Sequence[str], settings: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Train through the command line and return the events that the model keeps."""
    shutil.rmtree(model, ignore_errors=True)
    values = settings | {"threads": given.threads}
    sets = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    _object2vec("train", *channels, "--out", str(model), *sets)
    lines = (model / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _object2vec(*words: str) -> str:
    """Run the command line and return what it prints."""
    program = shutil.which("object2vec", path=str(Path(sys.executable).parent))
    done = subprocess.run(
        [program or "object2vec", *words], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"object2vec {words[0]} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def _nearest(folder: Path, movies: NDArray[np.int64], titles: Mapping[int, str]) -> dict[str, Any]:
    """Return the movies whose embeddings lie nearest to Terminator's."""
    ids = folder / "movies.jsonl"
    ids.write_text("".join(f'{{"in1": [{movie}]}}\n' for movie in movies), encoding="utf-8")
    lines = _object2vec("encode", str(folder / "model"), "--side", "in1", str(ids)).splitlines()
    vectors = np.array([json.loads(line)["embeddings"] for line in lines])  # (n, D)
    distances = np.linalg.norm(vectors - vectors[movies == TERMINATOR], axis=1)  # (n,)
    order = np.argsort(distances)[1 : 1 + NEIGHBOURS]
    return {
        "of": titles[TERMINATOR],
        "movies": [
            {"id": int(movies[i]), "title": titles[int(movies[i])], "distance": float(distances[i])}
            for i in order
        ],
    }


def read_ratings(folder: Path, name: str) -> Ratings:
    """Return user, movie and rating of each line of a file."""
    with open_text(folder, name) as file:
        return np.loadtxt(file, dtype=np.int64, usecols=(0, 1, 2), ndmin=2)


def _titles(folder: Path) -> dict[int, str]:
    """Return the title of each movie."""
    return {int(movie): title for movie, title, *_ in read_movies(folder)}


def read_movies(folder: Path) -> Iterator[list[str]]:
    """Yield what is said of each movie: number, title, date, ..., a flag for each genre."""
    with open_text(folder, "u.item") as file:
        for line in file:
            yield line.rstrip("\n").split("|")


def open_text(folder: Path, name: str) -> Any:
    """Open a text file that may be packed."""
    path = folder / name
    if path.exists():
        return path.open(encoding="latin-1")
    return gzip.open(folder / f"{name}.gz", "rt", encoding="latin-1")


def liked(ratings: Ratings) -> Ratings:
    """Return the records with 1 for a rating above 3, else 0."""
    return np.column_stack([ratings[:, :2], ratings[:, 2] > 3])


def _held_out(ratings: Ratings) -> tuple[Ratings, Ratings]:
    """Return the ratings to train on, and 10 of each user (at most half) to validate with."""
    shuffled = np.random.default_rng(0).permutation(ratings)  # (n, 3)
    order = np.argsort(shuffled[:, 0], kind="stable")
    _, first, counts = np.unique(shuffled[order, 0], return_index=True, return_counts=True)
    place = np.arange(len(order)) - np.repeat(first, counts)  # within the user's ratings
    is_held_out = place < np.repeat(np.minimum(10, counts // 2), counts)
    return shuffled[order[~is_held_out]], shuffled[order[is_held_out]]


def _write_channels(folder: Path, **channels: Ratings) -> list[str]:
    """Write each channel as JSON Lines and return the options that name them."""
    words = []
    for name, ratings in channels.items():
        path = folder / f"{name}.jsonl"
        path.write_text(
            "".join(
                f'{{"in0": [{user}], "in1": [{movie}], "label": {label}}}\n'
                for user, movie, label in ratings.tolist()
            ),
            encoding="utf-8",
        )
        words += [f"--{name}", str(path)]
    return words


def _shortened(settings: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """Return the settings, for a quick run of few epochs and narrow tables."""
    return dict(settings) | ({"epochs": 2, "enc_dim": 16} if given.quick else {})


if __name__ == "__main__":
    main()
