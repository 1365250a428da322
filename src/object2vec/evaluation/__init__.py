"""What vectors are worth: measures computed on embeddings, without a model at hand."""

from object2vec.evaluation.detection import false_alarms, roc_auc
from object2vec.evaluation.retrieval import nearest, ranks, retrieval_metrics

__all__ = ["false_alarms", "nearest", "ranks", "retrieval_metrics", "roc_auc"]
