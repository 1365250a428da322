"""One update: dropout masks from the seed, forward, backward, and the optimizer's rule."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from object2vec.network.dropout import Dropout
from object2vec.network.network import Network
from object2vec.objectives import Encoded
from object2vec.pairs.batches import Batch, random_generator
from object2vec.training.optimizer import Optimizer
from object2vec.training.schedule import Horizon

_DROPOUT = 3  # names the dropout masks among the random choices; 0 to 2 stand in pairs.batches


class Step:
    """Makes one update after another.

    Parameters
    ----------
    network : Network
        Initialised; it is trained in place.
    horizon : Horizon, optional
        What lies before the run; a schedule, averages and noise need it.

    Attributes
    ----------
    optimizer : Optimizer
    """

    def __init__(self, network: Network, horizon: Horizon | None = None) -> None:
        self.network = network
        self.optimizer = Optimizer(network, network.config, network.table(0).kernel, horizon)
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
        loss = self.network.objective.loss(encoded)
        if config.embedding_decay:
            loss = loss + config.embedding_decay * _half_squares(encoded)
        torch.autograd.backward(loss)
        self.optimizer.step()
        return encoded


def _half_squares(encoded: Encoded) -> Tensor:
    """Return half the squared length of both embeddings of a record, on average, a scalar."""
    total, pairing = encoded.a.new_zeros(()), encoded.pairing
    for embeddings, rows in (
        (encoded.a, None if pairing is None else pairing.rows0),
        (encoded.b, None if pairing is None else pairing.rows1),
    ):
        squares = (embeddings * embeddings).sum(1)  # (P,)
        if rows is not None:
            counts = np.bincount(rows, minlength=len(squares)).astype(np.float32)  # (P,)
            squares = squares * torch.from_numpy(counts).to(squares.device)
        total = total + squares.sum()
    return total * (0.5 / len(encoded.label))
