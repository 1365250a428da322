"""Presets: named sets of hyperparameters to begin with, for tables whose columns say what they are.

AWS's defaults (an hcnn of 4 layers, 4,096 wide) hold for AWS's format. With a schema training
begins with a preset: the first one that suits the objects and the label, or the one that is named.
What the data decide (sizes, lengths, classes) stands over it, what the user sets over all.
`benchmarks/LOG.md` has the trials behind the numbers, all on parts of training data. To add a
preset is to add a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from object2vec.errors import ConfigError, suggestion

# What the two sides are: neither is a text, both are, or one is; or in1 is an address.
Objects = Literal["tokens", "texts", "both", "addresses"]
Labels = Literal["none", "numbers", "classes"]


@dataclass(frozen=True)
class Preset:
    """A set of hyperparameters with its name.

    Parameters
    ----------
    name : str
    meaning : str
        What it is for, in a few words.
    values : mapping of str to object
        Hyperparameters that differ from AWS's defaults.
    suits : tuple of pairs of str
        Objects and labels for which it is chosen; of a preset with none only who names it has it.
    pairs : str, optional
        What makes the pairs where nothing else is said; a schema with it has this preset.
    prior_rows : float, optional
        How many rows of training hold a vector back as much as its prior: weight_decay is that over
        the number of rows.
    updates : int, optional
        How many updates training takes, at the least, whatever the number of rows: epochs follow.
    tokens_read : int, optional
        Tokens that an update reads of an in0 of usual length, at least half: token_dropout follows.
    """

    name: str
    meaning: str
    values: Mapping[str, Any]
    suits: tuple[tuple[Objects, Labels], ...] = ()
    pairs: str | None = None
    prior_rows: float | None = None
    updates: int | None = None
    tokens_read: int | None = None

    @property
    def decided(self) -> list[str]:
        """What the rows of training decide of its hyperparameters, and how, a text each."""
        texts = []
        if self.prior_rows is not None:
            texts.append(f"weight_decay is {self.prior_rows:g} over the number of rows")
        if self.updates is not None:
            texts.append(f"epochs are those of {self.updates} updates or more")
        if self.tokens_read is not None:
            texts.append(f"token_dropout leaves {self.tokens_read} tokens of an in0, or half")
        return texts


_POOLED = {"enc0_network": "pooled_embedding", "enc1_network": "pooled_embedding"}
_RANKED = {  # positives alone: each object finds its partner among those of its batch
    **_POOLED,
    "output_layer": "ranking",
    "learning_rate_schedule": "linear",
    "warmup": 0.1,
    "early_stopping_tolerance": 0.001,
}
_JUDGED = {  # pairs with a label: a small head on several views of them
    **_POOLED,
    "mlp_layers": 1,
    "mlp_dim": 64,
    "mlp_activation": "relu",
    "mini_batch_size": 512,
    "learning_rate": 0.004,
    "early_stopping_tolerance": 0.001,
}

_ROWS = (
    Preset(
        "ratings",
        "numbers for pairs, such as the stars that a user gives a film",
        {  # factors and a bias of each token and of its partners, whose average is kept
            **_POOLED,
            "enc0_partners": True,
            "enc1_partners": True,
            "output_bias": "mean",
            "token_embedding_storage_type": "dense",  # a prior holds every row in each update
            "enc_dim": 32,
            "comparator_list": "hadamard, concat",
            "mlp_layers": 0,
            "mini_batch_size": 1000,
            "learning_rate": 0.01,
            "noise_temperature": 0.2,
            "weight_averaging": 0.75,
            "epochs": 30,
            "early_stopping_patience": 10,
            "early_stopping_tolerance": 0.0001,
        },
        (("tokens", "numbers"), ("both", "numbers"), ("addresses", "numbers")),
        prior_rows=16,
    ),
    Preset(
        "topn",
        "what goes with what, learned from pairs alone: plays, purchases, logins",
        _POOLED
        | {
            "output_layer": "ranking",
            "ranking_direction": "in0",
            "ranking_scale": 10,
            "learn_ranking_scale": False,
            "log_q_correction": True,
            "shared_negatives": 1000,
            "enc_dim": 128,
            "token_init": "unit",
            "mini_batch_size": 1024,
            "learning_rate": 0.02,
            "learning_rate_schedule": "linear",
            "warmup": 0.1,
            "weight_averaging": 0.3,
            "early_stopping_patience": 7,  # the schedule ends it
            "epochs": 7,
        },
        (("tokens", "none"),),
        pairs="history(dropout=0.3)",
    ),
    Preset(
        "detection",
        "which addresses an account uses, and so which access is unusual, as IP Insights has it",
        {
            **_POOLED,
            "output_layer": "dot_product",
            "enc_dim": 32,
            "enc1_pool_exponent": 0,  # what networks of each size say adds up
            "negative_sampling_rate": 1,
            "random_negative_sampling_rate": 3,
            "mini_batch_size": 5000,
            "learning_rate": 0.003,
            "weight_decay": 0.00001,
            "epochs": 5,
        },
        (("addresses", "none"),),
    ),
    Preset(
        "classes",
        "classes of pairs of tokens",
        _JUDGED
        | {"enc_dim": 32, "dropout": 0.3, "comparator_list": "hadamard, concat", "epochs": 10},
        (("tokens", "classes"), ("both", "classes"), ("addresses", "classes")),
    ),
    Preset(
        "multilabel",
        "labels, tags or products for a text, learned from pairs alone",
        {
            **_POOLED,
            "output_layer": "dot_product",
            "candidates": "all",  # a logistic regression of each label, in as many dimensions
            "normalize": "none",
            "ranking_scale": 1,
            "output_bias": "mean",  # most labels are wrong for most texts
            "enc_dim": 200,
            "enc0_pool_exponent": 0.3,  # nearly a sum: words add up to the odds
            "token_embedding_storage_type": "dense",  # rare words decay in each update, too
            "weight_decay": 0.00003,
            "optimizer": "adagrad",
            "mini_batch_size": 256,
            "learning_rate": 0.05,
            "learning_rate_schedule": "linear",
        },
        (("both", "none"),),
        updates=200,  # with more, words say too much about the texts of training
        tokens_read=20,  # long texts say the same twice, short ones do not
    ),
    Preset(
        "retrieval",
        "the text that belongs to a text, learned from pairs alone: questions and answers",
        _RANKED
        | {
            "enc_dim": 300,
            "enc0_idf_exponent": 0.8,
            "enc1_idf_exponent": 0.8,
            "shared_encoder": True,
            "token_init": "unit",
            "token_dropout": 0.35,
            "ranking_scale": 15,
            "learn_ranking_scale": False,  # it would grow, and only the nearest rivals would count
            "mini_batch_size": 2048,
            "learning_rate": 0.0035,  # small, so that rare tokens keep who they are
            "epochs": 7,
        },
        (("texts", "none"),),
    ),
    Preset(
        "similarity",
        "how alike two texts are, by their cosine: from numbers for pairs, or from pairs alone",
        {
            **_POOLED,
            "output_layer": "cosine",
            "enc_dim": 300,
            "shared_encoder": True,
            "token_init": "unit",
            "token_embedding_storage_type": "row_sparse",
            "enc0_idf_exponent": 0.8,
            "enc1_idf_exponent": 0.8,
            "mini_batch_size": 1024,
            "learning_rate": 0.003,
            "learning_rate_schedule": "linear",
            "warmup": 0.1,
            "weight_averaging": 0.5,
            "early_stopping_tolerance": 0.001,
            "epochs": 10,
        },
        (("texts", "numbers"),),
    ),
    Preset(
        "text_classes",
        "classes of pairs of texts, by their words alone and fast",
        _JUDGED | {"enc_dim": 100, "comparator_list": "hadamard, concat, abs_diff", "epochs": 15},
        (("texts", "classes"),),
    ),
    Preset(
        "nli",
        "how one sentence stands to another, as a class, with the order of their words: "
        "entailment, contradiction; begin with vectors of words",
        {
            "shared_encoder": True,
            "enc0_network": "bilstm",
            "enc1_network": "bilstm",
            "enc0_token_embedding_dim": 50,
            "enc1_token_embedding_dim": 50,
            "enc0_freeze_pretrained_embedding": True,
            "enc1_freeze_pretrained_embedding": True,
            "enc_dim": 256,
            "mlp_layers": 1,
            "mlp_dim": 256,
            "mlp_activation": "relu",
            "dropout": 0.1,
            "mini_batch_size": 64,
            "bucket_width": 8,
            "learning_rate": 0.004,
            "learning_rate_schedule": "linear",
            "weight_averaging": 0.5,
            "gradient_clip_norm": 1,
            "epochs": 12,
            "early_stopping_tolerance": 0.001,
        },
    ),
    Preset(
        "words",
        "words of a text by the words around them, as word2vec has it",
        {
            **_POOLED,
            "output_layer": "dot_product",
            "enc_dim": 100,
            "tied_token_embedding_weight": False,
            "token_embedding_storage_type": "row_sparse",
            "negative_sampling_rate": 5,
            "shared_negatives": 32,
            "negative_exponent": 0.75,
            "optimizer": "adagrad",
            "learning_rate": 1,
            "learning_rate_schedule": "linear",
            "mini_batch_size": 6000,
            "early_stopping_tolerance": 0.000001,
            "mask_padding": False,
            "epochs": 5,
        },
        pairs="windows",
    ),
    Preset("aws", "the defaults of Amazon SageMaker Object2Vec, as they are", {}),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ROWS}
"""Every preset by its name, in the order in which they are looked at."""


def preset_of(name: str) -> Preset:
    """Return the preset of this name.

    Raises
    ------
    ConfigError
        If there is none.
    """
    if name not in PRESETS:
        cure = f"{suggestion(name, PRESETS)}`object2vec presets` lists them."
        raise ConfigError.at("preset", f"must be one of {', '.join(PRESETS)}", name, cure)
    return PRESETS[name]


def maker_named(pairs: str | None, preset: str | None) -> str | None:
    """Return what makes the pairs: what is named, or what a named preset says.

    Raises
    ------
    ConfigError
        If there is no such preset.
    """
    return pairs or (preset_of(preset).pairs if preset else None)


def names_columns(preset: str | None) -> bool:
    """Return whether a named preset makes pairs of a table whose columns nobody names.

    Raises
    ------
    ConfigError
        If there is no such preset.
    """
    found = None if preset is None else preset_of(preset)
    return found is not None and found.pairs is not None and not found.suits


def suitable_preset(objects: Objects, labels: Labels, pairs: str | None = None) -> Preset:
    """Return the preset for such objects and labels, or for what makes the pairs."""
    named = ((preset, (preset.pairs or "").partition("(")[0]) for preset in _ROWS)
    for preset, maker in named:
        if maker and maker == pairs:
            return preset
    return next(preset for preset in _ROWS if (objects, labels) in preset.suits)
