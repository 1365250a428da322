"""The metrics of a trained model's own objective, of a user's labelled pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from object2vec.artifact import Artifact
from object2vec.inference.inputs import Omissions, warn_of
from object2vec.objectives import objective_of
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.report import check_channel
from object2vec.reading.tables import TableOptions
from object2vec.training.measuring import measured
from object2vec.training.tables import read_pairs


def evaluate_as_trained(
    artifact: Artifact, source: Any, compat_metrics: bool | None = None
) -> dict[str, float]:
    """Return the metrics that training reports, by name; log what is left out of the pairs.

    Parameters
    ----------
    artifact : Artifact
    source : anything that `Pairs.read` reads, or `open_table` opens where columns are named
    compat_metrics : bool, optional
        Average as the hyperparameter of this name says; as in training by default.

    Raises
    ------
    DataError
        If records are wrong.
    """
    network, schema, config = artifact.network, artifact.schema, artifact.config
    if schema is None:
        default = network.objective.default_label
        pairs = Pairs.read(source, default_label=default, name="evaluate")
    else:
        pairs = read_pairs(source, schema, TableOptions(), "evaluate")
    if compat_metrics is not None:
        config = replace(config, compat_metrics=compat_metrics)
    report = check_channel(pairs, config, "evaluate", is_trained=True)
    for name, seen in (("in0", report.in0), ("in1", report.in1)):
        padded = seen.padding_rows if config.mask_padding else 0
        warn_of(name, Omissions(seen.truncated_rows, padded, seen.empty_rows))
    return measured(network, pairs, config, objective=objective_of(config))
