"""Names of tokens, and vectors that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import MAX_PROBLEMS, DataError, join_problems, problem, shown
from object2vec.files.contents import Block, line_bounds, read_blocks
from object2vec.files.json import JsonObject, load_json
from object2vec.files.remote import PathLike
from object2vec.files.sources import list_sources
from object2vec.objects.ragged import MAX_ID


@dataclass(frozen=True, eq=False)
class PretrainedVectors:
    """Vectors for some rows of a token table.

    Parameters
    ----------
    rows : int64 array (k,)
        Rows of the table, ascending.
    vectors : float32 array (k, E)
    missing : list of str
        Words of the vocabulary without a vector; their rows keep their random start.
    odd_lines : int
        Lines whose numbers are set apart by tabs or several blanks, not as GloVe and word2vec do.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]
    missing: list[str]
    odd_lines: int = 0


def read_vocabulary(source: PathLike) -> dict[str, int]:
    """Return the id of each token.

    Parameters
    ----------
    source : path
        A file with one JSON object, ``{"the": 1, "of": 2}``.

    Raises
    ------
    DataError
        If it is no JSON object, an id is none, or a token or an id is there twice. Up to 20
        problems are listed.
    """
    entries = _load_object(source)
    problems = list(islice(_vocabulary_problems(str(source), entries), MAX_PROBLEMS))
    if problems:
        raise DataError(join_problems(problems))
    return dict(entries)


def read_vectors(
    source: PathLike,
    vocabulary: Mapping[str, int],
    dim: int,
    *,
    setting: str = "dim",
) -> PretrainedVectors:
    """Return the vectors of the words of `vocabulary`.

    Parameters
    ----------
    source : path
        Text with a word and its numbers on each line, set apart by blanks or tabs, as GloVe has it;
        packed or not. The ``count dim`` line of word2vec may come first.
    vocabulary : mapping of str to int
        Row of each word in the token table.
    dim : int
        E, the numbers of a vector.
    setting : str
        What messages call `dim`.

    Raises
    ------
    DataError
        If a line has too few numbers, is not UTF-8, or the vector of a wanted word holds what is
        no finite number, or a file has fewer vectors than its first line says. Up to 20 problems
        are listed, each with file and line.

    Notes
    -----
    Numbers are counted from the right, as some words of GloVe hold blanks. Of a word that is there
    twice the first counts. The numbers of words that nobody wants are only counted, never parsed.
    """
    reader = VectorReader(vocabulary, dim, setting)
    for file in list_sources(source):
        for block in read_blocks(file):
            reader.read(file.name, block)
            if len(reader.problems) >= MAX_PROBLEMS:
                raise DataError(join_problems(reader.problems))
        reader.end(file.name)
    if reader.problems:
        raise DataError(join_problems(reader.problems))
    rows = np.array(reader.rows, np.int64)  # (k,)
    vectors = np.concatenate([np.zeros((0, dim), np.float32), *reader.vectors])  # (k, E)
    order = np.argsort(rows)
    missing = [word.decode("utf-8", "surrogatepass") for word in reader.wanted]
    return PretrainedVectors(rows[order], vectors[order], missing, reader.odd_lines)


def _load_object(source: PathLike) -> list[tuple[str, Any]]:
    """Return the entries of the JSON object in a file, also those given twice."""
    (file, *others) = list_sources(source)
    cure = 'Write one object, {"the": 1, "of": 2}.'
    if others:
        raise DataError.at(str(source), "must be one file", f"{len(others) + 1} of them", cure)
    text = b"".join(block.data for block in read_blocks(file))
    try:
        entries = load_json(text)
    except ValueError as err:
        must = f"must be a JSON object ({err})"
        raise DataError.at(file.name, must, text[:100], cure) from err
    if not isinstance(entries, JsonObject):
        raise DataError.at(file.name, "must be a JSON object", entries, cure)
    return entries


def _vocabulary_problems(name: str, entries: list[tuple[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with a vocabulary."""
    tokens: set[str] = set()
    owner: dict[int, str] = {}
    for token, index in entries:
        where = f"{name}: token {shown(token)}"
        if token in tokens:
            yield problem(where, "must be there once", "it twice", "Remove one of them.")
        elif type(index) is not int or not 0 <= index <= MAX_ID:
            must = f"must have an integer id in [0, {MAX_ID}]"
            yield problem(where, must, index, "Fix the id.")
        elif index in owner:
            must = f"must have an id of its own, not that of {shown(owner[index])}"
            yield problem(where, must, index, "Give each token its own id.")
        else:
            tokens.add(token)
            owner[index] = token


class VectorReader:
    """Finds the lines of wanted words, block by block."""

    def __init__(self, vocabulary: Mapping[str, int], dim: int, setting: str = "dim") -> None:
        # A text that is no UTF-8 itself (a lone surrogate) is in no file, but it is a token.
        self.wanted = {w.encode("utf-8", "surrogatepass"): row for w, row in vocabulary.items()}
        self.dim, self.setting = dim, setting
        self.rows: list[int] = []
        self.vectors: list[NDArray[np.float32]] = []
        self.problems: list[str] = []
        self.odd_lines = 0
        self.count = 0  # vectors of the file so far
        self.promised: int | None = None  # vectors that its first line tells of

    def read(self, name: str, block: Block) -> None:
        """Take the vectors of a block, or note what is wrong."""
        try:
            block.data.decode()
        except UnicodeDecodeError as err:
            where = _where(name, block, err.start)
            wrong = block.data[err.start : err.start + 10]
            self.problems.append(problem(where, "must be UTF-8 text", wrong, "Convert the file."))
            return
        raw = np.frombuffer(block.data, np.uint8)
        is_blank, is_tab = raw == ord(" "), raw == ord("\t")
        starts, ends = line_bounds(block.data)  # (lines,), (lines,)
        is_space = is_blank | is_tab
        while (trails := (ends > starts) & is_space[ends - 1]).any():
            ends = ends - trails
        if block.first_line == 1:
            self.count, self.promised = 0, self._read_header(name, block.data[: ends[0]])
            starts, ends = (
                part[1:] if self.promised is not None else part for part in (starts, ends)
            )
        starts, ends = starts[ends > starts], ends[ends > starts]
        self.count += len(starts)
        blanks = np.flatnonzero(is_blank)
        after = np.searchsorted(blanks, ends)  # (lines,) blanks up to the end of each line
        is_plain = after - np.searchsorted(blanks, starts) >= self.dim
        word_ends = np.full(len(starts), -1)
        word_ends[is_plain] = blanks[after[is_plain] - self.dim]
        # A tab or a second blank between the numbers: the blanks do not tell where they begin.
        odd = np.flatnonzero(is_tab | (is_blank & np.append(False, is_blank[:-1])))
        is_odd = np.searchsorted(odd, word_ends, side="right") < np.searchsorted(odd, ends)
        self._take(name, block, starts, np.where(is_odd, -1, word_ends), ends)

    def end(self, name: str) -> None:
        """Raise `DataError` if the file that was read is shorter than its first line says."""
        if self.promised is not None and self.count < self.promised:
            must = f"must hold {self.promised} vectors, as its first line says"
            raise DataError.at(name, must, self.count, "Download it again, or correct that line.")

    def _read_header(self, name: str, line: bytes) -> int | None:
        """Return the count of word2vec's first line, if it is one; reject another dimension."""
        fields = line.split()
        is_header = len(fields) == 2 and all(map(bytes.isdigit, fields)) and self.dim > 1
        dim = int(fields[1]) if is_header else len(fields) - 1
        is_vector = dim > 1 and _to_numbers(fields[1:]) is not None
        if dim != self.dim and (is_header or is_vector):
            cure = f"Use another file, or set {self.setting} to {dim}."
            raise DataError.at(f"{name}:1", f"must have {self.dim} numbers", dim, cure)
        return int(fields[0]) if is_header else None

    def _take(
        self,
        name: str,
        block: Block,
        starts: NDArray[np.int64],
        word_ends: NDArray[np.int64],
        ends: NDArray[np.int64],
    ) -> None:
        """Parse the numbers of the lines whose word is wanted; all shapes (lines,).

        Where a line's word ends is -1 if single blanks do not tell.
        """
        found: list[int] = []
        numbers: list[bytes] = []
        bounds = np.stack([starts, word_ends, ends], axis=1).tolist()
        for start, word_end, end in bounds:
            word, fields = block.data[start:word_end], None
            if word_end < 0:
                self.odd_lines += 1
                word, *fields = block.data[start:end].rsplit(None, self.dim)
                if len(fields) < self.dim:
                    self._reject(name, block, start, end)
                    continue
            row = self.wanted.pop(word, None)
            if row is None and len(plain := word.strip(b" \t")) < len(word):
                row = self.wanted.pop(plain, None)
            if row is not None:
                self.rows.append(row)
                found.append(start)
                numbers += fields or block.data[word_end + 1 : end].split(b" ")
        vectors = _to_numbers(numbers)  # (found * E,) or None
        if vectors is not None:
            self.vectors.append(vectors.reshape(len(found), self.dim))  # (found, E)
            return
        for index, start in enumerate(found):
            fields = numbers[index * self.dim : (index + 1) * self.dim]
            wrong = [field.decode() for field in fields if _to_numbers([field]) is None]
            if wrong:
                where, must = _where(name, block, start), f"must have {self.dim} finite numbers"
                self.problems.append(problem(where, must, wrong[0], "Correct or remove the line."))

    def _reject(self, name: str, block: Block, start: int, end: int) -> None:
        """Note a line without enough numbers."""
        if len(self.problems) < MAX_PROBLEMS:
            must, cure = f"must be a word and {self.dim} numbers", "Complete or remove the line."
            got = block.data[start:end].decode()
            self.problems.append(problem(_where(name, block, start), must, got, cure))


def _where(name: str, block: Block, position: int) -> str:
    """Return ``file:line`` of a byte."""
    lines_before = block.data.count(b"\n", 0, position)
    return f"{name}:{block.first_line + lines_before}"


def _to_numbers(fields: list[bytes]) -> NDArray[np.float32] | None:
    """Return the numbers that these texts are, or None if one is no finite number."""
    try:
        with np.errstate(over="ignore"):
            numbers = np.array(fields, np.float32)
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None
