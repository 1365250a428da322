from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from object2vec.errors import DataError
from object2vec.files.contents import Block, read_blocks
from object2vec.objects import vocabulary as module
from object2vec.objects.vocabulary import read_vectors, read_vocabulary

VOCABULARY = {"the": 1, "of": 3, "at name@domain.com": 2, "unseen": 0}
GLOVE = b"of 0.5 -1e-3\nthe 1 2\nat name@domain.com 3 4.25\nother x y\nthe 9 9\n"
EXPECTED = {1: [1.0, 2.0], 2: [3.0, 4.25], 3: [0.5, np.float32(-0.001)]}


def vectors_of(path, text, vocabulary=VOCABULARY, dim=2):
    path.write_bytes(text)
    found = read_vectors(path, vocabulary, dim)
    assert found.rows.dtype == np.int64
    assert found.vectors.dtype == np.float32
    assert found.vectors.shape == (len(found.rows), dim)
    return dict(zip(found.rows.tolist(), found.vectors.tolist(), strict=True)), found


# --- the vocabulary file


def test_a_vocabulary_file_is_an_object_of_ids(tmp_path):
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({"!": 0, "héllo": 2, "": 1}))
    assert read_vocabulary(path) == {"!": 0, "héllo": 2, "": 1}
    path.write_bytes(gzip.compress(b"\xef\xbb\xbf{}"))
    assert read_vocabulary(str(path)) == {}


AN_ID = r"must have an integer id in \[0, 2147483647\]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", r'must be a JSON object; got \[\]. Write one object, {"the": 1, "of": 2}.$'),
        ('{"a": 1', r"must be a JSON object \(Expecting ',' delimiter: line 1 .*; got b'{"),
        ("", r"must be a JSON object \(Expecting value: line 1"),
        ("[" * 100_000, r"must be a JSON object \(.*the nesting too deep"),
        ('{"a": 1.0}', rf"token 'a': {AN_ID}; got 1.0. Fix the id.$"),
        ('{"a": "1"}', rf"token 'a': {AN_ID}; got '1'. Fix the id.$"),
        ('{"a": true}', rf"token 'a': {AN_ID}; got True. Fix the id.$"),
        ('{"a": null}', rf"token 'a': {AN_ID}; got None. Fix the id.$"),
        ('{"a": -1}', rf"token 'a': {AN_ID}; got -1. Fix the id.$"),
        ('{"a": 2147483648}', rf"token 'a': {AN_ID}; got 2147483648. Fix the id.$"),
        ('{"a": 1, "a": 2}', r"token 'a': must be there once; got 'it twice'. Remove one"),
        ('{"a": 1, "b": 1}', r"token 'b': must have an id of its own, not that of 'a'; got 1."),
    ],
)
def test_a_wrong_vocabulary_is_named(tmp_path, text, message):
    (tmp_path / "vocab.json").write_text(text)
    with pytest.raises(DataError, match="^.*vocab.json: " + message):
        read_vocabulary(tmp_path / "vocab.json")


def test_twenty_problems_of_a_vocabulary_are_listed(tmp_path):
    path = tmp_path / "vocab.json"
    path.write_text(json.dumps({str(i): -i for i in range(1, 30)}))
    with pytest.raises(DataError, match=r"^the first 20 problems:") as caught:
        read_vocabulary(path)
    assert str(caught.value).count("\n") == 20


def test_a_vocabulary_is_one_file(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text("{}")
    with pytest.raises(DataError, match=r": must be one file; got '2 of them'. Write one object"):
        read_vocabulary(tmp_path)


# --- vectors


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.parametrize(
    "text",
    [
        GLOVE,
        b"5 2\n" + GLOVE,
        GLOVE.rstrip(),
        GLOVE.replace(b"\n", b"\r\n"),
        GLOVE.replace(b"\n", b" \n"),
        b"5 2 \n" + GLOVE.replace(b"\n", b"\n\n"),
        GLOVE.replace(b"\n", b" \t \r\n"),
        GLOVE.replace(b" ", b"\t").replace(b"at\t", b"at "),
        b"5  2\n" + GLOVE.replace(b" ", b"  ").replace(b"at  ", b"at "),
        GLOVE.replace(b" ", b" \t ").replace(b"at \t ", b"at "),
        b"of  0.5 -1e-3\nthe\t1 2\n at name@domain.com 3   4.25\nother x y\n the 9 9\n",
    ],
    ids=[
        "glove",
        "word2vec",
        "no end",
        "windows",
        "trailing blank",
        "blank lines",
        "trailing",
        "tabs",
        "double blanks",
        "both",
        "mixed",
    ],
)
def test_vectors_of_wanted_words_are_found(tmp_path, text, pack):
    vectors, found = vectors_of(tmp_path / "v", pack(text))
    assert vectors == EXPECTED
    assert found.rows.tolist() == sorted(EXPECTED)
    assert found.missing == ["unseen"]
    assert (found.odd_lines > 0) == (b"\t" in text.replace(b" \t \r", b"") or b"  " in text)


def test_a_word_may_be_a_number_or_no_text_at_all(tmp_path):
    vocabulary = {"2": 0, "\ud800": 1, "a\xa0b": 2}
    text = "2 1 1\na\xa0b 2 2\n".encode()
    vectors, found = vectors_of(tmp_path / "v", text, vocabulary)
    assert vectors == {0: [1.0, 1.0], 2: [2.0, 2.0]}
    assert found.missing == ["\ud800"]


def test_vectors_of_one_number_have_no_header(tmp_path):
    assert vectors_of(tmp_path / "v", b"2 1\nof 5\n", {"2": 0, "of": 1}, 1)[0] == {0: [1], 1: [5]}


def test_no_word_may_be_found(tmp_path):
    vectors, found = vectors_of(tmp_path / "v", b"", {"a": 1})
    assert (vectors, found.missing) == ({}, ["a"])
    assert vectors_of(tmp_path / "v", b"b 1 2\n", {})[0] == {}


words = st.text(st.characters(exclude_characters=" \r\n", codec="utf-8"), max_size=4)
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(
    st.lists(
        st.tuples(st.lists(words, min_size=1, max_size=2).map(" ".join), numbers, numbers, numbers),
        max_size=8,
    ),
    st.integers(1, 60),
)
def test_blocks_change_nothing(lines, block_bytes):
    lines = [("first", 0.0, 0.5, 1.0), *lines]
    text = "".join(f"{word} {a!r} {b!r} {c!r}\n" for word, a, b, c in lines).encode()
    expected = {}
    for word, *vector in lines:
        expected.setdefault(word, vector)
    vocabulary = {word: row for row, word in enumerate(expected)}
    reader = module.VectorReader(vocabulary, 3)
    at, line = 0, 1
    while at < len(text):
        end = text.find(b"\n", min(at + block_bytes, len(text) - 1)) + 1
        reader.read("v", Block(text[at:end], line))
        line += text.count(b"\n", at, end)
        at = end
    assert not reader.problems
    found = dict(zip(reader.rows, np.concatenate(reader.vectors).tolist(), strict=True))
    assert found == {vocabulary[word]: vector for word, vector in expected.items()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a 1 2 3\n", r"v:1: must have 2 numbers; got 3. Use another file, or set dim to 3\.$"),
        (b"9 300\n" + GLOVE, r"v:1: must have 2 numbers; got 300. .* or set dim to 300"),
        (b"x 1 2\n\nof 1\n", r"v:3: must be a word and 2 numbers; got 'of 1'. Complete or"),
        (
            b"x 1 2\nx\nof 1 one\n",
            r"^2 problems:\n  .*v:2: must be a word and 2 numbers; got 'x'.*"
            r"\n  .*v:3: must have 2 finite numbers; got 'one'. Correct or remove the line.$",
        ),
        (b"x 1 2\nof 1 nan\n", r"v:2: must have 2 finite numbers; got 'nan'. Correct"),
        (
            b"the 1 2\nof 1 nan\nunseen 3 4\n",
            r"^[^\n]*v:2: must have 2 finite numbers; got 'nan'. Correct or remove the line\.$",
        ),
        (b"x 1 2\nof 1e39 0\n", r"v:2: must have 2 finite numbers; got '1e39'. Correct"),
        (b"x 1 2\nof  1\n", r"v:2: must be a word and 2 numbers; got 'of  1'. Complete or"),
        (b"x 1 2\nof\t1\n", r"v:2: must be a word and 2 numbers; got 'of\\t1'. Complete or"),
        (b"x,1,2\nof,1,2\n", r"v:1: must be a word and 2 numbers; got 'x,1,2'. Complete or"),
        (b"6 2\n" + GLOVE, r"v: must hold 6 vectors, as its first line says; got 5. Download it"),
        (b"3 2\n\nx 1 2\n\n", r"v: must hold 3 vectors, as its first line says; got 1. Down"),
        (b"3\t2\nx\t1\t2\nof\t1\t2", r"v: must hold 3 vectors, as its first line says; got 2."),
        (b"x 1 2\ncaf\xe9 1 2\n", r"v:2: must be UTF-8 text; got b'\\xe9 1 2\\n'. Convert"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        vectors_of(tmp_path / "v", text)


def test_it_stops_at_twenty_problems(tmp_path):
    with pytest.raises(DataError, match=r"^the first 20 problems:") as caught:
        vectors_of(tmp_path / "v", b"x 1 2\n" + b"x\n" * 50)
    assert "v:21:" in str(caught.value)


def test_memory_does_not_follow_the_file(tmp_path, monkeypatch):
    sizes = []

    def small_blocks(source):
        for block in read_blocks(source, 64):
            sizes.append(len(block.data))
            yield block

    monkeypatch.setattr(module, "read_blocks", small_blocks)
    text = b"".join(b"w%d %d 1\n" % (i, i) for i in range(1000))
    vectors, _ = vectors_of(Path(tmp_path / "v"), text, {"w999": 4, "w0": 5})
    assert vectors == {4: [999.0, 1.0], 5: [0.0, 1.0]}
    assert max(sizes) < 100
