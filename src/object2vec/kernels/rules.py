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

from torch import Tensor

from object2vec.devices import large_zeros

# A moment that is not fed decays into subnormal numbers, which a CPU computes ten times slower.
# Below this bound a moment is 0: whatever it could add lies far under the rounding of any weight.
TINY = 1e-30


def _decay(moment: Tensor, keep: float, addend: Tensor) -> None:
    """Make `moment` keep * moment + (1 - keep) * addend, without subnormal numbers."""
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
    keep: ClassVar[tuple[float, float]] = (0.0, 0.0)  # how much of each moment an update keeps
    epsilon: ClassVar[float] = 0.0

    def rate(self, step: int) -> float:
        """Return the step size of update number `step`, which counts from 1."""
        return self.learning_rate

    @abstractmethod
    def apply(self, w: Tensor, g: Tensor, state: Sequence[Tensor], step: int, wd: float) -> None:
        """Change a weight and its state, in place, by a gradient of its shape."""


class SGD(Rule):
    """w <- w - lr (g + wd w)."""

    name = "sgd"

    def apply(self, w: Tensor, g: Tensor, state: Sequence[Tensor], step: int, wd: float) -> None:
        """Do the arithmetic of the formula above."""
        w -= self.rate(step) * (g + wd * w)


class Adam(Rule):
    """Adam (Kingma & Ba 2015) with the bias correction folded into the step size.

    m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;  w <- w - lr sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) +
    eps), with g <- g + wd w before all of it.
    """

    name = "adam"
    state_names = ("mean", "variance")
    keep, epsilon = (0.9, 0.999), 1e-8

    def rate(self, step: int) -> float:
        """Return the learning rate with both bias corrections."""
        beta1, beta2 = self.keep
        correction = math.sqrt(1.0 - beta2**step) / (1.0 - beta1**step)
        return self.learning_rate * correction

    def apply(self, w: Tensor, g: Tensor, state: Sequence[Tensor], step: int, wd: float) -> None:
        """Do the arithmetic of the formula above."""
        mean, variance = state
        g = g + wd * w
        _decay(mean, self.keep[0], g)
        _decay(variance, self.keep[1], g * g)
        w -= self.rate(step) * mean / (variance.sqrt() + self.epsilon)


class Adagrad(Rule):
    """AdaGrad (Duchi et al. 2011): h <- h + g^2;  w <- w - lr (g / sqrt(h + eps) + wd w)."""

    name = "adagrad"
    state_names = ("history",)
    epsilon = 1e-7

    def apply(self, w: Tensor, g: Tensor, state: Sequence[Tensor], step: int, wd: float) -> None:
        """Do the arithmetic of the formula above."""
        (history,) = state
        history.add_(g * g)
        w -= self.rate(step) * (g / (history + self.epsilon).sqrt() + wd * w)


class RMSProp(Rule):
    """RMSProp, not centred, with g <- g + wd w before all of it.

    n <- 0.9 n + 0.1 g^2;  w <- w - lr g / sqrt(n + eps).
    """

    name = "rmsprop"
    state_names = ("variance",)
    keep, epsilon = (0.9, 0.0), 1e-8

    def apply(self, w: Tensor, g: Tensor, state: Sequence[Tensor], step: int, wd: float) -> None:
        """Do the arithmetic of the formula above."""
        (variance,) = state
        g = g + wd * w
        _decay(variance, self.keep[0], g * g)
        w -= self.rate(step) * g / (variance + self.epsilon).sqrt()


class Adadelta(Rule):
    """ADADELTA (Zeiler 2012); it has no step size, so `learning_rate` is not used.

    a <- rho a + (1-rho) g^2;  d = sqrt(u + eps) / sqrt(a + eps) g;  u <- rho u + (1-rho) d^2;
    w <- w - d - wd w.
    """

    name = "adadelta"
    state_names = ("gradients", "updates")
    keep, epsilon = (0.9, 0.9), 1e-5

    def apply(self, w: Tensor, g: Tensor, state: Sequence[Tensor], step: int, wd: float) -> None:
        """Do the arithmetic of the formula above."""
        gradients, updates = state
        _decay(gradients, self.keep[0], g * g)
        delta = (updates + self.epsilon).sqrt() / (gradients + self.epsilon).sqrt() * g
        _decay(updates, self.keep[1], delta * delta)
        w -= delta + wd * w


RULES: dict[str, type[Rule]] = {rule.name: rule for rule in (SGD, Adam, Adagrad, RMSProp, Adadelta)}


@dataclass(frozen=True, eq=False)
class Parameter:
    """What a rule changes.

    Parameters
    ----------
    weight : Tensor, float32
    state : tuple of Tensor of the shape of `weight`
        One for each of the rule's `state_names`.
    decays : bool
        Whether weight decay applies; it does not to biases.
    """

    weight: Tensor
    state: tuple[Tensor, ...]
    decays: bool = True

    @classmethod
    def new(cls, rule: Rule, weight: Tensor, decays: bool = True) -> Parameter:
        """Return a parameter with its initial state: zeros, which cost nothing until touched."""
        zeros = large_zeros if weight.device.type == "cpu" else weight.new_zeros
        return cls(weight, tuple(zeros(weight.shape) for _ in rule.state_names), decays)

    def rows(self, index: Tensor) -> Parameter:
        """Return a copy of some rows."""
        return Parameter(self.weight[index], tuple(t[index] for t in self.state), self.decays)

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the weight and what belongs to its state."""
        return self.weight, *self.state


@dataclass(frozen=True)
class Update:
    """One update of all parameters.

    Parameters
    ----------
    rule : Rule
    step : int
        Its number, from 1.
    """

    rule: Rule
    step: int

    def apply(self, parameter: Parameter, gradient: Tensor) -> None:
        """Update a parameter, in place, from a gradient of its shape."""
        wd = self.rule.weight_decay if parameter.decays else 0.0
        self.rule.apply(parameter.weight, gradient, parameter.state, self.step, wd)

    def constants(self, parameter: Parameter) -> tuple[float, ...]:
        """Return what compiled code needs, in one form for all rules.

        Returns
        -------
        tuple of float
            Rate, weight decay, what is kept of each moment, epsilon, and one less what is kept.
        """
        rule, (first, second) = self.rule, self.rule.keep
        wd = rule.weight_decay if parameter.decays else 0.0
        return rule.rate(self.step), wd, first, second, rule.epsilon, 1 - first, 1 - second
