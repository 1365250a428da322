"""Instances to scores and embeddings, the same ones whatever else is computed with them.

A matrix product may round a row differently when the number of rows or threads differs. The head
therefore works in one thread on blocks of fixed shapes, filled up with zeros: an instance of pooled
encoders gets the same bits alone and in any batch. Sequences of the other encoders share matrix
products over all tokens of a batch, and agree to float32 rounding.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from object2vec.artifact import Artifact
from object2vec.devices import set_threads
from object2vec.errors import RequestError
from object2vec.inference.instances import Group, Rows
from object2vec.kernels.comparator import compare
from object2vec.objects.ragged import Ragged, offsets_of

Floats = NDArray[np.float32]

_BLOCK = 16  # rows: with fewer a small request would pay less, a large batch more
_LARGE_BLOCK = 64
_NOT_FINITE = (
    "the model: must give finite numbers; got NaN or infinity. Train it again at a lower "
    "learning rate."
)
_QUICK_PRODUCTS = 30_000_000  # multiply-adds, about a millisecond on one core


class Engine:
    """A model as the server uses it.

    Parameters
    ----------
    artifact : Artifact
        A model, trained or loaded.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.config, self.facts = artifact.config, artifact.facts
        self.network = artifact.network.eval()
        self.width = max(self.config.enc_dim, self.network.objective.width)
        self.device = self.network.tables()[0].weight.device
        self._head_products = sum(p.numel() for p in self.network.head.parameters())
        self._is_pooled = all(e.network == "pooled_embedding" for e in self.config.encoders)
        self._blocks = [_BLOCK]
        self._threads = 1
        self._told = threading.local()

    def is_quick(self, instances: int, tokens: int) -> bool:
        """Return whether handing this much to another thread would cost more than to compute it."""
        products = instances * self._head_products + tokens * self.config.enc_dim
        return self._is_pooled and self.device.type == "cpu" and products < _QUICK_PRODUCTS

    def warm_up(self, preferred_mode: str, threads: int = 1) -> None:
        """Compute both modes once, the preferred one first, and take the machine's measure.

        Parameters
        ----------
        preferred_mode : {"classification", "embedding"}
        threads : int
            Those that encoders with matrix products may use; for pooled ones, starting a second
            thread takes longer than the work.
        """
        self._threads = 1 if self._is_pooled else threads
        self._use_threads()
        self._blocks = [_LARGE_BLOCK, _BLOCK] if self._large_blocks_agree() else [_BLOCK]
        row = [[1] * min(encoder.max_seq_len, 8) for encoder in self.config.encoders]
        groups = [Group([row[0]], [row[1]]), Group([row[0]], None), Group(None, [row[1]])]
        self.answer(groups if preferred_mode == "classification" else groups[::-1])

    def _use_threads(self) -> None:
        """Use as many threads as were chosen; each calling thread has to say so itself."""
        if getattr(self._told, "threads", 0) != self._threads:
            set_threads(self._threads)
            torch.set_num_threads(self._threads)  # Numba's OpenMP layer changes it as it starts
            self._told.threads = self._threads

    def answer(self, groups: Sequence[Group]) -> list[Floats]:
        """Return scores (n, K) or embeddings (n, D) for each group.

        Parameters
        ----------
        groups : sequence of Group
            Sequences cut to their maximum lengths, ids inside their vocabularies.

        Raises
        ------
        RequestError
            500 if a number is NaN or infinite.
        """
        self._use_threads()
        with torch.inference_mode():
            vectors = [
                self._encode(0, [group.in0 for group in groups]),
                self._encode(1, [group.in1 for group in groups]),
            ]
            pairs = [
                (a, b) for a, b in zip(*vectors, strict=True) if a is not None and b is not None
            ]
            scores = iter(self._scores(pairs))
            answers = [
                next(scores) if a is not None and b is not None else a if b is None else b
                for a, b in zip(*vectors, strict=True)
            ]
        return [_array(answer) for answer in answers]

    def _encode(self, side: int, columns: Sequence[Rows | None]) -> list[Tensor | None]:
        """Return the embeddings of each column of sequences; None where there is no column."""
        present = [column for column in columns if column is not None]
        if not present:
            return [None] * len(columns)
        rows = present[0] if len(present) == 1 else list(chain.from_iterable(present))
        offsets = offsets_of(np.fromiter(map(len, rows), np.int64, len(rows)))  # (n + 1,)
        values = np.fromiter(chain.from_iterable(rows), np.int32, int(offsets[-1]))  # (n_tokens,)
        embeddings = _finite(self.network.encode(side, Ragged(values, offsets)))  # (n, D)
        parts = iter(torch.split_with_sizes(embeddings, [*map(len, present)]))
        return [None if column is None else next(parts) for column in columns]

    def _scores(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> Sequence[Tensor]:
        """Return what the head says of each group's pairs of embeddings (n, D)."""
        if not pairs:
            return []
        one = len(pairs) == 1
        a, b = pairs[0] if one else (torch.cat(column) for column in zip(*pairs, strict=True))
        compared = compare(a, b, self.config.comparator_list)  # (B, C)
        scores = _finite(self._head(compared))  # (B, K)
        return torch.split_with_sizes(scores, [len(part) for part, _ in pairs])

    def _head(self, compared: Tensor) -> Tensor:
        """Return the scores (B, K) of comparator vectors (B, C), block by block."""
        filled = torch.nn.functional.pad(compared, (0, 0, 0, -len(compared) % _BLOCK))  # (B', C)
        blocks, start = [], 0
        for size in self._blocks:
            for stop in range(start + size, len(filled) + 1, size):
                with self.network._precision():  # that of `Network.forward`
                    logits = self.network.head(filled[start:stop])  # (size, K)
                blocks.append(self.network.scores(logits.float()))
                start = stop
        return torch.cat(blocks)[: len(compared)]

    def _large_blocks_agree(self) -> bool:
        """Return whether this machine's products give a row the same bits in both block sizes."""
        generator = torch.Generator().manual_seed(0)
        sample = torch.randn(_LARGE_BLOCK, self.config.comparator_width, generator=generator)
        scores = []
        with torch.inference_mode():
            for size in (_BLOCK, _LARGE_BLOCK):
                self._blocks = [size]
                scores.append(self._head(sample.to(self.device)))  # (64, K)
        return torch.equal(*scores)


def _finite(answers: Tensor) -> Tensor:
    """Return `answers` if all of them are numbers: nothing else may pass for an answer."""
    if not torch.isfinite(answers).all():
        raise RequestError(_NOT_FINITE, status=500)
    return answers


def _array(answer: Tensor | None) -> Floats:
    assert answer is not None, "our bug: a group has neither in0 nor in1"
    array: Floats = answer.cpu().numpy()
    return array
