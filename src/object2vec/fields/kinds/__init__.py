"""Kinds of field, one small file each: what a column of a table holds."""

from __future__ import annotations

from object2vec.fields.base import Kind
from object2vec.fields.kinds.text import TextKind
from object2vec.fields.kinds.token import TokenKind
from object2vec.fields.kinds.tokens import TokensKind

KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in (TokenKind, TokensKind, TextKind)}
"""The kinds of field by name."""

__all__ = ["KINDS"]
