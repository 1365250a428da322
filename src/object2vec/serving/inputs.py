"""What the page for people asks of an object: ids, or an input for each field of a side."""

from __future__ import annotations

import heapq
import json
from collections.abc import Sequence
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from object2vec.objects.schema import SIDES

if TYPE_CHECKING:
    from object2vec.fields.schema import ObjectSchema

_SHOWN = 20  # suggestions of one request
_SUGGESTED = 10_000  # the most frequent tokens of a field are searched
_LONGEST = 100  # characters of a token that is suggested
_TEXTS = ("text", "characters")  # kinds whose values are sentences or names
_CHOSEN = ("token", "tokens")  # kinds whose values are chosen from a vocabulary
_IDS = ("ids of the first object, with spaces between them", "ids of the second object")


def inputs(schema: ObjectSchema | None, classes: Sequence[str] | None) -> str:
    """Return the inputs for both objects of a pair, and the names of the classes, as HTML."""
    parts = [_ids(s) if schema is None else _fields(schema, s) for s in range(len(SIDES))]
    if classes is not None:
        parts.append(f'<span hidden data-classes="{escape(json.dumps(classes))}"></span>')
    return "\n".join(parts)


def example(schema: ObjectSchema | None) -> str:
    """Return the body of a request, as an example."""
    if schema is None:
        return json.dumps({name: [1] for name in SIDES})
    sides = {name: schema.columns(side) for side, name in enumerate(SIDES)}
    return json.dumps(
        {
            name: "..." if len(columns) == 1 else dict.fromkeys(columns, "...")
            for name, columns in sides.items()
        },
        ensure_ascii=False,
    )


def _ids(side: int) -> str:
    name = SIDES[side]
    return (
        f'<label for="{name}">{name}\n<span class="hint">{_IDS[side]}</span>\n'
        f'<input id="{name}" name="{name}" data-side="{name}" data-kind="ids" '
        'inputmode="numeric" autocomplete="off" value="1"></label>'
    )


def _fields(schema: ObjectSchema, side: int) -> str:
    """Return an input for each field of a side, as a group."""
    fields = schema.declared.sides[side]
    rows = "\n".join(_field(side, number, each) for number, each in enumerate(fields))
    return f'<fieldset id="{SIDES[side]}"><legend>{SIDES[side]}</legend>\n{rows}</fieldset>'


def _field(side: int, number: int, field: Any) -> str:
    name, kind = f"{SIDES[side]}-{number}", field.kind.name
    _, _, hint = field.specification().rpartition(":")
    facts = (
        f'id="{name}" name="{name}" data-side="{SIDES[side]}" '
        f'data-field="{escape(field.column)}" data-kind="{escape(kind)}"'
    )
    if kind in _TEXTS:
        control = f'<textarea {facts} rows="2"></textarea>'
    elif kind in _CHOSEN:
        separator = escape(getattr(field.kind, "separator", ""))
        control = (
            f'<input {facts} data-separator="{separator}" list="{name}-list" autocomplete="off">'
            f'<datalist id="{name}-list"></datalist>'
        )
    else:
        control = f'<input {facts} autocomplete="off">'
    title = f'{escape(field.column)}\n<span class="hint">{escape(hint)}</span>'
    return f'<label for="{name}">{title}\n{control}</label>'


class Suggestions:
    """Tokens that a field may have, the most frequent ones first.

    Parameters
    ----------
    schema : ObjectSchema
    """

    def __init__(self, schema: ObjectSchema) -> None:
        self._schema = schema

    @cached_property
    def _tokens(self) -> dict[str, list[str]]:
        """The most frequent tokens of each field whose values are chosen, by its name."""
        found = {}
        for side, fields in enumerate(self._schema.declared.sides):
            for number, (field, fitted) in enumerate(
                zip(fields, self._schema.sides[side], strict=True)
            ):
                if field.kind is not None and field.kind.name in _CHOSEN:
                    entries = (e for e in fitted.entries() if e.token and len(e.token) <= _LONGEST)
                    first = heapq.nlargest(_SUGGESTED, entries, key=lambda entry: entry.count)
                    found[f"{SIDES[side]}-{number}"] = [str(entry.token) for entry in first]
        return found

    def find(self, name: str, text: str) -> list[str]:
        """Return the tokens of a field that begin with a text, then those that hold it.

        Parameters
        ----------
        name : str
            Of the field's input, ``in0-0`` for the first field of in0.
        text : str
            In any case.

        Returns
        -------
        list of str
            At most 20; empty for a field that has none.
        """
        wanted = text.casefold()
        beginning, holding = [], []
        for token in self._tokens.get(name, ()):
            folded = token.casefold()
            if folded.startswith(wanted):
                beginning.append(token)
            elif wanted in folded:
                holding.append(token)
            if len(beginning) == _SHOWN:
                break
        return [*beginning, *holding][:_SHOWN]
