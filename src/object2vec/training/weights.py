"""What tokens count before training: what their fields say, and more if few objects have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from object2vec.fields.schema import ObjectSchema
from object2vec.network.network import Network
from object2vec.objects.ragged import Ragged
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.made import MadePairs

_MADE, _PIECE = 1 << 16, 1 << 13  # pairs that are made to count tokens, in all and at once


@torch.no_grad()
def learn_weights(
    network: Network, pairs: Pairs, schema: ObjectSchema | None, *, goes_on: bool = False
) -> list[str]:
    """Let a network learn what its tokens count, where its configuration or a field says so.

    A token begins with the ``weight`` of its field, times its inverse document frequency
    ``ln((N + 1) / (n + 1)) + 1`` to the power ``idf_exponent``, n of the N training objects of its
    table having it, over the mean of all tokens that they have. A row that many rare tokens share,
    or that training never reads, counts as much as that of a token of one object: the rarest there
    are. The weights of a frozen table stay as they begin.

    Parameters
    ----------
    network : Network
        On its device, before its first step.
    pairs : Pairs
        Those of training.
    schema : ObjectSchema, optional
        What makes the ids of `pairs`.
    goes_on : bool, default False
        Whether its vectors are those of a model, which hold what their tokens count.

    Returns
    -------
    list of str
        What a log says of it, a line for each table.
    """
    config, texts = network.config, []
    for side, table in enumerate(network.tables()):
        size, by = len(table.weight), []
        weights = np.ones(size) if schema is None else schema.weights(side, size)  # (V,)
        if (weights != 1).any():
            by.append("what their fields say")
        if exponent := config.encoders[side].idf_exponent:
            sides = (0, 1) if config.tied_token_embedding_weight else (side,)
            columns = (objects[each] for objects in training_objects(pairs) for each in sides)
            weights *= _idf(columns, side, size, schema) ** exponent
            by.append(f"the objects that have them to the power {exponent:g}")
        if not by:
            continue
        log_weights = torch.from_numpy(np.log(weights).astype(np.float32))
        table.weigh(log_weights.to(table.weight.device), has_weights=goes_on)
        texts.append(
            f"Tokens of in{side} {'have' if table.is_frozen else 'begin with'} weights from "
            f"{weights.min():.3g} to {weights.max():.3g}, by {' and '.join(by)}."
        )
    return texts


def training_objects(pairs: Pairs) -> Iterator[tuple[Ragged, Ragged]]:
    """Yield the objects of both sides; of pairs that are made afresh, those of some first ones."""
    if not isinstance(pairs, MadePairs):
        yield pairs.columns["in0"], pairs.columns["in1"]
        return
    count = min(len(pairs), _MADE)
    for start in range(0, count, _PIECE):
        made = pairs.take(np.arange(start, min(start + _PIECE, count)) * len(pairs) // count)
        yield made.columns["in0"], made.columns["in1"]


def _idf(
    columns: Iterable[Ragged], side: int, size: int, schema: ObjectSchema | None
) -> NDArray[np.float64]:
    """Return the inverse document frequency of each row of a table over their mean, (V,)."""
    counts, total = np.zeros(size, np.int64), 0
    for column in columns:
        counts += document_counts(column, size)
        total += len(column)
    used = counts.copy()  # (V,)
    if schema is not None:
        used[schema.hashed_rows(side)] = 1
    idf = np.log((total + 1) / (np.maximum(used, 1) + 1)) + 1.0  # (V,)
    return idf / np.average(idf, weights=counts) if counts.any() else idf


def document_counts(column: Ragged, size: int) -> NDArray[np.int64]:
    """Return how many of the sequences have each id from 0 to below `size`, (size,).

    Examples
    --------
    >>> document_counts(Ragged.build([[1, 1, 2], [1], []]), 4).tolist()
    [0, 2, 1, 0]
    """
    counts = np.zeros(size, np.int64)
    for _, piece in column.pieces():
        owners = np.repeat(np.arange(len(piece)), piece.lengths)  # (n,)
        found = np.sort(owners * size + piece.values)  # (n,) a sequence's ids side by side
        is_first = np.append(True, found[1:] != found[:-1])[: len(found)]  # (n,)
        counts += np.bincount(found[is_first] % size, minlength=size)
    return counts
