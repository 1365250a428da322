"""Layouts of columns, one small file each: how a column is held from a file to a batch.

A new layout is a file with a `Layout` and a row of `LAYOUTS`.
"""

from __future__ import annotations

from typing import Any

from object2vec.objects.layouts.base import Layout
from object2vec.objects.layouts.ids import Ids
from object2vec.objects.layouts.number import Number
from object2vec.objects.layouts.whole import Whole

LAYOUTS: dict[str, Layout[Any]] = {layout.name: layout for layout in (Ids(), Number(), Whole())}

__all__ = ["LAYOUTS", "Ids", "Layout", "Number", "Whole"]
