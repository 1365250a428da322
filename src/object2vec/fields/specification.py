"""What a field is, in a few characters: ``overview:text`` or ``genres:tokens("|", min_count=2)``.

    field    = column [":" kind ["(" [option {"," option}] ")"]]
    column   = a name without colon, quote and bracket, or any name in quotes
    option   = [name "="] value
    value    = a number, true, false, a word, or text in quotes

A column is a key of a record; dots lead into nested ones, as in ``user.id``.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import Field as Option
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from object2vec.errors import ConfigError, suggestion
from object2vec.fields.base import Kind, Optioned
from object2vec.fields.kinds import KINDS

_PLAIN = re.compile(r"[^\s:\"'()]+")
_QUOTED = r'"(?:[^"\\]|\\.)*"' + "|" + r"'[^'\\]*'"
_COLUMN = re.compile(rf"\s*(?:(?P<quoted>{_QUOTED})|(?P<plain>[^:\"'()]*[^\s:\"'()]))\s*")
_KIND = re.compile(r":\s*(?P<kind>\w*)\s*(?:\((?P<options>.*)\))?\s*", re.DOTALL)
_OPTION = re.compile(
    rf"\s*(?:(?P<name>\w+)\s*=)?\s*(?:(?P<quoted>{_QUOTED})|(?P<plain>[^,\s\"'()=]+))\s*"
)
T = TypeVar("T", bound=Optioned)
_WORDS = {"true": True, "false": False}
_CURE = 'Write column, column:kind or column:kind(option), such as genres:tokens("|").'


@dataclass(frozen=True)
class Field:
    """A column of a table, and what it holds.

    Parameters
    ----------
    column : str
        Its name, or a path of nested keys.
    kind : Kind, optional
        None if it is to be guessed from the values.

    Examples
    --------
    >>> parse_field('genres:tokens("|", min_count=2)').specification()
    'genres:tokens("|", min_count=2)'
    """

    column: str
    kind: Kind | None = None

    def specification(self) -> str:
        """Return the text that `parse_field` makes this field of."""
        name = self.column
        if not _PLAIN.fullmatch(name):
            name = json.dumps(name, ensure_ascii=False)
        return name if self.kind is None else f"{name}:{kind_text(self.kind)}"


def kind_text(kind: Optioned) -> str:
    """Return a kind with those of its options that are not their defaults: ``text(ngrams=2)``."""
    first = [each.name for each in _by_position(type(kind))]
    given = [each.name for each in fields(kind) if getattr(kind, each.name) != each.default]
    last = max((i for i, name in enumerate(first) if name in given), default=-1)
    words = [value_text(getattr(kind, name)) for name in first[: last + 1]]
    named = [name for name in given if name not in first]
    words += [f"{name}={value_text(getattr(kind, name))}" for name in named]
    return kind.name + (f"({', '.join(words)})" if words else "")


def parse_field(text: str) -> Field:
    """Return the field that a specification describes.

    Raises
    ------
    ConfigError
        If it is no specification, or names a kind or an option that nobody knows.
    """
    column = _COLUMN.match(text)
    if column is None:
        raise ConfigError.at("field", "must begin with the name of a column", text, _CURE)
    name = column["plain"] or _unquoted(column["quoted"])
    if column.end() == len(text):
        return Field(name)
    kind = _KIND.fullmatch(text, column.end())
    if kind is None:
        raise ConfigError.at(name, "must be followed by a kind alone", text[column.end() :], _CURE)
    return Field(name, _kind(name, kind["kind"], kind["options"] or ""))


def declared(kind: type[Kind]) -> Any:
    """Return the function that makes a field of this kind: ``Text("overview", min_count=2)``."""

    def make(column: str, *options: Any, **named: Any) -> Field:
        return Field(column, _made(str(column), kind, options, named))

    own = inspect.signature(kind).parameters.values()
    of_column = inspect.Parameter("column", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    make.__signature__ = inspect.Signature([of_column, *own])  # type: ignore[attr-defined]
    make.__doc__ = kind.__doc__
    return make


def _kind(column: str, name: str, options: str) -> Kind:
    """Return the kind of this name with options that are still text."""
    if name not in KINDS:
        cure = f"{suggestion(name, KINDS)}The kinds are {', '.join(KINDS)}."
        raise ConfigError.at(column, "must be of a known kind", name, cure)
    return with_options(column, KINDS[name], options)


def with_options(column: str, kind: type[T], options: str) -> T:
    """Return a kind, or what else has options, with those that a text gives."""
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for key, value in _options(column, kind.name, options):
        if key is None and not named:
            positional.append(value)
        elif key is None or key in named:
            must = "must have each option once, and those without a name first"
            raise ConfigError.at(f"{column}:{kind.name}", must, options, "Name each option.")
        else:
            named[key] = value
    return _made(column, kind, tuple(positional), named)


def _made(column: str, kind: type[T], positional: tuple[Any, ...], named: dict[str, Any]) -> T:
    """Return a kind with these options; an error of one says of which column it is."""
    known, first = [each.name for each in fields(kind)], _by_position(kind)
    where = f"{column}:{kind.name}"
    for key in named:
        if key not in known:
            cure = f"{suggestion(key, known)}Its options are {', '.join(known) or 'none'}."
            raise ConfigError.at(where, "must have known options", key, cure)
    if len(positional) > len(first):
        names = ", ".join(each.name for each in first)
        must = f"must name all its options{f' but {names}' if first else ''}"
        cure = f"Name them: {', '.join(known)}." if known else "Leave it out."
        raise ConfigError.at(where, must, positional[len(first)], cure)
    twice = [each.name for each in first[: len(positional)] if each.name in named]
    if twice:
        raise ConfigError.at(where, "must have each option once", twice[0], "Give it once.")
    try:
        return kind(*positional, **named)
    except ConfigError as err:
        raise ConfigError(f"{column}:{err}") from err


def _options(column: str, kind: str, text: str) -> Iterator[tuple[str | None, Any]]:
    """Yield the name, if it has one, and the value of each option."""
    offset = 0
    while text.strip():
        found = _OPTION.match(text, offset)
        if found is None or text[found.end() : found.end() + 1] not in ("", ","):
            must = "must have options that are divided by commas"
            cure = 'Put what has blanks, commas or brackets into quotes: tokens(",").'
            raise ConfigError.at(f"{column}:{kind}", must, text[offset:], cure)
        value = found["plain"]
        yield found["name"], _unquoted(found["quoted"]) if value is None else _number(value)
        if found.end() == len(text):
            return
        offset = found.end() + 1


def _by_position(kind: type[Optioned]) -> list[Option[Any]]:
    return [each for each in fields(kind) if not each.kw_only]


def _number(text: str) -> Any:
    """Return what a value without quotes stands for."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _unquoted(text: str) -> str:
    """Return what quotes hold; in single ones a backslash is a backslash."""
    if text[0] == "'":
        return text[1:-1]
    try:
        return str(json.loads(text, strict=False))
    except ValueError as err:
        must, cure = (
            "must be text as JSON writes it",
            'Write \\\\ for a backslash, \\" for a quote.',
        )
        raise ConfigError.at("field", must, text, cure) from err


def value_text(value: Any) -> str:
    """Return the value of an option as a specification has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        is_word = value.isidentifier() and value.isascii() and _number(value) is value
        return value if is_word else json.dumps(value, ensure_ascii=False)
    return repr(value)
