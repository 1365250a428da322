"""Where tokens begin: with what they stand with in the objects of training.

A token that few objects have learns little in a run. That it stands in the same objects as others
is known before: the principal components of the matrix of objects and tokens say it of all tokens
at once (latent semantic analysis; Deerwester et al. 1990). Where both sides share their tokens, the
two objects of a record are one: what goes together begins alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from object2vec.config import Config
from object2vec.errors import ConfigError
from object2vec.kernels.base import Lookup
from object2vec.network.network import Network
from object2vec.network.tokens import TokenTable
from object2vec.objects.ragged import PADDING, Ragged, offsets_of
from object2vec.pairs.batches import random_generator
from object2vec.pairs.dataset import Pairs
from object2vec.training.weights import training_objects

_RECORDS, _PIECE = 1 << 16, 1 << 13  # that stand for all, and that are counted at once
_ROUNDS = 3  # of power iteration
_MORE = 10  # components that are computed beyond those asked for, so that those are exact
_SIZED = 1 << 10  # rows whose numbers say how large the others are
_TOPICS = 8  # names the random directions among the random choices; 0 to 7 stand elsewhere
_NOTHING = 1e-6  # of the largest singular value: what is rounding


@torch.no_grad()
def begin_with_topics(network: Network, pairs: Pairs) -> list[str]:
    """Let the last numbers of each token's vector say what it stands with, where configured to.

    The columns are principal components of the objects of training, the first one, which all have
    in common, left out. A row of them has the size of the random numbers that it replaces; that of
    a token of no object stays random.

    Parameters
    ----------
    network : Network
        On its device, before its first step.
    pairs : Pairs
        Those of training; of many records some stand for all.

    Returns
    -------
    list of str
        What a log says of it, a line for each table.

    Raises
    ------
    ConfigError
        If a table has fewer columns.
    """
    config, texts = network.config, []
    for side, table in enumerate(network.tables() if config.topics else ()):
        check_room(config.topics, 0, table, config, side)
        sides = (0, 1) if config.tied_token_embedding_weight else (side,)
        records = _some_records(pairs, sides)
        counted = _counted(records, len(table.weight), has_padding=config.mask_padding)
        generator = random_generator(config.seed, _TOPICS, side)
        found = _principal(counted, network, config.topics, generator)  # (V, k)
        said = _put(found, table)
        texts.append(
            f"in{side}: {found.shape[1]} numbers of {said:,} tokens begin with what these stand "
            f"with in {len(counted.offsets) - 1:,} records."
        )
    return texts


def check_room(topics: int, width: int, table: TokenTable, config: Config, side: int) -> None:
    """Raise `ConfigError` if a table is too narrow for topics and vectors of a width."""
    room = table.weight.shape[1]
    if width + topics > room:
        parts = [f"vectors of {width} numbers"] * bool(width) + [f"{topics} topics"] * bool(topics)
        must = f"must leave room for {' and '.join(parts)}"
        setting = config.setting(side, "token_embedding_dim")
        raise ConfigError.at(setting, must, room, "Choose a larger one.")


def _some_records(pairs: Pairs, sides: Sequence[int]) -> Iterator[list[Ragged]]:
    """Yield the objects of these sides of records that stand for all, evenly spread, by pieces."""
    for objects in training_objects(pairs):
        total = len(objects[0])
        rows = np.arange(min(total, _RECORDS)) * total // max(1, min(total, _RECORDS))  # (N,)
        for start in range(0, len(rows), _PIECE):
            yield [objects[side].take(rows[start : start + _PIECE]) for side in sides]


@dataclass(frozen=True, eq=False)
class _Counted:
    """A matrix of N objects and V tokens: how much each object has of each token it has.

    Parameters
    ----------
    ids : int32 array (n,)
        The tokens of all objects, one after another, each once.
    offsets : int64 array (N + 1,)
        Where each object begins.
    values : float32 array (n,)
    size : int
        V.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]
    values: NDArray[np.float32]
    size: int

    def transposed(self) -> _Counted:
        """Return the matrix of tokens and objects."""
        objects = len(self.offsets) - 1
        owners = np.repeat(np.arange(objects, dtype=np.int32), np.diff(self.offsets))  # (n,)
        order = np.argsort(self.ids, kind="stable")
        offsets = offsets_of(np.bincount(self.ids, minlength=self.size))  # (V + 1,)
        return _Counted(owners[order], offsets, self.values[order], objects)

    def lookup(self, device: torch.device) -> Lookup:
        """Return what multiplies a matrix from the left where a kernel pools it."""
        ids, offsets, values = (
            torch.from_numpy(array).to(device) for array in (self.ids, self.offsets, self.values)
        )
        return Lookup(ids, offsets, coefficients=values)


def _counted(records: Iterator[list[Ragged]], size: int, *, has_padding: bool) -> _Counted:
    """Return what records have of each token: (1 + ln count) idf, in rows of length 1."""
    ids, lengths, counts = [], [], []
    for sides in records:
        of_sides = [np.repeat(np.arange(len(side)), side.lengths) for side in sides]  # (t,) each
        pieces = zip(of_sides, sides, strict=True)
        keys = np.concatenate([owners * size + side.values for owners, side in pieces])  # (t,)
        if has_padding:
            keys = keys[keys % size != PADDING]
        found, times = np.unique(keys, return_counts=True)
        ids.append((found % size).astype(np.int32))
        lengths.append(np.bincount(found // size, minlength=len(sides[0])))
        counts.append(times)
    tokens, of_object = np.concatenate(ids), np.concatenate(lengths)  # (n,), (N,)
    documents = np.bincount(tokens, minlength=size)  # (V,)
    idf = np.log((len(of_object) + 1) / (documents + 1)) + 1.0  # (V,)
    values = (1 + np.log(np.concatenate(counts))) * idf[tokens]  # (n,)
    owners = np.repeat(np.arange(len(of_object)), of_object)  # (n,)
    squares = np.bincount(owners, np.square(values), len(of_object))  # (N,)
    values /= np.sqrt(squares)[owners]
    return _Counted(tokens, offsets_of(of_object), values.astype(np.float32), size)


def _principal(
    counted: _Counted, network: Network, count: int, generator: np.random.Generator
) -> Tensor:
    """Return the principal components 2 to `count` + 1 of tokens, fewer if there are, (V, k).

    By power iteration from random directions (Halko et al. 2011,
    https://arxiv.org/abs/0909.4061). Each is scaled by the root of its singular value, and has the
    sign that makes its largest number positive: what computes it may return either.
    """
    kernel, device = network.table(0).kernel, network.table(0).weight.device
    lookup, back = counted.lookup(device), counted.transposed().lookup(device)
    most = min(count + 1 + _MORE, counted.size, len(counted.offsets) - 1)
    drawn = generator.standard_normal((counted.size, most), np.float32)  # (V, m)
    tokens = torch.from_numpy(drawn).to(device)
    for _ in range(_ROUNDS + 1):
        objects = kernel.pool(tokens, lookup)  # (N, m)
        _, objects = _directions(objects, network)
        tokens = kernel.pool(objects, back)  # (V, m)
    sizes, directions = _directions(tokens, network)
    found = (directions * sizes.sqrt())[:, 1 : count + 1]  # (V, k)
    largest = found.abs().argmax(dim=0, keepdim=True)  # (1, k)
    return (found * found.gather(0, largest).sign()).contiguous()


def _directions(x: Tensor, network: Network) -> tuple[Tensor, Tensor]:
    """Return the singular values of x (n, m), the largest first, and its left singular vectors.

    Those of rounding alone are left out.
    """
    columns = x.T.contiguous()  # (m, n)
    squares = network.product(columns, columns).double().cpu().numpy()  # (m, m)
    values, vectors = (np.flip(each, -1) for each in np.linalg.eigh(squares))
    sizes = np.sqrt(np.maximum(values, 0.0))  # (m,)
    kept = sizes > _NOTHING**0.5 * sizes[0]
    turn = (vectors[:, kept] / sizes[kept]).T.astype(np.float32)  # (k, m)
    directions = network.product(x, torch.from_numpy(np.ascontiguousarray(turn)).to(x.device))
    return torch.from_numpy(sizes[kept].astype(np.float32)).to(x.device), directions


def _put(found: Tensor, table: TokenTable) -> int:
    """Write components (V, k) into the last columns of a table; return of how many tokens."""
    lengths = found.norm(dim=1)  # (V,)
    rows = torch.nonzero(lengths)[:, 0]  # (m,)
    count = found.shape[1]
    if not count:
        return 0
    replaced = table.weight[:_SIZED, -count:].cpu().numpy()
    size = float(np.sqrt(np.square(replaced, dtype=np.float64).mean() * count))
    table.weight[rows, -count:] = found[rows] * (size / lengths[rows])[:, None]
    return len(rows)
