"""Pieces of words, by a tokenizer of the package `tokenizers`: trained here, or given as a file."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import ArtifactError, ConfigError, MissingExtraError
from object2vec.fields.parts import Parts, PartsKind
from object2vec.fields.spans import Spans
from object2vec.fields.strings import StringTable
from object2vec.fields.values import texts
from object2vec.fields.vocabulary import Counts
from object2vec.fields.vocabulary_field import Tokenised, VocabularyKind
from object2vec.objects.ragged import offsets_of

if TYPE_CHECKING:
    import pyarrow as pa
    from typing_extensions import Self

    from object2vec.fields.kinds.text import TextKind

_BEGIN = "\u2581"  # of a word
_UNKNOWN = "[UNK]"
_MOST_WORDS = 5_000_000  # that a tokenizer is trained on; counts are scaled down to it
_BATCH = 1 << 14
_AT_ONCE = 1000  # repetitions of a word
_LONGEST_PIECE = 24


def package() -> Any:
    """Return the package `tokenizers`."""
    try:
        import tokenizers
    except ImportError as err:
        cure = "Run: pip install 'object2vec[text]'."
        must = "needs the package tokenizers"
        raise MissingExtraError.at("text(bpe, tokenizer)", must, str(err), cure) from err
    return tokenizers


class Tokenizer:
    """A tokenizer, and its pieces as spans of one buffer.

    Parameters
    ----------
    description : str
        The content of a tokenizer.json.
    """

    def __init__(self, description: str) -> None:
        self._tokenizer = package().Tokenizer.from_str(description)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        pieces = self._tokenizer.get_vocab()
        by_id = [b""] * (max(pieces.values(), default=-1) + 1)
        for piece, number in pieces.items():
            by_id[number] = piece.encode()
        self._content = np.frombuffer(b"".join(by_id), np.uint8)
        self._offsets = offsets_of(np.array([len(piece) for piece in by_id], np.int64))

    def spans(self, values: list[str]) -> Spans:
        """Return the pieces of texts."""
        ids: list[NDArray[np.int64]] = []
        lengths: list[int] = []
        for start in range(0, len(values), _BATCH):
            batch = values[start : start + _BATCH]
            found = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            rows = [each.ids for each in found]
            lengths += map(len, rows)
            ids.append(np.fromiter((i for row in rows for i in row), np.int64))
        of_tokens = np.concatenate([np.zeros(0, np.int64), *ids])
        offsets = offsets_of(np.array(lengths, np.int64))
        bounds = self._offsets
        return Spans(self._content, bounds[of_tokens], bounds[of_tokens + 1], offsets)


@functools.lru_cache(maxsize=8)
def tokenizer_of(description: str) -> Tokenizer:
    """Return the tokenizer that a text describes; raise `ArtifactError` if it describes none."""
    package()
    try:
        return Tokenizer(description)
    # The package raises exceptions of type Exception alone.
    except Exception as err:
        must, cure = "must be what tokenizers writes", "Save the tokenizer again."
        raise ArtifactError.at("tokenizer.json", must, str(err), cure) from err


def read_tokenizer(path: str) -> str:
    """Return the content of a tokenizer.json; raise `ConfigError` if it is not one."""
    try:
        description = Path(path).read_text(encoding="utf-8")
        tokenizer_of(description)
    except (OSError, UnicodeDecodeError, ArtifactError) as err:
        must, cure = "must be the tokenizer.json of a tokenizer", "Name the file that it is in."
        raise ConfigError.at("text(tokenizer)", f"{must} ({err})", path, cure) from err
    return description


def train_tokenizer(words: list[str], counts: Counts, size: int) -> str:
    """Return the tokenizer.json of byte-pair encoding learned from words; the same for the same.

    Parameters
    ----------
    words : list of str
    counts : int64 array (n,)
        How often there is each.
    size : int
        Pieces that it may have.

    Notes
    -----
    A word begins with a sign of its own, which stands for the blank before it. Marks inside or at
    the end of words, which the package offers, number its pieces by chance.
    """
    tokenizers = package()
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=_UNKNOWN))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        show_progress=False,
        special_tokens=[_UNKNOWN],
        max_token_length=_LONGEST_PIECE,
    )
    scale = max(1.0, counts.sum() / _MOST_WORDS)
    times = np.ceil(counts / scale).astype(np.int64).tolist()
    tokenizer.train_from_iterator(_repeated(words, times), trainer)
    return str(tokenizer.to_str())


def _repeated(words: list[str], times: list[int]) -> Iterator[str]:
    """Yield each word so many times, a few of them at once."""
    for word, count in zip(words, times, strict=True):
        for done in range(0, count, _AT_ONCE):
            yield " ".join([_BEGIN + word] * min(count - done, _AT_ONCE))


@dataclass(frozen=True)
class _OfText(VocabularyKind):
    """A kind that a text with pieces becomes when its tokenizer is there."""

    text: TextKind = field(kw_only=True)
    description: str = field(kw_only=True)

    @classmethod
    def of(cls, text: TextKind, description: str) -> Self:
        """Return the kind of a text with a tokenizer, "" if it is to be learned."""
        return cls(
            text=text,
            description=description,
            min_count=text.min_count,
            max_size=text.max_size,
        )

    def __post_init__(self) -> None:
        """Take the options of the text as they are."""

    def own_state(self) -> dict[str, Any]:
        """Return the tokenizer."""
        return {"tokenizer": self.description}

    def policy(self, n_different: int, n_rare: int) -> tuple[str, int]:
        """Return the policy of the text; one unknown row by default, as pieces are rarely new."""
        if self.text.unseen is None and self.text.buckets is None:
            return "unknown", 0
        return self.text.policy(n_different, n_rare)


@dataclass(frozen=True)
class GivenPieces(_OfText):
    """Text in the pieces of a tokenizer that was given as a file."""

    name: ClassVar[str] = "text"

    def tokens(self, values: pa.Array) -> Tokenised:
        """Return the pieces of texts."""
        found = texts(values)
        tokenizer = tokenizer_of(self.description)
        spans = tokenizer.spans(_strings(found.data, found.starts, found.ends))
        return Tokenised(found, spans, found.starts == found.ends)


@dataclass(frozen=True)
class LearnedPieces(_OfText, PartsKind):
    """Text in words that consist of pieces, which are learned with the vocabulary."""

    name: ClassVar[str] = "text"

    def tokens(self, values: pa.Array) -> Tokenised:
        """Return the words of texts."""
        return self.text.tokens(values)

    def trained(self, units: StringTable, counts: Counts) -> PartsKind:
        """Return the kind with a tokenizer of these words."""
        offsets = units.offsets
        words = _strings(units.content, offsets[:-1], offsets[1:])
        return type(self).of(self.text, train_tokenizer(words, counts, self.text.bpe or 0))

    def parts(self, data: NDArray[np.uint8], starts: Counts, ends: Counts) -> Parts:
        """Return the pieces of words."""
        words = [_BEGIN + word for word in _strings(data, starts, ends)]
        return Parts(tokenizer_of(self.description).spans(words))


def _strings(data: NDArray[np.uint8], starts: Counts, ends: Counts) -> list[str]:
    text = data.tobytes()
    bounds = zip(starts.tolist(), ends.tolist(), strict=True)
    return [text[i:k].decode(errors="replace") for i, k in bounds]
