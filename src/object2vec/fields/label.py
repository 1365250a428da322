"""The column that says what a pair is worth: numbers, or the names of classes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import MAX_PROBLEMS, DataError
from object2vec.fields.base import ValueMistakes, WrongValue
from object2vec.fields.values import is_text, shown, trimmed, without_dictionary
from object2vec.objects.layouts.number import INFINITE

if TYPE_CHECKING:
    import pyarrow as pa

MOST_DISTINCT = 31  # numbers that are kept: one more than there may be classes by default

_MISTAKEN_SHARE = 0.1  # texts among so many numbers are rather mistakes than classes
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class LabelField:
    """What the labels of training were.

    Parameters
    ----------
    column : str, optional
        None where there is no label: every pair is a positive one.
    classes : tuple of str, optional
        Names of the classes in sorted order, if labels are texts; a label is the index of its name.
    is_integral : bool
        Whether all numbers are whole.
    low, high : float
        The smallest and the largest number.
    distinct : tuple of float
        The different numbers, ascending, up to 31 of them.
    """

    column: str | None = None
    classes: tuple[str, ...] | None = None
    is_integral: bool = True
    low: float = 1.0
    high: float = 1.0
    distinct: tuple[float, ...] = (1.0,)

    def numbers(self, values: pa.Array) -> NDArray[np.float32]:
        """Return labels as numbers, (n,); those of classes are their indices.

        Raises
        ------
        ValueMistakes
            If one is missing, no number where labels are numbers, or no known class.
        """
        if self.classes is None:
            return numbers_of(values, "label").astype(np.float32)
        texts, codes = _encoded(_as_text(values))
        known = {name: index for index, name in enumerate(self.classes)}
        indices = np.array([known.get(text, -1) for text in texts], np.float32)
        labels = indices[codes] if len(texts) else -np.ones(len(codes), np.float32)  # (n,)
        is_unknown = (labels < 0) & (codes >= 0)
        classes = ", ".join(self.classes)
        reject(
            values,
            (codes < 0, *_missing("label")),
            (is_unknown, f"must be one of the classes {classes}", "Fix the label."),
        )
        return labels

    def state(self) -> dict[str, Any]:
        """Return the plain values that `from_state` reads."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> LabelField:
        """Return the field that has this state."""
        classes = state["classes"]
        return cls(
            column=None if state["column"] is None else str(state["column"]),
            classes=None if classes is None else tuple(map(str, classes)),
            is_integral=bool(state["is_integral"]),
            low=float(state["low"]),
            high=float(state["high"]),
            distinct=tuple(map(float, state["distinct"])),
        )


class LabelLearner:
    """Sees the labels once, block by block; until the last one nobody knows what they are.

    Parameters
    ----------
    column : str
    """

    def __init__(self, column: str) -> None:
        self.column = column
        self.is_text = False
        self._low, self._high, self._is_integral = math.inf, -math.inf, True
        self._distinct: set[float] = set()
        self._rows = self._strange = 0  # of texts that came, and of those that are no numbers

    def observe(self, values: pa.Array) -> pa.Array:
        """Return what has to be kept of a block: numbers, or a dictionary of texts."""
        import pyarrow as pa

        if not is_textual(values):
            self._count(kept := numbers_of(values, "label"))
            return pa.array(kept)
        values = _as_text(values)
        if not self.is_text and (found := _parsed(values.dictionary)) is not None:
            self._count(found)
        else:
            self.is_text = True
        self._rows += len(values)
        mistyped = self._mistyped(values) if self.is_text else ()
        reject(values, (_is_null(values), *_missing("label")), *mistyped)
        return values

    def _mistyped(self, values: pa.DictionaryArray) -> Iterator[tuple[NDArray[np.bool_], str, str]]:
        """Yield what to reject of texts that are neither all numbers nor names of classes."""
        texts, codes = _encoded(values)
        if not texts:
            return
        is_number = np.array([_number(text) is not None for text in texts])
        is_strange = ~is_number[codes] & (codes >= 0)  # (n,)
        self._strange += int(is_strange.sum())
        if self._strange < _MISTAKEN_SHARE * self._rows:
            cure = "Fix or remove the row; where labels are classes, give each a name."
            yield is_strange, "must have a number as label, like nearly all rows", cure

    def _count(self, numbers: Numbers) -> None:
        """Take note of numbers."""
        if not len(numbers):
            return
        self._low = min(self._low, float(numbers.min()))
        self._high = max(self._high, float(numbers.max()))
        self._is_integral &= bool((numbers == np.floor(numbers)).all())
        if len(self._distinct) < MOST_DISTINCT:
            self._distinct.update(np.unique(numbers)[:MOST_DISTINCT].tolist())

    def finish(self, kept: Iterable[pa.Array]) -> LabelField:
        """Return the field of everything that was observed; texts are read again in `kept`."""
        if not self.is_text:
            distinct = tuple(sorted(self._distinct)[:MOST_DISTINCT])
            return LabelField(self.column, None, self._is_integral, self._low, self._high, distinct)
        names: set[str] = set()
        for block in kept:
            names.update(block.dictionary.to_pylist())
        if len(names) < 2:
            must, cure = "must have at least two classes", "Leave the label away to learn pairs."
            raise DataError.at(f"column {self.column}", must, sorted(names), cure)
        strange = [name for name in names if _number(name) is None]
        if strange and all(_DECIMAL_COMMA.fullmatch(name) for name in strange):
            must, cure = "must have numbers with a decimal point", "Write 3.5, not 3,5."
            raise DataError.at(f"column {self.column}", must, min(strange), cure)
        if 2 * len(strange) < len(names):  # "other" among grades, or a slip among ratings
            must = "must hold numbers only, or names of classes only"
            cure = (
                "Fix or remove the rows that hold it; where labels are classes, give each a name."
            )
            raise DataError.at(f"column {self.column}", must, min(strange), cure)
        return LabelField(self.column, tuple(sorted(names)))


def is_textual(values: pa.Array) -> bool:
    """Return whether values are texts, in a dictionary or not."""
    from pyarrow import types

    return is_text(values.type.value_type if types.is_dictionary(values.type) else values.type)


def numbers_of(values: pa.Array, what: str, *, above: float = -math.inf) -> Numbers:
    """Return the numbers that values are or spell, (n,).

    Parameters
    ----------
    values : pyarrow array of length n
    what : str
        What messages call one of them.
    above : float, optional
        What each must be greater than.

    Raises
    ------
    ValueMistakes
        If one is missing, no number that a float32 can hold, or too small.
    """
    values = _as_text(values) if is_textual(values) else values
    is_missing, numbers = _is_null(values), _spelled(values)  # (n,), (n,)
    is_number = np.abs(numbers) < INFINITE  # (n,)
    reject(
        values,
        (is_missing, *_missing(what)),
        (~is_number & ~is_missing, f"must have a finite number as {what}", "Fix the number."),
        (
            is_number & (np.where(is_number, numbers, 0).astype(np.float32) <= above),
            f"must have a {what} above {above:g}",
            "Remove the row.",
        ),
    )
    return numbers


def _spelled(values: pa.Array) -> Numbers:
    """Return the number that each value is or spells, NaN where it is no number, (n,)."""
    from pyarrow import compute, types

    if is_textual(values):
        texts, codes = _encoded(values)
        parsed = _parsed(values.dictionary)
        if parsed is None:
            each = [_number(text) for text in texts]
            parsed = np.array([math.nan if number is None else number for number in each])
        return np.append(parsed, math.nan)[codes]
    plain = without_dictionary(values)
    kinds = (types.is_boolean, types.is_integer, types.is_floating, types.is_decimal)
    if not any(test(plain.type) for test in kinds):
        return np.full(len(values), math.nan)
    numbers = compute.cast(plain, "float64", safe=False)
    return np.asarray(compute.fill_null(numbers, math.nan).to_numpy())


def _number(text: str) -> float | None:
    """Return the number that a text spells, if it does."""
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def _parsed(texts: pa.Array) -> Numbers | None:
    """Return the numbers that texts spell, (n,); None if one spells none."""
    import pyarrow as pa
    from pyarrow import compute

    try:
        return np.asarray(compute.cast(texts, pa.float64()).to_numpy())
    except pa.ArrowInvalid:
        return None


def _as_text(values: pa.Array) -> pa.DictionaryArray:
    """Return texts in a dictionary: without blanks around them, in NFC, null where empty."""
    import pyarrow as pa
    from pyarrow import compute, types

    if not types.is_dictionary(values.type):
        plain = values if is_textual(values) else compute.cast(values, pa.string())
        values = compute.dictionary_encode(plain)
    texts = compute.utf8_normalize(compute.cast(values.dictionary, pa.string()), "NFC")
    texts = trimmed(texts)
    codes = compute.cast(values.indices, pa.int32())
    if texts.null_count or len(compute.unique(texts)) < len(texts):  # two became one, or none
        again = compute.dictionary_encode(texts)
        return pa.DictionaryArray.from_arrays(again.indices.take(codes), again.dictionary)
    return pa.DictionaryArray.from_arrays(codes, texts)


def _encoded(values: pa.DictionaryArray) -> tuple[list[str], NDArray[np.int32]]:
    """Return the texts of a dictionary, and which of them each value is, -1 for none."""
    codes = values.indices.fill_null(-1).to_numpy()
    return values.dictionary.to_pylist(), codes


def _is_null(values: pa.Array) -> NDArray[np.bool_]:
    from pyarrow import compute

    return np.asarray(compute.is_null(values, nan_is_null=True).to_numpy(zero_copy_only=False))


def _missing(what: str) -> tuple[str, str]:
    return f"must have a {what}", "Fill it in or remove the row."


def reject(values: pa.Array, *checks: tuple[NDArray[np.bool_], str, str]) -> None:
    """Raise the mistakes of values: for each check those that are bad, what they must, the cure."""
    mistakes = [
        WrongValue(row, must, shown(values[row]), cure)
        for is_bad, must, cure in checks
        for row in np.flatnonzero(is_bad)[:MAX_PROBLEMS].tolist()
    ]
    if mistakes:
        raise ValueMistakes(sorted(mistakes, key=lambda mistake: mistake.row)[:MAX_PROBLEMS])
