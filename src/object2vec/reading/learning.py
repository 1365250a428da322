"""Tables to cached records of ids: what the fields learn, and what becomes of every row.

A table is parsed once. Each field sees its column block by block and keeps what is needed later,
such as the ordinals of tokens; what does not fit memory is spooled. Then the records are divided,
the fields finish with those for training, and what was kept becomes the columns of a cached set.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from object2vec.compiled.cores import available_cores
from object2vec.errors import ArtifactError, ConfigError, DataError
from object2vec.fields.base import Coverage, Kind, ValueMistakes
from object2vec.fields.guess import guess_kind
from object2vec.fields.kinds.token import TokenKind
from object2vec.fields.kinds.tokens import listed
from object2vec.fields.label import LabelField, LabelLearner, is_text
from object2vec.fields.schema import ObjectSchema
from object2vec.fields.table_schema import TableSchema, kind_of
from object2vec.files.whole import storing
from object2vec.objects.ragged import Ragged, Rows
from object2vec.objects.schema import Schema, records
from object2vec.reading.ahead import read_ahead
from object2vec.reading.cache import new_set, open_or_make, temporary_folder
from object2vec.reading.cached_set import Cached, open_cached, writing
from object2vec.reading.facts import Channel, CountedRecords, Facts, read_facts, write_facts
from object2vec.reading.splits import Clock, Mask, chosen, group_numbers, latest
from object2vec.reading.steps import ColumnStep, Done, Problems, do_steps, weights_of
from object2vec.reading.tables import Forms, Table, TableBlock

if TYPE_CHECKING:
    import pyarrow as pa

TRAIN, VALIDATION = "train", "validation"

_WORKERS = max(2, min(4, available_cores()))
_FIRST_ROWS = 10_000  # that kinds are guessed from
_REPEATED = 0.5  # share of different values from which on a dictionary does not pay
_HELD_BYTES = 64 << 20  # of what is kept, in memory
_KEPT, _TAKEN = "kept.arrow", "validation.npy"

_T = TypeVar("_T")


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

    @property
    def coverage(self) -> dict[str, dict[str, Coverage]]:
        """How the values of each field became rows, by channel and field."""
        return {channel: facts.coverage for channel, facts in self.facts.items()}


def learn(
    tables: Mapping[str, Table],
    schema: TableSchema,
    *,
    split: float = 0.0,
    seed: int = 0,
    start: ObjectSchema | None = None,
    words: pa.Array | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
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
    cache_dir : path, optional

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
    declared, guesses = _resolved(train, schema, start)
    identity = ["learned", declared.state(), split, seed, start.fingerprint if start else ""]

    def make(folder: Path) -> None:
        _Learning(folder, train, declared, start).run(split, seed)

    learned = _made(train, identity, partial(_open, train), make, cache_dir)
    channels, facts = dict(learned.channels), dict(learned.facts)
    known = learned.schema if words is None else learned.schema.with_words(words)
    for channel, table in tables.items():
        if channel != TRAIN:
            channels[channel], facts[channel] = read_with(table, known, cache_dir=cache_dir)
    warnings = _warnings(known, facts[TRAIN])
    return Learned(known, channels, facts, guesses, warnings)


def read_with(
    table: Table, schema: ObjectSchema, *, cache_dir: str | os.PathLike[str] | None = None
) -> tuple[Cached, Facts]:
    """Return the records of a table, read with a schema that has learned, and what is in them.

    Raises
    ------
    DataError
        If a column is missing or values are wrong. Up to 20 problems are listed.
    StorageError
        If the disk is full.
    """

    def open_(folder: Path) -> tuple[Cached, Facts] | None:
        cached, facts = open_cached(folder, _columns_of(schema.declared)), read_facts(folder)
        if cached is None or facts is None:
            return None
        return replace(cached, locate=partial(_where, table)), facts[TRAIN]

    def make(folder: Path) -> None:
        _read_into(folder, table, schema)

    return _made(table, ["read", schema.fingerprint], open_, make, cache_dir)


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


def _resolved(
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
        return guess_kind(column, table.first(_FIRST_ROWS, [column]).column(column))
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


def _made(
    table: Table,
    identity: list[Any],
    open_: Callable[[Path], _T | None],
    make: Callable[[Path], None],
    cache_dir: str | os.PathLike[str] | None,
) -> _T:
    """Return what is made of a table: from the cache if it is one of files, else for once."""
    sources = table.sources
    if sources is not None and all(source.path is not None for source in sources):

        def make_checked(folder: Path, files: Sequence[Any]) -> None:
            with new_set(folder, files) as work:
                make(work)

        said = [*identity, msgspec.to_builtins(table.options)]
        return open_or_make(sources, said, open_, make_checked, cache_dir=cache_dir)
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
        self._keep(_blocks(self._table, read, ahead), tasks)
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
                ahead.append(ColumnStep(each.column, _name(number), own.ahead))
                task.append(ColumnStep(each.column, _name(number), own.observe, _name(number)))
            tasks.append(task)
        reads = _reads(self._declared, self._start)
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
            pool = files.enter_context(ThreadPoolExecutor(_WORKERS))
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
                    yield batch.column(_name(number)).filter(_array(~is_held))

        with ThreadPoolExecutor(_WORKERS) as pool:
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
        columns = _columns_of(schema.declared)
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
            return _where(table, part.first + int(rows[row]))

        problems = Problems()
        found = problems.sift(where, [do_steps(columns, _kept_steps(schema))])
        problems.raise_any()
        made.append(_joined(schema, {**(found or {}), **_numbers(schema, columns)}, len(kept)))
    return made


def _kept_steps(schema: ObjectSchema) -> list[ColumnStep]:
    """Return what is done with what was kept of the fields."""
    return [
        ColumnStep(each.column, _name(number), own.rows_of_kept, _name(number))
        for number, ((_, each), own) in enumerate(
            zip(schema.declared.fields, schema.fields, strict=True)
        )
        if schema.declared.is_read(number)
    ]


def _numbers(schema: ObjectSchema, kept: Mapping[str, pa.Array]) -> dict[str, Any]:
    """Return the columns of records that are numbers."""
    from pyarrow import types

    return {
        role: schema.label.numbers(each) if types.is_dictionary(each.type) else each.to_numpy()
        for role, each in kept.items()
        if role in ("label", "weight", "group")
    }


def _joined(schema: ObjectSchema, found: dict[str, Any], count: int) -> CountedRecords:
    """Return so many records of what was found by step."""
    sides = schema.declared.sides
    made = Ragged(np.zeros(0, np.int32), np.zeros(count + 1, np.int64)), Coverage(values=count)
    own = [found.pop(_name(number), made) for number in range(len(schema.fields))]
    rows, coverage = [each for each, _ in own], [each for _, each in own]
    columns = {
        "in0": schema.joined(0, rows[: len(sides[0])]),
        "in1": schema.joined(1, rows[len(sides[0]) :]),
        "label": np.ones(count, np.float32),
        **found,
    }
    names = [f"in{side} {each.specification()}" for side, each in schema.declared.fields]
    by_name = dict(zip(names, coverage, strict=True))
    return CountedRecords.counted(columns, by_name, _columns_of(schema.declared))


def _read_into(folder: Path, table: Table, schema: ObjectSchema) -> None:
    """Write the records of a table, as a schema reads them, to a folder."""
    declared = schema.declared
    steps = [
        ColumnStep(each.column, _name(number), own.rows)
        for number, ((_, each), own) in enumerate(zip(declared.fields, schema.fields, strict=True))
        if declared.is_read(number)
    ]
    reads = _reads(declared, schema)
    steps += [ColumnStep(getattr(declared, role), role, read) for role, read in reads.items()]
    problems = Problems()
    with writing(folder, _columns_of(declared)) as writer:
        channel = Channel(writer, table.name)
        for block, done in _blocks(table, replace(declared, time=None), steps):
            if (found := problems.sift(block.where, [done])) is not None:
                channel.append(_joined(schema, found, len(block)))
        problems.raise_any()
    write_facts(folder, {TRAIN: channel.facts()})


def _reads(declared: TableSchema, schema: ObjectSchema | None) -> dict[str, Callable[..., Any]]:
    """Return what reads the columns that have a role, as far as nothing has to be learned."""
    reads: dict[str, Callable[..., Any]] = {"weight": weights_of, "group": group_numbers}
    if schema is not None:
        reads["label"] = schema.label.numbers
    return {role: read for role, read in reads.items() if getattr(declared, role)}


def _blocks(
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
    first = table.first(_FIRST_ROWS, asked) if asked else None
    repeated = {
        name
        for name in asked
        if first is not None
        and is_text(first.column(name))
        and compute.count_distinct(first.column(name)).as_py() < _REPEATED * len(first)
    }
    forms = Forms(repeated, set(columns) - taken)
    return table.map_blocks(partial(do_steps, steps=steps), columns, forms)


def _as_it_is(values: Any) -> Any:
    return values


def _where(table: Table, record: int) -> str:
    """Return where a record of a table stands."""
    rest = record
    for block in table.blocks(table.names[:1]):
        if rest < len(block):
            return block.where(rest)
        rest -= len(block)
    return f"{table.name} row {record}"


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
        cached = open_cached(folder / channel, _columns_of(schema.declared))
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
        return _where(table, record)
    return _where(table, int(np.flatnonzero(np.unpackbits(taken) == is_held)[record]))


def _columns_of(declared: TableSchema) -> Schema:
    """Return the columns of the records of a table."""
    return records(has_weight=bool(declared.weight), has_group=bool(declared.group))


def _name(number: int) -> str:
    """Return what is called so of the field with this number."""
    return f"field{number}"


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
    for (side, each), own in zip(schema.declared.fields, schema.fields, strict=True):
        tokens = facts.coverage[f"in{side} {each.specification()}"].tokens
        are_different = own.size >= tokens > 1 and own.size - own.first_known == tokens
        if are_different and not own.has_parts:
            notes.append(f"in{side} {each.column}: all {tokens} tokens differ: nothing is shared")
    return notes
