"""What is done with the columns of each block of a table, and what is wrong with their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem
from object2vec.fields.base import ValueMistakes, WrongValue
from object2vec.fields.label import numbers_of
from object2vec.fields.schema import in_column

if TYPE_CHECKING:
    import pyarrow as pa


class ColumnStep(NamedTuple):
    """What is done with a column of each block, and what the result is called.

    Attributes
    ----------
    column : str
        What the user calls the column.
    name : str
    read : callable
    key : str, optional
        What the block calls the column, if not the same.
    """

    column: str
    name: str
    read: Callable[[Any], Any]
    key: str | None = None


Done = tuple[dict[str, Any], list[WrongValue]]  # results by name, and what is wrong


def do_steps(columns: Mapping[str, pa.Array], steps: Sequence[ColumnStep]) -> Done:
    """Return what steps make of the columns of a block, and the mistakes that they find.

    A step whose column is not there, since an earlier one has found a mistake in it, is left out.
    """
    found: dict[str, Any] = {}
    mistakes: list[WrongValue] = []
    for step in steps:
        try:
            if (values := columns.get(step.key or step.column)) is not None:
                found[step.name] = step.read(values)
        except ValueMistakes as err:
            mistakes += in_column(step.column, err.mistakes)
    return found, mistakes


class Problems:
    """The first mistakes of a table, each with its file and line."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def sift(self, where: Callable[[int], str], done: Iterable[Done]) -> dict[str, Any] | None:
        """Return all results of a block; None once there was a mistake.

        Parameters
        ----------
        where : callable
            Says where a row of the block stands.
        done : iterable of results and mistakes

        Raises
        ------
        DataError
            When there are 20 mistakes.
        """
        found: dict[str, Any] = {}
        mistakes: list[WrongValue] = []
        for results, wrong in done:
            found |= results
            mistakes += wrong
        room = MAX_PROBLEMS - len(self._texts)
        first = sorted(mistakes, key=itemgetter(0))[:room]
        self._texts += [problem(where(row), *rest) for row, *rest in first]
        if len(self._texts) >= MAX_PROBLEMS:
            self.raise_any()
        return None if self._texts else found

    def raise_any(self) -> None:
        """Raise `DataError` if there was a mistake."""
        if self._texts:
            raise DataError(join_problems(self._texts))


def weights_of(values: pa.Array) -> NDArray[np.float32]:
    """Return weights, (n,).

    Raises
    ------
    ValueMistakes
        If some are missing, no finite numbers, or not above 0.
    """
    return numbers_of(values, "weight", above=0).astype(np.float32)
