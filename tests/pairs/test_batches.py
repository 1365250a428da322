"""Batches: every record once an epoch, similar lengths together, negatives that are fair."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from object2vec import Config, Pairs
from object2vec.errors import DataError
from object2vec.objects.layouts import LAYOUTS
from object2vec.objects.schema import RECORDS, Column, Schema
from object2vec.objects.schema import records as of_records
from object2vec.pairs.batches import (
    Batch,
    TrainingBatches,
    evaluation_batches,
)
from object2vec.pairs.negatives import draw_pairing
from object2vec.pairs.order import RandomOrder
from object2vec.reading.ahead import prefetch


def config(**settings) -> Config:
    values = {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": 10,
        "enc0_vocab_size": 1000,
        "enc_dim": 4,
        "mini_batch_size": 8,
    }
    return Config.build(values | settings)


def pairs(n: int, lengths=(1,)) -> Pairs:
    """Records whose first token names them: record i is [i + 1, ...] and [i + 501, ...]."""
    sizes = [lengths[i % len(lengths)] for i in range(n)]
    return Pairs.build(
        in0=[[i + 1, *[900] * (size - 1)] for i, size in enumerate(sizes)],
        in1=[[i + 501] for i in range(n)],
        label=np.arange(n) % 3 + 1,
    )


def records(batch: Batch) -> list[tuple[int, int, float]]:
    """Each record of a batch: who gives in0, who gives in1, label."""
    rows0, rows1 = np.arange(len(batch.in0)), np.arange(len(batch.in1))
    if batch.pairing is not None:
        rows0, rows1 = batch.pairing.rows0, batch.pairing.rows1
    assert len(rows0) == len(rows1) == len(batch)
    first0 = [int(batch.in0.row(r)[0]) - 1 for r in rows0]
    first1 = [int(batch.in1.row(r)[0]) - 501 for r in rows1]
    return list(zip(first0, first1, batch.label.tolist(), strict=True))


def of_epoch(batches: TrainingBatches, epoch: int, start: int = 0) -> list:
    return [records(batch) for batch in batches.epoch(epoch, start)]


WITH = pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bucket_width": 2},
        {"negative_sampling_rate": 3},
        {"negative_sampling_rate": 1, "bucket_width": 3},
        {"mini_batch_size": 1, "negative_sampling_rate": 2},
        {"mini_batch_size": 10_000},
    ],
    ids=str,
)


@WITH
@pytest.mark.parametrize("n", [2, 8, 9, 33])
def test_every_record_comes_once_an_epoch_with_its_partner_and_label(settings, n):
    batches = TrainingBatches(pairs(n, lengths=(1, 4, 9, 2)), config(**settings))
    rate = settings.get("negative_sampling_rate", 0)
    size = settings.get("mini_batch_size", 8)
    for epoch in range(3):
        seen, count = [], 0
        for batch in of_epoch(batches, epoch):
            positives = len(batch) // (1 + rate)
            assert len(batch) == positives * (1 + rate)
            assert len(batch) <= max(size, 1 + rate)
            assert all(a == b and label == a % 3 + 1 for a, b, label in batch[:positives])
            seen += [a for a, _, _ in batch[:positives]]
            count += len(batch)
            generated = batch[positives:]
            assert all(a != b and label == 0 for a, b, label in generated)
            for i in range(rate):  # each positive has `rate` negatives with its in0
                part = generated[i * positives : (i + 1) * positives]
                assert [a for a, _, _ in part] == [a for a, _, _ in batch[:positives]]
        assert sorted(seen) == list(range(n))
        assert count == batches.records == (1 + rate) * n
    assert len(of_epoch(batches, 0)) == len(batches)


@WITH
def test_epochs_differ_seeds_differ_and_the_same_epoch_is_the_same(settings):
    data = pairs(33, lengths=(1, 4, 9, 2))
    batches = TrainingBatches(data, config(**settings))
    assert of_epoch(batches, 0) == of_epoch(TrainingBatches(data, config(**settings)), 0)
    assert of_epoch(batches, 0) != of_epoch(batches, 1)
    other = TrainingBatches(data, config(seed=1, **settings))
    assert of_epoch(batches, 0) != of_epoch(other, 0)


@WITH
def test_an_epoch_can_begin_anywhere(settings):
    batches = TrainingBatches(pairs(33, lengths=(1, 4, 9, 2)), config(**settings))
    whole = of_epoch(batches, 2)
    for start in range(len(whole) + 1):
        assert of_epoch(batches, 2, start) == whole[start:]


@given(st.integers(2, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_no_negative_is_its_own_record(positives, rate, seed):
    generator = np.random.default_rng(seed)
    pairing = draw_pairing(positives, np.arange(positives), rate, generator)
    own = np.tile(np.arange(positives), 1 + rate)
    assert np.array_equal(pairing.rows0, own)
    assert np.array_equal(pairing.rows1[:positives], np.arange(positives))
    assert (pairing.rows1[positives:] != own[positives:]).all()


@given(st.lists(st.integers(0, 3), min_size=2, max_size=9), st.integers(0, 2**32 - 1))
def test_a_record_that_stands_twice_in_a_batch_is_not_its_own_negative(rows, seed):
    records = np.array([*rows, 4])
    pairing = draw_pairing(len(rows), records, 5, np.random.default_rng(seed))
    generated = slice(len(rows), None)
    assert (records[pairing.rows0] == records[pairing.rows1])[: len(rows)].all()
    assert (records[pairing.rows0[generated]] != records[pairing.rows1[generated]]).all()


@pytest.mark.parametrize("records", [[5, 9, 2, 7], [5, 9, 9, 2, 7, 5]])
def test_in_a_fixed_batch_every_other_record_is_a_partner_equally_often(records):
    positives, rate = len(records), 3000
    records = np.array(records)
    pairing = draw_pairing(positives, records, rate, np.random.default_rng(0))
    partners = records[pairing.rows1[positives:].reshape(rate, positives)]  # (r, P)
    for own, drawn in zip(records, partners.T, strict=True):
        found, counts = np.unique(drawn, return_counts=True)
        assert set(found) == set(records) - {own}
        assert chi_square(counts) < 19  # 0.9999 quantile, 2 degrees of freedom


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / len(counts)
    return float(((counts - expected) ** 2 / expected).sum())


def test_negatives_are_uniform_over_all_other_records():
    """Over many epochs, the partner of one record is any other one with equal chance."""
    n, epochs = 12, 1500
    batches = TrainingBatches(pairs(n), config(negative_sampling_rate=1))  # 4 positives a batch
    counts = np.zeros((n, n))
    for epoch in range(epochs):
        for batch in of_epoch(batches, epoch):
            for a, b, label in batch:
                counts[a, b] += label == 0
    assert (counts.diagonal() == 0).all()
    assert (counts.sum(1) == epochs).all()
    # 0.9999 quantile of chi-square with 10 degrees of freedom; the seed is fixed.
    values = [chi_square(np.delete(counts[a], a)) for a in range(n)]
    assert max(values) < 35.6
    assert min(values) > 0.5  # nor suspiciously even


def test_a_last_batch_of_one_borrows_from_all_records():
    n, seen = 9, []
    batches = TrainingBatches(pairs(n), config(mini_batch_size=16, negative_sampling_rate=1))
    assert len(batches) == 2
    for epoch in range(600):
        *_, last = batches.epoch(epoch)
        assert len(last.in0) == 1
        assert len(last.in1) == 2
        (own, partner, label), (again, other, zero) = records(last)
        assert own == partner == again != other
        assert label == own % 3 + 1
        assert zero == 0
        seen.append((other - own) % n)
    counts = np.bincount(seen, minlength=n)[1:]
    assert chi_square(counts) < 29.9  # 0.9999 quantile, 7 degrees of freedom


def test_buckets_are_the_documented_rule():
    """Side 0 may have 10 tokens and is cut into 3, 6, 9, 10; side 1 has 5: 1.5, 3, 4.5, 5."""
    lengths = [(a, b) for a in range(13) for b in range(7)]
    data = Pairs.build(
        in0=[[7] * a for a, _ in lengths],
        in1=[[7] * b for _, b in lengths],
        label=np.arange(len(lengths)),
    )
    settings = {
        "bucket_width": 3,
        "enc1_network": "pooled_embedding",
        "enc1_max_seq_len": 5,
        "enc1_vocab_size": 9,
        "mini_batch_size": 4,
    }
    batches = TrainingBatches(data, config(**settings))
    limits = [(3, 1.5), (6, 3), (9, 4.5), (12, 6)]
    expected = [[], [], [], []]
    for row, (a, b) in enumerate(lengths):
        fits = [min(a, 10) <= x and min(b, 5) <= y for x, y in limits]
        expected[fits.index(True)].append(row)
    assert [bucket.tolist() for bucket in batches.buckets] == expected
    bucket_of = {row: i for i, bucket in enumerate(expected) for row in bucket}
    seen = []
    for batch in batches.epoch(0):
        kinds = {bucket_of[int(row)] for row in batch.label}
        assert len(kinds) == 1
        seen.append(kinds.pop())
    assert len(seen) == len(batches)
    assert seen != sorted(seen)  # buckets come mixed


@pytest.mark.parametrize("lengths", [(1, 9), (1, 5, 9)])
def test_batches_of_all_buckets_are_mixed(lengths):
    batches = TrainingBatches(pairs(60, lengths), config(bucket_width=4, mini_batch_size=4))
    assert len(batches.buckets) == len(lengths)
    each = -(-60 // len(lengths) // 4)
    for epoch in range(3):
        found = [int(batch.in0.lengths.max()) for batch in batches.epoch(epoch)]
        assert sorted(found) == [size for size in lengths for _ in range(each)]
        assert found != sorted(found)


def test_one_bucket_without_a_width_and_one_for_equal_lengths():
    data = pairs(20, lengths=(1, 9))
    assert len(TrainingBatches(data, config()).buckets) == 1
    assert len(TrainingBatches(data, config(bucket_width=1)).buckets) == 2
    assert len(TrainingBatches(data, config(bucket_width=100)).buckets) == 1
    assert len(TrainingBatches(pairs(20), config(bucket_width=1)).buckets) == 1


@pytest.mark.parametrize("bucket_width", [0, 2])
@pytest.mark.parametrize("rate", [0, 1, 3])
@pytest.mark.parametrize("n", [2, 5, 16])
def test_compat_metrics_fills_every_batch_up(n, rate, bucket_width):
    settings = {"negative_sampling_rate": rate, "bucket_width": bucket_width}
    batches = TrainingBatches(pairs(n, lengths=(1, 4, 9)), config(compat_metrics=True, **settings))
    full = 8 // (1 + rate)
    for epoch in range(5):
        sizes, seen, count = [], [], 0
        for batch in of_epoch(batches, epoch):
            positives = [a for a, b, label in batch if label]
            sizes.append(len(positives))
            count += len(batch)
            seen += positives
            assert all((a == b) == (label != 0) for a, b, label in batch)
            if bucket_width:
                assert len({a % 3 for a in positives}) == 1  # repeated ones are of the bucket
        assert sizes == [full] * len(batches)
        assert count == batches.records
        assert set(seen) == set(range(n))
        assert len(seen) == n + batches.repeated_records


def test_nothing_is_repeated_without_compat_metrics():
    assert TrainingBatches(pairs(9), config()).repeated_records == 0
    assert TrainingBatches(pairs(9), config(compat_metrics=True)).repeated_records == 7


@pytest.mark.parametrize("rate", [0, 2])
@pytest.mark.parametrize("n", [2, 9])
def test_sequences_are_cut_to_what_each_encoder_reads(n, rate):
    data = Pairs.build(
        in0=[[i + 1, *range(100, 100 + i)] for i in range(n)],
        in1=[[i + 501, *range(300, 309)] for i in range(n)],
        label=[1] * n,
    )
    made = config(
        enc0_max_seq_len=4,
        enc1_network="pooled_embedding",
        enc1_max_seq_len=2,
        enc1_vocab_size=600,
        negative_sampling_rate=rate,
    )
    for batch in [*TrainingBatches(data, made).epoch(0), *evaluation_batches(data, made)]:
        for column, limit, whole in ((batch.in0, 4, data.in0), (batch.in1, 2, data.in1)):
            for i in range(len(column)):
                row = column.row(i).tolist()
                assert row == whole.row((row[0] - 1) % 500)[:limit].tolist()


def test_evaluation_takes_every_record_in_order_without_negatives():
    data = pairs(19)
    given_order = [(i, i, float(i % 3 + 1)) for i in range(19)]
    batches = list(evaluation_batches(data, config(negative_sampling_rate=3)))
    assert [len(batch) for batch in batches] == [8, 8, 3]
    assert [r for batch in batches for r in records(batch)] == given_order
    filled = list(evaluation_batches(data, config(compat_metrics=True)))
    assert [len(batch) for batch in filled] == [8, 8, 8]
    found = [r for batch in filled for r in records(batch)]
    assert found[:19] == given_order
    assert set(found[19:]) <= set(given_order)
    again = [r for b in evaluation_batches(data, config(compat_metrics=True)) for r in records(b)]
    assert again == found


def test_batches_prepared_ahead_are_the_same_ones():
    batches = TrainingBatches(pairs(50), config(negative_sampling_rate=2))
    ahead = [records(batch) for batch in prefetch(batches.epoch(3, 1))]
    assert ahead == of_epoch(batches, 3, 1)
    assert list(prefetch(iter(()))) == []


def test_an_error_while_preparing_ahead_reaches_the_caller_in_its_place():
    first = next(TrainingBatches(pairs(9), config()).epoch(0))

    def broken():
        yield first
        raise OSError("the disk is gone")

    ahead = prefetch(broken())
    assert next(ahead) is first
    with pytest.raises(OSError, match="the disk is gone"):
        next(ahead)


def test_leaving_an_epoch_early_ends_the_thread_that_prepares():
    before = threading.active_count()
    ahead = prefetch(TrainingBatches(pairs(50), config()).epoch(0))
    next(ahead)
    assert threading.active_count() == before + 1
    ahead.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("length", [1, 2, 4, 5, 64, 65, 1000, 2**20 + 1])
def test_a_computed_order_permutes_few_numbers_beyond_its_last(length, monkeypatch):
    """Of every four numbers that are permuted one is a record, in the long run, at the least."""
    permuted, permute = [], RandomOrder._permuted

    def counted(self, numbers):
        permuted.append(len(numbers))
        assert sum(permuted) <= 6 * length + 60
        return permute(self, numbers)

    monkeypatch.setattr(RandomOrder, "_permuted", counted)
    order = RandomOrder(length, np.random.default_rng(0))
    assert len(order[0:length]) == length


@given(st.integers(1, 3000), st.integers(0, 2**32 - 1), st.integers(1, 400))
def test_a_computed_order_holds_each_number_once(length, seed, size):
    order = RandomOrder(length, np.random.default_rng(seed))
    parts = [order[at : at + size] for at in range(0, len(order), size)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(length))


@pytest.mark.parametrize("length", [64, 65, 100, 256])
def test_a_computed_order_is_as_random_as_a_shuffled_list(length):
    """Chi-square over where each number stands, and which one follows it, in 4,000 orders."""
    generator, trials = np.random.default_rng(0), 4000
    orders = np.stack([RandomOrder(length, generator)[0:length] for _ in range(trials)])
    steps = (orders[:, 1:] - orders[:, :-1]) % length  # never 0
    for found, cells in ((orders, length), (steps - 1, length - 1)):
        counts = np.stack([np.bincount(column, minlength=cells) for column in found.T])
        expected = trials / cells
        chi = ((counts - expected) ** 2 / expected).sum(axis=1) / (cells - 1)  # 1 on average
        assert chi.mean() == pytest.approx(1.0, abs=0.1)
        assert chi.max() < 2


@pytest.mark.parametrize("settings", [{}, {"negative_sampling_rate": 3}, {"bucket_width": 2}])
def test_a_computed_order_makes_epochs_like_any_other(monkeypatch, settings):
    monkeypatch.setattr("object2vec.pairs.batches._LISTED", 10)
    batches = TrainingBatches(pairs(37, lengths=(1, 9)), config(**settings))
    first, second = of_epoch(batches, 0), of_epoch(batches, 1)
    for epoch in (first, second):
        given = [r for batch in epoch for r in batch if r[2]]
        assert sorted(r[0] for r in given) == list(range(37))
        assert all(r[0] == r[1] for r in given)
    assert len(first) == len(batches)
    assert first != second
    assert of_epoch(batches, 0) == first
    assert of_epoch(batches, 1, start=3) == second[3:]


WEIGHTED = Schema((*RECORDS, Column("weight", LAYOUTS["number"])))


def weighted(weights) -> Pairs:
    return Pairs.build(
        in0=[[i + 1] for i in range(len(weights))],
        in1=[[i + 501] for i in range(len(weights))],
        label=np.ones(len(weights)),
        weight=weights,
        schema=WEIGHTED,
    )


@pytest.mark.parametrize("rate", [0, 3])
def test_weights_are_one_on_average_and_a_negative_weighs_as_its_positive(rate):
    weights = np.arange(1.0, 9.0)
    batches = TrainingBatches(weighted(weights), config(negative_sampling_rate=rate))
    seen = {}
    for batch in batches.epoch(0):
        for (first, _, _), weight in zip(records(batch), batch.weight, strict=True):
            assert seen.setdefault(first, weight) == weight
    assert [seen[i] for i in range(8)] == pytest.approx(weights / weights.mean())


def test_weights_that_are_all_the_same_are_one():
    batches = TrainingBatches(weighted([0.1] * 9), config())
    assert {w for batch in batches.epoch(0) for w in batch.weight.tolist()} == {1.0}


def grouped(groups) -> Pairs:
    return Pairs.build(
        in0=[[i + 1] for i in range(len(groups))],
        in1=[[i + 501] for i in range(len(groups))],
        label=np.ones(len(groups)),
        group=groups,
        schema=of_records(has_group=True),
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"negative_sampling_rate": 3},
        {"negative_sampling_rate": 3, "mini_batch_size": 1},
        {"negative_sampling_rate": 1, "mini_batch_size": 1000},
        {"random_negative_sampling_rate": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("n_groups", [2, 5, 40])
def test_no_negative_is_of_its_own_group(settings, n_groups):
    groups = np.random.default_rng(0).integers(n_groups, size=40) ** 3 - 9
    batches = TrainingBatches(grouped(groups), config(**settings))
    negatives = 0
    for epoch in range(3):
        for batch in batches.epoch(epoch):
            positives = len(batch.in0)
            for first0, first1, _ in records(batch)[positives:]:
                assert groups[first0] != groups[first1]
                negatives += 1
    assert negatives == 3 * 40 * batches.rate


def test_one_record_of_another_group_is_found_among_many():
    groups = np.zeros(3000, np.int64)
    groups[1234] = 7
    batches = TrainingBatches(grouped(groups), config(negative_sampling_rate=1))
    partners = {
        b for batch in batches.epoch(0) for a, b, _ in records(batch)[len(batch.in0) :] if a != 1234
    }
    assert partners == {1234}


def test_partners_of_other_groups_are_uniform():
    groups = np.array([0, 0, 0, 1, 1, 2])
    pairing = draw_pairing(6, np.arange(6), 6000, np.random.default_rng(0), groups)
    for own in range(6):
        partners = pairing.rows1[6:][pairing.rows0[6:] == own]
        counts = np.bincount(partners, minlength=6)
        others = groups != groups[own]
        assert counts[~others].sum() == 0
        expected = 6000 / others.sum()
        assert counts[others] == pytest.approx(expected, abs=5 * expected**0.5)


def test_negatives_need_two_groups():
    with pytest.raises(DataError, match="pairs: must have records of two groups or more"):
        TrainingBatches(grouped([5] * 9), config(negative_sampling_rate=1))
    assert len(TrainingBatches(grouped([5] * 9), config())) == 2


def test_groups_are_part_of_a_fingerprint():
    assert grouped([1, 2, 3]).fingerprint != grouped([1, 2, 4]).fingerprint
    assert grouped([1, 2, 3]).statistics["group"].high == 3


def test_token_dropout_leaves_tokens_out_of_training_anew_each_epoch():
    data = Pairs.build(
        in0=[[*range(1, 101)]] * 40, in1=[[i + 1] for i in range(40)], label=np.ones(40)
    )
    settings = {"enc0_max_seq_len": 100, "mini_batch_size": 20}
    batches = TrainingBatches(data, config(token_dropout=0.3, **settings))
    seen = [[batch.in0 for batch in batches.epoch(epoch)] for epoch in (0, 0, 1)]
    for first, again, later in zip(*seen, strict=True):
        assert np.array_equal(first.values, again.values)
        assert not np.array_equal(first.values, later.values)
        assert first.lengths.mean() == pytest.approx(70, abs=4)
        assert first.lengths.std() > 1  # not one mask for all
        assert all(np.all(np.diff(first.row(i)) > 0) for i in range(20))  # order is kept
    resumed = [batch.in0 for batch in batches.epoch(1, 1)]
    assert np.array_equal(resumed[0].values, seen[2][1].values)
    assert all((batch.in1.lengths == 1).all() for batch in batches.epoch(0))
    measured = evaluation_batches(data, config(token_dropout=0.9, **settings))
    assert all((batch.in0.lengths == 100).all() for batch in measured)


def test_what_is_measured_as_in_training_loses_no_token():
    made = Pairs.build(in0=[[1, 2, 3]] * 20, in1=[[4]] * 20, label=np.ones(20))
    positives = Pairs(made.columns, "data", made.schema, are_positives=True)
    measured = evaluation_batches(positives, config(token_dropout=0.9, negative_sampling_rate=1))
    assert all((batch.in0.lengths == 3).all() for batch in measured)


def test_what_is_measured_as_in_training_is_measured_as_in_the_first_epoch():
    made = Pairs.build(in0=[[i + 1] for i in range(30)], in1=[[1]] * 30, label=np.ones(30))
    positives = Pairs(made.columns, "data", made.schema, are_positives=True)
    given = config(negative_sampling_rate=1)
    measured = [records(batch) for batch in evaluation_batches(positives, given)]
    assert measured == [records(batch) for batch in TrainingBatches(positives, given).epoch(0)]
    assert measured != [records(batch) for batch in TrainingBatches(positives, given).epoch(1)]
