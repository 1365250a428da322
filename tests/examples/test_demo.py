from __future__ import annotations

import re

import numpy as np
import pytest

from object2vec.errors import StorageError
from object2vec.examples import demo
from object2vec.examples.tfidf import tfidf_ranks
from object2vec.examples.wordnet import DefinitionTask
from object2vec.model import Object2Vec


@pytest.fixture
def quick(monkeypatch, some, small):
    """A demo of a second: less data and a narrow model."""
    monkeypatch.setattr(demo, "read_wordnet", lambda: some)
    narrow = {
        name: 8 for name in ("enc_dim", "enc0_token_embedding_dim", "enc1_token_embedding_dim")
    }
    monkeypatch.setattr(demo, "HYPERPARAMETERS", demo.HYPERPARAMETERS | narrow | {"epochs": 1})


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
    found = re.search(r"^The model lies in (.*)\. Try:$", capsys.readouterr().out, re.MULTILINE)[1]
    assert found.startswith(f"{tmp_path}/object2vec-demo-")
    assert Object2Vec.load(found).config.enc_dim == 8


@pytest.mark.usefixtures("quick")
def test_what_stands_in_the_folder_is_replaced_only_if_told_to(tmp_path, capsys):
    with pytest.raises(StorageError, match=r"must not exist yet; got 'a folder'\. Choose"):
        demo.run(tmp_path)
    assert capsys.readouterr() == ("", "")
    demo.run(tmp_path, overwrite=True, log_format="json")
    assert (tmp_path / "config.json").exists()


@pytest.mark.slow
def test_the_demo_finds_words_better_than_tfidf(wordnet):
    task = DefinitionTask.draw(wordnet, np.random.default_rng(0))
    model = demo.learn(task, "plain")
    query, target = model.encode(in1=task.queries(task.test)), task.targets(task.test)
    ours = demo.ranks(query, demo.known_vectors(model, task), target)
    theirs = tfidf_ranks(task.documents, task.queries(task.test), target, task.vocab_size)
    assert np.mean(ours) < np.mean(theirs) / 2
    assert np.mean(ours <= 10) > np.mean(theirs <= 10)
    assert model.facts.metrics["test"]["accuracy"] > 0.8
