"""The genres of a film from its plot: several labels for each document (AWS's notebook on IMDb).

    python examples/movie_genres.py --data tmdb_5000_movies.csv
    python examples/movie_genres.py --quick

--data names the TMDB 5000 table (columns title, overview and genres), which stands in for IMDb's
lists; get it from Kaggle, tmdb/tmdb-movie-metadata, under TMDB's terms. --glove adds pretrained
vectors of 300 numbers for the words of plots. --full takes the notebook's widths and epochs.

A plot and a genre make a pair, its label says whether they belong together. Published for IMDb:
micro-averaged F1 about 0.70. The notebook says yes above 0.6, a number found by looking at the test
data; "chosen" takes the threshold that is best on validation data instead. Its genre 0 is padding
and so has no vector of its own, and its id for unknown words lies outside the vocabulary; here ids
begin at 1 and the unknown word has one.
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
from tutorials import parse_arguments, read_lines, report, train, write_records

from object2vec import Object2Vec
from object2vec.inference.transform import transform

THRESHOLD = 0.6
NEGATIVES = 0.4  # of a plot's other genres that become negative pairs in training
STOP_WORDS = frozenset(
    "a about after all also an and any are as at be because been before but by can do does for "
    "from had has have he her him his how i if in into is it its just me more most my no not now "
    "of off on once only or other our out over own she so some such than that the their them "
    "then there these they this those through to too under until up very was we were what when "
    "where which while who whom why will with you your".split()
)

SETTINGS = {
    "_kvstore": "device",
    "_num_gpus": "auto",
    "_num_kv_servers": "auto",
    "bucket_width": 10,
    "dropout": 0.0,
    "early_stopping_patience": 2,
    "early_stopping_tolerance": 0.01,
    "enc0_cnn_filter_width": 2,
    "enc0_layers": 2,
    "enc0_max_seq_len": 500,
    "enc0_network": "hcnn",
    "enc0_token_embedding_dim": 300,
    "enc1_cnn_filter_width": 1,
    "enc1_layers": 1,
    "enc1_max_seq_len": 2,
    "enc1_network": "hcnn",
    "enc1_token_embedding_dim": 10,
    "enc_dim": 4096,
    "epochs": 20,
    "learning_rate": 0.0004,
    "mini_batch_size": 256,
    "mlp_activation": "relu",
    "mlp_dim": 512,
    "mlp_layers": 2,
    "num_classes": 2,
    "optimizer": "adam",
    "output_layer": "softmax",
    "weight_decay": 0,
}
MEDIUM = {"enc_dim": 256, "mlp_dim": 128, "epochs": 8}  # a laptop's
TINY = {
    "threads": 1,
    "enc_dim": 16,
    "mlp_dim": 16,
    "epochs": 15,
    "mini_batch_size": 16,
    "learning_rate": 0.02,
    "early_stopping_patience": 5,
    "enc0_token_embedding_dim": 16,
}

Film = tuple[str, str, frozenset[str]]  # title, plot, genres


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the tutorial and return its figures."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--glove", type=Path)
    parser.add_argument("--full", action="store_true")
    options, rest = parser.parse_known_args(argv)
    arguments = parse_arguments(__doc__ or "", "the table tmdb_5000_movies.csv", rest)
    films = make_up() if arguments.quick and not arguments.data else list(read(arguments.data))
    genres = {name: index for index, name in enumerate(sorted({g for f in films for g in f[2]}), 1)}
    words = number_words(plot for _, plot, _ in films)
    channels = divide(films)
    report(
        "The data",
        {name: len(part) for name, part in channels.items()}
        | {"genres": len(genres), "words": len(words)},
    )
    work = arguments.work
    files = {
        name: write_records(work / f"{name}.jsonl", to_records(part, name, words, genres))
        for name, part in channels.items()
    }
    settings = SETTINGS | {
        "enc0_vocab_size": len(words) + 2,
        "enc1_vocab_size": len(genres) + 1,
    }
    settings |= TINY if arguments.quick else {} if options.full else MEDIUM
    inputs = {name: path for name, path in files.items() if name != "test"}
    if options.glove:
        inputs["auxiliary"] = write_vectors(options.glove, words, work / "auxiliary")
        settings |= {"enc0_vocab_file": "vocab.json", "enc0_pretrained_embedding_file": "glove.txt"}
    model = train("genres", settings, inputs, work)
    probabilities = {name: transformed(files[name], work) for name in ("validation", "test")}
    figures = evaluate(probabilities, files, genres)
    for title, plot, known in channels["test"][:3]:
        shown = ask(model, plot, words, genres)
        report(title, {"is": ", ".join(sorted(known)), "said": ", ".join(shown)})
    return figures


def read(path: Path | None) -> Iterator[Film]:
    """Yield the films that have a plot and a genre."""
    if path is None:
        raise SystemExit("--data must name the table of films. See --help.")
    if path.is_dir():
        path = next(iter(sorted(path.glob("tmdb_5000_movies.csv*"))))
    csv.field_size_limit(1 << 24)
    for row in csv.DictReader(read_lines(path)):
        genres = frozenset(genre["name"] for genre in json.loads(row["genres"]))
        if genres and row["overview"].strip():
            yield row["title"], row["overview"], genres


def make_up() -> list[Film]:
    """Return films whose plots name what their genres are about."""
    draw = random.Random(0)
    about = {
        "Western": "horse desert sheriff",
        "Romance": "love wedding letters",
        "Crime": "murder detective bank",
        "Comedy": "joke party clown",
    }
    films = []
    for number in range(120):
        genres = frozenset(draw.sample(sorted(about), draw.randint(1, 2)))
        plot = [draw.choice(about[genre].split()) for genre in sorted(genres) for _ in range(4)]
        draw.shuffle(plot)
        films.append((f"Film {number}", "A story of " + " and ".join(plot), genres))
    return films


def divide(films: Sequence[Film]) -> dict[str, list[Film]]:
    """Return a third of the films for test, and a fifth of the others for validation."""
    shuffled = list(films)
    random.Random(42).shuffle(shuffled)
    test = round(len(films) * 0.33)
    validation = test + round((len(films) - test) * 0.2)
    return {
        "train": shuffled[validation:],
        "validation": shuffled[test:validation],
        "test": shuffled[:test],
    }


def split(plot: str) -> list[str]:
    """Return the words of a plot without those that say nothing."""
    return [word for word in re.findall(r"\w+(?:'\w+)?", plot.lower()) if word not in STOP_WORDS]


def number_words(plots: Iterable[str]) -> dict[str, int]:
    """Return an id for each word, the most frequent one first, from 1."""
    counts = Counter(word for plot in plots for word in split(plot))
    return {word: index for index, (word, _) in enumerate(counts.most_common(), 1)}


def to_ids(plot: str, words: dict[str, int]) -> list[int]:
    """Return the ids of a plot's words; an unknown word has the id after the last."""
    return [words.get(word, len(words) + 1) for word in split(plot)]


def to_records(
    films: Iterable[Film], channel: str, words: dict[str, int], genres: dict[str, int]
) -> list[dict[str, Any]]:
    """Return a record for each plot and genre; in training only some of those that are wrong."""
    draw, records = random.Random(channel), []
    for _, plot, own in films:
        ids = to_ids(plot, words)
        for genre, index in genres.items():
            is_own = genre in own
            if is_own or channel != "train" or draw.random() < NEGATIVES:
                records.append({"in0": ids, "in1": [index], "label": int(is_own)})
    if channel == "train":
        draw.shuffle(records)
    return records


def write_vectors(vectors: Path, words: dict[str, int], folder: Path) -> Path:
    """Write the vectors of known words, and the vocabulary, as the auxiliary channel."""
    folder.mkdir(exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    with (folder / "glove.txt").open("w", encoding="utf-8") as file:
        for line in read_lines(vectors):
            if line.partition(" ")[0] in words:
                file.write(f"{line}\n")
    return folder


def transformed(records: Path, work: Path) -> np.ndarray:
    """Return the probability of each record by batch transform; labels are left in, and ignored."""
    transform(work / "models" / "genres", [records], work / "predictions")
    lines = read_lines(work / "predictions" / f"{records.name}.out")
    return np.array([json.loads(line)["scores"][1] for line in lines])


def evaluate(
    probabilities: dict[str, np.ndarray], files: dict[str, Path], genres: dict[str, int]
) -> dict[str, Any]:
    """Return precision, recall and F1 of all pairs and of each genre."""
    truth, which = {}, {}
    for channel in probabilities:
        records = [json.loads(line) for line in read_lines(files[channel])]
        truth[channel] = np.array([record["label"] == 1 for record in records])
        which[channel] = np.array([record["in1"][0] for record in records])
    choices = np.linspace(0.05, 0.95, 91)
    scores = [f1(probabilities["validation"] > t, truth["validation"])["F1"] for t in choices]
    chosen = float(choices[int(np.argmax(scores))])
    figures = {
        "notebook": f1(probabilities["test"] > THRESHOLD, truth["test"]),
        "chosen": {"threshold": chosen} | f1(probabilities["test"] > chosen, truth["test"]),
        "everything": f1(np.ones_like(truth["test"]), truth["test"]),
    }
    report(f"Micro-averages above {THRESHOLD}, as in the notebook", figures["notebook"])
    report("Micro-averages above the threshold that validation data chose", figures["chosen"])
    report("Micro-averages of always saying yes", figures["everything"])
    by_genre = {
        name: f1(
            (probabilities["test"] > THRESHOLD)[which["test"] == index],
            truth["test"][which["test"] == index],
        )["F1"]
        for name, index in genres.items()
    }
    report("F1 by genre", by_genre)
    return figures | {"genres": by_genre}


def f1(said: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Return precision, recall and F1."""
    hits = float((said & true).sum())
    precision, recall = hits / max(said.sum(), 1), hits / max(true.sum(), 1)
    both = precision + recall
    score = 2 * precision * recall / both if both else 0.0
    return {"precision": float(precision), "recall": float(recall), "F1": float(score)}


def ask(model: Object2Vec, plot: str, words: dict[str, int], genres: dict[str, int]) -> list[str]:
    """Return the genres of a plot, which is asked about with all of them."""
    plots = [to_ids(plot, words)] * len(genres)
    scores = model.predict(in0=plots, in1=[[index] for index in genres.values()])  # (n, 2)
    return [name for name, row in zip(genres, scores, strict=True) if row[1] > 0.5]


if __name__ == "__main__":
    main()
