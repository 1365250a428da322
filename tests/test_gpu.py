"""The same loop on a GPU: it learns, agrees with the CPU, resumes and changes place."""

from __future__ import annotations

import signal

import numpy as np
import pytest

from object2vec import Interrupted, Object2Vec
from object2vec.training import loop
from object2vec.training.events import BatchesDone
from object2vec.training.stop import StopRequest

pytestmark = pytest.mark.gpu

OBJECTS = range(1, 7)
TRAIN = {
    "in0": [[a, a + 1] if a in (1, 4) and b % 2 else [a] for a in OBJECTS for b in OBJECTS],
    "in1": [[b, 0] if a == 2 else [b] * (1 + a % 2) for a in OBJECTS for b in OBJECTS],
    "label": [float((a > 3) + (b > 3)) for a in OBJECTS for b in OBJECTS],
}
IN0 = [[1], [], [4, 5], [0], [6, 0, 0], [0, 2], [3, 3, 3, 3]]
NETWORKS = ["pooled_embedding", "hcnn", "bilstm"]
OPTIMIZERS = ["sgd", "adam", "adagrad", "rmsprop", "adadelta"]
# Sums of some hundred float32 products in another order, through some tens of updates.
CLOSE = {"rtol": 1e-3, "atol": 1e-3}


def model(**given) -> Object2Vec:
    values = {
        "enc0_network": "pooled_embedding", "enc0_max_seq_len": 4, "enc0_vocab_size": 9,
        "enc0_token_embedding_dim": 6, "enc0_layers": 1, "enc_dim": 12, "mlp_layers": 1,
        "mlp_dim": 8, "mlp_activation": "tanh", "num_classes": 3, "learning_rate": 0.03,
        "mini_batch_size": 9, "epochs": 40, "early_stopping_patience": 5,
        "early_stopping_tolerance": 1e-6, "seed": 3, "device": "cuda",
    }  # fmt: skip
    return Object2Vec(**(values | given))


@pytest.mark.parametrize("storage", ["dense", "row_sparse"])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("network", NETWORKS)
def test_it_learns_what_is_right(network, storage, tied):
    fitted = model(
        enc0_network=network, token_embedding_storage_type=storage,
        tied_token_embedding_weight=tied,
    ).fit(TRAIN)  # fmt: skip
    assert fitted._fitted().network.table(0).weight.device.type == "cuda"
    scores = fitted.predict(in0=TRAIN["in0"], in1=TRAIN["in1"])
    assert scores.argmax(1).tolist() == TRAIN["label"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_a_short_training_is_that_of_the_cpu(network, optimizer):
    """The first epoch, before rounding can lead two runs apart."""
    found = []
    for device in ("cpu", "cuda"):
        fitted = model(
            enc0_network=network, optimizer=optimizer, device=device, epochs=1, weight_decay=0.01,
            negative_sampling_rate=1, token_embedding_storage_type="row_sparse",
            kernel="reference", threads=1,
        ).fit(TRAIN)  # fmt: skip
        found.append(fitted.encode(in0=IN0))
    np.testing.assert_allclose(*found, **CLOSE)
    assert (found[0] != 0).any()


@pytest.mark.parametrize(("trained", "used"), [("cpu", "cuda"), ("cuda", "cpu")])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_model_computes_where_it_is_told(network, trained, used, tmp_path):
    fitted = model(enc0_network=network, device=trained, epochs=2).fit(TRAIN)
    fitted.save(tmp_path / "model")
    same = Object2Vec.load(tmp_path / "model")
    other = Object2Vec.load(tmp_path / "model", device=used)
    assert same._fitted().network.table(0).weight.device.type == trained
    assert other._fitted().network.table(0).weight.device.type == used
    assert same.encode(in0=IN0).tobytes() == fitted.encode(in0=IN0).tobytes()
    np.testing.assert_allclose(other.encode(in0=IN0), fitted.encode(in0=IN0), **CLOSE)
    scores = [m.predict(in0=IN0, in1=IN0) for m in (fitted, other)]
    np.testing.assert_allclose(*scores, **CLOSE)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_stopped_run_goes_on(dropout, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_REPORT_BATCHES", 1)
    stop = StopRequest()

    class Stopper:
        def __call__(self, event):
            if isinstance(event, BatchesDone) and event.epoch == 1 and event.batches == 2:
                stop.request(signal.SIGTERM)

        def close(self):
            pass

    given = {"dropout": dropout, "epochs": 3}
    whole = model(**given).fit(TRAIN)
    with pytest.raises(Interrupted, match=r"Stopped by SIGTERM\. Go on from"):
        model(**given).fit(TRAIN, checkpoints=tmp_path, stop=stop, reporters=[Stopper()])
    resumed = model(**given).fit(TRAIN, checkpoints=tmp_path, resume=True)
    # Sums on a GPU have no fixed order: equal up to rounding is what is promised there.
    np.testing.assert_allclose(resumed.encode(in0=IN0), whole.encode(in0=IN0), **CLOSE)
