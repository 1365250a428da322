"""Each hyperparameter does something: with another value of it the run is another one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from object2vec import Object2Vec
from object2vec.config.table import HYPERPARAMETERS

BASE = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 4,
    "enc0_vocab_size": 12,
    "enc0_token_embedding_dim": 5,
    "enc_dim": 4,
    "mlp_dim": 4,
    "mlp_layers": 1,
    "mlp_activation": "tanh",
    "mini_batch_size": 4,
    "epochs": 2,
    "learning_rate": 0.05,
    "early_stopping_patience": 5,
    "threads": 1,
    "device": "cpu",
}
OWN = {
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": 4,
    "enc1_vocab_size": 12,
    "enc1_token_embedding_dim": 5,
}
HCNN = {"enc0_network": "hcnn", "enc0_layers": 1}
VECTORS = {"enc0_vocab_file": "v.json", "enc0_pretrained_embedding_file": "a.txt"}
LONG = {"epochs": 30, "learning_rate": 0.5, "early_stopping_patience": 1}
RANKING = {"output_layer": "ranking"}
DRAWN = RANKING | {"shared_negatives": 3}
SLOW = {"epochs": 8, "early_stopping_patience": 2, "early_stopping_tolerance": 1e-6}


def second(settings: dict) -> dict:
    """The same settings for encoder 1, beside a pooled encoder 0."""
    return OWN | {name.replace("enc0", "enc1"): value for name, value in settings.items()}


# What is set beside it, and another value than there or in BASE or than the default.
OTHER: dict[str, tuple[dict, object]] = {
    "enc0_max_seq_len": ({}, 2),
    "enc0_vocab_size": ({}, 13),
    "enc0_network": ({}, "hcnn"),
    "enc0_layers": (HCNN, 2),
    "enc0_cnn_filter_width": (HCNN, 2),
    "enc0_token_embedding_dim": (HCNN, 6),
    "enc0_pretrained_embedding_file": (VECTORS, "b.txt"),
    "enc0_vocab_file": (VECTORS, "w.json"),
    "enc0_freeze_pretrained_embedding": (VECTORS, False),
    "enc0_pool_exponent": ({}, 0.5),
    "enc1_pool_exponent": (OWN, 0.0),
    "enc1_max_seq_len": (OWN, 2),
    "enc1_vocab_size": (OWN, 13),
    "enc1_network": (OWN, "hcnn"),
    "enc1_layers": (second(HCNN), 2),
    "enc1_cnn_filter_width": (second(HCNN), 2),
    "enc1_token_embedding_dim": (second(HCNN), 6),
    "enc1_pretrained_embedding_file": (second(VECTORS), "b.txt"),
    "enc1_vocab_file": (second(VECTORS), "w.json"),
    "enc1_freeze_pretrained_embedding": (second(VECTORS), False),
    "enc_dim": ({}, 6),
    "comparator_list": ({}, "concat, hadamard, abs_diff"),
    "mlp_layers": ({}, 2),
    "mlp_dim": ({}, 5),
    "mlp_activation": ({}, "relu"),
    "output_layer": ({}, "mean_squared_error"),
    "num_classes": ({}, 3),
    "dropout": ({}, 0.3),
    "optimizer": ({}, "sgd"),
    "learning_rate": ({}, 0.06),
    "weight_decay": ({}, 0.1),
    "mini_batch_size": ({}, 5),
    "epochs": ({}, 3),
    "early_stopping_patience": (LONG, 3),
    "early_stopping_tolerance": (SLOW, 0.1),
    "bucket_width": ({}, 1),
    "negative_sampling_rate": ({}, 1),
    "random_negative_sampling_rate": ({}, 1),
    "tied_token_embedding_weight": ({}, True),
    "token_embedding_storage_type": ({}, "row_sparse"),
    "shared_encoder": (HCNN, True),
    "topics": ({}, 2),
    "token_dropout": ({}, 0.5),
    "token_init": ({}, "unit"),
    "learning_rate_schedule": ({}, "linear"),
    "warmup": ({}, 0.5),
    "weight_averaging": ({}, 0.5),
    "noise_temperature": ({}, 0.5),
    "embedding_decay": ({}, 0.5),
    "decoupled_weight_decay": ({"weight_decay": 0.1}, True),
    "gradient_clip_norm": ({}, 0.01),
    "remove_components": (VECTORS, 1),
    "enc0_idf_exponent": ({}, 1.0),
    "enc1_idf_exponent": (OWN, 1.0),
    "enc0_partners": ({}, True),
    "enc1_partners": (OWN, True),
    "output_bias": ({"output_layer": "mean_squared_error"}, "mean"),
    "normalize": (RANKING, "none"),
    "ranking_direction": (RANKING, "in0"),
    "ranking_scale": (RANKING, 10.0),
    "learn_ranking_scale": (RANKING, False),
    "log_q_correction": (RANKING, True),
    "candidates": (RANKING, "all"),
    "shared_negatives": (RANKING, 3),
    "negative_exponent": (DRAWN, 1.0),
    "label_smoothing": (RANKING, 0.1),
    "seed": ({}, 1),
    "precision": (HCNN, "bfloat16"),
    "mask_padding": ({}, False),
    "compat_metrics": ({"output_layer": "mean_squared_error"}, True),
}
# Where and with what to compute, what SageMaker sets, and what AWS lists and ignores: tested where
# each is read, since none of them may change what is learned.
ELSEWHERE = {
    "device",
    "threads",
    "kernel",
    "feature_dim",
    "_kvstore",
    "_num_gpus",
    "_num_kv_servers",
    "_tuning_objective_metric",
}


def data(n: int, seed: int, lowest_label: int) -> dict:
    """Records with labels up to 1."""
    generator = np.random.default_rng(seed)
    return {
        "in0": [generator.integers(0, 12, 1 + i % 4).tolist() for i in range(n)],
        "in1": [generator.integers(0, 12, 1 + i % 3).tolist() for i in range(n)],
        "label": generator.integers(lowest_label, 2, n),
    }


@pytest.fixture(scope="module")
def auxiliary(tmp_path_factory) -> Path:
    """Two vocabularies and two files of vectors for the pooled encoders of BASE."""
    folder = tmp_path_factory.mktemp("auxiliary")
    words = [f"w{i}" for i in range(12)]
    (folder / "v.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "w.json").write_text(json.dumps({word: 11 - i for i, word in enumerate(words)}))
    for name, shift in (("a.txt", 0), ("b.txt", 1)):
        rows = [f"{word} {i}.5 {shift} -1 2" for i, word in enumerate(words)]
        (folder / name).write_text("\n".join(rows) + "\n")
    return folder


def outcome(auxiliary: Path, settings: dict) -> tuple[dict, list]:
    """The trained weights, and what the run says of its epochs."""
    model = Object2Vec(**BASE | settings)
    lowest = int(settings.get("output_layer") == "ranking")  # it learns from what is right alone
    model.fit(data(10, 0, lowest), validation=data(5, 1, lowest), auxiliary=auxiliary)
    epochs = [event for event in model.facts.history if event["event"] == "epoch"]
    told = [(e["batches"], e["train"], e["validation"], e["verdict"]["bad"]) for e in epochs]
    return model.artifact.network.state_dict(), told


def test_every_row_of_the_table_is_looked_at():
    assert OTHER.keys() | ELSEWHERE == set(HYPERPARAMETERS)


@pytest.mark.parametrize("name", OTHER)
def test_another_value_makes_another_run(name, auxiliary):
    beside, other = OTHER[name]
    weights, told = outcome(auxiliary, beside)
    again, told_again = outcome(auxiliary, beside)
    assert told == told_again
    assert all(torch.equal(again[key], weight) for key, weight in weights.items())
    changed, changed_told = outcome(auxiliary, beside | {name: other})
    is_same_network = changed.keys() == weights.keys() and all(
        torch.equal(changed[key], weight) for key, weight in weights.items()
    )
    assert not is_same_network or changed_told != told
