"""Makers of pairs, one small file each: what goes with what, drawn afresh each epoch.

A new maker is a file with a `Maker` and a row of `MAKERS`.
"""

from __future__ import annotations

import re
from typing import Any

from object2vec.config.presets import maker_named
from object2vec.errors import ConfigError, suggestion
from object2vec.fields.specification import with_options
from object2vec.fields.table_schema import TableSchema
from object2vec.pairs.makers.base import Fields, Maker
from object2vec.pairs.makers.first_two import FirstTwo
from object2vec.pairs.makers.group import SameGroup
from object2vec.pairs.makers.history import History
from object2vec.pairs.makers.labels import Labels
from object2vec.pairs.makers.neighbours import Neighbours
from object2vec.pairs.makers.sentence_rest import SentenceRest
from object2vec.pairs.makers.windows import Windows

_ALL: tuple[type[Maker], ...] = (
    SentenceRest,
    Neighbours,
    SameGroup,
    History,
    Labels,
    FirstTwo,
    Windows,
)

MAKERS: dict[str, type[Maker]] = {maker.name: maker for maker in _ALL}
"""The makers of pairs by name."""

NO_MAKER = "none"  # named in place of one: each row is a pair
_SPECIFICATION = re.compile(r"\s*(?P<name>\w*)\s*(?:\((?P<options>.*)\))?\s*", re.DOTALL)


def maker_of(specification: str) -> Maker:
    """Return the maker that a text names: ``sentence_rest(sentences=4)``.

    Raises
    ------
    ConfigError
        If there is none, or an option is wrong.
    """
    found = _SPECIFICATION.fullmatch(specification)
    name = found["name"] if found else specification
    if name not in MAKERS:
        cure = f"{suggestion(name, MAKERS)}Choose one of {', '.join(MAKERS)}."
        raise ConfigError.at("pairs", "must name a maker of pairs", specification, cure)
    assert found is not None, "our bug: a name is a specification"
    return with_options("pairs", MAKERS[name], found["options"] or "")


def declared_schema(
    sides: tuple[Fields, Fields], pairs: str | None, preset: str | None = None, **roles: Any
) -> TableSchema | None:
    """Return what the columns of a table mean, with those that a maker of pairs makes.

    Parameters
    ----------
    sides : pair of tuples of Field
    pairs : str, optional
        Specification of the maker. With "none" each row is a pair; so it is by default, unless a
        preset names a maker that suits the columns.
    preset : str, optional
        The one that is named.
    **roles
        Other arguments of `TableSchema`.

    Returns
    -------
    TableSchema or None
        None where no column is named, and no maker names one.

    Raises
    ------
    ConfigError
        If they contradict each other.
    """
    named = maker_named(pairs, preset)
    if named not in (None, NO_MAKER):
        maker = maker_of(named or "")
        if pairs or maker.suits(sides, roles):
            return maker.declared(sides, roles)
    if not any(sides) and not any(roles.values()):
        return None
    return TableSchema(sides, **roles)


__all__ = ["MAKERS", "Maker", "declared_schema", "maker_of"]
