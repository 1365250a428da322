"""fastText's format, and StarSpace's for labels: words and ``__label__x`` on a line."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from object2vec.reading.tables.formats.base import Format
from object2vec.reading.tables.lines import WholeLines, WrongRows

_PREFIX, _WEIGHT = "__label__", "__weight__:"


class FastTextTable(WholeLines):
    """Lines of words and labels."""

    types: ClassVar = {
        "label": pa.string(),
        "labels": pa.list_(pa.string()),
        "text": pa.string(),
        "weight": pa.string(),
    }

    def column(self, name: str, lines: pa.StringArray) -> pa.Array:
        """Return a column of some lines."""
        if name == "text":
            without = pc.replace_substring_regex(lines, rf"(^|\s)({_PREFIX}|{_WEIGHT})\S*", "")
            return pc.utf8_trim_whitespace(without)
        if name == "weight":
            found = pc.extract_regex(lines, rf"(?:^|\s){_WEIGHT}(?P<weight>\S*)")
            return pc.struct_field(found, "weight")  # null on a line without one
        labels = _labels(lines)
        if name == "labels":
            return labels
        wrong = np.flatnonzero(pc.not_equal(pc.list_value_length(labels), 1)).tolist()
        if wrong:
            must = f"must have one {_PREFIX} for the column label"
            raise WrongRows(wrong, must, "Use the column labels, a list of all of a line.")
        return labels.flatten()


def _labels(lines: pa.StringArray) -> pa.ListArray:
    """Return the words that are labels, without what says so."""
    words = pc.utf8_split_whitespace(lines)
    flat = words.flatten()
    is_label = pc.starts_with(flat, _PREFIX)
    before = np.concatenate([[0], np.cumsum(is_label.to_numpy(zero_copy_only=False))])
    offsets = before[words.offsets.to_numpy() - words.offsets[0].as_py()]
    labels = pc.utf8_slice_codeunits(flat.filter(is_label), len(_PREFIX))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), labels)


FAST_TEXT_FORMAT = Format(
    "fasttext",
    "words with `__label__x` among them (fastText, StarSpace): `text` without the labels, "
    "`label` where every line has one, `labels` as lists, `weight` from `__weight__:x`",
    FastTextTable,
    shows=lambda head: head.lstrip().startswith(_PREFIX.encode()),
)
