"""The formats of tables in files, one module each; who adds one adds it to `FORMATS`."""

from __future__ import annotations

from object2vec.reading.tables.formats.arrow import ARROW
from object2vec.reading.tables.formats.base import Format
from object2vec.reading.tables.formats.csv import CSV, TSV
from object2vec.reading.tables.formats.fasttext import FAST_TEXT
from object2vec.reading.tables.formats.jsonl import JSON_LINES
from object2vec.reading.tables.formats.labeldoc import LABEL_DOC
from object2vec.reading.tables.formats.parquet import PARQUET
from object2vec.reading.tables.formats.text import PLAIN_TEXT

# In the order in which a stream is asked whether it is one.
_ALL = (PARQUET, ARROW, JSON_LINES, FAST_TEXT, CSV, TSV, PLAIN_TEXT, LABEL_DOC)

FORMATS: dict[str, Format] = {each.name: each for each in _ALL}


def describe_formats() -> str:
    """Return a table of all formats, in Markdown."""
    lines = ["| format | suffixes | what it is |", "|---|---|---|"]
    for each in FORMATS.values():
        suffixes = ", ".join(f"`{suffix}`" for suffix in each.suffixes)
        lines.append(f"| `{each.name}` | {suffixes} | {each.about} |")
    return "\n".join(lines) + "\n"
