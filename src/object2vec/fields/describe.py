"""The kinds of field in words: for the command line and the documentation page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from object2vec.errors import ConfigError, suggestion
from object2vec.fields.base import Kind
from object2vec.fields.kinds import KINDS
from object2vec.fields.specification import value_text


def describe_kinds(names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return what a column of each kind holds, and the options of the kind.

    Parameters
    ----------
    names : sequence of str, optional
        Names to describe; all by default.

    Raises
    ------
    ConfigError
        If there is no kind of a name.
    """
    for name in names or ():
        if name not in KINDS:
            cure = suggestion(name, KINDS).strip() or f"The kinds are {', '.join(KINDS)}."
            raise ConfigError.at("NAME", "must be a kind of column", name, cure)
    return [_described(KINDS[name]) for name in names or KINDS]


def _described(kind: type[Kind]) -> dict[str, Any]:
    meaning = (kind.__doc__ or "").partition("\n\n")[0]
    options = [
        {
            "name": each.name,
            "valid": each.metadata["value"].rule.removeprefix("must ").removeprefix("be "),
            "default": "" if each.default is None else value_text(each.default),
            "by_name": each.kw_only,
            "meaning": each.metadata["help"],
        }
        for each in sorted(fields(kind), key=lambda each: bool(each.kw_only))
    ]
    return {"name": kind.name, "meaning": " ".join(meaning.split()), "options": options}


def kinds_table() -> str:
    """Return the kinds as a table in Markdown."""
    rows = ["| kind | what the column holds | options, with their defaults |", "|---|---|---|"]
    for kind in describe_kinds():
        options = ", ".join(f"`{_signature(each)}`" for each in kind["options"])
        rows.append(f"| `{kind['name']}` | {kind['meaning']} | {options} |".replace('"|"', '"\\|"'))
    return "\n".join(rows) + "\n"


def _signature(option: dict[str, Any]) -> str:
    return f"{option['name']}={option['default']}" if option["default"] else option["name"]
