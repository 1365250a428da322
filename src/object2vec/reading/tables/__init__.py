"""Tables as people have them: files of any format, folders, streams, or frames in memory.

What opens them needs pyarrow, a quarter of a second: it is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from object2vec.reading.tables.base import Forms, Table, TableBlock, TableOptions

if TYPE_CHECKING:
    from object2vec.reading.tables.opening import open_table


def __getattr__(name: str) -> Any:
    """Return `open_table` from the module where it lives (PEP 562)."""
    if name != "open_table":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("object2vec.reading.tables.opening").open_table


__all__ = ["Forms", "Table", "TableBlock", "TableOptions", "open_table"]
