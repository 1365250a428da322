"""Parts of one text: values as they stand in a file, and tokens as vocabularies take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from object2vec.fields.strings import compiled_programs, read_only

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class TextSpans:
    """The n values of a column as parts of the text that they stand in.

    Parameters
    ----------
    text : uint8 array (bytes,)
        UTF-8 without NUL, as it was read.
    starts, ends : int64 arrays (n,)
        Offsets of the values. One that is empty is missing.

    Notes
    -----
    Most values of a column have been met before, and need no more than a look at where they stand;
    only what is left is worth an array. Compiled code makes and reads them.
    """

    text: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, rows: NDArray[np.int64]) -> TextSpans:
        """Return the values of these rows, in this order."""
        return TextSpans(self.text, self.starts[rows], self.ends[rows])

    def array(self) -> pa.Array:
        """Return the values as strings, null where they are missing."""
        import pyarrow as pa

        lengths = self.ends - self.starts  # (n,)
        content = np.empty(int(lengths.sum()) + 8, np.uint8)
        offsets = np.empty(len(self) + 1, np.int32)
        parts = read_only(self.text, self.starts, self.ends)
        compiled_programs().copy_parts(*parts, offsets, content)
        valid = None if lengths.all() else pa.array(lengths > 0).buffers()[1]
        buffers = pa.py_buffer(offsets), pa.py_buffer(content)
        return pa.StringArray.from_buffers(len(self), *buffers, valid)


@dataclass(frozen=True, eq=False)
class Spans:
    """The tokens of n values, each a part of one buffer of bytes; parts may overlap.

    Parameters
    ----------
    text : uint8 array (bytes,)
        UTF-8, normalised (NFC).
    starts, ends : int64 arrays (t,)
        Offsets of the tokens, value by value.
    offsets : int64 array (n + 1,)
        Row i has the tokens from ``offsets[i]`` to before ``offsets[i + 1]``.

    Notes
    -----
    Overlapping parts make n-grams, prefixes of addresses and subwords without a copy: a bigram of
    words that single blanks divide is the part from the first to the second, and a /8 network is
    the first eight characters of an address that is written in bits.
    """

    text: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1
