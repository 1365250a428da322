"""The typed configuration: values parsed, interactions resolved, all errors at once.

`Config.build` takes hyperparameters as SageMaker passes them (strings) or as Python values, applies
the rules of the AWS container (encoder 1 inherits from encoder 0, pooled encoders overwrite their
token width, and so on) and remembers what it changed as `notes` for the log. A built config is
whole: ``Config.build(config.to_dict())`` equals it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from object2vec.config.table import HYPERPARAMETERS, Choice, Kind
from object2vec.errors import ConfigError, join_problems, problem, shown

_AUTO_LAYERS = {"hcnn": 4, "bilstm": 1, "pooled_embedding": 1}
_AWS_ROW_SPARSE_OPTIMIZERS = ("adam", "adagrad", "sgd")
_CONSOLE_NEGATIVES = 100  # AWS's SDK and console stop at this rate, its documentation does not
_PRETRAINED = ("pretrained_embedding_file", "vocab_file", "freeze_pretrained_embedding")
_NAME_CHARACTERS = 80


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
    """All hyperparameters, typed and resolved; `object2vec.config.table` has their meaning.

    Build it with `Config.build`, never by its constructor, which checks nothing.
    """

    enc0_max_seq_len: int
    enc0_vocab_size: int
    enc1_max_seq_len: int
    enc1_vocab_size: int
    enc0_network: str
    enc0_layers: int
    enc0_cnn_filter_width: int
    enc0_token_embedding_dim: int
    enc0_pretrained_embedding_file: str
    enc0_vocab_file: str
    enc0_freeze_pretrained_embedding: bool
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
    precision: str
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
            If a name is unknown, a value malformed or out of range, a required one missing, or two
            contradict each other. All problems are reported together.
        """
        notes: list[Note] = []
        given, problems = _parse(hyperparameters, notes)
        values = {name: row.default for name, row in HYPERPARAMETERS.items()} | given
        values.pop("feature_dim")
        malformed = hyperparameters.keys() - given.keys()
        inherits = values["enc1_network"] == "enc0"
        if inherits:
            _inherit(values, given, notes)
        missing = _missing(values, malformed, inherits)
        problems += missing.values()
        _resolve(values, given, notes)
        problems += _contradictions(values, malformed | missing.keys(), inherits)
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


def _parse(
    hyperparameters: Mapping[str, Any], notes: list[Note]
) -> tuple[dict[str, Any], list[str]]:
    """Return the parsed values, and the problems of those that cannot be parsed."""
    given: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in hyperparameters.items():
        if name not in HYPERPARAMETERS:
            problems.append(_unknown(name))
            continue
        kind = _kind(name, hyperparameters)
        try:
            given[name] = kind.parse(value)
        except ValueError:
            problems.append(problem(name, kind.rule, value, kind.cure))
            continue
        if isinstance(kind, Choice) and kind.is_alias(value):
            text = f"{name}: {shown(value)} is read as {given[name]!r}, the documented value."
            notes.append(Note("warning", text))
    if "feature_dim" in given:
        notes.append(Note("info", "feature_dim: Object2Vec has no such hyperparameter; ignored."))
    return given, problems


def _kind(name: str, hyperparameters: Mapping[str, Any]) -> Kind:
    """Return the type of `name`; in a built config, a pooled token width may be any enc_dim."""
    if (
        name.endswith("_token_embedding_dim")
        and str(hyperparameters.get(f"{name[:4]}_network")) == "pooled_embedding"
        and str(hyperparameters[name]) == str(hyperparameters.get("enc_dim"))
    ):
        return HYPERPARAMETERS["enc_dim"].kind
    return HYPERPARAMETERS[name].kind


def _unknown(name: object) -> str:
    """Return the problem of an unknown name, with the nearest known one."""
    where = str(name)[:_NAME_CHARACTERS]  # difflib's time grows with the square of the length
    wanted = where.lower().replace("-", "_")
    nearest = difflib.get_close_matches(wanted, HYPERPARAMETERS, n=1, cutoff=0.0)[0]
    return problem(
        where,
        "must be a known hyperparameter",
        name,
        f"Did you mean {nearest}? `object2vec hyperparameters` lists them all.",
    )


def _inherit(values: dict[str, Any], given: Mapping[str, Any], notes: list[Note]) -> None:
    """Give encoder 1 every setting of encoder 0.

    AWS does so without a word (https://github.com/aws/sagemaker-python-sdk/issues/834).
    """
    ignored = []
    for name in values:
        if not name.startswith("enc1_"):
            continue
        twin = values["enc0" + name[4:]]
        if name != "enc1_network" and given.get(name, twin) != twin:
            ignored.append(f"{name}={given[name]!r} (encoder 0 has {twin!r})")
        values[name] = twin
    if ignored:
        text = (
            "enc1_network is enc0, so encoder 1 takes every setting of encoder 0 and these are "
            f"ignored: {', '.join(ignored)}. Set enc1_network to a network of its own to use them."
        )
        notes.append(Note("warning", text))


def _missing(values: Mapping[str, Any], malformed: Set[str], inherits: bool) -> dict[str, str]:
    """Return, by name, the problem of each required value that is neither given nor inherited."""
    problems = {}
    for name, row in HYPERPARAMETERS.items():
        required = row.required == "yes" or (row.required == "conditional" and not inherits)
        if required and values[name] is None and name not in malformed:
            cure = "It has no default: set it."
            if row.required == "conditional":
                cure = "Set it, or let enc1_network be enc0."
            problems[name] = problem(name, f"is required and {row.kind.rule}", None, cure)
    return problems


def _resolve(values: dict[str, Any], given: Mapping[str, Any], notes: list[Note]) -> None:
    """Apply every interaction between values, each with its line for the log."""
    for side in (0, 1):
        _resolve_encoder(values, side, notes)
    if values["tied_token_embedding_weight"]:
        _resolve_tied(values, given, notes)
    if values["token_embedding_storage_type"] == "row_sparse":
        _resolve_row_sparse(values, notes)
    _resolve_device(values, notes)
    if values["output_layer"] == "mean_squared_error" and "num_classes" in given:
        notes.append(Note("info", "num_classes is ignored: output_layer is mean_squared_error."))
    if values["optimizer"] == "adadelta" and "learning_rate" in given:
        notes.append(Note("info", "learning_rate is ignored: adadelta has none."))
    if values["mlp_activation"] == "linear" and values["dropout"] and values["mlp_layers"]:
        notes.append(Note("info", "mlp_activation is linear: the hidden layers get no dropout."))
    rate = values["negative_sampling_rate"]
    if rate > _CONSOLE_NEGATIVES:
        text = (
            f"negative_sampling_rate {rate} is above {_CONSOLE_NEGATIVES}, the most that AWS's SDK "
            "accepts; nearly every record will be a negative."
        )
        notes.append(Note("warning", text))


def _resolve_encoder(values: dict[str, Any], side: int, notes: list[Note]) -> None:
    """Choose the number of layers, and make a pooled encoder's token table as wide as enc_dim."""
    network, layers = values[f"enc{side}_network"], f"enc{side}_layers"
    if values[layers] == "auto":
        values[layers] = _AUTO_LAYERS[network]
    width, enc_dim = f"enc{side}_token_embedding_dim", values["enc_dim"]
    if network == "pooled_embedding" and values[width] != enc_dim:
        text = (  # the container's own line
            "Inconsistent enc_dim and token_embedding_dim found for token-embedding-encoder: "
            f"{enc_dim} vs {values[width]}. Setting token embedding dim to be {enc_dim}"
        )
        notes.append(Note("info", text))
        values[width] = enc_dim


def _resolve_tied(values: dict[str, Any], given: Mapping[str, Any], notes: list[Note]) -> None:
    """Let encoder 1 load its half of a shared table as encoder 0 does."""
    file = values["enc0_pretrained_embedding_file"]
    if not file or values["enc1_pretrained_embedding_file"] not in ("", file):
        return  # nothing to load, or a contradiction
    ignored = []
    for name in _PRETRAINED:
        ours, theirs = f"enc0_{name}", f"enc1_{name}"
        if values[theirs] != values[ours] and theirs in given:
            ignored.append(f"{theirs}={values[theirs]!r} (encoder 0 has {values[ours]!r})")
        values[theirs] = values[ours]
    if ignored:
        text = (
            "tied_token_embedding_weight takes the pretrained vectors of encoder 0 for both "
            f"encoders and these are ignored: {', '.join(ignored)}."
        )
        notes.append(Note("warning", text))


def _resolve_row_sparse(values: dict[str, Any], notes: list[Note]) -> None:
    """Switch bucketing off and say where AWS would have refused the optimizer."""
    if values["bucket_width"]:
        text = (
            f"bucket_width {values['bucket_width']} is set to 0: token_embedding_storage_type "
            "row_sparse works without buckets."
        )
        notes.append(Note("warning", text))
        values["bucket_width"] = 0
    if values["optimizer"] not in _AWS_ROW_SPARSE_OPTIMIZERS:
        text = f"AWS refuses row_sparse with {values['optimizer']}; its lazy form is used here."
        notes.append(Note("info", text))


def _resolve_device(values: dict[str, Any], notes: list[Note]) -> None:
    """Let SageMaker's number of GPUs choose the device where `device` does not."""
    gpus, device = values["_num_gpus"], values["device"]
    if gpus == "auto":
        return
    if gpus == 0 and device == "auto":
        values["device"] = "cpu"
    elif gpus == 0 and device != "cpu":
        notes.append(Note("warning", f"_num_gpus 0 is ignored: device is {device}."))
    elif gpus > 1:
        notes.append(Note("warning", f"_num_gpus {gpus} is read as 1: training uses one device."))


def _contradictions(values: Mapping[str, Any], unusable: Set[str], inherits: bool) -> list[str]:
    """Return a problem for each set of values that cannot stand together.

    A contradiction with an `unusable` value (malformed or missing, so a problem already) is none.
    """
    copied = inherits or values["tied_token_embedding_weight"]
    found = [
        *_odd_bilstm(values),
        *_missing_vocabularies(values, sides=(0,) if copied else (0, 1)),
        *_untieable(values),
    ]
    return [text for names, text in found if unusable.isdisjoint(names)]


def _odd_bilstm(values: Mapping[str, Any]) -> Iterator[tuple[Set[str], str]]:
    width = values["enc_dim"]
    if width % 2 and "bilstm" in (values["enc0_network"], values["enc1_network"]):
        must = "must be even for bilstm, half for each direction"
        yield {"enc_dim"}, problem("enc_dim", must, width, f"Choose {width + 1}.")


def _missing_vocabularies(
    values: Mapping[str, Any], sides: tuple[int, ...]
) -> Iterator[tuple[Set[str], str]]:
    for side in sides:
        file, vocabulary = f"enc{side}_pretrained_embedding_file", f"enc{side}_vocab_file"
        if values[file] and not values[vocabulary]:
            cure = "Name the JSON file that maps tokens to ids."
            must = f"must be given with {file}"
            yield {file, vocabulary}, problem(vocabulary, must, values[vocabulary], cure)


def _untieable(values: Mapping[str, Any]) -> Iterator[tuple[Set[str], str]]:
    if not values["tied_token_embedding_weight"]:
        return
    for name in ("vocab_size", "token_embedding_dim", "pretrained_embedding_file"):
        ours, theirs = f"enc0_{name}", f"enc1_{name}"
        if values[ours] != values[theirs]:
            names = {ours, theirs}
            if name == "token_embedding_dim":  # pooled encoders take enc_dim for it
                names |= {"enc_dim", "enc0_network", "enc1_network"}
            must = f"must equal {ours} ({values[ours]!r}) with tied_token_embedding_weight"
            cure = "Make them equal, or untie the tables."
            yield names, problem(theirs, must, values[theirs], cure)
