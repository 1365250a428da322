"""Objectives: what a network learns, one file each, by the name of their `output_layer`.

To add one, write its file beside the others, name its class in `OBJECTIVES` and its `output_layer`
in the table of hyperparameters. Nothing else of the library knows one objective from another.
"""

from __future__ import annotations

from object2vec.config import Config
from object2vec.objectives.base import (
    Contrast,
    Encoded,
    LabelRule,
    Metric,
    Objective,
    Pairing,
    RankedChannel,
    RightCandidates,
    Rivals,
)
from object2vec.objectives.candidates import Classes, LabelOdds
from object2vec.objectives.cosine import Cosine
from object2vec.objectives.dot_product import DotProduct
from object2vec.objectives.mean_squared_error import MeanSquaredError
from object2vec.objectives.ranking import InBatchRanking
from object2vec.objectives.softmax import Softmax

OBJECTIVES: dict[str, type[Objective]] = {
    "softmax": Softmax,
    "mean_squared_error": MeanSquaredError,
    "dot_product": DotProduct,
    "ranking": InBatchRanking,
    "cosine": Cosine,
}


AGAINST_ALL: dict[str, type[Objective]] = {"dot_product": LabelOdds, "ranking": Classes}
"""Those that are learned instead where each record is set against every candidate."""


def objective_of(config: Config) -> Objective:
    """Return the objective that a configuration names."""
    against_all = AGAINST_ALL if config.candidates == "all" else {}
    return (OBJECTIVES | against_all)[config.output_layer](config)


def metrics_by_name() -> dict[str, Metric]:
    """Return the metrics of all objectives."""
    objectives = (*OBJECTIVES.values(), *AGAINST_ALL.values())
    every = ((*o.metrics, *o.overall, *o.retrieval) for o in objectives)
    return {metric.name: metric for metrics in every for metric in metrics}


__all__ = [
    "OBJECTIVES",
    "Contrast",
    "Encoded",
    "LabelRule",
    "Metric",
    "Objective",
    "Pairing",
    "RankedChannel",
    "RightCandidates",
    "Rivals",
    "metrics_by_name",
    "objective_of",
]
