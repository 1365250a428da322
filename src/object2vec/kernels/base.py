"""What a kernel is: all that is computed in another way on each device.

Nothing else reads or writes a token table. A lookup means rows of a table over
ragged sequences. While a network trains, each lookup is recorded; its backward pass only hands over
the gradient of its output. The kernel then reduces the gradients of each distinct token and applies
the optimizer to that token's row, in one pass and without ever forming a gradient as large as the
table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from object2vec.kernels.rules import Parameter, Update
from object2vec.objectives import Contrast
from object2vec.pairs.block_pairing import BlockPairing


@dataclass(eq=False)
class Lookup:
    """One recorded lookup of a table.

    Parameters
    ----------
    ids : Tensor of shape (n,), int32
        Tokens of all sequences, one after another.
    offsets : Tensor of shape (B + 1,), int64
        Sequence i is ``ids[offsets[i]:offsets[i + 1]]``.
    gradient : Tensor of shape (B, E), float32, or None
        Gradient of the loss with respect to the lookup's output; None before the backward pass.
    coefficients : Tensor of shape (n,), float32, or None
        What each token counts in the sum of its sequence; one over the length if None: a mean.
    """

    ids: Tensor
    offsets: Tensor
    gradient: Tensor | None = None
    coefficients: Tensor | None = None

    def shares(self) -> Tensor:
        """Return the coefficient of each token, (n,) float32."""
        if self.coefficients is not None:
            return self.coefficients
        lengths = self.offsets.diff()  # (B,)
        scales = 1.0 / lengths.clamp(min=1).to(torch.float32)  # (B,)
        return torch.repeat_interleave(scales, lengths, output_size=len(self.ids))


class Tape(list[Lookup]):
    """The lookups of one update, of which a kernel that works on them twice may keep a list."""

    listed: Any = None


class Kernel(Protocol):
    """Reads token tables, updates parameters and computes what stands between them."""

    name: str

    def pool(self, weight: Tensor, lookup: Lookup) -> Tensor:
        """Return the sum of each sequence's rows times their coefficients, (B, E) float32.

        Without coefficients that is the mean row. An empty sequence gets zeros.
        """

    def segment_max(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Return the maximum over the rows of each segment, (B, F), differentiable in `x`.

        Parameters
        ----------
        x : Tensor of shape (n, F), float32
        offsets : Tensor of shape (B + 1,), int64
            Segment i is ``x[offsets[i]:offsets[i + 1]]``; none is empty, and rows of `x` may follow
            the last one. Of equal rows the first gets the gradient.
        """

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None, activation: str) -> Tensor:
        """Return ``activation(x @ weight.T + bias)``, differentiable in all three, (N, O).

        Parameters
        ----------
        x : Tensor of shape (N, I)
        weight : Tensor of shape (O, I)
        bias : Tensor of shape (O,), or None
        activation : {"linear", "tanh", "relu"}

        Returns
        -------
        Tensor of shape (N, O)
            float32, or bfloat16 where autocast is on.
        """

    def compare(
        self, a: Tensor, b: Tensor, rows0: Tensor, rows1: Tensor, comparator_list: Sequence[str]
    ) -> Tensor:
        """Return what the comparator makes of pairs of embeddings, differentiable in both, (B, C).

        Parameters
        ----------
        a, b : Tensor of shape (P, D), float32
            Embeddings of in0 and in1.
        rows0, rows1 : Tensor of shape (B,), int64
            Record i compares ``a[rows0[i]]`` with ``b[rows1[i]]``.
        comparator_list : sequence of {"hadamard", "concat", "abs_diff"}
            The parts of a comparator vector, side by side in this order; C is D for each, and 2 D
            for concat.
        """

    def contrast(
        self, a: Tensor, b: Tensor, pairing: BlockPairing, rate: float, offset: float
    ) -> Contrast:
        """Return what pairs of neighbours lose against noise, differentiable in both.

        Parameters
        ----------
        a : Tensor of shape (T, D), float32
            Embeddings of in0.
        b : Tensor of shape (T + G * K, D), float32
            Embeddings of in1, those of the noise of all blocks behind the others.
        pairing : BlockPairing
        rate : float
            How many negatives of a pair the noise of its block stands for.
        offset : float
            What scores are compared with.
        """

    def sum_taps(self, products: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
        """Return what a convolution over time makes of its products, (N, F), differentiable.

        Row i is ``relu(sum over t of products[i + t - (w - 1) // 2, t] + bias) * mask[i]``.

        Parameters
        ----------
        products : Tensor of shape (N, w, F), float32
            What each of the filters' w taps says of each row; rows beyond both ends count 0.
        bias : Tensor of shape (F,)
        mask : Tensor of shape (N, 1), float32
            1 or 0; 0 in the first and the last ``w // 2`` rows.
        """

    def update_rows(self, update: Update, table: Parameter, tape: Tape) -> None:
        """Update, in place, the rows of a table that the lookups of `tape` read."""

    def update_table(self, update: Update, table: Parameter, tape: Tape) -> None:
        """Update every row of a table, in place; rows not read have gradient 0."""

    def squares(self, table: Parameter, tape: Tape) -> float:
        """Return the squared length of a table's gradient, with that of the weights of its rows."""

    def scale(self, table: Parameter, tape: Tape, factor: float) -> None:
        """Multiply the gradient of a table."""

    def update_dense(self, update: Update, parameter: Parameter, gradient: Tensor) -> None:
        """Update a parameter of any shape from its whole gradient, in place."""
