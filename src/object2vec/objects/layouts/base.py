"""What every layout of a column can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from object2vec.objects.ragged import Rows

C = TypeVar("C")

Arrays = dict[str, NDArray[Any]]


class Mistake(NamedTuple):
    """What is wrong with a value: the rule, what breaks it, and the cure."""

    must: str
    got: Any
    cure: str


class Facts(Protocol):
    """Statistics of a column, which can be added up piece by piece."""

    @property
    def rows(self) -> int:
        """Rows that were counted."""


class Runs(Protocol):
    """An array in a file, of which runs of numbers are read."""

    def read(self, starts: NDArray[np.integer[Any]], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """Return runs of numbers, one after another; both shapes (m,)."""


class Layout(ABC, Generic[C]):
    """How a column is held; `C` is what it is in memory, and has a length.

    Parameters
    ----------
    name : str
        What a schema calls it.
    dtypes : mapping of str to dtype
        The arrays that a column consists of on the disk, by name; the only one of a layout is "".
    json_type : type
        What msgspec decodes a value to.
    statistics : type
        Facts about a column: ``statistics()`` of none, ``statistics.of(column)``, and a sum.
    """

    name: ClassVar[str]
    dtypes: ClassVar[Mapping[str, np.dtype[Any]]]
    json_type: ClassVar[Any]
    statistics: ClassVar[Any]

    @abstractmethod
    def build(self, values: Any, where: str) -> C:
        """Return the column that values in memory describe; raise `DataError` if some are wrong."""

    @abstractmethod
    def mistake(self, value: Any) -> Mistake | None:
        """Return what is wrong with a value of a JSON record, whose objects are `JsonObject`s."""

    @abstractmethod
    def from_json(self, values: Sequence[Any]) -> C:
        """Return values without mistakes as a column."""

    @abstractmethod
    def arrow_type(self) -> Any:
        """Return the type that Arrow's parser shall read."""

    @abstractmethod
    def from_arrow(self, column: Any) -> C | None:
        """Return an array of that type without nulls as a column; None if a value is wrong."""

    @abstractmethod
    def from_scanned(self, column: Any) -> C | None:
        """Return what the compiled scanner has read as a column; None if a value is wrong."""

    @abstractmethod
    def take(self, column: C, rows: Rows) -> C:
        """Return these rows of a column, in this order."""

    @abstractmethod
    def read(self, files: Mapping[str, Runs], rows: Rows) -> C:
        """Return these rows of a column whose arrays are files."""

    @abstractmethod
    def arrays(self, column: C) -> Arrays:
        """Return the arrays that a column consists of."""

    @abstractmethod
    def from_arrays(self, arrays: Mapping[str, NDArray[Any]], facts: Any) -> C | None:
        """Return the column of these arrays; None if it is not what its statistics say."""

    def continued(self, column: C, before: Any) -> Arrays:
        """Return what is to be written of a column behind rows with these statistics."""
        return self.arrays(column)

    def count(self, column: C) -> Any:
        """Return the statistics of a column."""
        return self.statistics.of(column)
