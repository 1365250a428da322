"""The table of hyperparameters: name, type, range, default, meaning and origin of each one.

Nothing else in the project knows a default or a range. The table feeds validation
(`object2vec.config`), the command line, the SageMaker parser, the documentation page and the
generated tests. Names, ranges and defaults of the rows with origin ``"aws"`` are those of Amazon
SageMaker Object2Vec (https://docs.aws.amazon.com/sagemaker/latest/dg/object2vec-hyperparameters.html).

SageMaker passes every value as a string. A type therefore reads a value's text, and a native value
means what it prints: ``512``, ``512.0``, ``"512"`` and a numpy scalar are one and the same.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Origin = Literal["aws", "internal", "tolerated", "extension"]
Requirement = Literal["yes", "conditional", "no"]

COMPARATORS = ("hadamard", "concat", "abs_diff")
NETWORKS = ("hcnn", "bilstm", "pooled_embedding")
OPTIMIZERS = ("adadelta", "adagrad", "adam", "sgd", "rmsprop")


class Kind(Protocol):
    """A type of value: it states its rule, parses a value and names values that break the rule."""

    @property
    def cure(self) -> str:
        """What to do about a refused value, as the end of an error message."""

    @property
    def rule(self) -> str:
        """What a value must be, as the middle of an error message."""

    def parse(self, value: Any) -> Any:
        """Return the typed value.

        Raises
        ------
        ValueError
            If `value` breaks the rule.
        """

    def invalid_values(self) -> Iterator[Any]:
        """Yield values that `parse` must refuse (for generated tests)."""


def _text(value: Any) -> str:
    """Return `value` as text, without the blanks and quotes that consoles leave around it."""
    return str(value).strip(string.whitespace + "\"'")


@dataclass(frozen=True)
class Integer:
    """Whole numbers from `low` to `high` (None: without bound), or one of a few words."""

    low: int
    high: int | None
    words: tuple[str, ...] = ()
    cure: str = "Choose a value in this range."

    @property
    def rule(self) -> str:
        """What a value must be."""
        span = f">= {self.low}" if self.high is None else f"in [{self.low}, {self.high}]"
        words = "".join(f"{word!r} or " for word in self.words)
        return f"must be {words}an integer {span}"

    def parse(self, value: Any) -> int | str:
        """Return the integer, or the word that stands for a choice made later."""
        text = _text(value)
        if text.lower() in self.words:
            return text.lower()
        number = int(text.removesuffix(".0"))  # JSON and pandas turn 512 into 512.0
        if number < self.low or (self.high is not None and number > self.high):
            raise ValueError("out of range")
        return number

    def invalid_values(self) -> Iterator[Any]:
        """Yield values on the wrong side of each bound, and of the wrong type."""
        yield from (self.low - 1, str(self.low - 1), self.low + 0.5, "1.5", "many", "", "1 2")
        yield from (None, True, [1], math.nan, math.inf)
        if self.high is not None:
            yield from (self.high + 1, str(self.high + 1))


@dataclass(frozen=True)
class Float:
    """Finite real numbers in ``[low, high]``."""

    low: float
    high: float
    cure: str = "Choose a value in this range."

    @property
    def rule(self) -> str:
        """What a value must be."""
        return f"must be a number in [{self.low:g}, {self.high:g}]"

    def parse(self, value: Any) -> float:
        """Return the number; a numpy float32 means the decimal that it prints."""
        number = float(_text(value))
        if not (math.isfinite(number) and self.low <= number <= self.high):
            raise ValueError("out of range")
        return number

    def invalid_values(self) -> Iterator[Any]:
        """Yield values on the wrong side of each bound, and of the wrong type."""
        yield from (math.nextafter(self.low, -math.inf), math.nextafter(self.high, math.inf))
        yield from ("nan", math.nan, "inf", "much", "0,5", "", None, True, [0.5])


@dataclass(frozen=True)
class Boolean:
    """True or false, in any case when written as text."""

    cure: str = "Write true or false."

    @property
    def rule(self) -> str:
        """What a value must be."""
        return "must be true or false"

    def parse(self, value: Any) -> bool:
        """Return the boolean."""
        word = _text(value).lower()
        if word not in ("true", "false"):
            raise ValueError("not a boolean")
        return word == "true"

    def invalid_values(self) -> Iterator[Any]:
        """Yield what other tools take for booleans and we do not."""
        yield from ("yes", "1", 1, 0, "", None, [True])


@dataclass(frozen=True)
class Choice:
    """One of a few words; an alias stands for one of them."""

    values: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    cure: str = "Choose one of them."

    @property
    def rule(self) -> str:
        """What a value must be."""
        return "must be one of " + ", ".join(map(repr, self.values))

    def is_alias(self, value: Any) -> bool:
        """Return whether `value` is understood, but not the documented word."""
        return _text(value) in dict(self.aliases)

    def parse(self, value: Any) -> str:
        """Return the word."""
        text = _text(value)
        word = dict(self.aliases).get(text, text)
        if word not in self.values:
            raise ValueError("not one of the choices")
        return word

    def invalid_values(self) -> Iterator[Any]:
        """Yield near misses."""
        yield from (self.values[0] + "x", self.values[0].upper(), "", None, 3, [self.values[0]])


@dataclass(frozen=True)
class Comparators:
    """A list of comparators, in order; as text, separated by commas."""

    cure: str = "Write for example 'hadamard, concat, abs_diff'."

    @property
    def rule(self) -> str:
        """What a value must be."""
        return "must list one or more of " + ", ".join(map(repr, COMPARATORS)) + ", each once"

    def parse(self, value: Any) -> tuple[str, ...]:
        """Return the comparators in the order given; a set has none and is refused."""
        parts = value if isinstance(value, list | tuple) else _text(value).split(",")
        names = tuple(_text(part) for part in parts)
        if not names or len(set(names)) < len(names) or not set(names) <= set(COMPARATORS):
            raise ValueError("not a list of comparators")
        return names

    def invalid_values(self) -> Iterator[Any]:
        """Yield empty, doubled, unknown and unordered comparators."""
        yield from ("", "hadamard,", "hadamard,hadamard", "cosine", "hadamard concat", "Hadamard")
        yield from ([], [""], {"hadamard"}, None, 3)


@dataclass(frozen=True)
class Pattern:
    """Text of a given form."""

    regex: str
    form: str
    cure: str
    near_misses: tuple[str, ...]

    @property
    def rule(self) -> str:
        """What a value must be."""
        return f"must be {self.form}"

    def parse(self, value: Any) -> str:
        """Return the text."""
        text = _text(value)
        if not isinstance(value, str) or not re.fullmatch(self.regex, text):
            raise ValueError("does not have this form")
        return text

    def invalid_values(self) -> Iterator[Any]:
        """Yield near misses and values of the wrong type."""
        yield from (*self.near_misses, None, 3, ["a"])


@dataclass(frozen=True)
class Anything:
    """Whatever SageMaker's own software sends; kept as text, None as the empty one."""

    cure: str = "Pass text."

    @property
    def rule(self) -> str:
        """What a value must be."""
        return "must be any text"

    def parse(self, value: Any) -> str:
        """Return the text."""
        return "" if value is None else _text(value)

    def invalid_values(self) -> Iterator[Any]:
        """Yield nothing: no value is refused."""
        yield from ()


FILE_NAME = Pattern(
    r"(?!\.\.?$)[A-Za-z0-9._-]*",
    "the name of a file in the auxiliary channel, of letters, digits, '.', '_' and '-'",
    "Give the name alone, without a folder; leave it empty for none.",
    ("folder/vocab.json", "..\\vocab.json", "..", ".", "a b", "naïve.txt", "$HOME"),
)
DEVICE = Pattern(
    r"auto|cpu|cuda|cuda:[0-9]{1,3}",
    "'auto', 'cpu', 'cuda' or 'cuda:N'",
    "Name one of these devices.",
    ("", "gpu", "cuda:", "cuda:-1", "cuda 0", "CPU"),
)


@dataclass(frozen=True)
class Hyperparameter:
    """One row of the table.

    Parameters
    ----------
    name : str
        AWS's name, or ours for an extension.
    kind : Kind
        Type and range.
    default : object
        Value when none is given; None when there is none (see `required`).
    meaning : str
        One or two sentences for the documentation.
    origin : {"aws", "internal", "tolerated", "extension"}
        ``aws``: documented by AWS. ``internal``: set by SageMaker itself. ``tolerated``: accepted
        and ignored. ``extension``: ours; the default leaves AWS's behaviour alone.
    required : {"yes", "conditional", "no"}
        ``conditional``: required when ``enc1_network`` is not ``enc0``.
    """

    name: str
    kind: Kind
    default: Any
    meaning: str
    origin: Origin = "aws"
    required: Requirement = "no"


_row = Hyperparameter
_INHERITED = {0: "", 1: " Taken from encoder 0 while enc1_network is enc0."}


# fmt: off
def _size_rows(side: int) -> list[Hyperparameter]:
    required: Requirement = "yes" if side == 0 else "conditional"
    other = _INHERITED[side]
    return [
        _row(f"enc{side}_max_seq_len", Integer(1, 5000), None,
             f"Sequences for encoder {side} are cut to this many tokens; the first are "
             f"kept.{other}",
             required=required),
        _row(f"enc{side}_vocab_size", Integer(2, 3_000_000), None,
             f"Rows of encoder {side}'s token table; every id must be smaller.{other}",
             required=required),
    ]


def _encoder_rows(side: int) -> list[Hyperparameter]:
    enc, other = f"enc{side}", _INHERITED[side]
    network = _row("enc0_network", Choice(NETWORKS), "hcnn", "Family of encoder 0.")
    if side == 1:
        network = _row("enc1_network", Choice(("enc0", *NETWORKS)), "enc0",
                       "Family of encoder 1; enc0 copies the family and every setting of encoder "
                       "0, but not its weights.")
    return [
        network,
        _row(f"{enc}_layers", Integer(1, 4, ("auto",)), "auto",
             f"Layers of encoder {side}; auto is 4 for hcnn and 1 for bilstm. pooled_embedding has "
             f"none.{other}"),
        _row(f"{enc}_cnn_filter_width", Integer(1, 9), 3,
             f"Width of every convolution of encoder {side}; hcnn only.{other}"),
        _row(f"{enc}_token_embedding_dim", Integer(2, 1000), 300,
             f"Width of encoder {side}'s token table. pooled_embedding has no projection: there it "
             f"becomes enc_dim.{other}"),
        _row(f"{enc}_pretrained_embedding_file", FILE_NAME, "",
             "Text file of pretrained token vectors in the auxiliary channel; needs the vocabulary "
             f"file of the same encoder.{other}"),
        _row(f"{enc}_vocab_file", FILE_NAME, "",
             "JSON object {token: id} in the auxiliary channel; lines the pretrained vectors up "
             f"with the ids.{other}"),
        _row(f"{enc}_freeze_pretrained_embedding", Boolean(), True,
             f"Keep encoder {side}'s token table fixed in training. Without a pretrained file it "
             f"has no effect.{other}"),
    ]


def _head_rows() -> list[Hyperparameter]:
    return [
        _row("enc_dim", Integer(4, 10_000, cure="Choose another embedding size."), 4096,
             "Width of both encoders' output: the embedding."),
        _row("comparator_list", Comparators(), COMPARATORS,
             "How two embeddings a and b become one vector, in this order: hadamard a*b, "
             "concat [a; b], abs_diff |a-b|."),
        _row("mlp_layers", Integer(0, 10), 2,
             "Hidden layers between the comparator and the output layer."),
        _row("mlp_dim", Integer(2, 10_000), 512, "Width of every hidden layer."),
        _row("mlp_activation", Choice(("tanh", "relu", "linear")), "linear",
             "Activation after each hidden layer; linear means neither activation nor dropout."),
        _row("output_layer", Choice(("softmax", "mean_squared_error")), "softmax",
             "softmax classifies, mean_squared_error predicts a number."),
        _row("num_classes", Integer(2, 30), 2,
             "Classes of softmax; ignored by mean_squared_error."),
    ]


def _training_rows() -> list[Hyperparameter]:
    return [
        _row("dropout", Float(0.0, 1.0), 0.0,
             "Probability of dropping a unit: after pooling, between encoder layers, after each "
             "activation."),
        _row("optimizer", Choice(OPTIMIZERS), "adam", "Rule that turns gradients into updates."),
        _row("learning_rate", Float(1e-6, 1.0), 0.0004, "Step size, constant; adadelta has none."),
        _row("weight_decay", Float(0.0, 10_000.0), 0.0,
             "L2 term added to the gradient of weights, never of biases."),
        _row("mini_batch_size", Integer(1, 10_000), 32,
             "Records in one update, generated negatives included."),
        _row("epochs", Integer(1, 100), 30, "Passes over the training data at the most."),
        _row("early_stopping_patience", Integer(1, 5), 3,
             "Training stops after this many epochs plus one without enough improvement."),
        _row("early_stopping_tolerance", Float(1e-6, 0.1), 0.01,
             "How far a validation loss must fall below the best of the last "
             "early_stopping_patience losses to count as an improvement."),
        _row("bucket_width", Integer(0, 100), 0,
             "Batches hold records of similar length, in buckets of this width; 0 means none. "
             "row_sparse sets it to 0."),
        _row("negative_sampling_rate", Integer(0, None), 0,
             "Negatives generated for each training record; 0 means none. Negatives get label 0."),
    ]


def _storage_rows() -> list[Hyperparameter]:
    return [
        _row("tied_token_embedding_weight", Boolean(), False, "One token table for both encoders."),
        _row("token_embedding_storage_type",
             Choice(("dense", "row_sparse"), aliases=(("sparse", "row_sparse"),)), "dense",
             "row_sparse updates only the rows of tokens in the batch, at a cost that does not "
             "grow with the vocabulary; dense updates the whole table."),
    ]


def _sagemaker_rows() -> list[Hyperparameter]:
    meaning = "Set by SageMaker; accepted and logged."
    return [
        _row("_kvstore", Anything(), "auto_gpu", meaning, "internal"),
        _row("_num_gpus", Integer(0, None, ("auto",)), "auto",
             "Set by SageMaker: GPUs to use. 0 keeps the work on the CPU.", "internal"),
        _row("_num_kv_servers", Anything(), "auto", meaning, "internal"),
        _row("_tuning_objective_metric", Anything(), "", meaning, "internal"),
        _row("feature_dim", Anything(), "",
             "Sent by the retired SDK class; accepted and ignored.", "tolerated"),
    ]


def _extension_rows() -> list[Hyperparameter]:
    return [
        _row("seed", Integer(0, 2**63 - 1), 0,
             "Start of every random choice; the same seed gives the same model.", "extension"),
        _row("device", DEVICE, "auto",
             "Where to compute; auto takes the first GPU if there is one.", "extension"),
        _row("threads", Integer(0, 1024), 0, "CPU threads; 0 takes one per core.", "extension"),
        _row("precision", Choice(("float32", "bfloat16")), "float32",
             "Arithmetic of the matrix products of the head and of hcnn; bfloat16 is faster where "
             "the hardware has it. Weights, tables, sums and the LSTM stay float32.", "extension"),
        _row("mask_padding", Boolean(), True,
             "Treat id 0 as padding that is never seen, as AWS does; false makes 0 an id like any "
             "other.", "extension"),
        _row("compat_metrics", Boolean(), False,
             "Average metrics as AWS does, over batches filled up with repeated rows, instead of "
             "over the real rows.", "extension"),
        _row("kernel", Choice(("auto", "compiled", "reference")), "auto",
             "Code for token tables and updates: compiled kernels (Numba on a CPU, Triton on a "
             "GPU), or plain PyTorch; auto compiles where it can.", "extension"),
    ]
# fmt: on


GROUPS: dict[str, list[Hyperparameter]] = {
    "Sizes of the input": [*_size_rows(0), *_size_rows(1)],
    "Encoders": [*_encoder_rows(0), *_encoder_rows(1)],
    "Comparator and head": _head_rows(),
    "Training": _training_rows(),
    "Token tables": _storage_rows(),
    "Set by SageMaker": _sagemaker_rows(),
    "Extensions": _extension_rows(),
}

HYPERPARAMETERS: dict[str, Hyperparameter] = {
    row.name: row for rows in GROUPS.values() for row in rows
}


def default_text(row: Hyperparameter) -> str:
    """Return the default of `row` as SageMaker would write it."""
    if row.default is None:
        return "required" if row.required == "yes" else "required unless enc1_network is enc0"
    if isinstance(row.default, tuple):
        return ", ".join(row.default)
    if isinstance(row.default, bool):
        return str(row.default).lower()
    return str(row.default)


def valid_text(row: Hyperparameter) -> str:
    """Return the valid values of `row` in words."""
    return row.kind.rule.removeprefix("must ").removeprefix("be ")


def describe(names: Sequence[str] | None = None) -> list[dict[str, str]]:
    """Return the table as text: name, valid values, default, origin and meaning of each row.

    Parameters
    ----------
    names : sequence of str, optional
        Names to describe; all by default.
    """
    rows = HYPERPARAMETERS.values() if names is None else [HYPERPARAMETERS[name] for name in names]
    return [
        {
            "name": row.name,
            "valid": valid_text(row),
            "default": default_text(row),
            "origin": row.origin,
            "meaning": row.meaning,
        }
        for row in rows
    ]


_INTRODUCTION = """\
# Hyperparameters

<!-- Generated: object2vec hyperparameters --markdown > docs/hyperparameters.md -->

The names, ranges and defaults are those of Amazon SageMaker Object2Vec; what goes beyond stands
under Extensions, and its defaults leave AWS's behaviour alone.

**Writing values.** SageMaker passes every value as a string, Python passes native ones; both work
everywhere and mean the same: `512`, `512.0`, `"512"` and a numpy scalar; `0.0004` and `"4e-4"`;
`True`, `"true"` and `"TRUE"`; `["hadamard", "concat"]` and `"hadamard, concat"`. Blanks and quotes
around a value are dropped. An unknown name is an error that names the nearest known one, and all
errors of a configuration are reported together.

**Encoder 1 inherits.** While `enc1_network` is `enc0`, which is the default, encoder 1 takes
*every* setting of encoder 0, vocabulary size and sequence length included. Other `enc1_` values are
then ignored, with a warning that names them. Only settings are copied, never weights: the encoders
are trained apart, and `tied_token_embedding_weight` alone makes them share their token table.

**What else depends on what.**

- `pooled_embedding` has no projection: its `token_embedding_dim` becomes `enc_dim`, with a log
  line.
- `bilstm` needs an even `enc_dim`, one half for each direction.
- A pretrained file needs the vocabulary file of the same encoder.
- Tied tables need equal vocabulary sizes and widths. Pretrained vectors, their vocabulary and
  whether they are frozen then come from encoder 0; another file for encoder 1 is an error.
- `row_sparse` sets `bucket_width` to 0, with a warning. AWS refuses it with `adadelta` and
  `rmsprop`; here all optimizers work. `sparse` is understood as `row_sparse`, with a warning.
- `mean_squared_error` ignores `num_classes`, `adadelta` ignores `learning_rate`, and `linear`
  hidden layers have no dropout; each is said in the log.
"""

_MARKDOWN_HEADER = "| name | valid values | default | meaning |\n|---|---|---|---|"


def markdown() -> str:
    """Return the documentation page of the table, ``docs/hyperparameters.md``."""
    lines = [_INTRODUCTION]
    for title, rows in GROUPS.items():
        lines += [f"## {title}", "", _MARKDOWN_HEADER, *map(_markdown_row, rows), ""]
    return "\n".join(lines)


def _markdown_row(row: Hyperparameter) -> str:
    valid = re.sub(r"'(\S+?)'", r"`\1`", valid_text(row))
    default = default_text(row) or "empty"
    if row.default not in (None, ""):
        default = f"`{default}`"
    meaning = row.meaning.replace("|", r"\|")
    return f"| `{row.name}` | {valid} | {default} | {meaning} |"
