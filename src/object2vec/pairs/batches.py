"""Batches: which records go together, in which order, and how they are fetched from the columns.

The plan of an epoch is a function of the seed and the epoch's number, and the negatives of a batch
one of the seed, the epoch and the batch: nothing is remembered between batches, so a run can go on
from any of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from object2vec.config import Config
from object2vec.errors import DataError
from object2vec.objectives import objective_of
from object2vec.objects.ragged import Ragged, Rows
from object2vec.objects.schema import SIDES
from object2vec.pairs.block_pairing import BlockPairing
from object2vec.pairs.candidates import Targets, against_all
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.negatives import NO_NEGATIVES, Negatives, Pairing, draw_pairing
from object2vec.pairs.order import RandomOrder
from object2vec.pairs.positives import PairList, Positives
from object2vec.pairs.rivals import RivalFinder

_ORDER, _NEGATIVES, _FILL, _, _EVALUATION, _TOKENS, _SHARED = range(7)  # 3: dropout masks
_TRIES = 20  # to draw a record of another group
_LISTED = 1 << 20  # records whose order is a list; that of more is computed as it is needed

Bucket = Rows | range  # those of similar length


def random_generator(seed: int, *key: int) -> np.random.Generator:
    """Return the generator of one random choice, named by `key`."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


@dataclass(frozen=True, eq=False)
class Batch:
    """The records of one update.

    Parameters
    ----------
    columns : mapping of str to column
        Sequences to encode: P of in0, P or more of in1; of what else the pairs have, B rows each.
    pairing : Pairing or None
        How the embeddings make the B records; None when row i goes with row i.
    excluded : pair of int64 arrays (m,), optional
        Records i and rows j of in1 that are no negatives of each other, i in order.
    log_q : float32 array (Q,), optional
        Logarithm of how often each row of in1 is expected in a batch.
    """

    columns: Mapping[str, Any]
    pairing: Pairing | BlockPairing | Targets | None
    excluded: PairList | None = None
    log_q: NDArray[np.float32] | None = None

    @property
    def in0(self) -> Ragged:
        """Sequences of side 0."""
        return cast(Ragged, self.columns["in0"])

    @property
    def in1(self) -> Ragged:
        """Sequences of side 1."""
        return cast(Ragged, self.columns["in1"])

    @property
    def label(self) -> NDArray[np.float32]:
        """Labels, shape (B,)."""
        return cast("NDArray[np.float32]", self.columns["label"])

    @property
    def weight(self) -> NDArray[np.float32] | None:
        """What each record counts in training, shape (B,), 1 on average; None where all do."""
        return self.columns.get("weight")

    def __len__(self) -> int:
        return len(self.label)

    def thinned(self, share: float, generator: np.random.Generator) -> Batch:
        """Return the batch with such a share of its tokens left out, drawn by the generator.

        A sequence that would lose all of them keeps them.
        """
        sides = SIDES[:1] if isinstance(self.pairing, Targets) else SIDES  # else candidates go
        thin = {name: _thinned(self.columns[name], share, generator) for name in sides}
        return replace(self, columns={**self.columns, **thin})


class TrainingBatches:
    """The batches of training epochs: shuffled, bucketed, with negatives.

    Parameters
    ----------
    pairs : Pairs
    config : Config

    Notes
    -----
    `mini_batch_size` counts records, negatives included, as on AWS: with a rate r a batch holds
    ``mini_batch_size // (1 + r)`` positives, and an epoch as many updates as AWS's.

    Where pairs are made in blocks, those are what is shuffled, and a batch holds so many of them
    that it has about `mini_batch_size` pairs.

    Weights are divided by the mean of the channel's, so that a learning rate means what it means
    without them; a negative has the weight of its positive.
    """

    def __init__(self, pairs: Pairs, config: Config) -> None:
        self.pairs = pairs
        self.config = config
        self.blocks, size = pairs.blocks(config), config.mini_batch_size
        if self.blocks is None:
            self.negatives = Negatives(
                config.negative_sampling_rate, config.random_negative_sampling_rate
            )
            self.buckets, self.positives = (
                _buckets(pairs, config),
                size // (1 + self.negatives.rate),
            )
        else:
            self.negatives, self.buckets = NO_NEGATIVES, [range(len(self.blocks))]
            self.positives = round(size / self.blocks.mean_pairs)
        self.rate, self.positives = self.negatives.rate, max(1, self.positives)
        _check_groups(pairs, self.negatives)
        self.rivals = RivalFinder(pairs, config) if objective_of(config).is_in_batch else None
        if "weight" in pairs.columns:
            weights = pairs.statistics["weight"]
            self._mean_weight = np.float64(weights.total / weights.rows)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return sum(-(-len(bucket) // self.positives) for bucket in self.buckets)

    @property
    def known(self) -> Positives | None:
        """The positives of the channel, where they are set against each other."""
        return None if self.rivals is None else self.rivals.known

    @property
    def records(self) -> int:
        """Records of an epoch, repeated ones and generated negatives included."""
        return (len(self.pairs) + self.repeated_records) * (1 + self.rate)

    @property
    def repeated_records(self) -> int:
        """Records repeated to fill the last batches up; none without `compat_metrics`."""
        if not self.config.compat_metrics:
            return 0
        return sum(-len(bucket) % self.positives for bucket in self.buckets)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch, from batch number `start` on."""
        generator = random_generator(self.config.seed, _ORDER, epoch)
        orders = [self._shuffled(bucket, generator) for bucket in self.buckets]
        plan = np.concatenate(
            [
                np.stack(np.broadcast_arrays(i, np.arange(0, len(order), self.positives)), axis=1)
                for i, order in enumerate(orders)
            ]
        )  # (batches, 2): bucket, row of the first record in its order
        if len(orders) > 1:
            plan = generator.permutation(plan)
        pairs = self.pairs.of_epoch(epoch)
        for index, (bucket, at) in enumerate(plan[start:].tolist(), start):
            batch = self._fetch(pairs, orders[bucket][at : at + self.positives], epoch, index)
            if share := self.config.token_dropout:
                batch = batch.thinned(
                    share, random_generator(self.config.seed, _TOKENS, epoch, index)
                )
            yield batch

    def _shuffled(self, bucket: Bucket, generator: np.random.Generator) -> Rows | RandomOrder:
        """Return the records of a bucket in random order, filled up if AWS would do so."""
        is_listed = len(bucket) <= _LISTED or not isinstance(bucket, range)
        if not is_listed and not self.config.compat_metrics:
            return RandomOrder(len(bucket), generator)
        rows = np.array(bucket, _row_type(self.pairs))  # (n,) a copy
        generator.shuffle(rows)
        if self.config.compat_metrics:
            rows = _filled(rows, bucket, self.positives, generator)
        return rows

    def _fetch(self, pairs: Pairs, rows: Rows, epoch: int, index: int) -> Batch:
        """Return the batch of these records, with its negatives, or of these blocks."""
        if self.blocks is not None:
            return self.blocks.batch(pairs, rows)
        columns = _columns(pairs, rows, self.config)
        if "weight" in columns:
            columns["weight"] = (columns["weight"] / self._mean_weight).astype(np.float32)  # (P,)
        if self.config.candidates == "all":
            return Batch(*against_all(columns, self.config))
        if self.rivals is not None:
            generator = random_generator(self.config.seed, _SHARED, epoch, index)
            return _against(self.rivals, pairs, columns, rows, generator)
        if not self.rate:
            return Batch(columns, None)
        generator = random_generator(self.config.seed, _NEGATIVES, epoch, index)
        return _paired(pairs, columns, rows, self.config, self.negatives, generator)


def evaluation_batches(
    pairs: Pairs, config: Config, negatives: Negatives = NO_NEGATIVES
) -> Iterator[Batch]:
    """Yield all records of `pairs` in order, each with the same negatives every time, if any.

    With `compat_metrics` the last batch is filled up with records drawn at random, as AWS does.
    Pairs that are all positives come with the negatives that their objective is measured against,
    or else as in an epoch of training, always the same: shuffled, with negatives.
    """
    if pairs.are_positives and config.negatives and not negatives.rate and len(pairs) > 1:
        against = objective_of(config).measured_against
        if against is None:
            yield from TrainingBatches(pairs, replace(config, token_dropout=0.0)).epoch(0)
            return
        negatives = Negatives(*against)
    _check_groups(pairs, negatives)
    size = max(1, config.mini_batch_size // (1 + negatives.rate))
    for start in range(0, len(pairs), size):
        rows: Rows = np.arange(start, min(start + size, len(pairs)))  # (B,)
        if config.compat_metrics and len(rows) < size:
            rows = _filled(rows, range(len(pairs)), size, random_generator(config.seed, _FILL))
        columns = _columns(pairs, rows, config)
        if config.candidates == "all":
            yield Batch(*against_all(columns, config))
        elif negatives.rate:
            generator = random_generator(config.seed, _EVALUATION, start)
            yield _paired(pairs, columns, rows, config, negatives, generator)
        else:
            yield Batch(columns, None)


def _against(
    rivals: RivalFinder,
    pairs: Pairs,
    columns: dict[str, Any],
    rows: Rows,
    generator: np.random.Generator,
) -> Batch:
    """Return the batch of these records, whose columns are given, set against each other."""
    records = rows
    if rivals.drawn:
        drawn = rivals.draw(generator)  # (K,)
        records = np.concatenate([rows, drawn])
        others = _columns(pairs, drawn, rivals.config)["in1"]
        columns["in1"] = Ragged.concatenate([columns["in1"], others])
    excluded = rivals.excluded(columns, records)
    return Batch(columns, None, excluded, rivals.log_q(len(rows), records))


def _paired(
    pairs: Pairs,
    columns: dict[str, Any],
    rows: Rows,
    config: Config,
    negatives: Negatives,
    generator: np.random.Generator,
) -> Batch:
    """Return the batch of these records, whose columns are given, and their negatives."""
    records, in1, groups = rows, [columns["in1"]], columns.get("group")
    alike = rows if groups is None else groups  # (P,)
    if negatives.shuffled and (alike == alike[0]).all():  # nobody to borrow from in the batch
        records = np.concatenate([rows, _others(pairs, rows[:1], generator)])
        guest = _columns(pairs, records[-1:], config)
        in1.append(guest["in1"])
        groups = None if groups is None else np.concatenate([groups, guest["group"]])
    pairing = draw_pairing(len(rows), records, negatives.shuffled, generator, groups)
    if negatives.random:
        pairing = pairing.with_new(len(rows), negatives.random, len(records))
        in1.append(_drawn(pairs, np.tile(rows, negatives.random), config, generator))
    columns["in1"] = Ragged.concatenate(in1) if len(in1) > 1 else in1[0]
    for column in (column for column in pairs.schema if column.side is None):
        values = column.layout.take(columns[column.name], pairing.rows0)  # (B,)
        if column.negative is not None:
            values[len(rows) :] = column.negative
        columns[column.name] = values
    return Batch(columns, pairing)


def _drawn(pairs: Pairs, rows: Rows, config: Config, generator: np.random.Generator) -> Ragged:
    """Return a random sequence of in1 for a negative of each of these records."""
    if pairs.draw is not None:
        return pairs.draw(len(rows), generator).truncated(config.encoders[1].max_seq_len)
    return cast(Ragged, _columns(pairs, _others(pairs, rows, generator), config)["in1"])


def _others(pairs: Pairs, rows: Rows, generator: np.random.Generator) -> Rows:
    """Return for each of these records, (m,), a random other one, of another group."""
    others: Rows = (rows + generator.integers(1, len(pairs), size=len(rows))) % len(pairs)
    if (own := pairs.groups(rows)) is None:
        return others
    for _ in range(_TRIES):
        alike = np.flatnonzero(pairs.groups(others) == own)
        if not len(alike):
            return others
        others[alike] = generator.integers(len(pairs), size=len(alike))
    groups = pairs.columns["group"]
    for each in alike.tolist():  # nearly all records are of its group: look for the others
        strangers = np.flatnonzero(groups != own[each])
        others[each] = strangers[generator.integers(len(strangers))]
    return others


def _check_groups(pairs: Pairs, negatives: Negatives) -> None:
    """Raise `DataError` if no record has one that may be its negative."""
    groups = pairs.statistics.get("group")
    borrows = negatives.shuffled or (negatives.random and pairs.draw is None)
    if groups is None or not borrows:
        return
    if groups.low == groups.high:
        must = "must have records of two groups or more, as a negative is of another one"
        cure = "Name another column as group, or none."
        raise DataError.at(pairs.source, must, "one group", cure)


def _columns(pairs: Pairs, rows: Rows, config: Config) -> dict[str, Any]:
    """Return these records, their sequences truncated to what the encoders read in training."""
    columns = dict(pairs.take(rows).columns)
    for column in pairs.schema:
        if column.side is not None:
            limit = config.encoders[column.side].max_seq_len
            columns[column.name] = columns[column.name].truncated(limit)
    return columns


def _thinned(column: Ragged, share: float, generator: np.random.Generator) -> Ragged:
    """Return a column without such a share of its tokens; what would lose all keeps all."""
    keep = generator.random(len(column.values), np.float32) >= share  # (n,)
    kept_before = np.concatenate([[0], np.cumsum(keep)])[column.offsets]  # (rows + 1,)
    is_bare = np.diff(kept_before) == 0  # (rows,)
    return column.only(keep | np.repeat(is_bare, column.lengths))


def _filled(rows: Rows, bucket: Bucket, size: int, generator: np.random.Generator) -> Rows:
    """Return `rows` filled up to a multiple of `size` by records drawn with replacement."""
    ranks = generator.integers(len(bucket), size=-len(rows) % size)  # (m,)
    # In a bucket of all records the number of each one is its rank.
    drawn: Rows = ranks if isinstance(bucket, range) else bucket[ranks]  # (m,)
    return np.concatenate([rows, drawn.astype(rows.dtype)])


def _row_type(pairs: Pairs) -> type[np.integer[Any]]:
    """Return the smallest type for row numbers: an epoch's order stays in memory."""
    return np.int32 if len(pairs) < 2**31 else np.int64


def _buckets(pairs: Pairs, config: Config) -> list[Bucket]:
    """Return the records of each length bucket; all in one without bucketing.

    The side that may be longer is divided into steps of `bucket_width`, the other one into as many,
    smaller steps; a record belongs to the first bucket that holds both its sides.
    """
    if not config.bucket_width:
        return [range(len(pairs))]
    limits = [encoder.max_seq_len for encoder in config.encoders]
    longest = max(limits)
    bucket = np.zeros(len(pairs), np.int64)  # (n,)
    for column in pairs.schema:
        if column.side is None:
            continue
        limit = limits[column.side]
        lengths = np.minimum(pairs.columns[column.name].lengths, limit)  # (n,)
        steps = -(-lengths * longest // (limit * config.bucket_width))  # (n,) rounded up
        bucket = np.maximum(bucket, steps - 1)
    order = np.argsort(bucket, kind="stable").astype(_row_type(pairs))
    return [*np.split(order, np.flatnonzero(np.diff(bucket[order])) + 1)]
