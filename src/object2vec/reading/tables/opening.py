"""A table from whatever a user names or passes."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import PurePath
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from pyarrow import ipc

from object2vec.errors import ConfigError, DataError, suggestion
from object2vec.files.contents import read_unpacked
from object2vec.files.sources import Source, are_paths, list_sources, names_of
from object2vec.files.whole import storing
from object2vec.reading.tables.base import EMPTY_CURE, EmptyTableError, Table, TableOptions
from object2vec.reading.tables.files import FilesTable
from object2vec.reading.tables.formats import FORMATS
from object2vec.reading.tables.formats.arrow import ArrowTable
from object2vec.reading.tables.formats.base import Format
from object2vec.reading.tables.formats.csv import (
    SUBSTITUTE,
    head_of,
    sniff_separator,
    sniffed_counts,
)
from object2vec.reading.tables.memory import MemoryTable, from_memory, stream_of
from object2vec.reading.tables.records import Delimiters
from object2vec.reading.tables.spool import Spool, readable_again

_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zstd", ".gzip")
_OPENERS = 8  # threads that look at the beginnings of many files
_NULL = "__HIVE_DEFAULT_PARTITION__"
_NOTHING = TableOptions()
_CURE = "Pass a path, a data frame, a table of Arrow's, a dict of columns or a list of dicts."

_log = logging.getLogger("object2vec.reading")


def open_table(source: Any, options: TableOptions | None = None) -> Table:
    """Return the table that `source` stands for.

    Parameters
    ----------
    source
        A path or URL, of a file or folder, ``-`` for standard input, or a sequence of these; a data
        frame of pandas, polars or anything with Arrow's stream protocol, a ``pyarrow`` table, batch
        or reader, a dict of columns, a list of dicts, or an iterator of any of these.
    options : TableOptions, optional
        What the content does not say.

    Returns
    -------
    Table
        What can be read once, such as standard input, is copied to a temporary file, which is gone
        with the table.

    Raises
    ------
    DataError
        If there is nothing, or it is no table.
    ConfigError
        If an option is wrong.
    """
    options = options or TableOptions()
    if isinstance(source, Table):
        return source
    if isinstance(source, (str, os.PathLike)):
        return _open_files([source], options)
    if are_paths(source) and source:
        return _open_files(source, options)
    if hasattr(source, "__arrow_c_stream__") and not hasattr(source, "__len__"):
        return _spooled(pa.Table.from_batches([batch]) for batch in stream_of(source))
    if (content := from_memory(source)) is not None:
        return MemoryTable(content)
    if isinstance(source, Iterator):
        return _spooled(map(_as_batch, source))
    raise DataError.at("table", "must be something with columns", source, _CURE)


def _open_files(named: Sequence[str | os.PathLike[str]], options: TableOptions) -> Table:
    """Return the table in all streams that some names stand for."""
    _check_options(options)
    sources = [readable_again(source) for each in named for source in _wanted(os.fspath(each))]
    with ThreadPoolExecutor(_OPENERS if sources[1:] else 1) as pool:
        formats = list(pool.map(partial(_format_of, options=options), sources))
        opened = list(pool.map(partial(_open_one, options=options), formats, sources))
    _check_use(options, set(formats), names_of(sources))
    found = [(table, _partition(table)) for table in opened if isinstance(table, Table)]
    if not found:
        must = "must hold at least one record"
        raise EmptyTableError.at(names_of(sources), must, "none", EMPTY_CURE)
    if empty := [table for table in opened if isinstance(table, str)]:
        shown = ", ".join(empty[:5]) + (", ..." if empty[5:] else "")
        _log.info("%d files are empty: %s", len(empty), shown)
    return FilesTable([table for table, _ in found], [partition for _, partition in found], options)


def _wanted(named: str) -> list[Source]:
    """Return the streams behind a name, without what writers of Hive's folders leave there."""
    sources = list_sources(named)
    wanted = [each for each in sources if not PurePath(each.name).name.startswith("_")] or sources
    if marks := len(sources) - len(wanted):
        _log.info("%s: %d files whose names begin with _ are not read", named, marks)
    return wanted


def _open_one(form: Format, source: Source, options: TableOptions) -> Table | str:
    """Return the table in a stream, or the name of one that is empty."""
    try:
        return form.open(source, options)
    except EmptyTableError:
        return source.name


def _check_use(options: TableOptions, formats: Set[Format], names: str) -> None:
    """Report options that none of the formats of some files looks at.

    Of a format that is named they are wrong. Of one that was found out other files, such as those
    of another channel, may have a use for them.
    """
    used = {name for each in formats for name in each.options}
    given = ("columns", "separator", "quote", "encoding")
    idle = [n for n in given if n not in used and getattr(options, n) != getattr(_NOTHING, n)]
    shown = ", ".join(sorted(each.name for each in formats))
    for name in idle:
        if options.format:
            must, got = f"must be left out with format {shown}", getattr(options, name)
            raise ConfigError.at(name, must, got, "That format says itself how it is read.")
        _log.warning("%s: %s is not used, as the format is %s", names, name, shown)


def _format_of(source: Source, options: TableOptions) -> Format:
    """Return the format of a stream: as it is named, as it begins, or as its suffix says."""
    if options.format:
        return FORMATS[options.format]
    head = next(read_unpacked(source), b"")
    for binary in (FORMATS["parquet"], FORMATS["arrow"]):
        if binary.shows(head):
            return binary
    if options.columns or options.separator:
        return FORMATS["csv"]
    text = head_of(source, options)
    suffixes = [suffix.lower() for suffix in PurePath(source.name).suffixes]
    while suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    for each in FORMATS.values():
        if each.shows(text):
            return each
    for each in FORMATS.values():
        if suffixes and suffixes[-1] in each.suffixes:
            return each
    return FORMATS["csv" if _is_csv(text, options) else "text"]


def _is_csv(text: bytes, options: TableOptions) -> bool:
    """Return whether a text has several columns, or one that is looked for."""
    first = text.split(b"\n", 1)[0].decode(errors="replace").strip()
    if first.strip(options.quote) in options.expected:
        return True
    separator = sniff_separator(text, options)
    counts = sniffed_counts(text, Delimiters(separator, options.quote))
    return len(counts) > 1 and counts[0] > 1 and bool((counts == counts[0]).all())


def _partition(table: Table) -> Mapping[str, str | None]:
    """Return the columns that a table's path holds and the table itself does not."""
    return {k: v for k, v in path_columns(table.name).items() if k not in table.names}


def path_columns(name: str) -> dict[str, str | None]:
    """Return the columns that a path holds, as Hive and Spark write them.

    Examples
    --------
    >>> path_columns("plays/year=2024/country=__HIVE_DEFAULT_PARTITION__/part-0.parquet")
    {'year': '2024', 'country': None}
    """
    pairs = re.findall(r"([^/\\=]+)=([^/\\=]*)(?=[/\\])", name)
    return {unquote(key): None if value == _NULL else unquote(value) for key, value in pairs}


def _check_options(options: TableOptions) -> None:
    """Raise `ConfigError` if an option is wrong."""
    if options.format is not None and options.format not in FORMATS:
        cure = f"{suggestion(options.format, FORMATS)}Choose one of {', '.join(FORMATS)}."
        raise ConfigError.at("format", "must be the name of a format", options.format, cure)
    quote, separator = options.quote, options.separator
    if quote and (len(quote) != 1 or not quote.isascii() or quote in "\r\n\0"):
        raise ConfigError.at("quote", "must be one ASCII character", quote, "Choose \" or '.")
    if separator is not None and (not separator.isascii() or not separator.strip("\r\n\0")):
        must, cure = "must be ASCII characters", "Choose one such as , ; | or a tab."
        raise ConfigError.at("separator", must, separator, cure)
    if separator and set(separator) & set(f"{quote}\r\n\0{SUBSTITUTE if separator[1:] else ''}"):
        must = "must hold neither the quote nor a character that ends a line"
        raise ConfigError.at("separator", must, separator, "Choose another one, or an empty quote.")
    columns = options.columns or ()
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        raise ConfigError.at("columns", "must be different", ", ".join(twice), "Rename one.")
    if options.encoding:
        try:
            "".encode(options.encoding)
        except LookupError as err:
            cure = "Name one that Python knows, such as latin-1 or cp1252."
            raise ConfigError.at("encoding", "must be of text", options.encoding, cure) from err


def _as_batch(content: Any) -> pa.Table:
    """Return an item of an iterator as a table."""
    if (table := from_memory(content)) is None:
        raise DataError.at("table", "must be an iterator of tables", content, _CURE)
    return table


def _spooled(tables: Iterator[pa.Table]) -> Table:
    """Return the rows of all tables, copied to a temporary file."""
    first = next(tables, None)
    if first is None:
        raise DataError.at("table", "must hold at least one row", "none", "Check what you pass.")
    spool = Spool()
    with storing(spool.path), ipc.new_file(str(spool.path), first.schema) as writer:
        for number, table in enumerate(chain([first], tables)):
            writer.write_table(_cast(table, first.schema, number))
    return FilesTable([ArrowTable(Source("table", spool.open), "table")], [{}])


def _cast(table: pa.Table, schema: pa.Schema, number: int) -> pa.Table:
    """Return a table with the columns of the first one."""
    if table.schema.equals(schema):
        return table
    try:
        if set(table.column_names) != set(schema.names):
            raise ValueError(f"the columns {', '.join(table.column_names)}")
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, ValueError) as err:
        must = f"must have the columns {', '.join(schema.names)} and types of the first one"
        raise DataError.at(f"batch {number}", must, str(err), "Make them alike.") from err
