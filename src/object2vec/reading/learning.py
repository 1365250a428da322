"""Tables to cached records of ids: what the fields learn, and what becomes of every row.

A table is parsed once. Each field sees its column block by block and keeps what is needed later,
such as the ordinals of tokens; what does not fit memory is spooled. Then the records are divided,
the fields finish with those for training, and what was kept becomes the columns of a cached set.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import ArtifactError, ConfigError, DataError
from object2vec.fields.label import LabelField, LabelLearner
from object2vec.fields.schema import ObjectSchema
from object2vec.fields.table_schema import TableSchema, kind_of
from object2vec.objects.ragged import Rows
from object2vec.reading.ahead import WORKERS, read_ahead
from object2vec.reading.cached_set import Cached, open_cached, writing
from object2vec.reading.facts import (
    TRAIN,
    VALIDATION,
    Channel,
    CountedRecords,
    Facts,
    read_facts,
    write_facts,
)
from object2vec.reading.field_kinds import resolved
from object2vec.reading.splits import Clock, Mask, chosen, latest
from object2vec.reading.steps import ColumnStep, Done, Problems, do_steps
from object2vec.reading.table_records import (
    blocks_done,
    columns_of,
    fields_read,
    joined_records,
    made_from,
    read_with,
    role_steps,
    step_name,
    where_in,
)
from object2vec.reading.tables import Table, TableBlock

if TYPE_CHECKING:
    import pyarrow as pa


_HELD_BYTES = 64 << 20  # of what is kept, in memory
_KEPT, _TAKEN = "kept.arrow", "validation.npy"


@dataclass(frozen=True, eq=False)
class Learned:
    """What learning from tables gives.

    Parameters
    ----------
    schema : ObjectSchema
    channels : dict of str to Cached
        The records of each channel.
    facts : dict of str to Facts
        What is in each channel.
    guesses : dict of str to str
        Why a field has its kind, where that was guessed; by side and specification.
    warnings : list of str
        What looks wrong.
    """

    schema: ObjectSchema
    channels: dict[str, Cached]
    facts: dict[str, Facts]
    guesses: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def learn(
    tables: Mapping[str, Table],
    schema: TableSchema,
    *,
    split: float = 0.0,
    seed: int = 0,
    start: ObjectSchema | None = None,
    words: pa.Array | None = None,
) -> Learned:
    """Learn the fields of a schema from the training table, and read all tables with them.

    Parameters
    ----------
    tables : mapping of str to Table
        By channel; "train" is learned from.
    schema : TableSchema
        Fields without a kind get the one that their first values look like.
    split : float, default 0.0
        Share of the training table that becomes the channel "validation": the latest records if the
        schema has a time, else whole groups if it has a group, else records at random.
    seed : int, default 0
        Of the choice of groups or records.
    start : ObjectSchema, optional
        What a model knows already: known tokens keep their rows, new ones get rows behind them.
    words : pyarrow array of strings, optional
        Words that texts shall know, whether training has them or not.

    Raises
    ------
    ConfigError
        If the options contradict each other.
    DataError
        If a column is missing or values are wrong. Up to 20 problems are listed.
    StorageError
        If the disk is full.
    """
    _check_split(tables, schema, split)
    train = tables[TRAIN]
    declared, guesses = resolved(train, schema, start)
    identity = ["learned", declared.state(), split, seed, start.fingerprint if start else ""]

    def make(folder: Path) -> None:
        _Learning(folder, train, declared, start).run(split, seed)

    learned = made_from(train, identity, partial(_open, train), make)
    channels, facts = dict(learned.channels), dict(learned.facts)
    known = learned.schema if words is None else learned.schema.with_words(words)
    for channel, table in tables.items():
        if channel != TRAIN:
            channels[channel], facts[channel] = read_with(table, known)
    warnings = _warnings(known, facts[TRAIN])
    return Learned(known, channels, facts, guesses, warnings)


def _check_split(tables: Mapping[str, Table], schema: TableSchema, split: float) -> None:
    """Raise `ConfigError` if the split contradicts something else."""
    if not 0 <= split < 1:
        raise ConfigError.at("split", "must be a share in [0, 1)", split, "Use 0.1.")
    if split and VALIDATION in tables:
        cure = "Leave one of them out."
        raise ConfigError.at("split", "must be 0 if there is a validation table", split, cure)
    if split and schema.time and schema.group:
        must = "must be by time or by group: a group may go on after any time"
        cure = "Name only one of them, or pass a validation table."
        raise ConfigError.at("split", must, [schema.time, schema.group], cure)


class _Learning:
    """One reading of a training table into a folder: what was kept, and what was learned.

    What is kept of the first blocks stays in memory, of all others on the disk.
    """

    def __init__(
        self, folder: Path, table: Table, declared: TableSchema, start: ObjectSchema | None
    ) -> None:
        self._folder, self._table, self._declared, self._start = folder, table, declared, start
        known = [None] * len(declared.parts) if start is None else [p.fitted for p in start.parts]
        self._learners = [
            kind_of(declared.fields[part[0]][1]).learner(fitted)
            for part, fitted in zip(declared.parts, known, strict=True)
        ]
        is_known = start is not None and start.label.column is not None
        self._label = LabelLearner(declared.label) if declared.label and not is_known else None
        self._rows = 0
        self._held: list[pa.RecordBatch] = []  # the first of what was kept, in memory

    def run(self, split: float, seed: int) -> None:
        """Read the table, learn, and write the cached sets, the schema and the facts."""
        self._table.check(self._declared.columns)
        read = self._declared if split else replace(self._declared, time=None)
        ahead, tasks = self._tasks(is_timed=bool(read.time))
        self._keep(blocks_done(self._table, read, ahead), tasks)
        mask = self._mask(split, seed) if split else None
        schema = self._finish(mask)
        with ThreadPoolExecutor(1) as pool:
            written = pool.submit(schema.to_files, self._folder)
            self._compose(schema, mask)
            written.result()
        (self._folder / _KEPT).unlink(missing_ok=True)

    def _tasks(self, *, is_timed: bool) -> tuple[list[ColumnStep], list[list[ColumnStep]]]:
        """Return what is to be done with each block: ahead, and when it is its turn.

        The steps of a task follow one another.
        """
        fields, ahead, tasks = self._declared.fields, [], []
        for learner, part in zip(self._learners, self._declared.parts, strict=True):
            task = []
            for number in filter(self._declared.is_read, part):
                own, (_, each) = learner.beside(kind_of(fields[number][1])), fields[number]
                ahead.append(ColumnStep(each.column, step_name(number), own.ahead))
                task.append(
                    ColumnStep(each.column, step_name(number), own.observe, step_name(number))
                )
            tasks.append(task)
        reads = role_steps(self._declared, self._start)
        if self._label:
            reads["label"] = self._label.observe
        if is_timed:
            reads["time"] = Clock().read
        roles = []
        for role, read in reads.items():
            column = getattr(self._declared, role)
            ahead.append(ColumnStep(column, role, _as_it_is))
            roles.append(ColumnStep(column, role, read, role))
        return ahead, [*tasks, roles]

    def _keep(
        self,
        blocks: Iterator[tuple[TableBlock, Done]],
        tasks: list[list[ColumnStep]],
    ) -> None:
        """Show every block to the fields, and spool what they keep of it."""
        import pyarrow as pa

        problems = Problems()
        with contextlib.ExitStack() as files:
            pool = files.enter_context(ThreadPoolExecutor(WORKERS))
            spool: pa.RecordBatchStreamWriter | None = None
            room = _HELD_BYTES
            for block, (found, mistakes) in blocks:
                done = pool.map(partial(do_steps, found), tasks)
                kept = problems.sift(block.where, [({}, mistakes), *done])
                self._rows += len(block)
                if kept is None:
                    continue
                batch = pa.record_batch({name: _array(each) for name, each in kept.items()})
                room -= batch.nbytes
                if room >= 0:
                    self._held.append(batch)
                    continue
                if spool is None:
                    path = str(self._folder / _KEPT)
                    spool = files.enter_context(pa.ipc.new_stream(path, batch.schema))
                spool.write_batch(batch)
        problems.raise_any()

    def _kept(self) -> Iterator[pa.RecordBatch]:
        """Yield what was kept, block by block, as it lies in the file."""
        import pyarrow as pa

        yield from self._held
        if (path := self._folder / _KEPT).exists():
            with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as blocks:
                yield from blocks

    def _mask(self, split: float, seed: int) -> Mask:
        """Return which records are for validation, (n,)."""
        making = self._declared.making
        has_groups = self._declared.group and not (making and making.divides)
        name = "time" if self._declared.time else "group" if has_groups else None
        keys = np.arange(self._rows)
        if name:
            keys = np.concatenate([batch.column(name).to_numpy() for batch in self._kept()])
        mask = latest(keys, split) if name == "time" else chosen(keys, split, seed)
        if (held := int(np.count_nonzero(mask))) in (0, self._rows):
            must = "must leave records for training and for validation"
            got = f"{held} of {self._rows} for validation"
            raise DataError.at("split", must, got, "Choose another share, or pass a file.")
        return mask

    def _finish(self, mask: Mask | None) -> ObjectSchema:
        """Return the schema that was learned from the records for training."""

        def kept(part: Sequence[int], mask: Mask) -> Iterator[pa.Array]:
            first = 0
            for batch in self._kept():
                is_held = mask[first : first + len(batch)]
                first += len(batch)
                for number in filter(self._declared.is_read, part):
                    yield batch.column(step_name(number)).filter(_array(~is_held))

        with ThreadPoolExecutor(WORKERS) as pool:
            tasks = [
                pool.submit(learner.finish, None if mask is None else kept(part, mask))
                for learner, part in zip(self._learners, self._declared.parts, strict=True)
            ]
            fitted = [task.result() for task in tasks]
        label = LabelField() if self._start is None else self._start.label
        if self._label:
            label = self._label.finish(batch.column("label") for batch in self._kept())
        return ObjectSchema.fit(self._declared, fitted, label, self._start)

    def _compose(self, schema: ObjectSchema, mask: Mask | None) -> None:
        """Write the records of each channel."""
        names = [TRAIN] if mask is None else [TRAIN, VALIDATION]
        columns = columns_of(schema.declared)
        with contextlib.ExitStack() as files:
            channels = []
            for name in names:
                (self._folder / name).mkdir()
                writer = files.enter_context(writing(self._folder / name, columns))
                channels.append(Channel(writer, self._table.name))
            parts = self._parts(mask)
            for _, found in read_ahead(parts, partial(_composed, schema, self._table)):
                for channel, made in zip(channels, found, strict=True):
                    channel.append(made)
        write_facts(self._folder, dict(zip(names, (c.facts() for c in channels), strict=True)))
        if mask is not None:
            np.save(self._folder / _TAKEN, np.packbits(mask))

    def _parts(self, mask: Mask | None) -> Iterator[_Part]:
        """Yield what was kept of each block, and which of its rows are in each channel."""
        first = 0
        for batch in self._kept():
            rows: list[Rows] = [np.arange(len(batch))]
            if mask is not None:
                is_held = mask[first : first + len(batch)]
                rows = [np.flatnonzero(~is_held), np.flatnonzero(is_held)]
            yield _Part(batch, first, rows)
            first += len(batch)


class _Part(NamedTuple):
    """What was kept of a block, the number of its first row, and its rows in each channel."""

    batch: pa.RecordBatch
    first: int
    rows: list[Rows]


def _composed(schema: ObjectSchema, table: Table, part: _Part) -> list[CountedRecords]:
    """Return the records of a block for each channel."""
    made = []
    for rows in part.rows:
        is_whole = len(rows) == len(part.batch)
        kept = part.batch if is_whole else part.batch.take(_array(rows))
        columns = dict(zip(kept.schema.names, kept.columns, strict=True))

        def where(row: int, rows: Rows = rows) -> str:
            return where_in(table, part.first + int(rows[row]))

        problems = Problems()
        found = problems.sift(where, [do_steps(columns, _kept_steps(schema))])
        problems.raise_any()
        made.append(
            joined_records(schema, {**(found or {}), **_numbers(schema, columns)}, len(kept))
        )
    return made


def _kept_steps(schema: ObjectSchema) -> list[ColumnStep]:
    """Return what is done with what was kept of the fields."""
    return [
        ColumnStep(column, step_name(number), own.rows_of_kept, step_name(number))
        for number, column, own in fields_read(schema)
    ]


def _numbers(schema: ObjectSchema, kept: Mapping[str, pa.Array]) -> dict[str, Any]:
    """Return the columns of records that are numbers."""
    from pyarrow import types

    return {
        role: schema.label.numbers(each) if types.is_dictionary(each.type) else each.to_numpy()
        for role, each in kept.items()
        if role in ("label", "weight", "group")
    }


def _as_it_is(values: Any) -> Any:
    return values


def _open(table: Table, folder: Path) -> Learned | None:
    """Return what was learned and written to a folder; None if it is not there or not whole."""
    facts = read_facts(folder)
    if facts is None:
        return None
    try:
        schema = ObjectSchema.from_files(folder)
        taken = np.load(folder / _TAKEN, mmap_mode="r") if len(facts) > 1 else None
    except (ArtifactError, OSError, ValueError):
        return None
    channels = {}
    for channel in facts:
        cached = open_cached(folder / channel, columns_of(schema.declared))
        if cached is None:
            return None
        locate = partial(_where_of_part, table, taken, channel == VALIDATION)
        channels[channel] = replace(cached, locate=locate)
    return Learned(schema, channels, facts)


def _where_of_part(
    table: Table, taken: NDArray[np.uint8] | None, is_held: bool, record: int
) -> str:
    """Return where a record of a channel stands; a bit for each row says whose it is."""
    if taken is None:
        return where_in(table, record)
    return where_in(table, int(np.flatnonzero(np.unpackbits(taken) == is_held)[record]))


def _array(values: Any) -> pa.Array:
    """Return an array of Arrow's."""
    import pyarrow as pa

    return values if isinstance(values, pa.Array) else pa.array(values)


def _warnings(schema: ObjectSchema, facts: Facts) -> list[str]:
    """Return what looks wrong with the records for training."""
    notes = []
    sides = facts.lengths if schema.declared.making is None else ()
    for side, lengths in enumerate(sides):
        if none := lengths.get(0, 0):
            notes.append(f"in{side}: {none} of {facts.records} objects have no token")
    declared = schema.declared
    for name, (side, each), own in zip(declared.names, declared.fields, schema.fields, strict=True):
        tokens = facts.coverage[name].tokens
        are_different = own.size >= tokens > 1 and own.size - own.first_known == tokens
        if are_different and not own.has_parts:
            notes.append(f"in{side} {each.column}: all {tokens} tokens differ: nothing is shared")
    return notes
