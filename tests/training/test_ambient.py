"""What the caller has set in PyTorch neither changes a run nor is changed by it."""

from __future__ import annotations

import contextlib

import pytest
import torch

from object2vec import Object2Vec

DATA = {"in0": [[1, 2], [3], [4, 5, 6], [7]], "in1": [[1], [2, 3], [4], []], "label": [0, 1, 1, 0]}


def trained(network: str) -> dict[str, torch.Tensor]:
    model = Object2Vec(
        enc0_network=network, enc0_max_seq_len=4, enc0_vocab_size=9, enc0_token_embedding_dim=3,
        enc_dim=4, mlp_dim=4, mlp_activation="tanh", mini_batch_size=2, epochs=2, dropout=0.2,
        negative_sampling_rate=1, threads=1, device="cpu",
    )  # fmt: skip
    return model.fit(DATA, validation=DATA).artifact.network.state_dict()


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
        torch.set_default_device, torch.get_default_device, torch.device("meta")
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
    "threads": lambda: set_to(torch.set_num_threads, torch.get_num_threads, 2),
}


@pytest.mark.parametrize("network", ["pooled_embedding", "hcnn", "bilstm"])
def test_a_run_is_the_same_whatever_the_caller_has_set(network):
    expected = trained(network)
    for name, ambient in AMBIENT.items():
        with ambient():
            found = trained(network)
        assert found.keys() == expected.keys()
        for key, weight in expected.items():
            assert torch.equal(found[key], weight), f"{name}: {key}"
            assert not found[key].is_inference(), name
