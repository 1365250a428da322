"""The optimizer: one rule for every parameter, through the kernel that is the fastest for each."""

from __future__ import annotations

from torch import Tensor

from object2vec.config import Config
from object2vec.kernels.base import Kernel
from object2vec.kernels.rules import RULES, Parameter, Update
from object2vec.network.network import Network, is_bias


class Optimizer:
    """Applies the configured rule to all parameters of a network.

    Parameters
    ----------
    network : Network
    config : Config
    kernel : Kernel

    Attributes
    ----------
    steps : int
        Updates made so far.
    parameters : dict of str to Parameter
        Every trained weight with the rule's state, by its name.
    """

    def __init__(self, network: Network, config: Config, kernel: Kernel) -> None:
        self.rule = RULES[config.optimizer](config.learning_rate, config.weight_decay)
        self.kernel = kernel
        self.steps = 0
        self._dense = dict(network.named_parameters())
        tables = {f"tokens.{i}.weight": table for i, table in enumerate(network.tables())}
        self._tables = {name: table for name, table in tables.items() if not table.is_frozen}
        weights = self._dense | {name: table.weight for name, table in self._tables.items()}
        untrained = network.state_dict().keys() - weights.keys()
        frozen = tables.keys() - self._tables.keys()
        assert untrained == frozen, f"our bug: {untrained ^ frozen} would not be trained"
        self.parameters = {
            name: Parameter.new(self.rule, weight.detach(), decays=not is_bias(weight))
            for name, weight in weights.items()
        }

    def step(self) -> None:
        """Apply the gradients of the last backward pass and forget them."""
        self.steps += 1
        update = Update(self.rule, self.steps)
        for name, table in self._tables.items():
            table.update(update, self.parameters[name])
        for name, weight in self._dense.items():
            gradient = weight.grad
            if gradient is None:  # a side without a token in the whole batch
                gradient = weight.detach().new_zeros(weight.shape)  # shape of the weight
            self.kernel.update_dense(update, self.parameters[name], gradient)
            weight.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the state as named tensors, for a checkpoint."""
        return {
            f"optimizer.{name}.{part}": tensor
            for name, parameter in self.parameters.items()
            for part, tensor in zip(self.rule.state_names, parameter.state, strict=True)
        }
