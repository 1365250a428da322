"""Kinds of field, one small file each: what a column of a table holds."""

from __future__ import annotations

from object2vec.fields.base import Kind
from object2vec.fields.kinds.addresses import IPv4Kind, IPv6Kind
from object2vec.fields.kinds.characters import CharactersKind
from object2vec.fields.kinds.date import DateKind
from object2vec.fields.kinds.ids import IdsKind
from object2vec.fields.kinds.number import NumberKind
from object2vec.fields.kinds.text import TextKind
from object2vec.fields.kinds.token import TokenKind
from object2vec.fields.kinds.tokens import TokensKind

_ALL: tuple[type[Kind], ...] = (
    TokenKind,
    TokensKind,
    TextKind,
    CharactersKind,
    IPv4Kind,
    IPv6Kind,
    NumberKind,
    DateKind,
    IdsKind,
)

KINDS: dict[str, type[Kind]] = {kind.name: kind for kind in _ALL}
"""The kinds of field by name."""

__all__ = ["KINDS"]
