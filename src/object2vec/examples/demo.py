"""The demo: find a word by its definition, learned from WordNet in about a minute.

A record is a term (in0: its words) and a text about it (in1: the words of a definition). Besides,
every definition teaches its own words: a few of them, drawn at random, are paired with the rest of
it. Definitions are held out whole, never seen with any of their terms; their words are known from
other definitions. Validation chooses the epoch; test is looked at once, for the figures printed.
"""

from __future__ import annotations

import json
import re
import shlex
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import StorageError
from object2vec.evaluation.retrieval import nearest, ranks, retrieval_metrics
from object2vec.objects.ragged import Ragged, offsets_of
from object2vec.pairs.dataset import Pairs

if TYPE_CHECKING:
    from object2vec.model import Object2Vec
    from object2vec.reporting.reporters import LogFormat

HYPERPARAMETERS: dict[str, Any] = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 10,
    "enc0_token_embedding_dim": 200,
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": 1000,
    "enc1_token_embedding_dim": 200,
    "tied_token_embedding_weight": True,
    "token_embedding_storage_type": "row_sparse",
    "enc_dim": 200,
    "comparator_list": "hadamard",
    "mlp_layers": 0,
    "dropout": 0.4,
    "negative_sampling_rate": 3,
    "mini_batch_size": 2048,
    "learning_rate": 0.03,
    "epochs": 3,
    "seed": 0,
    "threads": 1,  # threads that wait for each other are far slower on a busy machine
}
WORDS = ("dog", "physics", "happy", "run", "king", "water", "computer", "doctor", "red", "music")
DEFINITIONS = (
    "a large animal with a trunk",
    "a person who writes books",
    "a very cold season of the year",
    "a machine that flies",
    "to move quickly on foot",
    "feeling great sorrow",
)

_CANDIDATES = 10_000  # words to find
_HELD_OUT = 2_000  # definitions for validation, and as many for test
_TOO_FREQUENT = 0.01  # words in more than this share of the definitions tell nothing
_OWN_WORDS = 3  # of each definition, paired with the rest of it
_WORD = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*")
_AT = (1, 10, 100)

Ids = NDArray[np.int64]
Floats = NDArray[np.floating[Any]]


def run(
    out: Path | None = None, *, overwrite: bool = False, log_format: LogFormat | None = None
) -> None:
    """Train on WordNet, print what was learned, and leave the model in a folder.

    Parameters
    ----------
    out : Path, optional
        The model's folder; one in a new temporary folder by default.
    overwrite : bool, default False
        Whether a folder that stands there may be replaced.
    log_format : {"rich", "plain", "sagemaker", "json"}, optional
        How training is shown; live on a terminal, else as plain lines.

    Raises
    ------
    StorageError
        If `out` exists and may not be replaced, or cannot be written.
    """
    if out is not None and out.exists() and not overwrite:
        cure = "Choose another place or allow overwriting."
        raise StorageError.at(str(out), "must not exist yet", "a file or folder", cure)
    if out is None:
        out = Path(tempfile.mkdtemp(prefix="object2vec-demo-")) / "model"
    task = Task.draw(read_wordnet(), np.random.default_rng(0))
    _print(introduction(task))
    model = learn(task, log_format)
    model.save(out, overwrite=overwrite)
    _print(judgement(model, task), retrieval(model, task), discoveries(model, task))
    _print(farewell(model, out))


def _print(*sections: Sequence[str]) -> None:
    import typer

    for section in sections:
        typer.echo("\n".join([*section, ""]))


# ------------------------------------------------------------------------------------ data


@dataclass(frozen=True)
class WordNet:
    """Definitions of WordNet, in lower case.

    Parameters
    ----------
    terms : list of list of str
        The terms that each definition defines, most usual one first; "_" for blanks.
    texts : list of list of str
        The words of each definition.
    """

    terms: list[list[str]]
    texts: list[list[str]]


def read_wordnet() -> WordNet:
    """Return the WordNet that ships with the package."""
    from zstandard import ZstdDecompressor

    packed = files("object2vec").joinpath("data", "wordnet.tsv.zst").read_bytes()
    text = ZstdDecompressor().decompress(packed).decode("utf-8").lower()
    rows = [line.split("\t") for line in text.rstrip("\n").split("\n")]
    return WordNet([terms.split(",") for terms, _ in rows], [words(text) for _, text in rows])


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return _WORD.findall(text.replace("_", " "))


@dataclass(frozen=True)
class Task:
    """What is learned and what is asked.

    Parameters
    ----------
    wordnet : WordNet
    train, validation, test : list of int
        Numbers of definitions. The first term of a held-out one is a candidate with another
        definition in train.
    vocabulary : dict of str to int
        Ids from 1 of the words that train holds twice or more, the commonest first; words in a
        great many definitions have none.
    candidates : list of str
        The commonest words that have a definition in train.
    """

    wordnet: WordNet
    train: list[int]
    validation: list[int]
    test: list[int]
    vocabulary: dict[str, int]
    candidates: list[str]

    @classmethod
    def draw(cls, wordnet: WordNet, generator: np.random.Generator) -> Task:
        """Return a task whose held-out definitions are drawn at random."""
        terms, texts = wordnet.terms, wordnet.texts
        definitions = Counter(term for row in terms for term in set(row))
        used_in = Counter(word for text in texts for word in set(text))
        dull = {word for word, n in used_in.items() if n > _TOO_FREQUENT * len(texts)}
        usual = _count(wordnet, range(len(texts))).most_common()
        common = [word for word, _ in usual if word in definitions and word not in dull]
        may_be_held = _rows_that_may_be_held(wordnet, set(common[:_CANDIDATES]), definitions)
        held = generator.permutation(may_be_held)[: 2 * _HELD_OUT].tolist()
        train = sorted(set(range(len(texts))) - set(held))
        counts = _count(wordnet, train).most_common()
        kept = [word for word, n in counts if n > 1 and word not in dull]
        vocabulary = {word: number for number, word in enumerate(kept, start=1)}
        defined = {term for row in train for term in terms[row]}
        candidates = [word for word in common if word in vocabulary and word in defined]
        candidates = candidates[:_CANDIDATES]
        seen, asked = {tuple(texts[row]) for row in train}, set(candidates)
        fair = [row for row in held if terms[row][0] in asked and tuple(texts[row]) not in seen]
        half = len(fair) // 2
        return cls(wordnet, train, fair[:half], fair[half:], vocabulary, candidates)

    def ids(self, text: Sequence[str]) -> list[int]:
        """Return the ids of the words that have one."""
        return [self.vocabulary[word] for word in text if word in self.vocabulary]

    def training_pairs(self, generator: np.random.Generator) -> Pairs:
        """Return terms with their definitions, and drawn words with the rest of theirs."""
        texts = {i: self.ids(self.wordnet.texts[i]) for i in self.train}
        records = [
            (term, texts[i])
            for i in self.train
            for term in map(self.ids, map(words, self.wordnet.terms[i]))
            if term and texts[i]
        ]
        terms, definitions = (Ragged.build(list(side)) for side in zip(*records, strict=True))
        own, rest = _own_words(Ragged.build(list(texts.values())), generator)
        in0, in1 = (Ragged.concatenate(parts) for parts in ((terms, own), (definitions, rest)))
        return Pairs.build(in0=in0, in1=in1, label=np.ones(len(in0)), source="train")

    def held_out_pairs(self, rows: Sequence[int]) -> Pairs:
        """Return first terms with their definition, label 1, and as in training with others."""
        rate = HYPERPARAMETERS["negative_sampling_rate"]
        in0 = Ragged.build([[self.vocabulary[self.wordnet.terms[i][0]]] for i in rows])
        in1 = self.queries(rows)
        order = np.arange(len(rows))  # (n,) drawn at random, so the next ones are random partners
        partners = np.concatenate([np.roll(order, -step) for step in range(1 + rate)])
        label = np.repeat([1.0, 0.0], [len(rows), rate * len(rows)])
        return Pairs.build(
            in0=in0.take(np.tile(order, 1 + rate)),
            in1=in1.take(partners),
            label=label,
            source="held-out",
        )

    def queries(self, rows: Sequence[int]) -> Ragged:
        """Return the definitions of these rows."""
        return Ragged.build([self.ids(self.wordnet.texts[i]) for i in rows])

    def targets(self, rows: Sequence[int]) -> Ids:
        """Return which candidate each of these definitions defines, (n,)."""
        places = {word: place for place, word in enumerate(self.candidates)}
        return np.array([places[self.wordnet.terms[i][0]] for i in rows])

    @cached_property
    def words(self) -> Ragged:
        """Each candidate, a sequence of one."""
        return Ragged.build([[self.vocabulary[word]] for word in self.candidates])

    @cached_property
    def documents(self) -> Ragged:
        """Each candidate and all of its definitions in train."""
        found: dict[str, list[int]] = {word: [self.vocabulary[word]] for word in self.candidates}
        for i in self.train:
            text = self.ids(self.wordnet.texts[i])
            for term in found.keys() & self.wordnet.terms[i]:
                found[term] += text
        return Ragged.build(list(found.values()))


def _rows_that_may_be_held(
    wordnet: WordNet, common: set[str], definitions: Counter[str]
) -> list[int]:
    """Return the definitions of common words whose terms all have another definition."""
    return [
        row
        for row, terms in enumerate(wordnet.terms)
        if terms[0] in common and all(definitions[term] > 1 for term in terms)
    ]


def _count(wordnet: WordNet, rows: Sequence[int]) -> Counter[str]:
    """Return how often each word stands in terms and definitions."""
    return Counter(
        word for i in rows for word in chain(wordnet.texts[i], *map(words, wordnet.terms[i]))
    )


def _own_words(texts: Ragged, generator: np.random.Generator) -> tuple[Ragged, Ragged]:
    """Return words drawn from each text, and the text without that word."""
    rows = np.repeat(np.arange(len(texts)), texts.lengths)  # (n_tokens,)
    shuffled = np.lexsort((generator.random(len(rows)), rows))  # (n_tokens,)
    place = np.arange(len(rows)) - texts.offsets[rows]  # (n_tokens,) within its text
    drawn = shuffled[place < _OWN_WORDS]  # (m,)
    own, rest = texts.values[drawn], texts.take(rows[drawn])  # (m,)
    keep = rest.values != np.repeat(own, rest.lengths)  # (tokens of rest,)
    kept_before = np.concatenate([[0], np.cumsum(keep)])
    rest = Ragged(rest.values[keep], kept_before[rest.offsets])
    has_text = np.flatnonzero(rest.lengths)
    return Ragged.build(own[has_text]), rest.take(has_text)


# ------------------------------------------------------------------------------------ learning


def learn(task: Task, log_format: LogFormat | None) -> Object2Vec:
    """Return a model trained on the task, with the vocabulary inside."""
    from object2vec.model import Object2Vec
    from object2vec.reporting.reporters import reporter

    size = len(task.vocabulary) + 1  # id 0 is padding
    files_of_both = {f"enc{side}_vocab_file": "vocabulary.json" for side in (0, 1)}
    sizes = {f"enc{side}_vocab_size": size for side in (0, 1)}
    model = Object2Vec(**HYPERPARAMETERS, **sizes, **files_of_both)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vocabulary.json")
        path.write_text(json.dumps(task.vocabulary), encoding="utf-8")
        return model.fit(
            task.training_pairs(np.random.default_rng(1)),
            validation=task.held_out_pairs(task.validation),
            test=task.held_out_pairs(task.test),
            auxiliary=folder,
            reporters=[reporter(log_format)],
        )


def known_vectors(model: Object2Vec, task: Task) -> Floats:
    """Return a vector for each candidate: of the word, plus of the text of its definitions.

    Returns
    -------
    array of shape (N, D)
    """
    word, text = model.encode(in0=task.words), model.encode(in1=task.documents)  # (N, D)
    return _unit(word) + _unit(text)


def _unit(vectors: Floats) -> Floats:
    """Return vectors (n, D) of length one; a zero vector stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)  # (n, 1)
    unit: Floats = vectors / np.where(lengths > 0, lengths, 1)
    return unit


# ------------------------------------------------------------------------------------ measuring


def introduction(task: Task) -> list[str]:
    """Return what is about to happen."""
    texts, chosen, asked = len(task.wordnet.texts), len(task.validation), len(task.test)
    return [
        "object2vec demo: find a word by its definition",
        "",
        f"WordNet has {texts:,} definitions. {chosen:,} are held out to choose the epoch and",
        f"{asked:,} for the figures below; their words are known from other definitions.",
    ]


def judgement(model: Object2Vec, task: Task) -> list[str]:
    """Return how well the model tells right pairs of held-out definitions from wrong ones."""
    rate = HYPERPARAMETERS["negative_sampling_rate"]
    share = 1 / (1 + rate)
    guess = {
        "cross_entropy": -share * np.log(share) - (1 - share) * np.log(1 - share),
        "accuracy": 1 - share,
    }
    found = model.facts.metrics
    table = [("always the same answer", guess)]
    table += [(f"object2vec, {name}", found[name]) for name in ("validation", "test")]
    return [
        f"Is this the definition of that word? One right pair to {rate} wrong ones.",
        f"{'':36}{'accuracy':>10}{'cross-entropy':>15}",
        *(f"  {name:34}{m['accuracy']:10.1%}{m['cross_entropy']:15.3f}" for name, m in table),
    ]


def retrieval(model: Object2Vec, task: Task) -> list[str]:
    """Return at which place the words of test definitions are found, beside baselines."""
    query, target = model.encode(in1=task.queries(task.test)), task.targets(task.test)
    alone = ranks(query, model.encode(in0=task.words), target)  # (n,)
    together = ranks(query, known_vectors(model, task), target)  # (n,)
    count = len(task.candidates)
    chance = {f"hits@{k}": min(1, k / count) for k in _AT}
    table = [
        ("chance", chance | {"mean_rank": (count + 1) / 2, "median_rank": (count + 1) / 2}),
        ("TF-IDF, word and its definitions", _metrics(tfidf_ranks(task, task.test))),
        ("object2vec, the word alone", _metrics(alone)),
        ("object2vec, word and definitions", _metrics(together)),
    ]
    return [
        f"Which of {count:,} words does an unseen definition define? {len(target):,} definitions.",
        f"{'':36}{'hits@1':>7}{'@10':>7}{'@100':>7}{'mean rank':>11}{'median':>8}",
        *(
            f"  {name:34}"
            + "".join(f"{m[f'hits@{k}']:7.1%}" for k in _AT)
            + f"{m['mean_rank']:11,.0f}{m['median_rank']:8,.0f}"
            for name, m in table
        ),
    ]


def _metrics(found: Ids) -> dict[str, float]:
    return retrieval_metrics(found, at=_AT)


def tfidf_ranks(task: Task, rows: Sequence[int]) -> Ids:
    """Return the ranks (n,) that cosine of TF-IDF gives: the baseline, with the same texts.

    A term of count n weighs (1 + ln n) (1 + ln(N / df)), as scikit-learn's with sublinear_tf.
    """
    count, size = len(task.candidates), len(task.vocabulary) + 1
    used_in = np.bincount(_counts(task.documents, size)[1], minlength=size)  # (V,)
    rarity = 1 + np.log(count / np.maximum(used_in, 1))  # (V,)
    document, word, weight = _weighted(task.documents, rarity)  # (nnz,) by document
    by_word = np.argsort(word, kind="stable")  # (nnz,)
    postings = Ragged(by_word.astype(np.int32), offsets_of(used_in))  # of each word
    queries, target = task.queries(rows), task.targets(rows)
    found = []
    for start in range(0, len(queries), 256):
        part = queries.slice(start, start + 256)
        query, asked, asked_weight = _weighted(part, rarity)  # (nnz of part,)
        hits = postings.take(asked)
        cell = np.repeat(query, hits.lengths) * count + document[hits.values]  # (hits,)
        product = np.repeat(asked_weight, hits.lengths) * weight[hits.values]  # (hits,)
        scores = np.bincount(cell, product, minlength=len(part) * count)
        scores = scores.reshape(len(part), count)  # (m, N)
        excess = scores - scores[np.arange(len(part)), target[start : start + 256]][:, None]
        equal = (np.abs(excess) <= 1e-9).sum(axis=1) - 1  # (m,) the target equals itself
        found.append(1 + (excess > 1e-9).sum(axis=1) + (equal + 1) // 2)
    return np.concatenate(found)


def _counts(texts: Ragged, size: int) -> tuple[Ids, Ids, Ids]:
    """Return the row, the id and the count of each different id of each row, (nnz,)."""
    rows = np.repeat(np.arange(len(texts)), texts.lengths)  # (n_tokens,)
    keys, counts = np.unique(rows * size + texts.values, return_counts=True)  # (nnz,)
    return keys // size, keys % size, counts


def _weighted(texts: Ragged, rarity: Floats) -> tuple[Ids, Ids, Floats]:
    """Return the row, the id and the weight of TF-IDF rows of length one, (nnz,) each."""
    rows, ids, counts = _counts(texts, len(rarity))
    weights = (1 + np.log(counts)) * rarity[ids]  # (nnz,)
    lengths = np.sqrt(np.bincount(rows, weights**2, minlength=len(texts)))  # (n,)
    return rows, ids, weights / lengths[rows]


# ------------------------------------------------------------------------------------ looking


def discoveries(model: Object2Vec, task: Task) -> list[str]:
    """Return the nearest words of some words and of some definitions."""
    vectors = known_vectors(model, task)  # (N, D)
    known = [word for word in WORDS if word in task.candidates]
    of_words = vectors[[task.candidates.index(word) for word in known]]  # (w, D)
    of_texts = model.encode(in1=[task.ids(words(text)) for text in DEFINITIONS])  # (t, D)
    lines = ["Nearest words"]
    for word, indices in zip(known, nearest(of_words, vectors, 7)[0], strict=True):
        others = [task.candidates[i] for i in indices if task.candidates[i] != word]
        lines.append(f"  {word:10}{_joined(others, 68)}")
    lines += ["", "The words that these definitions, written for the demo, are nearest to"]
    for text, indices in zip(DEFINITIONS, nearest(of_texts, vectors, 6)[0], strict=True):
        lines.append(f"  {text:32}{_joined([task.candidates[i] for i in indices], 46)}")
    return lines


def _joined(names: Sequence[str], width: int) -> str:
    """Return as many names, in their order, as fit."""
    text = ", ".join(names)
    return text if len(text) <= width else _joined(names[:-1], width)


def farewell(model: Object2Vec, out: Path) -> list[str]:
    """Return where the model lies and what to try next."""
    place = shlex.quote(str(out))
    vocabulary = model.vocabularies[0] or {}
    word = next((word for word in WORDS if word in vocabulary), next(iter(vocabulary)))
    return [
        f"The model lies in {out}. Try:",
        f"  object2vec info {place}",
        f"  echo '{{\"in0\": [{vocabulary[word]}]}}' | object2vec encode {place} --side in0",
        f'The second prints the vector of "{word}"; vocab0.json there has every word\'s id.',
    ]
