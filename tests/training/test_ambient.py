"""What the caller has set in PyTorch neither changes a run nor is changed by it."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch

from object2vec import Object2Vec

DATA = {"in0": [[1, 2], [3], [4, 5, 6], [7]], "in1": [[1], [2, 3], [4], []], "label": [0, 1, 1, 0]}


def trained(network: str) -> Object2Vec:
    model = Object2Vec(
        enc0_network=network,
        enc0_max_seq_len=4,
        enc0_vocab_size=9,
        enc0_token_embedding_dim=3,
        enc_dim=4,
        mlp_dim=4,
        mlp_activation="tanh",
        mini_batch_size=2,
        epochs=1,
        dropout=0.2,
        negative_sampling_rate=1,
        threads=1,
        device="cpu",
    )
    return model.fit(DATA, validation=DATA)


@contextlib.contextmanager
def set_to(setter, getter, value):
    before = getter()
    setter(value)
    try:
        yield
        assert getter() == value
    finally:
        setter(before)


AMBIENT = {
    "float64": lambda: set_to(torch.set_default_dtype, torch.get_default_dtype, torch.float64),
    "default device": lambda: set_to(
        # Only None takes away what a default device leaves in every call.
        lambda device: torch.set_default_device(None if device.type == "cpu" else device),
        torch.get_default_device,
        torch.device("meta"),
    ),
    "device": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "deterministic": lambda: set_to(
        torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled, True
    ),
    "lower precision": lambda: set_to(
        torch.set_float32_matmul_precision, torch.get_float32_matmul_precision, "medium"
    ),
    "lower precision of one backend": lambda: set_to(
        lambda value: setattr(torch.backends.mkldnn.matmul, "fp32_precision", value),
        lambda: torch.backends.mkldnn.matmul.fp32_precision,
        "bf16",
    ),
    "threads": lambda: set_to(torch.set_num_threads, torch.get_num_threads, 2),
}


@pytest.mark.parametrize("network", ["pooled_embedding", "hcnn", "bilstm"])
def test_a_run_is_the_same_whatever_the_caller_has_set(network):
    expected = trained(network).artifact.network.state_dict()
    for name, ambient in AMBIENT.items():
        with ambient():
            found = trained(network).artifact.network.state_dict()
        assert found.keys() == expected.keys()
        for key, weight in expected.items():
            assert torch.equal(found[key], weight), f"{name}: {key}"
            assert not found[key].is_inference(), name


@pytest.mark.parametrize("network", ["pooled_embedding", "hcnn", "bilstm"])
def test_a_model_is_the_same_whatever_the_caller_has_set(network, tmp_path):
    trained(network).save(tmp_path / "model")

    def results() -> list:
        model = Object2Vec.load(tmp_path / "model")
        sides = {"in0": DATA["in0"], "in1": DATA["in1"]}
        return [model.encode(in0=DATA["in0"]), model.predict(**sides), model.evaluate(DATA)]

    expected = results()
    for name, ambient in AMBIENT.items():
        with ambient():
            found = results()
        for one, other in zip(found, expected, strict=True):
            assert np.array_equal(one, other), name
