"""What vectors are worth: measures computed on embeddings and scores, without a model at hand."""

from object2vec.evaluation.classification import (
    best_threshold,
    binary_measure,
    class_measure,
    label_measure,
    label_thresholds,
)
from object2vec.evaluation.correlation import correlation_measure, cosines
from object2vec.evaluation.detection import false_alarms, roc_auc
from object2vec.evaluation.measure import Figure, Measure
from object2vec.evaluation.regression import error_measure
from object2vec.evaluation.retrieval import (
    nearest,
    rank_measure,
    ranks,
    ranks_by_score,
    retrieval_metrics,
)

__all__ = [
    "Figure",
    "Measure",
    "best_threshold",
    "binary_measure",
    "class_measure",
    "correlation_measure",
    "cosines",
    "error_measure",
    "false_alarms",
    "label_measure",
    "label_thresholds",
    "nearest",
    "rank_measure",
    "ranks",
    "ranks_by_score",
    "retrieval_metrics",
    "roc_auc",
]
