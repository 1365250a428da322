"""Kinds of field, one small file each: what a column of a table holds."""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

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


def describe_kinds() -> str:
    """Return a table in Markdown of all kinds with their options."""
    lines = ["| kind | what a value is | options |", "|---|---|---|"]
    for name, kind in KINDS.items():
        what = (kind.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
        options = "<br>".join(map(_described, fields(kind))) or "none"
        lines.append(f"| `{name}` | {' '.join(what.split())} | {options} |")
    return "\n".join(lines) + "\n"


def _described(each: Field[Any]) -> str:
    """Return an option with its default and what it does."""
    default = "" if each.default is None else f"={each.default!r}".replace("'", '"')
    default = default.lower() if isinstance(each.default, bool) else default
    return f"`{each.name}{default}`: {each.metadata['help']}".replace("|", "\\|")


__all__ = ["KINDS", "describe_kinds"]
