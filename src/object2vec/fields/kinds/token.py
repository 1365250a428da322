"""The whole value is one token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from object2vec.fields.spans import TextSpans
from object2vec.fields.values import whole_values
from object2vec.fields.vocabulary_field import OpenKind, Tokenised

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TokenKind(OpenKind):
    """The whole value is one token: a name, a number that stands for something, a date, true."""

    name = "token"
    is_single: ClassVar[bool] = True
    takes_spans: ClassVar[bool] = True

    def tokens(self, values: pa.Array | TextSpans) -> Tokenised:
        """Return the values that are not missing."""
        return Tokenised(*whole_values(values))
