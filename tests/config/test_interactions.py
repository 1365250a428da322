"""Rules between what goes beyond AWS's hyperparameters: what is ignored, and what contradicts."""

from __future__ import annotations

import pytest

from object2vec import Config, ConfigError
from object2vec.config.rules import Note

POOLED = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 10,
    "enc0_vocab_size": 100,
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": 10,
    "enc1_vocab_size": 100,
    "enc_dim": 300,
}
ODDS = {"output_layer": "dot_product", "candidates": "all"}
BIAS = ODDS | {"output_bias": "mean", "normalize": "none"}
VECTORS = {"enc1_pretrained_embedding_file": "v.txt", "enc1_vocab_file": "v.json"}
FREE = {"enc1_freeze_pretrained_embedding": False}
OF_RANKING = {
    "ranking_direction": "in0",
    "ranking_scale": 3,
    "learn_ranking_scale": False,
    "log_q_correction": True,
    "shared_negatives": 2,
    "negative_exponent": 0.5,
    "label_smoothing": 0.1,
}


def layer(name, **more):
    return {"output_layer": name, **more}


@pytest.mark.parametrize(
    ("settings", "name", "why"),
    [
        *(
            (layer(each, mlp_layers=1), "mlp_layers", f"output_layer is {each}")
            for each in ("dot_product", "ranking", "cosine")
        ),
        *(
            (
                layer(each, comparator_list="hadamard, concat"),
                "comparator_list",
                f"output_layer is {each}",
            )
            for each in ("dot_product", "ranking", "cosine")
        ),
        *(
            (
                layer(each, candidates="all", **{name: 2}),
                name,
                "candidates=all has all others as negatives",
            )
            for each in ("dot_product", "ranking")
            for name in (
                "negative_sampling_rate",
                "random_negative_sampling_rate",
                "shared_negatives",
            )
        ),
        *(
            (layer("ranking", **{name: 2}), name, "ranking has the other records as negatives")
            for name in ("negative_sampling_rate", "random_negative_sampling_rate")
        ),
        *(
            (layer(each, **{name: value}), name, f"output_layer is {each}")
            for each in ("mean_squared_error", "softmax")
            for name, value in OF_RANKING.items()
        ),
        *(
            (layer("cosine", **{name: value}), name, "output_layer is cosine")
            for name, value in OF_RANKING.items()
            if name != "ranking_scale"
        ),
        *(
            (layer("dot_product", **{name: value}), name, "output_layer is dot_product")
            for name, value in OF_RANKING.items()
            if name not in ("shared_negatives", "negative_exponent")
        ),
        *(
            (ODDS | {name: value}, name, "output_layer is dot_product")
            for name, value in OF_RANKING.items()
            if name not in ("ranking_scale", "learn_ranking_scale", "shared_negatives")
        ),
        (layer("cosine", normalize="none"), "normalize", "output_layer is cosine"),
        (layer("softmax", output_bias="mean"), "output_bias", "output_layer is softmax"),
        (
            layer("ranking", candidates="all", output_bias="mean"),
            "output_bias",
            "output_layer is ranking",
        ),
        (
            layer("dot_product", output_bias="mean"),
            "output_bias",
            "output_layer is dot_product without candidates=all",
        ),
        (BIAS | {"enc1_network": "hcnn"}, "output_bias", "enc1_network is hcnn"),
        (
            BIAS | {"tied_token_embedding_weight": True},
            "output_bias",
            "both sides have one token table",
        ),
        (BIAS | VECTORS, "output_bias", "the token table of in1 is frozen"),
        (BIAS | {"normalize": "in1"}, "output_bias", "normalize is in1"),
        (BIAS | {"normalize": "both"}, "output_bias", "normalize is both"),
    ],
    ids=str,
)
def test_what_is_ignored_is_said(settings, name, why):
    config = Config.build(POOLED | settings)
    notes = [note for note in config.notes if "token-embedding-encoder" not in note.text]
    assert notes == [Note("info", f"{name} is ignored: {why}.")]


@pytest.mark.parametrize(
    "settings",
    [
        layer("dot_product", mlp_layers=0, comparator_list="hadamard"),
        layer("softmax", mlp_layers=1, comparator_list="hadamard, concat"),
        layer("dot_product", negative_sampling_rate=2, random_negative_sampling_rate=2),
        layer("dot_product", shared_negatives=2, negative_exponent=0.3),
        layer("ranking", normalize="none", **OF_RANKING),
        layer("cosine", ranking_scale=3),
        layer("mean_squared_error", output_bias="mean"),
        layer("mean_squared_error", ranking_scale=20.0, normalize="both"),
        ODDS | {"normalize": "none", "ranking_scale": 2, "learn_ranking_scale": False},
        BIAS,
        BIAS | {"normalize": "in0"},
        BIAS | VECTORS | FREE,
        {"enc0_partners": True, "enc1_partners": True},
        {"enc1_partners": True} | VECTORS | FREE,
        {"shared_encoder": True},
        {"optimizer": "adam", "decoupled_weight_decay": True},
        {"optimizer": "rmsprop", "decoupled_weight_decay": True},
    ],
    ids=str,
)
def test_what_is_used_is_not_spoken_of(settings):
    config = Config.build(POOLED | settings)
    assert config.notes == ()
    said = config.to_dict() | {"comparator_list": settings.get("comparator_list")}
    assert {name: said[name] for name in settings} == settings


@pytest.mark.parametrize(
    ("where", "value", "name", "given"),
    [
        *(
            ("output_layer", each, "num_classes", 2)
            for each in ("dot_product", "ranking", "cosine")
        ),
        ("optimizer", "adadelta", "learning_rate_schedule", "linear"),
        ("optimizer", "adadelta", "warmup", 0.1),
        *(
            ("optimizer", each, "decoupled_weight_decay", True)
            for each in ("sgd", "adagrad", "adadelta")
        ),
    ],
)
def test_what_is_ignored_is_said_in_the_words_of_aws(where, value, name, given):
    text = f"{where} is set to {value}. Ignoring the hyperparameter '{name}'."
    assert Config.build(POOLED | {where: value, name: given}).notes == (Note("info", text),)
    assert Config.build(POOLED | {where: value}).notes == ()


@pytest.mark.parametrize("layers", ["dot_product", "ranking", "cosine"])
def test_what_compares_by_its_products_alone_has_no_layers(layers):
    config = Config.build(POOLED | layer(layers))
    assert (config.comparator_list, config.mlp_layers) == (("hadamard",), 0)


BILSTM = {"enc0_network": "bilstm", "enc1_network": "bilstm"}
AS_THEY_ARE = "compares pooled embeddings as they are"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (ODDS, f"candidates=all {AS_THEY_ARE}"),
        (layer("ranking", candidates="all"), f"candidates=all {AS_THEY_ARE}"),
        (layer("ranking"), f"output_layer=ranking {AS_THEY_ARE}"),
        (layer("ranking", enc1_network="bilstm"), f"output_layer=ranking {AS_THEY_ARE}"),
        (BILSTM, "encoders of one layer have none, nor has a head without activations"),
        (
            BILSTM | {"mlp_activation": "relu", "mlp_layers": 0},
            "encoders of one layer have none, nor has a head without activations",
        ),
    ],
    ids=str,
)
def test_dropout_that_drops_nothing_is_warned_of(settings, why):
    notes = Config.build(POOLED | settings | {"dropout": 0.2}).notes
    assert Note("warning", f"dropout is ignored: {why}.") in notes
    assert not any("dropout" in note.text for note in Config.build(POOLED | settings).notes)


@pytest.mark.parametrize(
    "settings",
    [
        {"mlp_layers": 0},
        layer("dot_product"),
        layer("cosine"),
        BILSTM | {"mlp_activation": "relu"},
        BILSTM | {"mlp_layers": 0, "enc1_layers": 2},
        layer("ranking", enc0_network="hcnn", enc0_layers="2"),
    ],
    ids=str,
)
def test_dropout_that_drops_something_is_not_spoken_of(settings):
    notes = Config.build(POOLED | settings | {"dropout": 0.2}).notes
    assert not any("dropout" in note.text for note in notes)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        *(
            (
                layer(each, candidates="all"),
                f"output_layer: must be dot_product or ranking with candidates=all; got '{each}'. "
                "Choose one of these, or candidates=batch.",
            )
            for each in ("softmax", "mean_squared_error", "cosine")
        ),
        *(
            (
                {f"enc{side}_partners": True, "tied_token_embedding_weight": True},
                f"enc{side}_partners: must be false with tied tables; got True. Untie the tables, "
                "or leave partners out.",
            )
            for side in (0, 1)
        ),
        (
            {"enc1_partners": True} | VECTORS,
            "enc1_partners: must be false with a frozen table; got True. Set "
            "enc1_freeze_pretrained_embedding to false, or leave partners out.",
        ),
        (
            {"shared_encoder": True, "enc0_pool_exponent": 0.5},
            "enc1_pool_exponent: must equal enc0_pool_exponent (0.5) with shared_encoder; got 1.0. "
            "Make them equal, or let enc1_network be enc0.",
        ),
        (
            {"shared_encoder": True, "enc1_idf_exponent": 0.5},
            "enc1_idf_exponent: must equal enc0_idf_exponent (0.0) with "
            "tied_token_embedding_weight; got 0.5. Make them equal, or untie the tables.",
        ),
    ],
    ids=str,
)
def test_what_cannot_stand_together(settings, text):
    with pytest.raises(ConfigError) as caught:
        Config.build(POOLED | settings)
    assert str(caught.value) == text
