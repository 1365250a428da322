"""Sentence pairs: entailment on SNLI, and its sentence vectors on another task (AWS's notebook).

    python examples/sentence_similarity.py --data snli_1.0 --sts stsb-en-test.csv --glove glove.txt
    python examples/sentence_similarity.py --quick

Without --data and --quick it fetches SNLI 1.0, https://nlp.stanford.edu/projects/snli/, which is
under CC BY-SA 4.0. --data may also hold train, dev and test as .tsv with a header of gold_label,
sentence1 and sentence2. --sts names scored sentence pairs (sentence1, sentence2 and a number on
each line, .csv or .tsv), such as the STS benchmark; --glove a file of pretrained vectors of 300
numbers, with which a second model is trained.
--full takes the notebook's full settings (enc_dim 8192, 20 epochs): days on a CPU.

The notebook weights each request of n pairs by n + 1, which makes every accuracy 1 % too good
(its published 78.5 % and 81.9 % are 77.7 % and 81.1 %); both are printed. It numbers words from 0,
where 0 is padding, so its first word is never seen; here they begin at 1. Sentences are split into
words by a regular expression instead of NLTK's tokenizer.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tutorials import fetch, parse_arguments, read_lines, report, train, write_records

from object2vec import Object2Vec

URL = "https://nlp.stanford.edu/projects/snli/snli_1.0.zip"
SHA256 = "afb3d70a5af5d8de0d9d81e2637e0fb8c22d1235c2749d83125ca43dab0dbd3e"  # as ParlAI has it
LABELS = {"entailment": 0, "neutral": 1, "contradiction": 2}
WORDS = 50_000
REQUEST = 100  # pairs, as in the notebook

BASE = {
    "enc_dim": 4096,
    "mlp_dim": 512,
    "mlp_activation": "linear",
    "mlp_layers": 2,
    "output_layer": "softmax",
    "optimizer": "adam",
    "learning_rate": 0.0004,
    "mini_batch_size": 32,
    "epochs": 20,
    "bucket_width": 0,
    "early_stopping_tolerance": 0.01,
    "early_stopping_patience": 3,
    "dropout": 0,
    "weight_decay": 0,
    "enc0_max_seq_len": 82,
    "enc1_max_seq_len": 82,
    "enc0_network": "hcnn",
    "enc1_network": "enc0",
    "enc0_token_embedding_dim": 300,
    "enc1_token_embedding_dim": 300,
    "enc0_layers": "auto",
    "enc1_layers": "auto",
    "enc0_cnn_filter_width": 3,
    "enc1_cnn_filter_width": 3,
    "enc0_vocab_file": "",
    "enc1_vocab_file": "",
    "num_classes": 3,
    "_num_gpus": "auto",
    "_num_kv_servers": "auto",
    "_kvstore": "device",
}
QUICK_RUN = {"mini_batch_size": 8192, "enc_dim": 16, "epochs": 2}  # the notebook's own
FULL_RUN = {"mini_batch_size": 256, "enc_dim": 8192, "epochs": 20}
TINY = {
    "threads": 1,
    "mini_batch_size": 64,
    "enc_dim": 16,
    "epochs": 2,
    "enc0_token_embedding_dim": 16,
}

Pair = tuple[str, str, int]


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the tutorial and return its figures."""
    options, rest = parse_options(argv)
    arguments = parse_arguments(__doc__ or "", "folder of SNLI: train, dev and test", rest)
    channels = load(arguments.data, arguments.work, quick=arguments.quick)
    scored = make_up_scores() if arguments.quick and not options.sts else read_scores(options.sts)
    texts = [text for pairs in channels.values() for pair in pairs for text in pair[:2]]
    texts += [text for pair in scored for text in pair[:2]]
    vocabulary = build_vocabulary(texts)
    report(
        "The data",
        {name: len(pairs) for name, pairs in channels.items()} | {"vocabulary": len(vocabulary)},
    )
    files = {
        {"dev": "validation"}.get(name, name): write_records(
            arguments.work / f"{name}.jsonl", to_records(pairs, vocabulary)
        )
        for name, pairs in channels.items()
    }
    settings = (
        BASE | {"enc0_vocab_size": len(vocabulary) + 1} | {"enc1_vocab_size": len(vocabulary) + 1}
    )
    settings |= TINY if arguments.quick else FULL_RUN if options.full else QUICK_RUN
    work = arguments.work
    figures = {"without": learn_and_measure("sentences", settings, files, scored, vocabulary, work)}
    if options.glove or arguments.quick:
        dim = settings["enc0_token_embedding_dim"]
        vectors = options.glove or make_up_vectors(work / "glove.txt", vocabulary, dim)
        files["auxiliary"] = trim(vectors, vocabulary, work / "auxiliary")
        settings |= {f"enc{side}_vocab_file": "all_vocab.json" for side in (0, 1)}
        settings |= {f"enc{side}_pretrained_embedding_file": "glove-trim.txt" for side in (0, 1)}
        figures["with vectors"] = learn_and_measure(
            "sentences-vectors", settings, files, scored, vocabulary, work
        )
    return figures


def parse_options(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """Return what only this tutorial knows, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--sts", type=Path)
    parser.add_argument("--glove", type=Path)
    parser.add_argument("--full", action="store_true")
    return parser.parse_known_args(argv)


def load(data: Path | None, work: Path, *, quick: bool) -> dict[str, list[Pair]]:
    """Return labelled sentence pairs by channel, without those that people disagreed on."""
    if data is None and quick:
        return {
            name: make_up(size, seed)
            for seed, (name, size) in enumerate({"train": 400, "dev": 100, "test": 150}.items())
        }
    if data is None:
        data = fetch(URL, work / "snli_1.0", SHA256)
    return {name: list(read_pairs(data, name)) for name in ("train", "dev", "test")}


def read_pairs(folder: Path, channel: str) -> Iterator[Pair]:
    """Yield the pairs of a channel, of SNLI's own JSON Lines or of a table with a header."""
    found = [p for p in sorted(folder.iterdir()) if re.search(rf"{channel}\.(jsonl|tsv)", p.name)]
    if not found:
        raise SystemExit(f"{folder}: must hold {channel} as .jsonl or .tsv. See --help.")
    lines = read_lines(found[0])
    rows: Iterable[dict[str, str]] = (
        map(json.loads, lines)
        if ".jsonl" in found[0].name
        else csv.DictReader(lines, delimiter="\t")
    )
    for row in rows:
        if row["gold_label"] in LABELS:
            yield row["sentence1"], row["sentence2"], LABELS[row["gold_label"]]


def make_up(size: int, seed: int) -> list[Pair]:
    """Return pairs whose label can be learned: the second sentence repeats, adds or denies."""
    draw = random.Random(seed)
    things = ["dog", "cat", "man", "girl", "bird", "boy", "horse", "child"]
    deeds = ["runs", "sleeps", "sings", "eats", "jumps", "reads"]
    pairs = []
    for _ in range(size):
        thing, deed, label = draw.choice(things), draw.choice(deeds), draw.randrange(3)
        second = [f"A {thing} {deed}.", f"The {thing} is happy!", f"Nobody {deed} here."][label]
        pairs.append((f"One {thing} {deed} outside.", second, label))
    return pairs


def make_up_scores() -> list[tuple[str, str, float]]:
    """Return scored pairs of made-up sentences."""
    pairs = make_up(60, 9)
    return [(first, second, [5.0, 3.0, 0.0][label]) for first, second, label in pairs]


def read_scores(path: Path | None) -> list[tuple[str, str, float]]:
    """Return scored sentence pairs."""
    if path is None:
        return []
    rows = csv.reader(read_lines(path), delimiter="\t" if ".tsv" in path.name else ",")
    return [(row[0], row[1], float(row[2])) for row in rows if row[2]]


def split(sentence: str) -> list[str]:
    """Return the words and signs of a sentence, case kept."""
    return re.findall(r"\w+(?:'\w+)?|[^\w\s]", sentence)


def build_vocabulary(texts: Iterable[str]) -> dict[str, int]:
    """Return an id for each of the most frequent words, in alphabetical order from 1."""
    counts = Counter(word for text in texts for word in split(text))
    kept = sorted(word for word, _ in counts.most_common(WORDS))
    return {word: index for index, word in enumerate(kept, 1)}


def to_ids(sentence: str, vocabulary: dict[str, int]) -> list[int]:
    """Return the ids of a sentence's words; unknown ones are left out, as in the notebook."""
    return [vocabulary[word] for word in split(sentence) if word in vocabulary]


def to_records(pairs: Iterable[Pair], vocabulary: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Yield records."""
    for first, second, label in pairs:
        yield {"in0": to_ids(first, vocabulary), "in1": to_ids(second, vocabulary), "label": label}


def trim(vectors: Path, vocabulary: dict[str, int], folder: Path) -> Path:
    """Write the vectors of known words, and the vocabulary, as the auxiliary channel."""
    folder.mkdir(exist_ok=True)
    (folder / "all_vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    with (folder / "glove-trim.txt").open("w", encoding="utf-8") as file:
        for line in read_lines(vectors):
            if line.partition(" ")[0] in vocabulary:
                file.write(f"{line}\n")
    return folder


def make_up_vectors(path: Path, vocabulary: dict[str, int], dim: int) -> Path:
    """Write a random vector for every word."""
    draw = np.random.default_rng(0)
    lines = [f"{w} {' '.join(f'{x:.4f}' for x in draw.normal(size=dim))}\n" for w in vocabulary]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def learn_and_measure(
    name: str,
    settings: dict[str, Any],
    files: dict[str, Path],
    scored: Sequence[tuple[str, str, float]],
    vocabulary: dict[str, int],
    work: Path,
) -> dict[str, Any]:
    """Train, and return the losses of validation, the accuracy and the correlations."""
    channels = {channel: path for channel, path in files.items() if channel != "test"}
    model = train(name, settings, channels, work)
    epochs = [event for event in model.facts.history if event["event"] == "epoch"]
    losses = [event["validation"]["cross_entropy"] for event in epochs]
    report("Validation cross-entropy by epoch", dict(enumerate(losses)))
    figures = measure_accuracy(model, files["test"])
    if scored:
        figures |= measure_correlation(model, scored, vocabulary)
    return report(f"Test, {name}", figures)


def measure_accuracy(model: Object2Vec, test: Path) -> dict[str, Any]:
    """Return the accuracy, also with the notebook's weights."""
    records = [json.loads(line) for line in read_lines(test)]
    sides = {side: [record[side] for record in records] for side in ("in0", "in1")}
    is_right = model.predict(**sides).argmax(axis=1) == [r["label"] for r in records]  # (n,)
    right, weighted = int(is_right.sum()), 0.0
    for start in range(0, len(records), REQUEST):
        some = is_right[start : start + REQUEST]
        weighted += some.mean() * (len(some) + 1)
    return {"accuracy": right / len(records), "the notebook's accuracy": weighted / len(records)}


def measure_correlation(
    model: Object2Vec, scored: Sequence[tuple[str, str, float]], vocabulary: dict[str, int]
) -> dict[str, Any]:
    """Return how well the cosine of sentence vectors follows people's scores.

    Both sentences go through one encoder, in1: only then are their vectors comparable.
    """
    sides = []
    for side in (0, 1):
        vectors = model.encode(in1=[to_ids(pair[side], vocabulary) for pair in scored])  # (n, D)
        sides.append(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
    cosine, truth = (sides[0] * sides[1]).sum(axis=1), np.array([pair[2] for pair in scored])
    return {
        "Pearson": float(np.corrcoef(cosine, truth)[0, 1]),
        "Spearman": float(np.corrcoef(to_ranks(cosine), to_ranks(truth))[0, 1]),
    }


def to_ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value, the mean one among equals."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[where]


if __name__ == "__main__":
    main()
