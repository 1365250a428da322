"""``object2vec encode``, ``predict`` and ``evaluate``: a saved model at work, in flat memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from object2vec.cli.options import RowFormat
from object2vec.cli.output import Floats, Piece, format_of, write_rows
from object2vec.cli.tables import Reading
from object2vec.compiled import load as load_compiled
from object2vec.compiled import postponed
from object2vec.config import Config
from object2vec.errors import DataError, join_problems
from object2vec.files.contents import as_stream, read_blocks
from object2vec.files.sources import Source, list_sources
from object2vec.inference.encoder import open_encoder
from object2vec.inference.inputs import Account, Tally, UnknownIds, intakes, rows_at_once
from object2vec.inference.values import Taken, read_values, value_intakes
from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import IGNORED, RECORDS, SIDES, Schema, one_side
from object2vec.reading.jsonl import Chunk, read_columns

if TYPE_CHECKING:
    import pyarrow as pa

    from object2vec.inference.neighbours import Neighbour


_SMALL_BYTES = 1 << 18
_LINE_END = ord("\n")
_LIST_BEGINS = (b"[", b" ", b"\t")
_FIRST_OF_LIST = np.array([ord(character) for character in _LIST_BEGINS], np.uint8)
_BARE_LIST = re.compile(rb"^[ \t]*(\[[^{\n]*\])[ \t]*\r?$", re.MULTILINE)


@postponed()
def encode(
    model: str,
    side: int,
    files: Sequence[str],
    row_format: RowFormat | None,
    out: str | None,
    device: str | None,
    reading: Reading,
) -> None:
    """Write the vectors of the objects that `files` hold for one side.

    Raises
    ------
    ArtifactError, DataError, StorageError
        If the model or the records are wrong, or the vectors cannot be written.
    """
    sources = list_sources(files)
    encoder, tally = open_encoder(model, side, device), Tally()
    if encoder.schema is None:
        reading.reject()
        if not _are_small(sources):
            load_compiled()
        sources = [_with_keys(source, SIDES[side]) for source in sources]
        columns = _read_ids(sources, one_side(side), encoder.config, tally)
    else:
        intake = value_intakes(encoder.schema, encoder.config)[side]
        columns = read_values(reading.table(files, intake), [intake], tally)
    width = encoder.config.enc_dim
    pieces = (
        Piece(encoder.encode(side, taken[side].sequences), _unknown(taken))
        for taken in _pieces(columns, width, tally)
    )
    write_rows(pieces, "embeddings", width, row_format or format_of(out), out)


def _are_small(sources: Sequence[Source]) -> bool:
    """Return whether sources are files that are read faster than what is compiled is loaded."""
    paths = [source.path for source in sources]
    return all(paths) and sum(path.stat().st_size for path in paths if path) <= _SMALL_BYTES


def predict(
    model: str, files: Sequence[str], out: str | None, device: str | None, reading: Reading
) -> None:
    """Write the scores of the pairs that `files` hold.

    Raises
    ------
    ArtifactError, DataError, StorageError
        If the model or the records are wrong, or the scores cannot be written.
    """
    from object2vec.artifact import load
    from object2vec.inference.engine import Engine

    sources = list_sources(files)
    engine, tally = Engine(load(model, device)), Tally()
    if engine.schema is None:
        reading.reject()
        columns = _read_ids(sources, RECORDS.but(label=IGNORED), engine.config, tally)
    else:
        intakes = value_intakes(engine.schema, engine.config)
        columns = read_values(reading.table(files), intakes, tally)
    width = engine.network.objective.width

    def score(taken: dict[int, Taken]) -> Piece:
        scores = engine.score(taken[0].sequences, taken[1].sequences)
        return Piece(scores, _remarks(scores, engine.classes, taken))

    write_rows(map(score, _pieces(columns, width, tally)), "scores", width, "jsonl", out)


def nearest(
    model: str,
    queries: Sequence[str],
    sides: tuple[int, int],
    candidates: str | None,
    k: int,
    is_whole: bool,
    device: str | None,
    reading: Reading,
    *,
    as_json: bool,
) -> str:
    """Return the objects of `sides[1]` nearest to those of `sides[0]`, as lines.

    Raises
    ------
    ArtifactError, DataError
        If the model, a query or the candidates are wrong.
    """
    from object2vec.artifact import load_vocabulary, open_model
    from object2vec.inference.neighbours import Objects, find_nearest

    with open_model(model) as folder:
        asked, found = (
            Objects(open_encoder(folder, side, device), side, load_vocabulary(folder, side))
            for side in sides
        )
    schema = found.encoder.schema
    if schema is None:
        reading.reject()
    if candidates is None:
        chosen = found.vocabulary()
    elif schema is None:
        chosen = found.of_ids(_ids_of([candidates], sides[1]))
    else:
        intake = value_intakes(schema, found.encoder.config)[sides[1]]
        chosen = found.of_table(reading.table([candidates], intake))
    lists = find_nearest(queries, asked, found, chosen, k, is_whole=is_whole)
    return "\n".join(_shown(queries, lists, as_json))


def _shown(
    queries: Sequence[str], lists: Sequence[Sequence[Neighbour]], as_json: bool
) -> Iterator[str]:
    """Yield what was found of each query: as JSON, or a line for each neighbour."""
    for query, near in zip(queries, lists, strict=True):
        if as_json:
            found = [each._asdict() for each in near]
            yield json.dumps({"query": query, "nearest": found}, ensure_ascii=False)
        else:
            yield query
            yield from (f"  {each.score:.4f}  {each.object}" for each in near)


def _ids_of(files: Sequence[str], side: int) -> Ragged:
    """Return the sequences of one side of JSON Lines."""
    sources = [_with_keys(source, SIDES[side]) for source in list_sources(files)]
    columns = [chunk.columns[SIDES[side]] for chunk in read_columns(sources, one_side(side))]
    return Ragged.concatenate(columns)


def _read_ids(
    sources: Sequence[Source], schema: Schema, config: Config, tally: Tally
) -> Iterator[dict[int, Taken]]:
    """Yield the sequences of JSON Lines, chunk by chunk, by side."""
    for chunk in read_columns(sources, schema):
        yield _accept(config, chunk, tally)


def _pieces(
    columns: Iterator[dict[int, Taken]], width: int, tally: Tally
) -> Iterator[dict[int, Taken]]:
    """Yield columns a few rows at a time; say at the end what was left out.

    Parameters
    ----------
    width : int
        Numbers that are made of a row.
    """
    step = rows_at_once(width)
    for given in columns:
        rows = len(next(iter(given.values())).sequences)
        for start in range(0, rows, step):
            yield {side: each.slice(start, start + step) for side, each in given.items()}
    tally.say()


def _remarks(
    scores: Floats, classes: Sequence[str] | None, taken: dict[int, Taken]
) -> pa.Array | None:
    """Return what is said of each pair: the likeliest class, and sides without a known token."""
    import pyarrow as pa
    from pyarrow import compute

    remarks = _unknown(taken)  # (n,)
    if classes is None:
        return remarks
    labels = pa.array([f', "label": {json.dumps(name, ensure_ascii=False)}' for name in classes])
    labels = labels.take(pa.array(scores.argmax(axis=1)))  # (n,)
    return labels if remarks is None else compute.binary_join_element_wise(labels, remarks, "")


def _unknown(taken: dict[int, Taken]) -> pa.Array | None:
    """Return the sides of each row that have no known token, as an entry of a JSON object."""
    if all(each.is_known.all() for each in taken.values()):
        return None
    import pyarrow as pa

    codes = sum(~each.is_known << side for side, each in taken.items())  # (n,)
    named = ([name for side, name in enumerate(SIDES) if code & 1 << side] for code in range(4))
    entries = [f', "unknown": {json.dumps(names)}' if names else "" for names in named]
    return pa.array(entries).take(pa.array(codes))


def _accept(config: Config, chunk: Chunk, tally: Tally) -> dict[int, Taken]:
    """Return the columns of a chunk as they are encoded, by side, and count what is left out."""
    accepted: dict[int, Taken] = {}
    problems: list[str] = []
    for intake in intakes(config):
        if (column := chunk.columns.get(SIDES[intake.side])) is None:
            continue
        try:
            sequences, omitted = intake.accept(column, chunk.where)
            account = Account.of(omitted)
            tally.count(intake.side, account)
            accepted[intake.side] = Taken(sequences, np.ones(len(sequences), bool), account)
        except UnknownIds as err:
            problems += err.problems
    if problems:
        raise DataError(join_problems(problems))
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
