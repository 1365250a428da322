"""The whole value is one token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from object2vec.fields.spans import Spans
from object2vec.fields.values import texts
from object2vec.fields.vocabulary import Tokenised, VocabularyKind
from object2vec.objects.ragged import offsets_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TokenKind(VocabularyKind):
    """The whole value is one token: a name, a number that stands for something, a date, true."""

    name = "token"
    is_single: ClassVar[bool] = True

    def tokens(self, values: pa.Array) -> Tokenised:
        """Return the values that are not missing."""
        found = texts(values)
        is_missing = found.starts == found.ends  # (m,)
        starts, ends = found.starts, found.ends
        if is_missing.any():
            starts, ends = starts[~is_missing], ends[~is_missing]
        offsets = offsets_of((~is_missing).astype(np.int64))
        return Tokenised(found, Spans(found.data, starts, ends, offsets), is_missing)
