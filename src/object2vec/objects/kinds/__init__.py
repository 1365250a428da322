"""Kinds of column, one small file each: what reading must know to take one from a file to a batch.

A new kind is a file with a `Kind` and a row of `KINDS`.
"""

from __future__ import annotations

from typing import Any

from object2vec.objects.kinds.base import Kind
from object2vec.objects.kinds.ids import Ids
from object2vec.objects.kinds.number import Number

KINDS: dict[str, Kind[Any]] = {kind.name: kind for kind in (Ids(), Number())}

__all__ = ["KINDS", "Ids", "Kind", "Number"]
