"""The objects nearest to a query: to a word, a title, a record, or a sum of such.

The vectors of a sum are scaled to length 1 before they are added, as in the analogies of word2vec
(Mikolov et al. 2013, https://arxiv.org/abs/1301.3781): ``king - man + woman``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import DataError, suggestion
from object2vec.evaluation.retrieval import nearest
from object2vec.fields.values import shown, without_dictionary
from object2vec.files.json import strict_json
from object2vec.inference.inputs import Tally, intakes, warn_of
from object2vec.inference.values import as_table, read_values, value_intakes
from object2vec.objectives import objective_of
from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import SIDES

if TYPE_CHECKING:
    from object2vec.inference.encoder import Encoder
    from object2vec.reading.tables import Table

Floats = NDArray[np.float64]

_PIECE = 1 << 16  # candidates that are encoded at once
_ID = re.compile("[0-9]{1,10}")
_SIGN = re.compile(r"\s([+-])\s")
_NAMES = 100_000  # tokens among which a misspelt one is looked for


class Neighbour(NamedTuple):
    """An object, and how similar it is to the query."""

    object: str
    score: float


class Term(NamedTuple):
    """A part of a query, and whether it is added or taken away."""

    sign: int
    value: Any


@dataclass(frozen=True, eq=False)
class Candidates:
    """Objects that may be found.

    Parameters
    ----------
    sequences : Ragged of length N
    names : callable
        Returns what some rows are called.
    """

    sequences: Ragged
    names: Callable[[Sequence[int]], list[str]]


@dataclass(frozen=True)
class Objects:
    """The objects of one side of a model.

    Parameters
    ----------
    encoder : Encoder
    side : {0, 1}
    tokens : mapping of str to int, optional
        Ids of a model of ids, where it has a vocabulary.
    """

    encoder: Encoder
    side: int
    tokens: Mapping[str, int] | None = None

    def parsed(self, query: Any, *, is_whole: bool) -> list[Term]:
        """Return the terms of a query.

        A text is taken apart at + and - between blanks, unless it is a whole or a known token.
        """
        if not isinstance(query, str):
            return [Term(1, query)]
        if is_whole or not _SIGN.search(query) or self._is_token(query):
            return [Term(1, self._read(query))]
        first, *rest = _SIGN.split(query)
        pairs = zip(["+", *rest[::2]], [first, *rest[1::2]], strict=True)
        return [Term(1 if sign == "+" else -1, self._read(text.strip())) for sign, text in pairs]

    def take(self, values: Sequence[Any]) -> Ragged:
        """Return objects as they are encoded.

        Raises
        ------
        DataError
            If one has no token that training knew, or is no object of this side.
        """
        schema, config = self.encoder.schema, self.encoder.config
        if schema is None:
            return self._take_ids(values)
        from object2vec.reading.tables import open_table

        columns = schema.columns(self.side)
        records = [v if isinstance(v, Mapping) else {columns[0]: v} for v in values]
        if len(columns) > 1 and not all(isinstance(value, Mapping) for value in values):
            got = next(value for value in values if not isinstance(value, Mapping))
            must = f"must be a record with the columns {', '.join(columns)}"
            cure = f"Write it as JSON, such as {{{json.dumps(columns[0])}: ...}}."
            raise DataError.at("query", must, got, cure)
        each = value_intakes(schema, config)[self.side]
        (taken,) = (part[self.side] for part in read_values(open_table(records), [each], Tally()))
        warn_of(SIDES[self.side], taken.account.omissions)
        for row in np.flatnonzero(~taken.is_known).tolist():
            must = f"must have a token of in{self.side} that training knew"
            near = suggestion(str(values[row]), self._some_names())
            cure = near.strip() or "Choose another one: `object2vec vocabulary` lists them."
            raise DataError.at("query", must, values[row], cure)
        return taken.sequences

    def _take_ids(self, values: Sequence[Any]) -> Ragged:
        sequences = Ragged.build([self._ids(value) for value in values], "query")
        intake = intakes(self.encoder.config)[self.side]
        sequences, omissions = intake.accept(sequences, lambda row: f"query {values[row]!r}")
        has_token = np.any if intake.mask_padding else np.size
        for row, value in enumerate(values):
            if not has_token(sequences.row(row)):
                must, cure = "must have an id other than 0, which is padding", "Write such an id."
                raise DataError.at("query", must, value, cure)
        warn_of(SIDES[self.side], omissions)
        return sequences

    def candidates(self, given: Any = None) -> Candidates:
        """Return the objects of a table, or column of values or of ids; or all known tokens."""
        schema = self.encoder.schema
        if given is None:
            return self.vocabulary()
        if schema is None:
            return self.of_ids(Ragged.build(given, SIDES[self.side]))
        return self.of_table(as_table(given, schema.columns(self.side), "candidates"))

    def vocabulary(self) -> Candidates:
        """Return the known tokens as objects of their own."""
        schema = self.encoder.schema
        if schema is None:
            size = self.encoder.config.encoders[self.side].vocab_size
            if self.tokens is None:
                ids = np.arange(1, size)
                return _single(ids, lambda rows: [str(ids[row]) for row in rows])
            known = {name: row for name, row in self.tokens.items() if row < size}
            names = list(known)
            return _single(list(known.values()), lambda rows: [names[row] for row in rows])
        pairs = list(self._entries())
        texts = [text for text, _ in pairs]
        return _single([row for _, row in pairs], lambda rows: [texts[row] for row in rows])

    def of_table(self, table: Table) -> Candidates:
        """Return the objects of a table, each called by its values."""
        schema = self.encoder.schema
        assert schema is not None, "our bug: a table for a model of ids"
        each = value_intakes(schema, self.encoder.config)[self.side]
        parts = [part[self.side].sequences for part in read_values(table, [each], Tally())]
        columns = [column for column in each.columns if table.has(column)]

        def names(rows: Sequence[int]) -> list[str]:
            import pyarrow as pa

            blocks = [block.columns for block in table.blocks(columns)]
            chosen = (
                pa.chunked_array([without_dictionary(block[column]) for block in blocks]).take(
                    pa.array(rows)
                )
                for column in columns
            )
            said = zip(*(map(shown, each) for each in chosen), strict=True)
            return ["; ".join(str(value) for value in row if value is not None) for row in said]

        return _different(Ragged.concatenate(parts), names)

    def of_ids(self, sequences: Ragged) -> Candidates:
        """Return objects of a model of ids, each called by its ids."""
        accepted, _ = intakes(self.encoder.config)[self.side].accept(sequences, str)
        return _different(accepted, lambda rows: [str(sequences.row(r).tolist()) for r in rows])

    def encode(self, sequences: Ragged) -> NDArray[np.float32]:
        """Return their vectors, (n, D)."""
        return self.encoder.encode(self.side, sequences)

    def _is_token(self, text: str) -> bool:
        if self.tokens is not None:
            return text in self.tokens
        return self.encoder.schema is not None and any(text == each for each, _ in self._entries())

    def _read(self, text: str) -> Any:
        """Return what a text of the command line says: itself, or a record as JSON."""
        schema = self.encoder.schema
        if (schema is not None and text.startswith("{")) or (schema is None and text[:1] == "["):
            try:
                return strict_json(text)
            except ValueError as err:
                raise DataError.at("query", "must be JSON", text, f"Fix it: {err}.") from err
        return text

    def _ids(self, value: Any) -> list[Any]:
        if isinstance(value, list | tuple | np.ndarray):
            return list(value)
        if self.tokens is not None and str(value) in self.tokens:
            return [self.tokens[str(value)]]
        if self.tokens is None and _ID.fullmatch(str(value)):
            return [int(value)]
        must = "must be an id or a list of ids" if self.tokens is None else "must be a known token"
        raise DataError.at(
            "query",
            must,
            value,
            suggestion(str(value), self._some_names()).strip() or "For example 17 or [17, 4].",
        )

    def _entries(self) -> Iterator[tuple[str, int]]:
        """Yield the known tokens of this side with their rows, and fields if it has several."""
        schema = self.encoder.schema
        assert schema is not None
        columns = schema.columns(self.side)
        is_one = len(schema.declared.sides[self.side]) == 1
        for names, entry in schema.entries(self.side):
            if entry.token is not None and not set(columns).isdisjoint(names.split(",")):
                yield entry.token if is_one else f"{names}: {entry.token}", entry.row

    def _some_names(self) -> list[str]:
        each = (name for name, _ in self._entries()) if self.encoder.schema else self.tokens or ()
        return [name for _, name in zip(range(_NAMES), each, strict=False)]


def find_nearest(
    queries: Iterable[Any],
    asked: Objects,
    found: Objects,
    candidates: Candidates,
    k: int,
    *,
    is_whole: bool = False,
) -> list[list[Neighbour]]:
    """Return the candidates nearest to each query, best first, without the query's own terms.

    Parameters
    ----------
    queries : iterable of str, mapping or list of int
    asked, found : Objects
        Of the side of the queries, and of the side of the candidates.
    candidates : Candidates
    k : int
    is_whole : bool, default False
        Whether + and - in a text are nothing but text.

    Raises
    ------
    DataError
        If a query is no object of its side, or there is no candidate.

    Notes
    -----
    Objects of one side are compared by cosine, those of both as the objective compares them.
    """
    if k < 1:
        raise DataError.at("k", "must be at least 1", k, "Ask for one neighbour or more.")
    terms = [asked.parsed(query, is_whole=is_whole) for query in queries]
    objects = asked.take([term.value for each in terms for term in each])
    vectors = asked.encode(objects).astype(np.float64)  # (t, D)
    whose = np.repeat(np.arange(len(terms)), [len(each) for each in terms])  # (t,)
    signs = np.array([[term.sign] for each in terms for term in each])  # (t, 1)
    if len(whose) > len(terms):
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-300)
    sums = np.zeros((len(terms), vectors.shape[1]))  # (q, D)
    np.add.at(sums, whose, signs * vectors)
    own = objects.hashes() if asked.side == found.side else np.zeros(0, np.uint64)
    similarity = _similarity(asked, found)
    rows, scores = _best(sums, found, candidates, k + (int(np.bincount(whose).max())), similarity)
    hashes = candidates.sequences.take(rows.ravel()).hashes().reshape(rows.shape)  # (q, k + t)
    kept = [
        [i for i in range(len(row)) if not len(own) or hashes[q, i] not in own[whose == q]][:k]
        for q, row in enumerate(rows)
    ]
    names = iter(candidates.names([int(rows[q, i]) for q, each in enumerate(kept) for i in each]))
    return [
        [Neighbour(next(names), float(scores[q, i])) for i in each] for q, each in enumerate(kept)
    ]


def _best(
    queries: Floats,
    found: Objects,
    candidates: Candidates,
    k: int,
    similarity: Literal["cosine", "dot"],
) -> tuple[NDArray[np.int64], Floats]:
    """Return the nearest candidates of each query and their scores, (q, k), in flat memory."""
    rows, scores = np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0))
    for start in range(0, len(candidates.sequences), _PIECE):
        vectors = found.encode(candidates.sequences.slice(start, start + _PIECE))
        here, of_here = nearest(queries, vectors, k, similarity=similarity)
        rows, scores = np.hstack([rows, here + start]), np.hstack([scores, of_here])
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        rows = np.take_along_axis(rows, order, axis=1)
        scores = np.take_along_axis(scores, order, axis=1)
    if not rows.shape[1]:
        raise DataError.at("candidates", "must hold an object", "none", "Add some.")
    return rows, scores


def _similarity(asked: Objects, found: Objects) -> Literal["cosine", "dot"]:
    objective = objective_of(asked.encoder.config)
    is_cosine = objective.head == "layers" or objective.normalized[1] or asked.side == found.side
    return "cosine" if is_cosine else "dot"


def _different(sequences: Ragged, names: Callable[[Sequence[int]], list[str]]) -> Candidates:
    """Return candidates without those that another is equal to, each called as it first was."""
    first = np.sort(np.unique(sequences.hashes(), return_index=True)[1])  # (m,)
    return Candidates(sequences.take(first), lambda rows: names(first[list(rows)].tolist()))


def _single(ids: Any, names: Callable[[Sequence[int]], list[str]]) -> Candidates:
    """Return candidates of one token each."""
    values = np.asarray(ids, np.int32)
    return Candidates(Ragged(values, np.arange(len(values) + 1)), names)
