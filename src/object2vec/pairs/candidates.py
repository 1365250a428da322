"""Each record against every object of in1: all its tokens, of which some are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.config import Config
from object2vec.objects.ragged import PADDING, Ragged


@dataclass(frozen=True, eq=False)
class Targets:
    """Which of all candidates are right for each record.

    Parameters
    ----------
    rows0, rows1 : int64 arrays (m,)
        Candidate ``rows1[i]`` is right for record ``rows0[i]``; records in order.
    """

    rows0: NDArray[np.int64]
    rows1: NDArray[np.int64]


def against_all(columns: dict[str, Any], config: Config) -> tuple[dict[str, Any], Targets]:
    """Return columns whose in1 is each token of in1 by itself, and which of them were there.

    Parameters
    ----------
    columns : dict of str to column
        Of B records, whose in1 holds the tokens that are right.
    config : Config
        Its vocabulary of in1 is what the candidates are, in order; padding is none of them.
    """
    in1: Ragged = columns["in1"]
    first = 0
    if config.mask_padding:
        in1, first = in1.without(PADDING), PADDING + 1
    ids = np.arange(first, config.encoders[1].vocab_size, dtype=np.int32)  # (L,)
    records = np.repeat(np.arange(len(in1)), in1.lengths)  # (m,)
    kept = np.unique(records * len(ids) + (in1.values - first))  # a token twice is right once
    targets = Targets(kept // len(ids), kept % len(ids))
    return {**columns, "in1": Ragged(ids, np.arange(len(ids) + 1))}, targets
