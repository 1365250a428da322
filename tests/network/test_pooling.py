"""The exponent of a pooled encoder: from the mean of its token vectors to their sum."""

from __future__ import annotations

import numpy as np
import pytest

from object2vec import Object2Vec
from object2vec.inference.pooled import open_pooled
from object2vec.objects.ragged import Ragged

IN0 = [[1, 2, 3], [4], [], [0, 5], [1, 1, 1, 1]]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_embedding_is_the_sum_over_a_power_of_the_number_of_tokens(exponent, tmp_path):
    pairs = {
        "in0": [[i % 7 + 1] * (i % 3 + 1) for i in range(30)],
        "in1": [[1]] * 30,
        "label": [i % 2 for i in range(30)],
    }
    model = Object2Vec(
        enc0_network="pooled_embedding",
        enc0_max_seq_len=4,
        enc0_vocab_size=9,
        enc_dim=4,
        enc0_pool_exponent=exponent,
        mlp_layers=0,
        epochs=1,
        threads=1,
        device="cpu",
    ).fit(pairs)
    table = model.artifact.network.table(0).weight.numpy()
    rows = [[token for token in row if token] for row in IN0]
    expected = [table[row].sum(axis=0) / max(len(row), 1) ** exponent for row in rows]
    found = model.encode(in0=IN0)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model")
    reader = open_pooled(tmp_path / "model", 0)
    assert reader is None or np.array_equal(reader.encode(0, Ragged.build(IN0, "in0")), found)
