"""Token tables: one row of numbers per token, read by lookups that are recorded while training.

A table is no PyTorch parameter: autograd would build a gradient as large as the table, or a sparse
tensor that has to be sorted and summed. Instead every lookup goes on the table's tape, the backward
pass hands its gradient over, and `TokenTable.update` lets a kernel reduce and apply everything at
once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from object2vec.kernels.base import Kernel, Lookup, Tape
from object2vec.kernels.rules import Parameter, Update
from object2vec.objects.ragged import Ragged


class TokenTable(nn.Module):
    """A table of V token vectors of width E.

    Parameters
    ----------
    vocab_size, width : int
        V and E.
    kernel : Kernel
        What reads and updates the rows.
    storage : {"dense", "row_sparse"}
        Whether an update touches every row, or only those of the batch's tokens.
    is_frozen : bool
        Frozen tables record nothing and never change.

    Attributes
    ----------
    on_change : callable or None
        Called with rows (n,), int32, before they change: those of a row_sparse update.
    log_weights : Tensor of shape (V, 1), float32, or None
        While training learns what tokens count: w of the weights e^w of the rows.
    """

    weight: Tensor
    log_weights: Tensor | None

    def __init__(
        self,
        vocab_size: int,
        width: int,
        kernel: Kernel,
        storage: str,
        is_frozen: bool,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", torch.empty(vocab_size, width))
        self.register_buffer("log_weights", None)
        self.kernel = kernel
        self.storage = storage
        self.is_frozen = is_frozen
        self.on_change: Callable[[Tensor], object] | None = None
        self._partners: Ragged | None = None
        self._tape = Tape()

    @property
    def is_plain(self) -> bool:
        """Whether its rows are all that there is to read."""
        return self.log_weights is None and self._partners is None

    @torch.no_grad()
    def weigh(self, log_weights: Tensor, *, has_weights: bool = False) -> None:
        """Let each token count e^w from now on; w is learned with the vectors, or frozen like them.

        Parameters
        ----------
        log_weights : Tensor of shape (V,), float32
            w.
        has_weights : bool, default False
            Whether the rows hold what their tokens count already: lookups read what they read
            before.
        """
        self.log_weights = log_weights[:, None].clone()  # (V, 1)
        if has_weights:
            self.weight.div_(self.log_weights.exp())
        if self.is_frozen:
            self.fold()
            self.log_weights = None

    @torch.no_grad()
    def accompany(self, partners: Ragged, count: int) -> None:
        """Let the vector of each token have a part of each of its partners from now on.

        It is the token's own row and, over the root of how many there are, the sum of the rows that
        its partners have here, behind those of the tokens: zeros in the beginning.

        Parameters
        ----------
        partners : Ragged of length V
            Of each token, from 0 to below `count`, each once.
        count : int
            Objects that are anybody's partners.
        """
        size = len(self.weight)
        values = partners.values + np.int32(size)
        values = np.insert(values, partners.offsets[:-1], np.arange(size))  # a token's own first
        self._partners = Ragged(values, partners.offsets + np.arange(size + 1))
        self.weight = torch.cat([self.weight, self.weight.new_zeros(count, self.weight.shape[1])])
        if self.log_weights is not None:
            self.log_weights = torch.cat([self.log_weights, self.log_weights.new_zeros(count, 1)])

    @torch.no_grad()
    def fold(self) -> None:
        """Multiply the rows by what is learned of them, which then is 1 for all."""
        if self.log_weights is not None:
            self.weight.mul_(self.log_weights.exp())
            self.log_weights.zero_()
        if self._partners is not None:
            size = len(self._partners)
            self.weight[:size] = self.read(slice(size))
            self.weight[size:] = 0.0

    def read(self, rows: Tensor | slice) -> Tensor:
        """Return rows as lookups read them, (m, E)."""
        if self._partners is not None:
            tokens = torch.arange(len(self._partners), device=self.weight.device)[rows]  # (m,)
            return self.kernel.pool(self.weight, self._weighed(self._accompanied(tokens)))
        vectors = self.weight[rows]
        return vectors if self.log_weights is None else vectors * self.log_weights[rows].exp()

    def write(self, rows: Tensor, vectors: Tensor) -> None:
        """Let lookups read these vectors (m, E) in rows (m,)."""
        if self.log_weights is not None:
            vectors = vectors / self.log_weights[rows].exp()
        self.weight[rows] = vectors

    def pool(self, ids: Tensor, offsets: Tensor, coefficients: Tensor | None = None) -> Tensor:
        """Return the mean vector of each sequence, or the weighted sum of its vectors.

        Parameters
        ----------
        ids : Tensor of shape (n,), int32
        offsets : Tensor of shape (B + 1,), int64
        coefficients : Tensor of shape (n,), float32, optional
            What each token counts in the sum; one over the length of its sequence by default.

        Returns
        -------
        Tensor of shape (B, E), float32
            Zeros for an empty sequence.
        """
        lookup = Lookup(ids, offsets, coefficients=coefficients)
        if self._partners is None:
            return self._pooled(self._weighed(lookup))
        # A token that stands in many sequences is put together once.
        distinct, at = torch.unique(ids, return_inverse=True)  # (u,), (n,)
        vectors = self._pooled(self._weighed(self._accompanied(distinct)))  # (u, E)
        parts = vectors.index_select(0, at) * lookup.shares()[:, None]  # (n, E)
        sequences = torch.arange(len(offsets) - 1, device=offsets.device)
        owners = sequences.repeat_interleave(offsets.diff(), output_size=len(ids))  # (n,)
        return vectors.new_zeros(len(sequences), vectors.shape[1]).index_add(0, owners, parts)

    def _accompanied(self, tokens: Tensor) -> Lookup:
        """Return the lookup of tokens (m,) with their partners, each a sequence."""
        assert self._partners is not None, "our bug: tokens without partners"
        found = self._partners.take(tokens.cpu().numpy())
        shares = (1 / np.sqrt(np.maximum(found.lengths - 1, 1))).astype(np.float32)  # (m,)
        coefficients = np.repeat(shares, found.lengths)  # (n,)
        coefficients[found.offsets[:-1]] = 1.0  # a token's own row counts whole
        device = self.weight.device
        arrays = found.values, found.offsets, coefficients
        ids, offsets, counts = (torch.from_numpy(array).to(device) for array in arrays)
        return Lookup(ids, offsets, coefficients=counts)

    def _weighed(self, lookup: Lookup) -> Lookup:
        """Return a lookup in which each token counts what is learned of it."""
        if self.log_weights is not None:
            learned = self.log_weights[:, 0][lookup.ids.long()].exp()  # (n,)
            lookup.coefficients = lookup.shares() * learned  # (n,)
        return lookup

    def _pooled(self, lookup: Lookup) -> Tensor:
        """Return the sums of rows, (B, E), and remember the lookup for the update."""
        if self.is_frozen or not torch.is_grad_enabled():
            return self.kernel.pool(self.weight, lookup)
        self._tape.append(lookup)
        # Autograd calls a backward only if an input needs a gradient; the table itself must not.
        anchor = torch.zeros((), requires_grad=True)
        pooled: Tensor = _RecordedPool.apply(anchor, self, lookup)  # type: ignore[no-untyped-call]
        return pooled

    def rows(self, ids: Tensor) -> Tensor:
        """Return the vector of each token, (n, E): the mean over sequences of one."""
        return self.pool(ids, torch.arange(len(ids) + 1, device=ids.device))

    def squares(self, parameter: Parameter) -> float:
        """Return the squared length of the gradient of the lookups since the last update."""
        tape = self._gradients()
        return self.kernel.squares(parameter, tape) if tape else 0.0

    def scale(self, parameter: Parameter, factor: float) -> None:
        """Multiply the gradient of the lookups since the last update."""
        if tape := self._gradients():
            self.kernel.scale(parameter, tape, factor)

    def _gradients(self) -> Tape:
        """Return the lookups whose output the loss depends on; forget the others."""
        if any(lookup.gradient is None for lookup in self._tape):
            self._tape = Tape(each for each in self._tape if each.gradient is not None)
        return self._tape

    def update(self, update: Update, parameter: Parameter) -> None:
        """Apply an update to the lookups since the last one and clear the tape.

        Parameters
        ----------
        update : Update
        parameter : Parameter
            `weight` with its state, changed in place.
        """
        tape, self._tape = self._gradients(), Tape()
        if self.storage == "row_sparse":
            for lookup in tape if self.on_change else ():
                self.changing(lookup.ids)
            if tape:
                self.kernel.update_rows(update, parameter, tape)
            return
        # Weight decay and momentum move every row of a dense table, also when no token was read.
        self.kernel.update_table(update, parameter, tape or Tape([self._empty_lookup()]))

    def changing(self, rows: Tensor) -> None:
        """Let whoever keeps what rows were know that these will change, (n,), int32."""
        if self.on_change is not None:
            self.on_change(rows)

    def _empty_lookup(self) -> Lookup:
        """Return a lookup of no sequence."""
        new = self.weight.new_empty
        return Lookup(
            new(0, dtype=torch.int32),
            new(1, dtype=torch.int64).zero_(),
            new(0, self.weight.shape[1]),
        )


class _RecordedPool(torch.autograd.Function):
    """Pooling whose backward pass leaves its gradient on the tape."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, table: TokenTable, lookup: Lookup) -> Tensor:
        ctx.lookup = lookup
        return table.kernel.pool(table.weight, lookup)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        ctx.lookup.gradient = gradient
        return None, None, None
