"""One update: dropout masks from the seed, forward, backward, and the optimizer's rule."""

from __future__ import annotations

import torch

from object2vec.network.dropout import Dropout
from object2vec.network.network import Network
from object2vec.objectives import Encoded
from object2vec.pairs.batches import Batch, random_generator
from object2vec.training.optimizer import Optimizer

_DROPOUT = 3  # names the dropout masks among the random choices; 0 to 2 stand in pairs.batches


class Step:
    """Makes one update after another.

    Parameters
    ----------
    network : Network
        Initialised; it is trained in place.

    Attributes
    ----------
    optimizer : Optimizer
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.optimizer = Optimizer(network, network.config, network.table(0).kernel)
        self._generator = torch.Generator(network.table(0).weight.device)
        for module in network.modules():
            if isinstance(module, Dropout):
                module.generator = self._generator

    @property
    def count(self) -> int:
        """Updates made so far."""
        return self.optimizer.steps

    def __call__(self, batch: Batch) -> Encoded:
        """Update the network once.

        Returns
        -------
        Encoded
            The batch as the network saw it before the update, for the metrics.
        """
        config = self.network.config
        if config.dropout:
            # Of the seed and the number of the step alone: a resumed run draws the same masks.
            seed = random_generator(config.seed, _DROPOUT, self.count).integers(2**63)
            self._generator.manual_seed(int(seed))
        encoded = self.network.encoded(batch)
        torch.autograd.backward(self.network.objective.loss(encoded))
        self.optimizer.step()
        return encoded
