"""Words of a text: near ones are alike, and a run goes on to the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch

from object2vec import Object2Vec
from object2vec.errors import Interrupted
from object2vec.training.stop import StopRequest

KINDS = [["red", "green", "blue", "black"], ["one", "two", "three", "four"]]
SETTINGS = {"enc_dim": 8, "learning_rate": 0.1, "mini_batch_size": 300, "epochs": 4, "threads": 1}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Sentences of colours or of numbers, between words that go with both."""
    draw, lines = np.random.default_rng(0), []
    for _ in range(600):
        words = draw.choice(KINDS[draw.integers(2)], 6)
        lines.append(" ".join(f"{word} and" if draw.random() < 0.3 else word for word in words))
    path = tmp_path_factory.mktemp("words") / "corpus.txt"
    path.write_text("\n".join(lines))
    return path


def weights(model) -> bytes:
    return safetensors.torch.save(model.artifact.network.state_dict())


@pytest.mark.parametrize("given", [{}, {"kernel": "reference"}, {"shared_negatives": 0}])
def test_words_with_the_same_neighbours_are_alike(corpus, given):
    model = Object2Vec(preset="words", pairs="windows(sample=0)", **SETTINGS, **given).fit(corpus)
    vectors = model.encode(in0=KINDS[0] + KINDS[1])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1)
    assert ((likeness.argmax(1) < 4) == (np.arange(8) < 4)).all()
    assert likeness[:4, :4].mean() > likeness[:4, 4:].mean() + 0.3
    assert model.encode(in0=["red blue"]) == pytest.approx(
        model.encode(in0=["red", "blue"]).mean(0, keepdims=True), abs=1e-6
    )
    network = model.artifact.network
    assert len(network.tables()) == 2
    assert not model.config.tied_token_embedding_weight


@pytest.mark.parametrize("shared", [32, 0])
def test_what_blocks_of_text_have_no_use_for_is_warned_of(shared):
    events: list = []
    text = ["red green blue red", "one two three one"] * 9
    given = {"dropout": 0.1, "token_dropout": 0.1, "random_negative_sampling_rate": 1}
    model = Object2Vec(
        in0="text:text",
        weight="n",
        preset="words",
        shared_negatives=shared,
        pairs="windows(sample=0)",
        **{**SETTINGS, "epochs": 1},
        **given,
    )
    model.fit({"text": text, "n": range(1, 19)}, reporters=[Collect(events)])
    notes = [n.text for e in events for n in getattr(e, "notes", ()) if "Set shared_neg" in n.text]
    assert [note.split()[0] for note in notes] == ([*given, "weight"] if shared else [])


@pytest.mark.parametrize("negatives", [5, 0])
def test_noise_of_blocks_that_are_not_there_is_warned_of(negatives):
    events: list = []
    films = {"user": ["ann", "bob", "cid"] * 9, "film": ["Up", "Big", "Rio"] * 9}
    given = {**SETTINGS, "epochs": 1, "output_layer": "dot_product", "shared_negatives": negatives}
    Object2Vec(in0="user", in1="film", **given).fit(films, reporters=[Collect(events)])
    warned = [event.text for event in events if type(event).__name__ == "Warned"]
    text = "shared_negatives is ignored: dot_product has them with pairs=windows alone."
    assert warned == ([text] if negatives else [])


def test_the_loss_falls_and_counts_pairs(corpus):
    events = []
    Object2Vec(preset="words", pairs="windows(sample=0)", **SETTINGS).fit(
        corpus, reporters=[Collect(events)]
    )
    epochs = [event for event in events if type(event).__name__ == "EpochDone"]
    losses = [epoch.train["binary_classification_cross_entropy"] for epoch in epochs]
    assert losses[-1] < losses[0] < 0.45
    assert epochs[0].records > 600 * 6 * 3


class Collect:
    def __init__(self, events):
        self.events = events

    def __call__(self, event):
        self.events.append(event)

    def close(self):
        pass


@pytest.mark.parametrize("kernel", ["compiled", "reference"])
def test_a_stopped_run_goes_on_to_the_same_bytes(corpus, tmp_path, kernel):
    whole = Object2Vec(preset="words", pairs="windows(sample=0)", **SETTINGS, kernel=kernel).fit(
        corpus
    )
    stop, events = StopRequest(), []

    class Stopping(Collect):
        def __call__(self, event):
            if type(event).__name__ == "CheckpointWritten":
                stop.signal_number = 15

    model = Object2Vec(preset="words", pairs="windows(sample=0)", **SETTINGS, kernel=kernel)
    folder = tmp_path / "checkpoints"
    with pytest.raises(Interrupted):
        model.fit(
            corpus, checkpoints=folder, checkpoint_every=3, stop=stop, reporters=[Stopping(events)]
        )
    resumed = Object2Vec(preset="words", pairs="windows(sample=0)", **SETTINGS, kernel=kernel)
    resumed.fit(corpus, checkpoints=folder, resume=True)
    assert weights(resumed) == weights(whole)


def test_threads_change_nothing(corpus):
    settings = SETTINGS | {"epochs": 1}
    one = Object2Vec(preset="words", pairs="windows(sample=0)", **settings).fit(corpus)
    two = Object2Vec(preset="words", pairs="windows(sample=0)", **settings | {"threads": 2}).fit(
        corpus
    )
    assert weights(one) == weights(two)
