"""The typed configuration: every hyperparameter parsed, every interaction resolved, all errors at once.

`Config.build` takes hyperparameters as SageMaker passes them (strings) or as Python values, applies the rules of the
AWS container (encoder 1 inherits from encoder 0, pooled encoders overwrite their token width, and so on) and remembers
what it changed as `notes` for the log. A built config is whole: `Config.build(config.to_dict())` equals it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from object2vec.errors import ConfigError, join_problems, problem
from object2vec.hyperparameters import HYPERPARAMETERS

_AUTO_LAYERS = {"hcnn": 4, "bilstm": 1, "pooled_embedding": 1}
_AWS_ROW_SPARSE_OPTIMIZERS = ("adam", "adagrad", "sgd")
_CONSOLE_NEGATIVES = 100  # AWS's SDK and console stop at this rate, its documentation does not


@dataclass(frozen=True)
class Note:
    """Something that building the config changed or found: a log line with its level."""

    level: Literal["info", "warning"]
    text: str


@dataclass(frozen=True)
class EncoderConfig:
    """What one encoder needs to know, after every interaction is resolved."""

    side: int
    network: str
    max_seq_len: int
    vocab_size: int
    layers: int
    cnn_filter_width: int
    token_embedding_dim: int
    pretrained_embedding_file: str
    vocab_file: str
    freeze_pretrained_embedding: bool

    @property
    def is_frozen(self) -> bool:
        """Whether the token table stays as it was loaded."""
        return bool(self.pretrained_embedding_file) and self.freeze_pretrained_embedding


@dataclass(frozen=True, kw_only=True)
class Config:
    """All hyperparameters, typed and resolved; see `object2vec.hyperparameters` for their meaning.

    Build it with `Config.build`, never by its constructor, which checks nothing.
    """

    enc0_max_seq_len: int
    enc0_vocab_size: int
    enc0_network: str
    enc0_layers: int
    enc0_cnn_filter_width: int
    enc0_token_embedding_dim: int
    enc0_pretrained_embedding_file: str
    enc0_vocab_file: str
    enc0_freeze_pretrained_embedding: bool
    enc1_max_seq_len: int
    enc1_vocab_size: int
    enc1_network: str
    enc1_layers: int
    enc1_cnn_filter_width: int
    enc1_token_embedding_dim: int
    enc1_pretrained_embedding_file: str
    enc1_vocab_file: str
    enc1_freeze_pretrained_embedding: bool
    enc_dim: int
    comparator_list: tuple[str, ...]
    mlp_layers: int
    mlp_dim: int
    mlp_activation: str
    output_layer: str
    num_classes: int
    dropout: float
    optimizer: str
    learning_rate: float
    weight_decay: float
    mini_batch_size: int
    epochs: int
    early_stopping_patience: int
    early_stopping_tolerance: float
    bucket_width: int
    negative_sampling_rate: int
    tied_token_embedding_weight: bool
    token_embedding_storage_type: str
    _kvstore: str
    _num_gpus: int | str
    _num_kv_servers: str
    _tuning_objective_metric: str
    seed: int
    device: str
    threads: int
    mask_padding: bool
    compat_metrics: bool
    kernel: str
    notes: tuple[Note, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def build(cls, hyperparameters: Mapping[str, Any]) -> Config:
        """Return the config that `hyperparameters` describe.

        Parameters
        ----------
        hyperparameters : mapping of str to str, int, float, bool or list
            Values by AWS's names; what is missing gets the default of the table.

        Raises
        ------
        ConfigError
            If a name is unknown, a value malformed or out of range, a required one missing, or two contradict
            each other. All problems are reported together.
        """
        given, problems = _parse(hyperparameters)
        notes: list[Note] = []
        values = {name: row.default for name, row in HYPERPARAMETERS.items()} | given
        if values.pop("feature_dim"):
            notes.append(Note("info", "feature_dim: object2vec has no such hyperparameter; ignored."))
        _inherit(values, given, notes)
        problems += _missing(values, given, malformed=hyperparameters.keys() - given.keys())
        if not problems:
            _resolve(values, given, notes)
            problems += _contradictions(values)
        if problems:
            raise ConfigError(join_problems(problems))
        return cls(**values, notes=tuple(notes))

    @property
    def encoders(self) -> tuple[EncoderConfig, EncoderConfig]:
        """Settings of encoder 0 and encoder 1."""
        return self._encoder(0), self._encoder(1)

    def _encoder(self, side: int) -> EncoderConfig:
        names = [f.name for f in fields(EncoderConfig) if f.name != "side"]
        return EncoderConfig(side, *(getattr(self, f"enc{side}_{name}") for name in names))

    @property
    def is_classifier(self) -> bool:
        """Whether the output is a probability per class (else one number)."""
        return self.output_layer == "softmax"

    @property
    def output_width(self) -> int:
        """Numbers that the output layer gives for one pair."""
        return self.num_classes if self.is_classifier else 1

    @property
    def comparator_width(self) -> int:
        """Width of the comparator's output: enc_dim for each part, twice for concat."""
        return sum(2 if name == "concat" else 1 for name in self.comparator_list) * self.enc_dim

    def to_dict(self) -> dict[str, Any]:
        """Return the whole config as JSON values by hyperparameter name."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "notes"}
        return values | {"comparator_list": list(self.comparator_list)}

    def to_json(self) -> str:
        """Return the whole config as indented JSON."""
        return json.dumps(self.to_dict(), indent=2)


def _parse(hyperparameters: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the parsed values and the problems found in them."""
    given: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in hyperparameters.items():
        row = HYPERPARAMETERS.get(name)
        if row is None:
            problems.append(_unknown(name))
            continue
        try:
            given[name] = row.kind.parse(value)
        except (ValueError, TypeError, OverflowError):
            problems.append(problem(name, row.kind.rule, value, row.kind.cure))
    return given, problems


def _unknown(name: str) -> str:
    nearest = difflib.get_close_matches(str(name), HYPERPARAMETERS, n=1, cutoff=0.0)[0]
    return problem(
        str(name), "must be a known hyperparameter", name,
        f"Did you mean {nearest}? `object2vec hyperparameters` lists them all.",
    )  # fmt: skip


def _inherit(values: dict[str, Any], given: Mapping[str, Any], notes: list[Note]) -> None:
    """Give encoder 1 every setting of encoder 0 when its network is enc0 (spec: ISS-834)."""
    if values["enc1_network"] != "enc0":
        return
    ignored = []
    for name in HYPERPARAMETERS:
        if not name.startswith("enc1_"):
            continue
        twin = values["enc0" + name[4:]]
        if name in given and name != "enc1_network" and given[name] != twin:
            ignored.append(f"{name}={given[name]!r} (encoder 0 has {twin!r})")
        values[name] = twin
    if ignored:
        notes.append(Note(
            "warning",
            "enc1_network is enc0, so encoder 1 takes every setting of encoder 0 and these are ignored: "
            + ", ".join(ignored) + ". Set enc1_network to a network of its own to use them.",
        ))  # fmt: skip


def _missing(
    values: Mapping[str, Any], given: Mapping[str, Any], malformed: Set[str]
) -> list[str]:
    """Return a problem for each required value that is neither given nor inherited."""
    inherits = given.get("enc1_network", "enc0") == "enc0"
    return [
        problem(name, "is required", None, f"Set it: {row.meaning}")
        for name, row in HYPERPARAMETERS.items()
        if row.required == "yes" or (row.required == "conditional" and not inherits)
        if values[name] is None and name not in malformed
    ]


def _resolve(values: dict[str, Any], given: Mapping[str, Any], notes: list[Note]) -> None:
    """Apply the container's overwrites, each with its log line."""
    for side in (0, 1):
        network = values[f"enc{side}_network"]
        if values[f"enc{side}_layers"] == "auto":
            values[f"enc{side}_layers"] = _AUTO_LAYERS[network]
        dim = values[f"enc{side}_token_embedding_dim"]
        if network == "pooled_embedding" and dim != values["enc_dim"]:
            values[f"enc{side}_token_embedding_dim"] = values["enc_dim"]
            notes.append(Note(
                "info",
                "Inconsistent enc_dim and token_embedding_dim found for token-embedding-encoder: "
                f"{values['enc_dim']} vs {dim}. Setting token embedding dim to be {values['enc_dim']}",
            ))  # fmt: skip
    if values["token_embedding_storage_type"] == "row_sparse":
        _resolve_row_sparse(values, notes)
    if values["output_layer"] == "mean_squared_error" and "num_classes" in given:
        notes.append(Note("info", "num_classes is ignored: output_layer is mean_squared_error."))
    if values["mlp_activation"] == "linear" and values["dropout"] and values["mlp_layers"]:
        notes.append(Note("info", "mlp_activation is linear: the hidden layers get no dropout."))
    if values["negative_sampling_rate"] > _CONSOLE_NEGATIVES:
        notes.append(Note(
            "warning",
            f"negative_sampling_rate {values['negative_sampling_rate']} is above {_CONSOLE_NEGATIVES}, "
            "the most that AWS's SDK accepts; nearly every record will be a negative.",
        ))  # fmt: skip
    if values["_num_gpus"] == 0 and values["device"] == "auto":
        values["device"] = "cpu"


def _resolve_row_sparse(values: dict[str, Any], notes: list[Note]) -> None:
    """Switch bucketing off and say where AWS would have refused the optimizer."""
    if values["bucket_width"]:
        notes.append(Note(
            "warning",
            f"bucket_width {values['bucket_width']} is set to 0: "
            "token_embedding_storage_type row_sparse works without buckets.",
        ))  # fmt: skip
        values["bucket_width"] = 0
    if values["optimizer"] not in _AWS_ROW_SPARSE_OPTIMIZERS:
        notes.append(Note(
            "info",
            f"AWS refuses row_sparse with {values['optimizer']}; its lazy form is used here.",
        ))  # fmt: skip


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    """Return a problem for each pair of values that cannot stand together."""
    problems = []
    for side in (0, 1):
        enc = f"enc{side}"
        if values[f"{enc}_pretrained_embedding_file"] and not values[f"{enc}_vocab_file"]:
            problems.append(problem(
                f"{enc}_vocab_file", f"must be given with {enc}_pretrained_embedding_file",
                values[f"{enc}_vocab_file"], "Name the JSON file that maps tokens to ids.",
            ))  # fmt: skip
        problems += _width_problems(values, side)
    if values["tied_token_embedding_weight"]:
        problems += _tied_problems(values)
    return list(dict.fromkeys(problems))


def _width_problems(values: Mapping[str, Any], side: int) -> list[str]:
    """Return the problems of enc_dim with the network of one side."""
    network, width = values[f"enc{side}_network"], values["enc_dim"]
    if network == "bilstm" and width % 2:
        return [problem("enc_dim", "must be even for bilstm, half for each direction", width,
                        f"Choose {width + 1}.")]  # fmt: skip
    return []


def _tied_problems(values: Mapping[str, Any]) -> list[str]:
    """Return a problem for each setting in which tied tables differ."""
    problems = []
    for name in ("vocab_size", "token_embedding_dim", "pretrained_embedding_file"):
        ours, theirs = values[f"enc0_{name}"], values[f"enc1_{name}"]
        if ours != theirs and (name != "pretrained_embedding_file" or theirs):
            problems.append(problem(
                f"enc1_{name}", f"must equal enc0_{name} ({ours!r}) with tied_token_embedding_weight",
                theirs, "Make them equal, or untie the tables.",
            ))  # fmt: skip
    return problems
