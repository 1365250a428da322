from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from object2vec.config import Config, EncoderConfig, Note
from object2vec.config.kinds import Anything, Boolean, Choice, Comparators, Float, Integer
from object2vec.config.table import DEVICE, HYPERPARAMETERS
from object2vec.errors import ConfigError

SIZES = {"enc0_max_seq_len": 10, "enc0_vocab_size": 100}
BOTH = SIZES | {"enc1_max_seq_len": 20, "enc1_vocab_size": 200, "enc1_network": "hcnn"}


def notes(**hyperparameters) -> list[Note]:
    return list(Config.build(SIZES | hyperparameters).notes)


def errors(hyperparameters) -> list[str]:
    """The problems that a config is refused with, without the line that counts them."""
    with pytest.raises(ConfigError) as caught:
        Config.build(hyperparameters)
    first, *rest = str(caught.value).split("\n")
    if not rest:
        return [first]
    assert first == f"{len(rest)} problems:"
    return [line.removeprefix("  ") for line in rest]


# The fields


def test_the_fields_hold_every_row_of_the_table_once():
    config = Config.build(SIZES)
    own = {f.name for f in dataclasses.fields(Config)} - {
        "encoders",
        "notes",
        "inherits",
        "beyond_aws",
    }
    rows = [row for row in HYPERPARAMETERS.values() if row.name != "feature_dim"]
    assert own == {row.name for row in rows if row.side is None}
    for side in (0, 1):
        names = [f"enc{side}_{f.name}" for f in _settings()]
        assert sorted(names) == sorted(row.name for row in rows if row.side == side)
    assert list(config.to_dict()) == [row.name for row in rows]


def test_each_value_arrives_under_its_own_name():
    values = {name: f"value of {name}" for name in HYPERPARAMETERS if name != "feature_dim"}
    sides = [
        EncoderConfig(side, *(f"value of enc{side}_{f.name}" for f in _settings()))
        for side in (0, 1)
    ]
    own = {
        row.name: values[row.name]
        for row in HYPERPARAMETERS.values()
        if row.side is None and row.origin != "tolerated"
    }
    assert Config(encoders=tuple(sides), **own).to_dict() == values


def _settings():
    return dataclasses.fields(EncoderConfig)[1:]


def test_two_sizes_are_enough_and_the_rest_are_defaults():
    config = Config.build(SIZES)
    resolved = {
        "enc1_network": "hcnn",
        "enc0_layers": 4,
        "enc1_layers": 4,
        "enc1_max_seq_len": 10,
        "enc1_vocab_size": 100,
        "comparator_list": ["hadamard", "concat", "abs_diff"],
    }
    defaults = {name: row.default for name, row in HYPERPARAMETERS.items() if name != "feature_dim"}
    assert config.to_dict() == defaults | SIZES | resolved
    assert config.notes == ()


def test_strings_and_native_values_make_the_same_config():
    native = {
        "enc0_max_seq_len": np.int64(10),
        "enc0_vocab_size": 100.0,
        "enc1_network": "pooled_embedding",
        "enc1_max_seq_len": 20,
        "enc1_vocab_size": 200,
        "enc_dim": 512,
        "learning_rate": np.float32(1e-3),
        "comparator_list": ["concat", "hadamard"],
        "tied_token_embedding_weight": np.False_,
        "dropout": 0,
    }
    sagemaker = {
        "enc0_max_seq_len": "10",
        "enc0_vocab_size": "100",
        "enc1_network": " pooled_embedding",
        "enc1_max_seq_len": '"20"',
        "enc1_vocab_size": "200",
        "enc_dim": "512",
        "learning_rate": "1e-3",
        "comparator_list": "concat, hadamard",
        "tied_token_embedding_weight": "False",
        "dropout": "0.0",
    }
    config = Config.build(native)
    assert config == Config.build(sagemaker)
    assert config.learning_rate == 0.001
    assert json.loads(json.dumps(config.to_dict())) == config.to_dict()


def test_a_config_is_frozen_and_can_be_a_key():
    config = Config.build(SIZES)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'epochs'"):
        config.epochs = 3
    assert {config: 1}[Config.build(SIZES)] == 1


def test_the_json_keeps_the_order_of_the_table():
    text = json.dumps(Config.build(SIZES).to_dict(), indent=2)
    assert text.startswith('{\n  "enc0_max_seq_len": 10,\n  "enc0_vocab_size": 100,\n')
    assert list(json.loads(text)) == [name for name in HYPERPARAMETERS if name != "feature_dim"]


def test_what_one_encoder_needs_to_know():
    config = Config.build(
        BOTH
        | {
            "enc1_network": "bilstm",
            "enc1_layers": 2,
            "enc1_cnn_filter_width": 5,
            "enc1_token_embedding_dim": 50,
            "enc1_pretrained_embedding_file": "glove.txt",
            "enc1_vocab_file": "vocab.json",
        }
    )
    assert config.encoders == (
        EncoderConfig(0, "hcnn", 10, 100, 4, 3, 300, "", "", True, 1.0, 0.0, False),
        EncoderConfig(
            1, "bilstm", 20, 200, 2, 5, 50, "glove.txt", "vocab.json", True, 1.0, 0.0, False
        ),
    )
    assert [encoder.is_frozen for encoder in config.encoders] == [False, True]
    assert not dataclasses.replace(config.encoders[1], freeze_pretrained_embedding=False).is_frozen


@pytest.mark.parametrize(
    ("comparators", "enc_dim", "width"),
    [
        ("hadamard, concat, abs_diff", 1024, 4096),  # AWS's MovieLens log
        ("hadamard, concat, abs_diff", 16, 64),  # AWS's SNLI log
        ("hadamard", 300, 300),  # AWS's document-embedding log
        ("concat", 10, 20),
        ("abs_diff, concat", 10, 30),
    ],
)
def test_comparator_width(comparators, enc_dim, width):
    config = Config.build(SIZES | {"comparator_list": comparators, "enc_dim": enc_dim})
    assert config.comparator_width == width


@pytest.mark.parametrize(
    ("network", "layers"), [("hcnn", 4), ("bilstm", 1), ("pooled_embedding", 1)]
)
def test_auto_layers(network, layers):
    for auto in ({}, {"enc0_layers": "auto"}, {"enc0_layers": "AUTO"}):
        assert Config.build(SIZES | auto | {"enc0_network": network}).encoders[0].layers == layers
    assert (
        Config.build(SIZES | {"enc0_network": network, "enc0_layers": "2"}).encoders[0].layers == 2
    )


def test_hcnn_always_has_a_filter_per_layer():
    # enc_dim >= layers needs no rule of its own: the smallest width is the largest depth
    smallest = HYPERPARAMETERS["enc_dim"].kind.low
    deepest = HYPERPARAMETERS["enc0_layers"].kind.high
    assert smallest >= deepest
    config = Config.build(SIZES | {"enc_dim": smallest, "enc0_layers": deepest})
    assert (config.enc_dim, config.encoders[0].layers) == (4, 4)


# Encoder 1 inherits


@pytest.mark.parametrize("explicit", [{}, {"enc1_network": "enc0"}, {"enc1_network": ' "enc0" '}])
def test_encoder_1_takes_every_setting_of_encoder_0(explicit):
    encoder0 = {
        "enc0_network": "bilstm",
        "enc0_max_seq_len": 7,
        "enc0_vocab_size": 70,
        "enc0_layers": 3,
        "enc0_cnn_filter_width": 5,
        "enc0_token_embedding_dim": 30,
        "enc0_pretrained_embedding_file": "glove.txt",
        "enc0_vocab_file": "vocab.json",
        "enc0_freeze_pretrained_embedding": False,
    }
    config = Config.build(encoder0 | explicit)
    assert config.encoders[0] == EncoderConfig(
        0, "bilstm", 7, 70, 3, 5, 30, "glove.txt", "vocab.json", False, 1.0, 0.0, False
    )
    assert config.encoders[1] == dataclasses.replace(config.encoders[0], side=1)
    assert config.notes == ()


@pytest.mark.parametrize("explicit", [{}, {"enc1_network": "enc0"}])
def test_ignored_settings_of_encoder_1_are_named(explicit):
    ignored = {"enc1_layers": 2, "enc1_vocab_size": "5000", "enc1_max_seq_len": 10}
    config = Config.build(SIZES | explicit | ignored)
    assert (config.encoders[1].vocab_size, config.encoders[1].layers) == (100, 4)
    assert config.notes == (
        Note(
            "warning",
            "enc1_network is enc0, so encoder 1 takes every setting of encoder 0 and these are "
            "ignored: enc1_vocab_size=5000 (encoder 0 has 100), enc1_layers=2 (encoder 0 has "
            "'auto'). Set enc1_network to a network of its own to use them.",
        ),
    )


def test_a_network_of_its_own_inherits_nothing():
    config = Config.build(BOTH | {"enc0_layers": 2, "enc0_token_embedding_dim": 40})
    assert config.encoders[1] == EncoderConfig(
        1, "hcnn", 20, 200, 4, 3, 300, "", "", True, 1.0, 0.0, False
    )
    assert config.notes == ()


# What else is resolved, each with its line


def pooled_line(enc_dim: int, given: int) -> Note:
    return Note(
        "info",
        "Inconsistent enc_dim and token_embedding_dim found for token-embedding-encoder: "
        f"{enc_dim} vs {given}. Setting token embedding dim to be {enc_dim}",
    )


def test_pooled_embedding_takes_its_width_from_enc_dim():
    config = Config.build(SIZES | {"enc0_network": "pooled_embedding", "enc_dim": 1024})
    assert (config.encoders[0].token_embedding_dim, config.encoders[1].token_embedding_dim) == (
        1024,
        1024,
    )
    assert config.notes == (pooled_line(1024, 300), pooled_line(1024, 300))


def test_the_pooled_line_comes_once_per_pooled_encoder():
    pooled = {"enc1_network": "pooled_embedding", "enc1_token_embedding_dim": 40, "enc_dim": 50}
    config = Config.build(BOTH | pooled)
    assert (config.encoders[0].token_embedding_dim, config.encoders[1].token_embedding_dim) == (
        300,
        50,
    )
    assert config.notes == (pooled_line(50, 40),)
    assert notes(enc0_network="pooled_embedding", enc_dim=300) == []


def test_a_built_config_is_whole_even_where_enc_dim_exceeds_the_token_width():
    pooled = {"enc0_network": "pooled_embedding", "enc_dim": 4096}
    config = Config.build(SIZES | pooled)
    again = Config.build(config.to_dict())
    assert again == config
    assert again.notes == ()
    as_text = {name: str(value) for name, value in config.to_dict().items()}
    as_text["comparator_list"] = ",".join(config.comparator_list)
    assert Config.build(as_text) == config
    # asked for by hand, the width has AWS's range
    assert errors(SIZES | pooled | {"enc0_token_embedding_dim": 4095}) == [
        "enc0_token_embedding_dim: must be an integer in [2, 1000]; got 4095. "
        "Choose a value in this range."
    ]
    assert errors(SIZES | {"enc_dim": 4096, "enc0_token_embedding_dim": 4096}) == [
        "enc0_token_embedding_dim: must be an integer in [2, 1000]; got 4096. "
        "Choose a value in this range."
    ]


NOTES = [
    (
        {"token_embedding_storage_type": "row_sparse", "bucket_width": 10},
        "warning",
        "bucket_width 10 is set to 0: token_embedding_storage_type row_sparse works without "
        "buckets.",
    ),
    (
        {"token_embedding_storage_type": "row_sparse", "optimizer": "rmsprop"},
        "info",
        "AWS rejects row_sparse with rmsprop; its lazy form is used here.",
    ),
    (
        {"token_embedding_storage_type": "row_sparse", "optimizer": "adadelta"},
        "info",
        "AWS rejects row_sparse with adadelta; its lazy form is used here.",
    ),
    (
        {"token_embedding_storage_type": " sparse"},
        "warning",
        "token_embedding_storage_type: ' sparse' is read as 'row_sparse', the documented value.",
    ),
    (
        {"output_layer": "mean_squared_error", "num_classes": 2},
        "info",
        "output_layer is set to mean_squared_error. Ignoring the hyperparameter 'num_classes'.",
    ),
    (
        {"optimizer": "adadelta", "learning_rate": 0.1},
        "info",
        "optimizer is set to adadelta. Ignoring the hyperparameter 'learning_rate'.",
    ),
    (
        {"dropout": 0.1},
        "info",
        "mlp_activation is linear: the hidden layers get no dropout.",
    ),
    (
        {"negative_sampling_rate": 101},
        "warning",
        "negative_sampling_rate 101 is above 100, the most that AWS's SDK accepts; nearly every "
        "record will be a negative.",
    ),
    (
        {"_num_gpus": "0", "device": "cuda:1"},
        "warning",
        "_num_gpus 0 is ignored: device is cuda:1.",
    ),
    (
        {"_num_gpus": "4"},
        "warning",
        "_num_gpus 4 is read as 1: training uses one device.",
    ),
    (
        {"feature_dim": "None"},
        "info",
        "feature_dim: Object2Vec has no such hyperparameter; ignored.",
    ),
]


@pytest.mark.parametrize(("hyperparameters", "level", "text"), NOTES, ids=lambda x: str(x)[:40])
def test_each_interaction_has_its_line(hyperparameters, level, text):
    assert notes(**hyperparameters) == [Note(level, text)]


@pytest.mark.parametrize(
    "hyperparameters",
    [
        {"token_embedding_storage_type": "row_sparse", "optimizer": "adam"},
        {"token_embedding_storage_type": "row_sparse", "optimizer": "adagrad"},
        {"token_embedding_storage_type": "row_sparse", "optimizer": "sgd"},
        {"optimizer": "rmsprop", "bucket_width": 10},
        {"output_layer": "mean_squared_error"},
        {"optimizer": "adadelta"},
        {"dropout": 0.1, "mlp_activation": "relu"},
        {"dropout": 0.1, "mlp_layers": 0},
        {"negative_sampling_rate": 100},
        {"_num_gpus": 1},
        {"_num_gpus": "auto"},
        {"_num_gpus": 0, "device": "cpu"},
        {"enc0_freeze_pretrained_embedding": "false"},
        {"enc0_vocab_file": "vocab.json"},
        {"enc0_network": "pooled_embedding", "enc_dim": 300, "enc0_cnn_filter_width": 5},
        {"_kvstore": "device", "_num_kv_servers": "1", "_tuning_objective_metric": "test:accuracy"},
    ],
    ids=str,
)
def test_nothing_is_said_where_nothing_happens(hyperparameters):
    assert notes(**hyperparameters) == []


def test_row_sparse_switches_bucketing_off():
    config = Config.build(SIZES | {"token_embedding_storage_type": "sparse", "bucket_width": 10})
    assert (config.token_embedding_storage_type, config.bucket_width) == ("row_sparse", 0)
    assert Config.build(SIZES | {"bucket_width": 10}).bucket_width == 10


@pytest.mark.parametrize(
    ("gpus", "given_device", "device"),
    [("0", {}, "cpu"), (0, {"device": "cuda"}, "cuda"), (2, {}, "auto"), ("auto", {}, "auto")],
)
def test_no_gpus_means_the_cpu(gpus, given_device, device):
    assert Config.build(SIZES | {"_num_gpus": gpus} | given_device).device == device


def test_internal_keys_are_kept():
    sent = {"_kvstore": "device", "_num_kv_servers": 2, "_tuning_objective_metric": "test:accuracy"}
    values = Config.build(SIZES | sent | {"_num_gpus": "1"}).to_dict()
    assert {name: values[name] for name in values if name.startswith("_")} == {
        "_kvstore": "device",
        "_num_gpus": 1,
        "_num_kv_servers": "2",
        "_tuning_objective_metric": "test:accuracy",
    }


@pytest.mark.parametrize("value", [None, "None", "100", 100, "", [1]])
def test_feature_dim_is_accepted_whatever_it_is(value):
    assert Config.build(SIZES | {"feature_dim": value}) == Config.build(SIZES)


@pytest.mark.parametrize(
    ("hyperparameters", "names"),
    [
        (SIZES, ["enc0_vocab_size", "enc0_vocab_size"]),
        (SIZES | {"tied_token_embedding_weight": True}, ["enc0_vocab_size", "enc0_vocab_size"]),
        (BOTH, ["enc0_vocab_size", "enc1_vocab_size"]),
        (
            BOTH | {"enc1_vocab_size": 100, "tied_token_embedding_weight": True},
            ["enc0_vocab_size and enc1_vocab_size"] * 2,
        ),
    ],
)
def test_the_setting_that_decides_is_named(hyperparameters, names):
    config = Config.build(hyperparameters)
    assert [config.setting(side, "vocab_size") for side in (0, 1)] == names


def test_a_shared_encoder_has_one_table_and_one_architecture():
    shared = {"shared_encoder": "true"}
    assert Config.build(SIZES | shared).tied_token_embedding_weight
    assert not Config.build(SIZES).tied_token_embedding_weight
    own = BOTH | shared | {"enc1_vocab_size": 100}
    assert Config.build(own | {"enc1_max_seq_len": 3}).encoders[1].max_seq_len == 3
    with pytest.raises(ConfigError, match=r"enc1_layers: must equal enc0_layers \(2\) with shared"):
        Config.build(own | {"enc0_layers": 2, "enc1_layers": 3})


def test_a_setting_of_tied_encoders_that_may_differ_is_named_alone():
    config = Config.build(TIED)
    assert config.setting(1, "max_seq_len") == "enc1_max_seq_len"


@pytest.mark.parametrize("side", [0, 1])
def test_the_width_of_a_pooled_encoder_is_set_by_enc_dim(side):
    config = Config.build(BOTH | {f"enc{side}_network": "pooled_embedding"})
    assert config.setting(side, "token_embedding_dim") == "enc_dim"
    other = 1 - side
    assert config.setting(other, "token_embedding_dim") == f"enc{other}_token_embedding_dim"


# Tied token tables


TIED = BOTH | {"enc1_vocab_size": 100, "tied_token_embedding_weight": "true"}
GLOVE = {"enc0_pretrained_embedding_file": "glove.txt", "enc0_vocab_file": "vocab.json"}


@pytest.mark.parametrize("enc1", [{}, {"enc1_pretrained_embedding_file": "glove.txt"}])
def test_tied_tables_load_what_encoder_0_names(enc1):
    config = Config.build(TIED | GLOVE | {"enc0_freeze_pretrained_embedding": False} | enc1)
    for encoder in config.encoders:
        assert encoder.pretrained_embedding_file == "glove.txt"
        assert encoder.vocab_file == "vocab.json"
        assert not encoder.freeze_pretrained_embedding
    assert config.notes == ()
    assert Config.build(config.to_dict()) == config


def test_what_tied_tables_ignore_is_named():
    other = {"enc1_vocab_file": "other.json", "enc1_freeze_pretrained_embedding": "false"}
    config = Config.build(TIED | GLOVE | other)
    assert (config.encoders[1].vocab_file, config.encoders[1].freeze_pretrained_embedding) == (
        "vocab.json",
        True,
    )
    assert config.notes == (
        Note(
            "warning",
            "tied_token_embedding_weight takes the pretrained vectors of encoder 0 for both "
            "encoders and these are ignored: enc1_vocab_file='other.json' (encoder 0 has "
            "'vocab.json'), enc1_freeze_pretrained_embedding=False (encoder 0 has True).",
        ),
    )


def test_without_pretrained_vectors_tied_encoders_keep_their_vocabularies():
    config = Config.build(TIED | {"enc0_vocab_file": "a.json", "enc1_vocab_file": "b.json"})
    assert (config.encoders[0].vocab_file, config.encoders[1].vocab_file) == ("a.json", "b.json")
    assert config.notes == ()


@pytest.mark.parametrize("enc1_network", ["enc0", "pooled_embedding", "bilstm"])
def test_tied_encoders_may_differ_in_family(enc1_network):
    config = Config.build(TIED | {"enc_dim": 300, "enc1_network": enc1_network})
    assert config.tied_token_embedding_weight
    assert config.encoders[0].token_embedding_dim == config.encoders[1].token_embedding_dim == 300


# Errors


def test_every_contradiction_in_full():
    hyperparameters = {
        "enc0_network": "bilstm",
        "enc0_max_seq_len": 10,
        "enc0_vocab_size": 100,
        "enc0_pretrained_embedding_file": "glove.txt",
        "enc1_network": "pooled_embedding",
        "enc1_max_seq_len": 10,
        "enc1_vocab_size": 200,
        "enc1_pretrained_embedding_file": "other.txt",
        "enc_dim": 9999,
        "tied_token_embedding_weight": True,
    }
    assert errors(hyperparameters) == [
        "enc_dim: must be even for bilstm, half for each direction; got 9999. Choose 10000.",
        "enc0_vocab_file: must be given with enc0_pretrained_embedding_file; got ''. "
        "Name the JSON file that maps tokens to ids.",
        "enc1_vocab_size: must equal enc0_vocab_size (100) with tied_token_embedding_weight; "
        "got 200. Make them equal, or untie the tables.",
        "enc1_token_embedding_dim: must equal enc0_token_embedding_dim (300) with "
        "tied_token_embedding_weight; got 9999. Make enc0_token_embedding_dim and enc_dim equal, "
        "or untie the tables.",
        "enc1_pretrained_embedding_file: must equal enc0_pretrained_embedding_file ('glove.txt') "
        "with tied_token_embedding_weight; got 'other.txt'. Make them equal, or untie the tables.",
    ]


def test_each_encoder_needs_its_own_vocabulary_file():
    files = {f"enc{side}_pretrained_embedding_file": "glove.txt" for side in (0, 1)}
    assert errors(BOTH | files) == [
        f"enc{side}_vocab_file: must be given with enc{side}_pretrained_embedding_file; got ''. "
        "Name the JSON file that maps tokens to ids."
        for side in (0, 1)
    ]


@pytest.mark.parametrize(
    "hyperparameters",
    [
        SIZES | {"enc0_pretrained_embedding_file": "glove.txt"},
        TIED | {"enc0_pretrained_embedding_file": "glove.txt"},
        TIED | {f"enc{side}_pretrained_embedding_file": "glove.txt" for side in (0, 1)},
    ],
    ids=["inherited", "tied", "tied, both"],
)
def test_a_copied_contradiction_is_told_once(hyperparameters):
    assert errors(hyperparameters) == [
        "enc0_vocab_file: must be given with enc0_pretrained_embedding_file; got ''. "
        "Name the JSON file that maps tokens to ids."
    ]


@pytest.mark.parametrize("side", [0, 1])
def test_bilstm_halves_enc_dim_on_either_side(side):
    assert errors(BOTH | {f"enc{side}_network": "bilstm", "enc_dim": 7}) == [
        "enc_dim: must be even for bilstm, half for each direction; got 7. Choose 8."
    ]


def test_tied_encoder_1_cannot_bring_its_own_vectors():
    own = {"enc1_pretrained_embedding_file": "glove.txt", "enc1_vocab_file": "vocab.json"}
    assert errors(TIED | own) == [
        "enc1_pretrained_embedding_file: must equal enc0_pretrained_embedding_file ('') with "
        "tied_token_embedding_weight; got 'glove.txt'. Make them equal, or untie the tables."
    ]


REQUIRED_0 = [
    "enc0_max_seq_len: is required and must be an integer in [1, 5000]; got None. "
    "It has no default: set it.",
    "enc0_vocab_size: is required and must be an integer in [2, 3000000]; got None. "
    "It has no default: set it.",
]
REQUIRED_1 = [
    "enc1_max_seq_len: is required and must be an integer in [1, 5000]; got None. "
    "Set it, or let enc1_network be enc0.",
    "enc1_vocab_size: is required and must be an integer in [2, 3000000]; got None. "
    "Set it, or let enc1_network be enc0.",
]


@pytest.mark.parametrize(
    ("hyperparameters", "missing"),
    [
        ({}, REQUIRED_0),
        ({"enc1_network": "enc0", "enc1_vocab_size": 5, "enc1_max_seq_len": 5}, REQUIRED_0),
        ({"enc1_network": "hcnn"}, REQUIRED_0 + REQUIRED_1),
        (SIZES | {"enc1_network": "hcnn"}, REQUIRED_1),
        (SIZES | {"enc1_network": "hcnn", "enc1_vocab_size": 5}, REQUIRED_1[:1]),
    ],
)
def test_what_is_missing(hyperparameters, missing):
    assert errors(hyperparameters) == missing


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("enc_dmi", "enc_dim"),
        ("batch_size", "mini_batch_size"),
        ("Enc-Dim", "enc_dim"),
        ("ENC0_NETWORK", "enc0_network"),
        ("num_epochs", "epochs"),
        ("early_stopping", "early_stopping_patience"),
        ("tied_embedding_weight", "tied_token_embedding_weight"),
        ("", None),
        (7, None),
        ("qqq", None),
    ],
)
def test_an_unknown_name_meets_the_nearest_known_one(name, nearest):
    (text,) = errors(SIZES | {name: 1})
    meant = f"Did you mean {nearest}? " if nearest else ""
    assert text == (
        f"{name}: must be a known hyperparameter; got {name!r}. {meant}"
        "`object2vec hyperparameters` lists them all."
    )


def test_overlong_names_and_values_are_cut():
    assert errors(SIZES | {"optimizer": "x" * 1000}) == [
        "optimizer: must be one of 'adadelta', 'adagrad', 'adam', 'sgd', 'rmsprop'; "
        f"got '{'x' * 76}.... Choose one of them."
    ]
    (text,) = errors(SIZES | {"q" * 100_000: 1})
    start = f"{'q' * 80}: must be a known hyperparameter; got '{'q' * 76}.... "
    assert text == start + "`object2vec hyperparameters` lists them all."


def test_all_errors_are_reported_together():
    hyperparameters = {
        "enc0_max_seq_len": 0,
        "enc_dmi": 512,
        "enc_dim": "511",
        "enc0_network": "bilstm",
        "enc1_network": "hcnn",
        "learning_rate": np.float32(2),
        "tied_token_embedding_weight": "yes",
        "enc1_max_seq_len": 30,
        "enc1_pretrained_embedding_file": "vectors/glove.txt",
        "epochs": None,
    }
    assert errors(hyperparameters) == [
        "enc0_max_seq_len: must be an integer in [1, 5000]; got 0. Choose a value in this range.",
        "enc_dmi: must be a known hyperparameter; got 'enc_dmi'. Did you mean enc_dim? "
        "`object2vec hyperparameters` lists them all.",
        "learning_rate: must be a number in [1e-06, 1]; got np.float32(2.0). "
        "Choose a value in this range.",
        "tied_token_embedding_weight: must be true or false; got 'yes'. Write true or false.",
        "enc1_pretrained_embedding_file: must be the name of a file in the auxiliary channel, of "
        "letters, digits, '.', '_' and '-'; got 'vectors/glove.txt'. Give the name alone, without "
        "a folder; leave it empty for none.",
        "epochs: must be an integer in [1, 100]; got None. Choose a value in this range.",
        REQUIRED_0[1],
        REQUIRED_1[1],
        "enc_dim: must be even for bilstm, half for each direction; got 511. Choose 512.",
    ]


@pytest.mark.parametrize(
    ("hyperparameters", "malformed"),
    [
        (TIED | {"enc0_vocab_size": "many"}, "enc0_vocab_size"),
        (TIED | {"enc1_vocab_size": 1}, "enc1_vocab_size"),
        (TIED | {"enc1_network": "pooled_embedding", "enc_dim": 2}, "enc_dim"),
        (TIED | {"enc1_network": "pooled", "enc0_token_embedding_dim": 50}, "enc1_network"),
        (TIED | {"enc1_pretrained_embedding_file": "a/b"}, "enc1_pretrained_embedding_file"),
        (BOTH | GLOVE | {"enc0_vocab_file": "a/b"}, "enc0_vocab_file"),
        (SIZES | {"enc0_network": "bilstm", "enc_dim": 7.5}, "enc_dim"),
    ],
)
def test_a_malformed_value_contradicts_nothing(hyperparameters, malformed):
    (text,) = errors(hyperparameters)
    assert text.startswith(f"{malformed}: must be ")


def test_a_missing_size_contradicts_nothing():
    without = {name: TIED[name] for name in TIED if name != "enc1_vocab_size"}
    assert errors(without) == [REQUIRED_1[1]]


def test_an_error_text_does_not_depend_on_the_hash_seed():
    code = (
        "from object2vec.config import Config\n"
        "try: Config.build({'a': 1, 'bb': 2, 'enc_dim': 7, 'enc1_network': 'bilstm',\n"
        "                   'comparator_list': 'x', 'tied_token_embedding_weight': 'true'})\n"
        "except ValueError as error: print(error)"
    )
    texts = [
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    ]
    assert texts[0].startswith("8 problems:\n")
    assert len(set(texts)) == 1


# Properties


# a short alphabet: quotes, blanks and digits are what matters, and all of Unicode is slow to draw
text = st.text("aZ09.-_,/:é \t\n\"'", max_size=9)


def valid_values(kind) -> st.SearchStrategy:
    match kind:
        case Integer(low, high, words):
            numbers = st.integers(low, high if high is not None else 10**6)
            return st.one_of(numbers, st.sampled_from(words)) if words else numbers
        case Float(low, high):
            return st.floats(low, high)
        case Boolean():
            return st.booleans()
        case Choice(values):
            return st.sampled_from(values)
        case Comparators():
            names = st.permutations(["hadamard", "concat", "abs_diff"])
            return st.tuples(names, st.integers(1, 3)).map(lambda drawn: drawn[0][: drawn[1]])
        case Anything():
            return text
    if kind is DEVICE:
        return st.sampled_from(["auto", "cpu", "cuda", "cuda:0", "cuda:7"])
    return st.text("aZ09._-", max_size=9).filter(lambda name: name not in (".", ".."))


def as_text(value) -> str:
    """A value as SageMaker's SDK would send it."""
    return ", ".join(value) if isinstance(value, list) else str(value)


@st.composite
def valid_hyperparameters(draw) -> dict:
    values = {}
    for name, row in HYPERPARAMETERS.items():
        if row.required != "no" or draw(st.booleans()):
            values[name] = draw(valid_values(row.kind))
    if values.get("candidates") == "all":
        values["output_layer"] = draw(st.sampled_from(["dot_product", "ranking"]))
    if values.get("shared_encoder"):
        values.pop("enc1_network", None)
    networks = (values.get("enc0_network"), values.get("enc1_network"))
    if "bilstm" in networks and values.get("enc_dim", 0) % 2:
        values["enc_dim"] += 1
    for side in (0, 1):
        if values.get(f"enc{side}_pretrained_embedding_file"):
            values[f"enc{side}_vocab_file"] = "vocab.json"
            values.pop(f"enc{side}_partners", None)
    if values.get("tied_token_embedding_weight") or values.get("shared_encoder"):
        values["enc1_vocab_size"] = values["enc0_vocab_size"]
        values["enc1_pretrained_embedding_file"] = ""
        if "pooled_embedding" in networks:
            values["enc0_network"] = "pooled_embedding"
            values["enc1_network"] = "enc0" if values.get("shared_encoder") else "pooled_embedding"
        for side in (0, 1):
            for name in ("token_embedding_dim", "idf_exponent", "partners"):
                values.pop(f"enc{side}_{name}", None)
    return values


@settings(max_examples=200, deadline=None)
@given(valid_hyperparameters())
def test_a_valid_config_survives_its_dict_its_json_and_strings(values):
    config = Config.build(values)
    again = Config.build(config.to_dict())
    assert again == config
    assert again.to_dict() == config.to_dict()
    assert Config.build(json.loads(json.dumps(config.to_dict()))) == config
    assert Config.build({name: as_text(value) for name, value in values.items()}) == config


@settings(max_examples=200, deadline=None)
@given(valid_hyperparameters())
def test_every_field_of_a_valid_config_is_resolved(values):
    config = Config.build(values)
    for encoder in config.encoders:
        assert encoder.network in ("hcnn", "bilstm", "pooled_embedding")
        assert 1 <= encoder.layers <= 4
        if encoder.network == "pooled_embedding":
            assert encoder.token_embedding_dim == config.enc_dim
    if config.tied_token_embedding_weight:
        for name in ("vocab_size", "token_embedding_dim", "is_frozen"):
            assert getattr(config.encoders[0], name) == getattr(config.encoders[1], name)
    assert None not in config.to_dict().values()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner),
    max_leaves=5,
)
names = st.sampled_from(list(HYPERPARAMETERS)) | text


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(names, json_values, max_size=8))
def test_nonsense_is_refused_with_a_config_error_and_nothing_else(values):
    try:
        config = Config.build(SIZES | values)
    except ConfigError:
        return
    assert Config.build(config.to_dict()) == config


BEYOND = {
    "enc0_max_seq_len": 5001,
    "enc0_vocab_size": 3_000_001,
    "num_classes": 31,
}


@pytest.mark.parametrize("name", BEYOND)
def test_limits_of_aws_hold_for_its_format_alone(name):
    given = {"enc0_max_seq_len": 2, "enc0_vocab_size": 9} | {name: BEYOND[name]}
    with pytest.raises(ConfigError, match=f"^{name}: must be an integer in "):
        Config.build(given)
    config = Config.build(given, beyond_aws=True)
    assert config.beyond_aws
    assert config.to_dict()[name] == BEYOND[name]
    with pytest.raises(ConfigError, match=f"^{name}: must be an integer in .*2147483647"):
        Config.build(given | {name: 2**31}, beyond_aws=True)


def test_an_empty_value_is_none_at_all():
    """SageMaker's console sends what was left empty as an empty string."""
    rest = {"enc0_max_seq_len": "3", "enc0_vocab_size": "9"}
    empty = (name for name, row in HYPERPARAMETERS.items() if not isinstance(row.kind, Anything))
    given = dict.fromkeys(empty, "") | rest
    assert Config.build(given) == Config.build(rest)
    with pytest.raises(ConfigError, match="enc0_vocab_size: is required"):
        Config.build(rest | {"enc0_vocab_size": ""})


def test_negatives_are_those_of_both_sorts():
    rates = {"negative_sampling_rate": 2, "random_negative_sampling_rate": 3}
    assert Config.build(SIZES | rates).negatives == 5
    assert Config.build(SIZES).negatives == 0


def test_a_config_shows_and_is_compared_by_its_hyperparameters_alone():
    given = SIZES | {"enc0_network": "pooled_embedding"}
    config = Config.build(given)
    assert config.notes
    assert config.inherits
    for name in ("notes", "inherits", "beyond_aws"):
        assert name not in repr(config)
    built = Config.build(config.to_dict(), beyond_aws=True)
    assert (built.notes, built.inherits) == ((), False)
    assert built == config
    assert built != Config.build(given | {"epochs": 3})
