"""What a format of files is: how a stream shows it, and what reads one stream of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from object2vec.files.sources import Source
from object2vec.reading.tables.base import Table, TableOptions


def _never(head: bytes) -> bool:
    return False


@dataclass(frozen=True)
class Format:
    """A format of files.

    Parameters
    ----------
    name : str
        What ``--format`` calls it.
    about : str
        One line for the documentation: what it is and what columns it gives.
    open : callable
        Returns the table in a stream; raises `DataError` if its beginning is wrong.
    suffixes : tuple of str
        How its files' names end, before a suffix of a compression.
    shows : callable
        Returns whether a stream that begins so is of this format beyond doubt.
    options : frozenset of str
        What of `TableOptions` it looks at, besides its name.
    """

    name: str
    about: str
    open: Callable[[Source, TableOptions], Table]
    suffixes: tuple[str, ...] = ()
    shows: Callable[[bytes], bool] = _never
    options: frozenset[str] = frozenset({"encoding"})
