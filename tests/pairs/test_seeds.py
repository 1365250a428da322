"""What a seed leads to, as it has always been: a run that is repeated later draws the same.

A change of these marks changes what every seed means. It is a decision, with a line in CHANGELOG.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from object2vec.config import Config
from object2vec.objects import ragged
from object2vec.objects.schema import records
from object2vec.pairs import batches
from object2vec.pairs.batches import TrainingBatches, evaluation_batches
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.made import MadePairs
from object2vec.pairs.makers import MAKERS, maker_of
from object2vec.pairs.order import RandomOrder
from object2vec.reading import splits


def mark(*values) -> str:
    """A short digest of whole numbers, of sequences and of None."""
    digest = hashlib.sha256()
    for value in values:
        if hasattr(value, "offsets"):
            digest.update(mark(value.values, value.offsets).encode())
        elif value is None:
            digest.update(b"none")
        else:
            digest.update(np.ascontiguousarray(value, np.float64).tobytes())
    return digest.hexdigest()[:8]


def pairs(n: int = 61) -> Pairs:
    """Records of several lengths, in groups, with weights."""
    return Pairs.build(
        in0=[[i + 1, *range(100, 100 + i % 7)] for i in range(n)],
        in1=[[i % 17 + 501, *range(i % 3)] for i in range(n)],
        label=np.ones(n),
        group=[i // 4 for i in range(n)],
        weight=[i % 5 + 1 for i in range(n)],
        schema=records(has_weight=True, has_group=True),
        source="seeds",
    )


def config(**settings) -> Config:
    values = {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": 9,
        "enc0_vocab_size": 1000,
        "enc1_network": "pooled_embedding",
        "enc1_max_seq_len": 9,
        "enc1_vocab_size": 1000,
        "enc_dim": 4,
        "mini_batch_size": 16,
        "seed": 3,
    }
    return Config.build(values | settings, beyond_aws=True)


def mark_of(found) -> str:
    """The digest of batches: objects, labels, weights, who meets whom."""
    said = []
    for batch in found:
        said += [batch.in0, batch.in1, batch.label, batch.weight]
        pairing = batch.pairing
        said += [getattr(pairing, name, None) for name in ("rows0", "rows1", "starts", "partners")]
        said += [*(batch.excluded or ()), None if batch.log_q is None else batch.log_q.round(4)]
    return mark(*said)


RANKING = {"output_layer": "ranking", "mini_batch_size": 8}
DETECTION = {"output_layer": "dot_product", "negative_sampling_rate": 1}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "e1950752 32036422 f1f9523a"),
        ({"seed": 4}, "ede190a6 5a740329 f1f9523a"),
        ({"bucket_width": 2}, "fc772b29 49fd03fe f1f9523a"),
        ({"compat_metrics": True, "bucket_width": 3}, "3bab676e b8b3beec d4a2c267"),
        ({"negative_sampling_rate": 2}, "9c08b4b8 be868755 f1f9523a"),
        (DETECTION | {"random_negative_sampling_rate": 2}, "022b617d f36a0d73 f1f9523a"),
        ({"token_dropout": 0.3}, "cbe33b23 52374937 f1f9523a"),
        (RANKING, "713399bf 20c74f97 5db1df6d"),
        (RANKING | {"shared_negatives": 5}, "49f8ecae 3787b9ed 5db1df6d"),
        (RANKING | {"shared_negatives": 5, "log_q_correction": True}, "5fb5edbd 795a7849 5db1df6d"),
    ],
    ids=str,
)
def test_batches_of_two_epochs_and_those_that_measure(settings, expected):
    of = config(**settings)
    found = TrainingBatches(pairs(), of)
    said = [mark_of(found.epoch(epoch)) for epoch in (0, 1)] + [
        mark_of(evaluation_batches(pairs(), of))
    ]
    assert " ".join(said) == expected


def test_orders_of_many_are_computed(monkeypatch):
    generator = np.random.default_rng(5)
    order = RandomOrder(1000, generator)
    found = order[0:1000]
    assert sorted(found.tolist()) == list(range(1000))
    assert mark(found) == "94d8ccaa"
    monkeypatch.setattr(batches, "_LISTED", 10)
    plain = Pairs.build(in0=[[i + 1] for i in range(40)], in1=[[1]] * 40, label=np.ones(40))
    assert mark_of(TrainingBatches(plain, config()).epoch(0)) == "8d1a9a8d"
    monkeypatch.setattr(batches, "_LISTED", 40)
    assert mark_of(TrainingBatches(plain, config()).epoch(0)) == "3657cfb9"


def collections() -> Pairs:
    sizes = [4, 1, 6, 2, 3, 9]
    found = [(d, i) for d, size in enumerate(sizes) for i in range(size)]
    return Pairs.build(
        in0=[[100 * d + i + 1, *range(1, i + 1)] for d, i in found],
        in1=[[10 * d + i + 1, 500] for d, i in found],
        label=np.ones(len(found)),
        weight=np.ones(len(found)),
        group=[d * 7 for d, _ in found],
        schema=records(has_weight=True, has_group=True),
    )


@pytest.mark.parametrize(
    ("maker", "expected"),
    [
        ("sentence_rest", "ca14a2ed 6ab8d326"),
        ("sentence_rest(sentences=2, least=0.5)", "18b15259 e3970668"),
        ("neighbours", "b20a7c09 d5484d0c"),
        ("neighbours(reach=3)", "f338c0c7 804069b5"),
        ("group", "ec49c823 4a8731e1"),
        ("group(pairs=2)", "1aa848ec 6f490b6d"),
        ("history", "1d54e1ec 1d54e1ec"),
        ("history(dropout=0.5, user=own)", "62dbb9e1 0a706f07"),
        ("labels", "2578071d 68920c2c"),
        ("labels(labels=0)", "a3edade3 a942c1af"),
        ("first_two", "7d4ae9f5 7d4ae9f5"),
    ],
)
def test_pairs_that_are_made_of_two_epochs(maker, expected):
    assert maker.partition("(")[0] in MAKERS
    made = MadePairs.of(collections(), maker_of(maker), seed=3)
    said = []
    for epoch in (0, 1):
        taken = made.of_epoch(epoch).take(np.arange(len(made)))
        said.append(mark(taken.in0, taken.in1, taken.label))
    assert " ".join(said) == expected


def test_keys_are_mixed_as_splitmix64_mixes_them():
    """Its published outputs for the seed 0: of 0, and of what it adds once and twice."""
    step = 0x9E3779B97F4A7C15
    keys = np.array([0, step, 2 * step % 2**64], np.uint64)
    with np.errstate(over="ignore"):
        found = ragged.mixed(keys)
    assert [hex(each) for each in found.tolist()] == [
        *("0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f"),
    ]


def test_who_is_chosen_for_validation():
    keys = np.arange(1000)
    assert mark(np.flatnonzero(splits.chosen(keys, 0.1, 3))) == "5513864f"
    assert splits.chosen(keys, 1.0, 3).all()
    assert not splits.chosen(keys, 0.0, 3).any()
    assert np.flatnonzero(splits.latest(np.array([3, 1, 2, 3, 3]), 0.5)).tolist() == [3, 4]
    groups = pa.array(["a", "bé", "a", "long enough for two words"])
    assert mark(splits.group_numbers(groups)) == "f6d72d0c"
