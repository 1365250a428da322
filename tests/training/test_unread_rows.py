"""Rows that no record reads: of nothing to say, or what an unseen token finds itself by."""

from __future__ import annotations

import numpy as np
import pytest

from object2vec import Object2Vec

ROWS = {
    "left": ["red rose", "blue sky", "green leaf", "white snow"] * 6,
    "right": ["rose red red", "sky blue blue", "leaf green green", "snow white white"] * 6,
}


@pytest.mark.parametrize("init", ["unit", "xavier"])
@pytest.mark.parametrize("share", [True, False])
def test_an_unseen_token_finds_itself_where_both_sides_share_vectors_of_length_1(init, share):
    made = Object2Vec(
        in0="left:text(buckets=4096)",
        in1="right:text(buckets=4096)",
        preset="retrieval",
        share=[("left", "right")] if share else None,
        shared_encoder=share,
        token_init=init,
        epochs=1,
        device="cpu",
        threads=1,
    )
    model = made.fit(ROWS)
    a = model.encode(in0=["quetzal", "xylophone", "zeppelin"])
    b = model.encode(in1=["quetzal", "xylophone", "zeppelin"])
    cosines = a @ b.T / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
    if share and init == "unit":
        np.testing.assert_allclose(np.diag(cosines), 1, rtol=1e-5)
        assert abs(cosines[~np.eye(3, dtype=bool)]).max() < 0.5
    else:
        np.testing.assert_allclose(cosines, cosines[0, 0], rtol=1e-4)
