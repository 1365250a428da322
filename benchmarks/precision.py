"""Whether bfloat16 keeps the quality where it is offered.

The same trainings in float32 and in bfloat16 (`precision`), seed by seed, so that both have the
same order of records and the same initial weights:

liked
    MovieLens, is the rating above 3: the settings of AWS's notebook (benchmarks/movielens.py),
    whose head is the widest here. Of its epochs three are run: the first two decide.
inference
    Natural language inference by hcnn with random vectors (benchmarks/nli_vectors.py), SNLI's pairs
    that are kept apart.

Reported is the accuracy of the epoch that was the best by the loss that training watches. `--data`
names the folder of movielens_100k and of nli_vectors.py's data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import movielens, nli_vectors
from benchmarks.common import Recorder, ending, parser, save, summary, table
from object2vec import Object2Vec

PRECISIONS = ("float32", "bfloat16")
EPOCHS = 3  # of liked
SEEDS = {"liked": 3, "inference": 5}  # whose accuracies differ more


def main(arguments: Sequence[str] | None = None) -> None:
    """Train every task in both precisions with each seed."""
    options = parser(__doc__, "../shared/data")
    options.set_defaults(seeds=None, threads=2)
    options.add_argument("--task", choices=tuple(SEEDS), action="append")
    given = options.parse_args(arguments)
    for name in given.task or tuple(SEEDS):
        settings, channels, score = globals()[f"_{name}"](given.data)
        if given.quick:
            settings = settings | {"enc_dim": 16, "mlp_dim": 8, "epochs": 2}
        runs = [
            _run(
                settings | {"seed": seed, "threads": given.threads, "precision": precision},
                channels,
                score,
            )
            for seed in range(given.seeds or SEEDS[name])
            for precision in PRECISIONS
        ]
        results = [_result(name, precision, runs) for precision in PRECISIONS]
        table(
            ("task", "precision", "accuracy", "from", "to"),
            [
                (
                    r["task"],
                    r["precision"],
                    r["accuracy"]["mean"],
                    r["accuracy"]["min"],
                    r["accuracy"]["max"],
                )
                for r in results
            ],
        )
        save(f"precision_{name}", {"results": results}, given)


def _liked(data: Path) -> tuple[dict[str, Any], dict[str, Any], Callable[[Object2Vec], float]]:
    """Return settings, channels and what measures a model."""
    folder = data / "movielens_100k"
    base, test = (
        movielens.liked(movielens.read_ratings(folder, name)) for name in ("ua.base", "ua.test")
    )
    channels = {
        name: {"in0": rows[:, :1], "in1": rows[:, 1:2], "label": rows[:, 2]}
        for name, rows in {"train": base, "validation": test}.items()
    }
    settings = movielens.LIKE | {"epochs": EPOCHS}
    return settings, channels, lambda model: model.evaluate(channels["validation"])["accuracy"]


def _inference(data: Path) -> tuple[dict[str, Any], dict[str, Any], Callable[[Object2Vec], float]]:
    """Return settings, channels and what measures a model."""
    sets, _ = nli_vectors.read_sets(data)
    vocabulary = nli_vectors.vocabulary_of(sets.values())
    columns = {name: nli_vectors.columns_of(pairs, vocabulary) for name, pairs in sets.items()}
    sizes = {"enc0_network": "hcnn", "enc0_vocab_size": len(vocabulary) + 1}
    settings = nli_vectors.SETTINGS | sizes
    channels = {"train": columns["train"], "validation": columns["dev"]}
    return settings, channels, lambda model: model.evaluate(columns["snli"])["accuracy"]


def _run(
    settings: Mapping[str, Any], channels: Mapping[str, Any], score: Callable[[Object2Vec], float]
) -> dict[str, Any]:
    """Train once and measure."""
    recorder, model = Recorder(), Object2Vec(**settings)
    model.fit(**channels, reporters=[recorder])
    run = {
        "precision": settings["precision"],
        "seed": settings["seed"],
        "accuracy": score(model),
        **ending(recorder.history),
    }
    print(run, flush=True)
    return run


def _result(task: str, precision: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of one precision over the seeds."""
    same = [run for run in runs if run["precision"] == precision]
    return {
        "task": task,
        "precision": precision,
        "runs": same,
        "accuracy": summary([run["accuracy"] for run in same]),
    }


if __name__ == "__main__":
    main()
