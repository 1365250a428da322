"""Vocabularies: learned, applied, grown, shared, saved."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from object2vec.errors import ArtifactError
from object2vec.fields.base import Coverage, ValueMistakes
from object2vec.fields.kinds import KINDS
from object2vec.fields.strings import hash_strings
from object2vec.fields.vocabulary_field import buckets_for

Token, Tokens, Text = (KINDS[name] for name in ("token", "tokens", "text"))


def learned(kind, *blocks, start=None, subset=None):
    """The field that has learned from blocks (or from some of them), and what was kept of each."""
    learner = kind.learner(start)
    kept = [learner.observe(pa.array(block)) for block in blocks]
    return learner.finish(None if subset is None else [kept[i] for i in subset]), kept


def rows(field, values):
    """The rows of each value."""
    column, _ = field.rows(pa.array(values))
    return [column.row(i).tolist() for i in range(len(column))]


def row_of(field):
    """The row of each known token."""
    return {each.token: each.row for each in field.entries() if each.token is not None}


def bucket(text, count):
    data = np.frombuffer(text.encode(), np.uint8)
    return int(hash_strings(data, np.array([0]), np.array([len(data)]))[0] % np.uint64(count))


names = st.sampled_from(["a", "b", "c", "d", "é", "zz", "10", ""])
blocks = st.lists(st.lists(st.none() | names, max_size=8), min_size=1, max_size=3)
policies = st.sampled_from([{}, {"unseen": "skip"}, {"unseen": "unknown"}, {"buckets": 5}])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    blocks=blocks,
    policy=policies,
    min_count=st.integers(1, 3),
    max_size=st.none() | st.integers(1, 3),
    is_whole=st.booleans(),
    encoded=st.booleans(),
)
def test_a_vocabulary_is_what_counting_gives(
    each_way, blocks, policy, min_count, max_size, is_whole, encoded
):
    kind = Token(min_count=min_count, max_size=max_size, **policy)
    arrays = [pa.array(block, pa.string()) for block in blocks]
    arrays = [each.dictionary_encode() for each in arrays] if encoded else arrays
    learner = kind.learner()
    kept = [learner.observe(each) for each in arrays]
    field = learner.finish(None if is_whole else kept[:1])
    seen = [value for block in (blocks if is_whole else blocks[:1]) for value in block]
    counts = Counter(value for value in seen if value)
    known = sorted(
        (t for t in counts if counts[t] >= min_count), key=lambda t: (-counts[t], t.encode())
    )[:max_size]
    n_shared = 1 + (policy.get("unseen") != "skip" and "buckets" not in policy)
    first = n_shared + policy.get("buckets", 0)
    assert row_of(field) == {token: first + i for i, token in enumerate(known)}
    assert field.size == first + len(known)

    def expected(value):
        if not value:
            return [0]
        if value in known:
            return [first + known.index(value)]
        if "buckets" in policy:
            return [1 + bucket(value, 5)]
        return [] if policy.get("unseen") == "skip" else [1]

    of_row = Counter(row for value in seen for row in expected(value))
    assert {each.row: each.count for each in field.entries()} == {
        row: of_row[row] for row in range(field.size)
    }
    assert field.untrained_rows().tolist() == [r for r in range(field.size) if not of_row[r]]
    for block, array, each in zip(blocks, arrays, kept, strict=True):
        column, coverage = field.rows(array)
        assert [column.row(i).tolist() for i in range(len(column))] == list(map(expected, block))
        tokens = [value for value in block if value]
        n_known = sum(value in known for value in tokens)
        name = {"skip": "skipped", None: "unknown"}.get(policy.get("unseen"), "unknown")
        name = "hashed" if "buckets" in policy else name
        other = {name: len(tokens) - n_known}
        missing = len(block) - len(tokens)
        assert coverage == Coverage(len(block), missing, len(tokens), n_known, **other)
        column_of_kept, coverage_of_kept = field.rows_of_kept(each)
        assert coverage_of_kept == coverage
        assert column_of_kept.values.tolist() == column.values.tolist()
        assert column_of_kept.offsets.tolist() == column.offsets.tolist()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(st.none() | st.lists(st.none() | names, max_size=4), max_size=6),
    min_count=st.integers(1, 2),
    as_text=st.booleans(),
)
def test_lists_of_tokens_are_counted_one_by_one(each_way, values, min_count, as_text):
    kind = Tokens("|", min_count=min_count, unseen="skip")
    array = pa.array(values, pa.list_(pa.string()))
    if as_text:
        texts = [None if v is None else "|".join(t or "" for t in v) for v in values]
        array = pa.array(texts, pa.string())
        missing = sum(not text for text in texts)
    else:
        missing = sum(value is None for value in values)
    learner = kind.learner()
    kept = learner.observe(array)
    field = learner.finish()
    tokens = [[token for token in value or [] if token] for value in values]
    counts = Counter(token for row in tokens for token in row)
    known = {token for token in counts if counts[token] >= min_count}
    rows = row_of(field)
    assert rows.keys() == known
    for column, coverage in (field.rows(array), field.rows_of_kept(kept)):
        found = [column.row(i).tolist() for i in range(len(column))]
        assert found == [[rows[token] for token in row if token in known] for row in tokens]
        total, n_known = sum(counts.values()), sum(counts[token] for token in known)
        assert coverage == Coverage(len(values), missing, total, n_known, skipped=total - n_known)


def test_list_columns_of_any_type_are_lists_of_tokens(each_way):
    field, _ = learned(Tokens(), [[1, 2], [2]])
    assert row_of(field) == {"2": 2, "1": 3}
    fixed = pa.array([[2, 1]], pa.list_(pa.int16(), 2))
    assert field.rows(fixed)[0].values.tolist() == [2, 3]
    encoded = pa.array(["1 2", None, "2", "1 2"]).dictionary_encode()
    assert rows(field, encoded) == [[3, 2], [], [2], [3, 2]]
    assert rows(field, [2.0, None]) == [[2], []]
    sliced = pa.array([[7], [2], [1, 2]]).slice(1)
    assert rows(field, sliced) == [[2], [3, 2]]
    with pytest.raises(ValueMistakes) as caught:
        field.rows(pa.array([[], [[1]]]))
    assert caught.value.mistakes[0].row == 1


def test_text_hashes_rare_words_by_default():
    field, _ = learned(Text(), ["a ship and a sea", "the ship"])
    assert field.vocabulary.buckets == 1024
    assert list(row_of(field)) == ["a", "ship"]
    column, coverage = field.rows(pa.array(["A ship sails", None, "!"]))
    assert column.row(0).tolist() == [1025, 1026, 1 + bucket("sails", 1024)]
    assert coverage == Coverage(3, 1, 3, 2, hashed=1)
    trained = field.vocabulary.counts[1:1025]
    assert {1 + bucket(word, 1024) for word in ("and", "sea", "the")} == set(
        (np.flatnonzero(trained) + 1).tolist()
    )


def test_text_has_runs_of_words():
    field, _ = learned(Text(ngrams=2, min_count=1), ["new york is new"])
    assert set(row_of(field)) == {"new", "york", "is", "new york", "york is", "is new"}


@pytest.mark.parametrize(("shortest", "ngrams"), [(2, 2), (2, 3), (3, 3)])
def test_runs_of_words_can_be_tokens_without_the_words(shortest, ngrams):
    texts = ["new york is new", "york", ""]
    kind = Text(ngrams=ngrams, shortest=shortest, min_count=1)
    field, _ = learned(kind, texts)
    runs = {
        " ".join(words[at : at + size])
        for words in map(str.split, texts)
        for size in range(shortest, ngrams + 1)
        for at in range(len(words) - size + 1)
    }
    assert set(row_of(field)) == runs
    assert [len(each) for each in rows(field, texts)] == [len(runs), 0, 0]


def test_tokens_are_hashed_by_default_only_if_there_are_many():
    assert learned(Token(), ["a", "b"])[0].vocabulary.policy == "unknown"
    many = pa.array(np.arange(100_001)).cast(pa.string())
    assert learned(Token(min_count=2), many)[0].vocabulary.buckets == 131_072
    assert learned(Token(), many.slice(1))[0].vocabulary.policy == "unknown"


@pytest.mark.parametrize(
    ("n_rare", "count"),
    [(0, 1024), (1024, 1024), (1025, 2048), (5000, 8192), (131_072, 131_072), (10**7, 131_072)],
)
def test_buckets_are_as_many_as_rare_tokens(n_rare, count):
    assert buckets_for(n_rare) == count


@pytest.mark.parametrize(("n_rare", "count"), [(2048, 2048), (2049, 4096)])
def test_rare_tokens_alone_say_how_many_buckets_there_are(n_rare, count):
    column = [f"often{i % 9}" for i in range(90)] + [f"rare{i}" for i in range(n_rare)]
    field, _ = learned(Token(min_count=2, unseen="buckets"), column)
    assert field.vocabulary.buckets == count


def test_what_is_unseen_is_an_error_where_it_shall_be(each_way):
    field, kept = learned(Token(unseen="error"), ["ann", "bob"], ["bob", None, "eve"], subset=[0])
    encoded = pa.array(["x", "bob", None, "eve", "eve"]).dictionary_encode().slice(1)
    for find in (lambda: field.rows_of_kept(kept[1]), lambda: field.rows(encoded)):
        with pytest.raises(ValueMistakes) as caught:
            find()
        assert caught.value.mistakes[0][:3] == (2, "must be a token of the training data", "eve")
    assert [each.row for each in caught.value.mistakes] == [2, 3]
    field, kept = learned(Tokens(unseen="error"), ["a b"], ["b", "", "a c"], subset=[0])
    for find in (lambda: field.rows_of_kept(kept[1]), lambda: field.rows(pa.array(["", "b c"]))):
        with pytest.raises(ValueMistakes) as caught:
            find()
        assert caught.value.mistakes[0].got == "c"
    assert caught.value.mistakes[0].row == 1


def test_a_vocabulary_grows_behind_its_rows(each_way):
    old, _ = learned(Token(min_count=2), [*list("aabbbc"), None])
    kind = Token(min_count=2, max_size=4)
    new, kept = learned(kind, list("dddeeabffgg"), start=old)
    assert row_of(old) == {"b": 2, "a": 3}
    assert row_of(new) == {"b": 2, "a": 3, "d": 4, "e": 5}
    counts = {each.row: each.count for each in new.entries()}
    assert counts == {0: 1, 1: 5, 2: 4, 3: 3, 4: 3, 5: 2}
    assert new.rows_of_kept(kept[0])[0].values.tolist()[:3] == [4, 4, 4]
    old, _ = learned(Token(buckets=3), ["a"])
    new, _ = learned(Token(buckets=7), ["b"], start=old)
    assert (new.vocabulary.buckets, row_of(new)) == (3, {"a": 4, "b": 5})


def test_fields_of_several_kinds_share_a_vocabulary():
    film, history = Token(), Tokens(" ")
    assert film.shares_with(history)
    learner = film.learner()
    beside = learner.beside(history)
    kept = [learner.observe(pa.array(["a", None])), beside.observe(pa.array(["a b b", ""]))]
    field = learner.finish(kept)
    assert row_of(field) == {"a": 2, "b": 3}
    assert field.vocabulary.counts.tolist() == [1, 0, 2, 2]
    assert rows(field, ["b", "c"]) == [[3], [1]]
    assert rows(field.of(history), ["b a", None]) == [[3, 2], []]
    assert field.of(history).rows_of_kept(kept[1])[0].values.tolist() == [2, 3, 3]


def test_a_saved_field_is_the_same_field(each_way):
    for kind in (Token(), Tokens("|"), Text(buckets=7)):
        field, _ = learned(kind, ["a|b", "c b", None, "é"])
        state, arrays = field.state()
        saved = kind.fitted.from_state(kind, json.loads(json.dumps(state)), arrays)
        values = ["a|b", "b", "x", None]
        assert rows(saved, values) == rows(field, values)
        assert list(saved.entries()) == list(field.entries())
        assert saved.size == field.size


def test_a_field_may_have_one_bucket():
    field, _ = learned(Token(unseen="buckets", buckets=1), ["a", "b"])
    saved = Token.fitted.from_state(Token(), *field.state())
    assert saved.size == field.size == 4  # padding, two tokens and the bucket
    assert rows(saved, ["x", "y"]) == rows(field, ["x", "y"])


@pytest.mark.parametrize(
    ("state", "arrays"),
    [
        ({"policy": "other"}, {}),
        ({"policy": None}, {}),
        ({"policy": "buckets"}, {}),
        ({"buckets": 2}, {}),
        ({"buckets": 10**9, "policy": "buckets"}, {}),
        ({"buckets": True, "policy": "buckets"}, {}),
        ({"buckets": "2"}, {}),
        ({}, {"counts": np.zeros(2, np.int64)}),
        ({}, {"counts": np.zeros(4, np.int32)}),
        ({}, {"counts": None}),
        ({}, {"slots": np.zeros(1024, np.uint64)}),
        ({}, {"offsets": np.array([0, 1])}),
    ],
)
def test_a_damaged_field_is_found_out(state, arrays):
    field, _ = learned(Token(), ["a", "b"])
    saved_state, saved_arrays = field.state()
    arrays = {k: v for k, v in (saved_arrays | arrays).items() if v is not None}
    with pytest.raises(ArtifactError, match="must be one that training has written"):
        Token.fitted.from_state(Token(), saved_state | state, arrays)
