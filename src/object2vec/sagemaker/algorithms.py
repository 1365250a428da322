"""The algorithms of AWS that the container runs, and how it finds out which one a job means.

The image is one. A job is of IP Insights if its hyperparameters are: `num_entity_vectors` and
`vector_dim`, which IP Insights requires, are unknown to Object2Vec. The environment variable
``OBJECT2VEC_ALGORITHM``, in the image or the job, decides instead where it is set. An endpoint
needs to know nothing: a model says itself what it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from object2vec.config import Config
from object2vec.errors import ConfigError
from object2vec.inference.payload import JSON, JSON_LINES
from object2vec.reporting import aws_log
from object2vec.reporting.aws_log import Dialect
from object2vec.sagemaker import ipinsights

ALGORITHM_VARIABLE = "OBJECT2VEC_ALGORITHM"
LOG_VARIABLE = "OBJECT2VEC_LOG"


@dataclass(frozen=True)
class Algorithm:
    """What is particular to the training jobs of one algorithm.

    Parameters
    ----------
    name : str
        Of AWS's image.
    channels : tuple of str
    content_types : tuple of str
        Of the channels but auxiliary; the first one where a channel names none.
    cure : str
        What to do about another one.
    arguments : callable
        Returns what `Object2Vec` takes, of hyperparameters that are checked; raises `ConfigError`.
    dialect : callable
        Returns what is particular to the log, of hyperparameters that may be wrong.
    reading : mapping
        How its channels are read: keyword arguments of `Object2Vec.fit`.
    """

    name: str
    channels: tuple[str, ...]
    content_types: tuple[str, ...]
    cure: str
    arguments: Callable[[Mapping[str, Any]], dict[str, Any]]
    dialect: Callable[[Mapping[str, Any]], Dialect]
    reading: Mapping[str, Any] = field(default_factory=dict)


def _object2vec(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    Config.build(hyperparameters)  # finds mistakes before torch is loaded
    return dict(hyperparameters)


OBJECT2VEC = Algorithm(
    "object2vec",
    ("train", "validation", "test", "auxiliary"),
    (JSON_LINES, "application/x-jsonlines", JSON),
    "Write one JSON object per line.",
    _object2vec,
    lambda hyperparameters: aws_log.OBJECT2VEC_DIALECT,
)
IP_INSIGHTS = Algorithm(
    "ipinsights",
    ("train", "validation"),
    ("text/csv",),
    "Write one line per access, entity and address, without a header.",
    ipinsights.arguments,
    ipinsights.dialect,
    {"format": "csv", "columns": ipinsights.ACCESS_COLUMNS, "separator": ","},
)
ALGORITHMS = {each.name: each for each in (OBJECT2VEC, IP_INSIGHTS)}


def algorithm_of(hyperparameters: Mapping[str, Any], environ: Mapping[str, str]) -> Algorithm:
    """Return the algorithm that a job means.

    Raises
    ------
    ConfigError
        If ``OBJECT2VEC_ALGORITHM`` names none.
    """
    if name := environ.get(ALGORITHM_VARIABLE):
        if name not in ALGORITHMS:
            must, cure = f"must be one of {', '.join(ALGORITHMS)}", "Correct it, or unset it."
            raise ConfigError.at(ALGORITHM_VARIABLE, must, name, cure)
        return ALGORITHMS[name]
    is_ip_insights = not hyperparameters.keys().isdisjoint(ipinsights.MARKS)
    return IP_INSIGHTS if is_ip_insights else OBJECT2VEC
