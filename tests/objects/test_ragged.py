from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import compute as pc

from object2vec.errors import DataError
from object2vec.objects.ragged import MAX_ID, Ragged

ROWS = [[5, 6, 7], [], [0, 8], [9], []]

lists = st.lists(st.lists(st.integers(0, MAX_ID), max_size=6), max_size=8)


def to_lists(column: Ragged) -> list[list[int]]:
    assert column.values.dtype == np.int32
    assert column.offsets.dtype == np.int64
    assert column.offsets[0] == 0
    assert column.offsets[-1] == len(column.values)
    return [column.row(i).tolist() for i in range(len(column))]


@pytest.mark.parametrize(
    ("given_rows", "expected"),
    [
        (ROWS, ROWS),
        (tuple(ROWS), ROWS),
        ([(5, 6), np.array([7]), range(2)], [[5, 6], [7], [0, 1]]),
        ([np.array([5, 6], np.uint8), np.array([7])], [[5, 6], [7]]),
        ([], []),
        ([[], []], [[], []]),
        ([3, 4], [[3], [4]]),
        ([np.int64(3), 4.0], [[3], [4]]),
        (np.array([3, 4]), [[3], [4]]),
        (np.array([[3, 4], [5, 6]], np.uint64), [[3, 4], [5, 6]]),
        (np.array([[3.0, 4.0]]), [[3, 4]]),
        (np.zeros((2, 0), int), [[], []]),
        (np.array([[1, 2], [3]], dtype=object), [[1, 2], [3]]),
        ((np.array([1, 2, 3]), np.array([0, 0, 2, 3])), [[], [1, 2], [3]]),
        (pa.array(ROWS), ROWS),
        (pa.array(ROWS, pa.large_list(pa.int32())), ROWS),
        (pa.array(ROWS).slice(1, 3), ROWS[1:4]),
        (pa.array([[1, 2], [3, 4]], pa.list_(pa.int16(), 2)), [[1, 2], [3, 4]]),
        (
            pa.chunked_array([pa.array([[1]]), pa.array([[2, 3], []], pa.list_(pa.int64()))]),
            [[1], [2, 3], []],
        ),
        (pa.chunked_array([], pa.list_(pa.int32())), []),
        (pa.array([3, 4]), [[3], [4]]),
        (pa.array([3.0, 4.0], pa.float16()), [[3], [4]]),
        (pa.array([[5, 6], [], [7]], pa.list_view(pa.int32())), [[5, 6], [], [7]]),
        (pa.array([[5, 6], [7]], pa.large_list_view(pa.uint8())).slice(1), [[7]]),
        (
            pa.ListViewArray.from_arrays(
                pa.array([2, 0], pa.int32()), pa.array([1, 2], pa.int32()), pa.array([5, 6, 7])
            ),
            [[7], [5, 6]],
        ),
        (pa.array([3, 4, 3]).dictionary_encode(), [[3], [4], [3]]),
        (
            pa.ListArray.from_arrays([0, 1, 3], pa.array([3, 4, 3]).dictionary_encode()),
            [[3], [4, 3]],
        ),
        (pc.run_end_encode(pa.array([3, 3, 4])), [[3], [3], [4]]),
        (pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(4).reshape(2, 2)), [[0, 1], [2, 3]]),
        (np.array([1, 4], np.float16), [[1], [4]]),
        (np.array([[1], [4]], ">i8"), [[1], [4]]),
        ([np.array([1, 2], np.float16), np.array([4])], [[1, 2], [4]]),
        (range(1, 3), [[1], [2]]),
        ((row for row in ROWS), ROWS),
        (iter([4, 2]), [[4], [2]]),
        ([np.array(1), np.array(4)], [[1], [4]]),
        ([torch.tensor(1), torch.tensor(4)], [[1], [4]]),
        ([torch.tensor([1, 2]), torch.tensor([4])], [[1, 2], [4]]),
        ([torch.tensor([1, 2]), [4], np.array([5], np.uint16)], [[1, 2], [4], [5]]),
        (torch.tensor([[1, 2]]), [[1, 2]]),
        (pd.Series([[1], [2, 3]]), [[1], [2, 3]]),
        (pd.Series([1, 2], dtype="Int64"), [[1], [2]]),
        (pd.Series(pd.arrays.SparseArray([1, 0])), [[1], [0]]),
        (pd.Series([1, 2, 1], dtype="category"), [[1], [2], [1]]),
        (np.ma.array([[1, 2]], mask=[[0, 0]]), [[1, 2]]),
        ([np.ma.array([1, 2]), np.ma.array([3], mask=[0])], [[1, 2], [3]]),
        ([[MAX_ID]], [[MAX_ID]]),
    ],
)
def test_build_reads_what_people_hold(given_rows, expected):
    assert to_lists(Ragged.build(given_rows)) == expected


def test_build_returns_a_column_as_it_is():
    column = Ragged.build(ROWS)
    assert Ragged.build(column) is column


LIST = r"must be a list of integers in \[0, 2147483647\]"


@pytest.mark.parametrize(
    ("given_rows", "message"),
    [
        ([[1], [2, 1.5]], rf"^in1\[1\]: {LIST}; got 1.5. Fix the id at position 1.$"),
        ([[1], [2, True]], rf"^in1\[1\]: {LIST}; got True. Fix the id at position 1.$"),
        ([[], [2, -1]], rf"^in1\[1\]: {LIST}; got -1. Fix the id at position 1.$"),
        ([[2**31]], rf"^in1\[0\]: {LIST}; got 2147483648. Fix the id at position 0.$"),
        ([[2**70]], rf"^in1\[0\]: {LIST}; got {2**70}. Fix the id at position 0.$"),
        ([[1], [float("nan")]], rf"^in1\[1\]: {LIST}; got nan."),
        ([["7"]], rf"^in1\[0\]: {LIST}; got '7'."),
        ([[None]], rf"^in1\[0\]: {LIST}; got None."),
        ([[[1]]], rf"^in1\[0\]: {LIST}; got \[1\]."),
        ([[1], 10], rf"^in1\[1\]: {LIST}; got 10. Write \[10\].$"),
        ([[1], "10"], rf"^in1\[1\]: {LIST}; got '10'. Write a list of ids.$"),
        ([-1], rf"^in1\[0\]: {LIST}; got -1. Fix the id at position 0.$"),
        ([np.array([1]), np.array([2, -3])], rf"^in1\[1\]: {LIST}; got -3. Fix .* position 1.$"),
        (np.array([[1, 2], [3, -4]]), rf"^in1\[1\]: {LIST}; got -4. Fix the id at position 1.$"),
        (np.array([0.5]), rf"^in1\[0\]: {LIST}; got 0.5."),
        (np.array([True]), r"^in1: must be of an integer type; got 'bool'. Convert it"),
        (np.array(["a"]), r"^in1: must be of an integer type; got '<U1'|'str"),
        (np.zeros((1, 1, 1), int), r"^in1: must have shape \(n,\) or \(n, T\); got \(1, 1, 1\)."),
        ("abc", r"^in1: must be a column of id sequences; got 'abc'. Pass a list of lists"),
        (7, r"^in1: must be a column of id sequences; got 7. Pass a list of lists"),
        (
            (np.array([1, 2]), np.array([0, 1])),
            r"^in1 offsets: must begin with 0 and end with the number of ids, 2; got \[0, 1\].",
        ),
        ((np.array([1, 2]), np.array([], int)), r"^in1 offsets: must begin with 0 .* got \[\]."),
        (
            (np.array([1, 2]), np.array([0, 2, 1, 2])),
            r"^in1\[1\]: must not end before it begins; got \[2, 1\]. Pass a list, not a tuple",
        ),
        (
            (np.array([1, 2]), np.array([0.0, 2.0])),
            r"^in1 offsets: must be integers; got 'float64'.",
        ),
        ((np.array([1, -2]), np.array([0, 0, 2])), rf"^in1\[1\]: {LIST}; got -2. .* position 1.$"),
        (pa.array([[1], None]), "^in1: must hold no null; got '1 of them'. Fill or drop"),
        (pa.array([[1], [None]]), "^in1: must hold no null; got '1 of them'. Fill or drop"),
        (pa.array(["1", "4"]), "^in1: must be of an integer type; got 'string'. Convert it to"),
        (pa.array([["1"], ["4"]]), "^in1: must be of an integer type; got 'string'. Convert it"),
        (pa.array([[[1]]]), r"^in1: must be of an integer type; got 'list<item: int64>'."),
        (pa.array([{"a": 1}]), r"^in1: must be of an integer type; got 'struct<a: int64>'."),
        (pa.array([True]), "^in1: must be of an integer type; got 'bool'. Convert it"),
        (pa.nulls(2), "^in1: must hold no null; got '2 of them'. Fill or drop these rows.$"),
        (pa.array([1, None]).dictionary_encode(), "^in1: must hold no null; got '1 of them'."),
        (pc.run_end_encode(pa.array([1, None])), "^in1: must hold no null; got '1 of them'."),
        (np.array(4), r"^in1: must have shape \(n,\) or \(n, T\); got \(\)."),
        (torch.tensor(4), r"^in1: must have shape \(n,\) or \(n, T\); got \(\)."),
        ([np.array(1), np.array([4])], rf"^in1\[0\]: {LIST}; got 1. Write \[1\].$"),
        ([np.array([[1]])], rf"^in1\[0\]: {LIST}; got array\(\[1\]\)."),
        (torch.tensor([1.0], requires_grad=True), r"^in1: must be an array of numbers \(Can't"),
        ([torch.tensor([1.0], requires_grad=True)], r"^in1: must be an array of numbers \(Can't"),
        (torch.tensor([[1]]).to_sparse(), r"^in1: must be an array of numbers \(.*got 'Tensor'. C"),
        (
            np.ma.array([[1, 7], [4, 7]], mask=[[0, 1], [0, 1]]),
            "^in1: must hold no masked value; got '2 of them'. Fill or drop these rows.$",
        ),
        (np.ma.array([1, 7], mask=[0, 1]), "^in1: must hold no masked value; got '1 of them'."),
        ([np.ma.array([1, 7], mask=[0, 1])], "^in1: must hold no masked value; got '1 of them'."),
        ((np.ma.array([1, 7], mask=[0, 1]), np.array([0, 2])), "^in1: must hold no masked value"),
        ([[1], [np.ma.masked]], rf"^in1\[1\]: {LIST}; got masked."),
        ([1, np.ma.masked], "^in1: must hold no masked value; got '1 of them'."),
        (pd.Series([1, None], dtype="Int64"), rf"^in1\[1\]: {LIST}; got (nan|<NA>). Fix the id"),
        (pd.Series([[1], None]), rf"^in1\[1\]: {LIST}; got (None|nan). Write a list of ids.$"),
        ({1, 2}, r"^in1: must be a column of id sequences; got {1, 2}. Pass a list of lists"),
        ({"a": [1]}, r"^in1: must be a column of id sequences; got {'a': \[1\]}. Pass a list"),
        (b"12", r"^in1: must be a column of id sequences; got b'12'. Pass a list of lists"),
        (pa.array([[1], [-2]]), rf"^in1\[1\]: {LIST}; got -2."),
        (pa.chunked_array([[[1]], [[2], [3, -2]]]), rf"^in1\[2\]: {LIST}; got -2. .* position 1.$"),
        (pa.chunked_array([[[1], None], [None]]), "^in1: must hold no null; got '2 of them'."),
    ],
)
def test_build_refuses_what_is_no_id(given_rows, message):
    with pytest.raises(DataError, match=message):
        Ragged.build(given_rows, "in1")


def test_what_cannot_be_shown_is_named_all_the_same():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(DataError, match=rf"^in0\[0\]: {LIST}; got a list too deep or too long"):
        Ragged.build([[deep]])
    with pytest.raises(DataError, match=rf"^in0\[1\]: {LIST}; got an? int too deep or too long"):
        Ragged.build([[1], [10**5000]])
    while deep:  # or its end would be a recursion, too
        deep = deep[0]


def test_build_lists_twenty_problems():
    with pytest.raises(DataError, match="the first 20 problems:") as caught:
        Ragged.build(-np.ones((50, 1), int))
    assert len(re.findall("position", str(caught.value))) == 20


@given(lists.filter(bool), st.data())
def test_take_gathers_rows(rows, data):
    wanted = data.draw(st.lists(st.sampled_from(range(-len(rows), len(rows))), max_size=10))
    column = Ragged.build(rows)
    assert to_lists(column.take(np.array(wanted, np.int64))) == [rows[i] for i in wanted]


@pytest.mark.parametrize("tokens", [(1 << 16) - 1, 1 << 16, 3 << 16])
def test_many_rows_are_gathered_as_few_are(tokens, tmp_path, monkeypatch):
    """By compiled code, from memory and from a file, whatever their lengths."""
    draw = np.random.default_rng(tokens)
    lengths = draw.integers(0, 9, tokens)
    lengths = lengths[: np.searchsorted(np.cumsum(lengths), tokens)]
    lengths = np.append(lengths, tokens - lengths.sum())
    offsets = np.append(0, np.cumsum(lengths))
    file = np.memmap(tmp_path / "ids", np.int32, "w+", shape=tokens)
    file[:] = draw.integers(0, 99, tokens)
    order = draw.permutation(len(lengths))
    found = []
    for values in (np.array(file), np.memmap(tmp_path / "ids", np.int32, "r")):
        column = Ragged(values, offsets)
        found += [column.take(order), column.take(order.astype(np.int32)), column.truncated(5)]
    monkeypatch.setattr("object2vec.objects.ragged._MANY", 1 << 30)
    plain = [Ragged(np.array(file), offsets).take(order)] * 2
    plain.append(Ragged(np.array(file), offsets).truncated(5))
    for one, other in zip(found, plain * 2, strict=True):
        assert one.values.dtype == np.int32
        assert np.array_equal(one.values, other.values)
        assert np.array_equal(one.offsets, other.offsets)


def test_many_rows_of_too_few_ids_are_rejected():
    with pytest.raises(IndexError, match="out of bounds"):
        Ragged(np.zeros(10, np.int32), np.array([0, 1 << 17])).take(np.array([0]))


def test_take_refuses_a_row_that_is_not_there():
    with pytest.raises(IndexError, match="out of bounds"):
        Ragged.build(ROWS).take(np.array([5]))


@given(lists, st.integers(-10, 10), st.integers(-10, 10))
def test_slice_is_that_of_a_list(rows, start, stop):
    assert to_lists(Ragged.build(rows).slice(start, stop)) == rows[start:stop]


@given(lists, st.integers(1, 10))
def test_pieces_are_the_column_cut_between_rows(rows, tokens):
    pieces = list(Ragged.build(rows).pieces(tokens))
    assert [row for _, piece in pieces for row in to_lists(piece)] == rows
    starts = np.cumsum([0, *(len(piece) for _, piece in pieces)])[:-1]
    assert [start for start, _ in pieces] == starts.tolist()
    assert all(len(piece.values) < tokens + max(map(len, rows)) for _, piece in pieces)


@given(lists, st.integers(0, 7))
def test_truncated_keeps_the_first_tokens(rows, max_len):
    column = Ragged.build(rows)
    cut = column.truncated(max_len)
    assert to_lists(cut) == [row[:max_len] for row in rows]
    assert (cut is column) == all(len(row) <= max_len for row in rows)


@given(st.lists(st.lists(st.integers(0, 2), max_size=6), max_size=8))
def test_trimmed_drops_one_id_at_the_ends(rows):
    column, expected = Ragged.build(rows), [list(row) for row in rows]
    for row in expected:
        while row and row[-1] == 0:
            row.pop()
    trimmed = column.trimmed(0)
    assert to_lists(trimmed) == expected
    assert (trimmed is column) == all(all(row) for row in rows)


@given(st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=8))
def test_without_drops_one_id(rows):
    column = Ragged.build(rows)
    rest = column.without(0)
    assert to_lists(rest) == [[token for token in row if token] for row in rows]
    assert (rest is column) == all(all(row) for row in rows)


@given(st.lists(lists, max_size=4))
def test_concatenate_keeps_the_order(parts):
    column = Ragged.concatenate([Ragged.build(part) for part in parts])
    assert to_lists(column) == [row for part in parts for row in part]


@pytest.mark.parametrize("tokens", [1, 3, 1 << 22])
def test_rows_have_equal_hashes_if_they_are_equal(tokens, monkeypatch):
    pieces = Ragged.pieces
    monkeypatch.setattr(Ragged, "pieces", lambda self: pieces(self, tokens))
    given = [[], [0], [0, 0], [1], [2], [1, 2], [2, 1], [1, 2, 0], [0, 1, 2], [MAX_ID]]
    found = Ragged.build([*given, *given[::-1]]).hashes()
    assert found.dtype == np.uint64
    assert found[: len(given)].tolist() == found[len(given) :][::-1].tolist()
    assert len(set(found.tolist())) == len(given)


def test_padded_fills_with_zeros_on_the_right():
    column = Ragged.build(ROWS)
    assert column.padded().tolist() == [[5, 6, 7], [0, 0, 0], [0, 8, 0], [9, 0, 0], [0, 0, 0]]
    assert column.padded(4).dtype == np.int32
    assert column.padded(4)[0].tolist() == [5, 6, 7, 0]
    assert Ragged.build([]).padded().shape == (0, 0)
    with pytest.raises(DataError, match=r"^width: .* the longest row; got 2. Use 3.$"):
        column.padded(2)


def test_memory_mapped_columns_work(tmp_path):
    np.save(tmp_path / "values.npy", np.arange(10, dtype=np.int32))
    values = np.load(tmp_path / "values.npy", mmap_mode="r")
    column = Ragged(values, np.array([0, 3, 3, 10]))
    assert to_lists(column.take(np.array([2, 0]))) == [[3, 4, 5, 6, 7, 8, 9], [0, 1, 2]]
    assert to_lists(column.truncated(2)) == [[0, 1], [], [3, 4]]
