"""A list of tokens: of a list column, or of text that separators divide."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from object2vec.fields.base import Kind, ValueMistakes, option
from object2vec.fields.kinds.token import TokenKind
from object2vec.fields.options import AnyText
from object2vec.fields.spans import Spans
from object2vec.fields.values import Texts, alone, encoding, is_list, is_text, texts
from object2vec.fields.vocabulary_field import OpenKind, Tokenised
from object2vec.objects.ragged import offsets_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TokensKind(OpenKind):
    """A list of tokens: a list column, or text that a separator divides."""

    name = "tokens"
    separator: str = option(" ", AnyText(), "what divides the tokens of a text", by_name=False)

    def tokens(self, values: pa.Array) -> Tokenised:
        """Return the tokens of lists or of separated text; empty ones are left out.

        Notes
        -----
        A value is missing if it is null or an empty text. A list without tokens is a list.
        """
        import pyarrow.compute as pc

        values, indices = encoding(values)
        missing = values.is_null()
        if is_text(values.type):
            missing = pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(values)), 0).fill_null(True)
            values = pc.split_pattern(values, self.separator)
        is_missing = missing.to_numpy(zero_copy_only=False)
        if not is_list(values.type):
            values = alone(values)
        spans = _of_lists(values)
        nothing = np.zeros(0, np.int64)
        return Tokenised(Texts(spans.text, nothing, nothing, indices), spans, is_missing)


def listed(kind: Kind) -> Kind:
    """Return the kind of lists of what a kind holds; a text is a list of its words already."""
    if not isinstance(kind, TokenKind):
        return kind
    return TokensKind(**{each.name: getattr(kind, each.name) for each in fields(kind)})


def _of_lists(values: pa.Array) -> Spans:
    """Return the elements of lists as tokens, without those that are null or empty."""
    lengths = values.value_lengths().fill_null(0).to_numpy().astype(np.int64)
    offsets = offsets_of(lengths)  # (m + 1,)
    try:
        found = texts(values.flatten())
    except ValueMistakes as err:
        rows = [int(np.searchsorted(offsets, each.row, "right")) - 1 for each in err.mistakes]
        raise ValueMistakes(
            [each._replace(row=row) for each, row in zip(err.mistakes, rows, strict=True)]
        ) from err
    starts, ends = found.spread(found.starts, 0), found.spread(found.ends, 0)  # (t,)
    is_token = ends > starts
    if is_token.all():
        return Spans(found.data, starts, ends, offsets)
    kept_before = offsets_of(is_token.astype(np.int64))  # (t + 1,)
    return Spans(found.data, starts[is_token], ends[is_token], kept_before[offsets])
