"""The optimizer: one rule for every parameter, through the kernel that is the fastest for each."""

from __future__ import annotations

from torch import Tensor

from object2vec.config import Config
from object2vec.kernels.base import Kernel
from object2vec.kernels.rules import RULES, new_state
from object2vec.network.network import Network


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
    state : dict of str to tuple of Tensor
        The rule's state of each parameter, by the parameter's name.
    """

    def __init__(self, network: Network, config: Config, kernel: Kernel) -> None:
        self.rule = RULES[config.optimizer](config.learning_rate, config.weight_decay)
        self.kernel = kernel
        self.steps = 0
        self.parameters = dict(network.named_parameters())
        self.tables = {
            f"tokens.{i}.weight": table
            for i, table in enumerate(network.tables())
            if not table.is_frozen
        }
        weights = self.parameters | {name: table.weight for name, table in self.tables.items()}
        untrained = network.state_dict().keys() - weights.keys()
        frozen = {f"tokens.{i}.weight" for i, t in enumerate(network.tables()) if t.is_frozen}
        assert untrained == frozen, f"our bug: {untrained ^ frozen} would not be trained"
        self.state = {name: new_state(self.rule, weight) for name, weight in weights.items()}

    def step(self) -> None:
        """Apply the gradients of the last backward pass and forget them."""
        self.steps += 1
        for name, table in self.tables.items():
            table.update(self.rule, self.steps, self.state[name])
        for name, parameter in self.parameters.items():
            gradient = parameter.grad
            if gradient is None:  # a side without a token in the whole batch
                gradient = parameter.detach().new_zeros(parameter.shape)  # shape of the parameter
            self.kernel.update_dense(
                self.rule,
                self.steps,
                parameter.data,
                self.state[name],
                gradient,
                decay=parameter.dim() > 1,  # biases are vectors
            )
            parameter.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the state as named tensors, for a checkpoint."""
        return {
            f"optimizer.{name}.{part}": tensor
            for name, state in self.state.items()
            for part, tensor in zip(self.rule.state_names, state, strict=True)
        }
