"""What a table is to the rest of the house: named columns that come in blocks, from anywhere."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from object2vec.errors import DataError, suggestion
from object2vec.reading.ahead import read_ahead

if TYPE_CHECKING:
    import pyarrow as pa

    from object2vec.files.sources import Source

BLOCK_ROWS = 1 << 16  # of formats that are read by rows and not by bytes

EMPTY_CURE = "Check that this is the right input."

_LISTED = 20

Result = TypeVar("Result")
Work = Callable[[dict[str, Any]], Result]
"""What is made of the columns of a block."""


class Forms(NamedTuple):
    """In which form columns of text may come that need not be strings.

    Attributes
    ----------
    dictionary : collection of str
        Those that should be dictionary-encoded, each block with a dictionary of its own; the fast
        way where values repeat.
    spans : collection of str
        Those that may be `TextSpans`, where they stand in a text like this.
    """

    dictionary: Collection[str] = ()
    spans: Collection[str] = ()


STRINGS = Forms()


class EmptyTableError(DataError):
    """There is nothing in a stream, not even names of columns."""


@dataclass(frozen=True)
class TableOptions:
    """What a user says of a table that its content does not.

    Parameters
    ----------
    format : str, optional
        A name in `object2vec.reading.tables.formats.FORMATS`; by default what the content shows,
        then the suffix.
    columns : sequence of str, optional
        Names of the columns of a CSV or TSV that has no header line.
    separator : str, optional
        The character between the fields of a CSV, or several; by default what its first lines
        show.
    quote : str, default '"'
        The character around fields of a CSV that hold separators or line ends; empty where quotes
        are text like any other.
    encoding : str, optional
        Of text that is neither UTF-8 nor begins with a byte order mark: ``latin-1``.
    expected : tuple of str, default ()
        Columns that are looked for: a text of lines whose first one is such a name is a CSV of one
        column, and no plain text.
    """

    format: str | None = None
    columns: tuple[str, ...] | None = None
    separator: str | None = None
    quote: str = '"'
    encoding: str | None = None
    expected: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TableBlock:
    """Consecutive rows of one source.

    Parameters
    ----------
    columns : dict of str to pyarrow array of length n
        The columns that were asked for, in this order. Text is ``string``, or a dictionary of it;
        lists are ``list``; no other type of Arrow for the same comes.
    rows : int
        n.
    source : str
        Name of the source.
    first_row : int
        Number of the first row in its source, counted from 0.
    """

    columns: dict[str, pa.Array]
    rows: int
    source: str
    first_row: int
    locate: Callable[[int], str] = field(repr=False)

    def __len__(self) -> int:
        return self.rows

    def where(self, row: int) -> str:
        """Return where a row of this block stands: ``ratings.csv:17``, ``faq.parquet row 17``."""
        return self.locate(row)


class Table(ABC):
    """Named columns that can be read again and again, block by block.

    Attributes
    ----------
    name : str
        What messages call it.
    schema : pyarrow.Schema
        Its columns and their types. Those inside another are named by a path: ``user.id``.
    names : list of str
        The same without types.
    options : TableOptions
        What the user said of it.
    has_dictionaries : bool
        Whether columns of text may lie in it as dictionaries, which cost nothing then.
    is_open_ended : bool
        Whether rows may have columns that only `has` finds, as those of JSON Lines.
    hint : str
        What else to say where a column is not there.
    sources : list of Source or None
        The streams that it is read from, each of which can be opened again; None in memory.
    """

    name: str
    sources: list[Source] | None = None
    options: TableOptions = TableOptions()
    has_dictionaries: bool = False
    is_open_ended: bool = False
    hint: str = ""

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """Its columns and their types."""

    @property
    def names(self) -> list[str]:
        """Its columns."""
        names: list[str] = self.schema.names
        return names

    @abstractmethod
    def first(self, rows: int, columns: Sequence[str] | None = None) -> pa.RecordBatch:
        """Return the first rows, fewer where there are no more.

        Parameters
        ----------
        rows : int
        columns : sequence of str, optional
            All of `names` by default.
        """

    @abstractmethod
    def blocks(
        self,
        columns: Sequence[str] | None = None,
        dictionary: Collection[str] = (),
    ) -> Iterator[TableBlock]:
        """Yield all rows of some columns, in order.

        Parameters
        ----------
        columns : sequence of str, optional
            All of `names` by default.
        dictionary : collection of str
            As `Forms` has it.

        Raises
        ------
        DataError
            If a column is not there or something else is wrong, up to 20 problems together.
        """

    def map_blocks(
        self, work: Work[Result], columns: Sequence[str] | None = None, forms: Forms = STRINGS
    ) -> Iterator[tuple[TableBlock, Result]]:
        """Yield the blocks, without their columns, and what threads have made of these before.

        Parameters
        ----------
        work : callable
            Called with the columns of a block. Where a block is parsed by a thread that one goes on
            with it, while what it has read is still in its core's cache.
        columns
            As `blocks` takes them.
        forms : Forms
            Spans are gone when `work` returns.

        Raises
        ------
        DataError
            As `blocks` does.
        """
        blocks = self.blocks(columns, forms.dictionary)
        return read_ahead(blocks, lambda block: work(block.columns))

    def has(self, column: str) -> bool:
        """Return whether there is a column."""
        return column in self.names

    def check(self, columns: Sequence[str] | None) -> list[str]:
        """Return the columns that are wanted.

        Raises
        ------
        DataError
            If one is not there.
        """
        wanted = self.names if columns is None else list(dict.fromkeys(columns))
        for column in wanted:
            if not self.has(column):
                raise self.lacks(column)
        return wanted

    def lacks(self, column: str) -> DataError:
        """Return the error for a column that is not there."""
        shown = ", ".join(self.names[:_LISTED]) + (", ..." if self.names[_LISTED:] else "")
        near = suggestion(column, self.names)
        cure = f"{near}It has the columns {shown}.{'' if near else self.hint}"
        return DataError.at(self.name, "must have every column that is named", column, cure)
