"""``object2vec hyperparameters``, ``kinds``, ``pairs``, ``presets``: what there is to choose from.

Nothing here reads a file or imports torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from textwrap import TextWrapper
from typing import TYPE_CHECKING

from object2vec.config.page import describe
from object2vec.config.page import markdown as markdown_page
from object2vec.config.table import GROUPS, HYPERPARAMETERS
from object2vec.errors import ConfigError, suggestion

if TYPE_CHECKING:
    from object2vec.fields.base import Optioned

_COLUMNS = 80
_INDENT = "    "


def hyperparameters(name: str | None, *, as_json: bool, as_markdown: bool) -> str:
    """Return the table of hyperparameters, or one row of it.

    Raises
    ------
    ConfigError
        If there is no hyperparameter of this name.
    """
    if name is not None and name not in HYPERPARAMETERS:
        cure = suggestion(name, HYPERPARAMETERS).strip() or "Leave it out to list all."
        raise ConfigError.at("NAME", "must be a hyperparameter", name, cure)
    if as_markdown:
        return markdown_page().removesuffix("\n")
    if as_json:
        table = describe(None if name is None else [name])
        return json.dumps(table if name is None else table[0], indent=2)
    if name is not None:
        return "\n".join(_row_lines(name))
    lines: list[str] = []
    for title, rows in GROUPS.items():
        lines += ["", title, "-" * len(title)]
        for row in rows:
            lines += _row_lines(row.name)
    return "\n".join(lines[1:])


def _row_lines(name: str) -> list[str]:
    """Return a row of the table for a terminal."""
    row = describe([name])[0]
    default = row["default"] or "empty"
    facts = f"{row['valid']}; {default if default.startswith('required') else f'default {default}'}"
    return _titled(name, facts, row["meaning"])


def kinds(name: str | None, *, as_json: bool, as_markdown: bool) -> str:
    """Return what the kinds of column are, or all about one.

    Raises
    ------
    ConfigError
        If there is no kind of this name.
    """
    from object2vec.fields.kinds import KINDS

    titles = ("kind", "what the column holds")
    return _options_of(KINDS, "a kind of column", titles, name, as_json, as_markdown)


def pairs(name: str | None, *, as_json: bool, as_markdown: bool) -> str:
    """Return what the makers of pairs are, or all about one.

    Raises
    ------
    ConfigError
        If there is no maker of this name.
    """
    from object2vec.pairs.makers import MAKERS

    titles = ("maker", "what it makes of the rows")
    return _options_of(MAKERS, "a maker of pairs", titles, name, as_json, as_markdown)


def _options_of(
    known: Mapping[str, type[Optioned]],
    what: str,
    titles: tuple[str, str],
    name: str | None,
    as_json: bool,
    as_markdown: bool,
) -> str:
    """Return what the entries of a registry are, or all about one."""
    from object2vec.fields.describe import describe, described_table

    if as_markdown:
        return described_table(known, *titles).removesuffix("\n")
    found = describe(known, what, None if name is None else [name])
    if as_json:
        return json.dumps(found if name is None else found[0], indent=2)
    lines = [line for each in found for line in _titled(each["name"], each["meaning"])]
    for option in found[0]["options"] if name is not None else ():
        default = option["default"] or "none"
        facts = f"{option['meaning']}: {option['valid']}; default {default}"
        lines += _titled(option["name"], facts, indent=_INDENT)
    return "\n".join(lines)


def presets(*, as_json: bool) -> str:
    """Return the sets of hyperparameters that a table may begin with."""
    from object2vec.config.presets import PRESETS

    if as_json:
        return json.dumps({each.name: dict(each.values) for each in PRESETS.values()}, indent=2)
    lines: list[str] = []
    for each in PRESETS.values():
        values = ", ".join(f"{name}={value}" for name, value in each.values.items())
        lines += _titled(each.name, each.meaning, values, *each.decided)
    return "\n".join(lines)


def _titled(title: str, *texts: str, indent: str = "") -> list[str]:
    """Return a title and the lines of texts under it."""
    inner = indent + _INDENT
    wrap = TextWrapper(_COLUMNS, initial_indent=inner, subsequent_indent=inner).wrap
    return [indent + title, *(line for text in texts for line in wrap(text))]
