"""The two losses; they hold no parameters, the head belongs to the network."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def loss(logits: Tensor, label: Tensor, is_classifier: bool) -> Tensor:
    """Return the mean loss of a batch, a scalar.

    Parameters
    ----------
    logits : Tensor of shape (B, K)
        Output of the head; K is 1 for regression.
    label : Tensor of shape (B,), float32
        Classes 0 to K - 1, or values.
    is_classifier : bool
        Cross-entropy if true, else half the squared error.

    Notes
    -----
    MXNet's regression head has the gradient (prediction - label), that of half the squared error:
    with the half, learning rates of AWS's runs transfer. The metric that is reported is the whole
    squared error.
    """
    if is_classifier:
        return functional.cross_entropy(logits, label.long())
    return 0.5 * functional.mse_loss(logits[:, 0], label)
