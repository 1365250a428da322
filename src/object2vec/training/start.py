"""Going on from a model with other data: its weights, its rows, and rows for what is new."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from object2vec.artifact import Artifact
from object2vec.config import Config, Note
from object2vec.config.table import HYPERPARAMETERS
from object2vec.errors import ConfigError
from object2vec.fields.base import ValueMistakes
from object2vec.fields.schema import ObjectSchema, Part
from object2vec.network.network import Network
from object2vec.objectives import objective_of
from object2vec.objects.ragged import Ragged

_SHAPING = ("Sizes of the input", "Encoders", "Comparator and head", "Token tables")
_OPTIMIZER = "A saved model holds no optimizer state, so that begins anew."


@torch.no_grad()
def start_from(
    network: Network, schema: ObjectSchema | None, start: Artifact, *, has_state: bool = False
) -> Note:
    """Give a new network the weights of a model, and first vectors to the rows of new tokens.

    A token that the model did not know starts as what the model would have read for it: the mean of
    the rows of its buckets, subwords or words, or the row for all that are unknown. One for which
    it would have read nothing starts as the mean of its vocabulary.

    Parameters
    ----------
    network : Network
        With initial weights, on the CPU.
    schema : ObjectSchema or None
        What it reads, grown from that of the model.
    start : Artifact
    has_state : bool, default False
        Whether its optimizer state is known, too.

    Returns
    -------
    Note
        How many rows are known and new, by side.

    Raises
    ------
    ConfigError
        If the network has another shape than the model's, other than more rows, or another head
        for another output layer.
    """
    _check_shapes(network, start)
    optimizer = "" if has_state else _OPTIMIZER
    theirs = start.network.state_dict()
    for name, tensor in network.state_dict().items():
        if not _goes_on(name, network.config, start):
            continue
        known = theirs[name].to(tensor.device)
        if name.startswith("tokens."):
            tensor[: len(known)] = known
        else:
            tensor.copy_(known)
    if schema is None or start.schema is None:
        return Note("info", f"Training goes on from a model. {optimizer}".strip())
    texts = []
    for side in range(len(network.tables())):
        new = _start_new_rows(network.table(side).weight, side, schema, start.schema)
        texts.append(
            f"{schema.table_size(side) - 1 - new:,} rows of in{side} are known, {new:,} new"
        )
    return Note("info", f"Training goes on from a model: {'; '.join(texts)}. {optimizer}".strip())


def _check_shapes(network: Network, start: Artifact) -> None:
    """Raise `ConfigError` if a weight has another shape than that of the model."""
    ours, theirs = network.state_dict(), start.network.state_dict()

    def fits(name: str) -> bool:
        if name not in ours or name not in theirs:
            return False
        a, b = ours[name].shape, theirs[name].shape
        grows = name.startswith("tokens.") and start.schema is not None
        return a == b or (grows and a[1:] == b[1:] and len(ours[name]) >= len(theirs[name]))

    other = [f"{name}={value}" for name, value in _other_settings(network.config, start)]
    needed = {n for n in ours.keys() | theirs.keys() if _goes_on(n, network.config, start)}
    if all(map(fits, needed)):
        return
    must = "must have the architecture of the model that it goes on from"
    cure = "Leave these as they were in the model, or train a new one."
    raise ConfigError.at("start_from", must, ", ".join(other), cure)


def _goes_on(name: str, config: Config, start: Artifact) -> bool:
    """Return whether a weight is taken from a model: another output layer has a head of its own."""
    same = type(objective_of(config)) is type(start.network.objective)
    return same or not name.startswith("head.")


def _other_settings(config: Config, start: Artifact) -> Iterator[tuple[str, Any]]:
    """Yield what shapes a network and is not as in a model."""
    old = start.config.to_dict()
    for name, value in config.to_dict().items():
        field = HYPERPARAMETERS[name].field
        grows = field == "vocab_size" and start.schema is not None
        follows = field == "token_embedding_dim" and value == config.enc_dim
        shapes = HYPERPARAMETERS[name].group in _SHAPING or name == "shared_encoder"
        if shapes and not (grows or follows):
            if value != old[name]:
                yield name, value


def _start_new_rows(weight: Tensor, side: int, schema: ObjectSchema, before: ObjectSchema) -> int:
    """Give rows that a vocabulary has grown by their first vectors; return how many there are."""
    count = 0
    for part, old in zip(schema.vocabularies(side), before.vocabularies(side), strict=True):
        first, end = old.fitted.size, part.fitted.size
        if first == end:
            continue
        count += end - first
        new = _in_table(part, np.arange(first, end))  # (m,)
        weight[new] = weight[_in_table(old, np.arange(first))].mean(dim=0)
        tokens = [(each.row, each.token) for each in part.fitted.entries() if each.row >= first]
        read = _read_before(old, [token for _, token in tokens])
        if read is None:
            continue
        has_any = torch.from_numpy(read.lengths > 0)
        ids, offsets = _in_table(old, read.values), torch.from_numpy(read.offsets[:-1])
        vectors = functional.embedding_bag(ids, weight, offsets, mode="mean")  # (m, E)
        rows = _in_table(part, np.array([row for row, _ in tokens]))  # (m,)
        weight[rows[has_any]] = vectors[has_any]
    return count


def _read_before(old: Part, tokens: list[str | None]) -> Ragged | None:
    """Return the rows that a vocabulary had for tokens it did not know; None if for none."""
    import pyarrow as pa

    try:
        return old.fitted.rows(pa.array(tokens, pa.string()))[0]
    except ValueMistakes:  # no token may be unseen, or they are no values as a table has them
        return None


def _in_table(part: Part, rows: NDArray[Any]) -> Tensor:
    """Return the rows of the token table that some of a vocabulary are, both (m,)."""
    return torch.from_numpy(part.in_table(rows).astype(np.int64))
