"""Rows that no record of training reads: what they are to say, or that they say nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from object2vec.config import Config
from object2vec.fields.schema import ObjectSchema, Part
from object2vec.network.network import Network
from object2vec.network.tokens import TokenTable
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.made import MadePairs
from object2vec.reporting.table import counted

_ROWS = 1 << 14  # of a table that are read at once
_SAMPLE = 1 << 16  # rows that stand for more
_IDS = 1 << 22  # that are looked at, at once


@dataclass(frozen=True, eq=False)
class _Unread:
    """Rows of a table that no record of training reads, and others of their vocabulary.

    Parameters
    ----------
    table : TokenTable
    rows : Tensor of shape (m,), int64
    validated : Tensor of shape (k,), int64
        Those of them that validation may read.
    others : Tensor of shape (n,), int64
        What their vectors are to be the mean of.
    has_odds : bool
        Whether their last number stays: the log odds of a label, which every record has taught.
    """

    table: TokenTable
    rows: Tensor
    validated: Tensor
    others: Tensor
    has_odds: bool

    def settle(self, rows: Tensor) -> None:
        """Make some rows the mean of the others."""
        if not len(rows):
            return
        width = self.table.weight.shape[1]
        total = self.others.new_zeros(width, dtype=torch.float64)  # (E,)
        for some in torch.split(self.others, _ROWS):
            total += self.table.read(some).sum(dim=0, dtype=torch.float64)
        mean = (total / len(self.others)).float()  # (E,)
        for some in torch.split(rows, _ROWS):
            vectors = mean.repeat(len(some), 1)  # (m, E)
            if self.has_odds:
                vectors[:, -1] = self.table.read(some)[:, -1]
            self.table.changing(some.int())
            self.table.write(some, vectors)


class Settling:
    """Gives rows that no record of training reads what they stand for.

    An unseen token is to say nothing of its own, instead of what its random numbers happen to say:
    its row becomes the mean of its vocabulary, of 65,536 rows evenly spaced where there are more.
    But a label that no record has keeps its log odds, which every record has taught; and where both
    sides share vectors that begin at length 1, buckets keep their random ones: by them an unseen
    token finds itself on the other side. A token that stands for a sequence gets the vector that
    makes it its embedding.

    Parameters
    ----------
    network : Network
    schema : ObjectSchema or None
        What it reads; None where its objects are ids, of which none is known to be unread.
    pairs : mapping of str to Pairs
        The channels.

    Notes
    -----
    While a run goes on, only rows that its validation records read are written: after an epoch
    settling costs what those are, however large the vocabulary.
    """

    def __init__(
        self, network: Network, schema: ObjectSchema | None, pairs: Mapping[str, Pairs]
    ) -> None:
        self._network, self._train = network, pairs["train"]
        self._unread: list[_Unread] = []
        if schema is None:
            return
        for side, table in enumerate(network.tables()):
            if not table.is_frozen:
                has_odds = network.objective.head == "odds" and table is network.table(1)
                found = _of_table(table, side, schema, network.config, pairs)
                self._unread += [_Unread(table, *rows, has_odds) for rows in found]

    @torch.no_grad()
    def __call__(self, *, is_over: bool) -> None:
        """Write the rows that validation may read or, when the run is over, all of them."""
        _settle_substitutes(self._network, self._train)
        for each in self._unread:
            each.settle(each.rows if is_over else each.validated)


def settling_text(schema: ObjectSchema, config: Config) -> str:
    """Return what a log says of rows that no record reads; "" if there are none."""
    parts = (part for side in _tables_of(schema) for part in schema.vocabularies(side))
    count = sum(len(_unread(part, schema, config)) for part in parts)
    if not count:
        return ""
    what = counted(count, "row")
    return f"{what} for missing or unseen values: without examples, set to the mean of the others."


def _tables_of(schema: ObjectSchema) -> tuple[int, ...]:
    """Return a side for each token table."""
    return (0,) if schema.is_tied else (0, 1)


def _unread(part: Part, schema: ObjectSchema, config: Config) -> NDArray[np.int64]:
    """Return the rows of a vocabulary that no record reads and that are to say nothing, (m,)."""
    own, buckets = part.fitted.untrained_rows(), part.fitted.buckets
    if not schema.is_tied or config.token_init != "unit":
        return own
    return own[(own < buckets.start) | (own >= buckets.stop)]


def _of_table(
    table: TokenTable,
    side: int,
    schema: ObjectSchema,
    config: Config,
    pairs: Mapping[str, Pairs],
) -> Iterable[tuple[Tensor, Tensor, Tensor]]:
    """Yield the unread rows, the validated ones and the others, of vocabularies that have both."""
    device = table.weight.device
    sides = (0, 1) if len(_tables_of(schema)) == 1 else (side,)
    is_read = _read_by(pairs.get("validation"), sides, len(table.weight))  # (V,)
    for part in schema.vocabularies(side):
        own = _unread(part, schema, config)
        if not 0 < len(own) < part.fitted.size:
            continue
        is_other = np.ones(part.fitted.size, np.bool_)
        is_other[own] = False
        others = np.flatnonzero(is_other)
        if len(others) > _SAMPLE:
            others = others[np.linspace(0, len(others) - 1, _SAMPLE, dtype=np.int64)]
        rows = part.in_table(own)
        found = (rows, rows[is_read[rows]], part.in_table(others))
        first, second, third = (torch.from_numpy(r.astype(np.int64)).to(device) for r in found)
        yield first, second, third


def _read_by(pairs: Pairs | None, sides: Iterable[int], size: int) -> NDArray[np.bool_]:
    """Return which rows of a table records may read, (V,); all if more are made or drawn."""
    is_read = np.zeros(size, np.bool_)
    if pairs is None:
        return is_read
    if isinstance(pairs, MadePairs) or pairs.draw is not None:
        return ~is_read
    for side in sides:
        ids = pairs.columns[f"in{side}"].values
        for first in range(0, len(ids), _IDS):
            is_read[ids[first : first + _IDS]] = True
    return is_read


@torch.no_grad()
def _settle_substitutes(network: Network, pairs: Pairs) -> None:
    """Give tokens that stand for a sequence the vector that makes them its embedding."""
    substitutes = pairs.substitutes if isinstance(pairs, MadePairs) else None
    if substitutes is None:
        return
    was_training = network.training
    network.eval()
    table, limit = network.table(0), network.config.encoders[0].max_seq_len
    for first in range(0, len(substitutes.tokens), _ROWS):
        some = substitutes.sequences.slice(first, first + _ROWS)
        rows = torch.from_numpy(substitutes.tokens[first : first + _ROWS])
        table.changing(rows)
        table.write(rows.long(), network.encode(0, some.truncated(limit)))
    network.train(was_training)
