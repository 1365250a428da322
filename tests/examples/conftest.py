"""WordNet, a part of it, and the task that it makes."""

import numpy as np
import pytest

from object2vec.examples import wordnet as wordnet_module
from object2vec.examples.wordnet import DefinitionTask, WordNet, read_wordnet


@pytest.fixture(scope="session")
def wordnet():
    return read_wordnet()


@pytest.fixture(scope="session")
def some(wordnet):
    """A twentieth of the definitions, neighbours."""
    return WordNet(wordnet.terms[-6000:], wordnet.texts[-6000:])


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(wordnet_module, "_CANDIDATES", 400)
    monkeypatch.setattr(wordnet_module, "_HELD_OUT", 60)


@pytest.fixture
def task(some, small):
    return DefinitionTask.draw(some, np.random.default_rng(0))
