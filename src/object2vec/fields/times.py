"""Dates and times of a column, as seconds."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from object2vec.fields.base import ValueMistakes
from object2vec.fields.values import (
    is_text,
    mistakes_of,
    readable,
    trimmed,
    without_dictionary,
    wrong_type,
)

if TYPE_CHECKING:
    import pyarrow as pa

_ISO = r"^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?)?( ?(Z|[+-]\d\d:?\d\d))?$"
_NUMBER = r"^[+-]?(\d{8,18}|[0-8]\d{18}|9[01]\d{17})$"  # that an int64 holds
_BEHIND_SECONDS = r"([.,]\d+)?( ?(Z|[+-]\d\d:?\d\d))?$"
_RULE = "must be a date such as 2024-05-31 or a time such as 2024-05-31 18:00"
_CURE = "Write it so, or read the column as a token."
_UNITS = ((10**11, 1), (10**14, 10**3), (10**17, 10**6), (2**63, 10**9))
_WITHIN = (-62135596800, 253402300799)  # years 1 to 9999


def seconds_of(values: pa.Array) -> pa.Array:
    """Return dates and times as the int64 seconds from 1970 on, null where they are missing.

    Parameters
    ----------
    values : pyarrow array (n,)
        Dates, times, text in ISO 8601, or the seconds, milliseconds, microseconds or nanoseconds
        from 1970 on, as they are large; eight digits from 19000101 on are year, month and day.
        Dictionary-encoded or not. A time counts as it is written, whatever its zone.

    Raises
    ------
    ValueMistakes
        If some are no dates or times.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    values = without_dictionary(readable(values))
    kind, types = values.type, pa.types
    if types.is_timestamp(kind):
        local = values if kind.tz is None else pc.local_timestamp(values)
        seconds = _floored(local)
    elif types.is_date(kind):
        seconds = values.cast(pa.date32()).cast(pa.timestamp("s")).cast(pa.int64())
    elif types.is_null(kind):
        seconds = values.cast(pa.int64())
    elif is_text(kind):
        seconds = _read(values)
    elif types.is_integer(kind):
        if types.is_uint64(kind):
            too_large = pc.greater(values, pa.scalar(2**63 - 1, kind))
            _checked(values, values, too_large.fill_null(False))
        seconds = _of_numbers(values.cast(pa.int64()))
    elif types.is_floating(kind):
        whole = pc.floor(pc.if_else(pc.is_finite(values), values, None))
        seconds = _of_numbers(whole.cast(pa.int64(), safe=False))
    else:
        raise wrong_type(values, "a date or a time")
    wrong = pc.invert(
        pc.and_(pc.less_equal(_WITHIN[0], seconds), pc.less_equal(seconds, _WITHIN[1]))
    )
    return _checked(values, seconds, wrong.fill_null(False))


def _floored(times: pa.Array) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[times.type.unit]
    return _quotient(pc.cast(times, pa.int64()), per_second)


def _quotient(numbers: pa.Array, by: int) -> pa.Array:
    """Return whole quotients, rounded down."""
    import pyarrow.compute as pc

    rounded = pc.divide(numbers, by)
    too_high = pc.less(numbers, pc.multiply(rounded, by))
    return pc.subtract(rounded, pc.cast(too_high, numbers.type))


def _of_numbers(numbers: pa.Array) -> pa.Array:
    """Return the seconds that numbers stand for by their size."""
    import pyarrow as pa

    found = numbers.fill_null(0).to_numpy()
    size = np.abs(found)
    seconds = np.select([size < most for most, _ in _UNITS], [found // by for _, by in _UNITS])
    days = (size >= 19000101) & (size < 22000101) & (found > 0)
    for row in np.flatnonzero(days):
        year, month, day = found[row] // 10000, found[row] // 100 % 100, found[row] % 100
        with contextlib.suppress(ValueError):  # it is a number of seconds, then
            date = np.datetime64(f"{year}-{month:02}-{day:02}", "s")
            seconds[row] = date.astype(np.int64)
    return pa.array(seconds, mask=numbers.is_null().to_numpy(zero_copy_only=False))


def _read(values: pa.Array) -> pa.Array:
    """Return the seconds of texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = trimmed(values)
    is_number = pc.match_substring_regex(text, _NUMBER)
    is_iso = pc.match_substring_regex(text, _ISO)
    _checked(values, values, pc.invert(pc.or_(is_number, is_iso)).fill_null(False))
    digits = pc.replace_substring_regex(pc.if_else(is_number, text, None), r"^\+", "")
    numbers = _of_numbers(digits.cast(pa.int64()))
    written = pc.replace_substring_regex(pc.if_else(is_iso, text, None), _BEHIND_SECONDS, "")
    try:
        times = written.cast(pa.timestamp("s")).cast(pa.int64())
    except pa.ArrowInvalid as err:
        wrong = [each is not None and not _is_time(each) for each in written.to_pylist()]
        raise ValueMistakes(mistakes_of(values, pa.array(wrong), _RULE, _CURE)) from err
    return pc.coalesce(times, numbers)


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _checked(values: pa.Array, result: pa.Array, wrong: pa.Array) -> Any:
    """Return the result, or raise the error of values that are wrong."""
    if mistakes := mistakes_of(values, wrong, _RULE, _CURE):
        raise ValueMistakes(mistakes)
    return result
