"""The reporters: one run told as a live display, as plain lines, as AWS's log, or as JSON.

All four render the same events (`object2vec.training.events`). People are shown epochs counted from
1; AWS's log and JSON count from 0. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TextIO

from object2vec.config import Note
from object2vec.errors import ConfigError, StorageError, problem
from object2vec.training.aws_log import SageMakerReporter
from object2vec.training.early_stopping import Verdict
from object2vec.training.events import (
    BatchesDone,
    BestRestored,
    ChannelOpened,
    CheckpointWritten,
    EpochDone,
    Event,
    Finished,
    Interrupting,
    ModelSaved,
    Reporter,
    Resumed,
    RunStarted,
    Tested,
    Warned,
)

LogFormat = Literal["rich", "plain", "sagemaker", "json"]
LOG_FORMATS: tuple[LogFormat, ...] = ("rich", "plain", "sagemaker", "json")

_PLAIN_EVERY_S = 10.0


def reporter(
    log_format: LogFormat | None = None,
    stream: TextIO | None = None,
    host: str = "algo-1",
    *,
    entrypoint: str | None = None,
    provided: Mapping[str, Any] | None = None,
) -> Reporter:
    """Return the reporter of a log format.

    Parameters
    ----------
    log_format : {"rich", "plain", "sagemaker", "json"}, optional
        By default rich on a terminal, plain elsewhere.
    stream : text file, optional
        Where to write; by default standard output for sagemaker, where CloudWatch collects it, and
        standard error for the others. It is never closed.
    host : str, default "algo-1"
        Name of this machine in SageMaker's log lines.
    entrypoint : str, optional
        Argument of the container; its line opens the sagemaker log.
    provided : mapping, optional
        Hyperparameters as the user gave them, for the sagemaker log.

    Raises
    ------
    ConfigError
        If there is no such format.
    """
    if stream is None:
        stream = sys.stdout if log_format == "sagemaker" else sys.stderr
    if log_format is None:
        is_live = stream.isatty() and os.environ.get("TERM") != "dumb"
        log_format = "rich" if is_live else "plain"
    if log_format == "rich":
        from rich.console import Console

        from object2vec.training.live import RichReporter

        return RichReporter(Console(file=stream, highlight=False))
    if log_format == "plain":
        return PlainReporter(stream)
    if log_format == "sagemaker":
        return SageMakerReporter(stream, host, entrypoint=entrypoint, provided=provided)
    if log_format == "json":
        return JsonReporter(stream)
    raise ConfigError(
        problem("log_format", f"must be one of {LOG_FORMATS}", log_format, "Choose one of them.")
    )


def peak_memory_bytes() -> int | None:
    """Return the most memory that this process has held; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class JsonReporter:
    """One JSON object per event and line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write the event."""
        _write(self._stream, json.dumps(event.to_dict(), allow_nan=False))

    def close(self) -> None:
        """Leave the stream open: it is not ours."""


class PlainReporter:
    """One line per event, and about every ten seconds within an epoch."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown_s = 0.0

    def __call__(self, event: Event) -> None:
        """Write the event, unless batches were shown a moment ago."""
        if isinstance(event, BatchesDone):
            if event.epoch_s - self._shown_s < _PLAIN_EVERY_S:
                return
            self._shown_s = event.epoch_s
        elif isinstance(event, EpochDone):
            self._shown_s = 0.0
        for line in plain_lines(event):
            _write(self._stream, line)

    def close(self) -> None:
        """Leave the stream open: it is not ours."""


def plain_lines(event: Event) -> list[str]:
    """Return an event as lines for people."""
    match event:
        case RunStarted():
            return [_run_line(event), *map(_note_line, event.notes)]
        case ChannelOpened():
            return [_channel_line(event), *map(_note_line, event.notes)]
        case BatchesDone():
            return [_batches_line(event)]
        case EpochDone():
            return [_epoch_line(event)]
        case Finished():
            return [_finished_line(event)]
        case _:
            return [_short_line(event)]


def _short_line(event: Event) -> str:
    match event:
        case Resumed():
            where = f"epoch {event.epoch + 1} after {event.batches} batches"
            return f"resumed: {where}, from {event.path}"
        case CheckpointWritten():
            where = f"epoch {event.epoch + 1} after {event.batches} batches"
            return f"checkpoint: {where}, in {event.path}, {event.write_s:.1f} s"
        case BestRestored():
            return f"best: epoch {event.epoch + 1}, loss {event.loss:.6g}"
        case ModelSaved():
            return f"model: {event.path}"
        case Tested():
            return f"test: {_named(event.metrics)}, {event.records} records"
        case Interrupting():
            return f"{event.signal_name}: stopping after a checkpoint"
        case Warned():
            return f"warning: {event.text}"
    return json.dumps(event.to_dict())


def _run_line(event: RunStarted) -> str:
    config = event.config
    networks = " and ".join(encoder.network for encoder in config.encoders)
    return (
        f"object2vec {event.version}: {networks}, enc_dim {config.enc_dim}, {config.output_layer}; "
        f"{event.parameters:,} parameters and {event.token_parameters:,} in token tables; "
        f"{event.device}, {event.threads} threads, {event.kernel} kernel"
    )


def _note_line(note: Note) -> str:
    return f"{'note' if note.level == 'info' else note.level}: {note.text}"


def _channel_line(event: ChannelOpened) -> str:
    parts = [f"{event.records:,} records"]
    if event.negatives_per_record:
        parts.append(f"{event.negatives_per_record} negatives for each")
    parts.append(f"{event.tokens0:,} + {event.tokens1:,} tokens")
    parts.append(f"{event.batches:,} batches of {event.batch_size}")
    return f"{event.channel}: {', '.join(parts)}, from {event.source}"


def _batches_line(event: BatchesDone) -> str:
    epoch_left, run_left = times_left(event)
    return (
        f"epoch {event.epoch + 1}/{event.epochs}: batch {event.batches}/{event.batches_total}, "
        f"{_named(event.metrics)}, {event.pairs_per_s:.0f} pairs/s, "
        f"{epoch_left} left, run {run_left} left"
    )


def _epoch_line(event: EpochDone) -> str:
    parts = [f"train {_named(event.train)}"]
    if event.validation is not None:
        parts.append(f"validation {_named(event.validation)}")
    parts += [f"{event.train_s + event.validation_s:.1f} s", f"{event.pairs_per_s:.0f} pairs/s"]
    parts += opinions(event.verdict)
    return f"epoch {event.epoch + 1}/{event.epochs}: {', '.join(parts)}"


def _finished_line(event: Finished) -> str:
    parts = [f"{event.epochs} epochs in {_duration(event.total_s)}"]
    parts += [f"{event.records:,} pairs", f"{event.pairs_per_s:,.0f} pairs/s"]
    if event.peak_memory_bytes is not None:
        parts.append(f"peak memory {event.peak_memory_bytes / 2**20:,.0f} MiB")
    parts.append(
        "no best epoch" if event.best_epoch is None else f"best epoch {event.best_epoch + 1}"
    )
    return f"done: {', '.join(parts)}{', stopped early' if event.stopped_early else ''}"


def opinions(verdict: Verdict) -> list[str]:
    """Return what early stopping thinks of an epoch, in a few words or none."""
    opinions = ["best"] if verdict.is_best else []
    if verdict.should_stop:
        opinions.append("too little improvement, stopping early")
    elif verdict.is_bad:
        opinions.append(f"too little improvement ({verdict.bad} of {verdict.patience + 1})")
    return opinions


def times_left(event: BatchesDone) -> tuple[str, str]:
    """Return the time left in the epoch and, unless it stops early, in the run."""
    batch_s = event.epoch_s / max(event.batches, 1)
    epoch_s = batch_s * (event.batches_total - event.batches)
    later_s = batch_s * event.batches_total * (event.epochs - event.epoch - 1)
    return _duration(epoch_s), _duration(epoch_s + later_s)


def _named(metrics: Mapping[str, float]) -> str:
    return " ".join(f"{name}={value:.6g}" for name, value in metrics.items())


def _duration(seconds: float) -> str:
    """Return seconds as m:ss or h:mm:ss."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _write(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


class MetricsFile:
    """``metrics.jsonl``: what a run remembers, as JSON lines that can be read while it goes on.

    Parameters
    ----------
    path : path
        The file; what it holds is replaced.
    history : sequence of dict
        What the run remembers so far; of a resumed one, all that was before its checkpoint.

    Raises
    ------
    StorageError
        If it cannot be written.
    """

    def __init__(
        self, path: str | PathLike[str], history: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self._path = path
        try:
            self._file = open(path, "wb")
        except OSError as err:
            raise self._unwritable(err) from err
        for values in history:
            self.append(values)

    def append(self, values: Mapping[str, Any]) -> None:
        """Write one more line.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        try:
            self._file.write(json.dumps(values, allow_nan=False).encode() + b"\n")
            self._file.flush()
        except OSError as err:
            raise self._unwritable(err) from err

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # every line is flushed: it can only fail a second time
            self._file.close()

    def _unwritable(self, err: OSError) -> StorageError:
        cure = "Free some space, or choose a folder that can be written."
        return StorageError(problem(str(self._path), "must be writable", err.strerror, cure))
