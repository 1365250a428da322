"""Whether AWS's document embedding on Wikipedia learns here as it does on AWS, and retrieves.

A sentence and the rest of its article are a pair; negatives are sampled. AWS's settings:
row_sparse, tied, hadamard, negative_sampling_rate 3. Articles are cut into train, dev and test
here, by seed 0. Measured are the loss curve beside AWS's, the accuracy of test pairs (one right and
five wrong articles for each sentence) and retrieval by the notebook's protocol: a sentence of each
test article asks for the rest of its article among those of all 10,000 test articles (so 9,999
others; AWS has 10,000). All go through the encoder of in0, cut to 50 tokens, ranked by cosine; once
more with whole texts, which the trained encoder can read as well.

The data are smaller than AWS's (42,383 articles of at most 20 sentences instead of 250,000 and dev
and test sets of their own), so figures can be set beside AWS's, not equated with them. Two ways to
make pairs are run: `one` random sentence of each article, as in the notebook, and `eight` different
ones, which makes as many pairs as AWS had.

In the notebook the rest of an article sometimes holds the sentence itself: if the last one is
drawn, all others are followed by the whole article. `--quirk` does the same; by default the
sentence is removed.

The data: one article per line, its sentences set apart by tabs, its tokens by blanks, packed with
zstd; the StarSpace repository names such files (https://github.com/facebookresearch/StarSpace,
wikipedia_train250k.tgz). `--data` names the file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from benchmarks.common import Recorder, curve, ending, parser, save, table
from object2vec import Object2Vec
from object2vec.evaluation.retrieval import ranks, retrieval_metrics

MAX_SEQ_LEN = 50
MIN_COUNT = 5
RESERVED = 4  # <pad>, <unk>, <s>, </s>; only 0 is used, also for unknown words, as in the notebook
DEV, TEST = 2_000, 10_000
WRONG = 5
WHOLE = 5000  # longer than any article
LENGTHS = {"retrieval": MAX_SEQ_LEN, "retrieval_whole": WHOLE}
SETTINGS = {
    "enc0_network": "pooled_embedding",
    "enc0_layers": "auto",
    "enc0_max_seq_len": MAX_SEQ_LEN,
    "enc0_token_embedding_dim": 300,
    "enc1_network": "enc0",
    "enc_dim": 300,
    "bucket_width": 0,
    "dropout": 0.4,
    "early_stopping_patience": 2,
    "early_stopping_tolerance": 0.01,
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
PER_ARTICLE = {"one": 1, "eight": 8}

# AWS's own curve: cross-entropy and accuracy of train, then of validation, for each epoch.
AWS_CURVE = [
    (0.2992, 0.8748, 0.2271, 0.9141),
    (0.1927, 0.9249, 0.1995, 0.9208),
    (0.1556, 0.9404, 0.1787, 0.9327),
    (0.1347, 0.9494, 0.1879, 0.9314),
    (0.1220, 0.9546, 0.1925, 0.9342),
    (0.1143, 0.9580, 0.1823, 0.9346),
]
AWS = {
    "cross_entropy": 0.1906,
    "accuracy": 0.9288,
    "hits@1": 0.2592,
    "hits@10": 0.4675,
    "mean_rank": 242.9,
    "candidates": 10_001,
    "articles": 250_000,
}

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class Article:
    """The ids of an article, and where its sentences begin and the last one ends."""

    ids: Ids
    bounds: NDArray[np.int64]

    @property
    def sentences(self) -> int:
        """Number of sentences."""
        return len(self.bounds) - 1

    def split(self, sentence: int, *, quirk: bool) -> tuple[Ids, Ids]:
        """Return a sentence and what stays of the article."""
        start, stop = self.bounds[sentence : sentence + 2]
        rest = [self.ids[:start], self.ids if quirk and stop == len(self.ids) else self.ids[stop:]]
        return self.ids[start:stop], np.concatenate(rest)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and measure with one and with eight sentences of each article."""
    options = parser(__doc__, "../shared/data/wikipedia_en_63k/wiki_train_sents.txt.zst")
    options.set_defaults(seeds=1)
    options.add_argument("--quirk", action="store_true", help="leave AWS's leak in the pairs")
    options.add_argument("--pairs", choices=PER_ARTICLE, action="append", help="only these")
    given = options.parse_args(arguments)
    sizes = (20, 100) if given.quick else (DEV, TEST)
    train, dev, test, vocab_size = read_articles(read_texts(given.data), *sizes)
    print(f"{len(train)} + {len(dev)} + {len(test)} articles, {vocab_size} words", flush=True)
    generator = np.random.default_rng(1)
    dev_pairs, test_pairs = (labelled(part, generator, given.quirk) for part in (dev, test))
    lexical = {name: lexical_retrieval(test_pairs, length) for name, length in LENGTHS.items()}
    print("TF-IDF", lexical)
    for name in given.pairs or PER_ARTICLE:
        print(f"== {name} sentence(s) of each article", flush=True)
        settings = SETTINGS | {"enc0_vocab_size": vocab_size, "threads": given.threads}
        if given.quick:
            settings |= {"epochs": 2, "enc_dim": 16, "mini_batch_size": 64}
        runs = []
        for seed in range(given.seeds):
            generator = np.random.default_rng(seed)
            pairs = sentence_pairs(train, PER_ARTICLE[name], generator, given.quirk)
            runs.append(_run(settings | {"seed": seed}, pairs, dev_pairs, test_pairs))
            _tell(runs[-1])
        save(
            f"documents_{name}" + ("_quirk" if given.quirk else ""),
            {
                "protocol": f"{len(train)} articles to train on, {len(dev)} dev, {len(test)} test; "
                f"{WRONG} wrong pairs for each right one; retrieval among {len(test)} articles cut "
                f"to {MAX_SEQ_LEN} tokens, and whole"
                + (
                    "; AWS's leak left in"
                    if given.quirk
                    else "; the sentence taken out of its text"
                ),
                "aws": AWS,
                "aws_curve": AWS_CURVE,
                "tf_idf": lexical,
                "hyperparameters": settings,
                "runs": runs,
            },
            given,
        )


def _run(
    settings: Mapping[str, Any], train: Any, dev: Any, test: Mapping[str, Any]
) -> dict[str, Any]:
    """Train once and measure."""
    recorder, model = Recorder(), Object2Vec(**settings)
    model.fit(train, validation=dev, test=test, reporters=[recorder])
    return {
        "seed": settings["seed"],
        "pairs": len(train["in0"]),
        **ending(recorder.history),
        "test": next(event["metrics"] for event in recorder.history if event["event"] == "test"),
        **{name: retrieval(model, test, length) for name, length in LENGTHS.items()},
        "curve": curve(recorder.history),
    }


def _tell(run: Mapping[str, Any]) -> None:
    """Print a run beside AWS's."""
    rows = []
    for epoch, aws in zip(run["curve"], [*AWS_CURVE, *[("",) * 4] * 20], strict=False):
        ours = [epoch[c][m] for c in ("train", "validation") for m in ("cross_entropy", "accuracy")]
        rows.append([epoch["epoch"], *(v for pair in zip(ours, aws, strict=True) for v in pair)])
    names = [f"{c} {m}" for c in ("train", "dev") for m in ("CE", "accuracy")]
    table(["epoch", *(n for name in names for n in (name, "AWS"))], rows)
    for name in ("test", *LENGTHS):
        print(name, run[name], flush=True)


def read_texts(path: Any) -> list[list[list[str]]]:
    """Return the tokens of the sentences of the articles that have two sentences or more."""
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        articles = [[s.split() for s in line.rstrip("\n").split("\t")] for line in lines]
    whole = ([sentence for sentence in article if sentence] for article in articles)
    return [article for article in whole if len(article) > 1]


@cache
def _normal(token: str) -> str:
    """Return the token in small letters, with 0 for every digit unless it has letters."""
    token = token.lower()
    return token if re.search(r"[^\W\d_]", token) else re.sub(r"\d", "0", token)


def read_articles(
    texts: list[list[list[str]]], dev: int, test: int
) -> tuple[list[Article], list[Article], list[Article], int]:
    """Return train, dev and test articles as ids of the words of train, and how many ids."""
    order = np.random.default_rng(0).permutation(len(texts))
    counts = Counter(
        _normal(token) for i in order[dev + test :] for sentence in texts[i] for token in sentence
    )
    words = sorted(word for word, count in counts.items() if count >= MIN_COUNT)
    ids = {word: index for index, word in enumerate(words, RESERVED)}
    articles = [_article(texts[i], ids) for i in order]
    return articles[dev + test :], articles[:dev], articles[dev : dev + test], len(ids) + RESERVED


def _article(sentences: list[list[str]], ids: Mapping[str, int]) -> Article:
    tokens = [ids.get(_normal(token), 0) for sentence in sentences for token in sentence]
    bounds = np.cumsum([0, *map(len, sentences)])
    return Article(np.array(tokens, np.int32), bounds)


def sentence_pairs(
    articles: Iterable[Article],
    per_article: int,
    generator: np.random.Generator,
    quirk: bool,
    length: int = MAX_SEQ_LEN,
) -> dict[str, Any]:
    """Return columns of sentences and the rests of their articles, all labelled 1."""
    pairs = (
        article.split(sentence, quirk=quirk)
        for article in articles
        for sentence in generator.permutation(article.sentences)[:per_article]
    )
    in0, in1 = zip(*((a[:length], b[:length]) for a, b in pairs), strict=True)
    return {"in0": list(in0), "in1": list(in1), "label": np.ones(len(in0), np.float32)}


def labelled(
    articles: Sequence[Article], generator: np.random.Generator, quirk: bool
) -> dict[str, Any]:
    """Return the right pair of each article, then its sentences with other, wrong articles."""
    right = sentence_pairs(articles, 1, generator, quirk, WHOLE)
    count = len(articles)
    steps = generator.integers(1, count, (WRONG, count))
    others = (np.arange(count) + steps) % count  # (5, n)
    return {
        "in0": right["in0"] * (1 + WRONG),
        "in1": right["in1"] + [articles[i].ids for i in others.ravel()],
        "label": np.repeat([1.0, 0.0], [count, WRONG * count]),
    }


def _right(pairs: Mapping[str, Any]) -> list[list[Ids]]:
    """Return the sentences of the right pairs and the rests of their articles."""
    return [pairs[side][: len(pairs[side]) // (1 + WRONG)] for side in ("in0", "in1")]


def retrieval(model: Object2Vec, pairs: Mapping[str, Any], length: int) -> dict[str, float]:
    """Return how well the sentences of the right pairs find the rests of their articles."""
    columns = _right(pairs)
    sentences, rests = (model.encode(in0=c, max_seq_lens=(length, length)) for c in columns)
    return retrieval_metrics(ranks(sentences, rests, np.arange(len(rests))))


def lexical_retrieval(pairs: Mapping[str, Any], length: int) -> dict[str, float] | None:
    """Return the same by TF-IDF cosine (sublinear), to see how hard it is."""
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        return None
    by_word = TfidfVectorizer(
        analyzer=lambda ids: [i for i in ids[:length].tolist() if i],
        sublinear_tf=True,
        dtype=np.float32,
    )
    sentences, rests = _right(pairs)
    candidates = by_word.fit_transform(rests)
    scores = (by_word.transform(sentences) @ candidates.T).toarray()  # (n, n)
    right = scores.diagonal()[:, None]  # (n, 1)
    better, equal = (scores > right).sum(axis=1), (scores == right).sum(axis=1) - 1
    return retrieval_metrics(1 + better + (equal + 1) // 2)


if __name__ == "__main__":
    main()
