"""What every kind of field can do: learn from its values once, then turn values into rows.

A field is a column of a user's table that says something of an object. Its life has two parts. A
`Learner` sees every value once, block by block, and keeps of each block only what is needed later
(ordinals of tokens, say), so that a table is parsed once. It ends as a `Fitted` field, which is
saved with the model and gives the rows of the token table that any values stand for.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from object2vec.config.kinds import Float, ValueKind
from object2vec.errors import ArtifactError, ConfigError
from object2vec.objects.ragged import Ragged

if TYPE_CHECKING:
    import pyarrow as pa

Arrays = dict[str, NDArray[Any]]

MISSING_ROW = 0  # of a field where a value is one token


@dataclass(frozen=True)
class Coverage:
    """How values became rows, in numbers that can be added up.

    Parameters
    ----------
    values : int
        Rows of the column.
    missing : int
        Values that are null or empty.
    tokens : int
        Tokens of all values.
    known : int
        Tokens with a row of their own.
    hashed : int
        Rare or unseen tokens that share a bucket.
    unknown : int
        Rare or unseen tokens that read the row for all of them.
    skipped : int
        Rare or unseen tokens that are left out.
    by_parts : int
        Rare or unseen tokens that their hashed parts stand for. Where there are such parts, none of
        them is counted as a token.
    """

    values: int = 0
    missing: int = 0
    tokens: int = 0
    known: int = 0
    hashed: int = 0
    unknown: int = 0
    skipped: int = 0
    by_parts: int = 0

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(*map(operator.add, astuple(self), astuple(other)))


class WrongValue(NamedTuple):
    """What is wrong with a value: its row in the block, the rule, what breaks it, and the cure."""

    row: int
    must: str
    got: Any
    cure: str


class ValueMistakes(Exception):
    """Some values cannot be read; who knows where they come from turns it into a `DataError`."""

    def __init__(self, mistakes: list[WrongValue]) -> None:
        super().__init__(f"{len(mistakes)} values")
        self.mistakes = mistakes


@dataclass(frozen=True)
class Entry:
    """One row of a vocabulary: what is shown of it, its number, and how often training saw it.

    `token` is None for what has no text, such as a bucket; `note` says what it is then.
    """

    token: str | None
    row: int
    count: int
    note: str = ""


def option(default: Any, value: ValueKind, help: str, *, by_name: bool = True) -> Any:
    """Return the dataclass field of a kind's option: its default, what it may be, what it does.

    With `by_name` it has to be named where it is given, as ``min_count=2``.
    """
    return field(default=default, kw_only=by_name, metadata={"value": value, "help": help})


@dataclass(frozen=True)
class Optioned:
    """What a specification names. A subclass is a frozen dataclass whose fields are its options.

    Attributes
    ----------
    name : str
        What a specification calls it.

    Raises
    ------
    ConfigError
        If an option breaks its rule.
    """

    name: ClassVar[str]

    def __post_init__(self) -> None:
        """Check the options, and give each its type."""
        for each in fields(self):
            given = getattr(self, each.name)
            if given is None and each.default is None:
                continue
            value: ValueKind = each.metadata["value"]
            try:
                object.__setattr__(self, each.name, value.parse(given))
            except (ValueError, TypeError) as err:
                raise self.mistake(each.name, value.rule, given, value.cure) from err

    def mistake(self, option: str, must: str, got: Any, cure: str) -> ConfigError:
        """Return the error of an option."""
        return ConfigError.at(f"{self.name}({option})", must, got, cure)


@dataclass(frozen=True)
class Kind(Optioned, ABC):
    """What a field holds: ``text`` in ``overview:text``.

    Attributes
    ----------
    fitted : type of Fitted
        What its learners end as, and what a saved field is read as.
    takes_spans : bool
        Whether its fields and learners read `TextSpans`, too.

    Parameters
    ----------
    weight : float, default 1
        What each of its tokens begins to count beside those of the side's other fields. Vectors of
        a model hold it: only training reads it.
    """

    fitted: ClassVar[type[Fitted]]
    takes_spans: ClassVar[bool] = False

    weight: float = option(
        1.0, Float(0.01, 100), "what each token begins to count beside those of other fields"
    )

    @abstractmethod
    def learner(self, start: Fitted | None = None) -> Learner:
        """Return what learns a field of this kind from its values.

        Parameters
        ----------
        start : Fitted, optional
            A field of this kind that is known already: its rows stay what they are, and what is new
            gets rows behind them.
        """

    def shares_with(self, other: Kind) -> bool:
        """Return whether fields of both kinds may have one vocabulary, if they count alike."""
        return self == other


def damaged(must: str, got: Any) -> ArtifactError:
    """Return the error of a saved field whose state no field can have."""
    return ArtifactError.at("vocabulary", must, got, "Copy or train the model again.")


class Learner(ABC):
    """Sees the values of a field once, block by block."""

    def beside(self, kind: Kind) -> Learner:
        """Return what learns a field of another kind, one that shares the vocabulary, with it."""
        return self

    def ahead(self, values: Any) -> Any:
        """Return for `observe` what can be made of a block before its turn.

        Threads call it for several blocks, while another one is observed.

        Parameters
        ----------
        values : pyarrow array of length n, or TextSpans if the kind `takes_spans`
            As `observe` takes them.

        Raises
        ------
        ValueMistakes
            If some values are not of this kind.
        """
        return values

    @abstractmethod
    def observe(self, values: Any) -> pa.Array:
        """Return what has to be kept of a block, as long as the block.

        Parameters
        ----------
        values : pyarrow array of length n, TextSpans if the kind `takes_spans`, or from `ahead`
            Null where there is none. Strings may come dictionary-encoded. Block by block in order.

        Raises
        ------
        ValueMistakes
            If some values are not of this kind.
        """

    @abstractmethod
    def finish(self, kept: Iterable[pa.Array] | None = None) -> Fitted:
        """Return the fitted field.

        Parameters
        ----------
        kept : iterable of pyarrow arrays, optional
            What was kept of the records to learn from, if those are not all that were observed.
        """


class Fitted(ABC):
    """A field that has learned. Rows are its own, from 0 to below `size`.

    Attributes
    ----------
    size : int
        Rows of the token table that it needs.
    """

    @property
    @abstractmethod
    def size(self) -> int:
        """Rows of the token table that it needs."""

    @property
    def first_known(self) -> int:
        """The first row of a known token; those before it stand for what is missing or unknown."""
        return 0

    @property
    def has_parts(self) -> bool:
        """Whether each token is read together with its hashed parts, which others share."""
        return False

    def of(self, kind: Kind) -> Fitted:
        """Return the field of another kind that shares the vocabulary."""
        return self

    @abstractmethod
    def rows(self, values: pa.Array) -> tuple[Ragged, Coverage]:
        """Return the rows that values stand for, a sequence for each, and how they became it.

        Raises
        ------
        ValueMistakes
            If some values are not of this kind, or unseen where that is an error.
        """

    def with_words(self, values: pa.Array) -> Fitted:
        """Return the field that knows these words, too, if it reads texts; else the field itself.

        Their rows lie behind all others; a value that is not one word is left alone.
        """
        return self

    @abstractmethod
    def rows_of_kept(self, kept: pa.Array) -> tuple[Ragged, Coverage]:
        """Return the same for a block that `Learner.observe` has kept."""

    def draw(self, count: int, generator: np.random.Generator) -> Ragged | None:
        """Return the rows of so many values that are drawn from all that there could be.

        None where nobody knows what there could be, as of names and texts.
        """
        return None

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Yield its rows, what is known of each."""

    @abstractmethod
    def untrained_rows(self) -> NDArray[np.int64]:
        """Return the rows that no record of training has read, (m,)."""

    @property
    def buckets(self) -> range:
        """The rows that unknown values share by their hashes; none by default."""
        return range(0)

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], Arrays]:
        """Return what its kind's options do not say: JSON values, and arrays by name."""

    @classmethod
    @abstractmethod
    def from_state(cls, kind: Kind, state: Mapping[str, Any], arrays: Arrays) -> Fitted:
        """Return the field with this state; raise `ArtifactError` if it is not a possible one."""
