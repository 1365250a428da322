"""The formats of tables in files, one module each; who adds one adds it to `FORMATS`."""

from __future__ import annotations

from object2vec.reading.tables.formats.arrow import Arrow
from object2vec.reading.tables.formats.base import Format
from object2vec.reading.tables.formats.csv import Csv, Tsv
from object2vec.reading.tables.formats.fasttext import FastText
from object2vec.reading.tables.formats.jsonl import JsonLines
from object2vec.reading.tables.formats.labeldoc import LabelDoc
from object2vec.reading.tables.formats.parquet import Parquet
from object2vec.reading.tables.formats.text import PlainText

# In the order in which a stream is asked whether it is one.
FORMATS: dict[str, type[Format]] = {
    each.name: each for each in (Parquet, Arrow, JsonLines, FastText, Csv, Tsv, PlainText, LabelDoc)
}


def describe_formats() -> str:
    """Return a table of all formats, in Markdown."""
    lines = ["| format | suffixes | what it is |", "|---|---|---|"]
    for each in FORMATS.values():
        suffixes = ", ".join(f"`{suffix}`" for suffix in each.suffixes)
        lines.append(f"| `{each.name}` | {suffixes} | {each.about} |")
    return "\n".join(lines) + "\n"
