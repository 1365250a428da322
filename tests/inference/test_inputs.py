"""What encoders take in: truncation, unknown ids, and the count of what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from object2vec.config import Config
from object2vec.errors import DataError
from object2vec.inference import inputs
from object2vec.inference.inputs import (
    NOTHING,
    Intake,
    Omissions,
    UnknownIds,
    batches_by_length,
    intakes,
    warn_of,
)
from object2vec.objects.ragged import Ragged

SIZE, LENGTH = 9, 3


def intake(**given) -> Intake:
    return Intake(1, **({"vocab_size": SIZE, "max_seq_len": LENGTH, "mask_padding": True} | given))


def listed(column: Ragged) -> list[list[int]]:
    return [column.row(i).tolist() for i in range(len(column))]


@given(
    st.lists(st.lists(st.integers(0, SIZE + 2), max_size=6), max_size=6),
    st.sampled_from([None, 1, 2, 5]),
    st.booleans(),
)
def test_sequences_are_taken_as_a_plain_reading_takes_them(rows, limit, mask_padding):
    read = [row[: limit or LENGTH] for row in rows]
    known = all(token < SIZE for row in read for token in row)
    door = intake(mask_padding=mask_padding)
    if not known:
        with pytest.raises(UnknownIds):
            door.accept(Ragged.build(rows), str, limit)
        return
    accepted, omissions = door.accept(Ragged.build(rows), str, limit)
    assert listed(accepted) == read
    assert door.accept_known(rows, limit) == (read, omissions)
    counted = [[t for t in row if t or not mask_padding] for row in read]
    assert omissions == Omissions(
        truncated=sum(len(row) > (limit or LENGTH) for row in rows),
        padded=sum(0 in row for row in read) if mask_padding else 0,
        empty=counted.count([]),
    )


def test_nothing_left_out_is_nothing():
    for mask_padding, rows in [(True, [[1, 2], [3]]), (False, [[1, 0], [0]])]:
        door = intake(mask_padding=mask_padding)
        assert door.accept(Ragged.build(rows), str)[1] is NOTHING
        assert door.accept_known(rows)[1] is NOTHING
    omissions = NOTHING
    assert not omissions
    assert all(map(bool, [Omissions(truncated=1), Omissions(padded=1), Omissions(empty=1)]))
    assert Omissions(1, 2, 3) + Omissions(10, 20, 30) == Omissions(11, 22, 33)


def test_unknown_ids_are_named_and_ids_beyond_the_length_are_not_looked_at():
    rows = [[1, 2, 3, 99], [], [4, 9], [12, 1, 13]]
    with pytest.raises(DataError) as caught:
        intake().accept(Ragged.build(rows), "row {}".format)
    err = caught.value
    assert str(err) == (
        "3 problems:\n"
        '  row 2: Inconsistent vocab for in1 found. Vocab id "9" is not less than vocab_size=9. '
        "Use the ids of training.\n"
        '  row 3: Inconsistent vocab for in1 found. Vocab id "12" is not less than vocab_size=9. '
        "Use the ids of training.\n"
        '  row 3: Inconsistent vocab for in1 found. Vocab id "13" is not less than vocab_size=9. '
        "Use the ids of training."
    )
    assert (err.row, err.position, err.token) == (2, 1, 9)
    with pytest.raises(UnknownIds, match="the first 20 problems") as caught:
        intake().accept(Ragged.build([[50]] * 30), str)
    assert len(caught.value.problems) == 20


def test_the_sides_have_their_own_limits():
    config = Config.build(
        {
            "enc0_network": "pooled_embedding",
            "enc0_vocab_size": 5,
            "enc0_max_seq_len": 2,
            "enc1_network": "pooled_embedding",
            "enc1_vocab_size": 7,
            "enc1_max_seq_len": 4,
            "mask_padding": False,
        }
    )
    assert intakes(config) == (Intake(0, 5, 2, False), Intake(1, 7, 4, False))


def test_a_warning_says_what_was_left_out(caplog):
    warn_of("in0", NOTHING)
    assert caplog.records == []
    warn_of("a.jsonl: in1", Omissions(3, 0, 1))
    warn_of("in0", Omissions(padded=2))
    assert [(r.levelname, r.name, r.getMessage()) for r in caplog.records] == [
        (
            "WARNING",
            "object2vec.inference",
            "a.jsonl: in1: sequences read in part: 3 truncated; "
            "1 without tokens, embedded as zeros.",
        ),
        (
            "WARNING",
            "object2vec.inference",
            "in0: sequences read in part: 2 with id 0, padding, which is ignored.",
        ),
    ]


@given(st.lists(st.integers(0, 9), max_size=40))
def test_batches_hold_every_row_once_and_no_more_than_fits(lengths):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "_BATCH_TOKENS", 12)
        patch.setattr(inputs, "_BATCH_ROWS", 5)
        batches = [*batches_by_length(np.array(lengths, np.int64))]
    rows = [row for batch in batches for row in batch.tolist()]
    assert sorted(rows) == [*range(len(lengths))]
    ordered = [lengths[row] for row in rows]
    assert ordered == sorted(ordered)
    for batch in batches:
        assert 0 < len(batch) <= 5
        assert len(batch) == 1 or sum(max(lengths[row], 1) for row in batch.tolist()) <= 12
