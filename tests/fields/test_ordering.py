"""Strings by their bytes: the quick way is as good as Python's."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from object2vec.fields.ordering import text_order

PIECES = st.lists(st.sampled_from([b"a", b"b", b"\0", b"\xff", b"12345678"]), max_size=5)


@given(st.lists(PIECES.map(b"".join), unique=True), st.sampled_from([b"", b"user", b"customer-"]))
@example([b"", b"\0", b"\0\0"], b"")
@example([b"12345678a", b"12345678", b"12345678b"], b"user")
def test_strings_are_ordered_by_their_bytes(texts, prefix):
    texts = [prefix + text for text in texts]
    content = np.frombuffer(b"".join(texts), np.uint8)
    offsets = np.cumsum([0, *map(len, texts)])
    order = text_order(content, offsets, np.arange(len(texts)))
    assert [texts[i] for i in order] == sorted(texts)


def test_only_chosen_strings_are_ordered():
    content = np.frombuffer(b"cab", np.uint8)
    assert text_order(content, np.arange(4), np.array([0, 2])).tolist() == [2, 0]
    for few in ([], [1]):
        assert text_order(content, np.arange(4), np.array(few, np.int64)).tolist() == few
