"""Token tables: one row of numbers per token, read by lookups that are recorded while training.

A table is no PyTorch parameter: autograd would build a gradient as large as the table, or a sparse
tensor that has to be sorted and summed. Instead every lookup goes on the table's tape, the backward
pass hands its gradient over, and `TokenTable.update` lets a kernel reduce and apply everything at
once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from object2vec.kernels.base import Kernel, Lookup
from object2vec.kernels.rules import Parameter, Update


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
        self._tape: list[Lookup] = []

    @property
    def is_plain(self) -> bool:
        """Whether its rows are all that there is to read."""
        return self.log_weights is None

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
    def fold(self) -> None:
        """Multiply the rows by what is learned of them, which then is 1 for all."""
        if self.log_weights is not None:
            self.weight.mul_(self.log_weights.exp())
            self.log_weights.zero_()

    def read(self, rows: Tensor | slice) -> Tensor:
        """Return rows as lookups read them, (m, E)."""
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
        if self.log_weights is not None:
            lookup.coefficients = lookup.shares() * self.log_weights[:, 0][ids.long()].exp()  # (n,)
        return self._pooled(lookup)

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

    def scale(self, factor: float) -> None:
        """Multiply the gradient of the lookups since the last update."""
        for lookup in self._gradients():
            lookup.coefficients = lookup.shares() * factor  # (n,): fewer than the gradient (B, E)

    def _gradients(self) -> list[Lookup]:
        """Return the lookups whose output the loss depends on."""
        return [lookup for lookup in self._tape if lookup.gradient is not None]

    def update(self, update: Update, parameter: Parameter) -> None:
        """Apply an update to the lookups since the last one and clear the tape.

        Parameters
        ----------
        update : Update
        parameter : Parameter
            `weight` with its state, changed in place.
        """
        tape = self._gradients()
        self._tape.clear()
        if self.storage == "row_sparse":
            for lookup in tape if self.on_change else ():
                self.changing(lookup.ids)
            if tape:
                self.kernel.update_rows(update, parameter, tape)
            return
        # Weight decay and momentum move every row of a dense table, also when no token was read.
        self.kernel.update_table(update, parameter, tape or [self._empty_lookup()])

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
