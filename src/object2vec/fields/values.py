"""Values of a column as text: what a person would write for a number or a date, normalised.

A value is the same token wherever it comes from: 7 of a Parquet file, 7.0 of a data frame whose
column has gaps, and "7" of a CSV file are "7".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import MAX_PROBLEMS
from object2vec.fields.base import ValueMistakes, WrongValue
from object2vec.fields.spans import Spans, TextSpans
from object2vec.fields.strings import compiled_programs, read_only
from object2vec.fields.unicode import tables
from object2vec.objects.ragged import offsets_of

if TYPE_CHECKING:
    import pyarrow as pa

_FIRST_UNSURE = 0xCC  # in UTF-8, U+0300 and what is behind it begin with this byte or a later one
_MAY_BE_BLANK = np.zeros(256, np.bool_)  # a byte at the end of a string
_MAY_BE_BLANK[[*range(9, 14), *range(28, 33), *range(128, 256)]] = True
_WHOLE = 2.0**63  # from here on no whole number fits an integer


@dataclass(frozen=True, eq=False)
class Texts:
    """Values of a column as normalised text.

    Parameters
    ----------
    data : uint8 array (bytes,)
        UTF-8 of the values.
    starts, ends : int64 arrays (m,)
        Offsets of the values that are different, or of all. One that is missing is empty.
    indices : int64 array (n,), optional
        Which of them each row has, -1 where it is null; None if row i has value i.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    indices: NDArray[np.int64] | None = None

    def mistakes(
        self,
        wrong: NDArray[np.bool_],
        must: str,
        cure: str,
        got: Callable[[int], Any] | None = None,
    ) -> list[WrongValue]:
        """Return what is wrong with the first rows whose value is, (m,); none if no row has one."""
        rows = np.flatnonzero(self.spread(wrong, False))[:MAX_PROBLEMS]
        values = rows if self.indices is None else self.indices[rows]
        got = got or self.text
        pairs = zip(rows.tolist(), values.tolist(), strict=True)
        return [WrongValue(row, must, got(value), cure) for row, value in pairs]

    def text(self, value: int) -> str:
        """Return one of the values that differ."""
        return bytes(self.data[self.starts[value] : self.ends[value]]).decode(errors="replace")

    def spread(self, of_values: NDArray[Any], missing: Any) -> NDArray[Any]:
        """Return what each row has of an array with an element for each value, (n,)."""
        if self.indices is None:
            return of_values
        padded = np.append(of_values, np.asarray(missing, of_values.dtype))  # null is the last
        return padded[self.indices]


def texts(values: pa.Array) -> Texts:
    """Return values as text: NFC, without blanks around it.

    Parameters
    ----------
    values : pyarrow array of length n
        Strings, integers, booleans, floats, decimals, dates or times; dictionary-encoded or not.

    Raises
    ------
    ValueMistakes
        If they are of another type, or some are no UTF-8.
    """
    import pyarrow as pa

    values = readable(values)
    try:
        different, indices = encoding(_encoded(values))
        written = _written(different)
    except (TypeError, pa.ArrowNotImplementedError, pa.ArrowInvalid) as err:
        raise wrong_type(values, "text, a number, true or false, or a date") from err
    return _parts(written, indices)


def text_of(value: Any) -> str:
    """Return one value as `texts` does; empty where it is missing."""
    import pyarrow as pa

    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)  # of any size
    return texts(pa.array([value])).text(0)


def whole_values(values: pa.Array | TextSpans) -> tuple[Texts, Spans, NDArray[np.bool_]]:
    """Return values as text, those that are not missing as one token each, and which are missing.

    Raises
    ------
    ValueMistakes
        As `texts` does.
    """
    if isinstance(values, TextSpans) and are_texts(values):
        found = Texts(values.text, values.starts, values.ends)
    else:
        found = texts(values.array() if isinstance(values, TextSpans) else values)
    missing = found.starts == found.ends  # (m,)
    starts, ends = found.starts, found.ends
    offsets = np.arange(len(starts) + 1)  # (m + 1,)
    if missing.any():
        starts, ends = starts[~missing], ends[~missing]
        offsets = offsets_of((~missing).astype(np.int64))
    return found, Spans(found.data, starts, ends, offsets), missing


def are_texts(values: TextSpans) -> bool:
    """Return whether values are for sure, as they stand, what `texts` would make of them.

    None is missing, has blanks around it or characters that may not be in the form NFC.
    """
    programs = compiled_programs()
    given = read_only(values.text, values.starts, values.ends)
    has_others = programs.any_from(*given, np.uint8(_FIRST_UNSURE))
    return not (has_others or programs.any_at_ends(*given, _MAY_BE_BLANK))


def readable(values: pa.Array) -> pa.Array:
    """Return bytes and views of strings as strings; other arrays as they are.

    Raises
    ------
    ValueMistakes
        If some bytes are no UTF-8.
    """
    import pyarrow as pa

    types, kind = pa.types, values.type
    if types.is_dictionary(kind):
        return values if is_text(kind.value_type) else _readable_dictionary(values)
    if types.is_string_view(kind):
        return values.cast(pa.large_string())
    is_bytes = types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
    return _decoded(values) if is_bytes else values


def without_dictionary(values: Any) -> Any:
    """Return dictionary-encoded values as plain ones; other arrays as they are."""
    from pyarrow import types

    return values.dictionary_decode() if types.is_dictionary(values.type) else values


def mistakes_of(values: pa.Array, wrong: pa.Array, must: str, cure: str) -> list[WrongValue]:
    """Return the mistakes of the first values that are wrong, a boolean array (n,)."""
    rows = np.flatnonzero(wrong.to_numpy(zero_copy_only=False))[:MAX_PROBLEMS].tolist()
    return [WrongValue(row, must, shown(values[row]), cure) for row in rows]


def shown(value: pa.Scalar) -> Any:
    """Return a value as messages have it: a date that Python's calendar has not is text."""
    import pyarrow as pa

    try:
        return value.as_py()
    except (OverflowError, ValueError):
        if is_list(value.type):
            return [shown(each) for each in value.values]
        return value.cast(pa.string()).as_py()


def _readable_dictionary(values: pa.Array) -> pa.Array:
    import pyarrow as pa

    try:
        different = readable(values.dictionary)
    except ValueMistakes as err:
        at = _indices(values).tolist()
        mistakes = [m._replace(row=at.index(m.row)) for m in err.mistakes if m.row in at]
        raise ValueMistakes(mistakes or err.mistakes) from err
    if different is values.dictionary:
        return values
    return pa.DictionaryArray.from_arrays(values.indices, different)


def is_text(kind: pa.DataType) -> bool:
    """Return whether values of this type are strings that can be taken apart as they lie."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def encoding(values: pa.Array) -> tuple[pa.Array, NDArray[np.int64] | None]:
    """Return the different values of a dictionary-encoded array and which each row has.

    One that is not encoded is returned as it is, with None. Bytes are read as UTF-8.
    """
    import pyarrow as pa

    values = readable(values)
    if not pa.types.is_dictionary(values.type):
        return values, None
    return values.dictionary, _indices(values)


def _indices(values: pa.Array) -> NDArray[np.int64]:
    """Return which of the different values each row has, -1 where it is null, (n,)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    indices = pc.fill_null(values.indices.cast(pa.int64()), -1)
    found: NDArray[np.int64] = indices.to_numpy()
    return found


def is_list(kind: pa.DataType) -> bool:
    """Return whether values of this type are lists."""
    import pyarrow as pa

    types = pa.types
    tests = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    return any(test(kind) for test in tests)


def alone(values: pa.Array) -> pa.Array:
    """Return values as lists of one, null where they are."""
    import pyarrow as pa

    lengths = values.is_valid().to_numpy(zero_copy_only=False).astype(np.int64)
    mask = values.is_null() if values.null_count else None
    return pa.LargeListArray.from_arrays(offsets_of(lengths), values.drop_null(), mask=mask)


def trimmed(texts: pa.Array) -> pa.Array:
    """Return texts without blanks around them, null where nothing is left."""
    import pyarrow.compute as pc

    texts = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(texts, ""), None, texts)


def _encoded(values: pa.Array) -> pa.Array:
    """Return an array with each different value once, unless it is one of texts."""
    import pyarrow as pa

    if is_text(values.type):
        return values
    if pa.types.is_null(values.type):
        values = values.cast(pa.string())
    return values.dictionary_encode()


def wrong_type(values: pa.Array, what: str) -> ValueMistakes:
    """Return the error of a column whose values have another type than one of these."""
    import pyarrow.compute as pc

    row = max(pc.index(pc.is_valid(values), True).as_py(), 0)
    got = shown(values[row]) if len(values) else str(values.type)
    cure = "Name another kind, such as tokens for a list, or another column."
    return ValueMistakes([WrongValue(row, f"must be {what}", got, cure)])


def _written(values: pa.Array) -> pa.Array:
    """Return values of a plain type as people write them; raise `TypeError` if nobody does."""
    import pyarrow as pa

    types, kind = pa.types, values.type
    if is_text(kind):
        return values
    import pyarrow.compute as pc

    if types.is_integer(kind) or types.is_boolean(kind) or types.is_date32(kind):
        return values.cast(pa.string())
    if types.is_floating(kind):
        return _written_floats(values)
    if types.is_decimal(kind):
        return _shortened(values.cast(pa.string()))
    if types.is_date64(kind):
        return values.cast(pa.date32()).cast(pa.string())
    if types.is_timestamp(kind) or types.is_time(kind):
        text = _shortened(values.cast(pa.string()))
        return pc.replace_substring_regex(text, r" 00:00:00Z?$", "")
    raise TypeError(f"values of type {kind}")


def _shortened(text: pa.Array) -> pa.Array:
    """Return decimal fractions without zeros at their ends, and without a point before nothing."""
    import pyarrow.compute as pc

    text = pc.replace_substring_regex(text, r"(\.\d*?)0+(Z?)$", r"\1\2")
    return pc.replace_substring_regex(text, r"\.(Z?)$", r"\1")


def _decoded(values: pa.Array) -> pa.Array:
    """Return bytes as strings."""
    import pyarrow as pa

    try:
        return values.cast(pa.large_string())
    except pa.ArrowInvalid:
        pass
    mistakes = []
    for row, value in enumerate(values.to_pylist()):
        try:
            _ = value if value is None else value.decode()
        except UnicodeDecodeError:
            cure = "Write the table in UTF-8."
            mistakes.append(WrongValue(row, "must be text in UTF-8", value, cure))
            if len(mistakes) == MAX_PROBLEMS:
                break
    raise ValueMistakes(mistakes)


def _written_floats(values: pa.Array) -> pa.Array:
    """Return numbers as text, whole ones without a point."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = values.cast(pa.float64())
    if pa.types.is_float32(values.type) or pa.types.is_float16(values.type):
        numbers = (
            values.cast(pa.float32()).cast(pa.string()).cast(pa.float64())
        )  # 0.1, not 0.1000..
    is_whole = pc.and_(pc.equal(numbers, pc.floor(numbers)), pc.less(pc.abs(numbers), _WHOLE))
    whole = pc.if_else(is_whole, numbers, None).cast(pa.int64()).cast(pa.string())
    missing = pc.is_nan(numbers)
    text = pc.if_else(missing, None, numbers.cast(pa.string()))
    return pc.if_else(is_whole, whole, text)


def _parts(values: pa.Array, indices: NDArray[np.int64] | None) -> Texts:
    """Return an array of strings as parts of one buffer."""
    import pyarrow as pa

    data, bounds = bytes_of(values)
    if _may_have_blanks(data, bounds):
        import pyarrow.compute as pc  # takes longer to load than to read the values of a request

        values = pc.utf8_trim_whitespace(values)
        data, bounds = bytes_of(values)
    unsure = _unsure(data, bounds)  # (m,)
    if unsure.any():
        import pyarrow.compute as pc

        mask = pa.array(unsure)
        normal = pc.utf8_normalize(values.filter(mask), form="NFC")
        values = pc.replace_with_mask(values, mask, normal)
        data, bounds = bytes_of(values)
    starts, ends = bounds[:-1], bounds[1:]
    if values.null_count:
        ends = np.where(values.is_null().to_numpy(zero_copy_only=False), starts, ends)
    return Texts(data, starts, ends, indices)


def _may_have_blanks(data: NDArray[np.uint8], bounds: NDArray[np.int64]) -> bool:
    """Return whether some strings may have blanks at their ends."""
    if (programs := compiled_programs()) is not None:
        given = read_only(data, bounds[:-1], bounds[1:])
        return bool(programs.any_at_ends(*given, _MAY_BE_BLANK))
    is_filled = bounds[1:] > bounds[:-1]
    first, last = data[bounds[:-1][is_filled]], data[bounds[1:][is_filled] - 1]
    return bool(_MAY_BE_BLANK[first].any() or _MAY_BE_BLANK[last].any())


def _unsure(data: NDArray[np.uint8], bounds: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which strings may not be in Unicode's form NFC, (m,)."""
    found = np.zeros(len(bounds) - 1, np.bool_)
    if not len(data) or data.max() < _FIRST_UNSURE:
        return found
    if (programs := compiled_programs()) is not None:
        given = read_only(data, bounds[:-1], bounds[1:], tables().unsure)
        programs.find_unsure(*given, found)
        return found
    (at,) = np.nonzero(data >= _FIRST_UNSURE)
    found[np.searchsorted(bounds, at, "right") - 1] = True
    return found


def bytes_of(values: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the bytes of an array of strings, and where each string begins, (n + 1,)."""
    import pyarrow as pa

    wide = pa.types.is_large_string(values.type) or pa.types.is_large_binary(values.type)
    _, offsets, content = values.buffers()
    if offsets is None or not len(values):
        return np.zeros(0, np.uint8), np.zeros(len(values) + 1, np.int64)
    every: NDArray[Any] = np.frombuffer(offsets, np.int64 if wide else np.int32)
    bounds = every[values.offset : values.offset + len(values) + 1]
    data = np.zeros(0, np.uint8) if content is None else np.frombuffer(content, np.uint8)
    first = int(bounds[0])
    return data[first : bounds[-1]], bounds.astype(np.int64) - first
