"""What an encoder takes in: the one way from given sequences to those that are encoded.

Every surface (Python, command line, server, batch transform, the reader without PyTorch) passes its
sequences through an `Intake`. A sequence is read up to the encoder's length and no further: ids
beyond it may be any, and an id before it must be in the vocabulary. What is left out on the way is
counted, so that nothing is lost in silence.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from operator import contains

import numpy as np
from numpy.typing import NDArray

from object2vec.config import Config
from object2vec.errors import MAX_PROBLEMS, ArtifactError, DataError, join_problems
from object2vec.fields.base import Coverage
from object2vec.objects.ragged import PADDING, Ragged
from object2vec.objects.schema import SIDES
from object2vec.reporting.table import coverage_lines

Floats = NDArray[np.float32]
Rows = list[list[int]]
Coverages = dict[str, Coverage]  # by the specification of a field
Vocabularies = tuple[Mapping[str, int] | None, Mapping[str, int] | None]

# What a network encodes at once: more tokens fall out of the caches, more rows out of memory.
_BATCH_TOKENS = 1 << 16
_BATCH_ROWS = 1 << 12
_ROWS, _NUMBERS = 1 << 12, 1 << 22  # of predictions that are held at once, at the most

_log = logging.getLogger("object2vec.inference")


@dataclass(frozen=True, slots=True)
class Omissions:
    """How many sequences of one side were not read as they stood.

    Parameters
    ----------
    truncated : int
        Sequences of which only the first tokens were read.
    padded : int
        Sequences that hold the id 0, which stands for padding and was ignored.
    empty : int
        Sequences without a token, or with padding alone; they are embedded as zeros.
    """

    truncated: int = 0
    padded: int = 0
    empty: int = 0

    @staticmethod
    def of(truncated: int, padded: int, empty: int) -> Omissions:
        """Return these numbers; `NOTHING` itself if there is nothing to be said."""
        return Omissions(truncated, padded, empty) if truncated or padded or empty else NOTHING

    def __add__(self, other: Omissions) -> Omissions:
        return Omissions(
            self.truncated + other.truncated, self.padded + other.padded, self.empty + other.empty
        )

    def __bool__(self) -> bool:
        return bool(self.truncated or self.padded or self.empty)

    def __str__(self) -> str:
        counts = (
            (self.truncated, "truncated"),
            (self.padded, "with id 0, padding, which is ignored"),
            (self.empty, "without tokens, embedded as zeros"),
        )
        return "; ".join(f"{count} {kind}" for count, kind in counts if count)


NOTHING = Omissions()


@dataclass(frozen=True, slots=True)
class Account:
    """What became of objects of one side on their way to the encoder.

    Parameters
    ----------
    omissions : Omissions
    coverage : dict of str to Coverage
        How values became ids, by the specification of a field.
    unknown : int
        Objects without a token that training knew.
    """

    omissions: Omissions = NOTHING
    coverage: Coverages = field(default_factory=dict)
    unknown: int = 0

    @staticmethod
    def of(omissions: Omissions) -> Account:
        """Return the account of ids; `UNREMARKABLE` itself if there is nothing to be said."""
        return UNREMARKABLE if omissions is NOTHING else Account(omissions)

    def __add__(self, other: Account) -> Account:
        names, nothing = dict.fromkeys([*self.coverage, *other.coverage]), Coverage()
        coverage = {
            name: self.coverage.get(name, nothing) + other.coverage.get(name, nothing)
            for name in names
        }
        return Account(self.omissions + other.omissions, coverage, self.unknown + other.unknown)


UNREMARKABLE = Account()


def warn_of(where: str, omissions: Omissions) -> None:
    """Log a warning if something was left out; `where` names the sequences."""
    if omissions:
        _log.warning("%s: sequences read in part: %s.", where, omissions)


class Tally:
    """What became of the objects of both sides, batch after batch."""

    def __init__(self) -> None:
        self._accounts = [UNREMARKABLE, UNREMARKABLE]

    def count(self, side: int, account: Account) -> None:
        """Note what became of some objects of a side."""
        self._accounts[side] += account

    def say(self, where: str = "") -> None:
        """Log what was left out, and what the vocabularies of training do not hold."""
        for name, account in zip(SIDES, self._accounts, strict=True):
            warn_of(f"{where}{name}", account.omissions)
            if account.unknown:
                text = "%s%s: objects without a token that training knew: %d."
                _log.warning(text, where, name, account.unknown)
            named = {f"{name} {of}": each for of, each in account.coverage.items()}
            for text in coverage_lines(named):
                _log.info("%s%s", where, text)


class UnknownIds(DataError):
    """Some ids are not in the vocabulary.

    Parameters
    ----------
    problems : sequence of str
        The first of them, at least one.
    row, position, token : int
        Where the first one stands, and what it is.
    """

    def __init__(self, problems: Sequence[str], row: int, position: int, token: int) -> None:
        super().__init__(join_problems(problems))
        self.problems, self.row, self.position, self.token = problems, row, position, token


@dataclass(frozen=True, slots=True)
class Intake:
    """What one encoder takes in.

    Parameters
    ----------
    side : {0, 1}
    vocab_size, max_seq_len : int
    mask_padding : bool
        Whether the id 0 is padding.
    rowless : frozenset of int
        Ids of its vocabulary file that have no row; they are read as padding.
    """

    side: int
    vocab_size: int
    max_seq_len: int
    mask_padding: bool
    rowless: frozenset[int] = frozenset()

    def accept(
        self, sequences: Ragged, where: Callable[[int], str], limit: int | None = None
    ) -> tuple[Ragged, Omissions]:
        """Return sequences as they are encoded, and what was left out.

        Parameters
        ----------
        sequences : Ragged of length n
        where : callable
            Names a row in messages.
        limit : int, optional
            Tokens to read of a sequence; those of training by default.

        Returns
        -------
        sequences : Ragged of length n
            Truncated; id 0 is still there.
        omissions : Omissions

        Raises
        ------
        UnknownIds
            If an id is not below the size of the vocabulary. The first 20 are listed.
        """
        limit = self.max_seq_len if limit is None else limit
        truncated = 0
        if len(sequences.values) > limit:  # or else no sequence can be longer
            truncated = int(np.count_nonzero(sequences.lengths > limit))
            sequences = sequences.truncated(limit)
        if self._has_unknown(sequences) and self.rowless:
            is_rowless = np.isin(sequences.values, [*self.rowless])
            values = np.where(is_rowless, PADDING, sequences.values).astype(sequences.values.dtype)
            sequences = Ragged(values, sequences.offsets)
        if self._has_unknown(sequences):
            raise self._unknown(sequences, where)
        return sequences, self._omissions(sequences, truncated)

    def _has_unknown(self, sequences: Ragged) -> bool:
        values = sequences.values
        return len(values) > 0 and int(values.max()) >= self.vocab_size

    def pad_rowless(self, ids: list[int]) -> list[int]:
        """Return ids with padding for those that have no row."""
        if self.rowless.isdisjoint(ids):
            return ids
        return [PADDING if each in self.rowless else each for each in ids]

    def accept_known(self, rows: Rows, limit: int | None = None) -> tuple[Rows, Omissions]:
        """Return what `accept` does for lists, of which the ids to be read are in the vocabulary.

        For the few sequences of a request, array operations would cost more than all the rest.
        """
        limit = self.max_seq_len if limit is None else limit
        truncated = sum(map(limit.__lt__, map(len, rows)))
        if truncated:
            rows = [row[:limit] for row in rows]
        elif all(rows) and all(map(all, rows)):  # none is empty or holds a 0
            return rows, NOTHING
        padded = sum(map(contains, rows, repeat(PADDING))) if self.mask_padding else 0
        empty = len(rows) - sum(map(any if self.mask_padding else bool, rows))
        return rows, Omissions.of(truncated, padded, empty)

    def _omissions(self, sequences: Ragged, truncated: int) -> Omissions:
        values, offsets = sequences.values, sequences.offsets
        padded = 0
        if self.mask_padding and np.count_nonzero(values) < len(values):
            kept_before = np.zeros(len(values) + 1, np.int64)
            np.cumsum(values != PADDING, out=kept_before[1:])
            offsets = kept_before[offsets]  # (n + 1,) of what is not padding
            padded = int(np.count_nonzero(np.diff(offsets) < sequences.lengths))
        empty = len(sequences) - int(np.count_nonzero(offsets[1:] > offsets[:-1]))
        return Omissions.of(truncated, padded, empty)

    def _unknown(self, sequences: Ragged, where: Callable[[int], str]) -> UnknownIds:
        """Return the error that names the first ids that are too large, as AWS words it."""
        at = np.flatnonzero(sequences.values >= self.vocab_size)[:MAX_PROBLEMS]  # (k,)
        rows = (np.searchsorted(sequences.offsets, at, side="right") - 1).tolist()
        tokens = sequences.values[at].tolist()
        problems = [
            f"{where(row)}: Inconsistent vocab for in{self.side} found. Vocab id "
            f'"{token}" is not less than vocab_size={self.vocab_size}. Use the ids of training.'
            for row, token in zip(rows, tokens, strict=True)
        ]
        return UnknownIds(problems, rows[0], int(at[0] - sequences.offsets[rows[0]]), tokens[0])


def intakes(config: Config, vocabularies: Vocabularies = (None, None)) -> tuple[Intake, Intake]:
    """Return what the two encoders of a model take in.

    Ids at or above the size of the vocabulary are an error, unless `vocabularies` has them: AWS's
    notebook of genres gives its unknown word such an id, which AWS takes. Where id 0 is padding
    they are read as that.
    """
    first, second = (
        Intake(
            encoder.side,
            encoder.vocab_size,
            encoder.max_seq_len,
            config.mask_padding,
            _rowless(vocabulary, encoder.vocab_size) if config.mask_padding else frozenset(),
        )
        for encoder, vocabulary in zip(config.encoders, vocabularies, strict=True)
    )
    return first, second


def take_ids(
    config: Config,
    sides: Mapping[int, Ragged],
    limits: Sequence[int | None] = (None, None),
    vocabularies: Vocabularies = (None, None),
) -> dict[int, Ragged]:
    """Return sequences of ids as they are encoded, by side; log what is left out.

    Parameters
    ----------
    config : Config
    sides : mapping of {0, 1} to Ragged
    limits : pair of int or None
        Tokens of in0 and in1 to read; those of training by default.
    vocabularies : pair of mappings of str to int, optional
        As of `intakes`.

    Raises
    ------
    UnknownIds
        If an id is not below the size of the vocabulary. The first 20 are listed.
    """
    taken, tally = {}, Tally()
    for side, ids in sides.items():
        where = f"{SIDES[side]} row {{}}".format
        intake = intakes(config, vocabularies)[side]
        taken[side], omissions = intake.accept(ids, where, limits[side])
        tally.count(side, Account.of(omissions))
    tally.say()
    return taken


def _rowless(vocabulary: Mapping[str, int] | None, vocab_size: int) -> frozenset[int]:
    return frozenset(row for row in (vocabulary or {}).values() if row >= vocab_size)


def batches_by_length(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of batches of similar length, each of about as many tokens as fit well.

    Parameters
    ----------
    lengths : int64 array (n,)
        Tokens of each row.

    Yields
    ------
    int64 array (m,)
    """
    order = np.argsort(lengths, kind="stable")  # (n,)
    tokens = np.cumsum(np.maximum(lengths[order], 1))  # (n,)
    start = 0
    while start < len(order):
        used = tokens[start - 1] if start else 0
        stop = int(np.searchsorted(tokens, used + _BATCH_TOKENS, side="right"))
        stop = min(max(stop, start + 1), start + _BATCH_ROWS)
        yield order[start:stop]
        start = stop


def rows_at_once(width: int) -> int:
    """Return how many rows are predicted at once, each with so many numbers; the others wait."""
    return max(1, min(_ROWS, _NUMBERS // width))


def diverged(what: str) -> ArtifactError:
    """Return the error of a model that gives NaN or infinity."""
    cure = "The model has diverged: train it again with a lower learning_rate or another optimizer."
    return ArtifactError.at(what, "must be finite numbers", "nan or inf", cure)
