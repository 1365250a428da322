from __future__ import annotations

import hashlib
import json
from collections import Counter
from importlib.resources import files
from itertools import islice

import numpy as np
import pytest

from object2vec.examples.wordnet import DefinitionTask, WordNet, words


def test_wordnet_is_whole_small_and_licensed(wordnet):
    data = files("object2vec") / "data"
    assert len((data / "wordnet.tsv.zst").read_bytes()) < 3_000_000
    licence = (data / "WORDNET-LICENSE").read_text(encoding="utf-8")
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in licence
    assert "Permission to use, copy, modify and distribute" in licence
    assert len(wordnet.terms) == len(wordnet.texts) == 117_791
    assert wordnet.terms[4] == ["object", "physical object"]
    text = "a tangible and visible entity an entity that can cast a shadow"
    assert wordnet.texts[4] == text
    assert all(wordnet.texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog's x-ray, (or two)", ["a", "dog's", "x-ray", "or", "two"]),
        ("hot dog", ["hot", "dog"]),
        ("'a-'", ["a"]),
        ("!", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


def test_held_out_definitions_are_unseen_and_their_words_are_known(task, some):
    parts = [set(part) for part in (task.train, task.validation, task.test)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert min(map(len, parts)) > 30
    seen = [some.texts[i] for i in task.train]
    known = {term for i in task.train for term in some.terms[i]}
    for i in [*task.validation, *task.test]:
        assert some.texts[i] not in seen
        assert some.terms[i][0] in known
        assert some.terms[i][0] in task.candidates


def test_telling_words_stand_twice_in_train_but_not_everywhere(task, some):
    counts = Counter(
        word
        for i in task.train
        for word in some.texts[i].split() + [part for term in some.terms[i] for part in words(term)]
    )
    used_in = Counter(word for text in some.texts for word in set(text.split()))
    usual = {word for word, n in counts.items() if n > 1}
    dull = {word for word in usual if used_in[word] > 0.01 * len(some.texts)}
    assert {"the", "of"} < dull
    assert task.telling == usual - dull
    said = task.telling_words("the tropical xyzzy of tropical words")
    assert said == ["tropical", "tropical", "words"]
    assert len(task.candidates) == 400
    assert set(task.candidates) <= task.telling


def test_a_task_is_a_function_of_its_generator(some, task):
    again, other = (DefinitionTask.draw(some, np.random.default_rng(seed)) for seed in (0, 1))
    assert (again.test, again.candidates) == (task.test, task.candidates)
    assert other.test != task.test


def test_training_rows_are_definitions_and_words_with_the_rest_of_theirs(task, some):
    table = task.training_table(np.random.default_rng(3))
    rows = list(zip(table["term"], table["definition"], strict=True))
    expected = [(term, some.texts[i]) for i in task.train for term in some.terms[i]]
    assert rows[: len(expected)] == expected
    own = iter(rows[len(expected) :])
    for text in (some.texts[i] for i in task.train):
        telling = set(task.telling_words(text))
        drawn = list(islice(own, min(len(telling), 3) if len(telling) > 1 else 0))
        assert len({word for word, _ in drawn}) == len(drawn)
        for word, rest in drawn:
            assert word in telling
            assert rest.split() == [each for each in text.split() if each != word]
    assert next(own, None) is None
    assert task.training_table(np.random.default_rng(3)) == table


def test_every_word_of_a_definition_is_drawn_as_often():
    telling = {"a", "b", "c", "d", "e", "f"}
    wordnet = WordNet([[]] * 4000, ["a b c the d e f"] * 4000)
    task = DefinitionTask(wordnet, list(range(4000)), [], [], telling, [])
    table = task.training_table(np.random.default_rng(0))
    counts = Counter(table["term"])
    assert counts.keys() == telling
    assert sum(counts.values()) == 12_000
    assert max(abs(n - 2000) for n in counts.values()) < 5 * np.sqrt(2000)


def test_held_out_rows_are_first_terms_with_their_definitions(task, some):
    table = task.held_out_table(task.test)
    assert table["term"] == [some.terms[i][0] for i in task.test]
    assert table["definition"] == [some.texts[i] for i in task.test]
    found = [task.candidates[i] for i in task.targets(task.test)]
    assert found == table["term"]


def test_documents_hold_a_word_and_its_definitions_in_train(task, some):
    for word, document in zip(task.candidates, task.documents, strict=True):
        expected = [some.texts[i] for i in task.train if word in some.terms[i]]
        assert document == " ".join([word, *expected])


def digest(value):
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def test_the_task_is_the_one_that_the_figures_were_measured_with(wordnet):
    """Another digest: benchmarks/results/demo.txt is of another task, and due again."""
    generator = np.random.default_rng(0)  # as the demo does
    task = DefinitionTask.draw(wordnet, generator)
    parts = (task.train, task.validation, task.test, sorted(task.telling), task.candidates)
    assert [(len(part), digest(part)) for part in parts] == [
        (113791, "102c979f16b2d577"),
        (1952, "3ff3d89cad8c6a06"),
        (1952, "fbaded1d331f7b4c"),
        (58866, "9713afb4e5f1e20c"),
        (10000, "0cf8e95d64fae236"),
    ]
    assert digest(task.training_table(generator)) == "0bf274b13b03e443"
    assert digest(task.held_out_table(task.test)) == "add6ea0bb3955c5f"
    assert digest(task.targets(task.test).tolist()) == "9511116fabc82884"
    assert digest(task.documents) == "4900e7791575f4c8"
