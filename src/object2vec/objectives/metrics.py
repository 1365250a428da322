"""Running metrics of one pass over batches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from object2vec.objectives.base import Encoded, Objective

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Metrics:
    """An objective's metrics over the records seen so far, accumulated in float64.

    Parameters
    ----------
    objective : Objective
    has_all : bool, default False
        Whether every record is seen, so that the objective's overall metrics can be computed.

    Examples
    --------
    >>> from object2vec.config import Config
    >>> from object2vec.objectives import objective_of
    >>> config = Config.build({"enc0_max_seq_len": 1, "enc0_vocab_size": 9,
    ...                        "output_layer": "mean_squared_error"})
    >>> metrics = Metrics(objective_of(config))
    >>> metrics.add([4.0, 2.0], records=2)  # squared and absolute errors, summed
    >>> metrics.values()
    {'mean_squared_error': 2.0, 'mean_absolute_error': 1.0}
    """

    def __init__(self, objective: Objective, *, has_all: bool = False) -> None:
        self._objective = objective
        self._overall = objective.overall if has_all else ()
        self._scores: list[NDArray[np.float32]] = []
        self._labels: list[NDArray[np.float32]] = []
        self._totals = [0.0] * len(objective.metrics)
        self._count = 0

    def update(self, batch: Encoded) -> None:
        """Add the records of a batch, of which there is at least one."""
        self.add(self._objective.sums(batch), len(batch.label))
        if self._overall:
            self._scores.append(self._objective.shown(batch))  # (B, K)
            self._labels.append(batch.label)  # (B,)

    def add(self, sums: Sequence[float], records: int) -> None:
        """Add what `Objective.sums` returned for so many records."""
        count, share = (1, records) if self._objective.averages_batches else (records, 1)
        self._count += count
        self._totals = [t + part / share for t, part in zip(self._totals, sums, strict=True)]

    def values(self) -> dict[str, float]:
        """Return the metrics by name, in the order of AWS's logs; NaN before any batch."""
        means = [total / self._count if self._count else math.nan for total in self._totals]
        names = [metric.name for metric in self._objective.metrics]
        values = dict(zip(names, self._objective.values(means), strict=True))
        if self._scores:
            import numpy as np

            kept = np.concatenate(self._scores), np.concatenate(self._labels)  # (n, K), (n,)
            found = self._objective.overall_values(*kept)
            values |= {m.name: value for m, value in zip(self._overall, found, strict=True)}
        return values

    @property
    def watched(self) -> float:
        """The one that early stopping watches where there is no validation."""
        return self.values()[(self._objective.in_training or self._objective.watched).name]

    def state(self) -> dict[str, Any]:
        """Return everything added so far as JSON values; totals as hexadecimal text, exactly."""
        return {"count": self._count, "totals": [total.hex() for total in self._totals]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state` to the very same values.

        Raises
        ------
        KeyError, TypeError, ValueError
            If `state` was not made by `Metrics.state` of the same objective.
        """
        totals = [float.fromhex(text) for text in state["totals"]]
        if len(totals) != len(self._totals):
            raise ValueError(f"not a state of these metrics: {len(totals)} totals")
        self._count, self._totals = int(state["count"]), totals
