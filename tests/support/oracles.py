"""The network and the update rules once more, in float64 loops, written from their formulas.

Nothing here is fast and nothing is shared with the library but the names of its weights. The
forward pass is made of PyTorch scalars and vectors in float64, so that autograd gives the oracle's
gradients too; one sequence at a time, one step at a time, nothing padded, nothing flattened.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from object2vec import Config

Weights = dict[str, Tensor]


def double(state: dict[str, Tensor]) -> Weights:
    """Weights of a network as float64 leaves of a graph."""
    return {name: tensor.double().clone().requires_grad_() for name, tensor in state.items()}


def logits(weights: Weights, config: Config, in0: list, in1: list) -> Tensor:
    """Output of the head for pairs of sequences, (B, K)."""
    rows = []
    for left, right in zip(in0, in1, strict=True):
        z = compare(encode(weights, config, 0, left), encode(weights, config, 1, right), config)
        rows.append(head(weights, config, z))
    return torch.stack(rows)


def encode(weights: Weights, config: Config, side: int, ids: list) -> Tensor:
    """Embedding of one sequence, (D,)."""
    encoder = config.encoders[side]
    number = 0 if config.shared_encoder else side
    table = weights[f"tokens.{0 if config.tied_token_embedding_weight else side}.weight"]
    layers = {
        name.removeprefix(f"encoders.{number}."): tensor
        for name, tensor in weights.items()
        if name.startswith(f"encoders.{number}.")
    }
    is_token = [token != 0 or not config.mask_padding for token in ids]
    if not any(is_token):
        return torch.zeros(config.enc_dim, dtype=torch.float64)
    zero = torch.zeros(table.shape[1], dtype=torch.float64)
    vectors = [table[t] if real else zero for t, real in zip(ids, is_token, strict=True)]
    return ENCODERS[encoder.network](layers, encoder.layers, vectors, is_token)


def pooled(layers: Weights, depth: int, vectors: list, is_token: list) -> Tensor:
    """Spec 3.2: the sum of the token vectors over their number."""
    return sum(vectors) / sum(is_token)


def hcnn(layers: Weights, depth: int, vectors: list, is_token: list) -> Tensor:
    """Spec 3.3, with every position that holds no token zero in every layer."""
    maxima, x = [], vectors
    for layer in range(depth):
        weight = layers[f"convolutions.{layer}.weight"]  # (F, E, w)
        bias = layers[f"convolutions.{layer}.bias"]
        width = weight.shape[2]
        before = (width - 1) // 2
        y = []
        for t in range(len(x)):
            total = bias
            for tap in range(width):
                if 0 <= t + tap - before < len(x):
                    total = total + weight[:, :, tap] @ x[t + tap - before]
            y.append(torch.clamp(total, min=0) * is_token[t])
        x = y
        maxima.append(torch.stack([*x, torch.zeros_like(bias)]).amax(0))
    return torch.cat(maxima)


def bilstm(layers: Weights, depth: int, vectors: list, is_token: list) -> Tensor:
    """Spec 3.4: each direction's LSTM over the whole sequence, the maximum over its tokens."""
    last = max(t for t, real in enumerate(is_token) if real)
    x = vectors[: last + 1]
    for layer in range(depth):
        name = f"lstms.{layer}."
        forth = lstm({k: layers[f"{name}{k}_l0"] for k in LSTM}, x)
        back = lstm({k: layers[f"{name}{k}_l0_reverse"] for k in LSTM}, x[::-1])[::-1]
        x = [torch.cat(both) for both in zip(forth, back, strict=True)]
    return torch.stack([h for h, real in zip(x, is_token, strict=False) if real]).amax(0)


LSTM = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def lstm(w: Weights, xs: list) -> list:
    """One direction: i, f, o = sigmoid, g = tanh; c <- f c + i g; h <- o tanh(c)."""
    h = c = torch.zeros(w["weight_hh"].shape[1], dtype=torch.float64)
    states = []
    for x in xs:
        i, f, g, o = (w["weight_ih"] @ x + w["bias_ih"] + w["weight_hh"] @ h + w["bias_hh"]).chunk(
            4
        )
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        states.append(h)
    return states


ENCODERS = {"pooled_embedding": pooled, "hcnn": hcnn, "bilstm": bilstm}


def compare(a: Tensor, b: Tensor, config: Config) -> Tensor:
    """Spec 3.5, (C,)."""
    parts = []
    for name in config.comparator_list:
        parts += {"hadamard": [a * b], "concat": [a, b], "abs_diff": [torch.abs(a - b)]}[name]
    return torch.cat(parts)


def head(weights: Weights, config: Config, z: Tensor) -> Tensor:
    """Spec 3.6 without dropout, (K,)."""
    for layer in range(config.mlp_layers):
        z = weights[f"head.hidden.{layer}.weight"] @ z + weights[f"head.hidden.{layer}.bias"]
        if config.mlp_activation == "tanh":
            z = torch.tanh(z)
        elif config.mlp_activation == "relu":
            z = torch.clamp(z, min=0)
    return weights["head.output.weight"] @ z + weights["head.output.bias"]


def loss(outputs: Tensor, label: list, is_classifier: bool) -> Tensor:
    """Spec 3.8: mean cross-entropy, or half the mean squared error."""
    total = torch.zeros((), dtype=torch.float64)
    for row, right in zip(outputs, label, strict=True):
        if is_classifier:
            total = total - torch.log(torch.exp(row[int(right)]) / torch.exp(row).sum())
        else:
            total = total + (row[0] - right) ** 2 / 2
    return total / len(label)


def update(
    optimizer: str, lr: float, wd: float, step: int, w: np.ndarray, g: np.ndarray, state: list
) -> np.ndarray:
    """Spec 3.11, MXNet 1.x: the new weight; `state` (float64 arrays) changes in place."""
    if optimizer == "sgd":
        return w - lr * (g + wd * w)
    if optimizer == "adam":
        mean, var = state
        g = g + wd * w
        mean[...] = 0.9 * mean + 0.1 * g
        var[...] = 0.999 * var + 0.001 * g**2
        rate = lr * math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        return w - rate * mean / (np.sqrt(var) + 1e-8)
    if optimizer == "adagrad":
        (history,) = state
        history += g**2
        return w - lr * (g / np.sqrt(history + 1e-7) + wd * w)
    if optimizer == "rmsprop":
        (var,) = state
        g = g + wd * w
        var[...] = 0.9 * var + 0.1 * g**2
        return w - lr * g / np.sqrt(var + 1e-8)
    assert optimizer == "adadelta"
    acc, delta = state
    acc[...] = 0.9 * acc + 0.1 * g**2
    change = np.sqrt(delta + 1e-5) / np.sqrt(acc + 1e-5) * g
    delta[...] = 0.9 * delta + 0.1 * change**2
    return w - change - wd * w


STATES = {"sgd": 0, "adam": 2, "adagrad": 1, "rmsprop": 1, "adadelta": 2}


def table_gradient(vocab_size: int, width: int, tape: list) -> tuple[np.ndarray, set]:
    """Whole gradient of a table from (sequences, output gradients), and the tokens that occur."""
    total, tokens = np.zeros((vocab_size, width)), set()
    for sequences, gradients in tape:
        for ids, gradient in zip(sequences, gradients, strict=True):
            for token in ids:
                total[token] += gradient / len(ids)
                tokens.add(token)
    return total, tokens
