"""StarSpace's format for labels that are documents (``-fileFormat labelDoc``)."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from object2vec.files.sources import Source
from object2vec.reading.tables.base import Table, TableOptions
from object2vec.reading.tables.formats.base import Format
from object2vec.reading.tables.lines import WholeLines


class LabelDoc(Format):
    """Documents between tabs, each of words."""

    name = "labeldoc"
    about = (
        "documents divided by tabs (StarSpace): `documents` is all of a line, `text` the first, "
        "`labels` the others (trainMode 0)"
    )

    @classmethod
    def open(cls, source: Source, options: TableOptions) -> Table:
        """Return the table in a stream."""
        return LabelDocTable(source, options)


class LabelDocTable(WholeLines):
    """Lines of documents."""

    types: ClassVar = {
        "documents": pa.list_(pa.string()),
        "text": pa.string(),
        "labels": pa.list_(pa.string()),
    }

    def column(self, name: str, lines: pa.StringArray) -> pa.Array:
        """Return a column of some lines."""
        documents = pc.split_pattern(lines, "\t")
        if name == "text":
            return pc.list_element(documents, 0)
        return documents if name == "documents" else pc.list_slice(documents, 1)
