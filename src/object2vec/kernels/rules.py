"""The five update rules, with the constants and the arithmetic of Apache MXNet 1.x.

AWS's container trains with MXNet, so its rules are the ones whose learning rates transfer. They
differ from PyTorch's in where epsilon stands and in how weight decay enters. Each rule works on a
whole parameter (dense) or on the rows of a batch's tokens (row_sparse, "lazy": the state of
untouched rows is frozen, not decayed). Source: the optimizer operators of MXNet 1.x, as described
in its API reference
(https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/optimizer/index.html).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from object2vec.devices import large_zeros

# A moment that is not fed decays into subnormal numbers, which a CPU computes ten times slower.
# Below this bound a moment is 0: whatever it could add lies far under the rounding of any weight.
TINY = 1e-30


def _decay(moment: Tensor, keep: float, addend: Tensor) -> None:
    """Turn `moment` into keep * moment + (1 - keep) * addend, without subnormal numbers."""
    moment.mul_(keep).add_((1 - keep) * addend)
    moment.masked_fill_(moment.abs() < TINY, 0.0)


@dataclass(frozen=True)
class Rule(ABC):
    """An update rule with its settings.

    Parameters
    ----------
    learning_rate : float
        Step size.
    weight_decay : float
        Coefficient of the L2 term.
    """

    learning_rate: float
    weight_decay: float = 0.0

    name: ClassVar[str]
    state_names: ClassVar[tuple[str, ...]] = ()

    def rate(self, step: int) -> float:
        """Return the step size of update number `step`, which counts from 1."""
        return self.learning_rate

    def update(
        self,
        weight: Tensor,
        gradient: Tensor,
        state: Sequence[Tensor],
        step: int,
        decay: bool = True,
    ) -> None:
        """Update `weight` and `state` in place from `gradient`, all of one shape.

        Parameters
        ----------
        weight, gradient : Tensor, float32
            The parameter, or rows of it, and the gradient of the loss.
        state : sequence of Tensor
            One tensor per entry of `state_names`.
        step : int
            Number of this update, from 1.
        decay : bool, default True
            Whether weight decay applies; it does not to biases.
        """
        self._apply(weight, gradient, state, step, self.weight_decay if decay else 0.0)

    @abstractmethod
    def _apply(self, w: Tensor, g: Tensor, state: Sequence[Tensor], step: int, wd: float) -> None:
        """Do the arithmetic of one update."""


class SGD(Rule):
    """w <- w - lr (g + wd w)."""

    name = "sgd"

    def _apply(self, w: Tensor, g: Tensor, state: Sequence[Tensor], step: int, wd: float) -> None:
        w -= self.rate(step) * (g + wd * w)


class Adam(Rule):
    """Adam (Kingma & Ba 2015) with the bias correction folded into the step size.

    m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  w <- w - lr sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) +
    eps), with g <- g + wd w before all of it.
    """

    name = "adam"
    state_names = ("mean", "variance")
    beta1, beta2, epsilon = 0.9, 0.999, 1e-8

    def rate(self, step: int) -> float:
        """Return the learning rate with both bias corrections."""
        correction = math.sqrt(1.0 - self.beta2**step) / (1.0 - self.beta1**step)
        return self.learning_rate * correction

    def _apply(self, w: Tensor, g: Tensor, state: Sequence[Tensor], step: int, wd: float) -> None:
        mean, variance = state
        g = g + wd * w
        _decay(mean, self.beta1, g)
        _decay(variance, self.beta2, g * g)
        w -= self.rate(step) * mean / (variance.sqrt() + self.epsilon)


class Adagrad(Rule):
    """AdaGrad (Duchi et al. 2011): h <- h + g^2;  w <- w - lr (g / sqrt(h + eps) + wd w)."""

    name = "adagrad"
    state_names = ("history",)
    epsilon = 1e-7

    def _apply(self, w: Tensor, g: Tensor, state: Sequence[Tensor], step: int, wd: float) -> None:
        (history,) = state
        history.add_(g * g)
        w -= self.rate(step) * (g / (history + self.epsilon).sqrt() + wd * w)


class RMSProp(Rule):
    """RMSProp, not centred, with g <- g + wd w before all of it.

    n <- 0.9 n + 0.1 g^2;  w <- w - lr g / sqrt(n + eps).
    """

    name = "rmsprop"
    state_names = ("variance",)
    gamma, epsilon = 0.9, 1e-8

    def _apply(self, w: Tensor, g: Tensor, state: Sequence[Tensor], step: int, wd: float) -> None:
        (variance,) = state
        g = g + wd * w
        _decay(variance, self.gamma, g * g)
        w -= self.rate(step) * g / (variance + self.epsilon).sqrt()


class Adadelta(Rule):
    """ADADELTA (Zeiler 2012); it has no step size, so `learning_rate` is not used.

    a <- rho a + (1-rho) g^2;  d = sqrt(u + eps) / sqrt(a + eps) g;  u <- rho u + (1-rho) d^2;
    w <- w - d - wd w.
    """

    name = "adadelta"
    state_names = ("gradients", "updates")
    rho, epsilon = 0.9, 1e-5

    def _apply(self, w: Tensor, g: Tensor, state: Sequence[Tensor], step: int, wd: float) -> None:
        gradients, updates = state
        _decay(gradients, self.rho, g * g)
        delta = (updates + self.epsilon).sqrt() / (gradients + self.epsilon).sqrt() * g
        _decay(updates, self.rho, delta * delta)
        w -= delta + wd * w


RULES: dict[str, type[Rule]] = {rule.name: rule for rule in (SGD, Adam, Adagrad, RMSProp, Adadelta)}


def new_state(rule: Rule, weight: Tensor) -> tuple[Tensor, ...]:
    """Return the initial state of a weight: zeros, which cost no memory until they are touched."""
    if weight.device.type == "cpu":
        return tuple(large_zeros(weight.shape) for _ in rule.state_names)
    return tuple(torch.zeros_like(weight) for _ in rule.state_names)


def settings(rule: Rule, step: int, decay: bool = True) -> tuple[float, ...]:
    """Return what compiled code needs of a rule, in one form for all of them.

    Returns
    -------
    tuple of float
        Rate, weight decay, two coefficients of the moments, epsilon, and one less each coefficient;
        0 for what a rule does not have.
    """
    first, second, epsilon = {
        Adam: (Adam.beta1, Adam.beta2, Adam.epsilon),
        Adagrad: (0.0, 0.0, Adagrad.epsilon),
        RMSProp: (RMSProp.gamma, 0.0, RMSProp.epsilon),
        Adadelta: (Adadelta.rho, 0.0, Adadelta.epsilon),
    }.get(type(rule), (0.0, 0.0, 0.0))
    wd = rule.weight_decay if decay else 0.0
    return rule.rate(step), wd, first, second, epsilon, 1 - first, 1 - second
