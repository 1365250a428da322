"""Vocabularies by themselves: which rows there are, and what the rest of the tokens read."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from object2vec.fields.specification import parse_field
from object2vec.fields.strings import Strings, hash_strings
from object2vec.fields.vocabulary import Vocabulary


def spans(*texts):
    data = "".join(texts).encode()
    ends = np.cumsum([len(text.encode()) for text in texts]).astype(np.int64)
    starts = np.concatenate([[0], ends[:-1]]) if texts else ends
    return np.frombuffer(data, np.uint8), starts, ends


def made(policy, buckets, *tokens):
    data, starts, ends = spans(*tokens)
    strings = Strings.of(data, np.append(starts, ends[-1:] if tokens else 0))
    first = 1 + (policy == "unknown") + buckets
    return Vocabulary(strings, np.arange(10, 10 + first + len(tokens)), policy, buckets)


@pytest.mark.parametrize(
    ("policy", "buckets", "first", "other"),
    [("unknown", 0, 2, 1), ("skip", 0, 1, -1), ("error", 0, 1, -1), ("buckets", 3, 4, None)],
)
def test_known_tokens_have_rows_of_their_own_and_others_what_the_policy_says(
    policy, buckets, first, other
):
    vocabulary = made(policy, buckets, "a", "bc", "é")
    assert (vocabulary.first, vocabulary.size) == (first, first + 3)
    data, starts, ends = spans("é", "x", "a", "yz", "bc", "x")
    if other is None:
        hashes = hash_strings(data, starts, ends)
        x, yz = (1 + int(hashes[at] % np.uint64(3)) for at in (1, 3))
    else:
        x = yz = other
    rows = [first + 2, x, first, yz, first + 1, x]
    assert vocabulary.rows(data, starts, ends).tolist() == rows
    known = [row if at % 2 == 0 else -1 for at, row in enumerate(rows)]
    assert vocabulary.known_rows(data, starts, ends).tolist() == known
    assert vocabulary.rows(*spans()).tolist() == []


def test_entries_say_what_each_row_is():
    entries = [(e.token, e.row, e.count, e.note) for e in made("buckets", 2, "a", "b").entries()]
    assert entries == [
        (None, 0, 10, "missing"),
        (None, 1, 11, "bucket"),
        (None, 2, 12, "bucket"),
        ("a", 3, 13, ""),
        ("b", 4, 14, ""),
    ]
    entries = [(e.token, e.row, e.count, e.note) for e in made("unknown", 0, "a").entries()]
    assert entries == [(None, 0, 10, "missing"), (None, 1, 11, "unknown"), ("a", 2, 12, "")]
    assert [e.row for e in made("skip", 0).entries()] == [0]


def test_entries_of_a_large_vocabulary_go_on_behind_one_another():
    count = (1 << 16) + 3
    vocabulary = made("unknown", 0, *map(str, range(count)))
    entries = list(vocabulary.entries())[2:]
    assert [entry.row for entry in entries] == list(range(2, 2 + count))
    assert [entry.token for entry in entries] == list(map(str, range(count)))


@pytest.mark.parametrize(
    ("most", "tokens"), [(None, "abxy"), (4, "abxy"), (3, "abx"), (2, "ab"), (1, "ab"), (9, "abxy")]
)
def test_tokens_that_training_has_not_seen_come_behind(most, tokens):
    before = made("unknown", 0, "a", "b")
    after = before.with_more(*spans("x", "b", "y", "x"), most)
    assert [entry.token for entry in after.entries()][2:] == list(tokens)
    assert after.counts.tolist() == [*before.counts.tolist(), *[0] * (len(tokens) - 2)]
    rows = after.rows(*spans("a", "b", "x", "y")).tolist()
    assert rows == [2 + tokens.index(each) if each in tokens else 1 for each in "abxy"]


@pytest.mark.parametrize(
    ("kind", "values", "known"),
    [
        ("text(min_count=1)", ["Sea", "the sea", "ship", "", "sea!"], ["sea", "", "", "", "sea"]),
        ("token", ["sea", "the sea", " the ", None], ["sea", "", "the", ""]),
        ('tokens(" ")', ["sea", "sea the", "ship", None], ["sea", "", "", ""]),
    ],
)
def test_a_value_that_is_one_known_token_has_its_row(kind, values, known):
    learner = parse_field(f"x:{kind}").kind.learner()
    learner.observe(pa.array(["sea", "the"]))
    field = learner.finish()
    rows = {entry.token: entry.row for entry in field.entries()} | {"": -1}
    for given in (pa.array(values), pa.array(values).dictionary_encode()):
        assert field.known_rows(given).tolist() == [rows[token] for token in known]
