"""What a format of files is: how a stream shows it, and what reads one stream of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from object2vec.files.sources import Source
from object2vec.reading.tables.base import Table, TableOptions


class Format(ABC):
    """A format of files.

    Attributes
    ----------
    name : str
        What ``--format`` calls it.
    suffixes : tuple of str
        How its files' names end, before a suffix of a compression.
    about : str
        One line for the documentation: what it is and what columns it gives.
    options : frozenset of str
        What of `TableOptions` it looks at, besides its name.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    about: ClassVar[str]
    options: ClassVar[frozenset[str]] = frozenset({"encoding"})

    @classmethod
    def shows(cls, head: bytes) -> bool:
        """Return whether a stream that begins so is of this format beyond doubt."""
        return False

    @classmethod
    @abstractmethod
    def open(cls, source: Source, options: TableOptions) -> Table:
        """Return the table in a stream.

        Raises
        ------
        DataError
            If its beginning is wrong.
        """
