"""Which kind each field of a table has: said by the user, known from a model, or guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from object2vec.errors import ConfigError, DataError
from object2vec.fields.base import Kind, ValueMistakes
from object2vec.fields.guess import guess_kind
from object2vec.fields.kinds.tokens import listed
from object2vec.fields.schema import ObjectSchema
from object2vec.fields.table_schema import TableSchema
from object2vec.reading.tables import Table

FIRST_ROWS = 10_000  # that kinds are guessed from


def resolved(
    table: Table, schema: TableSchema, start: ObjectSchema | None
) -> tuple[TableSchema, dict[str, str]]:
    """Return the schema with a kind for each field, and why, where it was guessed."""
    if start is not None:
        return _continued(schema, start.declared), {}
    kinds: dict[int, Kind] = {}
    guesses: dict[str, str] = {}
    for part in schema.parts:
        fields = [schema.fields[number] for number in part]
        known = next((each.kind for _, each in fields if each.kind is not None), None)
        reason = "a column that shares its vocabulary is of this kind"
        if known is None:
            known, reason = _guessed(table, _first_read(schema, part))
        for number, (side, each) in zip(part, fields, strict=True):
            kinds[number] = each.kind or _own_kind(schema, number, known)
            if each.kind is None:
                guesses[f"in{side} {replace(each, kind=kinds[number]).specification()}"] = reason
    return schema.with_kinds([kinds[number] for number in sorted(kinds)]), guesses


def _first_read(schema: TableSchema, part: Sequence[int]) -> str:
    """Return the first column of fields with these numbers that a table has."""
    return schema.fields[next(number for number in part if schema.is_read(number))][1].column


def _own_kind(schema: TableSchema, number: int, known: Kind) -> Kind:
    """Return the kind of a field that shares with one of a known kind."""
    if schema.making is None or schema.is_read(number) or not schema.making.lists:
        return known
    return listed(known)


def _guessed(table: Table, column: str) -> tuple[Kind, str]:
    """Return the kind that the first values of a column look like, and why."""
    table.check([column])
    try:
        return guess_kind(column, table.first(FIRST_ROWS, [column]).column(column))
    except ValueMistakes as err:
        wrong = err.mistakes[0]
        where = f"{table.name}: column {column}"
        raise DataError.at(where, wrong.must, wrong.got, wrong.cure) from err


def _continued(schema: TableSchema, known: TableSchema) -> TableSchema:
    """Return a schema whose fields are those that a model has; raise `ConfigError` for others."""
    for side, (fields, have) in enumerate(zip(schema.sides, known.sides, strict=True)):
        said = [each.specification() for each in have]
        if [each.column for each in fields] != [each.column for each in have] or any(
            a.kind not in (None, b.kind) for a, b in zip(fields, have, strict=True)
        ):
            must = f"must have the fields of the model that it starts from, {', '.join(said)}"
            got = ", ".join(each.specification() for each in fields)
            raise ConfigError.at(f"in{side}", must, got, "Leave them as they are.")
    if known.label and not schema.label:
        must = "must be given, as in the model that it starts from"
        raise ConfigError.at("label", must, schema.label, "Do as in the first training.")
    return replace(schema, sides=known.sides, share=known.share)
