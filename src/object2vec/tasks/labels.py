"""Records with labels: similarity, classification, regression, and several labels at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import ConfigError, DataError
from object2vec.evaluation.classification import (
    best_threshold,
    binary_measure,
    class_measure,
    label_measure,
    label_thresholds,
)
from object2vec.evaluation.correlation import correlation_measure, cosines
from object2vec.evaluation.measure import Figure, Measure
from object2vec.evaluation.regression import error_measure
from object2vec.objects.ragged import Ragged
from object2vec.tasks.base import (
    Evaluation,
    Question,
    Task,
    labels_of,
    score_rows,
    scores_of,
    scores_of_all,
)
from object2vec.tasks.records import Records, TaskSource

if TYPE_CHECKING:
    from object2vec.inference.engine import Engine

_MOST = 1 << 28  # scores of all labels


def _figures(measure: Measure, question: Question) -> dict[str, Figure]:
    return measure.figures(resamples=question.resamples, seed=question.seed)


class Similarity(Task):
    """How the cosine of two objects follows the labels."""

    name = "similarity"
    uses = frozenset({"label", "by"})

    def measure(self, engine: Engine, source: TaskSource, question: Question) -> Evaluation:
        """Return the correlations of the cosines and the labels."""
        records, by = source.records(need_labels=True), question.by or "cosine"
        label = labels_of(records, self.name)
        scores: NDArray[Any]
        if by == "cosine":
            scores = cosines(engine.encode(0, records.in0), engine.encode(1, records.in1))
        elif by == "score":
            scores = _single(scores_of(engine, records), self.name)
        else:
            raise ConfigError.at("by", "must be cosine or score", by, "Choose one of them.")
        figures = _figures(correlation_measure(scores, label), question)
        return Evaluation(self.name, figures, {"pairs": len(records), "compared_by": by})


class Classification(Task):
    """How often the class of a pair is right."""

    name = "classification"
    uses = frozenset({"label", "validation"})

    def measure(self, engine: Engine, source: TaskSource, question: Question) -> Evaluation:
        """Return accuracy, area and F1; of one score after a threshold."""
        records = source.records(need_labels=True)
        label, scores = labels_of(records, self.name), scores_of(engine, records)
        protocol: dict[str, Any] = {"pairs": len(records)}
        if scores.shape[1] > 1:
            _reject_validation(question)
            names = engine.classes or tuple(map(str, range(scores.shape[1])))
            protocol |= {"classes": ", ".join(names), "decided_by": "the likeliest class"}
            return Evaluation(self.name, _figures(class_measure(scores, label), question), protocol)
        threshold, origin = engine.network.objective.threshold, "as in training"
        if question.validation is not None:
            others = source.of(question.validation).records(need_labels=True)
            chosen_on = scores_of(engine, others)[:, 0], labels_of(others, self.name) > 0
            threshold, origin = best_threshold(*chosen_on), f"best F1 of {len(others):,} pairs"
        protocol |= {"threshold": threshold, "threshold_from": origin}
        figures = _figures(binary_measure(scores[:, 0], label > 0, threshold), question)
        return Evaluation(self.name, figures, protocol)


class Regression(Task):
    """How far a predicted number is from the label."""

    name = "regression"
    uses = frozenset({"label", "clip"})

    def measure(self, engine: Engine, source: TaskSource, question: Question) -> Evaluation:
        """Return the errors."""
        records = source.records(need_labels=True)
        label = labels_of(records, self.name)
        predicted = _single(scores_of(engine, records), self.name)
        protocol: dict[str, Any] = {"pairs": len(records)}
        if question.clip is not None:
            predicted = np.clip(predicted, *question.clip)
            protocol["predictions_clipped_to"] = "{:g} to {:g}".format(*question.clip)
        return Evaluation(self.name, _figures(error_measure(predicted, label), question), protocol)


class MultiLabel(Task):
    """Which of all tokens of in1 belong to an in0, where in1 is the set of them."""

    name = "multilabel"
    uses = frozenset({"validation"})

    def measure(self, engine: Engine, source: TaskSource, question: Question) -> Evaluation:
        """Return precision, recall and F1, with a threshold for all labels and one for each."""
        labels = _known_labels(engine)
        scores, truth, unknown = _all_labels(engine, source.records(), labels)
        protocol: dict[str, Any] = {"objects": len(scores), "labels": len(labels)}
        if unknown:
            protocol["right_labels_that_training_did_not_know"] = f"{unknown:,}, not counted"
        if question.validation is None:
            threshold = engine.network.objective.threshold
            protocol |= {"threshold": threshold, "threshold_from": "as in training"}
            figures = _figures(label_measure(scores, truth, threshold), question)
            return Evaluation(self.name, figures, protocol)
        others = source.of(question.validation).records()
        chosen_on = _all_labels(engine, others, labels)[:2]
        threshold, each = best_threshold(*chosen_on), label_thresholds(*chosen_on)
        protocol |= {
            "threshold": threshold,
            "threshold_from": f"best F1 of {len(others):,} objects",
        }
        figures = _figures(label_measure(scores, truth, threshold), question)
        own = _figures(label_measure(scores, truth, each), question)
        figures |= {f"{name}_per_label": figure for name, figure in own.items()}
        return Evaluation(self.name, figures, protocol)


def _known_labels(engine: Engine) -> NDArray[np.int32]:
    """Return the tokens of in1 that training knew, (L,)."""
    if engine.schema is not None:
        return np.flatnonzero(engine.schema.known_rows(1)).astype(np.int32)
    return np.arange(1, engine.config.encoders[1].vocab_size, dtype=np.int32)


def _all_labels(
    engine: Engine, records: Records, labels: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], int]:
    """Return scores and truth of all labels, (n, L) each, and how many right ones are unknown."""
    if len(records) * len(labels) > _MOST:
        got = f"{len(records):,} objects and {len(labels):,} labels"
        must, cure = f"must have at most {_MOST:,} scores", "Use the task ranking."
        raise DataError.at("multilabel", must, got, cure)
    a = engine.encode(0, records.in0)  # (n, D)
    b = engine.encode(1, Ragged.singles(labels))  # (L, D)
    scores = [score_rows(engine, a[rows], b) for rows in scores_of_all(engine, a, b)]
    truth = np.zeros((len(records), len(labels)), np.bool_)
    rows = np.repeat(np.arange(len(records)), records.in1.lengths)
    columns = np.searchsorted(labels, records.in1.values)
    is_known = labels[np.minimum(columns, len(labels) - 1)] == records.in1.values
    truth[rows[is_known], columns[is_known]] = True
    return np.concatenate(scores), truth, int(np.count_nonzero(~is_known))


def _single(scores: NDArray[np.float32], task: str) -> NDArray[np.float32]:
    """Return the one number that a model gives for each pair, (n,)."""
    if scores.shape[1] > 1:
        must, got = "must give one number for a pair", f"{scores.shape[1]} classes"
        raise ConfigError.at(f"task {task}", must, got, "Use the task classification.")
    return scores[:, 0]


def _reject_validation(question: Question) -> None:
    if question.validation is not None:
        must = "must be left out: the likeliest class needs no threshold"
        raise ConfigError.at("validation", must, "it", "Leave it out.")
