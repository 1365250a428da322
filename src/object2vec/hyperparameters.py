"""The table of hyperparameters: name, type, range, default, meaning and origin of each one.

Nothing else in the project knows a default or a range. The table feeds validation (`object2vec.config`), the
command line, the SageMaker parser, the documentation page and the generated tests. Names, ranges and
defaults of the entries with origin ``"aws"`` are those of Amazon SageMaker Object2Vec
(https://docs.aws.amazon.com/sagemaker/latest/dg/object2vec-hyperparameters.html); SageMaker passes every value as a
string, so each type parses its string form as well as native values.
"""

from __future__ import annotations

import math
import re
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

    cure: str

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
    """Return a string value without the blanks and quotes that consoles leave around it."""
    if not isinstance(value, str):
        raise ValueError("not a string")
    return value.strip().strip("\"'").strip()


@dataclass(frozen=True)
class Integer:
    """Whole numbers in ``[low, high]``; ``high=None`` means without bound."""

    low: int
    high: int | None
    words: dict[str, str] | None = None
    cure: str = "Choose a value in this range."

    @property
    def rule(self) -> str:
        """What a value must be."""
        span = f">= {self.low}" if self.high is None else f"in [{self.low}, {self.high}]"
        words = "".join(f"{word!r} or " for word in self.words or ())
        return f"must be {words}an integer {span}"

    def parse(self, value: Any) -> int | str:
        """Return the integer, or one of the words that stand for a choice made later."""
        if isinstance(value, str):
            value = _text(value)
            if self.words and value.lower() in self.words:
                return value.lower()
        elif isinstance(value, bool) or int(value) != value:
            raise ValueError("not an integer")
        number = int(value)
        if number < self.low or (self.high is not None and number > self.high):
            raise ValueError("out of range")
        return number

    def invalid_values(self) -> Iterator[Any]:
        """Yield values on the wrong side of each bound and of the wrong type."""
        yield from (self.low - 1, str(self.low - 1), self.low + 0.5, "1.5", "many", "", None, True, [1])
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
        """Return the number."""
        if isinstance(value, bool):
            raise ValueError("not a number")
        number = float(_text(value) if isinstance(value, str) else value)
        if not (math.isfinite(number) and self.low <= number <= self.high):
            raise ValueError("out of range")
        return number

    def invalid_values(self) -> Iterator[Any]:
        """Yield values on the wrong side of each bound and of the wrong type."""
        yield from (self.high * 1.001 + 1e-9, "nan", "inf", "much", "", None, True, [0.5])
        yield self.low - 1e-9 if self.low == 0 else self.low * 0.999


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
        if isinstance(value, bool):
            return value
        words = {"true": True, "false": False}
        word = _text(value).lower()
        if word not in words:
            raise ValueError("not a boolean")
        return words[word]

    def invalid_values(self) -> Iterator[Any]:
        """Yield what other tools take for booleans and we do not."""
        yield from ("yes", "1", 1, 0, "", None, [True])


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    values: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    cure: str = "Choose one of them."

    @property
    def rule(self) -> str:
        """What a value must be."""
        return "must be one of " + ", ".join(map(repr, self.values))

    def parse(self, value: Any) -> str:
        """Return the word; blanks around it are dropped (a console of AWS's adds one)."""
        word = dict(self.aliases).get(_text(value), _text(value))
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
        """Return the comparators in the order given."""
        parts = _text(value).split(",") if isinstance(value, str) else list(value)
        names = tuple(_text(part) for part in parts)
        if not names or len(set(names)) < len(names) or not set(names) <= set(COMPARATORS):
            raise ValueError("not a list of comparators")
        return names

    def invalid_values(self) -> Iterator[Any]:
        """Yield empty, doubled and unknown comparators."""
        yield from ("", "hadamard,", "hadamard,hadamard", "cosine", "hadamard concat", [], None, 3)


@dataclass(frozen=True)
class Pattern:
    """Text of a given form."""

    regex: str
    form: str
    cure: str = "Correct the text."

    @property
    def rule(self) -> str:
        """What a value must be."""
        return f"must be {self.form}"

    def parse(self, value: Any) -> str:
        """Return the text."""
        text = _text(value)
        if not re.fullmatch(self.regex, text):
            raise ValueError("does not have this form")
        return text

    def invalid_values(self) -> Iterator[Any]:
        """Yield values of the wrong type."""
        yield from (None, 3, ["a"])


FILE_NAME = Pattern(
    r"(?!\.\.?$)[A-Za-z0-9._-]*",
    "the name of a file in the auxiliary channel, of letters, digits, '.', '_' and '-'",
    "Give the name alone, without a folder; leave it empty for none.",
)
DEVICE = Pattern(
    r"auto|cpu|cuda|cuda:\d{1,3}", "'auto', 'cpu', 'cuda' or 'cuda:N'", "Name one of these devices."
)
ANY_TEXT = Pattern(r".*", "a string", "Pass text.")


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
        ``aws``: documented by AWS. ``internal``: set by SageMaker itself. ``tolerated``: accepted and ignored.
        ``extension``: ours; the default leaves AWS's behaviour alone.
    required : {"yes", "conditional", "no"}
        ``conditional``: required when ``enc1_network`` is not ``enc0``.
    """

    name: str
    kind: Kind
    default: Any
    meaning: str
    origin: Origin = "aws"
    required: Requirement = "no"


def _encoder_rows(side: int) -> list[Hyperparameter]:
    """Return the rows that exist once per encoder."""
    enc, required = f"enc{side}", ("yes" if side == 0 else "conditional")
    other = "" if side == 0 else " Replaced by enc0's value while enc1_network is enc0."
    network = (
        Hyperparameter("enc0_network", Choice(NETWORKS), "hcnn", "Family of encoder 0.")
        if side == 0
        else Hyperparameter(
            "enc1_network", Choice(("enc0", *NETWORKS)), "enc0",
            "Family of encoder 1; `enc0` copies the family and every setting of encoder 0, not its weights.",
        )
    )  # fmt: skip
    row = Hyperparameter
    return [
        row(f"{enc}_max_seq_len", Integer(1, 5000), None,
            f"Sequences for encoder {side} are cut to this many tokens; the first ones are kept.{other}",
            required=required),  # type: ignore[arg-type]
        row(f"{enc}_vocab_size", Integer(2, 3_000_000), None,
            f"Rows of encoder {side}'s token table; every id must be smaller.{other}",
            required=required),  # type: ignore[arg-type]
        network,
        row(f"{enc}_layers", Integer(1, 4, {"auto": "auto"}), "auto",
            f"Layers of encoder {side}; `auto` is 4 for hcnn and 1 otherwise. pooled_embedding has none.{other}"),
        row(f"{enc}_cnn_filter_width", Integer(1, 9), 3,
            f"Width of every convolution of encoder {side}; hcnn only.{other}"),
        row(f"{enc}_token_embedding_dim", Integer(2, 1000), 300,
            f"Width of encoder {side}'s token table. pooled_embedding has no projection: there it becomes "
            f"enc_dim.{other}"),
        row(f"{enc}_pretrained_embedding_file", FILE_NAME, "",
            "Text file of pretrained token vectors in the auxiliary channel; needs the vocabulary file of the "
            f"same encoder.{other}"),
        row(f"{enc}_vocab_file", FILE_NAME, "",
            "JSON object {token: id} in the auxiliary channel; lines the pretrained vectors up with the "
            f"ids.{other}"),
        row(f"{enc}_freeze_pretrained_embedding", Boolean(), True,
            f"Keep encoder {side}'s token table fixed in training. Without a pretrained file it has no "
            f"effect.{other}"),
    ]  # fmt: skip


def _shared_rows() -> list[Hyperparameter]:
    """Return AWS's rows that concern the whole model."""
    row = Hyperparameter
    return [
        row("enc_dim", Integer(4, 10_000, cure="Choose another embedding size."), 4096,
            "Width of both encoders' output: the embedding."),
        row("comparator_list", Comparators(), COMPARATORS,
            "How two embeddings a and b become one vector, in this order: hadamard a*b, concat [a; b], abs_diff |a-b|."),
        row("mlp_layers", Integer(0, 10), 2, "Hidden layers between the comparator and the output layer."),
        row("mlp_dim", Integer(2, 10_000), 512, "Width of every hidden layer."),
        row("mlp_activation", Choice(("tanh", "relu", "linear")), "linear",
            "Activation after each hidden layer; linear means neither activation nor dropout."),
        row("output_layer", Choice(("softmax", "mean_squared_error")), "softmax",
            "softmax classifies, mean_squared_error predicts a number."),
        row("num_classes", Integer(2, 30), 2, "Classes of softmax; ignored by mean_squared_error."),
        row("dropout", Float(0.0, 1.0), 0.0,
            "Probability of dropping a unit: after pooling, between encoder layers, after each activation."),
        row("optimizer", Choice(OPTIMIZERS), "adam", "Rule that turns gradients into updates."),
        row("learning_rate", Float(1e-6, 1.0), 0.0004, "Step size, constant; adadelta has none."),
        row("weight_decay", Float(0.0, 10_000.0), 0.0, "L2 term added to the gradient of weights, never of biases."),
        row("mini_batch_size", Integer(1, 10_000), 32, "Records in one update, generated negatives included."),
        row("epochs", Integer(1, 100), 30, "Passes over the training data at the most."),
        row("early_stopping_patience", Integer(1, 5), 3,
            "Training stops after this many epochs plus one without enough improvement."),
        row("early_stopping_tolerance", Float(1e-6, 0.1), 0.01,
            "Improvement over the best of the last `early_stopping_patience` losses that counts as one."),
        row("bucket_width", Integer(0, 100), 0,
            "Batches hold records of similar length, in buckets of this width; 0 means none. row_sparse sets it to 0."),
        row("negative_sampling_rate", Integer(0, None), 0,
            "Negatives generated for each training record; 0 means none. Negatives get label 0."),
        row("tied_token_embedding_weight", Boolean(), False, "One token table for both encoders."),
        row("token_embedding_storage_type",
            Choice(("dense", "row_sparse"), aliases=(("sparse", "row_sparse"),)), "dense",
            "row_sparse updates only the rows of tokens in the batch, whose cost does not grow with the vocabulary; "
            "dense updates the whole table."),
    ]  # fmt: skip


def _other_rows() -> list[Hyperparameter]:
    """Return SageMaker's internal keys, the tolerated one and our extensions."""
    row, internal = Hyperparameter, "Set by SageMaker; accepted and logged."
    return [
        row("_kvstore", ANY_TEXT, "auto_gpu", internal, "internal"),
        row("_num_gpus", Integer(0, None, {"auto": "auto"}), "auto",
            "Set by SageMaker: GPUs to use. 0 keeps the work on the CPU.", "internal"),
        row("_num_kv_servers", ANY_TEXT, "auto", internal, "internal"),
        row("_tuning_objective_metric", ANY_TEXT, "", internal, "internal"),
        row("feature_dim", ANY_TEXT, "", "Sent by the retired SDK class; accepted and ignored.", "tolerated"),
        row("seed", Integer(0, 2**63 - 1), 0, "Start of every random choice; the same seed gives the same model.",
            "extension"),
        row("device", DEVICE, "auto", "Where to compute; auto takes the first GPU if there is one.", "extension"),
        row("threads", Integer(0, 1024), 0, "CPU threads; 0 takes one per core.", "extension"),
        row("mask_padding", Boolean(), True,
            "Treat id 0 as padding that is never seen, as AWS does; false makes 0 an id like any other.", "extension"),
        row("compat_metrics", Boolean(), False,
            "Average metrics as AWS does, over batches filled up with repeated rows, instead of over the real rows.",
            "extension"),
        row("kernel", Choice(("auto", "compiled", "reference")), "auto",
            "Code for row_sparse tables: compiled kernels, or plain PyTorch; auto compiles where it can.", "extension"),
    ]  # fmt: skip


def _table() -> dict[str, Hyperparameter]:
    rows = [*_encoder_rows(0), *_encoder_rows(1), *_shared_rows(), *_other_rows()]
    return {row.name: row for row in rows}


HYPERPARAMETERS: dict[str, Hyperparameter] = _table()


def default_text(row: Hyperparameter) -> str:
    """Return the default of `row` as SageMaker would write it."""
    if row.default is None:
        return {"yes": "required", "conditional": "required unless enc1_network is enc0"}[row.required]
    if isinstance(row.default, tuple):
        return ", ".join(row.default)
    if isinstance(row.default, bool):
        return str(row.default).lower()
    return str(row.default)


def describe(names: Sequence[str] | None = None) -> list[dict[str, str]]:
    """Return the table, or the rows named, as text: name, valid values, default, origin and meaning.

    Parameters
    ----------
    names : sequence of str, optional
        Names to describe; all by default.
    """
    rows = HYPERPARAMETERS.values() if names is None else [HYPERPARAMETERS[name] for name in names]
    return [
        {
            "name": row.name,
            "valid": row.kind.rule.removeprefix("must be "),
            "default": default_text(row),
            "origin": row.origin,
            "meaning": row.meaning,
        }
        for row in rows
    ]
