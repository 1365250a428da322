"""StarSpace's format for labels that are documents (``-fileFormat labelDoc``)."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from object2vec.reading.tables.formats.base import Format
from object2vec.reading.tables.lines import WholeLines


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


LABEL_DOC_FORMAT = Format(
    "labeldoc",
    "documents divided by tabs (StarSpace): `documents` is all of a line, `text` the first, "
    "`labels` the others (trainMode 0)",
    LabelDocTable,
)
