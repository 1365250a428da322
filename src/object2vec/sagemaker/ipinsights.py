"""Amazon SageMaker IP Insights as a model of ours: its hyperparameters, and what they become.

An entity is hashed into one of `num_entity_vectors` rows and an IPv4 address is the sum of its
known prefixes; the dot product of both says how well they fit. Names, ranges and defaults are
AWS's (https://docs.aws.amazon.com/sagemaker/latest/dg/ip-insights-hyperparameters.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from object2vec.config.kinds import Float, Integer, ValueKind
from object2vec.config.table import HYPERPARAMETERS
from object2vec.errors import ConfigError, join_problems, problem, suggestion
from object2vec.reporting.aws_log import Dialect

ACCESS_COLUMNS = ("entity", "address")
"""The columns of the headerless CSV, in their order."""

MARKS = ("num_entity_vectors", "vector_dim")
"""Hyperparameters that every job of IP Insights has, and none of Object2Vec."""

_MOST_NEGATIVES = 500


@dataclass(frozen=True)
class Row:
    """One hyperparameter of IP Insights.

    Parameters
    ----------
    kind : ValueKind
        Type and range.
    default : object
        None where a value must be given.
    ours : str
        What it is here, in words for the documentation.
    """

    kind: ValueKind
    default: Any
    ours: str


HYPERPARAMETERS_OF_IP_INSIGHTS: dict[str, Row] = {
    "num_entity_vectors": Row(
        Integer(1, 250_000_000), None, "`in0=entity:token(max_size=0, buckets=...)`"
    ),
    "vector_dim": Row(Integer(4, 4096), None, "`enc_dim`"),
    "batch_metrics_publish_interval": Row(
        Integer(1, None), 1000, "how often the log has metrics of batches"
    ),
    "epochs": Row(Integer(1, None), 10, "`epochs`, all of them: nothing stops early"),
    "learning_rate": Row(Float(1e-6, 10.0), 0.001, "`learning_rate` of Adam"),
    "mini_batch_size": Row(
        Integer(1, 500_000), 10_000, "`mini_batch_size`, which counts negatives, too"
    ),
    "num_ip_encoder_layers": Row(
        Integer(0, 100), 1, "nothing: prefixes have vectors of their own, without layers"
    ),
    "random_negative_sampling_rate": Row(
        Integer(0, _MOST_NEGATIVES), 1, "`random_negative_sampling_rate`"
    ),
    "shuffled_negative_sampling_rate": Row(
        Integer(0, _MOST_NEGATIVES), 1, "`negative_sampling_rate`"
    ),
    "weight_decay": Row(Float(0.0, 10.0), 0.00001, "`weight_decay`"),
}

_OURS = {"seed", "device", "threads", "kernel"}  # extensions that say nothing of the model
_ACCEPTED = {
    name for name, row in HYPERPARAMETERS.items() if row.origin in ("internal", "tolerated")
}


@dataclass(frozen=True)
class JobSettings:
    """Hyperparameters of a training job of IP Insights, typed.

    Parameters
    ----------
    values : dict
        By AWS's names, with defaults.
    others : dict
        Those of ours that were given, and what SageMaker sets itself.
    """

    values: dict[str, Any]
    others: dict[str, Any]

    @classmethod
    def read(cls, hyperparameters: Mapping[str, Any]) -> JobSettings:
        """Return the settings that hyperparameters, all strings, describe.

        Raises
        ------
        ConfigError
            If a name is unknown, a value malformed or out of range, a required one missing, or both
            sampling rates are too small or too large together. All problems are reported together.
        """
        values = {name: row.default for name, row in HYPERPARAMETERS_OF_IP_INSIGHTS.items()}
        problems, others = [], {}
        for name, value in hyperparameters.items():
            row = HYPERPARAMETERS_OF_IP_INSIGHTS.get(name)
            if row is None and name in _OURS | _ACCEPTED:
                others[name] = value
            elif row is None:
                problems.append(_unknown(name))
            else:
                try:
                    values[name] = row.kind.parse(value)
                except ValueError:
                    problems.append(problem(name, row.kind.rule, value, row.kind.cure))
        for name, row in HYPERPARAMETERS_OF_IP_INSIGHTS.items():
            if values[name] is None and name not in hyperparameters:
                must, cure = f"is required and {row.kind.rule}", "It has no default: set it."
                problems.append(problem(name, must, None, cure))
        rates = values["random_negative_sampling_rate"], values["shuffled_negative_sampling_rate"]
        if not 1 <= sum(rates) <= _MOST_NEGATIVES:
            must = (
                f"must be in [1, {_MOST_NEGATIVES}] together with shuffled_negative_sampling_rate"
            )
            where, cure = "random_negative_sampling_rate", "Choose rates whose sum is."
            problems.append(problem(where, must, " + ".join(map(str, rates)), cure))
        if problems:
            raise ConfigError(join_problems(problems))
        return cls(values, others)

    @property
    def in0(self) -> str:
        """What an entity is: hashed, whether training has seen it or not."""
        return f"{ACCESS_COLUMNS[0]}:token(max_size=0, buckets={self.values['num_entity_vectors']})"

    @property
    def in1(self) -> str:
        """What an address is."""
        return f"{ACCESS_COLUMNS[1]}:ipv4"

    @property
    def negatives(self) -> int:
        """Negatives of each record."""
        rates = "random_negative_sampling_rate", "shuffled_negative_sampling_rate"
        return sum(self.values[rate] for rate in rates)

    def hyperparameters(self) -> dict[str, Any]:
        """Return our hyperparameters of the same model and training."""
        given = self.values
        return {
            "enc0_network": "pooled_embedding",
            "enc1_network": "pooled_embedding",
            "enc1_pool_exponent": 0,  # what networks of each size say adds up
            "enc_dim": given["vector_dim"],
            "output_layer": "dot_product",
            "optimizer": "adam",
            "token_embedding_storage_type": "row_sparse",
            "epochs": given["epochs"],
            "early_stopping_patience": given["epochs"],
            "learning_rate": given["learning_rate"],
            "weight_decay": given["weight_decay"],
            "mini_batch_size": given["mini_batch_size"] * (1 + self.negatives),
            "negative_sampling_rate": given["shuffled_negative_sampling_rate"],
            "random_negative_sampling_rate": given["random_negative_sampling_rate"],
            **self.others,
        }


def arguments(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `Object2Vec` takes for these hyperparameters of IP Insights.

    Raises
    ------
    ConfigError
        As of `JobSettings.read`.
    """
    settings = JobSettings.read(hyperparameters)
    columns = {"in0": settings.in0, "in1": settings.in1, "preset": "aws"}
    return columns | settings.hyperparameters()


def dialect(hyperparameters: Mapping[str, Any]) -> Dialect:
    """Return what is particular to the log; a wrong interval counts as none."""
    rows = HYPERPARAMETERS_OF_IP_INSIGHTS
    row = rows["batch_metrics_publish_interval"]
    try:
        every = row.kind.parse(hyperparameters.get("batch_metrics_publish_interval", row.default))
    except ValueError:
        every = row.default
    defaults = {name: each.default for name, each in rows.items() if each.default is not None}
    return Dialect("IPInsights", defaults, every)


def _unknown(name: str) -> str:
    cure = f"{suggestion(name, HYPERPARAMETERS_OF_IP_INSIGHTS)}IP Insights has no other."
    return problem(name, "must be a hyperparameter of IP Insights", name, cure)
