"""The columns of records: what each is called, what it holds, and what it is for.

Everything that reads, keeps, counts or fetches records goes through a schema, so a new column is
one more entry of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from object2vec.objects.layouts import LAYOUTS, Layout

Need = Literal["required", "optional", "ignored"]

SIDES = ("in0", "in1")  # keys of the two objects of a pair, by the number of their encoder
IGNORED: dict[str, Need] = {"need": "ignored"}  # for `Schema.but`


@dataclass(frozen=True)
class Column:
    """One column of records.

    Parameters
    ----------
    name : str
        Its key in a record.
    layout : Layout
    side : {0, 1}, optional
        The object that it describes; None for what is known of the pair.
    need : {"required", "optional", "ignored"}
        Whether records must have it. An optional one is in every record or in none.
    default : float, optional
        Value of a record that has none.
    negative : float, optional
        Value of a negative that is drawn; that of its positive by default.
    """

    name: str
    layout: Layout[Any]
    side: int | None = None
    need: Need = "required"
    default: float | None = None
    negative: float | None = None


@dataclass(frozen=True)
class Schema:
    """The columns of records, in order.

    Examples
    --------
    >>> [column.name for column in RECORDS.but(in1=IGNORED).wanted]
    ['in0', 'label']
    """

    columns: tuple[Column, ...]

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    @property
    def names(self) -> list[str]:
        """The name of each column."""
        return [column.name for column in self.columns]

    @property
    def wanted(self) -> tuple[Column, ...]:
        """The columns that are not ignored."""
        return tuple(column for column in self.columns if column.need != "ignored")

    def but(self, **changes: Mapping[str, Any]) -> Schema:
        """Return the schema with other attributes of the columns with these names."""
        if unknown := changes.keys() - set(self.names):
            raise KeyError(min(unknown))
        return Schema(tuple(replace(c, **changes.get(c.name, {})) for c in self.columns))

    def identity(self) -> list[list[Any]]:
        """Return plain values that tell what is read by this schema from what is by another."""
        return [[c.name, c.layout.name, c.need, c.default] for c in self.columns]


RECORDS = Schema(
    (
        *(Column(name, LAYOUTS["ids"], side) for side, name in enumerate(SIDES)),
        Column("label", LAYOUTS["number"], negative=0.0),
    )
)


def by_side(columns: Mapping[str, Any]) -> dict[int, Any]:
    """Return the columns that hold objects, by the number of their encoder."""
    return {side: columns[name] for side, name in enumerate(SIDES)}


def one_side(side: int) -> Schema:
    """Return the columns of records of which only the objects of one side matter."""
    return RECORDS.but(**{SIDES[1 - side]: IGNORED, "label": IGNORED})


def records(*, has_weight: bool = False, has_group: bool = False) -> Schema:
    """Return the columns of records that may also have a weight and belong to a group."""
    weight = (Column("weight", LAYOUTS["number"]),) if has_weight else ()
    group = (Column("group", LAYOUTS["whole"]),) if has_group else ()
    return Schema((*RECORDS.columns, *weight, *group))
