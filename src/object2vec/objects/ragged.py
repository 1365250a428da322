"""A column of sequences without padding: all tokens one after another, and where each row begins.

Cost follows the tokens that are there. Every operation is a gather, by index arithmetic or compiled
code, so it works as well on memory-mapped files as on arrays, and no row is touched in Python.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.compiled import Programs
from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem
from object2vec.files.mapped import release_pages

Rows = NDArray[np.integer[Any]]  # numbers of rows

MAX_ID = 2**31 - 1
PADDING = 0  # the id of no token, which encoders do not see unless mask_padding is false
ID_LIST_RULE = f"must be a list of integers in [0, {MAX_ID}]"

_LIST_CURE = "Pass a list of lists of ids, an integer array or a (values, offsets) pair."
_SCALARS = (int, float, np.integer, np.floating)
_PLAIN = {list, tuple, int, float}
_MANY = 1 << 16  # tokens from which on loading compiled code is worth it
compiled_programs = Programs(
    "object2vec.objects.programs", "object2vec.objects", "Rows are gathered"
)


@dataclass(frozen=True, eq=False)
class Ragged:
    """Sequences of ids of any length.

    Parameters
    ----------
    values : int32 array (n_tokens,)
        Ids of all rows, one row after another; may be a view of a memory-mapped file.
    offsets : int64 array (n + 1,)
        Row i is ``values[offsets[i]:offsets[i + 1]]``; the first offset is 0, the last n_tokens.

    Notes
    -----
    The constructor trusts its arguments; `Ragged.build` checks them.

    Examples
    --------
    >>> column = Ragged.build([[5, 6, 7], [], [8]])
    >>> len(column), column.lengths.tolist()
    (3, [3, 0, 1])
    >>> column.take(np.array([2, 0])).padded().tolist()
    [[8, 0, 0], [5, 6, 7]]
    """

    values: NDArray[np.int32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def powers(self, exponent: float) -> NDArray[np.float32]:
        """Return the length of each row to this power, (n,); 1 of an empty one."""
        lengths = np.maximum(self.lengths, 1).astype(np.float32)
        return lengths ** np.float32(exponent)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row, shape (n,)."""
        return self.offsets[1:] - self.offsets[:-1]  # np.diff takes five times as long for a few

    def row(self, index: int) -> NDArray[np.int32]:
        """Return the ids of one row, shape (length,)."""
        return self.values[self.offsets[:-1][index] : self.offsets[1:][index]]

    def take(self, rows: Rows) -> Ragged:
        """Return these rows, in this order; a row may be asked for more than once.

        Parameters
        ----------
        rows : int array (m,)
        """
        starts = self.offsets[:-1][rows]  # (m,)
        return self._gather(starts, self.offsets[1:][rows] - starts)

    def slice(self, start: int, stop: int) -> Ragged:
        """Return the rows from `start` to before `stop`, without a copy of their ids."""
        start, stop, _ = slice(start, stop).indices(len(self))
        offsets = self.offsets[start : max(start, stop) + 1]  # (m + 1,)
        return Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])

    def pieces(self, tokens: int = 1 << 22) -> Iterator[tuple[int, Ragged]]:
        """Yield the column in pieces of about `tokens` ids: the first row's number and the rows.

        What looks at every id of a column larger than memory goes through its pieces.
        """
        cuts = np.searchsorted(self.offsets, np.arange(tokens, self.offsets[-1], tokens))
        bounds = np.unique(np.concatenate([[0], cuts, [len(self)]])).tolist()
        for start, stop in pairwise(bounds):
            yield start, self.slice(start, stop)
            release_pages(self.values, self.offsets)

    def truncated(self, max_len: int) -> Ragged:
        """Return the rows truncated to their first `max_len` ids; self if none is longer."""
        lengths = self.lengths  # (n,)
        if not (lengths > max_len).any():
            return self
        return self._gather(self.offsets[:-1], np.minimum(lengths, max_len))

    def without(self, token: int) -> Ragged:
        """Return the rows without the id `token`; self if no row holds it."""
        return self.only(self.values != token)

    def only(self, keep: NDArray[np.bool_]) -> Ragged:
        """Return the rows with only those ids for which `keep` (n_tokens,) holds; self if all."""
        if keep.all():
            return self
        kept_before = np.concatenate([[0], np.cumsum(keep)])  # (n_tokens + 1,)
        return Ragged(self.values[keep], kept_before[self.offsets])

    def trimmed(self, token: int) -> Ragged:
        """Return the rows without the ids `token` at their ends; self if no row holds it."""
        others = self.values != token  # (n_tokens,)
        if others.all():
            return self
        behind = np.where(others, np.arange(1, len(others) + 1), 0)  # (n_tokens,)
        ends = np.concatenate([[0], np.maximum.accumulate(behind)])[self.offsets[1:]]  # (n,)
        return self._gather(self.offsets[:-1], np.maximum(ends - self.offsets[:-1], 0))

    def hashes(self) -> NDArray[np.uint64]:
        """Return a number for each row that is the same for equal rows and, nearly, only for them.

        It is the sum of a mixed number for each id and position: of a billion different rows
        two are the same with a chance of 3 %.
        """
        found = np.empty(len(self), np.uint64)
        for start, piece in self.pieces():
            positions = np.arange(len(piece.values)) - np.repeat(piece.offsets[:-1], piece.lengths)
            keys = piece.values.astype(np.uint64) << np.uint64(32) | positions.astype(np.uint64)
            sums = np.zeros(len(keys) + 1, np.uint64)
            np.cumsum(mixed(keys), out=sums[1:])  # modulo 2**64
            found[start : start + len(piece)] = sums[piece.offsets[1:]] - sums[piece.offsets[:-1]]
        return mixed(found)

    def padded(self, width: int | None = None) -> NDArray[np.int32]:
        """Return the rows as one array, filled up on the right with 0.

        Parameters
        ----------
        width : int, optional
            Columns of the array, at least the longest row; that one's length by default.

        Returns
        -------
        int32 array (n, width)

        Raises
        ------
        DataError
            If a row is longer than `width`.
        """
        lengths = self.lengths  # (n,)
        longest = int(lengths.max(initial=0))
        width = longest if width is None else width
        if longest > width:
            raise DataError.at(
                "width", "must be at least the longest row", width, f"Use {longest}."
            )
        table = np.zeros((len(self), width), np.int32)  # (n, T)
        table[np.arange(width) < lengths[:, None]] = self.values
        return table

    def _gather(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Ragged:
        """Return the rows that begin at `starts`, both shapes (m,)."""
        offsets = offsets_of(lengths)  # (m + 1,)
        is_much = offsets[-1] >= _MANY and (starts + lengths).max() <= len(self.values)
        if is_much and (programs := compiled_programs()) is not None:
            copied = np.empty(offsets[-1], self.values.dtype)  # (new n_tokens,)
            programs.copy_rows(self.values, starts, offsets, copied)
            return Ragged(copied, offsets)
        return Ragged(self.values[run_indices(starts, lengths)[0]], offsets)

    @staticmethod
    def concatenate(parts: Sequence[Ragged]) -> Ragged:
        """Return the rows of all `parts`, one part after another."""
        lengths = [part.lengths for part in parts]
        values = [part.values for part in parts]
        no_tokens, no_rows = np.zeros(0, np.int32), np.zeros(0, np.int64)
        return Ragged(
            np.concatenate([no_tokens, *values]), offsets_of(np.concatenate([no_rows, *lengths]))
        )

    @staticmethod
    def of_lists(rows: Sequence[list[int]]) -> Ragged:
        """Return the column of lists that are known to hold ids alone; `build` checks them."""
        offsets = offsets_of(np.fromiter(map(len, rows), np.int64, len(rows)))  # (n + 1,)
        ids = chain.from_iterable(rows)
        return Ragged(np.fromiter(ids, np.int32, int(offsets[-1])), offsets)

    @staticmethod
    def singles(tokens: NDArray[np.int32]) -> Ragged:
        """Return sequences of one token each."""
        return Ragged(tokens, np.arange(len(tokens) + 1))

    @classmethod
    def build(cls, rows: Any, where: str = "in0") -> Ragged:
        """Return the column that `rows` describe.

        Parameters
        ----------
        rows : Ragged, iterable, array, tuple of two arrays or pyarrow array
            A list of sequences of int or an array of shape (n, T) holds a sequence per row; a list
            of int or an array of shape (n,) one token per row; two arrays are (values, offsets).
            An array is also what numpy can convert: a tensor, a column of a data frame.
        where : str, default "in0"
            What messages call the column.

        Raises
        ------
        DataError
            If something is not an integer in [0, 2**31 - 1], or the offsets do not fit the values.
            Up to 20 problems are listed, each with its row and position.
        """
        if isinstance(rows, cls):
            return rows
        pyarrow = sys.modules.get("pyarrow")  # who holds an Arrow array has imported it
        if pyarrow and isinstance(rows, (pyarrow.Array, pyarrow.ChunkedArray)):
            return _from_arrow(rows, where)
        if isinstance(rows, tuple) and len(rows) == 2 and all(map(_is_array, rows)):
            return _from_columns(to_array(rows[0], where), to_array(rows[1], where), where)
        if not isinstance(rows, (list, tuple)) and hasattr(rows, "__array__"):
            array = to_array(rows, where)
            if array.dtype != object:
                return _from_array(array, where)
            rows = list(array) if array.ndim else rows
        if not isinstance(rows, Iterable) or isinstance(rows, (str, bytes, Mapping, Set)):
            raise DataError.at(where, "must be a column of id sequences", rows, _LIST_CURE)
        return _from_list(rows if isinstance(rows, (list, tuple)) else list(rows), where)


def mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return what SplitMix64 makes of each key, (n,): numbers that look like drawn ones.

    Another one for each key (Steele et al. 2014).
    """
    keys = keys + np.uint64(0x9E3779B97F4A7C15)
    keys = (keys ^ (keys >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    keys = (keys ^ (keys >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return keys ^ (keys >> np.uint64(31))


def to_array(values: Any, where: str) -> NDArray[Any]:
    """Return what numpy makes of an array, a tensor, a data frame's column or a list.

    Raises
    ------
    DataError
        If some values are masked, or it cannot be converted.
    """
    parts = values if isinstance(values, (list, tuple)) else (values,)
    masked = 0
    if any(issubclass(kind, np.ma.MaskedArray) for kind in set(map(type, parts))):
        masks = [np.ma.getmaskarray(each) for each in parts if isinstance(each, np.ma.MaskedArray)]
        masked = sum(map(np.count_nonzero, masks))
    if masked:
        cure = "Fill or drop these rows."
        raise DataError.at(where, "must hold no masked value", f"{masked} of them", cure)
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as err:  # sparse or on a GPU, say
        must, cure = f"must be an array of numbers ({err})", "Convert it to a numpy array first."
        raise DataError.at(where, must, type(values).__name__, cure) from err


def offsets_of(lengths: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Return where rows of these lengths begin and the last one ends, shape (n + 1,)."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def run_indices(starts: Rows, lengths: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of runs, one run after another, and where each begins among them.

    Parameters
    ----------
    starts, lengths : int arrays (m,)
        First index of each run, and how many it has.

    Returns
    -------
    int64 arrays (t,) and (m + 1,)

    Examples
    --------
    >>> [each.tolist() for each in run_indices(np.array([5, 0]), np.array([2, 3]))]
    [[5, 6, 0, 1, 2], [0, 2, 5]]
    """
    offsets = offsets_of(lengths)  # (m + 1,)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths), offsets


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 1


def _is_row(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes, dict, set))


def _from_array(rows: NDArray[Any], where: str) -> Ragged:
    """Read an array (n, T) of sequences or (n,) of single tokens."""
    if rows.ndim not in (1, 2):
        raise DataError.at(where, "must have shape (n,) or (n, T)", rows.shape, _LIST_CURE)
    width = rows.shape[1] if rows.ndim == 2 else 1
    lengths = np.full(len(rows), width, np.int64)
    return _checked(rows.ravel(), offsets_of(lengths), where)  # ravel: (n, T) -> (n * T,)


def _from_columns(values: NDArray[Any], offsets: NDArray[Any], where: str) -> Ragged:
    """Read a (values, offsets) pair."""
    cure = "Pass a list, not a tuple, if these are two rows."
    if offsets.dtype.kind not in "iu":
        raise DataError.at(f"{where} offsets", "must be integers", offsets.dtype.name, cure)
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(values):
        ends = offsets[[0, -1]].tolist() if len(offsets) else []
        must = f"must begin with 0 and end with the number of ids, {len(values)}"
        raise DataError.at(f"{where} offsets", must, ends, cure)
    falls = np.flatnonzero(offsets[1:] < offsets[:-1])
    if len(falls):
        got = offsets[falls[0] : falls[0] + 2].tolist()
        raise DataError.at(f"{where}[{falls[0]}]", "must not end before it begins", got, cure)
    return _checked(values, offsets.astype(np.int64, copy=False), where)


def _from_list(rows: Sequence[Any], where: str) -> Ragged:
    """Read a list of sequences, or a list of single tokens."""
    if any(hasattr(kind, "__array__") for kind in set(map(type, rows)) - _PLAIN):
        rows = [_from_element(row, where) for row in rows]
    are_rows = [*map(_is_row, rows)]
    if not any(are_rows):
        return _from_tokens(rows, np.arange(len(rows) + 1), where)
    if not all(are_rows):
        index = are_rows.index(False)
        cure = f"Write [{rows[index]}]." if isinstance(rows[index], int) else "Write a list of ids."
        raise DataError.at(f"{where}[{index}]", ID_LIST_RULE, rows[index], cure)
    offsets = offsets_of(np.fromiter(map(len, rows), np.int64, len(rows)))  # (n + 1,)
    if rows and all(_is_array(row) and row.dtype.kind in "iu" for row in rows):
        return _checked(np.concatenate(rows), offsets, where)
    return _from_tokens(list(chain.from_iterable(rows)), offsets, where)


def _from_element(row: Any, where: str) -> Any:
    """Return an array or a tensor in a list as an array, one without a dimension as its number."""
    if not hasattr(row, "__array__") or isinstance(row, np.generic):
        return row
    array = to_array(row, where)
    return array if array.ndim else array.item()


def _from_tokens(tokens: Sequence[Any], offsets: NDArray[np.int64], where: str) -> Ragged:
    """Read Python numbers; bool is a kind of int in Python, but no id."""
    kinds = set(map(type, tokens))
    strange = {kind for kind in kinds if kind is bool or not issubclass(kind, _SCALARS)}
    if strange:
        positions = (i for i, token in enumerate(tokens) if type(token) in strange)
        _reject(positions, tokens, offsets, where)
    return _checked(np.array(tokens) if tokens else np.zeros(0, np.int32), offsets, where)


def _from_arrow(rows: Any, where: str) -> Ragged:
    """Read a pyarrow list array or integer array, chunked or not, in any of their layouts."""
    import pyarrow as pa
    from pyarrow import compute, types

    if isinstance(rows, pa.ChunkedArray):
        rows = rows.combine_chunks()
    rows = tokens = _decoded(rows)
    is_list = hasattr(rows, "flatten") and not types.is_struct(rows.type)
    if is_list:
        tokens = _decoded(rows.flatten())
    if nulls := rows.null_count or tokens.null_count:
        cure = "Fill or drop these rows."
        raise DataError.at(where, "must hold no null", f"{nulls} of them", cure)
    if not (types.is_integer(tokens.type) or types.is_floating(tokens.type)):
        cure = "Convert it to an integer array."
        raise DataError.at(where, "must be of an integer type", str(tokens.type), cure)
    lengths = np.ones(len(rows), np.int64)
    if is_list:
        lengths = compute.list_value_length(rows).to_numpy()
    return _checked(tokens.to_numpy(), offsets_of(lengths), where)


def _decoded(array: Any) -> Any:
    """Return an Arrow array as its plain values: no dictionary, no runs, no extension."""
    import pyarrow as pa
    from pyarrow import compute, types

    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if types.is_dictionary(array.type):
        array = array.dictionary_decode()
    return compute.run_end_decode(array) if types.is_run_end_encoded(array.type) else array


def _checked(values: NDArray[Any], offsets: NDArray[np.int64], where: str) -> Ragged:
    """Return the column if every value is an id."""
    if values.dtype.kind not in "iufO":
        cure = "Convert it to an integer array."
        raise DataError.at(where, "must be of an integer type", values.dtype.name, cure)
    if values.dtype == np.float16:  # which cannot be compared with the largest id
        values = values.astype(np.float32)
    bad = (values < 0) | (values > MAX_ID)  # (n_tokens,)
    if values.dtype.kind == "f":
        bad |= values != np.floor(values)  # holds for NaN too
    if bad.any():
        _reject(np.flatnonzero(bad).tolist(), values, offsets, where)
    return Ragged(values.astype(np.int32, copy=False), offsets)


def _reject(
    positions: Iterable[int],
    tokens: Sequence[Any] | NDArray[Any],
    offsets: NDArray[np.int64],
    where: str,
) -> None:
    """Raise the error that names the first of these tokens."""
    problems = []
    for position, _ in zip(positions, range(MAX_PROBLEMS), strict=False):
        row = int(np.searchsorted(offsets, position, side="right")) - 1
        token = tokens[position]
        got = token.item() if isinstance(token, np.generic) else token
        cure = f"Fix the id at position {position - offsets[row]}."
        problems.append(problem(f"{where}[{row}]", ID_LIST_RULE, got, cure))
    raise DataError(join_problems(problems))
