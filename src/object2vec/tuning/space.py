"""Which hyperparameters are tuned, in which ranges, on which scale.

The kinds of ranges, the scales and the default space are those of SageMaker
(https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning-define-ranges.html,
https://docs.aws.amazon.com/sagemaker/latest/dg/object2vec-tuning.html).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from object2vec.config.kinds import Integer
from object2vec.config.table import HYPERPARAMETERS, Hyperparameter
from object2vec.errors import ConfigError, suggestion
from object2vec.files.json import strict_json

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Scale = Literal["Auto", "Linear", "Logarithmic", "ReverseLogarithmic"]
Value = float | int | str

SCALES: tuple[Scale, ...] = get_args(Scale)
_WIDE = 100  # from here on Auto is logarithmic
_CURE = 'Write {"learning_rate": {"min": 1e-5, "max": 0.1, "scale": "Logarithmic"}}.'
_AWS_KINDS = ("ContinuousParameterRanges", "IntegerParameterRanges", "CategoricalParameterRanges")


@dataclass(frozen=True)
class Numbers:
    """A range of numbers.

    Parameters
    ----------
    low, high : float
        Both belong to it.
    scale : {"Auto", "Linear", "Logarithmic", "ReverseLogarithmic"}
        On which values are spread evenly. ``ReverseLogarithmic`` is that of 1 - value, for numbers
        in [0, 1) of which those near 1 matter; Auto is ``Logarithmic`` for wide positive ranges.
    is_integer : bool
    """

    low: float
    high: float
    scale: Scale = "Auto"
    is_integer: bool = False

    @property
    def resolved(self) -> Scale:
        """The scale, Auto being one of the others."""
        if self.scale != "Auto":
            return self.scale
        is_wide = self.low > 0 and self.high / self.low >= _WIDE
        return "Logarithmic" if is_wide else "Linear"

    def distribution(self) -> BaseDistribution:
        """Return what Optuna draws from: a number `value` makes a value of."""
        from optuna.distributions import FloatDistribution, IntDistribution

        scale = self.resolved
        if self.is_integer:
            return IntDistribution(int(self.low), int(self.high), log=scale == "Logarithmic")
        if scale == "ReverseLogarithmic":
            return FloatDistribution(1 - self.high, 1 - self.low, log=True)
        return FloatDistribution(self.low, self.high, log=scale == "Logarithmic")

    def value(self, drawn: Any) -> Value:
        """Return the value of what Optuna has drawn."""
        if self.resolved == "ReverseLogarithmic":
            return min(self.high, max(self.low, 1 - float(drawn)))
        return int(drawn) if self.is_integer else float(drawn)

    def drawn(self, value: Any) -> float | int | None:
        """Return what Optuna would have drawn for a value; None if it is not in the range."""
        try:
            number = int(value) if self.is_integer else float(value)
        except (TypeError, ValueError):
            return None
        if not self.low <= number <= self.high:
            return None
        return 1 - number if self.resolved == "ReverseLogarithmic" else number

    def grid(self, points: int) -> list[Value]:
        """Return values at equal distances on the scale, both ends among them."""
        if self.is_integer and self.high - self.low < points:
            return list(range(int(self.low), int(self.high) + 1))
        shares = [i / max(1, points - 1) for i in range(points)]
        scale, low, high = self.resolved, self.low, self.high
        if scale == "ReverseLogarithmic":
            found = [1 - (1 - low) * ((1 - high) / (1 - low)) ** share for share in shares]
        elif scale == "Logarithmic":
            found = [low * (high / low) ** share for share in shares]
        else:
            found = [low + (high - low) * share for share in shares]
        values = [round(each) if self.is_integer else each for each in found]
        return list(dict.fromkeys(values))

    def ends(self) -> list[Value]:
        """Return the smallest and the largest value."""
        return [int(each) if self.is_integer else each for each in (self.low, self.high)]

    def problem(self) -> str:
        """Return what is wrong with it; "" if nothing is."""
        if not (math.isfinite(self.low) and math.isfinite(self.high)) or self.low > self.high:
            return "must have finite numbers, min not above max"
        if self.is_integer and not (self.low.is_integer() and self.high.is_integer()):
            return "must have integers as min and max"
        if self.resolved == "Logarithmic" and self.low <= 0:
            return "must be above 0 on a logarithmic scale"
        if self.resolved == "ReverseLogarithmic":
            if self.is_integer:
                return "must not be of integers on a reverse logarithmic scale"
            if not 0 <= self.low <= self.high < 1:
                return "must lie in [0, 1) on a reverse logarithmic scale"
        return ""

    def state(self) -> dict[str, Any]:
        """Return it as JSON values, which `Space.parse` reads."""
        kind = "integer" if self.is_integer else "continuous"
        return {"type": kind, "min": self.low, "max": self.high, "scale": self.scale}


@dataclass(frozen=True)
class Choices:
    """Values without an order.

    Parameters
    ----------
    values : tuple of str
    """

    values: tuple[str, ...]

    def distribution(self) -> BaseDistribution:
        """Return what Optuna draws from."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def value(self, drawn: Any) -> Value:
        """Return the value of what Optuna has drawn."""
        return str(drawn)

    def drawn(self, value: Any) -> str | None:
        """Return what Optuna would have drawn for a value; None if it is none of them."""
        return str(value) if str(value) in self.values else None

    def grid(self, points: int) -> list[Value]:
        """Return all of them."""
        return list(self.values)

    def ends(self) -> list[Value]:
        """Return all of them, as they have no order."""
        return list(self.values)

    def problem(self) -> str:
        """Return what is wrong with it; "" if nothing is."""
        is_right = self.values and len(set(self.values)) == len(self.values)
        return "" if is_right else "must have different values, one at the least"

    def state(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"type": "categorical", "values": list(self.values)}


Range = Numbers | Choices


@dataclass(frozen=True)
class Space:
    """What is tuned.

    Parameters
    ----------
    ranges : mapping of str to range
        By the name of the hyperparameter.
    """

    ranges: Mapping[str, Range]

    @classmethod
    def parse(cls, document: Any, where: str = "space") -> Space:
        """Return the space that a JSON document describes.

        Parameters
        ----------
        document : mapping
            By hyperparameter: ``{"min", "max", "scale", "type"}``, ``{"values"}`` or a list of
            values; or SageMaker's ``ParameterRanges``.

        Raises
        ------
        ConfigError
            If it describes none; up to all problems together.
        """
        if not isinstance(document, Mapping) or not document:
            raise ConfigError.at(where, "must be a JSON object of ranges", document, _CURE)
        if any(kind in document for kind in _AWS_KINDS):
            document = dict(_of_aws(document, where))
        for name in document:
            _row(name, where)
        ranges = {name: _parsed(name, each, f"{where}: {name}") for name, each in document.items()}
        for name, each in ranges.items():
            if problem := each.problem():
                raise ConfigError.at(f"{where}: {name}", problem, each.state(), _CURE)
            for value in each.ends():
                check_value(name, value, where)
            kind = HYPERPARAMETERS[name].kind
            if isinstance(kind, Integer) and isinstance(each, Numbers) and not each.is_integer:
                cure = 'Leave the "type" away.'
                raise ConfigError.at(f"{where}: {name}", "must be of integers", each.state(), cure)
        return cls(ranges)

    @classmethod
    def read(cls, path: str) -> Space:
        """Return the space in a JSON file; raise `ConfigError` if there is none."""
        try:
            document = strict_json(Path(path).read_text("utf-8-sig"))
        except (OSError, ValueError) as err:
            raise ConfigError.at(path, "must be a JSON object of ranges", str(err), _CURE) from err
        return cls.parse(document, path)

    @classmethod
    def default(cls, given: Mapping[str, Any]) -> Space:
        """Return the ranges that AWS recommends, of what is not given and matters.

        Parameters
        ----------
        given : mapping
            Hyperparameters that are set, which the space leaves alone.
        """
        networks = [given.get("enc0_network", "hcnn"), given.get("enc1_network", "enc0")]
        ranges = {
            name: each
            for name, each in _RECOMMENDED.items()
            if name not in given and _matters(name, networks)
        }
        return cls(ranges)

    def state(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {name: each.state() for name, each in self.ranges.items()}


def _matters(name: str, networks: Sequence[str]) -> bool:
    """Say whether a hyperparameter has an effect with these networks."""
    if not name.startswith("enc") or name == "enc_dim":
        return True
    side = int(name[3])
    if side and networks[1] == "enc0":
        return False
    network, field = networks[side], name[5:]
    return network != "pooled_embedding" and (network == "hcnn" or field != "cnn_filter_width")


def check_value(name: str, value: Any, where: str) -> None:
    """Raise `ConfigError` if a hyperparameter is unknown, or must not have a value."""
    row = _row(name, where)
    kind = row.beyond_aws or row.kind
    try:
        kind.parse(value)
    except ValueError as err:
        raise ConfigError.at(f"{where}: {name}", kind.rule, value, kind.cure) from err


def _row(name: str, where: str) -> Hyperparameter:
    if name not in HYPERPARAMETERS:
        cure = f"{suggestion(name, HYPERPARAMETERS)}docs/hyperparameters.md lists them."
        raise ConfigError.at(where, "must name hyperparameters", name, cure)
    return HYPERPARAMETERS[name]


def _of_aws(document: Mapping[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what SageMaker's ``ParameterRanges`` says of each hyperparameter."""
    for kind, name in zip(("continuous", "integer", "categorical"), _AWS_KINDS, strict=True):
        for each in document.get(name) or ():
            try:
                if kind == "categorical":
                    yield each["Name"], {"type": kind, "values": each["Values"]}
                    continue
                ends = {"min": each["MinValue"], "max": each["MaxValue"]}
                scale = each.get("ScalingType", "Auto")
                yield each["Name"], {"type": kind, "scale": scale, **ends}
            except (TypeError, KeyError) as err:
                cure = 'Write {"Name": "dropout", "MinValue": "0", "MaxValue": "0.4"}, or "Values".'
                must = "must hold ranges as SageMaker has them"
                raise ConfigError.at(f"{where}: {name}", must, each, cure) from err


def _parsed(name: str, given: Any, where: str) -> Range:
    """Return one range of a document."""
    if isinstance(given, list):
        given = {"values": given}
    if not isinstance(given, Mapping):
        raise ConfigError.at(where, "must be a range or a list of values", given, _CURE)
    if "values" in given:
        values = given["values"]
        if not isinstance(values, list):
            raise ConfigError.at(where, "must have a list of values", values, _CURE)
        return Choices(tuple(_text(value) for value in values))
    scale = given.get("scale", "Auto")
    if scale not in SCALES:
        raise ConfigError.at(where, f"must have a scale of {', '.join(SCALES)}", scale, _CURE)
    try:
        low, high = float(given["min"]), float(given["max"])
    except (KeyError, TypeError, ValueError) as err:
        raise ConfigError.at(where, "must have numbers min and max", dict(given), _CURE) from err
    usual = "integer" if isinstance(HYPERPARAMETERS[name].kind, Integer) else "continuous"
    return Numbers(low, high, scale, given.get("type", usual) == "integer")


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


_RECOMMENDED: dict[str, Range] = {
    "dropout": Numbers(0.0, 1.0, "Linear"),
    "early_stopping_patience": Numbers(1, 5, "Linear", is_integer=True),
    "early_stopping_tolerance": Numbers(0.001, 0.1, "Linear"),
    "enc_dim": Numbers(4, 4096, "Linear", is_integer=True),
    "enc0_cnn_filter_width": Numbers(1, 5, "Linear", is_integer=True),
    "enc1_cnn_filter_width": Numbers(1, 5, "Linear", is_integer=True),
    "enc0_layers": Numbers(1, 4, "Linear", is_integer=True),
    "enc1_layers": Numbers(1, 4, "Linear", is_integer=True),
    "enc0_token_embedding_dim": Numbers(5, 300, "Linear", is_integer=True),
    "enc1_token_embedding_dim": Numbers(5, 300, "Linear", is_integer=True),
    "epochs": Numbers(4, 20, "Linear", is_integer=True),
    "learning_rate": Numbers(1e-6, 1.0, "Logarithmic"),
    "mini_batch_size": Numbers(1, 8192, "Linear", is_integer=True),
    "mlp_activation": Choices(("tanh", "relu", "linear")),
    "mlp_dim": Numbers(16, 1024, "Linear", is_integer=True),
    "mlp_layers": Numbers(1, 4, "Linear", is_integer=True),
    "optimizer": Choices(("adagrad", "adam", "rmsprop", "sgd", "adadelta")),
    "weight_decay": Numbers(1e-6, 1.0, "Logarithmic"),
}
"""AWS's recommended ranges; weight_decay from a millionth, as a logarithmic scale has no 0."""
