"""What a column holds, guessed from its first values where nobody has said it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from object2vec.fields.base import Kind
from object2vec.fields.kinds import KINDS
from object2vec.fields.kinds.tokens import TokensKind
from object2vec.fields.numbers import DECIMAL
from object2vec.fields.values import encoding, is_list, is_text, wrong_type

if TYPE_CHECKING:
    import pyarrow as pa

_MANY_WORDS, _VERY_MANY_WORDS = 5, 12  # on average
_MOSTLY, _OFTEN = 0.8, 0.25  # of the values
_IPV4 = r"^\d{1,3}(\.\d{1,3}){3}$"
_AWS_COLUMNS = ("in0", "in1")


def guess_kind(name: str, values: pa.Array) -> tuple[Kind, str]:
    """Return the kind of a column, and why.

    Parameters
    ----------
    name : str
        Of the column.
    values : pyarrow array
        The first values of the column.

    Raises
    ------
    ValueMistakes
        If they are of a type that no kind can read, such as nested records.

    Examples
    --------
    >>> import pyarrow as pa
    >>> kind, reason = guess_kind("overview", pa.array(["A film about a ship that sinks."]))
    >>> kind.name, reason
    ('text', 'values have 7.0 words on average')
    """
    import pyarrow as pa

    first, _ = encoding(values.drop_null())
    kind, types = first.type, pa.types
    if not len(first):
        return KINDS["token"](), "there are no values to see"
    if is_list(kind):
        if types.is_integer(kind.value_type) and name in _AWS_COLUMNS:
            return KINDS["ids"](), "lists of integers, as Amazon's Object2Vec takes them"
        return KINDS["tokens"](), "values are lists"
    if is_text(kind):
        return _of_strings(first)
    if types.is_integer(kind) or types.is_boolean(kind):
        return KINDS["token"](), "values are true or false" if types.is_boolean(
            kind
        ) else "integers"
    if types.is_floating(kind) or types.is_decimal(kind):
        return _of_floats(first.cast(pa.float64()))
    if types.is_timestamp(kind) or types.is_date(kind):
        return _of_dates(first)
    if types.is_time(kind):
        return KINDS["token"](), f"values are of type {kind}"
    raise wrong_type(values, "text, a number, true or false, a date, or a list of them")


def _of_floats(values: pa.Array) -> tuple[Kind, str]:
    import pyarrow.compute as pc

    numbers = values.filter(pc.is_finite(values))
    if pc.all(pc.equal(numbers, pc.floor(numbers))).as_py():
        return KINDS["token"](), "all numbers are whole"
    return KINDS["number"](), "numbers have fractions"


def _of_dates(values: pa.Array) -> tuple[Kind, str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date(values.type):
        return KINDS["token"](), "values are dates"
    if pc.all(pc.equal(values, pc.floor_temporal(values, unit="day"))).as_py():
        return KINDS["token"](), "values are dates"
    return KINDS["date"](), "values are times"


def _of_strings(values: pa.Array) -> tuple[Kind, str]:
    """Return the kind of texts; those that are empty say nothing."""
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(values)
    text = text.filter(pc.not_equal(text, ""))
    if not len(text):
        return KINDS["token"](), "there are no values to see"
    if pc.all(pc.match_substring_regex(text, DECIMAL)).as_py():
        has_point = pc.any(pc.match_substring_regex(text, r"\.\d*[1-9]")).as_py()
        if has_point:
            return KINDS["number"](), "numbers have fractions"
        return KINDS["token"](), "all numbers are whole"
    if pc.all(pc.match_substring_regex(text, _IPV4)).as_py():
        return KINDS["ipv4"](), "values are IPv4 addresses"
    words = pc.mean(pc.add(pc.count_substring_regex(text, r"\s+"), 1)).as_py()
    if pc.mean(pc.match_substring(text, "|").cast("int8")).as_py() >= _OFTEN:
        return TokensKind(separator="|"), 'many values are divided by "|"'
    different = len(pc.unique(text)) / len(text)
    if words >= _VERY_MANY_WORDS or (words >= _MANY_WORDS and different >= _MOSTLY):
        return KINDS["text"](), f"values have {words:.1f} words on average"
    return KINDS["token"](), "values are short"
