"""What a model's limits mean for some pairs: what is wrong, truncated or ignored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.config import Config, EncoderConfig
from object2vec.config.table import MAX_VOCAB_SIZE
from object2vec.errors import MAX_PROBLEMS, DataError, join_problems
from object2vec.files.mapped import release_pages
from object2vec.objectives import LabelRule, objective_of
from object2vec.objects.ragged import Ragged
from object2vec.objects.statistics import IdStatistics
from object2vec.pairs.dataset import Pairs

TRUNCATED = "One or more sequences have been truncated because they exceeded max_seq_len"

_PIECE = 1 << 20  # labels

_Problem = tuple[int, str]  # the record and what is wrong with it


@dataclass(frozen=True)
class SideReport:
    """What a model sees of one side, its sequences truncated to max_seq_len.

    Parameters
    ----------
    tokens : int
        Ids that remain.
    truncated_rows, empty_rows : int
        Sequences that were truncated, and that have no id at all.
    padding_rows : int
        Sequences in which the id 0 remains.
    """

    tokens: int
    truncated_rows: int
    empty_rows: int
    padding_rows: int

    def scaled(self, factor: float) -> SideReport:
        """Return the report of so many times as many sequences of the same sort."""
        return SideReport(*(round(each * factor) for each in astuple(self)))


@dataclass(frozen=True)
class Report:
    """What a model sees of a channel.

    Parameters
    ----------
    channel : str
    rows, blank_lines : int
        Records, and lines skipped because they are blank.
    in0, in1 : SideReport
    label_counts : dict of int to int, or None
        Records of each class, where the objective has classes.
    label_low, label_mean, label_high : float
    mask_padding : bool
        Whether the id 0 is padding and so not seen.
    negative_sampling_rate : int
        Negatives generated for each record, of whatever sort.
    """

    channel: str
    rows: int
    blank_lines: int
    in0: SideReport
    in1: SideReport
    label_counts: dict[int, int] | None
    label_low: float
    label_mean: float
    label_high: float
    mask_padding: bool
    negative_sampling_rate: int

    def lines(self) -> list[str]:
        """Return what a log should say."""
        tokens = f"{self.in0.tokens} tokens in in0, {self.in1.tokens} in in1"
        lines = [f"{self.channel}: {self.rows} pairs, {tokens}"]
        if self.label_counts is None:
            spread = f"{self.label_low:.6g} to {self.label_high:.6g}, mean {self.label_mean:.6g}"
            lines.append(f"{self.channel}: labels {spread}")
        else:
            counts = ", ".join(f"{label}: {n}" for label, n in self.label_counts.items())
            lines.append(f"{self.channel}: labels {counts}")
        if self.in0.truncated_rows or self.in1.truncated_rows:
            rows = f"{self.in0.truncated_rows} in in0, {self.in1.truncated_rows} in in1"
            lines.append(f"{TRUNCATED} ({self.channel}: {rows})")
        if self.in0.empty_rows or self.in1.empty_rows:
            empty = f"{self.in0.empty_rows} in in0, {self.in1.empty_rows} in in1"
            lines.append(f"{self.channel}: sequences without tokens: {empty}")
        if self.blank_lines:
            lines.append(f"{self.channel}: {self.blank_lines} blank lines skipped")
        return lines

    def warnings(self) -> list[str]:
        """Return what a log should warn of."""
        warnings = []
        if self.mask_padding and (self.in0.padding_rows or self.in1.padding_rows):
            rows = f"{self.in0.padding_rows} sequences of in0 and {self.in1.padding_rows} of in1"
            warnings.append(
                f"{self.channel}: {rows} hold the id 0, which stands for padding and is ignored. "
                "Number tokens from 1, or set mask_padding=false."
            )
        if self.negative_sampling_rate and self.label_low <= 0:
            warnings.append(
                f"{self.channel}: some given pairs have label 0 or less, though "
                f"negative_sampling_rate={self.negative_sampling_rate} makes negatives of its own."
            )
        return warnings

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return asdict(self)


def check_channel(
    pairs: Pairs, config: Config, channel: str = "train", *, is_trained: bool = False
) -> Report:
    """Return what a model of this configuration sees of `pairs`.

    Parameters
    ----------
    pairs : Pairs
        Both sides and labels.
    config : Config
        Ids beyond its max_seq_len are truncated, so they may be any.
    channel : str, default "train"
        What the report and messages call the pairs; negatives are drawn for "train" alone.
    is_trained : bool, default False
        Whether it is too late to give the model a larger vocabulary.

    Raises
    ------
    DataError
        If a column is missing or there is no record, an id is not below its vocab_size or a label
        is not one that the objective learns from. The first 20 problems are listed, each with its
        file and line.

    Notes
    -----
    The message for an id is AWS's own (https://github.com/aws/sagemaker-python-sdk/issues/834).
    """
    if not len(pairs) or any(column.name not in pairs.columns for column in pairs.schema):
        cure = "Give each record in0, in1 and label."
        raise DataError.at(
            channel, "must hold records with both sides and labels", f"{len(pairs)} records", cure
        )
    problems: list[_Problem] = []
    sides = []
    shown = pairs.sample
    for encoder in config.encoders:
        name = f"in{encoder.side}"
        setting = None if is_trained else config.setting(encoder.side, "vocab_size")
        column, facts = shown.columns[name], shown.statistics[name]
        report, bad = _check_side(encoder, column, facts, setting)
        sides.append(report.scaled(len(pairs) / len(shown)))
        problems += bad
    label, rule = shown.columns["label"], objective_of(config).labels
    problems += _check_labels(label, rule)
    if problems:
        first = sorted(problems)[:MAX_PROBLEMS]
        raise DataError(
            join_problems([f"{pairs.where(row, channel)}: {text}" for row, text in first])
        )
    spread = pairs.statistics["label"]
    return Report(
        channel=channel,
        rows=len(pairs),
        blank_lines=pairs.blank_lines,
        in0=sides[0],
        in1=sides[1],
        label_counts=_count(label, rule, len(pairs)),
        label_low=spread.low,
        label_high=spread.high,
        label_mean=spread.total / spread.rows,
        mask_padding=config.mask_padding,
        negative_sampling_rate=config.negatives if channel == "train" else 0,
    )


def _check_side(
    encoder: EncoderConfig, column: Ragged, facts: IdStatistics, setting: str | None
) -> tuple[SideReport, list[_Problem]]:
    """Return the report of one side, and the first ids that are too large."""
    side, vocab_size, max_len = encoder.side, encoder.vocab_size, encoder.max_seq_len
    tokens = truncated_rows = padding_rows = largest = 0
    bad: list[tuple[int, int]] = []  # record and id
    # Mostly the statistics tell that no id is wrong or 0; then none is looked at.
    must_look = facts.max_id >= vocab_size or facts.padding_tokens > 0
    for start, piece in column.pieces():
        lengths = piece.lengths  # (rows,)
        tokens += int(np.minimum(lengths, max_len).sum())
        truncated_rows += int(np.count_nonzero(lengths > max_len))
        if must_look:
            seen = piece.truncated(max_len)
            padding_rows += len(_rows_with(seen, seen.values == 0)[0])
            largest = max(largest, int(seen.values.max(initial=0)))
            rows, ids = _rows_with(seen, seen.values >= vocab_size)
            rows, ids = rows[:MAX_PROBLEMS] + start, ids[:MAX_PROBLEMS]
            bad += zip(rows.tolist(), ids.tolist(), strict=True)
    if setting is None:
        cure = "Use the ids of training."
    elif largest >= MAX_VOCAB_SIZE:
        cure = "Fix the id."
    else:
        cure = f"Raise {setting} to at least {largest + 1} or fix the id."
    problems = [
        (
            row,
            f'Inconsistent vocab for in{side} found. Vocab id "{token}" is not less than '
            f"vocab_size={vocab_size}. {cure}",
        )
        for row, token in bad
    ]
    return SideReport(tokens, truncated_rows, facts.empty_rows, padding_rows), problems


def _rows_with(
    column: Ragged, found: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the rows in which some id is marked, and the first such id of each."""
    positions = np.flatnonzero(found)  # (marked ids,)
    rows = np.searchsorted(column.offsets, positions, side="right") - 1
    rows, first = np.unique(rows, return_index=True)  # (marked rows,)
    return rows, column.values[positions[first]]


def _check_labels(label: NDArray[np.float32], rule: LabelRule) -> Iterator[_Problem]:
    """Yield the first labels of each piece that the objective rejects."""
    for start, piece in _pieces(label):
        for row in np.flatnonzero(rule.rejected(piece))[:MAX_PROBLEMS].tolist():
            yield start + row, rule.problem(float(piece[row]))


def _count(label: NDArray[np.float32], rule: LabelRule, records: int) -> dict[int, int] | None:
    """Return the records of each class, where there are classes; `label` stands for so many."""
    counts = [rule.counts(piece) for _, piece in _pieces(label)]
    known = [count for count in counts if count is not None]
    if not known:
        return None
    found = np.sum(known, axis=0) * records // len(label)
    return dict(enumerate(found.tolist()))


def _pieces(label: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield labels piece by piece: they may be more than memory should hold twice."""
    for start in range(0, len(label), _PIECE):
        yield start, label[start : start + _PIECE]
        release_pages(label)
