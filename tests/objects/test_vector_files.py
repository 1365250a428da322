"""Files of vectors, by themselves: widths, words, and what is said where they are wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

from object2vec.errors import DataError
from object2vec.files.tensors import write_arrays
from object2vec.objects.vectors import open_vectors


@pytest.mark.parametrize(
    ("text", "width", "words"),
    [
        ("cat 1 2\ndog 3 4\n", 2, ["cat", "dog"]),
        ("2 2\ncat 1 2\ndog 3 4\n", 2, ["cat", "dog"]),
        ("cat 1 2\ncat 3 4\n", 2, ["cat", "cat"]),
        ("cat 1 2\nnew york 3 4", 2, ["cat", "new york"]),
        ("7 1 2\n8 3 4\n", 2, ["7", "8"]),
    ],
)
def test_words_of_a_text(tmp_path, text, width, words):
    path = tmp_path / "vectors.txt"
    path.write_text(text)
    file = open_vectors(path)
    assert (file.width, file.words()) == (width, words)
    first = [words.index(word) for word in dict.fromkeys(words)]
    found = file.vectors([*dict.fromkeys(words)])
    assert found.tolist() == [[[1, 2], [3, 4]][row] for row in first]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat 1\n", "vectors.txt:1: must be a word and its numbers on each line; got"),
        ("cat\n", "vectors.txt:1: must be a word and its numbers on each line; got"),
        ("\n", "vectors.txt:1: must be a word and its numbers on each line; got"),
    ],
)
def test_a_line_without_numbers(tmp_path, text, message):
    path = tmp_path / "vectors.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        open_vectors(path)


MATRIX = np.array([[1, 2], [3, 4], [5, 6]], np.float64)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.safetensors"
    arrays = {"embeddings": MATRIX, "mean": MATRIX[0], "ids": np.zeros((2, 2), np.int64)}
    write_arrays(path, arrays)
    return path


def test_rows_of_a_matrix_have_the_words_beside_it(model, tmp_path):
    words = {"dog": 2, "cat": 0, "far": 3, "odd": "1", "yes": True, "bad": -1}
    (tmp_path / "vocab.txt").write_text("not these\n")
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": words}}))
    file = open_vectors(model)
    assert (file.width, file.words()) == (2, ["cat", "dog"])
    found = file.vectors(["dog", "cat"])
    assert (found.dtype, found.tolist()) == (np.float32, [[5, 6], [1, 2]])


def test_of_a_word_that_is_there_twice_the_first_row_counts(model, tmp_path):
    (tmp_path / "vocab.txt").write_text("cat\ndog\ncat\nfar\n")
    file = open_vectors(str(model))
    assert file.words() == ["cat", "dog"]
    assert file.vectors(["cat"]).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("content", "got"),
    [("{", "Expect"), ("{}", "'model'"), ('{"model": []}', "list"), ("[]", "list")],
)
def test_a_tokenizer_without_words(model, tmp_path, content, got):
    (tmp_path / "tokenizer.json").write_text(content)
    must = r'tokenizer.json: must hold the words of "model" as {word: row}; got .*'
    with pytest.raises(DataError, match=f"{must}{got}.* Write vocab.txt instead.$"):
        open_vectors(model)


def test_no_row_has_a_word(model, tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"cat": 3}}}')
    with pytest.raises(
        DataError, match=r"model.safetensors: must have tokenizer.json or vocab.txt"
    ):
        open_vectors(model)


def test_tensors_lie_on_this_machine():
    must = "^s3://bucket/model.safetensors: must be a file of this machine; got 'a URL'. Download"
    with pytest.raises(DataError, match=must):
        open_vectors("s3://bucket/model.safetensors")
