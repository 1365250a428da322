"""What vectors are worth: measures computed on embeddings, without a model at hand."""

from object2vec.evaluation.retrieval import nearest, ranks, retrieval_metrics

__all__ = ["nearest", "ranks", "retrieval_metrics"]
