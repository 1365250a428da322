from __future__ import annotations

import re
import shlex

import numpy as np
import pytest

from object2vec.cli import main as command_line
from object2vec.errors import StorageError
from object2vec.examples import demo
from object2vec.examples.tfidf import tfidf_ranks
from object2vec.examples.wordnet import DefinitionTask
from object2vec.model import Object2Vec
from support.console import give_stdin


@pytest.fixture
def quick(monkeypatch, some, small):
    """A demo of a second: less data and a narrow model."""
    monkeypatch.setattr(demo, "read_wordnet", lambda: some)
    monkeypatch.setattr(demo, "OVERRIDES", demo.OVERRIDES | {"enc_dim": 8, "epochs": 1})


@pytest.mark.usefixtures("quick")
def test_the_demo_prints_what_it_measured_and_leaves_a_model_with_names(tmp_path, capsys, task):
    demo.run(tmp_path / "model", log_format="plain")
    out, err = capsys.readouterr()
    assert "epoch 1/1: train" in err
    assert max(len(line) for line in out.split("\n") if str(tmp_path) not in line) <= 80
    number = r" +[\d.,]+%?"
    for name in [
        "chance",
        "TF-IDF, word and its definitions",
        "object2vec, the word alone",
        "object2vec, word and definitions",
    ]:
        assert re.search(rf"^  {name}({number}){{5}}$", out, re.MULTILINE), name
    assert re.search(r"^  chance +0\.2%   2\.5%  25\.0%        200     200$", out, re.MULTILINE)
    assert re.search(r"^  a large animal with a trunk +\w+, \w+", out, re.MULTILINE)
    model = Object2Vec.load(tmp_path / "model")
    queries = model.encode(in1=task.held_out_table(task.test)["definition"])
    found = demo.ranks(queries, model.encode(in0=task.candidates), task.targets(task.test))
    alone = re.search(r"^  object2vec, the word alone .*$", out, re.MULTILINE)[0]
    assert alone.endswith(f"{np.mean(found):11,.0f}{np.median(found):8,.0f}")


@pytest.mark.usefixtures("quick")
def test_what_the_demo_says_to_try_works(tmp_path, capsys, monkeypatch):
    demo.run(tmp_path / "model", log_format="json")
    info, near, encode = capsys.readouterr().out.partition("Try:\n")[2].strip().split("\n")
    said, _, encode = encode.partition(" | ")
    give_stdin(monkeypatch, said.strip().removeprefix("echo ").encode() + b"\n")
    for command, shown in [(info, "ranking"), (near, "  0."), (encode, "[")]:
        assert command_line(shlex.split(command)[1:]) == 0
        assert shown in capsys.readouterr().out


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
    asked, target = task.held_out_table(task.test)["definition"], task.targets(task.test)
    ours = demo.ranks(model.encode(in1=asked), demo.known_vectors(model, task), target)
    documents, queries = (list(map(task.telling_words, x)) for x in (task.documents, asked))
    theirs = tfidf_ranks(documents, queries, target)
    assert np.mean(ours) < np.mean(theirs) / 2
    assert np.mean(ours <= 10) > np.mean(theirs <= 10) + 0.03


def test_vectors_of_length_one_and_none_for_none():
    found = demo._unit(np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -0.5]], np.float32))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [0, -1]], rtol=1e-6)
