"""The table and the rules in words: for the command line and the documentation page."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from object2vec.config.rules import RULES
from object2vec.config.table import GROUPS, HYPERPARAMETERS, Hyperparameter

_COLUMNS = 100


def default_text(row: Hyperparameter) -> str:
    """Return the default of `row` as SageMaker would write it."""
    if row.default is None:
        return "required" if row.required == "yes" else "required unless enc1_network is enc0"
    if isinstance(row.default, tuple):
        return ", ".join(row.default)
    if isinstance(row.default, bool):
        return str(row.default).lower()
    return str(row.default)


def valid_text(row: Hyperparameter) -> str:
    """Return the valid values of `row` in words."""
    return row.kind.rule.removeprefix("must ").removeprefix("be ")


def describe(names: Sequence[str] | None = None) -> list[dict[str, str]]:
    """Return the table as text: name, valid values, default, origin and meaning of each row.

    Parameters
    ----------
    names : sequence of str, optional
        Names to describe; all by default.
    """
    rows = HYPERPARAMETERS.values() if names is None else [HYPERPARAMETERS[name] for name in names]
    return [
        {
            "name": row.name,
            "valid": valid_text(row),
            "default": default_text(row),
            "origin": row.origin,
            "meaning": row.meaning,
        }
        for row in rows
    ]


_INTRODUCTION = """\
# Hyperparameters

<!-- Generated: object2vec hyperparameters --markdown > docs/hyperparameters.md -->

The names, ranges and defaults are those of Amazon SageMaker Object2Vec; what goes beyond stands
under Extensions, and its defaults leave AWS's behaviour alone.

**Writing values.** SageMaker passes every value as a string, Python passes native ones; both work
everywhere and mean the same: `512`, `512.0`, `"512"` and a numpy scalar; `0.0004` and `"4e-4"`;
`True`, `"true"` and `"TRUE"`; `["hadamard", "concat"]`, `"hadamard, concat"` and the list as JSON
text. Blanks and quotes around a value are dropped. An unknown name is an error that names the
nearest known one, and all errors of a configuration are reported together."""

_MARKDOWN_HEADER = "| name | valid values | default | meaning |\n|---|---|---|---|"


def markdown() -> str:
    """Return the documentation page, ``docs/hyperparameters.md``."""
    changeable = [f"`{row.name}`" for row in HYPERPARAMETERS.values() if row.may_change]
    paragraphs = [
        _INTRODUCTION,
        "**What depends on what.**",
        "\n".join(_wrapped(f"- {rule.sentence}", "  ") for rule in RULES),
        _wrapped(
            f"**Going on.** A resumed run may have other values of {', '.join(changeable)} than "
            "the run that wrote the checkpoint; everything else must be as it was."
        ),
        *("\n".join([f"## {title}", "", *_table_lines(rows)]) for title, rows in GROUPS.items()),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, _COLUMNS, subsequent_indent=indent, break_on_hyphens=False)


def _table_lines(rows: Sequence[Hyperparameter]) -> list[str]:
    return [_MARKDOWN_HEADER, *map(_table_line, rows)]


def _table_line(row: Hyperparameter) -> str:
    valid = re.sub(r"'(\S+?)'", r"`\1`", valid_text(row))
    default = default_text(row) or "empty"
    if row.default not in (None, ""):
        default = f"`{default}`"
    meaning = row.meaning.replace("|", r"\|")
    return f"| `{row.name}` | {valid} | {default} | {meaning} |"
