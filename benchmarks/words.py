"""Word vectors of the preset `words`, beside gensim's Word2Vec.

Both read the same file of a sentence a line, 10 million words of Wikipedia articles (runs of
letters and digits, small ones), and make 100 numbers for each word that is seen 5 times or more:
skip-gram, windows of up to 5 words on either side (a random size for each word), 5 negatives drawn
by frequency^0.75, frequent words thinned out with Mikolov's rule at 1e-3, one pass. They take
turns, each turn a process of its own with two threads or workers.

Speed is in words of the file per second: of the whole turn (reading, counting and learning; imports
and what is compiled once are left out), and of the pass alone. gensim's result depends on how its
workers happen to run; ours is the same for any number of threads.

Quality: of all pairs of words that share a synset of WordNet, how high one ranks among all words by
the cosine to the other (hits@10, mean reciprocal rank); and how the cosine of two sentences' mean
vectors follows the judgements of the STS benchmark's test part (Spearman). Only words that both
know count.

`--data` is the folder of the data sets; `--peers` the Python that has gensim.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from benchmarks.common import save, speed_parser, table

WORDS, WIDTH, MIN_COUNT = 10_000_000, 100, 5
_WORD = re.compile(r"[^\W_]+")
_GENSIM = """
import json, sys, time
import numpy as np
from gensim.models import Word2Vec
text, vectors, threads, width, min_count = sys.argv[1:]
started = time.perf_counter()
model = Word2Vec(vector_size=int(width), window=5, negative=5, ns_exponent=0.75, sample=1e-3, sg=1,
                 min_count=int(min_count), epochs=1, workers=int(threads), seed=0)
model.build_vocab(corpus_file=text)
begun = time.perf_counter()
model.train(corpus_file=text, total_examples=model.corpus_count,
            total_words=model.corpus_total_words, epochs=1)
ended = time.perf_counter()
np.save(vectors, model.wv.vectors)
print(json.dumps({"s": ended - started, "pass_s": ended - begun, "words": model.wv.index_to_key}))
"""


def main() -> None:
    """Let both take turns, and compare."""
    options = speed_parser(__doc__, "../shared/data", rounds=3)
    options.add_argument("--words", type=int, default=WORDS)
    options.add_argument("--peers", default=sys.executable, help="Python with gensim")
    options.add_argument("--ours", nargs=3, help="used by the script itself")
    given = options.parse_args()
    if given.ours:
        _ours(*map(Path, given.ours[:2]), int(given.ours[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        _compare(given, Path(folder))


def _compare(given: Any, folder: Path) -> None:
    text, count = folder / "corpus.txt", 0
    with text.open("w", encoding="utf-8") as file:
        for words in _sentences(given.data, given.words):
            file.write(" ".join(words) + "\n")
            count += len(words)
    ours = [sys.executable, "-m", "benchmarks.words", "--ours"]
    commands = {"object2vec": ours, "gensim": [given.peers, "-c", _GENSIM]}
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    vectors: dict[str, dict[str, NDArray[np.float32]]] = {}
    _turn(ours, _head_of(text), folder, given.threads)  # compiles what is not yet
    for _ in range(given.rounds):
        for name, command in commands.items():
            turn, vectors[name] = _turn(command, text, folder, given.threads)
            turns[name].append(turn)
    both = sorted(set.intersection(*map(set, vectors.values())))
    synonyms = _synonyms({word: i for i, word in enumerate(both)})
    results = []
    for name, known in vectors.items():
        rows = np.stack([known[word] for word in both])  # (V, WIDTH)
        rates = {
            rate: [count / turn[seconds] for turn in turns[name]]
            for rate, seconds in (("words_per_s", "s"), ("pass_words_per_s", "pass_s"))
        }
        results.append(
            {
                "of": name,
                **{rate: statistics.median(each) for rate, each in rates.items()},
                "rounds": rates,
                **_quality(rows, synonyms),
                "sts": _sts(known, given.data),
            }
        )
    ratio = [theirs["s"] / mine["s"] for mine, theirs in zip(*turns.values(), strict=True)]
    table(
        ("of", "words/s", "pass alone", "hits@10", "MRR", "STS"),
        [
            (
                r["of"],
                round(r["words_per_s"]),
                round(r["pass_words_per_s"]),
                r["hits@10"],
                r["mrr"],
                r["sts"],
            )
            for r in results
        ],
    )
    print(f"ours is x {statistics.median(ratio):.2f} ({min(ratio):.2f} to {max(ratio):.2f})")
    spread = {"ours_is_times": statistics.median(ratio), "ratio_spread": [min(ratio), max(ratio)]}
    facts = {"words": count, "vocabulary": len(both), "synonym_pairs": len(synonyms)}
    save("words", facts | spread | {"results": results}, given)


def _sentences(data: Path, words: int) -> Iterator[list[str]]:
    """Yield the words of sentences until there are enough."""
    path = data / "wikipedia_en_63k/wiki_train_sents.txt.zst" if data.is_dir() else data
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        for sentence in (s for line in lines for s in line.rstrip("\n").split("\t")):
            found = _WORD.findall(sentence.lower())
            yield found
            words -= len(found)
            if words <= 0:
                return


def _head_of(text: Path) -> Path:
    """Return a file of the first lines of a text."""
    head = text.with_name("head.txt")
    with text.open(encoding="utf-8") as lines:
        head.write_text("".join(itertools.islice(lines, 2000)), encoding="utf-8")
    return head


def _turn(
    command: list[str], text: Path, folder: Path, threads: int
) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """Return the seconds of one training, and the vector of each word."""
    vectors = folder / "vectors.npy"
    words = [*command, str(text), str(vectors), str(threads)]
    if "-c" in command:
        words += [str(WIDTH), str(MIN_COUNT)]
    with tempfile.TemporaryDirectory() as cache:  # what is read once must be read again
        done = subprocess.run(
            words,
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"OBJECT2VEC_CACHE": cache},
        )
    turn = json.loads(done.stdout.splitlines()[-1])
    return turn, dict(zip(turn.pop("words"), np.load(vectors), strict=True))


def _ours(text: Path, vectors: Path, threads: int) -> None:
    """Train by the preset, and write vectors and seconds."""
    import torch  # noqa: F401, loaded before the clock starts

    from object2vec import Object2Vec

    started = time.perf_counter()
    model = Object2Vec(
        preset="words",
        in0=f"text:text(min_count={MIN_COUNT}, unseen=skip)",
        enc_dim=WIDTH,
        epochs=1,
        threads=threads,
        seed=0,
    )
    model.fit(text)
    seconds = time.perf_counter() - started
    entries = model.schema.parts[0].fitted.entries()
    words = [entry.token for entry in entries if entry.token]
    np.save(vectors, model.encode(in0=words))
    (epoch,) = (event for event in model.facts.history if event["event"] == "epoch")
    print(json.dumps({"s": seconds, "pass_s": epoch["train_s"], "words": words}))


def _synonyms(ids: dict[str, int]) -> NDArray[np.int64]:
    """Return pairs of words of the vocabulary that share a synset, (n, 2)."""
    from object2vec.examples.demo import read_wordnet

    groups = ({ids[term] for term in terms if term in ids} for terms in read_wordnet().terms)
    return np.array(sorted({pair for g in groups for pair in itertools.permutations(g, 2)}))


def _quality(vectors: NDArray[np.float32], pairs: NDArray[np.int64]) -> dict[str, float]:
    """Return how high each word's synonyms rank among all words."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)  # (V, D)
    ranks = []
    for part in np.array_split(pairs, len(pairs) // 512 + 1):
        scores = unit[part[:, 0]] @ unit.T  # (n, V)
        np.put_along_axis(scores, part[:, :1], -np.inf, axis=1)
        right = np.take_along_axis(scores, part[:, 1:], axis=1)  # (n, 1)
        ranks.append(1 + (scores > right).sum(axis=1))
    rank = np.concatenate(ranks)
    return {"hits@10": float((rank <= 10).mean()), "mrr": float((1 / rank).mean())}


def _sts(vectors: dict[str, NDArray[np.float32]], data: Path) -> float:
    """Return Spearman's correlation of the cosines of mean vectors and of the judgements."""
    from object2vec.evaluation.correlation import correlation_measure, cosines

    with gzip.open(data / "stsb/stsb-en-test.csv.gz", "rt", encoding="utf-8", newline="") as file:
        rows = [*csv.reader(file)]
    sides = [[_mean(_WORD.findall(row[side].lower()), vectors) for row in rows] for side in (0, 1)]
    scores = cosines(np.stack(sides[0]), np.stack(sides[1]))
    measure = correlation_measure(scores, np.array([float(row[2]) for row in rows]))
    return float(measure.values()["spearman"])


def _mean(words: list[str], vectors: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    known = [vectors[word] for word in words if word in vectors]
    return np.mean(known, axis=0) if known else np.zeros(WIDTH, np.float32)


if __name__ == "__main__":
    main()
