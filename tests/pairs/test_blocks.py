"""Blocks of text: all windows of some documents, drawn by position, compiled or not."""

from __future__ import annotations

import functools
from collections import Counter

import numpy as np
import pytest

from object2vec import Config
from object2vec.objects.ragged import Ragged, mixed
from object2vec.objects.schema import records
from object2vec.pairs import blocks as room
from object2vec.pairs.batches import TrainingBatches
from object2vec.pairs.blocks import plain_windows, text_cuts
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.made import MadePairs
from object2vec.pairs.makers import maker_of

WORDS = 40


@functools.cache
def documents(count: int = 60) -> Pairs:
    """Documents of 0 to 30 words and one of 700, whose words say where they are from."""
    draw = np.random.default_rng(3)
    sizes = [*draw.integers(0, 30, count).tolist(), 700]
    texts = [(1 + draw.integers(0, WORDS, size) ** 2 // WORDS).tolist() for size in sizes]
    ones = np.ones(len(texts))
    return Pairs.build(in0=texts, in1=[[]] * len(texts), label=ones, schema=records())


def config(**given) -> Config:
    values = {"enc0_vocab_size": 50, "enc0_max_seq_len": 9, "enc0_network": "pooled_embedding"}
    values |= {"output_layer": "dot_product", "negative_sampling_rate": 5, "shared_negatives": 4}
    return Config.build(values | {"mini_batch_size": 2000, "negative_exponent": 0.75} | given)


def made(specification: str = "windows", seed: int = 1) -> MadePairs:
    return MadePairs.of(documents(), maker_of(specification), seed)


def neighbours(batch) -> list[tuple[int, int]]:
    """The positions of each pair in the batch."""
    return [*zip(batch.pairing.rows0.tolist(), batch.pairing.rows1.tolist(), strict=True)]


def test_texts_are_divided_between_documents_unless_one_is_long():
    offsets = documents().in0.offsets
    cuts = text_cuts(offsets, 50)
    sizes = np.diff(cuts)
    assert cuts[0] == 0
    assert cuts[-1] == offsets[-1]
    assert (sizes > 0).all()
    assert sizes.max() <= 100
    inside = cuts[cuts > offsets[-2]]  # of the document of 700 words
    assert len(inside) >= 10
    assert np.isin(cuts[cuts <= offsets[-2]], offsets).all()
    assert text_cuts(np.array([0, 3, 5, 9, 30]), 5).tolist() == [0, 5, 10, 15, 20, 25, 30]
    assert text_cuts(np.array([0, 3, 6, 9]), 5).tolist() == [0, 6, 9]
    assert text_cuts(np.array([0, 3, 5]), 5).tolist() == [0, 5]


def test_without_thinning_each_word_meets_those_within_its_reach():
    blocks = made("windows(window=3, sample=0)").blocks(config())
    batch = blocks.batch(made("windows(window=3, sample=0)"), np.array([1, 0]))
    cuts = text_cuts(documents().in0.offsets, room._WORDS)
    expected = [documents().in0.values[cuts[i] : cuts[i + 1]] for i in (1, 0)]
    words = batch.in0.values
    assert np.array_equal(words, np.concatenate(expected))
    assert np.array_equal(words, batch.in1.values[: len(words)])
    positions = np.concatenate([np.arange(cuts[i], cuts[i + 1]) for i in (1, 0)])
    document = np.searchsorted(documents().in0.offsets, positions, side="right")
    found = neighbours(batch)
    far = [abs(i - j) for i, j in found]
    assert set(far) == {1, 2, 3}
    assert far.count(1) > far.count(2) > far.count(3)
    assert all(document[i] == document[j] for i, j in found)
    middle = [i for i in range(3, len(words) - 3) if document[i - 3] == document[i + 3]]
    reach = [max(j - i for k, j in found if k == i) for i in middle]
    for i, size in zip(middle, reach, strict=True):
        own = [j for k, j in found if k == i]
        assert own == [j for j in range(i - size, i + size + 1) if j != i]
    counts = np.bincount(reach)[1:]
    assert counts.min() > len(middle) / 5, "each reach is as likely"


@pytest.mark.parametrize("lay", [plain_windows, room._compiled_windows])
def test_the_windows_of_words_are_those_of_a_loop(lay):
    sentences, rare = [[1, 2, 3, 1], [2], [3, 4, 1], [4, 4, 2, 1, 3]], 4
    texts = Ragged.build(sentences)
    keep = np.array([0, 1, 1, 1, 0], np.float32)  # each rare word is left out, no other one
    key, window = np.uint64(7), 3
    drawn = mixed(key ^ np.arange(len(texts.values), dtype=np.uint64)) & np.uint64(2**32 - 1)
    reaches = [1 + (int(each) * window >> 32) for each in drawn]
    expected = Counter()
    for start, sentence in zip(texts.offsets.tolist(), sentences, strict=False):
        kept = [(word, reaches[start + i]) for i, word in enumerate(sentence) if word != rare]
        for index, (center, size) in enumerate(kept):
            near = [i for i in range(len(kept)) if i != index and abs(i - index) <= size]
            expected.update((center, kept[i][0]) for i in near)
    cuts = np.array([0, len(texts.values)])
    text = texts.offsets, texts.values, keep
    words, (_, starts, partners) = lay(np.array([0]), cuts, *text, key, window)
    centers = np.repeat(words, np.diff(starts))
    assert Counter(zip(centers.tolist(), words[partners].tolist(), strict=True)) == expected
    assert len(partners) > 10


def test_frequent_words_are_thinned_out_by_their_share():
    pairs = made("windows(sample=0.02)")
    blocks = pairs.blocks(config())
    kept = np.zeros(WORDS + 2)
    for epoch in range(300):
        batch = blocks.batch(pairs.of_epoch(epoch), np.arange(len(blocks)))
        kept += np.bincount(batch.in0.values, minlength=len(kept))
    counts = np.bincount(documents().in0.values, minlength=len(kept))
    share = counts / counts.sum()
    chance = np.minimum(1, np.sqrt(0.02 / np.maximum(share, 1e-9)) + 0.02 / np.maximum(share, 1e-9))
    seen = counts > 0
    assert chance[seen].min() < 0.5
    deviation = np.sqrt(chance * (1 - chance) / (300 * np.maximum(counts, 1)))
    assert (abs(kept / 300 / np.maximum(counts, 1) - chance)[seen] <= 5 * deviation[seen]).all()


@pytest.mark.parametrize("exponent", [0.75, 0.0])
def test_noise_is_drawn_by_frequency_to_a_power(exponent):
    pairs = made()
    blocks = pairs.blocks(config(shared_negatives=50, negative_exponent=exponent))
    drawn = np.zeros(WORDS + 2)
    for epoch in range(60):
        batch = blocks.batch(pairs.of_epoch(epoch), np.arange(len(blocks)))
        noise = batch.in1.values[len(batch.in0) :]
        assert len(noise) == 50 * len(blocks)
        drawn += np.bincount(noise, minlength=len(drawn))
    wanted = np.bincount(documents().in0.values, minlength=len(drawn)) ** exponent
    wanted[np.bincount(documents().in0.values, minlength=len(drawn)) == 0] = 0
    expected = wanted / wanted.sum() * drawn.sum()
    assert (abs(drawn - expected) <= 5 * np.sqrt(expected) + 1e-9).all()


def test_compiled_windows_are_the_plain_ones(monkeypatch):
    assert room.compiled_programs() is not None
    pairs, some = made("windows(window=4, sample=0.01)"), np.array([3, 0, 2])
    blocks = pairs.blocks(config())
    ours = blocks.batch(pairs.of_epoch(2), some)
    monkeypatch.setattr(room, "compiled_programs", lambda: None)
    theirs = blocks.batch(pairs.of_epoch(2), some)
    assert len(ours) > 100
    assert np.array_equal(ours.in1.values, theirs.in1.values)
    for name in ("bounds", "starts", "partners"):
        a, b = getattr(ours.pairing, name), getattr(theirs.pairing, name)
        assert np.array_equal(a, b), name
        assert a.dtype == b.dtype


def test_a_block_without_words_has_no_pairs():
    text = np.array([0, 2, 2]), np.array([1, 1], np.int32), np.zeros(2, np.float32)
    cuts = np.array([0, 1, 2])
    words, (bounds, starts, partners) = plain_windows(
        np.array([1, 0]), cuts, *text, np.uint64(1), 5
    )
    assert [len(words), bounds.tolist(), starts.tolist(), len(partners)] == [0, [0, 0, 0], [0], 0]


def test_batches_are_of_blocks_in_another_order_each_epoch():
    batches = TrainingBatches(made(), config(mini_batch_size=400))
    epochs = [[*batches.epoch(epoch)] for epoch in (0, 1, 1)]
    assert len(epochs[0]) == len(batches) > 2
    sizes = [len(batch) for batch in epochs[0][:-1]]
    assert 200 < np.mean(sizes) < 1000
    words = [np.concatenate([batch.in0.values for batch in epoch]) for epoch in epochs]
    assert np.array_equal(words[1], words[2])
    assert not np.array_equal(words[0][:100], words[1][:100])
    resumed = [*batches.epoch(1, 2)]
    assert np.array_equal(resumed[0].in1.values, epochs[1][2].in1.values)
    assert np.array_equal(resumed[0].pairing.partners, epochs[1][2].pairing.partners)


@pytest.mark.parametrize("given", [{"shared_negatives": 0}, {"output_layer": "softmax"}])
def test_without_shared_negatives_a_batch_has_single_pairs(given):
    assert made().blocks(config(**given)) is None
    pairs = made("windows(window=2, sample=0.01)")
    taken = pairs.take(np.arange(len(pairs)))
    text = documents().in0
    assert len(taken.in0) == sum(length for length in text.lengths.tolist() if length > 1)
    before = 0
    for row in range(len(text)):
        words = text.row(row).tolist()
        near = {(a, b) for i, a in enumerate(words) for b in words[max(0, i - 2) : i + 3]}
        for _ in range(len(words) if len(words) > 1 else 0):
            pair = taken.in0.values[before], taken.in1.values[before]
            assert pair in near
            before += 1
