"""The options that say which columns of a table make the sides of a pair."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from object2vec.cli.idle import has_table
from object2vec.errors import MAX_PROBLEMS, ConfigError, DataError
from object2vec.files.remote import is_url

if TYPE_CHECKING:
    import pyarrow as pa

    from object2vec.fields.table_schema import TableSchema
    from object2vec.inference.values import ValueIntake
    from object2vec.reading.tables import Table, TableOptions

_LABELS = ("label", "rating", "score", "stars", "target", "class", "clicked", "liked", "relevance")
_TIMES = ("time", "timestamp", "date", "datetime", "created", "created_at")
_VALUE = re.compile(r"[\d.:/ -]*\d[\d.:/ -]*")  # a number, a date or an address is no name
_SHOWN_ROWS, _SHOWN_CHARACTERS = 3, 60


@dataclass(frozen=True)
class Reading:
    """How the files of a table are read, as options say it.

    Parameters
    ----------
    format, columns, separator, quote, encoding : str or None
        As of `object2vec.reading.tables.TableOptions`; columns with commas between them.
    is_lines : bool
        Whether each line is a value, and no table at all.
    """

    format: str | None = None
    columns: str | None = None
    separator: str | None = None
    quote: str | None = None
    encoding: str | None = None
    is_lines: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Reading:
        """Return what the options of a command, by parameter, say of it."""
        return cls(
            options["table_format"] if "table_format" in options else options["input_format"],
            options["columns"],
            options["separator"],
            options["quote"],
            options["encoding"],
            options.get("lines", False),
        )

    def arguments(self) -> dict[str, Any]:
        """Return what is given, as arguments of `fit` and of `TableOptions`."""
        given = {name: value for name, value in vars(self).items() if value not in (None, False)}
        return given | ({} if self.columns is None else {"columns": split_names(self.columns)})

    def options(self) -> TableOptions:
        """Return how a table is read."""
        from object2vec.reading.tables import TableOptions

        return TableOptions(**self.arguments())

    def table(self, files: Sequence[str], intake: ValueIntake | None = None) -> Table:
        """Return the table that `files` are, for the columns of `intake` or with its values."""
        if self.is_lines and intake is not None:
            from object2vec.files.sources import list_sources
            from object2vec.reading.tables.whole_lines import Lines

            return Lines(list_sources(files), _only(intake.columns))
        from object2vec.reading.tables import open_table

        expected = () if intake is None else tuple(intake.columns)
        return open_table(list(files), replace(self.options(), expected=expected))

    def reject(self) -> None:
        """Reject options that a model without a schema has no use for."""
        renamed = {"format": "--input-format", "is_lines": "--lines"}
        names = [name for name, value in vars(self).items() if value not in (None, False)]
        if given := [renamed.get(name, f"--{name}") for name in names]:
            must = "must be left out: this model was trained on ids, and reads JSON Lines alone"
            cure = "Train on a table, with --in0 and --in1, for a model that reads others."
            raise ConfigError.at(", ".join(given), must, "it", cure)


def _only(columns: Sequence[str]) -> str:
    """Return the one column that lines can be."""
    if len(columns) > 1:
        must = f"must be left out: an object has the columns {', '.join(columns)}"
        raise ConfigError.at(
            "--lines", must, "it", "Write a table with these columns, such as CSV."
        )
    return columns[0]


@dataclass(frozen=True)
class TableChoice:
    """What was said of a table's columns, as it was given.

    Parameters
    ----------
    in0, in1 : sequence of str
        Specifications of the fields of each side.
    label, weight, group, time : str, optional
        Names of columns.
    share : sequence of str
        Names of columns that share a vocabulary, ``"user,friend"`` each.
    preset : str, optional
        Name of the hyperparameters to start from.
    pairs : str, optional
        Name of what makes pairs of the rows.
    vectors : str, optional
        File of vectors that tokens begin with.
    """

    in0: Sequence[str] = ()
    in1: Sequence[str] = ()
    label: str | None = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    share: Sequence[str] = ()
    preset: str | None = None
    pairs: str | None = None
    vectors: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> TableChoice:
        """Return what the options of a command, by parameter, say of them."""
        given: dict[str, Any] = {each.name: options.get(each.name) for each in fields(cls)}
        for name in ("in0", "in1", "share"):
            given[name] = list(given[name] or ())
        return cls(**given)

    @property
    def is_made(self) -> bool:
        """Whether the columns of a side are named, or made; else records are AWS's."""
        return has_table(vars(self))

    def schema(self) -> TableSchema | None:
        """Return what is declared of the table; None where records are AWS's.

        Raises
        ------
        ConfigError
            If a specification is wrong.
        """
        if not self.is_made:
            return None
        from object2vec.fields.specification import parse_field
        from object2vec.pairs.makers import declared_schema

        sides = (tuple(map(parse_field, self.in0)), tuple(map(parse_field, self.in1)))
        columns = {name: getattr(self, name) for name in ("label", "weight", "group", "time")}
        return declared_schema(sides, self.pairs, self.preset, **columns, share=self._shared())

    def _shared(self) -> tuple[tuple[str, ...], ...]:
        return tuple(map(split_names, self.share))

    def arguments(self) -> dict[str, Any]:
        """Return what `Object2Vec` takes of it."""
        if not self.is_made:
            return {}
        given = {name: value for name, value in vars(self).items() if value}
        return given | ({"share": self._shared()} if self.share else {})


def split_names(text: str) -> tuple[str, ...]:
    """Return the names of columns that are divided by commas.

    Examples
    --------
    >>> split_names("account, address")
    ('account', 'address')
    """
    return tuple(name.strip() for name in text.split(","))


@contextlib.contextmanager
def explaining_tables(files: Sequence[str], out: str) -> Iterator[None]:
    """Say what columns there are, if what fails as AWS's records is another table.

    Parameters
    ----------
    files : sequence of str
        What should hold AWS's records.
    out : str
        Where a model should go.
    """
    try:
        yield
    except (ConfigError, DataError) as err:
        if (text := _explanation(files, out)) is not None:
            raise DataError(text) from err
        raise


def _explanation(files: Sequence[str], out: str) -> str | None:
    """Return what a table holds and a command that works with it; None if it may be AWS's."""
    from object2vec.reading.tables import TableOptions, open_table

    if not all(is_url(name) or os.path.isfile(name) or os.path.isdir(name) for name in files):
        return None  # what was read of a pipe is gone
    try:
        batch = open_table(files, TableOptions()).first(100)
    except DataError:
        return None
    if not batch.num_columns or _is_of_ids(batch):
        return None
    command = shlex.join(["object2vec", "train", "--train", *files, *_roles(batch), "--out", out])
    must = "must be AWS's JSON Lines of integers unless --in0 and --in1 name columns"
    cure = "For example:"
    found = str(DataError.at(", ".join(files), must, batch.schema.names, cure))
    return "\n".join([found, f"  {command}", "Its columns:", *_column_lines(batch)])


def _is_of_ids(batch: pa.RecordBatch) -> bool:
    """Return whether the sides that are there are lists of integers, and one at least is."""
    import pyarrow as pa

    from object2vec.objects.schema import SIDES

    types = [field.type for field in batch.schema if field.name in SIDES]
    return bool(types) and all(
        pa.types.is_list(kind) and pa.types.is_integer(kind.value_type) for kind in types
    )


def _roles(batch: pa.RecordBatch) -> list[str]:
    """Return options that make pairs of a table's columns, as one would guess them."""
    names = list(batch.schema.names)
    options: list[str] = []
    if any(_VALUE.fullmatch(name) for name in names):
        names = [f"column{number}" for number in range(1, len(names) + 1)]
        options = ["--columns", ",".join(names)]
    label = next((name for name in names if name.lower() in _LABELS), None)
    others = [name for name in names if name != label and name.lower() not in _TIMES]
    sides = others if len(others) > 1 else names
    options += ["--in0", sides[0], "--in1", sides[min(1, len(sides) - 1)]]
    return options if label is None or label in sides[:2] else [*options, "--label", label]


def _column_lines(batch: pa.RecordBatch) -> Iterator[str]:
    """Yield a line for each column: its name and its first values."""
    from object2vec.fields.values import shown

    width = max(map(len, batch.schema.names))
    for name, column in list(zip(batch.schema.names, batch.columns, strict=True))[:MAX_PROBLEMS]:
        values = ", ".join(str(shown(value)) for value in column.slice(0, _SHOWN_ROWS))
        if len(values) > _SHOWN_CHARACTERS:
            values = f"{values[:_SHOWN_CHARACTERS]}..."
        yield f"  {name:{width}}  {values}"
