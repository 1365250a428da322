"""The demo's task: WordNet's words and definitions as records, some of them held out.

A record is a term (in0: its words) and a text about it (in1: the words of a definition). Besides,
every definition teaches its own words: a few of them, drawn at random, are paired with the rest of
it. Definitions are held out whole, never seen with any of their terms; their words are known from
other definitions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from object2vec.objects.ragged import Ragged
from object2vec.pairs.dataset import Pairs

NEGATIVES = 3  # wrong definitions for each right one

_CANDIDATES = 10_000  # words to find
_HELD_OUT = 2_000  # definitions for validation, and as many for test
_TOO_FREQUENT = 0.01  # words in more than this share of the definitions tell nothing
_OWN_WORDS = 3  # of each definition, paired with the rest of it
_WORD = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*")


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
class DefinitionTask:
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
    def draw(cls, wordnet: WordNet, generator: np.random.Generator) -> DefinitionTask:
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
        in0 = Ragged.build([[self.vocabulary[self.wordnet.terms[i][0]]] for i in rows])
        in1 = self.queries(rows)
        order = np.arange(len(rows))  # (n,) drawn at random, so the next ones are random partners
        partners = np.concatenate([np.roll(order, -step) for step in range(1 + NEGATIVES)])
        label = np.repeat([1.0, 0.0], [len(rows), NEGATIVES * len(rows)])
        return Pairs.build(
            in0=in0.take(np.tile(order, 1 + NEGATIVES)),
            in1=in1.take(partners),
            label=label,
            source="held-out",
        )

    def queries(self, rows: Sequence[int]) -> Ragged:
        """Return the definitions of these rows."""
        return Ragged.build([self.ids(self.wordnet.texts[i]) for i in rows])

    def targets(self, rows: Sequence[int]) -> NDArray[np.int64]:
        """Return which candidate each of these definitions defines, (n,)."""
        number = {word: index for index, word in enumerate(self.candidates)}
        return np.array([number[self.wordnet.terms[i][0]] for i in rows])

    @property
    def vocab_size(self) -> int:
        """Number of ids; 0 is padding."""
        return len(self.vocabulary) + 1

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
    position = np.arange(len(rows)) - texts.offsets[rows]  # (n_tokens,) within its text
    drawn = shuffled[position < _OWN_WORDS]  # (m,)
    own, rest = texts.values[drawn], texts.take(rows[drawn])  # (m,)
    keep = rest.values != np.repeat(own, rest.lengths)  # (tokens of rest,)
    kept_before = np.concatenate([[0], np.cumsum(keep)])
    rest = Ragged(rest.values[keep], kept_before[rest.offsets])
    has_text = np.flatnonzero(rest.lengths)
    return Ragged.build(own[has_text]), rest.take(has_text)
