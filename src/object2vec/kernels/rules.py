"""The five update rules, with the constants and the arithmetic of Apache MXNet 1.x.

AWS's container trains with MXNet, so its rules are the ones whose learning rates transfer. They
differ from PyTorch's in where epsilon stands and in how weight decay enters. Each rule works on a
whole parameter (dense) or on the rows of a batch's tokens (row_sparse, "lazy": the state of
untouched rows is frozen, not decayed). Source: the optimizer operators of MXNet 1.x, as described
in its API reference
(https://mxnet.apache.org/versions/1.9.1/api/python/docs/api/optimizer/index.html).
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from object2vec.devices import sparse_zeros
from object2vec.kernels.noise import Key, noise

# A moment that is not fed decays into subnormal numbers, which a CPU computes ten times slower.
# Below this bound a moment is 0: whatever it could add lies far under the rounding of any weight.
TINY = 1e-30

EXTRAS = ("averaged", "weighted", "shrinking", "noisy")
"""What an update may do beside its rule: count the weight in an average before it changes, update
the weights of a table's rows, make a step of its own of weight decay, add noise."""


def _decay(moment: Tensor, keep: float, addend: Tensor) -> None:
    """Make `moment` keep * moment + (1 - keep) * addend, without subnormal numbers."""
    moment.mul_(keep).add_((1 - keep) * addend)
    moment.masked_fill_(moment.abs() < TINY, 0.0)


def _ratio(rate: Tensor | float, root: Tensor, squares: Tensor) -> Tensor:
    """Return `rate` over `root`, 0 where the squares that this is the root of are 0."""
    # PyTorch divides a number, but no tensor, by multiplying with the reciprocal.
    rate = rate if isinstance(rate, Tensor) else root.new_tensor(rate)
    return (rate / root).masked_fill_(squares == 0, 0.0)


@dataclass(frozen=True)
class Rule(ABC):
    """An update rule with its settings.

    Parameters
    ----------
    learning_rate : float
        Step size.
    weight_decay : float
        Coefficient of the L2 term.
    is_decoupled : bool
        Whether weight decay shrinks the weight by itself, in proportion to the learning rate, and
        stays out of gradients and moments (AdamW: Loshchilov & Hutter 2019). It does so anyway
        where `decays_apart`.
    steps_before : int
        Updates that the state has had in the run that it comes from.
    """

    learning_rate: float
    weight_decay: float = 0.0
    is_decoupled: bool = False
    steps_before: int = 0

    name: ClassVar[str]
    decays_apart: ClassVar[bool] = False
    state_names: ClassVar[tuple[str, ...]] = ()
    keep: ClassVar[tuple[float, float]] = (0.0, 0.0)  # how much of each moment an update keeps
    epsilon: ClassVar[float] = 0.0

    def rate(self, step: int) -> float:
        """Return the step size of update number `step`, which counts from 1."""
        return self.learning_rate

    @abstractmethod
    def rates(self, state: Sequence[Tensor], step: int) -> Tensor | float:
        """Return the step size of each number of a weight, after an update of this state.

        It is 0 where no gradient was fed yet: nothing is known of the scale there.
        """

    @abstractmethod
    def apply(self, w: Tensor, g: Tensor, state: Sequence[Tensor], step: int, wd: float) -> None:
        """Change a weight and its state, in place, by a gradient of its shape."""


class SGD(Rule):
    """w <- w - lr (g + wd w)."""

    name = "sgd"
    decays_apart = True

    def rates(self, state: Sequence[Tensor], step: int) -> Tensor | float:
        """Return the learning rate."""
        return self.rate(step)

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
        step += self.steps_before
        correction = math.sqrt(1.0 - beta2**step) / (1.0 - beta1**step)
        return self.learning_rate * correction

    def rates(self, state: Sequence[Tensor], step: int) -> Tensor | float:
        """Return the rate over each number's root mean square."""
        return _ratio(self.rate(step), state[1].sqrt() + self.epsilon, state[1])

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
    decays_apart = True

    def rates(self, state: Sequence[Tensor], step: int) -> Tensor | float:
        """Return the rate over the root of each number's sum of squares."""
        return _ratio(self.rate(step), (state[0] + self.epsilon).sqrt(), state[0])

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

    def rates(self, state: Sequence[Tensor], step: int) -> Tensor | float:
        """Return the rate over each number's root mean square."""
        return _ratio(self.rate(step), (state[0] + self.epsilon).sqrt(), state[0])

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
    decays_apart = True

    def rates(self, state: Sequence[Tensor], step: int) -> Tensor | float:
        """Return what each number of a gradient is multiplied by."""
        gradients, updates = ((each + self.epsilon).sqrt() for each in state)
        return _ratio(updates, gradients, state[0])

    def apply(self, w: Tensor, g: Tensor, state: Sequence[Tensor], step: int, wd: float) -> None:
        """Do the arithmetic of the formula above."""
        gradients, updates = state
        _decay(gradients, self.keep[0], g * g)
        delta = (updates + self.epsilon).sqrt() / (gradients + self.epsilon).sqrt() * g
        _decay(updates, self.keep[1], delta * delta)
        w -= delta + wd * w


RULES: dict[str, type[Rule]] = {rule.name: rule for rule in (SGD, Adam, Adagrad, RMSProp, Adadelta)}


@dataclass(frozen=True, eq=False)
class Average:
    """The mean of what a weight was after each of the steps from some step on.

    A row that no step touches need not be looked at: its weight counts for all the steps since the
    last one that is counted, when it is touched again or when the mean is asked for.

    Parameters
    ----------
    mean : Tensor of the shape of the weight
        Over the steps that are counted.
    last : Tensor of shape (rows,), int32, or None
        The last step that is counted of each row; None where every step touches all of it.
    """

    mean: Tensor
    last: Tensor | None = None


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
    weights : Parameter or None
        The logarithm w of what each row of a table counts in a lookup, (V, 1): the coefficients of
        every lookup are a multiple of e^w. Its gradient is the product of the row with the row's
        gradient, so that one pass updates both.
    average : Average or None
        Kept while the update says from which step on.
    number : int
        Tells its noise from that of other parameters.
    """

    weight: Tensor
    state: tuple[Tensor, ...]
    decays: bool = True
    weights: Parameter | None = None
    average: Average | None = None
    number: int = 0

    @classmethod
    def new(
        cls,
        rule: Rule,
        weight: Tensor,
        decays: bool = True,
        *,
        weights: Parameter | None = None,
        is_averaged: bool = False,
        is_table: bool = False,
        number: int = 0,
    ) -> Parameter:
        """Return a parameter with its initial state: zeros, which cost nothing until touched."""
        zeros = sparse_zeros if weight.device.type == "cpu" else weight.new_zeros
        state = tuple(zeros(weight.shape) for _ in rule.state_names)
        average = None
        if is_averaged:
            new = torch.zeros(len(weight), dtype=torch.int32, device=weight.device)
            average = Average(zeros(weight.shape), new if is_table else None)
        return cls(weight, state, decays, weights, average, number)

    @property
    def counted_weights(self) -> Parameter | None:
        """The weights of a table's rows, with the steps of their average: those of the rows."""
        if self.weights is None or self.weights.average is None or self.average is None:
            return self.weights
        return replace(self.weights, average=replace(self.average, mean=self.weights.average.mean))

    def averaged(self, step: int, first: int) -> tuple[Tensor | slice, Tensor]:
        """Return the rows that have changed since a step, and their averages since then.

        Parameters
        ----------
        step : int
            The last one that is made.
        first : int
            The one after which the average begins; before `step`.
        """
        average = self.average
        assert average is not None, "our bug: a parameter without an average"
        if average.last is None:
            share = 1.0 / (step - first)
            return slice(None), average.mean + share * (self.weight - average.mean)
        rows = (average.last > first).nonzero()[:, 0]  # (rows,)
        mean, new = average.mean[rows], step - average.last[rows]
        shares = (new.to(torch.float32) / (step - first))[:, None]  # (rows, 1)
        return rows, mean + shares * (self.weight[rows] - mean)

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the weight and what belongs to its state."""
        return self.weight, *self.state

    def parts(self) -> dict[str, Tensor]:
        """Return by name all that changes beside the rule's state, of the weights of rows too."""
        parts = {} if self.average is None else {"average": self.average.mean}
        if self.average is not None and self.average.last is not None:
            parts["last"] = self.average.last
        return parts

    def changing(self) -> list[Tensor]:
        """Return every tensor that an update changes, rows of which go together."""
        own = [*self.tensors(), *self.parts().values()]
        return own if self.weights is None else [*own, *self.weights.changing()]

    def rows(self, index: Tensor) -> Parameter:
        """Return a copy of some rows."""
        average = self.average
        if average is not None:
            last = None if average.last is None else average.last[index]
            average = Average(average.mean[index], last)
        return Parameter(
            self.weight[index],
            tuple(t[index] for t in self.state),
            self.decays,
            None if self.weights is None else self.weights.rows(index),
            average,
            self.number,
        )


@dataclass(frozen=True)
class Update:
    """One update of all parameters.

    Parameters
    ----------
    rule : Rule
    step : int
        Its number, from 1.
    noise : float
        Variance of the noise that is added to each number, in units of its step size; 0: none.
    key : pair of int
        What the noise is drawn from, beside the parameter, the row and the column.
    average_from : int or None
        The steps after this one are averaged; None while nothing is.
    """

    rule: Rule
    step: int
    noise: float = 0.0
    key: Key = (0, 0)
    average_from: int | None = None

    @property
    def is_averaging(self) -> bool:
        """Whether what this update finds is counted in the averages."""
        return self.average_from is not None and self.step - 1 > self.average_from

    @property
    def shrinks(self) -> bool:
        """Whether weight decay is a step of its own."""
        rule = self.rule
        return rule.is_decoupled and rule.weight_decay > 0 and not rule.decays_apart

    def extras(self, parameter: Parameter) -> tuple[str, ...]:
        """Return what this update of a parameter does beside its rule, of `EXTRAS`."""
        flags = self.is_averaging, parameter.weights is not None, self.shrinks, self.noise > 0
        return tuple(itertools.compress(EXTRAS, flags))

    def apply(
        self,
        parameter: Parameter,
        gradient: Tensor,
        rows: Tensor | None = None,
        read: Tensor | None = None,
    ) -> None:
        """Update a parameter, in place, from a gradient of its shape.

        Parameters
        ----------
        parameter : Parameter
        gradient : Tensor of the shape of its weight
        rows : Tensor of shape (rows,), int64, optional
            Which rows of a table it consists of; by default it is no table.
        read : Tensor of shape (rows,), bool, optional
            Which of them the batch has read, if not all; the others get no noise.

        Notes
        -----
        The weights of rows get none: they are logarithms, and where Adam's root mean square is next
        to nothing, noise of some tens would make a token count e^20 times.
        """
        weights, share = parameter.weights, self._count(parameter)
        if weights is not None:
            assert rows is not None, "our bug: only the rows of a table have weights"
            by_weight = (parameter.weight * gradient).sum(1, keepdim=True)  # (rows, 1)
        self._change(parameter, gradient, share)
        self._disturb(parameter, rows, read)
        if weights is not None:
            self._change(weights, by_weight, share)

    def _change(self, parameter: Parameter, gradient: Tensor, share: Tensor | float | None) -> None:
        weight, (_, wd, *_, keep) = parameter.weight, self.constants(parameter)
        if share is not None:
            assert parameter.average is not None, "our bug: a parameter without an average"
            parameter.average.mean.add_(share * (weight - parameter.average.mean))
        if self.shrinks:
            weight.mul_(keep)
        self.rule.apply(weight, gradient, parameter.state, self.step, wd)

    def _disturb(self, parameter: Parameter, rows: Tensor | None, read: Tensor | None) -> None:
        """Add noise to a weight that has changed."""
        if not self.noise:
            return
        weight = parameter.weight
        variance = self.noise * self.rule.rates(parameter.state, self.step)
        spread = variance.sqrt() if isinstance(variance, Tensor) else math.sqrt(variance)
        drawn = spread * noise(self.key, parameter.number, weight, rows)
        weight.add_(drawn if read is None else drawn * read[:, None])

    def _count(self, parameter: Parameter) -> Tensor | float | None:
        """Return what the weight, as it stands, is of its average; None if it is not averaged.

        Where the rows of a table are counted one by one that is a number for each of them, and it
        holds for the steps since the row was counted last.
        """
        if not self.is_averaging:
            return None
        assert self.average_from is not None
        counted = None if parameter.average is None else parameter.average.last
        if counted is None:
            return self.share
        before, first = self.step - 1, self.average_from
        new = before - counted.clamp(min=first)  # (rows,)
        counted.fill_(before)
        return (new.to(torch.float32) / (before - first))[:, None]  # (rows, 1)

    @property
    def share(self) -> float:
        """What the step before is of an average that every step counts in."""
        assert self.average_from is not None
        return 1.0 / (self.step - 1 - self.average_from)

    def constants(self, parameter: Parameter) -> tuple[float, ...]:
        """Return what compiled code needs, in one form for all rules.

        Returns
        -------
        tuple of float
            Rate, weight decay, what is kept of each moment, epsilon, one less what is kept, and
            what decoupled weight decay keeps of the weight.
        """
        rule, (first, second) = self.rule, self.rule.keep
        wd = rule.weight_decay if parameter.decays else 0.0
        keep = 1.0
        if self.shrinks:
            wd, keep = 0.0, 1.0 - rule.learning_rate * wd
        moments = first, second, rule.epsilon, 1 - first, 1 - second
        return rule.rate(self.step), wd, *moments, keep
