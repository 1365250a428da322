"""What each token is paired with in training, for encoders whose tokens learn from that."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import ConfigError
from object2vec.network.network import Network
from object2vec.objects.ragged import PADDING, Ragged, offsets_of
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.made import MadePairs

_PIECE = 1 << 22  # pairs of tokens that are listed at once
_MOST = 1000  # partners of a token: a step reads all of those of its batch


def find_partners(network: Network, pairs: Pairs) -> list[str]:
    """Let tokens learn from those that they are paired with, where the network is configured to.

    Two tokens are partners if a record of training has one in its in0 and the other in its in1,
    whatever its label.

    Parameters
    ----------
    network : Network
        On its device, before its first step.
    pairs : Pairs
        Those of training.

    Returns
    -------
    list of str
        What a log says of it, a line for each side.

    Raises
    ------
    ConfigError
        If pairs are made afresh each epoch.
    """
    config, texts = network.config, []
    for side, encoder in enumerate(config.encoders):
        if not encoder.partners:
            continue
        if isinstance(pairs, MadePairs):
            must, cure = "must be false where pairs are made of the rows", "Leave it out."
            raise ConfigError.at(config.setting(side, "partners"), must, True, cure)
        sizes = encoder.vocab_size, config.encoders[1 - side].vocab_size
        columns = pairs.columns[f"in{side}"], pairs.columns[f"in{1 - side}"]
        partners = partners_of(*columns, *sizes, has_padding=config.mask_padding, most=_MOST)
        network.table(side).accompany(partners, sizes[1])
        mean = len(partners.values) / max(1, int((partners.lengths > 0).sum()))
        text = f"Tokens of in{side} learn from their partners, {mean:.3g} on average"
        if full := int((partners.lengths == _MOST).sum()):
            text += f"; {full:,} from {_MOST:,} of them, the most that are read"
        texts.append(f"{text}.")
    return texts


def partners_of(
    own: Ragged,
    other: Ragged,
    size: int,
    others: int,
    *,
    has_padding: bool = False,
    most: int = _MOST,
) -> Ragged:
    """Return of each token of one side those of the other that stand beside it in a record.

    Parameters
    ----------
    own, other : Ragged of length n
        Both sides of the records.
    size, others : int
        Ids of each side are below these.
    has_padding : bool, default False
        Whether id 0 is no token.
    most : int
        Of a token with more of them, so many evenly spread ones are returned.

    Returns
    -------
    Ragged of length `size`
        Each partner once, in order.

    Examples
    --------
    >>> records = Ragged.build([[1], [1], [2]]), Ragged.build([[3, 0], [0], [1]])
    >>> partners_of(*records, 3, 4).padded(-1).tolist()
    [[-1, -1], [0, 3], [1, -1]]
    """
    counts = own.lengths.astype(np.int64) * other.lengths  # (n,) pairs of each record
    bounds = np.searchsorted(np.cumsum(counts), np.arange(_PIECE, counts.sum() + _PIECE, _PIECE))
    found, start = np.empty(0, np.int64), 0
    for stop in (bounds + 1).tolist():
        piece = _crossed(own.slice(start, stop), other.slice(start, stop), others)
        found, start = np.union1d(found, piece), stop  # sorted
    tokens, partners = found // others, found % others
    if has_padding:
        kept = (tokens != PADDING) & (partners != PADDING)
        tokens, partners = tokens[kept], partners[kept]
    lengths = np.bincount(tokens, minlength=size)  # (V,)
    rank = np.arange(len(tokens)) - offsets_of(lengths)[tokens]  # among those of its token
    share = np.minimum(most, lengths)[tokens]
    kept = (rank + 1) * share // lengths[tokens] > rank * share // lengths[tokens]
    return Ragged(partners[kept].astype(np.int32), offsets_of(np.minimum(most, lengths)))


def _crossed(own: Ragged, other: Ragged, others: int) -> NDArray[np.int64]:
    """Return all pairs of tokens of the same record, each as one number, (k,)."""
    records = np.repeat(np.arange(len(own)), own.lengths)  # (n,) of each token
    partners = other.take(records)  # sequences of all that are beside it
    tokens = np.repeat(own.values.astype(np.int64), partners.lengths)  # (k,)
    crossed: NDArray[np.int64] = tokens * others + partners.values
    return crossed
