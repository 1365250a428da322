"""What tuning finds, and what warm start saves: MovieLens 100K, ua, by ids alone.

First ``object2vec tune``, 40 trials by Bayesian search as a user types it, against the values that
AWS's notebook about MovieLens sets, and with ``--defaults`` against AWS's defaults, which train
longer than all trials together: squared error on dev, by which all choose their epoch, and on
ua.test, looked at once at the end.

Then how many trials a study needs to a stated quality, from scratch and with a parent: the same
data (IDENTICAL_DATA_AND_ALGORITHM), and a parent that was tuned on the ratings of the other half of
the users (TRANSFER_LEARNING). The quality is what the studies from scratch reach with their first
ten trials, in the median; a study that does not reach it with all its trials counts as one trial
more. Five repeats, each with seeds of its own and a parent of its own.

With ``--work DIR`` the studies stay there, and the same command goes on with them.

The data: https://grouplens.org/datasets/movielens/100k. `--data` names the folder that holds the
folder movielens_100k.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import splits
from benchmarks.common import save, speed_parser, table

OBJECTIVE = "validation:mean_squared_error"
IDS = {
    "enc0_max_seq_len": 1,
    "enc0_vocab_size": 944,
    "enc0_network": "pooled_embedding",
    "enc1_max_seq_len": 1,
    "enc1_vocab_size": 1683,
    "enc1_network": "pooled_embedding",
    "output_layer": "mean_squared_error",
}
BATCHES = {"mini_batch_size": 2048, "epochs": 10}
NOTEBOOK = {
    "enc_dim": 1024,
    "mlp_dim": 256,
    "mlp_layers": 1,
    "mlp_activation": "tanh",
    "mini_batch_size": 64,
    "epochs": 20,
    "learning_rate": 0.001,
    "optimizer": "adam",
}
SPACE = {
    "enc_dim": {"min": 8, "max": 256, "scale": "Logarithmic"},
    "mlp_dim": {"min": 16, "max": 256, "scale": "Logarithmic"},
    "mlp_layers": {"min": 1, "max": 3},
    "learning_rate": {"min": 0.0003, "max": 0.1, "scale": "Logarithmic"},
    "dropout": {"min": 0.0, "max": 0.6},
    "weight_decay": {"min": 1e-7, "max": 0.01, "scale": "Logarithmic"},
    "optimizer": ["adam", "adagrad", "rmsprop"],
}
TARGET_TRIALS = 10  # whose best is the stated quality


def main() -> None:
    """Tune against the defaults, then count trials with and without parents."""
    options = speed_parser(__doc__, "../shared/data", rounds=5, threads=1)
    options.add_argument("--defaults", action="store_true", help="train AWS's defaults, too")
    options.add_argument("--trials", type=int, default=40, help="of the first study")
    options.add_argument("--most", type=int, default=25, help="trials of the others")
    options.add_argument("--part", choices=("against", "starts"), help="one of the two alone")
    options.add_argument("--work", type=Path, help="folder in which the studies stay")
    given = options.parse_args()
    split = splits.ratings(given.data)
    parts = {"against": ("tuning", _against), "starts": ("tuning_warm_start", _warm_starts)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.work or Path(temporary)
        folder.mkdir(exist_ok=True)
        for part, (name, measure) in parts.items():
            if given.part in (None, part):
                protocol = {
                    "protocol": splits.PROTOCOLS["ratings"],
                    "space": SPACE,
                    "fixed": IDS | BATCHES,
                }
                save(
                    name,
                    protocol | measure(folder, split, given),
                    given,
                    versions=("object2vec", "torch", "numpy", "numba", "optuna"),
                )


def _against(folder: Path, split: Any, given: Any) -> dict[str, Any]:
    """Return what 40 trials find, and what AWS's defaults give."""
    names = {}
    for name in ("train", "dev", "test"):
        names[name] = folder / f"{name}.jsonl"
        names[name].write_text("".join(map(_line, getattr(split, name))), "utf-8")
    (folder / "space.json").write_text(json.dumps(SPACE))
    data = ["--train", str(names["train"]), "--validation", str(names["dev"])]
    settings = _set(IDS | {"threads": given.threads})
    study = [
        "--space",
        str(folder / "space.json"),
        "--objective",
        OBJECTIVE,
        "--parallel",
        "1",
        "--trials",
        str(given.trials),
        "--out",
        str(folder / "study"),
        "--resume",
    ]
    runs = {
        "tuned": (["tune", *data, *settings[:-2], *_set(BATCHES), *study], folder / "study/best"),
        "AWS's notebook": (
            ["train", *data, *settings, *_set(NOTEBOOK), f"--out={folder}/book", "--overwrite"],
            folder / "book",
        ),
    }
    if given.defaults:
        plain = ["train", *data, *settings, f"--out={folder}/plain", "--overwrite"]
        runs["AWS's defaults"] = (plain, folder / "plain")
    rows = [
        {"of": name, **_measured(command, model, names)} for name, (command, model) in runs.items()
    ]
    table(("of", "dev", "ua.test"), [(r["of"], r["dev"], r["test"]) for r in rows])
    found = sorted(folder.glob("study/trials/*/trial.json"))
    trials = [json.loads(path.read_text()) for path in found]
    kept = ("number", "values", "state", "value")
    return {"against": rows, "trials": [{name: each[name] for name in kept} for each in trials]}


def _measured(command: list[str], model: Path, data: dict[str, Path]) -> dict[str, Any]:
    """Run a command and measure the model that it leaves."""
    from object2vec import Object2Vec

    subprocess.run([sys.executable, "-m", "object2vec", *command], check=True, capture_output=True)
    fitted = Object2Vec.load(model)
    found = {name: fitted.evaluate(data[name])["mean_squared_error"] for name in ("dev", "test")}
    return found


def _warm_starts(folder: Path, split: Any, given: Any) -> dict[str, Any]:
    """Return the trials to a stated quality of each kind of start, in every repeat."""
    parts = _halves(split)
    scratch, other = [], []
    for seed in range(given.rounds):
        scratch.append(_study(folder / f"scratch-{seed}", parts["this"], seed, given.most))
        other.append(_study(folder / f"other-{seed}", parts["other"], 100 + seed, given.most))
    firsts = [min(_values(study)[:TARGET_TRIALS]) for study in scratch]
    quality = statistics.median(firsts)
    needed: dict[str, list[int]] = {"scratch": [_until(_values(s), quality) for s in scratch]}
    for kind, parents in (("IDENTICAL_DATA_AND_ALGORITHM", scratch), ("TRANSFER_LEARNING", other)):
        needed[kind] = []
        for seed in range(given.rounds):
            parent = parents[(seed + 1) % given.rounds]
            study = _study(
                folder / f"{kind}-{seed}",
                parts["this"],
                seed,
                given.most,
                quality=quality,
                parent=parent,
                kind=kind,
            )
            needed[kind].append(_until(_values(study), quality))
    rows = [
        {"start": kind, "median": statistics.median(counts), "trials": counts}
        for kind, counts in needed.items()
    ]
    spread = [(r["start"], r["median"], min(r["trials"]), max(r["trials"])) for r in rows]
    table(("start", "median trials", "fewest", "most"), spread)
    return {"quality": quality, "most_trials": given.most, "starts": rows}


def _halves(split: Any) -> dict[str, tuple[list[Any], list[Any]]]:
    """Return train and dev records of the users with even numbers, and of the others."""
    return {
        name: tuple(
            [_record(row) for row in part[part[:, 0] % 2 == odd]]
            for part in (split.train, split.dev)
        )
        for name, odd in (("this", 0), ("other", 1))
    }  # type: ignore[return-value]


def _study(
    path: Path,
    data: Any,
    seed: int,
    most: int,
    *,
    quality: float = -1.0,
    parent: Any = None,
    kind: Any = None,
) -> Any:
    """Return a study that has run until its quality or the most trials."""
    from object2vec.tuning.objective import Goal
    from object2vec.tuning.search import Search
    from object2vec.tuning.space import Space
    from object2vec.tuning.trials import Study
    from object2vec.tuning.tuner import Trained, Tuner

    space = Space.parse(SPACE, "space")
    search = Search(space, Goal.parse(OBJECTIVE), seed=seed)
    settings = {
        "objective": OBJECTIVE,
        "space": space.state(),
        "fixed": {},
        "data": path.name,
        "seed": seed,
        "strategy": "bayesian",
    }
    study = Study.open(path) if path.exists() else Study.create(path, settings)

    def train(trial: Any, watch: Any) -> Any:
        from object2vec import Object2Vec

        model = Object2Vec(**IDS, **BATCHES, **trial.values, seed=trial.number, threads=1)
        model.fit(data[0], validation=data[1], reporters=[])
        return Trained(value=model.facts.metrics["validation"]["mean_squared_error"])

    def report(trial: Any) -> None:
        if trial.value is not None and trial.value <= quality:
            tuner.stop()

    if any(value <= quality for value in _values(study)):
        return study
    tuner = Tuner(
        study,
        search,
        train,
        trials=most,
        parents=[parent] if parent else [],
        warm_start=kind,
        report=report,
    )
    tuner.run()
    print(path.name, [round(value, 4) for value in _values(study)], flush=True)
    return study


def _values(study: Any) -> list[float]:
    return [trial.value for trial in study.trials() if trial.value is not None]


def _until(values: Sequence[float], quality: float) -> int:
    """Return how many trials it takes to a quality, all and one more if they do not reach it."""
    return next((n for n, value in enumerate(values, 1) if value <= quality), len(values) + 1)


def _record(row: Any) -> dict[str, Any]:
    user, film, rating = map(int, row[:3])
    return {"in0": [user], "in1": [film], "label": rating}


def _line(row: np.ndarray) -> str:
    return json.dumps(_record(row)) + "\n"


def _set(settings: dict[str, Any]) -> list[str]:
    return [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]


if __name__ == "__main__":
    main()
