"""What the columns of a table mean, as the user declares it.

Some make the objects of both sides; others are label, weight, group or time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from object2vec.errors import ConfigError, join_problems, problem, suggestion
from object2vec.fields.base import Kind
from object2vec.fields.specification import Field, parse_field

Sides = tuple[tuple[Field, ...], tuple[Field, ...]]
_ROLES = ("label", "weight", "group", "time")
_TEXTS = ("text", "characters")


@dataclass(frozen=True)
class Making:
    """How the pairs of training are made of the rows of a table, afresh each epoch.

    Parameters
    ----------
    maker : str
        Specification of the one in `object2vec.pairs.makers`.
    columns : tuple of str
        Columns of objects that are made of other rows: no table of training has them.
    members : str, optional
        The column whose values hold several members each, as a list or between separators: the
        table is read as one with a row for each of them.
    separator : str, default tab
        What divides them in a text.
    lists : bool, default False
        Whether a value of a made column is a list, where the column that it shares a vocabulary
        with holds single tokens.
    divides : bool, default False
        Whether rows of one group may be on both sides of a split.
    """

    maker: str
    columns: tuple[str, ...] = ()
    members: str | None = None
    separator: str = "\t"
    lists: bool = False
    divides: bool = False


@dataclass(frozen=True)
class TableSchema:
    """What the columns of a table mean.

    Parameters
    ----------
    sides : pair of tuples of Field
        The fields of in0 and of in1. An object is what its fields say, in this order.
    label, weight, group, time : str, optional
        Columns that say what a pair is worth, how much it counts, what it belongs to, and when it
        was.
    share : tuple of tuples of str
        Columns whose fields have one vocabulary; of columns of several fields, the first of each
        have one, the second of each another one, and so on.
    making : Making, optional
        How pairs are made of the rows; by default each row is one.

    Raises
    ------
    ConfigError
        If that contradicts itself; all problems are listed.
    """

    sides: Sides
    label: str | None = None
    weight: str | None = None
    group: str | None = None
    time: str | None = None
    share: tuple[tuple[str, ...], ...] = ()
    making: Making | None = None

    def __post_init__(self) -> None:
        if problems := [*self._problems_of_sides(), *self._problems_of_sharing()]:
            raise ConfigError(join_problems(problems))

    @property
    def fields(self) -> list[tuple[int, Field]]:
        """Each field with its side, those of in0 first."""
        return [(side, each) for side, fields in enumerate(self.sides) for each in fields]

    @property
    def names(self) -> list[str]:
        """What each field is called: its side and its specification."""
        return [f"in{side} {each.specification()}" for side, each in self.fields]

    @property
    def roles(self) -> dict[str, str]:
        """The columns that are read for something else than an object, by what for."""
        return {role: getattr(self, role) for role in _ROLES if getattr(self, role) is not None}

    @property
    def columns(self) -> list[str]:
        """The columns that training reads, each once."""
        roles = [getattr(self, role) for role in _ROLES]
        read = [each.column for number, (_, each) in enumerate(self.fields) if self.is_read(number)]
        return list(dict.fromkeys(read + [name for name in roles if name]))

    def holds_text(self, side: int) -> bool:
        """Return whether the objects of a side have a field of text."""
        return any(each.kind is not None and each.kind.name in _TEXTS for each in self.sides[side])

    def is_read(self, number: int) -> bool:
        """Return whether a table of training has the column of the field with this number."""
        return self.making is None or self.fields[number][1].column not in self.making.columns

    @property
    def parts(self) -> list[list[int]]:
        """The numbers of the fields that have one vocabulary, vocabulary by vocabulary."""
        shared = {column: columns[0] for columns in self.share for column in columns}
        parts: dict[object, list[int]] = {}
        earlier: Counter[tuple[int, str]] = Counter()  # fields of a side and column
        for number, (side, each) in enumerate(self.fields):
            nth = earlier[side, each.column]
            earlier[side, each.column] += 1
            key = (shared[each.column], nth) if each.column in shared else number
            parts.setdefault(key, []).append(number)
        return list(parts.values())

    @property
    def is_tied(self) -> bool:
        """Whether some vocabulary is of both sides, so that they have one token table."""
        sides = [{self.fields[number][0] for number in part} for part in self.parts]
        return any(len(each) == 2 for each in sides)

    def with_kinds(self, kinds: Sequence[Kind]) -> TableSchema:
        """Return the schema with these kinds of its fields, in the order of `fields`."""
        of = iter(kinds)
        first, second = ([replace(f, kind=next(of)) for f in fields] for fields in self.sides)
        return replace(self, sides=(tuple(first), tuple(second)))

    def state(self) -> dict[str, Any]:
        """Return the plain values that describe it."""
        sides = [[each.specification() for each in fields] for fields in self.sides]
        roles = {role: getattr(self, role) for role in _ROLES}
        share = [*map(list, self.share)]
        making = None if self.making is None else asdict(self.making)
        return {"in0": sides[0], "in1": sides[1], **roles, "share": share, "making": making}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> TableSchema:
        """Return the schema that has this state; raise `ConfigError` if there can be none."""
        first, second = (tuple(map(parse_field, state[side])) for side in ("in0", "in1"))
        roles = {role: state[role] for role in _ROLES}
        making = state["making"]
        if making is not None:
            making = Making(**{**making, "columns": tuple(making["columns"])})
        share = tuple(map(tuple, state["share"]))
        return cls((first, second), **roles, share=share, making=making)

    def _problems_of_sides(self) -> Iterator[str]:
        for side, fields in enumerate(self.sides):
            name = f"in{side}"
            if not fields:
                must = "must name at least one column of the table"
                yield problem(name, must, "none", f"Pass --in{side} COLUMN or in{side}=COLUMN.")
            for number, each in enumerate(fields):
                if each in fields[:number]:
                    yield problem(name, "must name each field once", each.column, "Remove one.")
        named = {each.column for _, each in self.fields}
        roles = self.roles
        for role, column in roles.items():
            if role in ("label", "weight") and column in named:
                must = f"must not be a column of an object: a model would read its {role}"
                yield problem(role, must, column, "Leave it out on one of the two.")
            earlier = next(other for other in roles if roles[other] == column)
            if role != earlier and {role, earlier} != {"group", "time"}:
                yield problem(role, f"must be another column than {earlier}", column, "Name it.")

    def _problems_of_sharing(self) -> Iterator[str]:
        columns = {each.column for _, each in self.fields}
        seen: set[str] = set()
        for shared in self.share:
            if len(set(shared)) < 2:
                yield problem("share", "must name two or more columns", shared, "Add another one.")
            for column in shared:
                if column not in columns:
                    cure = f"{suggestion(column, columns)}Fields: {', '.join(sorted(columns))}."
                    yield problem("share", "must name columns of in0 or in1", column, cure)
                elif column in seen:
                    yield problem("share", "must name each column once", column, "Remove one.")
                seen.add(column)
        for part in self.parts:
            fields = [self.fields[number][1] for number in part]
            kinds = [each.kind for each in fields if each.kind is not None]
            if not all(_can_share(kinds[0], kind) for kind in kinds[1:]):
                must = "must name columns whose kinds can have one vocabulary"
                said = [each.specification() for each in fields]
                yield problem("share", must, said, "Give them the same kind and options.")


def _can_share(first: Kind, second: Kind) -> bool:
    """Return whether fields of two kinds can have one vocabulary: each row counts one number."""
    return first.shares_with(second) and first.weight == second.weight


def kind_of(each: Field) -> Kind:
    """Return the kind of a field that has one by now."""
    if each.kind is None:
        raise ValueError(f"{each.column} has no kind")
    return each.kind
