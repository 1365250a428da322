from __future__ import annotations

import re
from collections import Counter
from importlib.resources import files

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.feature_extraction.text import TfidfVectorizer

from object2vec.errors import StorageError
from object2vec.examples import demo
from object2vec.examples.demo import Task, WordNet, words
from object2vec.model import Object2Vec


@pytest.fixture(scope="module")
def wordnet():
    return demo.read_wordnet()


@pytest.fixture(scope="module")
def some(wordnet):
    """A twentieth of the definitions, neighbours."""
    return WordNet(wordnet.terms[-6000:], wordnet.texts[-6000:])


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(demo, "_CANDIDATES", 400)
    monkeypatch.setattr(demo, "_HELD_OUT", 60)


@pytest.fixture
def task(some, small):
    return Task.draw(some, np.random.default_rng(0))


@pytest.fixture
def quick(monkeypatch, some, small):
    """A demo of a second: less data and a narrow model."""
    monkeypatch.setattr(demo, "read_wordnet", lambda: some)
    narrow = {
        name: 8 for name in ("enc_dim", "enc0_token_embedding_dim", "enc1_token_embedding_dim")
    }
    monkeypatch.setattr(demo, "HYPERPARAMETERS", demo.HYPERPARAMETERS | narrow | {"epochs": 1})


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
    again, other = (Task.draw(some, np.random.default_rng(seed)) for seed in (0, 1))
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
    texts = demo.Ragged.build([[1, 2, 3, 4, 5, 6]] * 4000)
    own, rest = demo._own_words(texts, np.random.default_rng(0))
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


def test_tfidf_ranks_are_those_of_scikit_learn(task):
    def tokens(column):
        return [" ".join(map(str, row)) for row in lists(column)]

    vectorizer = TfidfVectorizer(sublinear_tf=True, smooth_idf=False, token_pattern=r"\d+")
    documents = vectorizer.fit_transform(tokens(task.documents))
    # A word of no document lengthens the query alone, which changes no order.
    scores = (vectorizer.transform(tokens(task.queries(task.test))) @ documents.T).toarray()
    places = np.stack([rankdata(-row) for row in scores.round(9)])
    target = task.targets(task.test)
    expected = np.ceil(places[np.arange(len(target)), target])
    assert demo.tfidf_ranks(task, task.test).tolist() == expected.tolist()
    assert len(set(expected)) > 12


@pytest.mark.usefixtures("quick")
def test_the_demo_prints_what_it_measured_and_leaves_a_model_with_names(tmp_path, capsys, task):
    demo.run(tmp_path / "model", log_format="plain")
    out, err = capsys.readouterr()
    assert "epoch 1/1: train" in err
    assert max(len(line) for line in out.split("\n") if str(tmp_path) not in line) <= 80
    number = r" +[\d.,]+%?"
    for name, columns in [
        ("always the same answer", 2),
        ("object2vec, validation", 2),
        ("object2vec, test", 2),
        ("chance", 5),
        ("TF-IDF, word and its definitions", 5),
        ("object2vec, the word alone", 5),
        ("object2vec, word and definitions", 5),
    ]:
        assert re.search(rf"^  {name}({number}){{{columns}}}$", out, re.MULTILINE), name
    assert re.search(r"^  chance +0\.2%   2\.5%  25\.0%        200     200$", out, re.MULTILINE)
    assert re.search(r"^  always the same answer +75\.0% +0\.562$", out, re.MULTILINE)
    assert re.search(r"^  a large animal with a trunk +\w+, \w+", out, re.MULTILINE)
    model = Object2Vec.load(tmp_path / "model")
    assert model.vocabularies == (task.vocabulary, task.vocabulary)
    metrics = model.evaluate(task.held_out_pairs(task.test))
    assert f"{metrics['accuracy']:10.1%}{metrics['cross_entropy']:15.3f}" in out
    assert f"object2vec info {tmp_path / 'model'}\n" in out


@pytest.mark.usefixtures("quick")
def test_without_a_folder_the_model_lies_in_a_temporary_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    demo.run(log_format="json")
    place = re.search(r"^The model lies in (.*)\. Try:$", capsys.readouterr().out, re.MULTILINE)[1]
    assert place.startswith(f"{tmp_path}/object2vec-demo-")
    assert Object2Vec.load(place).config.enc_dim == 8


@pytest.mark.usefixtures("quick")
def test_what_stands_in_the_folder_is_replaced_only_if_told_to(tmp_path, capsys):
    with pytest.raises(StorageError, match=r"must not exist yet; got 'a file or folder'\. Choose"):
        demo.run(tmp_path)
    assert capsys.readouterr() == ("", "")
    demo.run(tmp_path, overwrite=True, log_format="json")
    assert (tmp_path / "config.json").exists()


@pytest.mark.slow
def test_the_demo_finds_words_better_than_tfidf(wordnet):
    task = Task.draw(wordnet, np.random.default_rng(0))
    model = demo.learn(task, "plain")
    query, target = model.encode(in1=task.queries(task.test)), task.targets(task.test)
    ours = demo.ranks(query, demo.known_vectors(model, task), target)
    theirs = demo.tfidf_ranks(task, task.test)
    assert np.mean(ours) < np.mean(theirs) / 2
    assert np.mean(ours <= 10) > np.mean(theirs <= 10)
    assert model.facts.metrics["test"]["accuracy"] > 0.8
