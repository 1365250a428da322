"""Ranking with every mechanism on: stopped anywhere, gone on from, to the same bytes."""

from __future__ import annotations

import numpy as np
import pytest

from object2vec import Interrupted, Object2Vec
from support.stopping import EVERYTHING, AfterBatches

DOCUMENTS = [
    [f"a{n % 7} b{(n + s) % 5} c{(n * s) % 9} d{n}" for s in range(2 + n % 4)] for n in range(40)
]
PAIRS = {
    "question": [f"a{n % 7} b{n % 5} e{n}" for n in range(60)],
    "answer": [f"f{n % 7} e{n} g{n % 11}" for n in range(60)],
}


def fit(made: bool, given: dict, **how) -> Object2Vec:
    columns, table = {"in0": "question:text", "in1": "answer:text"}, PAIRS
    if made:
        columns = {"in0": "sentences:text", "pairs": "sentence_rest"}
        table = {"sentences": DOCUMENTS}
    settings = {"enc_dim": 12, "mini_batch_size": 16, "epochs": 3, "seed": 3, "device": "cpu"}
    model = Object2Vec(**columns, preset="retrieval", **settings, **EVERYTHING, **given)
    return model.fit(table, split=0.2, **how)


def weights(model: Object2Vec) -> dict[str, bytes]:
    state = model.artifact.network.state_dict()
    return {name: tensor.numpy().tobytes() for name, tensor in state.items()}


@pytest.mark.parametrize("made", [True, False], ids=["made", "given"])
@pytest.mark.parametrize("kernel", ["compiled", "reference"])
@pytest.mark.parametrize("storage", ["dense", "row_sparse"])
def test_a_run_that_was_stopped_anywhere_reaches_the_same_bytes(made, kernel, storage, tmp_path):
    given = {"kernel": kernel, "token_embedding_storage_type": storage, "threads": 1}
    whole = fit(made, given)
    folder, stopped = tmp_path / "run", 0
    for batches in (1, 3, 2):
        try:
            fit(made, given, checkpoints=folder, resume=stopped > 0, stop=AfterBatches(batches))
        except Interrupted:
            stopped += 1
    assert stopped == 3
    resumed = fit(made, given, checkpoints=folder, resume=True)
    assert weights(resumed) == weights(whole)
    resumed.save(tmp_path / "model")
    loaded = Object2Vec.load(tmp_path / "model")
    texts = ["a1 b2 zebra", "zebra quagga"]
    for side in ("in0", "in1"):
        embeddings = whole.encode(**{side: texts})
        assert np.isfinite(embeddings).all()
        assert loaded.encode(**{side: texts}).tobytes() == embeddings.tobytes()


@pytest.mark.parametrize("made", [True, False], ids=["made", "given"])
def test_the_number_of_threads_changes_no_byte(made):
    found = [weights(fit(made, {"threads": threads})) for threads in (1, 2)]
    assert found[0] == found[1]
