"""The demo's task: WordNet's words and definitions as a table of texts, some of them held out.

A row is a term and a definition of it. Besides, every definition teaches its own words: a few of
them, drawn at random, are terms of rows with the rest of it. Definitions are held out whole, never
seen with any of their terms; their words are known from other definitions.
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

_CANDIDATES = 10_000  # words to find
_HELD_OUT = 2_000  # definitions for validation, and as many for test
_TOO_FREQUENT = 0.01  # words in more than this share of the definitions tell nothing
_OWN_WORDS = 3  # of each definition, paired with the rest of it
_WORD = re.compile(r"[a-z0-9]+(?:['-][a-z0-9]+)*")

Table = dict[str, list[str]]


@dataclass(frozen=True)
class WordNet:
    """Definitions of WordNet, in lower case.

    Parameters
    ----------
    terms : list of list of str
        The terms that each definition defines, most usual one first.
    texts : list of str
        The words of each definition, with blanks between them.
    """

    terms: list[list[str]]
    texts: list[str]


def read_wordnet() -> WordNet:
    """Return the WordNet that ships with the package."""
    from zstandard import ZstdDecompressor

    packed = files("object2vec").joinpath("data", "wordnet.tsv.zst").read_bytes()
    text = ZstdDecompressor().decompress(packed).decode("utf-8").lower()
    rows = [line.split("\t") for line in text.rstrip("\n").split("\n")]
    terms = [terms.replace("_", " ").split(",") for terms, _ in rows]
    return WordNet(terms, [" ".join(words(text)) for _, text in rows])


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return _WORD.findall(text)


@dataclass(frozen=True)
class DefinitionTask:
    """What is learned and what is asked.

    Parameters
    ----------
    wordnet : WordNet
    train, validation, test : list of int
        Numbers of definitions. The first term of a held-out one is a candidate with another
        definition in train.
    telling : set of str
        The words that train holds twice or more, but not in a great many definitions.
    candidates : list of str
        The commonest telling words that have a definition in train.
    """

    wordnet: WordNet
    train: list[int]
    validation: list[int]
    test: list[int]
    telling: set[str]
    candidates: list[str]

    @classmethod
    def draw(cls, wordnet: WordNet, generator: np.random.Generator) -> DefinitionTask:
        """Return a task whose held-out definitions are drawn at random."""
        terms, texts = wordnet.terms, wordnet.texts
        definitions = Counter(term for row in terms for term in set(row))
        used_in = Counter(word for text in texts for word in set(text.split()))
        dull = {word for word, n in used_in.items() if n > _TOO_FREQUENT * len(texts)}
        usual = _count(wordnet, range(len(texts))).most_common()
        common = [word for word, _ in usual if word in definitions and word not in dull]
        may_be_held = _rows_that_may_be_held(wordnet, set(common[:_CANDIDATES]), definitions)
        held = generator.permutation(may_be_held)[: 2 * _HELD_OUT].tolist()
        train = sorted(set(range(len(texts))) - set(held))
        telling = {word for word, n in _count(wordnet, train).items() if n > 1} - dull
        defined = {term for row in train for term in terms[row]}
        candidates = [word for word in common if word in telling and word in defined]
        candidates = candidates[:_CANDIDATES]
        seen, asked = {texts[row] for row in train}, set(candidates)
        fair = [row for row in held if terms[row][0] in asked and texts[row] not in seen]
        half = len(fair) // 2
        return cls(wordnet, train, fair[:half], fair[half:], telling, candidates)

    def training_table(self, generator: np.random.Generator) -> Table:
        """Return terms with their definitions, and drawn words with the rest of theirs."""
        terms, texts = self.wordnet.terms, self.wordnet.texts
        rows = [(term, texts[i]) for i in self.train for term in terms[i]]
        for i in self.train:
            own = list(dict.fromkeys(self.telling_words(texts[i])))
            drawn = generator.permutation(len(own))[:_OWN_WORDS] if len(own) > 1 else ()
            rows += [(own[k], _without(texts[i], own[k])) for k in drawn]
        return _table(rows)

    def held_out_table(self, rows: Sequence[int]) -> Table:
        """Return the first terms of these definitions with them."""
        return _table([(self.wordnet.terms[i][0], self.wordnet.texts[i]) for i in rows])

    def telling_words(self, text: str) -> list[str]:
        """Return the words of a text that tell something."""
        return [word for word in text.split() if word in self.telling]

    def targets(self, rows: Sequence[int]) -> NDArray[np.int64]:
        """Return which candidate each of these definitions defines, (n,)."""
        number = {word: index for index, word in enumerate(self.candidates)}
        return np.array([number[self.wordnet.terms[i][0]] for i in rows])

    @cached_property
    def documents(self) -> list[str]:
        """Each candidate and all of its definitions in train."""
        found = {word: [word] for word in self.candidates}
        for i in self.train:
            for term in found.keys() & self.wordnet.terms[i]:
                found[term].append(self.wordnet.texts[i])
        return [" ".join(texts) for texts in found.values()]


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
        word
        for i in rows
        for word in chain(wordnet.texts[i].split(), *map(words, wordnet.terms[i]))
    )


def _table(rows: Sequence[tuple[str, str]]) -> Table:
    """Return terms and definitions as columns."""
    return {"term": [term for term, _ in rows], "definition": [text for _, text in rows]}


def _without(text: str, word: str) -> str:
    """Return a text without a word."""
    return " ".join(each for each in text.split() if each != word)
