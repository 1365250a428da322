"""Document vectors: find the article that a sentence comes from (AWS's notebook on Wikipedia).

    python examples/document_embedding.py --data wikipedia --articles 250000 --candidates 10000
    python examples/document_embedding.py --quick

--data is a folder with StarSpace's wikipedia_train250k.txt, _dev10k.txt, _test10k.txt and
_test_basedocs.txt, or one file of articles, which is then divided: an article on each line, its
sentences set apart by tabs. Without --data and --quick it fetches StarSpace's files (MIT); no
checksum of them is published.

Published for 250,000 articles: test accuracy 0.929, hits@10 46.8 %, mean rank 243. When the
notebook draws the last sentence of an article as the query, its context is the whole article, query
included; "without leaks" leaves the query out, in training and in the measures. Both are printed.
"""

from __future__ import annotations

import argparse
import random
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tutorials import fetch, find, parse_arguments, read_lines, report, train, write_records

from object2vec import Object2Vec
from object2vec.evaluation.retrieval import ranks, retrieval_metrics

URLS = [
    "https://dl.fbaipublicfiles.com/starspace/wikipedia_train250k.tgz",
    "https://dl.fbaipublicfiles.com/starspace/wikipedia_devtst.tgz",
]
RESERVED = ["<pad>", "<unk>", "<s>", "</s>"]  # ids 0 to 3; 0 also stands for unknown words
WORDS, MIN_COUNT = 500_000, 5
NEGATIVES = 5  # of each query in dev and test
SIGNS = frozenset(string.punctuation)

SETTINGS = {
    "_kvstore": "device",
    "_num_gpus": "auto",
    "_num_kv_servers": "auto",
    "bucket_width": 0,
    "dropout": 0.4,
    "early_stopping_patience": 2,
    "early_stopping_tolerance": 0.01,
    "enc0_layers": "auto",
    "enc0_max_seq_len": 50,
    "enc0_network": "pooled_embedding",
    "enc0_token_embedding_dim": 300,
    "enc1_network": "enc0",
    "enc_dim": 300,
    "epochs": 20,
    "learning_rate": 0.01,
    "mini_batch_size": 512,
    "mlp_activation": "relu",
    "mlp_dim": 512,
    "mlp_layers": 2,
    "num_classes": 2,
    "optimizer": "adam",
    "output_layer": "softmax",
    "weight_decay": 0,
    "negative_sampling_rate": 3,
    "tied_token_embedding_weight": "true",
    "comparator_list": "hadamard",
    "token_embedding_storage_type": "row_sparse",
}
TINY = {
    "threads": 1,
    "enc_dim": 16,
    "mlp_dim": 16,
    "epochs": 3,
    "mini_batch_size": 32,
    "dropout": 0,
}

Article = list[str]  # its sentences


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the tutorial and return its figures."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--articles", type=int, help="to train on")
    parser.add_argument("--candidates", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=SETTINGS["epochs"])
    options, rest = parser.parse_known_args(argv)
    arguments = parse_arguments(__doc__ or "", "folder or file of articles", rest)
    is_made_up = arguments.quick and arguments.data is None
    corpus = make_up() if is_made_up else load(arguments.data, arguments.work, options)
    vocabulary = build_vocabulary(corpus["train"], 1 if is_made_up else MIN_COUNT)
    report(
        "The data",
        {name: len(part) for name, part in corpus.items()} | {"vocabulary": len(vocabulary)},
    )
    own = TINY if arguments.quick else {"epochs": options.epochs}
    settings = SETTINGS | own | {"enc0_vocab_size": len(vocabulary)}
    figures = {}
    for name, leaks in (("as in the notebook", True), ("without leaks", False)):
        figures[name] = run(name, corpus, vocabulary, settings, arguments.work, leaks=leaks)
        if arguments.quick:  # the second run takes as long as the first
            break
    return figures


def run(
    name: str,
    corpus: dict[str, list[Article]],
    vocabulary: dict[str, int],
    settings: dict[str, Any],
    work: Path,
    *,
    leaks: bool,
) -> dict[str, Any]:
    """Train on one way to make pairs, and measure on both."""
    draw = random.Random(0)
    work = work / name.replace(" ", "-")
    work.mkdir(exist_ok=True)
    positives = (
        {"in0": query, "in1": context, "label": 1}
        for query, context in make_pairs(corpus["train"], vocabulary, draw, leaks=leaks)
    )
    inputs = {"train": write_records(work / "train.jsonl", positives)}
    for channel in ("validation", "test"):
        records = with_negatives(corpus[channel], vocabulary, draw, leaks=leaks)
        inputs[channel] = write_records(work / f"{channel}.jsonl", records)
    model = train("documents", settings, inputs, work)
    final = model.facts.metrics["test"]
    figures: dict[str, Any] = report(
        f"Test, {name}", {f"test:{metric}": value for metric, value in final.items()}
    )
    candidates = embed(model, (ids(a, vocabulary) for a in corpus["candidates"]))
    for measure, has_leaks in (("notebook's queries", True), ("queries without leaks", False)):
        pairs = list(make_pairs(corpus["test"], vocabulary, random.Random(1), leaks=has_leaks))
        figures[measure] = retrieve(model, pairs, candidates)
        report(f"Retrieval, {name}, {measure}", figures[measure])
    return figures


def load(data: Path | None, work: Path, options: argparse.Namespace) -> dict[str, list[Article]]:
    """Return the articles of each channel, and those that retrieval searches."""
    if data is None:
        data = work / "wikipedia"
        for url in URLS:
            fetch(url, data)
    if data.is_dir():
        names = {
            "train": "train250k",
            "validation": "dev10k",
            "test": "test10k",
            "candidates": "test_basedocs",
        }
        corpus = {
            channel: list(read_articles(find(data, f"wikipedia_{name}.txt")))
            for channel, name in names.items()
        }
        corpus["train"] = corpus["train"][: options.articles]
        corpus["candidates"] = corpus["candidates"][: options.candidates]
        return corpus
    articles = list(read_articles(data))
    random.Random(0).shuffle(articles)
    held = min(options.candidates, len(articles) // 4)
    rest = articles[held:]
    part = min(1000, len(rest) // 10)
    return {
        "train": rest[2 * part :][: options.articles],
        "validation": rest[:part],
        "test": rest[part : 2 * part],
        "candidates": articles[:held],
    }


def read_articles(path: Path) -> Iterator[Article]:
    """Yield the articles that have two sentences, so that one can be asked for by the other."""
    for line in read_lines(path):
        sentences = [sentence for sentence in line.strip().split("\t") if sentence.strip()]
        if len(sentences) > 1:
            yield sentences


def make_up() -> dict[str, list[Article]]:
    """Return articles of which each has some words of its own topic."""
    draw = random.Random(0)
    articles = []
    for _ in range(500):
        topic = draw.randrange(40)
        words = [f"w{topic * 5 + k}" for k in range(5)] + ["the", "of", "12", "is"]
        articles.append([" ".join(draw.choices(words, k=6)) for _ in range(draw.randint(2, 5))])
    return {
        "train": articles[:350],
        "validation": articles[350:400],
        "test": articles[400:450],
        "candidates": articles[450:],
    }


def tokens(sentence: str) -> Iterator[str]:
    """Yield the words of a sentence; of numbers only the number of digits counts."""
    for token in sentence.lower().split():
        if all(sign.isdigit() or sign in SIGNS for sign in token):
            token = "".join("0" if sign.isdigit() else sign for sign in token)
        yield token


def build_vocabulary(articles: Iterable[Article], min_count: int) -> dict[str, int]:
    """Return an id for each frequent word, in alphabetical order after the reserved ones."""
    counts = Counter(token for article in articles for s in article for token in tokens(s))
    frequent = [word for word, count in counts.most_common(WORDS) if count >= min_count]
    kept = sorted(word for word in frequent if word not in RESERVED)
    return {word: index for index, word in enumerate([*RESERVED, *kept])}


def ids(sentences: Iterable[str], vocabulary: dict[str, int]) -> list[int]:
    """Return the ids of all words in a row; unknown ones are 0, as in the notebook."""
    return [vocabulary.get(token, 0) for sentence in sentences for token in tokens(sentence)]


def make_pairs(
    articles: Iterable[Article], vocabulary: dict[str, int], draw: random.Random, *, leaks: bool
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield a sentence of each article, and the rest of it.

    With leaks the last sentence has the whole article after all sentences but itself as its
    context, which is what the notebook's ``sentences[(index + 1) % count :]`` comes to.
    """
    for article in articles:
        index = draw.randrange(len(article))
        after = (index + 1) % len(article) if leaks else index + 1
        context = article[:index] + article[after:]
        yield ids([article[index]], vocabulary), ids(context, vocabulary)


def with_negatives(
    articles: Sequence[Article], vocabulary: dict[str, int], draw: random.Random, *, leaks: bool
) -> Iterator[dict[str, Any]]:
    """Yield each pair, and its query with other articles."""
    whole = [ids(article, vocabulary) for article in articles]
    pairs = make_pairs(articles, vocabulary, draw, leaks=leaks)
    for number, (query, context) in enumerate(pairs):
        yield {"in0": query, "in1": context, "label": 1}
        for _ in range(NEGATIVES):
            other = (number + draw.randrange(1, len(articles))) % len(articles)
            yield {"in0": query, "in1": whole[other], "label": 0}


def embed(model: Object2Vec, documents: Iterable[list[int]]) -> np.ndarray:
    """Return the vectors of documents, all by encoder 0 as in the notebook, (n, D)."""
    limit = SETTINGS["enc0_max_seq_len"]  # the encoder reads no more
    return model.encode(in0=[document[:limit] for document in documents])


def retrieve(
    model: Object2Vec, pairs: Sequence[tuple[list[int], list[int]]], candidates: np.ndarray
) -> dict[str, Any]:
    """Return where each query's own context ranks among it and all candidates."""
    queries, contexts = (embed(model, column) for column in zip(*pairs, strict=True))
    return retrieval_metrics(ranks(queries, candidates, own=contexts, similarity="cosine"))


if __name__ == "__main__":
    main()
