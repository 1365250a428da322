"""One update: dropout masks from the seed, forward, backward, and the optimizer's rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from object2vec.devices import on_device
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

    def __call__(self, batch: Batch, seen: Callable[[Encoded], object] | None = None) -> Encoded:
        """Update the network once.

        Parameters
        ----------
        batch : Batch
        seen : callable, optional
            Given the batch as the network sees it before the update, for the metrics: a GPU then
            makes the update while the CPU prepares what comes next.

        Returns
        -------
        Encoded
            The same.
        """
        config = self.network.config
        if config.dropout:
            # Of the seed and the number of the step alone: a resumed run draws the same masks.
            seed = random_generator(config.seed, _DROPOUT, self.count).integers(2**63)
            self._generator.manual_seed(int(seed))
        encoded = self.network.encoded(batch)
        tensors = [self.network.objective.loss(encoded)]
        gradients: list[Tensor | None] = [None]
        if config.embedding_decay:
            for embeddings, added in _decays(config.embedding_decay, encoded):
                tensors.append(embeddings)
                gradients.append(added)
        torch.autograd.backward(tensors, gradients)
        if seen is not None:
            seen(encoded)
        self.optimizer.step()
        return encoded


def _decays(rate: float, encoded: Encoded) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the embeddings of each side, (P, D), and what decay adds to their gradient.

    The loss has `rate` / 2 times the squared length of both embeddings of a record, on average;
    its value is not needed, and its gradient is the embeddings, scaled.
    """
    pairing, share = encoded.pairing, rate / len(encoded.label)
    for embeddings, rows in (
        (encoded.a, None if pairing is None else pairing.rows0),
        (encoded.b, None if pairing is None else pairing.rows1),
    ):
        if not embeddings.requires_grad:
            continue
        held = embeddings.detach()
        if rows is None:
            yield embeddings, held * share
            continue
        counts = np.bincount(rows, minlength=len(held)).astype(np.float32) * np.float32(share)
        yield embeddings, held * on_device(counts, held.device)[:, None]
