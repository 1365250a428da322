"""Plain text: one document a line, its sentences divided by tabs."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from object2vec.reading.tables.formats.base import Format
from object2vec.reading.tables.lines import WholeLines


class TextTable(WholeLines):
    """Lines as documents."""

    types: ClassVar = {"text": pa.string(), "sentences": pa.list_(pa.string())}
    hint = " If it is a CSV, say so: format=csv (--format or --input-format csv)."

    def column(self, name: str, lines: pa.StringArray) -> pa.Array:
        """Return a column of some lines."""
        return lines if name == "text" else pc.split_pattern(lines, "\t")


PLAIN_TEXT_FORMAT = Format(
    "text",
    "one document a line: `text`, or `sentences`, the list of what its tabs divide",
    TextTable,
    (".txt", ".text"),
)
