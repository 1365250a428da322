"""Kinds of field, and what else has options, in words: for the command line and the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from object2vec.errors import ConfigError, suggestion
from object2vec.fields.base import Optioned
from object2vec.fields.specification import value_text


def describe(
    known: Mapping[str, type[Optioned]], what: str, names: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Return what each of a registry is, and its options.

    Parameters
    ----------
    known : mapping of str to type
    what : str
        What messages call one of them.
    names : sequence of str, optional
        Names to describe; all by default.

    Raises
    ------
    ConfigError
        If there is none of a name.
    """
    for name in names or ():
        if name not in known:
            cure = suggestion(name, known).strip() or f"Names are {', '.join(known)}."
            raise ConfigError.at("NAME", f"must be {what}", name, cure)
    return [_described(known[name]) for name in names or known]


def _described(kind: type[Optioned]) -> dict[str, Any]:
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


def described_table(known: Mapping[str, type[Optioned]], name: str, what: str) -> str:
    """Return all of a registry as a table in Markdown; `name` and `what` are titles of columns."""
    rows = [f"| {name} | {what} | options, with their defaults |", "|---|---|---|"]
    for kind in describe(known, ""):
        options = ", ".join(f"`{_signature(each)}`" for each in kind["options"])
        rows.append(f"| `{kind['name']}` | {kind['meaning']} | {options} |".replace('"|"', '"\\|"'))
    return "\n".join(rows) + "\n"


def _signature(option: dict[str, Any]) -> str:
    return f"{option['name']}={option['default']}" if option["default"] else option["name"]
