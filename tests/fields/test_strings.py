"""Hashes of strings, and tables of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from object2vec.fields.hashing import FINAL, LENGTH, SEED, STEP
from object2vec.fields.strings import Strings, StringTable, hash_strings

WORD = 2**64 - 1
both_ways = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)


def spec(text):
    """The hash as the docstring of `object2vec.fields.hashing` says it."""
    state = SEED ^ (len(text) * LENGTH & WORD)
    for i in range(0, len(text), 8):
        state = (state ^ int.from_bytes(text[i : i + 8], "little")) * STEP & WORD
        state ^= state >> 32
    state = state * FINAL & WORD
    return state ^ (state >> 32)


def spans(texts, before=b"", between=b""):
    """Texts as parts of one buffer, with other bytes around them."""
    data, starts, ends = bytearray(before), [], []
    for text in texts:
        starts.append(len(data))
        data += text
        ends.append(len(data))
        data += between
    return np.frombuffer(bytes(data), np.uint8), *(np.array(b, np.int64) for b in (starts, ends))


texts = st.lists(st.binary(max_size=20))


@both_ways
@given(texts=texts, between=st.binary(max_size=9))
def test_a_hash_is_what_its_description_says(each_way, texts, between):
    found = hash_strings(*spans(texts, b"ab", between))
    assert found.tolist() == [spec(text) for text in texts]


def test_hashes_stay_what_they_are(each_way):
    """Models that are saved depend on them."""
    found = hash_strings(*spans([b"", b"a", b"elephant", "größer".encode(), b"x" * 100]))
    assert [f"{each:016x}" for each in found.tolist()] == PINNED


PINNED = [
    "cfecf3b9b77009d2",
    "83c151c64d549346",
    "2454d059c9942ea6",
    "7c465003c1bf91e2",
    "df6186183ab31f53",
]


def test_hashes_spread_over_buckets_and_differ_by_any_bit():
    names = [f"user{i}".encode() for i in range(20_000)]
    hashes = hash_strings(*spans(names))
    for counts in (np.bincount(hashes % np.uint64(1024)), np.bincount(hashes >> np.uint64(54))):
        expected = len(names) / 1024
        assert ((counts - expected) ** 2 / expected).sum() < 1024 + 6 * np.sqrt(2 * 1024)
    one = np.frombuffer(b"abcdefghijk", np.uint8)
    flipped = [bytes(one ^ np.uint8(bit)) for bit in (1, 128)]
    flipped += [bytes(np.where(np.arange(11) == k, one ^ np.uint8(2), one)) for k in range(11)]
    first, *others = hash_strings(*spans([bytes(one), *flipped])).tolist()
    assert all(16 < bin(first ^ other).count("1") < 48 for other in others)


@both_ways
@given(blocks=st.lists(texts, max_size=4), start=texts)
def test_a_table_numbers_strings_as_a_dict_does(each_way, blocks, start):
    known: dict[bytes, int] = {}
    for text in start:
        known.setdefault(text, len(known))
    content, starts, _ = spans(list(known))
    first = Strings.of(content, np.append(starts, len(content)))
    table = StringTable(first)
    for block in blocks:
        expected = [known.setdefault(text, len(known)) for text in block]
        assert table.add(*spans(block, b"x", b"yz")).tolist() == expected
    assert table.size == len(known)
    strings = Strings.of(table.content, table.offsets)
    assert strings.fault() is None
    assert strings.values(0, len(strings)) == list(known)
    wanted = [*known, b"other", b"", b"x" * 30]
    found = strings.find(*spans(wanted, b"", b" "))
    assert found.tolist() == [known.get(text, -1) for text in wanted]


def test_slots_are_the_same_with_and_without_compiled_code(go_without_compiled):
    names = [str(i).encode() for i in range(3000)]
    content, starts, _ = spans(names)
    offsets = np.append(starts, len(content))
    compiled = Strings.of(content, offsets)
    go_without_compiled()
    assert (Strings.of(content, offsets).slots == compiled.slots).all()


def test_a_table_grows_while_a_block_is_added(each_way):
    names = [f"{i % 7000}{'é' * (i % 5)}".encode() for i in range(20_000)]
    known: dict[bytes, int] = {}
    expected = [known.setdefault(name, len(known)) for name in names]
    table = StringTable()
    assert table.add(*spans(names)).tolist() == expected
    assert table.size == len(known)


def test_strings_that_lie_in_a_file_are_found(each_way, tmp_path):
    content, starts, _ = spans([b"ann", b"bob"])
    strings = Strings.of(content, np.append(starts, len(content)))
    arrays = {}
    for name in ("content", "offsets", "slots"):
        np.save(tmp_path / f"{name}.npy", getattr(strings, name))
        arrays[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
    assert Strings(**arrays).fault() is None
    assert Strings(**arrays).find(*spans([b"bob", b"eve", b"ann"])).tolist() == [1, -1, 0]
    table = StringTable(Strings(**arrays))
    assert table.add(*spans([b"eve", b"bob"])).tolist() == [2, 1]


def changed(**changes):
    content, starts, _ = spans([b"ann", b"bob"])
    strings = Strings.of(content, np.append(starts, len(content)))
    arrays = {name: getattr(strings, name).copy() for name in ("content", "offsets", "slots")}
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    return Strings(**arrays)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"content": lambda a: a.astype(np.int8)}, "arrays of types int8[1],int64[1],uint64[1]"),
        ({"offsets": lambda a: a.astype(np.int32)}, "arrays of types uint8[1],int32[1],uint64[1]"),
        ({"offsets": lambda a: a[:0]}, "arrays of types"),
        ({"slots": lambda a: a[:0]}, "arrays of types"),
        ({"content": lambda a: a[None]}, "arrays of types uint8[2]"),
        ({"offsets": lambda a: a + 1}, "offsets that do not fit"),
        ({"offsets": lambda a: np.array([0, 9, 6])}, "offsets that do not fit"),
        ({"offsets": lambda a: np.array([0, -1, 6])}, "offsets that do not fit"),
        ({"content": lambda a: a[:-1]}, "offsets that do not fit"),
        ({"slots": lambda a: a[:-1]}, "slots taken"),
        ({"slots": lambda a: a[a != 0]}, "slots taken"),
        ({"slots": lambda a: np.zeros_like(a)}, "slots taken"),
        ({"slots": lambda a: np.where(a, a + np.uint64(1), a)}, "slots of strings that are not"),
        ({"slots": lambda a: np.where(a, a >> np.uint64(32) << np.uint64(32), a)}, "slots of str"),
    ],
)
def test_arrays_that_are_no_table_are_found_out(changes, fault):
    found = changed(**changes).fault()
    assert found is None if fault is None else fault in found
