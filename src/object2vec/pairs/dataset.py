"""Pairs: the records of a channel as two ragged columns and a label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem
from object2vec.pairs.ragged import Ragged


@dataclass(frozen=True, eq=False)
class Pairs:
    """Records of two sequences and a label.

    Parameters
    ----------
    in0, in1 : Ragged, n rows each, or None
        Sequences of each side; None where only the other side is at hand.
    label : float32 array (n,) or None
    source : str, default "pairs"
        What messages call the records.
    """

    in0: Ragged | None
    in1: Ragged | None
    label: NDArray[np.float32] | None
    source: str = "pairs"

    def __len__(self) -> int:
        return next((len(c) for c in (self.in0, self.in1, self.label) if c is not None), 0)

    def take(self, rows: NDArray[np.integer[Any]]) -> Pairs:
        """Return these records, in this order.

        Parameters
        ----------
        rows : int array (m,)
        """
        return Pairs(
            None if self.in0 is None else self.in0.take(rows),
            None if self.in1 is None else self.in1.take(rows),
            None if self.label is None else self.label[rows],
            self.source,
        )

    @classmethod
    def build(
        cls, *, in0: Any = None, in1: Any = None, label: Any = None, source: str = "pairs"
    ) -> Pairs:
        """Return pairs made of columns in memory.

        Parameters
        ----------
        in0, in1 : anything that `Ragged.build` reads, optional
        label : sequence of n finite numbers or bools, optional
        source : str, default "pairs"
            What messages call the records.

        Raises
        ------
        DataError
            If a column cannot be read, or the columns differ in length.
        """
        columns = {
            "in0": None if in0 is None else Ragged.build(in0, "in0"),
            "in1": None if in1 is None else Ragged.build(in1, "in1"),
            "label": None if label is None else _labels(label),
        }
        lengths = {name: len(column) for name, column in columns.items() if column is not None}
        if len(set(lengths.values())) > 1:
            raise DataError(
                problem(source, "must have columns of one length", lengths, "Check the columns.")
            )
        return cls(**columns, source=source)  # type: ignore[arg-type]


def _labels(label: Any) -> NDArray[np.float32]:
    """Return labels as float32 (n,) if each is a finite number."""
    array = np.asarray(label)
    if array.dtype.kind not in "biuf" or array.ndim != 1:
        got = f"{array.dtype.name} of shape {array.shape}"
        cure = "Pass one number per record."
        raise DataError(problem("label", "must be a one-dimensional array of numbers", got, cure))
    numbers = array.astype(np.float32, copy=False)  # (n,)
    bad = np.flatnonzero(~np.isfinite(numbers))[:MAX_PROBLEMS]
    if len(bad):
        raise DataError(join_problems([
            problem(f"label[{i}]", "must be a finite number", array[i].item(), "Fix the label.")
            for i in bad
        ]))  # fmt: skip
    return numbers
