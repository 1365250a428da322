"""The optimizer: one rule for every parameter, through the kernel that is the fastest for each."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from object2vec.config import Config
from object2vec.kernels.base import Kernel
from object2vec.kernels.rules import RULES, Parameter, Update
from object2vec.network.network import Network, is_bias
from object2vec.network.tokens import TokenTable
from object2vec.pairs.batches import random_generator
from object2vec.training.schedule import Horizon, averaged_after, needs_horizon, rate_share

_NOISE = 6  # names the noise among the random choices; the others stand in pairs.batches


@dataclass(frozen=True)
class Position:
    """What a checkpoint keeps of an optimizer beside its steps and tensors.

    Parameters
    ----------
    divisions : int
        How often a plateau has divided the learning rate.
    average_from : int or None
        The steps after this one are averaged; None before the first of them. What has begun goes
        on from there, also if a resumed run has more epochs.
    """

    divisions: int
    average_from: int | None


class Optimizer:
    """Applies the configured rule to all parameters of a network.

    Parameters
    ----------
    network : Network
    config : Config
    kernel : Kernel
    horizon : Horizon, optional
        What lies before the run; a schedule, averages and noise need it.

    Attributes
    ----------
    steps : int
        Updates made so far.
    position : Position
    parameters : dict of str to Parameter
        Every trained weight with the rule's state, by its name; what the tokens of a table count
        is a part of the table's.
    """

    def __init__(
        self, network: Network, config: Config, kernel: Kernel, horizon: Horizon | None = None
    ) -> None:
        rate, decay = config.learning_rate, config.weight_decay
        self.rule = RULES[config.optimizer](rate, decay, config.decoupled_weight_decay)
        self.config, self.kernel = config, kernel
        assert horizon or not needs_horizon(config), "our bug: the length of the run is not known"
        self._horizon = horizon or Horizon(0, 1)
        self.steps, self.position = 0, Position(0, None)
        self._dense = dict(network.named_parameters())
        tables = {f"tokens.{i}.weight": table for i, table in enumerate(network.tables())}
        self._tables = {name: table for name, table in tables.items() if not table.is_frozen}
        new = partial(Parameter.new, self.rule, is_averaged=config.weight_averaging > 0)
        self.parameters = {
            name: new(weight.detach(), not is_bias(weight), number=number)
            for number, (name, weight) in enumerate(self._dense.items())
        }
        for name, table in self._tables.items():
            self.parameters[name] = self._of_table(table, new, len(self.parameters))
        self._named = dict(_named(self.parameters))
        untrained = network.state_dict().keys() - self._named.keys()
        frozen = tables.keys() - self._tables.keys()
        assert untrained == frozen, f"our bug: {untrained ^ frozen} would not be trained"

    def _of_table(self, table: TokenTable, new: Callable[..., Parameter], number: int) -> Parameter:
        """Return a token table with its state, and with that of what its tokens count."""
        logs = table.log_weights
        weights = None if logs is None else new(logs, False)
        return new(table.weight, weights=weights, is_table=True, number=number)

    def step(self) -> None:
        """Apply the gradients of the last backward pass and forget them."""
        self.steps += 1
        update = self._update()
        gradients = self._dense_gradients()
        if self.config.gradient_clip_norm:
            self._clip(gradients)
        for name, table in self._tables.items():
            table.update(update, self.parameters[name])
        for name, gradient in gradients.items():
            self.kernel.update_dense(update, self.parameters[name], gradient)

    def _update(self) -> Update:
        """Return what the next update is, for all parameters."""
        config, total = self.config, self._horizon.steps
        first = averaged_after(config, total)
        if first is not None and self.position.average_from is None and self.steps > first:
            self.position = replace(self.position, average_from=self.steps - 1)
        share = rate_share(config, self.steps, total, self.position.divisions)
        rule = replace(self.rule, learning_rate=self.rule.learning_rate * share)
        if not config.noise_temperature:
            return Update(rule, self.steps, average_from=self.position.average_from)
        drawn = random_generator(config.seed, _NOISE, self.steps).integers(2**32, size=2)
        variance = 2.0 * config.noise_temperature / self._horizon.records
        first_half, second_half = map(int, drawn)
        return Update(
            rule, self.steps, variance, (first_half, second_half), self.position.average_from
        )

    def _dense_gradients(self) -> dict[str, Tensor]:
        """Return the gradients of the last backward pass, and forget them."""
        gradients = {}
        for name, weight in self._dense.items():
            gradient = weight.grad
            if gradient is None:  # a side without a token in the whole batch
                gradient = weight.detach().new_zeros(weight.shape)  # shape of the weight
            gradients[name], weight.grad = gradient, None
        return gradients

    def _clip(self, gradients: dict[str, Tensor]) -> None:
        """Scale all gradients so that together they are not longer than what is allowed."""
        squares = sum(float(gradient.square().sum()) for gradient in gradients.values())
        squares += sum(table.squares(self.parameters[n]) for n, table in self._tables.items())
        norm, most = math.sqrt(squares), self.config.gradient_clip_norm
        if norm <= most:
            return
        for gradient in gradients.values():
            gradient.mul_(most / norm)
        for name, table in self._tables.items():
            table.scale(self.parameters[name], most / norm)

    def plateau(self) -> None:
        """Divide the learning rate from now on, if it follows the watched metric."""
        if self.config.learning_rate_schedule == "plateau":
            self.position = replace(self.position, divisions=self.position.divisions + 1)

    def tensors(self) -> dict[str, Tensor]:
        """Return the state as named tensors, for a checkpoint."""
        return {
            f"optimizer.{name}.{part}": tensor
            for name, parameter in self._named.items()
            for part, tensor in (
                *zip(self.rule.state_names, parameter.state, strict=True),
                *parameter.parts().items(),
            )
        }

    @contextlib.contextmanager
    def evaluated(self) -> Iterator[None]:
        """Let the network have the weights to measure and keep while the block runs.

        Those are the averages where there are any; the weights to train on come back after it.
        """
        kept = self.take_average()
        try:
            yield
        finally:
            for name, rows, values in kept:
                self._replace(name, rows, values)

    @torch.no_grad()
    def take_average(self) -> list[tuple[str, Tensor | slice, Tensor]]:
        """Give the network the averages, where there are any; return what stood there.

        Returns
        -------
        list of tuple
            Name of a parameter, its rows that are others now, and what they were.
        """
        first = self.position.average_from
        if first is None:
            return []
        kept = []
        for table, parameter in self.parameters.items():
            found = {table: parameter.averaged(self.steps, first)}
            if (counted := parameter.counted_weights) is not None:
                found[_of_weights(table)] = counted.averaged(self.steps, first)
            for name, (rows, values) in found.items():
                kept.append((name, rows, self._named[name].weight[rows].clone()))
                self._replace(name, rows, values)
        return kept

    def _replace(self, name: str, rows: Tensor | slice, values: Tensor) -> None:
        """Put other values into rows of a weight, and let who keeps rows know before."""
        if name in self._tables and isinstance(rows, Tensor):
            self._tables[name].changing(rows.to(torch.int32))
        self._named[name].weight[rows] = values


def _named(parameters: Mapping[str, Parameter]) -> Iterator[tuple[str, Parameter]]:
    """Yield parameters by their names, what the tokens of a table count behind the table."""
    for name, parameter in parameters.items():
        yield name, parameter
        if parameter.weights is not None:
            yield _of_weights(name), parameter.weights


def _of_weights(name: str) -> str:
    return name.replace("weight", "log_weights")
