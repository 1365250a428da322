"""The metrics of a channel: batch by batch, or as a whole where it is retrieval."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from object2vec.config import Config
from object2vec.network.network import Network
from object2vec.objectives import Objective, RankedChannel
from object2vec.objectives.metrics import Metrics
from object2vec.objects.ragged import Ragged, Rows, offsets_of
from object2vec.pairs.batches import Batch, evaluation_batches, random_generator
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.positives import PairList, Positives

MAX_QUERIES, MAX_CANDIDATES = 10_000, 50_000  # of a channel that is measured by retrieval
_SAMPLE = 7  # names the sample of more among the random choices; 0 to 6 stand in pairs.batches
_TOKENS = 1 << 18  # of sequences that are encoded at once


def measured(
    network: Network,
    pairs: Pairs,
    config: Config,
    known: Positives | None = None,
    objective: Objective | None = None,
    search: AskedChannel | None = None,
) -> dict[str, float]:
    """Return a network's metrics of a channel, dropout off, by name.

    Parameters
    ----------
    network : Network
    pairs : Pairs
    config : Config
    known : Positives, optional
        Of the training channel: its in1 are candidates, too, and its pairs are not to be found.
    objective : Objective, optional
        By default that of the network.
    search : AskedChannel, optional
        What is looked for in the channel, where that is known already.

    Notes
    -----
    By retrieval, each distinct in0 is a query, and the distinct in1 of this channel and of training
    are its candidates. Of more than `MAX_QUERIES` and `MAX_CANDIDATES` a sample is taken, the same
    each time, that holds all that is right.
    """
    objective = objective or network.objective
    was_training = network.training
    network.eval()
    with torch.no_grad():
        if objective.retrieval:
            search = search or AskedChannel.find(pairs, config, known)
            values = dict(objective.retrieved(search.encoded(network, config)))
        else:
            values = _score(network, evaluation_batches(pairs, config), objective)
    network.train(was_training)
    return values


def _score(network: Network, batches: Iterable[Batch], objective: Objective) -> dict[str, float]:
    """Return the metrics over batches."""
    metrics = Metrics(objective, has_all=True)
    for batch in batches:
        metrics.update(network.encoded(batch))
    return metrics.values()


@dataclass(frozen=True, eq=False)
class AskedChannel:
    """What is looked for in a channel that is measured by retrieval, and among what.

    Parameters
    ----------
    queries, candidates : Ragged of length n, N
        Distinct objects of in0 and of in1.
    right, known : pair of int arrays (n + 1,), (m,)
        The candidates that are right for each query, and those that are none of it; see
        `object2vec.objectives.RankedChannel`.
    sizes : pair of int
        Of how many queries and candidates these are a sample.
    """

    queries: Ragged
    candidates: Ragged
    right: PairList
    known: PairList | None
    sizes: tuple[int, int]

    def __str__(self) -> str:
        found = (len(self.queries), len(self.candidates))
        n, among = (
            f"{count:,}" if count == size else f"{count:,} of {size:,}"
            for count, size in zip(found, self.sizes, strict=True)
        )
        return f"{n} objects of in0 look for their partners among {among} of in1."

    @classmethod
    def find(cls, pairs: Pairs, config: Config, known: Positives | None) -> AskedChannel:
        """Return what is looked for in a channel; see `measured`."""
        own = Positives.find(pairs, config)
        generator = random_generator(config.seed, _SAMPLE)
        queries = _sampled(np.arange(len(own.in0)), MAX_QUERIES, generator)  # objects of in0
        owners, partners = own.of(queries)  # (m,), (m,) objects of in1
        right_keys = own.in1.keys[partners]
        every = own.in1.keys if known is None else np.union1d(own.in1.keys, known.in1.keys)
        needed = np.unique(right_keys)
        rest = np.setdiff1d(every, needed, assume_unique=True)
        others = _sampled(rest, MAX_CANDIDATES - len(needed), generator)
        keys = np.sort(np.concatenate([needed, others]))  # (N,)
        right = _listed(owners, np.searchsorted(keys, right_keys), len(queries))
        hidden = None
        if known is not None:
            i, theirs = known.of(known.in0.numbers(own.in0.keys[queries]))
            hidden = _hidden(i, known.in1.keys[theirs], keys, right)
        in0 = pairs.take(own.in0.first[queries]).columns["in0"]
        sizes = len(own.in0), len(every)
        return cls(in0, _sequences(keys, own, known), right, hidden, sizes)

    def encoded(self, network: Network, config: Config) -> RankedChannel:
        """Return it with the embeddings that a network has now."""
        queries, candidates = (
            _encoded(network, side, each, config)
            for side, each in enumerate((self.queries, self.candidates))
        )
        return RankedChannel(queries, candidates, self.right, self.known, network.product)


def _sampled(rows: Rows, most: int, generator: np.random.Generator) -> Rows:
    """Return at most so many of `rows`, in order."""
    if len(rows) <= most:
        return rows
    return np.sort(generator.choice(rows, max(0, most), replace=False))


def _listed(owners: Rows, entries: Rows, length: int) -> PairList:
    """Return lists of entries by their owners, which are in order: offsets (n + 1,), (m,)."""
    return offsets_of(np.bincount(owners, minlength=length)), entries


def _hidden(
    owners: Rows, wanted: NDArray[np.uint64], keys: NDArray[np.uint64], right: PairList
) -> PairList:
    """Return the candidates that each query is known to go with and that are not right for it."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    there = keys[at] == wanted
    owners, at = owners[there], at[there]
    length = len(right[0]) - 1
    right_codes = np.repeat(np.arange(length), np.diff(right[0])) * len(keys) + right[1]
    codes = np.setdiff1d(owners * len(keys) + at, right_codes)
    return _listed(*np.divmod(codes, len(keys)), length)


def _sequences(keys: NDArray[np.uint64], own: Positives, known: Positives | None) -> Ragged:
    """Return the sequences of in1 with these keys, of this channel or else of training."""
    numbers = own.in1.numbers(keys)  # (N,)
    is_own = numbers >= 0
    parts = [own.pairs.take(own.in1.first[numbers[is_own]]).columns["in1"]]
    order = [np.flatnonzero(is_own)]
    if known is not None:
        theirs = known.in1.numbers(keys[~is_own])
        parts.append(known.pairs.take(known.in1.first[theirs]).columns["in1"])
        order.append(np.flatnonzero(~is_own))
    return Ragged.concatenate(parts).take(np.argsort(np.concatenate(order)))


def _encoded(network: Network, side: int, sequences: Ragged, config: Config) -> Tensor:
    """Return the embeddings of sequences as they are compared, (n, D), in flat memory."""
    sequences = sequences.truncated(config.encoders[side].max_seq_len)
    out = network.table(side).weight.new_empty(len(sequences), config.enc_dim)  # (n, D)
    for rows in _by_length(sequences.lengths):
        part = network.encode(side, sequences.take(rows))
        out[torch.from_numpy(rows).to(out.device)] = network.comparable(side, part)
    return out


def _by_length(lengths: Rows) -> Iterator[Rows]:
    """Yield rows of similar length, about `_TOKENS` tokens at once."""
    order = np.argsort(lengths, kind="stable")
    ends = np.cumsum(lengths[order] + 1)
    bounds = np.searchsorted(ends, np.arange(_TOKENS, ends[-1] + _TOKENS, _TOKENS))
    yield from (part for part in np.split(order, bounds) if len(part))
