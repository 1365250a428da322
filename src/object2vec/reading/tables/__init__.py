"""Tables as people have them: files of any format, folders, streams, or frames in memory."""

from object2vec.reading.tables.base import Table, TableBlock, TableOptions
from object2vec.reading.tables.opening import open_table

__all__ = ["Table", "TableBlock", "TableOptions", "open_table"]
