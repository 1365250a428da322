from __future__ import annotations

from collections import Counter
from importlib.resources import files

import numpy as np
import pytest

from object2vec.examples.wordnet import DefinitionTask, _own_words, words
from object2vec.objects.ragged import Ragged


def lists(column):
    return [column.row(i).tolist() for i in range(len(column))]


def test_wordnet_is_whole_small_and_licensed(wordnet):
    data = files("object2vec") / "data"
    assert len((data / "wordnet.tsv.zst").read_bytes()) < 3_000_000
    licence = (data / "WORDNET-LICENSE").read_text(encoding="utf-8")
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in licence
    assert "Permission to use, copy, modify and distribute" in licence
    assert len(wordnet.terms) == len(wordnet.texts) == 117_791
    assert wordnet.terms[4] == ["object", "physical_object"]
    text = "a tangible and visible entity an entity that can cast a shadow"
    assert " ".join(wordnet.texts[4]) == text
    assert all(wordnet.texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a dog's x-ray, (or two)", ["a", "dog's", "x-ray", "or", "two"]),
        ("hot_dog", ["hot", "dog"]),
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


def test_the_vocabulary_holds_what_train_holds_twice_but_not_what_is_everywhere(task, some):
    counts = Counter(
        word
        for i in task.train
        for word in some.texts[i] + [part for term in some.terms[i] for part in words(term)]
    )
    used_in = Counter(word for text in some.texts for word in set(text))
    usual = {word for word, n in counts.items() if n > 1}
    dull = {word for word in usual if used_in[word] > 0.01 * len(some.texts)}
    assert {"the", "of"} < dull
    assert task.vocabulary.keys() == usual - dull
    assert list(task.vocabulary.values()) == list(range(1, len(task.vocabulary) + 1))
    by_id = [counts[word] for word in task.vocabulary]
    assert by_id == sorted(by_id, reverse=True)
    assert len(task.candidates) == 400
    assert set(task.candidates) <= task.vocabulary.keys()


def test_a_task_is_a_function_of_its_generator(some, task):
    again, other = (DefinitionTask.draw(some, np.random.default_rng(seed)) for seed in (0, 1))
    assert (again.test, again.vocabulary) == (task.test, task.vocabulary)
    assert other.test != task.test


def test_training_pairs_are_definitions_and_words_with_the_rest_of_theirs(task, some):
    pairs = task.training_pairs(np.random.default_rng(3))
    records = list(zip(lists(pairs.in0), lists(pairs.in1), strict=True))
    texts = [task.ids(some.texts[i]) for i in task.train]
    expected = [
        (term, text)
        for i, text in zip(task.train, texts, strict=True)
        for term in (task.ids(words(term)) for term in some.terms[i])
        if term and text
    ]
    assert records[: len(expected)] == expected
    own = records[len(expected) :]
    allowed = {(word, tuple(x for x in text if x != word)) for text in texts for word in set(text)}
    assert {(word, tuple(rest)) for (word,), rest in own} <= allowed
    several = [text for text in texts if len(set(text)) > 1]
    assert len(own) == sum(min(len(text), 3) for text in several)
    assert pairs.label.tolist() == [1.0] * len(records)


def test_every_word_of_a_definition_is_drawn_as_often():
    texts = Ragged.build([[1, 2, 3, 4, 5, 6]] * 4000)
    own, rest = _own_words(texts, np.random.default_rng(0))
    counts = np.bincount(own.values, minlength=7)[1:]
    assert len(own) == 12_000
    assert abs(counts - 2000).max() < 5 * np.sqrt(2000)
    assert {len(set(lists(own.slice(i, i + 3))[j][0] for j in range(3))) for i in (0, 3, 6)} == {3}
    assert lists(rest)[0] == [x for x in range(1, 7) if x != own.values[0]]


def test_held_out_pairs_have_as_many_wrong_partners_as_training(task, some):
    pairs = task.held_out_pairs(task.test)
    n, in0, in1 = len(task.test), lists(pairs.in0), lists(pairs.in1)
    heads = [[task.vocabulary[some.terms[i][0]]] for i in task.test]
    texts = [task.ids(some.texts[i]) for i in task.test]
    assert (in0, in1[:n]) == (heads * 4, texts)
    assert pairs.label.tolist() == [1.0] * n + [0.0] * (3 * n)
    for step in (1, 2, 3):
        wrong = in1[step * n : (step + 1) * n]
        assert wrong == texts[step:] + texts[:step]


def test_documents_hold_a_word_and_its_definitions_in_train(task, some):
    for word, document in zip(task.candidates, lists(task.documents), strict=True):
        expected = [task.vocabulary[word]]
        for i in task.train:
            if word in some.terms[i]:
                expected += task.ids(some.texts[i])
        assert document == expected
