"""The formats of tables in files, one module each; who adds one adds it to `FORMATS`."""

from __future__ import annotations

from object2vec.reading.tables.formats.base import Format
from object2vec.reading.tables.formats.csv import Csv, Tsv

FORMATS: dict[str, type[Format]] = {each.name: each for each in (Csv, Tsv)}
