"""What is no negative in a batch of the ranking objective, what is drawn for it, and how often."""

from __future__ import annotations

import numpy as np
import pytest

from object2vec.config import Config
from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import records
from object2vec.pairs.batches import TrainingBatches
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.made import MadePairs
from object2vec.pairs.makers import maker_of
from object2vec.pairs.positives import excluded


def config(**given):
    return Config.build(
        {
            "enc0_network": "pooled_embedding",
            "enc0_max_seq_len": 3,
            "enc0_vocab_size": 50,
            "output_layer": "ranking",
            "mini_batch_size": 8,
        }
        | given
    )


def pairs_of(in0, in1, group=None):
    columns = {"in0": in0, "in1": in1, "label": np.ones(len(in0), np.float32)}
    if group is not None:
        columns["group"] = np.array(group)
    return Pairs.build(schema=records(has_group=group is not None), **columns)


def test_equal_rows_have_equal_hashes_and_others_do_not():
    rows = [[1, 2], [2, 1], [1, 2], [], [1], [0, 1], [1, 0], [], [1, 2, 0]]
    hashes = Ragged.build(rows).hashes()
    assert hashes.dtype == np.uint64
    assert hashes[0] == hashes[2]
    assert hashes[3] == hashes[7]
    assert len(set(hashes.tolist())) == 7
    assert Ragged.build(rows[4:]).hashes().tolist() == hashes[4:].tolist()
    many = Ragged.build(np.arange(100_000)[:, None])
    assert len(np.unique(many.hashes())) == 100_000


def test_what_would_be_right_as_well_is_no_negative():
    """The same in0 or in1, also behind truncation and padding, and pairs of other batches."""
    in0 = [[1], [2], [1, 0], [3], [4], [5]]
    in1 = [[11], [12], [13], [14, 9, 9, 1], [14, 9, 9, 2], [16]]
    known = [[2], [5]], [[11], [13]]  # pairs that stand in another batch
    pairs = pairs_of([*in0, *known[0]], [*in1, *known[1]])
    batches = TrainingBatches(pairs, config(mini_batch_size=8))
    (batch,) = batches.epoch(0)
    i, j = batch.excluded
    left = [tuple(batch.in0.row(each).tolist()) for each in range(8)]
    right = [tuple(batch.in1.row(each).tolist()) for each in range(8)]
    found = {(left[a], right[b]) for a, b in zip(i, j, strict=True)}
    one, long = (1,), (14, 9, 9)
    assert ((1, 0), (11,)) in found
    assert (one, (13,)) in found
    assert ((4,), long) in found
    assert ((2,), (12,)) in found
    assert ((5,), (13,)) in found
    assert (one, (12,)) not in found
    assert not any(a == b for a, b in zip(i, j, strict=True))


def test_positives_of_other_batches_are_left_out_too():
    in0, in1 = [[1], [1], [2], [2]], [[11], [12], [12], [13]]
    rows = TrainingBatches(pairs_of(in0, in1), config(mini_batch_size=2))
    seen = set()
    for epoch in range(20):
        for batch in rows.epoch(epoch):
            i, j = batch.excluded or ((), ())
            pairs = {
                (int(batch.in0.values[a]), int(batch.in1.values[b]))
                for a, b in zip(i, j, strict=True)
            }
            own = set(zip(batch.in0.values.tolist(), batch.in1.values.tolist(), strict=True))
            all_pairs = {
                (a, b) for a in batch.in0.values.tolist() for b in batch.in1.values.tolist()
            }
            assert all_pairs - pairs - own <= {(1, 13), (2, 11)}
            seen |= pairs
    assert seen == {(1, 11), (1, 12), (2, 12), (2, 13)}


def test_records_of_one_group_are_no_negatives_of_each_other():
    pairs = pairs_of([[1], [2], [3]], [[11], [12], [13]], group=[7, 8, 7])
    (batch,) = TrainingBatches(pairs, config()).epoch(0)
    found = {
        (batch.in0.values[i], batch.in1.values[j]) for i, j in zip(*batch.excluded, strict=True)
    }
    assert found == {(1, 13), (3, 11)}


def test_nothing_is_left_out_where_all_differ():
    assert excluded(np.arange(3), np.arange(5), None, None) is None


def test_shared_negatives_follow_their_frequency():
    in1 = [[11]] * 80 + [[12]] * 19 + [[13]]
    pairs = pairs_of([[i % 40 + 1] for i in range(100)], in1)

    def shares(exponent):
        given = {"shared_negatives": 400, "negative_exponent": exponent, "mini_batch_size": 50}
        batches = [*TrainingBatches(pairs, config(**given)).epoch(0)]
        assert [len(batch.in1) - len(batch.in0) for batch in batches] == [400, 400]
        ids = np.concatenate([batch.in1.values[50:] for batch in batches])
        return np.array([np.mean(ids == token) for token in (11, 12, 13)])

    np.testing.assert_allclose(shares(0), np.full(3, 1 / 3), atol=0.06)
    np.testing.assert_allclose(shares(1), [0.80, 0.19, 0.01], atol=0.06)
    roots = np.sqrt([80, 19, 1])
    np.testing.assert_allclose(shares(0.5), roots / roots.sum(), atol=0.06)


def test_the_correction_is_how_often_an_object_is_expected():
    in1 = [[11]] * 6 + [[12]] * 2
    pairs = pairs_of([[i + 1] for i in range(8)], in1)
    given = {"log_q_correction": True, "shared_negatives": 5, "mini_batch_size": 4}
    for batch in TrainingBatches(pairs, config(**given)).epoch(0):
        expected = {11: 4 * 6 / 8 + 5 / 2, 12: 4 * 2 / 8 + 5 / 2}
        np.testing.assert_allclose(
            np.exp(batch.log_q), [expected[token] for token in batch.in1.values], rtol=1e-5
        )
    assert len(batch.log_q) == 9
    plain = TrainingBatches(pairs, config())
    assert next(plain.epoch(0)).log_q is None


def test_a_batch_depends_on_its_number_alone():
    pairs = pairs_of([[i % 9 + 1] for i in range(40)], [[i % 7 + 1] for i in range(40)])
    batches = TrainingBatches(pairs, config(shared_negatives=3))
    whole, later = [*batches.epoch(1)], [*batches.epoch(1, 2)]
    for ours, theirs in zip(whole[2:], later, strict=True):
        assert ours.in1.values.tolist() == theirs.in1.values.tolist()
        assert all(
            np.array_equal(a, b) for a, b in zip(ours.excluded, theirs.excluded, strict=True)
        )
    assert len({tuple(batch.in1.values[-3:].tolist()) for batch in whole}) > 1


@pytest.mark.parametrize("name", ["negative_sampling_rate", "random_negative_sampling_rate"])
def test_negatives_of_other_objectives_are_ignored_with_a_note(name):
    made = config(**{name: 3})
    assert made.negatives == 0
    assert any(name in note.text for note in made.notes)


def test_items_that_a_user_has_in_other_batches_are_no_negatives():
    """Of made pairs, too: histories change with the epoch, what a user had does not."""
    users = np.repeat(np.arange(6), 4)
    items = (users * 3 + np.tile(np.arange(4), 6)) % 9 + 20
    rows = pairs_of(users[:, None] + 1, items[:, None], group=users)
    made = MadePairs.of(rows, maker_of("history(user=own)"), 0)
    had = {user: set(items[users == user].tolist()) for user in range(6)}
    left_out = 0
    for batch in TrainingBatches(made, config(mini_batch_size=6, enc0_max_seq_len=9)).epoch(3):
        allowed = np.ones((6, 6), bool)
        i, j = batch.excluded or ((), ())
        allowed[i, j] = False
        for i, user in enumerate(batch.in0.padded()[:, 0] - 1):
            others = np.delete(batch.in1.values, i)
            right = [item not in had[user] for item in others.tolist()]
            assert np.delete(allowed[i], i).tolist() == right
        left_out += 36 - allowed.sum()
    assert left_out > 20


def test_sentences_of_one_document_are_no_negatives_of_each_other():
    rows = pairs_of(
        [[i + 1] for i in range(12)], [[i + 1] for i in range(12)], group=np.repeat(np.arange(3), 4)
    )
    made = MadePairs.of(rows, maker_of("sentence_rest"), 0)
    (batch,) = TrainingBatches(made, config(mini_batch_size=12)).epoch(0)
    documents = (batch.in0.values - 1) // 4
    allowed = np.ones((12, 12), bool)
    allowed[batch.excluded] = False
    same = documents[:, None] == documents
    assert np.array_equal(allowed, ~same | np.eye(12, dtype=bool))
