"""Word vectors from skip-gram windows, beside gensim's Word2Vec.

Each word of a text is paired with the words around it; object2vec learns which pairs are real. The
text is 10 million words of Wikipedia articles; 100 numbers a word, windows of up to 5 words on
either side (a random size for each word), 5 negatives, words that are seen fewer than 5 times left
out, frequent ones thinned out with Mikolov's rule at 1e-3; one pass.

Speed is in words of the text per second, as gensim counts, with the time to make the pairs. Quality
is how well the vectors know WordNet: of all pairs of single words that share a synset and are in
the vocabulary, how high one ranks among all words by the cosine to the other, as hits@10 and mean
reciprocal rank. Both train on the same words; gensim with two workers, ours with two threads.

`--data` names the text as benchmarks/documents.py takes it; WordNet comes with object2vec.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

from benchmarks.common import save, speed_parser, table

WIDTH, WINDOW, NEGATIVES, MIN_COUNT, SAMPLE = 100, 5, 5, 5, 1e-3
WORDS = 10_000_000
SETTINGS: dict[str, Any] = {
    "enc0_network": "pooled_embedding", "enc0_max_seq_len": 1, "enc1_network": "enc0",
    "enc_dim": WIDTH, "comparator_list": "hadamard", "mlp_layers": 0,
    "token_embedding_storage_type": "row_sparse", "negative_sampling_rate": NEGATIVES,
    "mini_batch_size": 10_000, "learning_rate": 0.005, "epochs": 1, "mask_padding": False,
}  # fmt: skip


def main() -> None:
    """Train both and compare."""
    options = speed_parser(__doc__, "../shared/data/wikipedia_en_63k/wiki_train_sents.txt.zst",
                           rounds=None)  # fmt: skip
    options.add_argument("--words", type=int, default=WORDS)
    given = options.parse_args()
    sentences = list(_sentences(given.data, given.words))
    count = sum(map(len, sentences))
    counts = Counter(itertools.chain.from_iterable(sentences))
    vocabulary = [word for word, n in counts.most_common() if n >= MIN_COUNT]
    synonyms = _synonyms({word: i for i, word in enumerate(vocabulary)})
    results = []
    for name, train in (("object2vec", _ours), ("gensim", _gensim)):
        started = time.perf_counter()
        vectors = train(sentences, vocabulary, counts, given.threads)  # (V, WIDTH)
        seconds = time.perf_counter() - started
        results.append({"of": name, "seconds": seconds, "words_per_s": count / seconds,
                        **_quality(vectors, synonyms)})  # fmt: skip
    table(("of", "words/s", "hits@10", "MRR"),
          [(r["of"], round(r["words_per_s"]), r["hits@10"], r["mrr"])
           for r in results])  # fmt: skip
    save("words", {"words": count, "vocabulary": len(vocabulary), "synonym_pairs": len(synonyms),
                   "settings": SETTINGS, "results": results}, given)  # fmt: skip


def _sentences(path: Path, words: int) -> Iterator[list[str]]:
    """Yield tokenised sentences until there are enough words."""
    with zstandard.open(path, "rt", encoding="utf-8") as lines:
        for sentence in (s for line in lines for s in line.rstrip("\n").split("\t")):
            yield (tokens := sentence.lower().split())
            words -= len(tokens)
            if words <= 0:
                return


def _ours(
    sentences: list[list[str]], vocabulary: list[str], counts: Counter[str], threads: int
) -> np.ndarray:
    from object2vec import Object2Vec

    ids = {word: i for i, word in enumerate(vocabulary)}
    centers, contexts = _pairs(sentences, ids, counts)
    model = Object2Vec(**SETTINGS, enc0_vocab_size=len(ids), threads=threads, seed=0)
    columns = {"in0": centers, "in1": contexts, "label": np.ones(len(centers), np.float32)}
    model.fit(columns)
    return model.encode(in0=np.arange(len(ids)))


def _pairs(
    sentences: list[list[str]], ids: dict[str, int], counts: Counter[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the words of all windows and the words around them, (n,) each."""
    draw = np.random.default_rng(0)
    flat = [ids.get(word, -1) for sentence in sentences for word in sentence]
    tokens = np.array(flat, np.int32)  # (n,)
    owner = np.repeat(np.arange(len(sentences)), [len(s) for s in sentences])  # (n,)
    share = np.array([counts[word] for word in ids]) / len(tokens)  # (V,)
    keep = np.minimum(1.0, np.sqrt(SAMPLE / share) + SAMPLE / share)  # (V,)
    stays = (tokens >= 0) & (draw.random(len(tokens)) < keep[tokens])
    tokens, owner = tokens[stays], owner[stays]
    reach = draw.integers(1, WINDOW + 1, len(tokens))  # of each word's window
    centers, contexts = [], []
    for step in range(1, WINDOW + 1):
        is_same = owner[step:] == owner[:-step]
        left, right = tokens[:-step], tokens[step:]
        for center, context, size in ((left, right, reach[:-step]), (right, left, reach[step:])):
            real = is_same & (size >= step)
            centers.append(center[real])
            contexts.append(context[real])
    return np.concatenate(centers), np.concatenate(contexts)


def _gensim(
    sentences: list[list[str]], vocabulary: list[str], counts: Counter[str], threads: int
) -> np.ndarray:
    from gensim.models import Word2Vec

    model = Word2Vec(
        sentences, vector_size=WIDTH, window=WINDOW, negative=NEGATIVES, min_count=MIN_COUNT,
        sample=SAMPLE, sg=1, epochs=1, workers=threads, seed=0,
    )  # fmt: skip
    return np.stack([model.wv[word] for word in vocabulary])


def _synonyms(ids: dict[str, int]) -> np.ndarray:
    """Return pairs of words of the vocabulary that share a synset, (n, 2)."""
    from object2vec.examples.demo import read_wordnet

    groups = ({ids[term] for term in terms if term in ids} for terms in read_wordnet().terms)
    return np.array(sorted({pair for g in groups for pair in itertools.permutations(g, 2)}))


def _quality(vectors: np.ndarray, pairs: np.ndarray) -> dict[str, float]:
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


if __name__ == "__main__":
    main()
