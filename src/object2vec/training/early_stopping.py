"""When training stops and which epoch is kept: the container's real rule, not its documentation's.

One metric is watched. The best epoch is the one with the best value, without tolerance. An epoch is
*bad* unless its value beats the best of the previous `patience` values by at least `tolerance`;
training stops after `patience` + 1 bad epochs in a row. So an epoch can be the best and bad at
once, and one that is worse than the best can be good.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from object2vec.objectives import Metric
from object2vec.reporting.events import Verdict


class EarlyStopping:
    """Watches one metric, once per epoch.

    Parameters
    ----------
    metric : Metric
        What is watched; of a loss the lowest value is the best, of a score the highest.
    patience : int
        Values that a new one is compared with, and bad epochs in a row that are borne.
    tolerance : float
        Improvement that counts as one, absolute.
    takes_last : bool, default False
        Whether the last epoch is the best in any case, and only diverging is bad.

    Attributes
    ----------
    best_epoch : int or None
        Epoch of the best finite value; None before there is one.
    best_value : float or None
        That value.

    Examples
    --------
    >>> stopping = EarlyStopping(Metric("loss", "loss"), patience=1, tolerance=0.01)
    >>> [stopping.observe(epoch, value).bad for epoch, value in enumerate([0.9, 0.899, 0.898])]
    [0, 1, 2]
    >>> stopping.best_epoch
    2
    """

    def __init__(
        self, metric: Metric, patience: int, tolerance: float, takes_last: bool = False
    ) -> None:
        self.metric = metric
        self.patience = patience
        self.tolerance = tolerance
        self.takes_last = takes_last
        self.best_epoch: int | None = None
        self.best_value: float | None = None
        self._sign = 1.0 if metric.kind == "loss" else -1.0  # a cost is lower where it is better
        self._bad = 0
        self._past: deque[float] = deque(maxlen=patience)  # costs

    @property
    def should_stop(self) -> bool:
        """Whether there were more bad epochs in a row than are borne."""
        return self._bad > self.patience

    def observe(self, epoch: int, value: float) -> Verdict:
        """Return the verdict on the next epoch.

        A value that is not finite is never the best and always bad, in the first epochs too.

        Parameters
        ----------
        epoch : int
            Number of the epoch.
        value : float
            The metric on the validation channel, or on the training channel where there is none.
        """
        past = tuple(self._past) if len(self._past) == self.patience else None
        cost = self._sign * value if math.isfinite(value) else math.inf
        best = math.inf if self.best_value is None else self._sign * self.best_value
        is_best = cost < (math.inf if self.takes_last else best)
        if is_best:
            self.best_epoch, self.best_value = epoch, value
        is_bad = self._is_bad(cost, past)
        if is_bad:
            self._bad += 1
        elif past is not None:
            self._bad = 0
        self._past.append(cost)
        return Verdict(
            epoch=epoch,
            metric=self.metric.name,
            value=value,
            is_best=is_best,
            is_bad=is_bad,
            bad=self._bad,
            patience=self.patience,
            should_stop=self.should_stop,
            past_values=None if past is None else tuple(self._sign * cost for cost in past),
            best_past=None if past is None else self._sign * min(past),
        )

    def _is_bad(self, cost: float, past: tuple[float, ...] | None) -> bool:
        """Return whether `cost` does not undercut the past ones enough, or is infinite."""
        if past is None or self.takes_last or cost == math.inf:
            return cost == math.inf
        minimum = min(past)
        return not (cost < minimum and minimum - cost >= self.tolerance)

    def state(self) -> dict[str, Any]:
        """Return everything observed so far as JSON values, exactly; infinite costs as None."""
        return {
            "best_epoch": self.best_epoch,
            "best_value": self.best_value,
            "bad": self._bad,
            "past_costs": [cost if cost < math.inf else None for cost in self._past],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If `state` was not made by `EarlyStopping.state`.
        """
        self._bad = int(state["bad"])
        self._past.extend(math.inf if cost is None else float(cost) for cost in state["past_costs"])
        if state["best_epoch"] is not None:
            self.best_epoch = int(state["best_epoch"])
            self.best_value = float(state["best_value"])
