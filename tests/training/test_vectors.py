"""Vectors of words that training begins with: found by the vocabulary's own reading of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from object2vec import ConfigError, DataError, Object2Vec
from object2vec.files.tensors import write_arrays
from object2vec.objects.vectors import open_vectors
from object2vec.reporting.events import RunStarted
from object2vec.training.vectors import without_components

WORDS = {
    "The": [1.0, 2.0, 3.0, 0.5],
    "the": [9.0, 9.0, 9.0, 0.5],  # the same token again: the first counts
    "cat": [4.0, 5.0, 6.0, 0.5],
    "dog": [-1.0, 0.5, 2.0, 0.5],
    "zebra": [7.0, 7.0, 7.0, 0.5],  # no token
    "new york": [3.0, 3.0, 3.0, 0.5],  # two tokens
    "sat": [0.0, 1.0, 0.0, 0.5],
}
TABLE = {
    "a": ["the cat sat", "The dog ran", "a cat ran"] * 8,
    "b": ["a dog sat", "the cat", "the the dog"] * 8,
    "score": [float(i % 7) for i in range(24)],
}
SETTINGS = {
    "in0": "a:text(min_count=1)",
    "in1": "b:text(min_count=1)",
    "label": "score",
    "share": ["a", "b"],
    "epochs": 1,
    "threads": 1,
    "device": "cpu",
    "mlp_dim": 4,
    "enc_dim": 4,
    "optimizer": "sgd",
    "learning_rate": 1e-6,
}


class Notes:
    """Hears what a run says of its beginning."""

    def __init__(self, texts: list) -> None:
        self.texts = texts

    def __call__(self, event) -> None:
        if isinstance(event, RunStarted):
            self.texts += [note.text for note in event.notes]

    def close(self) -> None:
        """Nothing to close."""


def text_of(words: dict, header: bool = False) -> str:
    lines = [f"{word} {' '.join(map(str, numbers))}" for word, numbers in words.items()]
    return "\n".join([f"{len(words)} 4"] * header + lines) + "\n"


@pytest.fixture
def glove(tmp_path) -> Path:
    path = tmp_path / "glove.txt"
    path.write_text(text_of(WORDS))
    return path


def fitted(vectors, notes: list | None = None, table=TABLE, **given) -> Object2Vec:
    heard = Notes([] if notes is None else notes)
    return Object2Vec(**{**SETTINGS, **given}, vectors=vectors).fit(table, reporters=[heard])


def rows(model: Object2Vec) -> dict:
    table = model.artifact.network.table(0).weight.numpy()
    return {e.token: table[e.row] for _, e in model.schema.entries(0) if e.token}


def test_tokens_begin_with_the_vectors_of_their_words(glove):
    notes: list = []
    found = rows(fitted(glove, notes))
    for token, word in {"the": "The", "cat": "cat", "dog": "dog", "sat": "sat"}.items():
        np.testing.assert_allclose(found[token], WORDS[word], atol=1e-3)
    assert np.abs(found["ran"]).max() < 2  # random
    np.testing.assert_array_equal(found["zebra"], np.float32(WORDS["zebra"]))
    # zebra is one more token; of 136 words those without a vector are ran (16 times) and a (16)
    text = "in0: 5 of 7 tokens have a vector in glove.txt, 76.5 % of their occurrences"
    assert any(text in note and "trained further" in note for note in notes), notes


@pytest.mark.parametrize("form", ["gzip", "word2vec", "tokenizer.json", "vocab.txt"])
def test_other_files_hold_the_same_vectors(glove, form, tmp_path):
    other = tmp_path / "other"
    if form == "gzip":
        other.write_bytes(gzip.compress(glove.read_bytes()))
    elif form == "word2vec":
        other.write_text(text_of(WORDS, header=True))
    else:
        other = tmp_path / "model.safetensors"
        write_arrays(other, {"embeddings": np.array(list(WORDS.values()), np.float32)})
        vocabulary = {word: row for row, word in enumerate(WORDS)}
        beside = {"model": {"vocab": vocabulary}} if form == "tokenizer.json" else None
        (tmp_path / form).write_text(json.dumps(beside) if beside else "\n".join(WORDS))
    one, two = rows(fitted(glove)), rows(fitted(other))
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[token], two[token]) for token in one)


def test_each_side_has_its_own_table_where_none_is_shared(glove):
    notes: list = []
    model = fitted(glove, notes, share=(), enc1_freeze_pretrained_embedding=True)
    found = model.artifact.network.table(1).weight.numpy()
    for _, entry in model.schema.entries(1):
        if entry.token in ("cat", "dog"):
            np.testing.assert_array_equal(found[entry.row], np.float32(WORDS[entry.token]))
    assert any(note.startswith("in1: 5 of 6") and "frozen" in note for note in notes), notes


def test_names_that_are_frozen_are_warned_of(glove):
    notes: list = []
    table = {"a": TABLE["a"], "pet": ["cat", "dog", "newt"] * 8}
    given = {"table": table, "in1": "pet", "label": None, "share": ()}
    text = "in1 holds no text, and its table is frozen: nothing is learned of its tokens. Set "
    fitted(glove, notes, enc0_freeze_pretrained_embedding=True, **given)
    assert f"{text}enc1_freeze_pretrained_embedding=false if that is not meant." in notes
    notes.clear()
    free = {"enc1_freeze_pretrained_embedding": False}
    fitted(glove, notes, enc0_freeze_pretrained_embedding=True, **free, **given)
    assert not [note for note in notes if note.startswith(text)]


def test_tables_follow_the_width_of_the_vectors_or_are_wider(glove):
    without = {name: value for name, value in SETTINGS.items() if name != "enc_dim"}
    wide = Object2Vec(**without, enc0_network="hcnn", enc0_token_embedding_dim=5, vectors=glove)
    assert wide.fit(TABLE).config.encoders[0].token_embedding_dim == 5
    np.testing.assert_allclose(rows(wide)["cat"][:4], WORDS["cat"], atol=1e-3)
    with pytest.raises(
        ConfigError, match=r"enc0_token_embedding_dim and .* must leave room .* got 3"
    ):
        wide.set_params(enc0_token_embedding_dim=3).fit(TABLE)


def test_a_preset_that_is_too_narrow_is_widened(tmp_path):
    path = tmp_path / "wide.txt"
    path.write_text("cat " + " ".join(["0.5"] * 400) + "\n")
    without = {name: value for name, value in SETTINGS.items() if name != "enc_dim"}
    assert Object2Vec(**without, vectors=path).fit(TABLE).config.enc_dim == 400


def test_frozen_vectors_stay(glove):
    model = fitted(glove, enc0_freeze_pretrained_embedding=True, learning_rate=0.5)
    found = rows(model)
    assert np.array_equal(found["cat"], np.float32(WORDS["cat"]))
    moved = rows(fitted(glove, learning_rate=0.5))
    assert not np.array_equal(moved["cat"], found["cat"])


def test_tokens_of_frozen_vectors_count_as_often_as_they_are_seen_and_no_weight_is_learned(glove):
    frozen = {"enc0_freeze_pretrained_embedding": True, "learning_rate": 0.5}
    found = rows(fitted(glove, enc0_idf_exponent=1.0, **frozen))
    sizes = {token: found[token] / np.float32(WORDS[token]) for token in ("cat", "dog", "zebra")}
    for size in sizes.values():
        np.testing.assert_allclose(size, size[0], rtol=1e-5)
    assert sizes["cat"][0] < sizes["zebra"][0]
    still = rows(fitted(glove, enc0_idf_exponent=1.0, **frozen | {"learning_rate": 1e-6}))
    assert np.array_equal(still["cat"], found["cat"])


def test_removed_components_are_those_of_the_vectors_found(glove):
    found = rows(fitted(glove, remove_components=1))
    vectors = np.array([WORDS[word] for word in ("The", "cat", "dog", "sat", "zebra")])
    centred = vectors - vectors.mean(0)
    first = np.linalg.svd(centred)[2][0]
    expected = centred - np.outer(centred @ first, first)
    for token, row in zip(("the", "cat", "dog", "sat", "zebra"), expected, strict=True):
        np.testing.assert_allclose(found[token], row, atol=1e-3)


def test_vectors_have_length_1_where_random_ones_have(glove):
    found = rows(fitted(glove, token_init="unit", enc_dim=8))
    vectors = np.array([found[token][:4] for token in ("the", "cat", "dog", "sat", "zebra")])
    assert np.square(vectors).mean() == pytest.approx(1 / 8, rel=1e-3)
    assert vectors[1, 1] / vectors[1, 0] == pytest.approx(5 / 4, rel=1e-3)


def test_without_components_nothing_of_them_is_left():
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(50, 4)).astype(np.float32) * [10, 5, 1, 1] + 3
    left = without_components(vectors.astype(np.float32), 2)
    np.testing.assert_allclose(left.mean(0), 0, atol=1e-5)
    assert np.linalg.matrix_rank(left, tol=1e-3) == 2


def test_a_text_knows_words_of_the_file_that_training_does_not_hold(glove, tmp_path):
    table = TABLE | {"kind": ["cat", "dog", "other"] * 8}
    model = fitted(glove, in0=["a:text(min_count=1)", "kind:token"], table=table)
    zebra = model.encode(in0={"a": ["zebra"], "kind": [None]})
    assert not np.array_equal(zebra, model.encode(in0={"a": ["unheard"], "kind": [None]}))
    tokens = [entry.token for column, entry in model.schema.entries(0) if column == "kind"]
    assert "zebra" not in tokens  # names of kinds are no words of a text
    model.save(tmp_path / "model")
    loaded = Object2Vec.load(tmp_path / "model")
    assert np.array_equal(loaded.encode(in0={"a": ["zebra"], "kind": [None]}), zebra)
    before = rows_of(model)
    later = Object2Vec(epochs=1).fit(table | {"a": ["zebra wolf"] * 24}, start_from=model)
    assert before.items() <= rows_of(later).items()
    assert "wolf" in rows_of(later)
    limited = fitted(
        glove, in0="a:text(min_count=1, max_size=6)", in1="b:text(min_count=1)", share=()
    )
    assert "zebra" not in rows(limited)


def rows_of(model: Object2Vec) -> dict:
    return {entry.token: entry.row for _, entry in model.schema.entries(0) if entry.token}


def test_a_token_that_no_word_is_is_said(glove):
    notes: list = []
    kinds = {"in0": "a:token", "in1": "b:token", "share": ()}
    fitted(glove, notes, table=TABLE | {"a": ["x", "y"] * 12, "b": ["y", "z"] * 12}, **kinds)
    assert any("in0: 0 of 2 tokens" in note for note in notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "must hold vectors; got 'nothing'"),
        ("word\n", "must be a word and its numbers on each line"),
        ("cat 1 2 3\ndog 1 2\n", "must be a word and 3 numbers"),
        ("cat 1 2 x\n", "must have 3 finite numbers"),
    ],
)
def test_what_is_no_file_of_vectors_is_rejected(content, message, tmp_path):
    path = tmp_path / "bad.txt"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        fitted(path)


def test_tensors_without_words_or_with_two_matrices_are_rejected(tmp_path):
    path = tmp_path / "model.safetensors"
    matrix = np.zeros((2, 3), np.float32)
    write_arrays(path, {"a": matrix})
    with pytest.raises(DataError, match=r"must have tokenizer.json or vocab.txt beside it"):
        open_vectors(path)
    write_arrays(path, {"a": matrix, "b": matrix})
    with pytest.raises(DataError, match="must hold one matrix of vectors; got '2: a, b'"):
        open_vectors(path)


def test_vectors_go_with_a_new_model_of_columns(glove):
    with pytest.raises(ConfigError, match="vectors: goes with the columns of a table"):
        Object2Vec(vectors=glove, enc0_max_seq_len=1, enc0_vocab_size=5).fit([])
    start = fitted(glove)
    with pytest.raises(ConfigError, match="vectors: must not be given with a model to start from"):
        Object2Vec(vectors=glove).fit(TABLE, start_from=start)
