"""A network as a source of embeddings and scores, of columns and of requests merged into batches.

An instance of pooled encoders gets the same bits alone and in any batch, once `Engine.steady` was
called. A matrix product may round a row differently when the number of rows or threads differs; so
the head then works on blocks of fixed shapes, filled up with zeros, and with a fixed number of
threads. Sequences of the other encoders share matrix products over all tokens of a batch, and agree
to float32 rounding. Without `steady`, products are as large as a batch, which is faster.

The state that a caller has given PyTorch (gradient mode, default type and device, autocast) changes
nothing here.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from object2vec.artifact import Artifact
from object2vec.devices import set_threads
from object2vec.errors import ArtifactError, RequestError
from object2vec.inference.id_reader import IdReader
from object2vec.inference.inputs import Rows, batches_by_length, diverged
from object2vec.inference.instances import Group, Reader
from object2vec.inference.ipinsights import IpInsightsReader, is_ip_insights
from object2vec.inference.value_reader import ValueReader
from object2vec.network.network import Network, collapsed
from object2vec.objects.ragged import Ragged

Floats = NDArray[np.float32]

_BLOCK = 16  # rows: with fewer a small request would pay less, a large batch more
_LARGE_BLOCK = 64
_QUICK_PRODUCTS = 30_000_000  # multiply-adds, about a millisecond on one core


class Engine:
    """Embeddings and scores of a model.

    Parameters
    ----------
    artifact : Artifact
        A model, trained or loaded.

    Notes
    -----
    All sequences must have passed `object2vec.inference.inputs.Intake.accept`.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.config, self.facts = artifact.config, artifact.facts
        self.network, self.schema = artifact.network, artifact.schema
        self._vocabularies = artifact.vocabularies
        self.width = max(self.config.enc_dim, self.network.objective.width)
        self.device = self.network.tables()[0].weight.device
        self._is_pooled = all(e.network == "pooled_embedding" for e in self.config.encoders)
        self._blocks: list[int] = []
        self._threads = 0  # as the process has them
        self._used = threading.local()

    @cached_property
    def _scorer(self) -> Network:
        """The network as it scores."""
        return collapsed(self.network, _BLOCK)

    @cached_property
    def _head_products(self) -> int:
        """Multiply-adds of the head for a pair."""
        return sum(p.numel() for p in self._scorer.head.parameters())

    @cached_property
    def reader(self) -> Reader:
        """What reads the bodies of requests for this model."""
        if self.schema is None:
            return IdReader(self.config, self._vocabularies)
        if is_ip_insights(self.config, self.schema):
            return IpInsightsReader(self.config, self.schema)
        return ValueReader(self.config, self.schema)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes, in the order of the scores, where labels have names."""
        names = None if self.schema is None else self.schema.label.classes
        return names if names and len(names) == self.network.objective.width else None

    def is_quick(self, instances: int, tokens: int) -> bool:
        """Return whether handing this much to another thread would cost more than to compute it."""
        products = instances * self._head_products + tokens * self.config.enc_dim
        return self._is_pooled and self.device.type == "cpu" and products < _QUICK_PRODUCTS

    def steady(self, threads: int = 1) -> None:
        """Give the same bits to an instance whatever is computed with it, from now on.

        Parameters
        ----------
        threads : int
            Those that encoders with matrix products may use; for pooled ones, starting a second
            thread takes longer than the work.
        """
        self._threads = 1 if self._is_pooled else threads
        self._use_threads()
        self._blocks = [_LARGE_BLOCK, _BLOCK] if self._large_blocks_agree() else [_BLOCK]

    def warm_up(self, preferred_mode: str, threads: int = 1) -> None:
        """Become steady and compute both modes once, the preferred one first.

        Parameters
        ----------
        preferred_mode : {"classification", "embedding"}
        threads : int
            As in `steady`.
        """
        self.steady(threads)
        rows = [[[1] * min(encoder.max_seq_len, 8)] for encoder in self.config.encoders]
        groups = [Group(rows[0], rows[1]), Group(rows[0], None), Group(None, rows[1])]
        self.predict(groups if preferred_mode == "classification" else groups[::-1])
        if isinstance(self.reader, ValueReader):
            self.reader.warm_up()

    def encode(self, side: int, sequences: Ragged) -> Floats:
        """Return the embeddings of sequences of one side, (n, D), in flat memory.

        Raises
        ------
        ArtifactError
            If a number is NaN or infinite.
        """
        self._use_threads()
        embeddings = np.empty((len(sequences), self.config.enc_dim), np.float32)  # (n, D)
        with torch.inference_mode():
            for rows in batches_by_length(sequences.lengths):
                embeddings[rows] = self._embed(side, sequences.take(rows)).cpu().numpy()
        return embeddings

    def score(self, in0: Ragged, in1: Ragged) -> Floats:
        """Return the scores of pairs, (n, K), in flat memory.

        Raises
        ------
        ArtifactError
            If a number is NaN or infinite.
        """
        self._use_threads()
        scores = np.empty((len(in0), self.network.objective.width), np.float32)  # (n, K)
        with torch.inference_mode():
            for rows in batches_by_length(in0.lengths + in1.lengths):
                a, b = self._embed(0, in0.take(rows)), self._embed(1, in1.take(rows))  # (m, D)
                scores[rows] = self._score(a, b).cpu().numpy()
        return scores

    def score_embeddings(self, a: Floats, b: Floats) -> Floats:
        """Return the scores of pairs of embeddings (n, D), row by row, (n, K).

        Raises
        ------
        ArtifactError
            If a number is NaN or infinite.
        """
        self._use_threads()
        with torch.inference_mode():
            pair = (torch.from_numpy(each).to(self.device) for each in (a, b))
            scores: Floats = self._score(*pair).cpu().numpy()
        return scores

    def predict(self, groups: Sequence[Group]) -> list[Floats]:
        """Return scores (n, K) or embeddings (n, D) for each group, all computed at once.

        Raises
        ------
        RequestError
            500 if a number is NaN or infinite.
        """
        self._use_threads()
        try:
            with torch.inference_mode():
                embeddings = [
                    self._embed_columns(side, [(group.in0, group.in1)[side] for group in groups])
                    for side in (0, 1)
                ]
                predictions = self._score_pairs([*zip(*embeddings, strict=True)])
                return [prediction.cpu().numpy() for prediction in predictions]
        except ArtifactError as err:
            raise RequestError(str(err), status=500) from err

    def _use_threads(self) -> None:
        """Use as many threads as were chosen; each calling thread has to say so itself."""
        if self._threads and getattr(self._used, "threads", 0) != self._threads:
            set_threads(self._threads)
            self._used.threads = self._threads

    def _embed_columns(self, side: int, columns: list[Rows | None]) -> list[Tensor | None]:
        """Return the embeddings of each column; None where there is none."""
        present = [column for column in columns if column is not None]
        if not present:
            return [None] * len(columns)
        rows = present[0] if len(present) == 1 else [*chain.from_iterable(present)]
        together = self._embed(side, Ragged.of_lists(rows))  # (n, D)
        parts = iter(together.split_with_sizes([*map(len, present)]))
        return [None if column is None else next(parts) for column in columns]

    def _score_pairs(self, columns: list[tuple[Tensor | None, Tensor | None]]) -> list[Tensor]:
        """Return the scores of each pair of columns, all scored together, or a lone column."""
        pairs = [(a, b) for a, b in columns if a is not None and b is not None]
        scores: Iterator[Tensor] = iter(())
        if pairs:
            a, b = pairs[0] if len(pairs) == 1 else map(torch.cat, zip(*pairs, strict=True))
            scores = iter(self._score(a, b).split_with_sizes([len(part) for part, _ in pairs]))
        predictions = [
            next(scores) if a is not None and b is not None else b if a is None else a
            for a, b in columns
        ]
        return [prediction for prediction in predictions if prediction is not None]

    def _embed(self, side: int, sequences: Ragged) -> Tensor:
        """Return embeddings (n, D) if all of them are numbers."""
        return _finite("embeddings", self.network.encode(side, sequences))

    def _score(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the scores (n, K) of pairs of embeddings (n, D) if all of them are numbers."""
        return _finite("scores", self._blockwise(a, b) if self._blocks else self._scores(a, b))

    def _scores(self, a: Tensor, b: Tensor) -> Tensor:
        return self.network.scores(self._scorer.score(a, b))

    def _blockwise(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the same block by block."""
        filling = (0, 0, 0, -len(a) % _BLOCK)
        filled = [torch.nn.functional.pad(side, filling) for side in (a, b)]  # (n', D)
        blocks, start = [], 0
        for size in self._blocks:
            for stop in range(start + size, len(filled[0]) + 1, size):
                blocks.append(self._scores(*(side[start:stop] for side in filled)))  # (size, K)
                start = stop
        return torch.cat(blocks)[: len(a)]

    def _large_blocks_agree(self) -> bool:
        """Return whether this machine's products give a row the same bits in both block sizes."""
        draw = np.random.default_rng(0).standard_normal
        shape = _LARGE_BLOCK, self.config.enc_dim
        a, b = (torch.from_numpy(draw(shape, np.float32)).to(self.device) for _ in range(2))
        scores = []
        with torch.inference_mode():
            for size in (_BLOCK, _LARGE_BLOCK):
                self._blocks = [size]
                scores.append(self._blockwise(a, b))  # (64, K)
        return torch.equal(*scores)


def _finite(what: str, numbers: Tensor) -> Tensor:
    """Return `numbers` if all of them are: nothing else may pass for a prediction."""
    # NaN and infinity show in the extremes, in a tenth of the time that torch.isfinite takes.
    if numbers.numel() and not all(map(math.isfinite, torch.aminmax(numbers))):
        raise diverged(what)
    return numbers
