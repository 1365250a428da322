"""``object2vec encode``, ``predict`` and ``evaluate``: a saved model at work, in flat memory."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from object2vec.cli.options import RowFormat
from object2vec.cli.output import Floats, write_rows
from object2vec.config import Config
from object2vec.errors import MAX_PROBLEMS, DataError, join_problems
from object2vec.files.sources import Source, as_stream, list_sources, read_blocks
from object2vec.inference.encoder import open_encoder
from object2vec.inference.inputs import NOTHING, Omissions, UnknownIds, intakes, warn_of
from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import IGNORED, RECORDS
from object2vec.reading.jsonl import Chunk, read_columns

_ROWS, _NUMBERS = 1 << 12, 1 << 22  # of one result at the most; the rest of a chunk waits as ids
_LINE_END = ord("\n")
_LIST_BEGINS = (b"[", b" ", b"\t")
_FIRST_OF_LIST = np.array([ord(character) for character in _LIST_BEGINS], np.uint8)
_BARE_LIST = re.compile(rb"^[ \t]*(\[[^{\n]*\])[ \t]*\r?$", re.MULTILINE)


def encode(
    model: str,
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
    encoder = open_encoder(model, side, device)
    schema = RECORDS.but(**{f"in{1 - side}": IGNORED, "label": IGNORED})
    chunks, width = read_columns(sources, schema), encoder.config.enc_dim
    rows = _results(encoder.config, chunks, width, lambda taken: encoder.encode(side, taken[side]))
    write_rows(rows, "embeddings", width, row_format, out)


def predict(model: str, files: Sequence[str], out: str | None, device: str | None) -> None:
    """Write the scores of the pairs that `files` hold.

    Raises
    ------
    ArtifactError, DataError, StorageError
        If the model or the records are wrong, or the scores cannot be written.
    """
    from object2vec.artifact import load
    from object2vec.inference.engine import Engine

    sources = list_sources(files)
    engine = Engine(load(model, device))
    chunks = read_columns(sources, RECORDS.but(label=IGNORED))
    width = engine.network.objective.width
    rows = _results(engine.config, chunks, width, lambda taken: engine.score(taken[0], taken[1]))
    write_rows(rows, "scores", width, "jsonl", out)


def evaluate(model: str, files: Sequence[str], compat: bool | None, device: str | None) -> str:
    """Return the metrics on labelled pairs as one JSON object.

    Raises
    ------
    ArtifactError, DataError
        If the model or the records are wrong.
    """
    list_sources(files)  # a file that is not there is named before torch and the model are loaded
    from object2vec.model import Object2Vec

    loaded = Object2Vec.load(model, device=device)
    metrics = loaded.evaluate(list(files), compat_metrics=compat)
    return json.dumps({k: v if math.isfinite(v) else None for k, v in metrics.items()})


def _results(
    config: Config,
    chunks: Iterator[Chunk],
    width: int,
    compute: Callable[[dict[int, Ragged]], Floats],
) -> Iterator[Floats]:
    """Yield what `compute` makes of the columns of all chunks, a few rows at a time.

    Parameters
    ----------
    width : int
        Numbers that it makes of a row.
    compute : callable
        Takes sequences as they are encoded, by side.
    """
    omissions = [NOTHING, NOTHING]
    step = max(1, min(_ROWS, _NUMBERS // width))
    for chunk in chunks:
        columns = _accept(config, chunk, omissions)
        for start in range(0, len(chunk), step):
            yield compute({k: c.slice(start, start + step) for k, c in columns.items()})
    for side, omitted in enumerate(omissions):
        warn_of(f"in{side}", omitted)


def _accept(config: Config, chunk: Chunk, omissions: list[Omissions]) -> dict[int, Ragged]:
    """Return the columns of a chunk as they are encoded, by side, and count what is left out."""
    accepted: dict[int, Ragged] = {}
    problems: list[str] = []
    for intake in intakes(config):
        if (column := chunk.columns.get(f"in{intake.side}")) is None:
            continue
        try:
            accepted[intake.side], omitted = intake.accept(column, chunk.where)
            omissions[intake.side] += omitted
        except UnknownIds as err:
            problems += err.problems
    if problems:
        raise DataError(join_problems(problems[:MAX_PROBLEMS]))
    return accepted


def _with_keys(source: Source, key: str) -> Source:
    """Return a source whose bare lists of ids are records, ``[1, 2]`` as ``{"in0": [1, 2]}``."""
    record = b'{"%b":\\1}' % key.encode()

    def blocks() -> Iterator[bytes]:
        for block in read_blocks(source):
            yield _BARE_LIST.sub(record, block.data) if _has_bare_list(block.data) else block.data

    return Source(source.name, lambda: as_stream(blocks()))


def _has_bare_list(text: bytes) -> bool:
    """Return whether a line may begin with a list, without a pass of a pattern over the text."""
    after = np.frombuffer(text, np.uint8)[1:]  # (n - 1,) what follows each character
    first = after[np.frombuffer(text, np.uint8)[:-1] == _LINE_END]  # of each line but the first
    return text[:1] in _LIST_BEGINS or bool(np.isin(first, _FIRST_OF_LIST).any())
