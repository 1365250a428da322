"""Blocks of a table to records of ids, as a schema that has learned reads them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from object2vec.errors import ArtifactError
from object2vec.fields.base import Coverage, Fitted
from object2vec.fields.kinds.token import TokenKind
from object2vec.fields.label import is_textual
from object2vec.fields.schema import ObjectSchema
from object2vec.fields.table_schema import TableSchema, kind_of
from object2vec.files.whole import storing
from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import Schema, records
from object2vec.reading.cache import new_set, open_or_make, temporary_folder
from object2vec.reading.cached_set import Cached, open_cached, writing
from object2vec.reading.facts import TRAIN, Channel, CountedRecords, Facts, read_facts, write_facts
from object2vec.reading.field_kinds import FIRST_ROWS
from object2vec.reading.splits import group_numbers
from object2vec.reading.steps import ColumnStep, Done, Problems, do_steps, weights_of
from object2vec.reading.tables import Forms, Table, TableBlock

_REPEATED = 0.5  # share of different values from which on a dictionary does not pay
_T = TypeVar("_T")


def read_with(table: Table, schema: ObjectSchema) -> tuple[Cached, Facts]:
    """Return the records of a table, read with a schema that has learned, and what is in them.

    Raises
    ------
    DataError
        If a column is missing or values are wrong. Up to 20 problems are listed.
    StorageError
        If the disk is full.
    """

    def open_(folder: Path) -> tuple[Cached, Facts] | None:
        cached, facts = open_cached(folder, columns_of(schema.declared)), read_facts(folder)
        if cached is None or facts is None:
            return None
        return replace(cached, locate=partial(where_in, table)), facts[TRAIN]

    def make(folder: Path) -> None:
        _read_into(folder, table, schema)

    return made_from(table, ["read", schema.fingerprint], open_, make)


def made_from(
    table: Table,
    identity: list[Any],
    open_: Callable[[Path], _T | None],
    make: Callable[[Path], None],
) -> _T:
    """Return what is made of a table: from the cache if it is one of files, else for once."""
    sources = table.sources
    if sources is not None and all(source.path is not None for source in sources):

        def make_checked(folder: Path, files: Sequence[Any]) -> None:
            with new_set(folder, files) as work:
                make(work)

        said = [*identity, msgspec.to_builtins(table.options)]
        return open_or_make(sources, said, open_, make_checked)
    folder = temporary_folder()
    folder.mkdir()
    try:
        with storing(folder):
            make(folder)
        made = open_(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # what is mapped stays until it is let go of
    if made is None:
        raise ArtifactError.at(str(folder), "must stay until it is read", "nothing", "Try again.")
    return made


def joined_records(schema: ObjectSchema, found: dict[str, Any], count: int) -> CountedRecords:
    """Return so many records of what was found by step."""
    sides = schema.declared.sides
    made = Ragged(np.zeros(0, np.int32), np.zeros(count + 1, np.int64)), Coverage(values=count)
    own = [found.pop(step_name(number), made) for number in range(len(schema.fields))]
    rows, coverage = [each for each, _ in own], [each for _, each in own]
    columns = {
        "in0": schema.joined(0, rows[: len(sides[0])]),
        "in1": schema.joined(1, rows[len(sides[0]) :]),
        "label": np.ones(count, np.float32),
        **found,
    }
    by_name = dict(zip(schema.declared.names, coverage, strict=True))
    return CountedRecords.counted(columns, by_name, columns_of(schema.declared))


def fields_read(schema: ObjectSchema) -> list[tuple[int, str, Fitted]]:
    """Return number, column and field of each one whose column a table of training has."""
    return [
        (number, each.column, own)
        for number, ((_, each), own) in enumerate(
            zip(schema.declared.fields, schema.fields, strict=True)
        )
        if schema.declared.is_read(number)
    ]


def _read_into(folder: Path, table: Table, schema: ObjectSchema) -> None:
    """Write the records of a table, as a schema reads them, to a folder."""
    declared = schema.declared
    steps = [
        ColumnStep(column, step_name(number), own.rows)
        for number, column, own in fields_read(schema)
    ]
    reads = role_steps(declared, schema)
    steps += [ColumnStep(getattr(declared, role), role, read) for role, read in reads.items()]
    problems = Problems()
    with writing(folder, columns_of(declared)) as writer:
        channel = Channel(writer, table.name)
        for block, done in blocks_done(table, replace(declared, time=None), steps):
            if (found := problems.sift(block.where, [done])) is not None:
                channel.append(joined_records(schema, found, len(block)))
        problems.raise_any()
    write_facts(folder, {TRAIN: channel.facts()})


def role_steps(declared: TableSchema, schema: ObjectSchema | None) -> dict[str, Callable[..., Any]]:
    """Return what reads the columns that have a role, as far as nothing has to be learned."""
    reads: dict[str, Callable[..., Any]] = {"weight": weights_of, "group": group_numbers}
    if schema is not None:
        reads["label"] = schema.label.numbers
    return {role: read for role, read in reads.items() if getattr(declared, role)}


def blocks_done(
    table: Table, declared: TableSchema, steps: Sequence[ColumnStep]
) -> Iterator[tuple[TableBlock, Done]]:
    """Yield the blocks of a table, and what steps have made of the columns that are read.

    Texts that repeat come in a dictionary, if it costs nothing or saves more than looking them up.
    """
    from pyarrow import compute

    columns = table.check(declared.columns)
    taken = {e.column for _, e in declared.fields if not kind_of(e).takes_spans}
    taken.update(declared.roles.values())
    asked = columns
    if not table.has_dictionaries:
        whole = {e.column for _, e in declared.fields if isinstance(kind_of(e), TokenKind)}
        asked = [name for name in columns if name not in whole]
    first = table.first(FIRST_ROWS, asked).columns if asked else []
    repeated = {
        name
        for name, column in zip(asked, first, strict=True)
        if is_textual(column) and compute.count_distinct(column).as_py() < _REPEATED * len(column)
    }
    forms = Forms(repeated, set(columns) - taken)
    return table.map_blocks(partial(do_steps, steps=steps), columns, forms)


def where_in(table: Table, record: int) -> str:
    """Return where a record of a table stands."""
    rest = record
    for block in table.blocks(table.names[:1]):
        if rest < len(block):
            return block.where(rest)
        rest -= len(block)
    return f"{table.name} row {record}"


def columns_of(declared: TableSchema) -> Schema:
    """Return the columns of the records of a table."""
    return records(has_weight=bool(declared.weight), has_group=bool(declared.group))


def step_name(number: int) -> str:
    """Return what the step of the field with this number is called."""
    return f"field{number}"
