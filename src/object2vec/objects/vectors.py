"""Files of vectors that were trained elsewhere, of words that nobody has numbered yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import DataError
from object2vec.files.contents import Block, read_blocks
from object2vec.files.json import strict_json
from object2vec.files.remote import PathLike, is_url
from object2vec.files.sources import list_sources
from object2vec.files.tensors import map_arrays
from object2vec.objects.vocabulary import VectorReader, read_vectors

_TENSORS = ".safetensors"
_TOKENIZER, _LINES = "tokenizer.json", "vocab.txt"


class VectorFile(Protocol):
    """Words with a vector each."""

    @property
    def width(self) -> int:
        """Numbers of a vector."""

    def words(self) -> list[str]:
        """Return the words, in the order of the file; a word may be there twice."""

    def vectors(self, words: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of some of them, (m, width); of one that is there twice the first."""


def open_vectors(location: PathLike) -> VectorFile:
    """Return a file of vectors.

    Parameters
    ----------
    location : path or URL
        Text as GloVe and word2vec have it, packed or not: a word and its numbers on each line. Or a
        safetensors file of this machine with one matrix, whose rows are those of the words in the
        ``tokenizer.json`` (as of model2vec and StaticEmbedding) or ``vocab.txt`` (a word a line)
        beside it.

    Raises
    ------
    DataError
        If it is neither.
    """
    if str(location).endswith(_TENSORS):
        return _Tensors(location)
    return _Text(location)


class _Text:
    """Text with a word and its numbers on each line."""

    def __init__(self, location: PathLike) -> None:
        self._location = location
        self.width = _width(location)

    def words(self) -> list[str]:
        """Return the words."""
        reader = _WordReader(self.width)
        for file in list_sources(self._location):
            for block in read_blocks(file):
                reader.read(file.name, block)
        return [word.strip(b" \t").decode() for word in reader.found]

    def vectors(self, words: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of some words, (m, width)."""
        order = {word: number for number, word in enumerate(words)}
        found = read_vectors(self._location, order, self.width)
        return found.vectors  # in the order of the numbers, of which each has one


class _WordReader(VectorReader):
    """Collects the words of all lines that have enough numbers."""

    def __init__(self, dim: int) -> None:
        super().__init__({}, dim)
        self.found: list[bytes] = []

    def _take(
        self,
        name: str,
        block: Block,
        starts: NDArray[np.int64],
        word_ends: NDArray[np.int64],
        ends: NDArray[np.int64],
    ) -> None:
        for start, word_end, end in np.stack([starts, word_ends, ends], axis=1).tolist():
            word = block.data[start:word_end]
            if word_end < 0:
                word, *numbers = block.data[start:end].rsplit(None, self.dim)
                if len(numbers) < self.dim:
                    continue  # whoever reads the vectors says so
            self.found.append(word)


def _width(location: PathLike) -> int:
    """Return how many numbers the vectors of a text have, from its first line."""
    for file in list_sources(location):
        for block in read_blocks(file):
            fields = block.data.split(b"\n", 1)[0].split()
            if len(fields) == 2 and all(map(bytes.isdigit, fields)):  # count and width: word2vec
                return int(fields[1])
            if len(fields) > 2:
                return len(fields) - 1
            must, cure = "must be a word and its numbers on each line", "Name a file of vectors."
            raise DataError.at(f"{file.name}:1", must, block.data[:80], cure)
    cure = "Name a file of vectors."
    raise DataError.at(str(location), "must hold vectors", "nothing", cure)


class _Tensors:
    """A matrix in a safetensors file, and the words of its rows in another one beside it."""

    def __init__(self, location: PathLike) -> None:
        if is_url(location):
            raise DataError.at(
                str(location), "must be a file of this machine", "a URL", "Download it first."
            )
        path = Path(location)
        matrices = {
            name: array
            for name, array in map_arrays(path).items()
            if array.ndim == 2 and array.dtype.kind == "f"
        }
        if len(matrices) != 1:
            must, cure = "must hold one matrix of vectors", "Save them alone in a file."
            raise DataError.at(str(path), must, f"{len(matrices)}: {', '.join(matrices)}", cure)
        ((_, self._matrix),) = matrices.items()
        self._rows = _rows_beside(path, len(self._matrix))

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return int(self._matrix.shape[1])

    def words(self) -> list[str]:
        """Return the words."""
        return list(self._rows)

    def vectors(self, words: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors of some words, (m, width)."""
        rows = np.array([self._rows[word] for word in words], np.int64)
        return self._matrix[rows].astype(np.float32)


def _rows_beside(path: Path, count: int) -> dict[str, int]:
    """Return the row of each word of a matrix, from the file beside it."""
    tokenizer, lines = path.with_name(_TOKENIZER), path.with_name(_LINES)
    rows: Mapping[str, int] = {}
    if tokenizer.exists():
        try:
            rows = strict_json(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
        except (ValueError, KeyError, TypeError) as err:
            must, cure = 'must hold the words of "model" as {word: row}', f"Write {_LINES} instead."
            raise DataError.at(str(tokenizer), must, str(err), cure) from err
    elif lines.exists():
        words = lines.read_text(encoding="utf-8").splitlines()
        rows = {word: row for row, word in reversed([*enumerate(words)])}
    found = {word: row for word, row in rows.items() if type(row) is int and 0 <= row < count}
    if not found:
        must = f"must have {_TOKENIZER} or {_LINES} beside it, with the word of each row"
        raise DataError.at(str(path), must, "none", "Put the words beside the vectors.")
    return dict(sorted(found.items(), key=lambda item: item[1]))
