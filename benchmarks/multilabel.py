"""Labels of a text, several at once: emotions of comments and genres of films.

One command trains on the texts and their labels, as a user would:

    object2vec train --train films.csv --in0 overview:text --in1 'genres:tokens("|")' --preset multilabel --out model

and `object2vec evaluate model test.csv --task multilabel --validation dev.csv` measures micro and macro
F1 on test, with thresholds that are chosen on dev: one for all labels, and one for each (`_per_label`).
The peers are in benchmarks/peers/multilabel.py, with the same parts and thresholds.

Emotions are told by pairs of words and runs of characters, too, which count less than words: two more
fields of `--in0`. `--choose` compares the settings of `_GRID` on dev with one seed, as the peers' does,
and writes which is best (`_choose.json`): these are in `CHOSEN`. `--dev` measures on dev and saves nothing; then `--set`
changes some settings.
"""  # noqa: E501

from __future__ import annotations

import csv
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import splits
from benchmarks.common import ROOT, parser, save, summary, table

GOALS = {"goemotions": "56.3 (58)", "tmdb5000": "57 (59)"}
FIGURES = ("micro_f1", "micro_f1_per_label", "macro_f1_per_label")
_QUICK = 300  # texts of a part
_WORDS = "overview:text(punctuation=true,unseen=skip)"  # rare words say nothing, rather than share
_PAIRS = "overview:text(punctuation=true,unseen=skip,ngrams=2,min_count=5,weight=0.5)"
_RUNS = [f"overview:characters(3,5,weight={weight})" for weight in (0.2, 0.3)]
_GRID: dict[str, dict[str, Sequence[Any]]] = {
    "goemotions": {
        "in0": ([_WORDS], [_WORDS, _PAIRS], *([_WORDS, _PAIRS, runs] for runs in _RUNS)),
        "enc0_pool_exponent": (0, 0.1),
        "token_dropout": (0,),
        "epochs": (3,),
    },
    "tmdb5000": {"in0": ([_WORDS],), "enc0_pool_exponent": (0.1, 0.3), "epochs": (3, 10, 15)},
}
CHOSEN: dict[str, dict[str, Any]] = {  # on dev
    "goemotions": {
        "in0": [_WORDS, _PAIRS, _RUNS[1]],
        "enc0_pool_exponent": 0.1,
        "token_dropout": 0,
        "epochs": 3,
    },
    "tmdb5000": {"in0": [_WORDS], "enc0_pool_exponent": 0.3, "epochs": 15},
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, measure and save."""
    options = parser(__doc__ or "", "../shared/data")
    options.set_defaults(seeds=3, threads=2)
    options.add_argument("--dev", action="store_true", help="measure on dev, and save nothing")
    options.add_argument("--choose", action="store_true", help="compare settings on dev")
    options.add_argument("--corpus", choices=GOALS, action="append", help="only this one")
    options.add_argument("--set", metavar="NAME=VALUE", action="append", default=[])
    given = options.parse_args(arguments)
    for corpus in given.corpus or GOALS:
        split = getattr(splits, corpus)(given.data)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for part in ("train", "dev", "test"):
                _write(folder / f"{part}.csv", getattr(split, part), given.quick)
            if given.choose:
                _choose(corpus, folder, given)
                continue
            runs = []
            for seed in range(given.seeds):
                part, words = "dev" if given.dev else "test", [*given.set, f"seed={seed}"]
                words.append(f"threads={given.threads}")
                runs.append(_run(folder, CHOSEN[corpus], words, part, folder / f"cache{seed}"))
        row = {name: summary([run[name] for run in runs]) for name in runs[0]}
        table((corpus, *FIGURES), [("object2vec", *(row[name]["mean"] for name in FIGURES))])
        if not given.dev:
            save(
                corpus,
                {
                    "protocol": splits.PROTOCOLS[corpus],
                    "goal": GOALS[corpus],
                    "settings": CHOSEN[corpus],
                    "rows": {"object2vec": row},
                },
                given,
            )


def _choose(corpus: str, folder: Path, given: Any) -> None:
    """Print and write what each of the settings to compare gives on dev."""
    trials = []
    grid = _GRID[corpus]
    for values in itertools.product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        words = [*given.set, "seed=0", f"threads={given.threads}"]
        found = _run(folder, settings, words, "dev", folder / "cache")
        trials.append(
            {
                "settings": settings,
                "dev": {name: found[name] for name in FIGURES},
                "seconds": found["seconds"],
            }
        )
        print(corpus, settings, f"{found['micro_f1']:.4f}", flush=True)
    save(f"{corpus}_choose", {"protocol": splits.PROTOCOLS[corpus], "trials": trials}, given)


def _write(path: Path, part: splits.Labelled, is_quick: bool) -> None:
    """Write texts and labels as a CSV."""
    rows = list(zip(part.texts, map("|".join, part.labels), strict=True))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("overview", "genres"), *rows[: _QUICK if is_quick else None]])


def _run(
    folder: Path, settings: Mapping[str, Any], words: Sequence[str], part: str, cache: Path
) -> dict[str, float]:
    """Train and measure once, by the commands; return the figures."""
    model = folder / "model"
    fields = [word for each in settings["in0"] for word in ("--in0", each)]
    fields += ["--in1", 'genres:tokens("|")', "--preset", "multilabel"]
    given = [f"{name}={value}" for name, value in settings.items() if name != "in0"]
    changed = [word for each in (*given, *words) for word in ("--set", each)]
    started = time.perf_counter()
    _command(
        [
            "train",
            "--train",
            folder / "train.csv",
            *fields,
            *changed,
            "--out",
            model,
            "--overwrite",
        ],
        cache,
    )
    seconds = time.perf_counter() - started
    asked = ["--task", "multilabel", "--validation", folder / "dev.csv", "--resamples", 0, "--json"]
    said = json.loads(_command(["evaluate", model, folder / f"{part}.csv", *asked], cache))
    figures = said["metrics"]
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    found = {name: float(figures[name]) for name in ("macro_f1", *FIGURES)}
    return found | {"seconds": seconds, "memory_mib": memory}


def _command(words: Sequence[Any], cache: Path) -> str:
    """Run object2vec; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "object2vec", *map(str, words)],
        check=True,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OBJECT2VEC_CACHE": str(cache)},
    )
    return done.stdout


if __name__ == "__main__":
    main()
