"""A table from whatever a user names or passes."""

from __future__ import annotations

import os
from typing import Any

from object2vec.errors import DataError
from object2vec.files.sources import list_sources
from object2vec.reading.tables.base import Table, TableOptions
from object2vec.reading.tables.formats import FORMATS
from object2vec.reading.tables.memory import MemoryTable, from_memory


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

    Raises
    ------
    DataError
        If there is nothing, or it is no table.
    """
    options = options or TableOptions()
    content = from_memory(source)
    if content is not None:
        return MemoryTable(content)
    if isinstance(source, (str, os.PathLike)) or _is_list_of_paths(source):
        (only,) = list_sources(source)
        return FORMATS[options.format or "csv"].open(only, options)
    cure = "Pass a path, a data frame, a table of Arrow's, a dict of columns or a list of dicts."
    raise DataError.at("table", "must be something with columns", source, cure)


def _is_list_of_paths(source: Any) -> bool:
    return isinstance(source, list | tuple) and all(
        isinstance(each, (str, os.PathLike)) for each in source
    )
