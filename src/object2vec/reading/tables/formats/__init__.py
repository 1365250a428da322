"""The formats of tables in files, one module each; who adds one adds it to `FORMATS`."""

from __future__ import annotations

from object2vec.reading.tables.formats.arrow import ARROW_FORMAT
from object2vec.reading.tables.formats.base import Format
from object2vec.reading.tables.formats.csv import CSV_FORMAT, TSV_FORMAT
from object2vec.reading.tables.formats.fasttext import FAST_TEXT_FORMAT
from object2vec.reading.tables.formats.jsonl import JSON_LINES_FORMAT
from object2vec.reading.tables.formats.labeldoc import LABEL_DOC_FORMAT
from object2vec.reading.tables.formats.parquet import PARQUET_FORMAT
from object2vec.reading.tables.formats.text import PLAIN_TEXT_FORMAT

_ALL = (  # in the order in which a stream is asked whether it is one
    PARQUET_FORMAT,
    ARROW_FORMAT,
    JSON_LINES_FORMAT,
    FAST_TEXT_FORMAT,
    CSV_FORMAT,
    TSV_FORMAT,
    PLAIN_TEXT_FORMAT,
    LABEL_DOC_FORMAT,
)

FORMATS: dict[str, Format] = {each.name: each for each in _ALL}


def describe_formats() -> str:
    """Return a table of all formats, in Markdown."""
    lines = ["| format | suffixes | what it is |", "|---|---|---|"]
    for each in FORMATS.values():
        suffixes = ", ".join(f"`{suffix}`" for suffix in each.suffixes)
        lines.append(f"| `{each.name}` | {suffixes} | {each.about} |")
    return "\n".join(lines) + "\n"
