"""How well hcnn and bilstm learn natural language inference, with and without GloVe.

Does a sentence entail another, contradict it or neither? Both sentences are encoded apart, as in
AWS's SNLI notebook; trained are three seeds of each encoder with a random token table, with GloVe
vectors frozen and with GloVe vectors trained on. These sets are fifty times smaller than SNLI, and
one of them is hard by design, so figures cannot be set beside the notebook's.

counterfactual
    8,330 pairs to train on, 1,000 to stop by and 2,000 to report. Each pair is there in several
    minimally edited versions with different labels, so that neither sentence alone tells.
snli
    The 9,842 pairs of SNLI's own dev set: a tenth of their first sentences and all pairs of those
    are reported, the others are trained on, too.

Counterfactual pairs were made of SNLI's. A pair is dropped from training if either of its sentences
is one of the same side in a set that is stopped by or reported (compared as small-letter tokens).

The data: https://github.com/acmi-lab/counterfactually-augmented-data (NLI/all_combined),
https://nlp.stanford.edu/projects/snli and https://nlp.stanford.edu/projects/glove (6B, 50 numbers).
`--data` names the folder that holds the folders snli_counterfactual, snli_devtest and glove_6b_50d.
"""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common import Recorder, curve, ending, parser, save, summary, table
from object2vec import Object2Vec

LABELS = {"entailment": 0, "neutral": 1, "contradiction": 2}
COUNTERFACTUAL, SNLI = (
    "snli_counterfactual/all_combined_{}.tsv.gz",
    "snli_devtest/esnli_tok_dev.tsv.gz",
)
GLOVE = "glove_6b_50d/glove.6B.50d.top50k.txt.gz"
TOKEN = re.compile(r"n't|'\w+|\w+?(?=n't)|\w+|[^\w\s]")  # as GloVe cuts words
SETTINGS = {
    "enc1_network": "enc0",
    "enc0_max_seq_len": 64,
    "enc0_token_embedding_dim": 50,
    "enc_dim": 256,
    "mlp_layers": 1,
    "mlp_dim": 256,
    "mlp_activation": "relu",
    "dropout": 0.2,
    "num_classes": 3,
    "learning_rate": 0.001,
    "mini_batch_size": 64,
    "bucket_width": 8,
    "epochs": 12,
    "early_stopping_patience": 2,
    "tied_token_embedding_weight": "true",
}
ENCODERS = ("hcnn", "bilstm")
_PRETRAINED = {"enc0_pretrained_embedding_file": Path(GLOVE).name, "enc0_vocab_file": "vocab.json"}
VECTORS: dict[str, dict[str, Any]] = {
    "random": {},
    "GloVe frozen": _PRETRAINED | {"enc0_freeze_pretrained_embedding": "true"},
    "GloVe trained": _PRETRAINED | {"enc0_freeze_pretrained_embedding": "false"},
}


class Pair(NamedTuple):
    """Two sentences as tokens, and how the second follows from the first."""

    first: tuple[str, ...]
    second: tuple[str, ...]
    label: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Train every encoder with every kind of vectors and each seed."""
    options = parser(__doc__, "../shared/data")
    options.set_defaults(seeds=3)
    given = options.parse_args(arguments)
    sets, dropped = read_sets(given.data)
    vocabulary = vocabulary_of(sets.values())
    columns = {name: columns_of(pairs, vocabulary) for name, pairs in sets.items()}
    counts = {name: len(pairs) for name, pairs in sets.items()}
    majority = {name: majority_of(sets[name]) for name in ("counterfactual", "snli")}
    print(f"{counts}, {dropped} dropped, {len(vocabulary)} words, majority {majority}", flush=True)
    runs = []
    with tempfile.TemporaryDirectory() as auxiliary:
        _write_auxiliary(Path(auxiliary), given.data, vocabulary)
        for encoder in ENCODERS:
            for vectors, extra in VECTORS.items():
                settings = (
                    SETTINGS
                    | extra
                    | {
                        "enc0_network": encoder,
                        "enc0_vocab_size": len(vocabulary) + 1,
                        "threads": given.threads,
                    }
                    | ({"epochs": 2, "enc_dim": 16} if given.quick else {})
                )
                for seed in range(given.seeds):
                    run = _run(settings | {"seed": seed}, columns, auxiliary)
                    runs.append({"encoder": encoder, "vectors": vectors} | run)
                    print(encoder, vectors, {k: run[k] for k in ("seed", *majority)}, flush=True)
    results = _results(runs)
    rows = [[*r["of"], r["counterfactual"]["mean"], r["snli"]["mean"]] for r in results]
    rows.append(["majority", "", majority["counterfactual"], majority["snli"]])
    table(["encoder", "vectors", "accuracy counterfactual", "accuracy snli"], rows)
    save(
        "nli_vectors",
        {
            "protocol": "early stopping and best epoch by counterfactual dev; pairs of training "
            f"that share a sentence with dev or a reported set are dropped ({dropped})",
            "pairs": counts,
            "majority_baseline": majority,
            "results": results,
            "hyperparameters": SETTINGS,
            "runs": runs,
        },
        given,
    )


def _run(settings: Mapping[str, Any], columns: Mapping[str, Any], auxiliary: str) -> dict[str, Any]:
    """Train once and return the accuracy on each reported set."""
    recorder, model = Recorder(), Object2Vec(**settings)
    model.fit(
        columns["train"], validation=columns["dev"], auxiliary=auxiliary, reporters=[recorder]
    )
    reported = {name: model.evaluate(columns[name]) for name in ("counterfactual", "snli")}
    return {
        "seed": settings["seed"],
        **{name: m["accuracy"] for name, m in reported.items()},
        "metrics": reported,
        **ending(recorder.history),
        "curve": curve(recorder.history),
    }


def _results(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the accuracies of each encoder and kind of vectors over the seeds."""
    results = []
    for of in dict.fromkeys((run["encoder"], run["vectors"]) for run in runs):
        same = [run for run in runs if (run["encoder"], run["vectors"]) == of]
        measured = {
            name: summary([run[name] for run in same]) for name in ("counterfactual", "snli")
        }
        results.append({"of": of, **measured})
    return results


def read_sets(folder: Path) -> tuple[dict[str, list[Pair]], int]:
    """Return the pairs by set, and how many were dropped from training."""
    train, dev, test = (
        _read(folder / COUNTERFACTUAL.format(name)) for name in ("train", "dev", "test")
    )
    snli = _read(folder / SNLI)
    firsts = sorted({pair.first for pair in snli})
    chosen = np.random.default_rng(0).permutation(len(firsts))[: len(firsts) // 10]
    held_out = {firsts[i] for i in chosen}
    snli_test = [pair for pair in snli if pair.first in held_out]
    seen = [*dev, *test, *snli_test]
    first, second = {pair.first for pair in seen}, {pair.second for pair in seen}
    every = [*train, *snli]
    kept = [pair for pair in every if pair.first not in first and pair.second not in second]
    sets = {"train": kept, "dev": dev, "counterfactual": test, "snli": snli_test}
    return sets, len(every) - len(snli_test) - len(kept)


def _read(path: Path) -> list[Pair]:
    """Return the pairs of a file with a header that names sentence1, sentence2 and gold_label."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    places = [rows[0].index(name) for name in ("sentence1", "sentence2", "gold_label")]
    parts = ([row[place] for place in places] for row in rows[1:])
    return [Pair(_tokens(first), _tokens(second), LABELS[gold]) for first, second, gold in parts]


def _tokens(sentence: str) -> tuple[str, ...]:
    return tuple(TOKEN.findall(sentence.lower()))


def vocabulary_of(sets: Iterable[Iterable[Pair]]) -> dict[str, int]:
    """Return the id of every word, those of dev and test included, as in the notebook; 0 pads."""
    words = {word for pairs in sets for pair in pairs for word in (*pair.first, *pair.second)}
    return {word: index for index, word in enumerate(sorted(words), 1)}


def columns_of(pairs: Sequence[Pair], vocabulary: Mapping[str, int]) -> dict[str, Any]:
    return {
        "in0": [[vocabulary[word] for word in pair.first] for pair in pairs],
        "in1": [[vocabulary[word] for word in pair.second] for pair in pairs],
        "label": [pair.label for pair in pairs],
    }


def majority_of(pairs: Sequence[Pair]) -> float:
    """Return the accuracy of always giving the most frequent label."""
    return Counter(pair.label for pair in pairs).most_common(1)[0][1] / len(pairs)


def _write_auxiliary(folder: Path, data: Path, vocabulary: Mapping[str, int]) -> None:
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / Path(GLOVE).name).symlink_to((data / GLOVE).resolve())


if __name__ == "__main__":
    main()
