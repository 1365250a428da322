"""The comparator: two embeddings become one vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_PARTS: dict[str, Callable[[Tensor, Tensor], tuple[Tensor, ...]]] = {
    "hadamard": lambda a, b: (a * b,),  # (B, D)
    "concat": lambda a, b: (a, b),  # (B, D) twice
    "abs_diff": lambda a, b: ((a - b).abs(),),  # (B, D)
}


def compare(a: Tensor, b: Tensor, comparator_list: Sequence[str]) -> Tensor:
    """Return the parts named in `comparator_list`, in its order, side by side.

    Parameters
    ----------
    a, b : Tensor of shape (B, D)
        Embeddings of in0 and in1.
    comparator_list : sequence of {"hadamard", "concat", "abs_diff"}

    Returns
    -------
    Tensor of shape (B, C)
        C is D for each part and 2 D for concat.
    """
    parts = [part for name in comparator_list for part in _PARTS[name](a, b)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)  # (B, C)
