"""Regression: the squared error of one predicted number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from object2vec.config import Config
from object2vec.objectives.base import Encoded, LabelRule, Metric, Objective

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

_SQUARED = Metric("mean_squared_error", "loss", short="MSE")
_ABSOLUTE = Metric("mean_absolute_error", "loss", short="MAE", is_quality=False)


class MeanSquaredError(Objective):
    """One number for a pair.

    Notes
    -----
    With ``compat_metrics`` the metrics are the mean of the batches' means, as AWS computes them.
    """

    metrics = (_SQUARED, _ABSOLUTE)
    watched = _SQUARED
    task = "regression"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.averages_batches = config.compat_metrics

    @property
    def labels(self) -> LabelRule:
        """Any numbers."""
        return NumberLabels()

    @property
    def output(self) -> str:
        """What a user gets for a pair, in words."""
        return "one number"

    def losses(self, batch: Encoded) -> Tensor:
        """Return half the squared error of each record, (B,).

        MXNet's regression head has the gradient (prediction - label), that of half the squared
        error: with the half, learning rates of AWS's runs transfer. The metric that is reported is
        the whole squared error.
        """
        from torch.nn import functional

        return 0.5 * functional.mse_loss(batch.logits[:, 0], batch.target, reduction="none")

    def sums(self, batch: Encoded) -> Sequence[float]:
        """Return the summed squared and absolute errors."""
        return error_sums(self.shown(batch), batch.label)


def error_sums(predictions: NDArray[np.float32], label: NDArray[np.float32]) -> tuple[float, float]:
    """Return the summed squared and absolute errors of predictions (B, 1) and labels (B,)."""
    import numpy as np

    errors = predictions[:, 0].astype(np.float64) - label  # (B,)
    return float(np.square(errors).sum()), float(np.abs(errors).sum())


class NumberLabels:
    """Any finite numbers, which is all that reading lets through."""

    def rejected(self, label: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return that none of the labels (m,) is wrong."""
        import numpy as np

        return np.zeros(len(label), np.bool_)

    def problem(self, label: float) -> str:
        """None is rejected."""
        raise NotImplementedError

    def counts(self, label: NDArray[np.float32]) -> None:
        """Return None: there are no classes."""
