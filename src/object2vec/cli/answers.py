"""``object2vec encode``, ``predict`` and ``evaluate``: a saved model answers, in flat memory."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from object2vec.cli.output import Floats, RowFormat, write_rows
from object2vec.config import Config
from object2vec.errors import MAX_PROBLEMS, DataError, join_problems
from object2vec.files.sources import Source, list_sources, read_blocks
from object2vec.inference.pooled import open_pooled
from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import IGNORED, RECORDS
from object2vec.reading.jsonl import Chunk, read_columns

if TYPE_CHECKING:
    from object2vec.model import Object2Vec

_ROWS, _NUMBERS = 1 << 12, 1 << 22  # of one answer at the most; the rest of a chunk waits as ids
_LINE_END = ord("\n")
_LIST_BEGINS = (b"[", b" ", b"\t")
_FIRST_OF_LIST = np.array([ord(character) for character in _LIST_BEGINS], np.uint8)
_BARE_LIST = re.compile(rb"^[ \t]*(\[.*\])[ \t]*\r?$", re.MULTILINE)


def encode(
    path: str,
    side: int,
    files: Sequence[str],
    row_format: RowFormat,
    out: str | None,
    device: str | None,
) -> None:
    """Write the vectors of the objects that `files` hold for one side.

    Raises
    ------
    ArtifactError, DataError, StorageError
        If the model or the records are wrong, or the vectors cannot be written.
    """
    sources = [_with_keys(source, f"in{side}") for source in list_sources(files)]
    config, vectors = _encoder(path, side, device)
    width = config.enc_dim
    schema = RECORDS.but(**{f"in{1 - side}": IGNORED, "label": IGNORED})

    def answers() -> Iterator[Floats]:
        for chunk in read_columns(sources, schema):
            column = chunk.columns[f"in{side}"]
            _check_ids(config, chunk)
            for start, stop in _pieces(len(chunk), width):
                yield vectors(column.slice(start, stop))

    write_rows(answers(), "embeddings", width, row_format, out)


def predict(path: str, files: Sequence[str], out: str | None, device: str | None) -> None:
    """Write the scores of the pairs that `files` hold.

    Raises
    ------
    ArtifactError, DataError, StorageError
        If the model or the records are wrong, or the scores cannot be written.
    """
    sources = list_sources(files)
    model = _load(path, device)

    def answers() -> Iterator[Floats]:
        for chunk in read_columns(sources, RECORDS.but(label=IGNORED)):
            in0, in1 = chunk.columns["in0"], chunk.columns["in1"]
            _check_ids(model.config, chunk)
            for start, stop in _pieces(len(chunk), model.artifact.network.objective.width):
                yield model.predict(in0=in0.slice(start, stop), in1=in1.slice(start, stop))

    write_rows(answers(), "scores", model.artifact.network.objective.width, "jsonl", out)


def evaluate(path: str, files: Sequence[str], compat: bool | None, device: str | None) -> str:
    """Return the metrics on labelled pairs as one JSON object.

    Raises
    ------
    ArtifactError, DataError
        If the model or the records are wrong.
    """
    list_sources(files)  # a file that is not there is told before torch and the model are loaded
    model = _load(path, device)
    metrics = model.evaluate(list(files), compat_metrics=compat)
    return json.dumps({k: v if math.isfinite(v) else None for k, v in metrics.items()})


def _encoder(path: str, side: int, device: str | None) -> tuple[Config, Callable[[Ragged], Floats]]:
    """Return a model's configuration, and what encodes one side: without PyTorch if that can be."""
    if (pooled := open_pooled(path, side, device)) is not None:
        return pooled.config, pooled.encode
    model = _load(path, device)
    if side:
        return model.config, lambda column: model.encode(in1=column)
    return model.config, lambda column: model.encode(in0=column)


def _load(path: str, device: str | None) -> Object2Vec:
    """Return a model; PyTorch comes with it."""
    from object2vec.model import Object2Vec

    return Object2Vec.load(path, device=device)


def _pieces(rows: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of pieces of `rows` whose answers fit into little memory."""
    step = max(1, min(_ROWS, _NUMBERS // width))
    for start in range(0, rows, step):
        yield start, min(start + step, rows)


def _check_ids(config: Config, chunk: Chunk) -> None:
    """Raise `DataError` with the file and line of ids that the model does not know."""
    problems: list[str] = []
    for encoder in config.encoders:
        if (column := chunk.columns.get(f"in{encoder.side}")) is None:
            continue
        cut = column.truncated(encoder.max_seq_len)
        bad = np.flatnonzero(cut.values >= encoder.vocab_size)[:MAX_PROBLEMS]
        rows = np.searchsorted(cut.offsets, bad, side="right") - 1
        problems += [
            f"{chunk.where(row)}: Inconsistent vocab for in{encoder.side} found. Vocab id "
            f'"{token}" is not less than vocab_size={encoder.vocab_size}. '
            "Use the ids of training."
            for row, token in zip(rows.tolist(), cut.values[bad].tolist(), strict=True)
        ]
    if problems:
        raise DataError(join_problems(problems))


def _with_keys(source: Source, key: str) -> Source:
    """Return a source whose bare lists of ids are records, ``[1, 2]`` as ``{"in0": [1, 2]}``."""
    record = b'{"%b":\\1}' % key.encode()

    def blocks() -> Iterator[bytes]:
        for block in read_blocks(source):
            yield _BARE_LIST.sub(record, block.data) if _has_bare_list(block.data) else block.data

    return Source(source.name, lambda: io.BufferedReader(_Stream(blocks())))


def _has_bare_list(text: bytes) -> bool:
    """Return whether a line may begin with a list; told without a pass of a pattern over it."""
    after = np.frombuffer(text, np.uint8)[1:]  # (n - 1,) what follows each character
    first = after[np.frombuffer(text, np.uint8)[:-1] == _LINE_END]  # of each line but the first
    return text[:1] in _LIST_BEGINS or bool(np.isin(first, _FIRST_OF_LIST).any())


class _Stream(io.RawIOBase):
    """Pieces of bytes as a binary file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` with what comes next and return how much that is."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
