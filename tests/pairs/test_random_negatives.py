"""Negatives with an object that is drawn for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from object2vec.config import Config
from object2vec.objects.ragged import Ragged
from object2vec.pairs.batches import TrainingBatches, evaluation_batches
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.negatives import Negatives

COUNT = 40


def config(**given):
    settings = {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": 2,
        "enc0_vocab_size": 5000,
        "enc_dim": 4,
        "mini_batch_size": 24,
        "output_layer": "dot_product",
        "seed": 3,
    }
    return Config.build(settings | given)


def pairs(count=COUNT):
    """Record i is i + 1 with i + 1001."""
    rows = np.arange(count)[:, None]
    return Pairs.build(in0=rows + 1, in1=rows + 1001, label=np.ones(count))


def draw(count, generator):
    """Sequences of two, three or four tokens from 3000 on."""
    lengths = generator.integers(2, 5, size=count)
    values = generator.integers(3000, 4000, size=lengths.sum(), dtype=np.int32)
    return Ragged(values, np.concatenate([[0], np.cumsum(lengths)]))


def triples(batch):
    """in0, in1 and label of each record."""
    rows0, rows1 = batch.pairing.rows0.tolist(), batch.pairing.rows1.tolist()
    in0, in1 = (
        [*map(np.ndarray.tolist, map(c.row, range(len(c))))] for c in (batch.in0, batch.in1)
    )
    return [(in0[i][0], in1[j], y) for i, j, y in zip(rows0, rows1, batch.label, strict=True)]


@pytest.mark.parametrize(("shuffled", "drawn"), [(0, 1), (2, 3), (0, 5)])
def test_each_record_gets_its_negatives_of_both_sorts(shuffled, drawn):
    made = config(negative_sampling_rate=shuffled, random_negative_sampling_rate=drawn)
    batches = TrainingBatches(replace(pairs(), draw=draw), made)
    assert batches.positives == 24 // (1 + shuffled + drawn)
    assert batches.records == COUNT * (1 + shuffled + drawn)
    found = [record for batch in batches.epoch(0) for record in triples(batch)]
    assert len(found) == batches.records
    true = [(a, b) for a, b, label in found if label]
    assert sorted(true) == [(i + 1, [i + 1001]) for i in range(COUNT)]
    borrowed = [(a, b) for a, b, label in found if not label and b[0] < 3000]
    new = [(a, b) for a, b, label in found if not label and b[0] >= 3000]
    assert sorted(a for a, _ in borrowed) == sorted([*range(1, COUNT + 1)] * shuffled)
    assert sorted(a for a, _ in new) == sorted([*range(1, COUNT + 1)] * drawn)
    assert all(b[0] != a + 1000 for a, b in borrowed)
    assert {len(b) for _, b in new} == {2}  # truncated as every other
    assert len({tuple(b) for _, b in new}) > 0.9 * len(new)


def test_without_a_way_to_draw_the_object_of_any_other_record_is_taken():
    made = config(random_negative_sampling_rate=5, mini_batch_size=6)  # one record in a batch
    found = [r for batch in TrainingBatches(pairs(), made).epoch(0) for r in triples(batch)]
    partners = [b[0] - 1001 for a, b, label in found if not label]
    own = [a - 1 for a, b, label in found if not label]
    assert all(a != b for a, b in zip(own, partners, strict=True))
    assert set(partners) <= set(range(COUNT))
    assert len(set(partners)) > COUNT / 2


def test_they_follow_the_seed_the_epoch_and_the_batch():
    def epoch(number, start=0, seed=3):
        made = config(random_negative_sampling_rate=1, negative_sampling_rate=1, seed=seed)
        return [
            triples(b)
            for b in TrainingBatches(replace(pairs(), draw=draw), made).epoch(number, start)
        ]

    assert epoch(0) == epoch(0)
    assert epoch(0)[2:] == epoch(0, start=2)
    assert epoch(0) != epoch(1)
    assert epoch(0) != epoch(0, seed=4)


def test_validation_gets_the_same_negatives_every_time():
    made = config()
    negatives, drawn = Negatives(random=2), replace(pairs(), draw=draw)
    first, again = (
        [r for b in evaluation_batches(drawn, made, negatives) for r in triples(b)]
        for _ in range(2)
    )
    assert first == again
    assert [a for a, _, label in first if label] == [*range(1, COUNT + 1)]
    assert sum(label == 0 for *_, label in first) == 2 * COUNT
    plain = [*evaluation_batches(pairs(), made)]
    assert all(batch.pairing is None for batch in plain)


def test_positives_alone_are_measured_against_drawn_objects_whatever_training_does():
    made = config(negative_sampling_rate=3)
    positives = replace(pairs(), draw=draw, are_positives=True)
    found = [r for b in evaluation_batches(positives, made) for r in triples(b)]
    assert [b[0] >= 3000 for _, b, label in found if not label] == [True] * COUNT
    softmax = config(negative_sampling_rate=3, output_layer="softmax")
    found = [r for b in evaluation_batches(positives, softmax) for r in triples(b)]
    assert [b[0] < 3000 for _, b, label in found if not label] == [True] * 3 * COUNT


@pytest.mark.parametrize("layer", ["dot_product", "softmax"])
def test_one_positive_alone_has_nobody_to_be_measured_against(layer):
    made = config(negative_sampling_rate=3, output_layer=layer)
    for count in (1, 2):
        positives = replace(pairs(count), are_positives=True)
        (batch,) = evaluation_batches(positives, made)
        assert (batch.pairing is None) == (count == 1)
        assert len(batch) == (1 if count == 1 else 2 * (2 if layer == "dot_product" else 4))
    (batch,) = evaluation_batches(replace(pairs(2), are_positives=True), config())
    assert batch.pairing is None, "and nobody is, where training has no negatives"


def test_a_batch_of_less_than_a_record_and_its_negatives_has_one_all_the_same():
    made = config(negative_sampling_rate=2, random_negative_sampling_rate=2, mini_batch_size=4)
    batches = [*TrainingBatches(pairs(3), made).epoch(0)]
    assert [len(batch) for batch in batches] == [5, 5, 5]
    measured = [*evaluation_batches(pairs(3), made, Negatives(2, 2))]
    assert [len(batch) for batch in measured] == [5, 5, 5]
