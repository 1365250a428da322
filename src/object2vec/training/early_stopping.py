"""When training stops and which epoch is kept: the container's real rule, not its documentation's.

The best epoch is the one with the smallest loss, without tolerance. An epoch is *bad* unless its
loss undercuts the smallest of the previous `patience` losses by at least `tolerance`; training
stops after `patience` + 1 bad epochs in a row. So an epoch can be the best and bad at once, and one
that is worse than the best can be good.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from object2vec.reporting.events import Verdict


class EarlyStopping:
    """Watches one loss per epoch.

    Parameters
    ----------
    patience : int
        Losses that a new one is compared with, and bad epochs in a row that are borne.
    tolerance : float
        Improvement that counts as one, absolute.

    Attributes
    ----------
    best_epoch : int or None
        Epoch of the smallest finite loss; None before there is one.
    best_loss : float
        That loss; infinite before there is one.

    Examples
    --------
    >>> stopping = EarlyStopping(patience=1, tolerance=0.01)
    >>> [stopping.observe(epoch, loss).bad for epoch, loss in enumerate([0.9, 0.899, 0.898])]
    [0, 1, 2]
    >>> stopping.best_epoch
    2
    """

    def __init__(self, patience: int, tolerance: float) -> None:
        self.patience = patience
        self.tolerance = tolerance
        self.best_epoch: int | None = None
        self.best_loss = math.inf
        self._bad = 0
        self._past: deque[float] = deque(maxlen=patience)

    def observe(self, epoch: int, loss: float) -> Verdict:
        """Return the verdict on the next epoch.

        A loss that is not finite is never the best and always bad, in the first epochs too.

        Parameters
        ----------
        epoch : int
            Number of the epoch.
        loss : float
            Validation loss, or the training loss where nothing is validated.
        """
        past = tuple(self._past) if len(self._past) == self.patience else None
        watched = loss if math.isfinite(loss) else math.inf
        is_best = watched < self.best_loss
        if is_best:
            self.best_epoch, self.best_loss = epoch, loss
        is_bad = self._is_bad(watched, past)
        if is_bad:
            self._bad += 1
        elif past is not None:
            self._bad = 0
        self._past.append(watched)
        should_stop = self._bad > self.patience
        return Verdict(epoch, loss, is_best, is_bad, self._bad, self.patience, should_stop, past)

    def _is_bad(self, loss: float, past: tuple[float, ...] | None) -> bool:
        """Return whether `loss` does not undercut the past ones enough, or is infinite."""
        if past is None or loss == math.inf:
            return loss == math.inf
        minimum = min(past)
        return not (loss < minimum and minimum - loss >= self.tolerance)

    def state(self) -> dict[str, Any]:
        """Return everything observed so far as JSON values, exactly; infinite losses as None."""
        return {
            "patience": self.patience,
            "tolerance": self.tolerance,
            "best_epoch": self.best_epoch,
            "best_loss": None if self.best_epoch is None else self.best_loss,
            "bad": self._bad,
            "past_losses": [loss if loss < math.inf else None for loss in self._past],
        }

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> EarlyStopping:
        """Return an observer that goes on from `state`.

        Raises
        ------
        KeyError, TypeError, ValueError
            If `state` was not made by `EarlyStopping.state`.
        """
        stopping = cls(int(state["patience"]), float(state["tolerance"]))
        stopping._bad = int(state["bad"])
        stopping._past.extend(_number(loss) for loss in state["past_losses"])
        if state["best_epoch"] is not None:
            stopping.best_epoch = int(state["best_epoch"])
            stopping.best_loss = float(state["best_loss"])
        return stopping


def _number(loss: float | None) -> float:
    return math.inf if loss is None else float(loss)
