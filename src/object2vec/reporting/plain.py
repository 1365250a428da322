"""A run as plain lines for people, who are shown epochs counted from 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from object2vec.config import Note
from object2vec.reporting import events
from object2vec.reporting.table import table_lines

_PLAIN_EVERY_S = 10.0


class PlainReporter:
    """One line per event, and about every ten seconds within an epoch."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown_s = 0.0

    def __call__(self, event: events.Event) -> None:
        """Write the event, unless batches were shown a moment ago."""
        if isinstance(event, events.BatchesDone):
            if event.epoch_s - self._shown_s < _PLAIN_EVERY_S:
                return
            self._shown_s = event.epoch_s
        elif isinstance(event, events.EpochDone):
            self._shown_s = 0.0
        for line in plain_lines(event):
            events.write_line(self._stream, line)

    def close(self) -> None:
        """Leave the stream open: it is not ours."""


def plain_lines(event: events.Event) -> list[str]:
    """Return an event as lines for people."""
    match event:
        case events.RunStarted():
            return [_run_line(event), *map(_note_line, event.notes)]
        case events.TableLearned():
            return [*table_lines(event), *map(_note_line, event.notes)]
        case events.ChannelOpened():
            return [_channel_line(event), *map(_note_line, event.notes)]
        case events.BatchesDone():
            return [_batches_line(event)]
        case events.EpochDone():
            return [_epoch_line(event)]
        case events.Finished():
            return [_finished_line(event)]
        case _:
            return [_short_line(event)]


def _short_line(event: events.Event) -> str:
    match event:
        case events.Resumed():
            where = f"epoch {event.epoch + 1} after {event.batches} batches"
            return f"resumed: {where}, from {event.path}"
        case events.CheckpointWritten():
            where = f"epoch {event.epoch + 1} after {event.batches} batches"
            return f"checkpoint: {where}, in {event.path}, {event.write_s:.1f} s"
        case events.BestRestored():
            return f"best: epoch {event.epoch + 1}, {event.metric} {event.value:.6g}"
        case events.ModelSaved():
            return f"model: {event.path}"
        case events.Tested():
            return f"test: {_named(event.metrics)}, {event.records} records"
        case events.Interrupting():
            return f"{event.signal_name}: stopping after a checkpoint"
        case events.Noted():
            return f"note: {event.text}"
    assert isinstance(event, events.Warned), "our bug: an event that has no line"
    return f"warning: {event.text}"


def _run_line(event: events.RunStarted) -> str:
    config = event.config
    networks = " and ".join(encoder.network for encoder in config.encoders)
    return (
        f"object2vec {event.version}: {networks}, enc_dim {config.enc_dim}, {config.output_layer}; "
        f"{event.parameters:,} parameters and {event.token_parameters:,} in token tables; "
        f"{event.device}, {event.threads} threads, {event.kernel} kernel"
    )


def _note_line(note: Note) -> str:
    return f"{'note' if note.level == 'info' else note.level}: {note.text}"


def _channel_line(event: events.ChannelOpened) -> str:
    parts = [f"{event.records:,} records"]
    if event.negatives_per_record:
        parts.append(f"{event.negatives_per_record} negatives for each")
    parts.append(f"{event.tokens0:,} + {event.tokens1:,} tokens")
    parts.append(f"{event.batches:,} batches of {event.batch_size}")
    return f"{event.channel}: {', '.join(parts)}, from {event.source}"


def _batches_line(event: events.BatchesDone) -> str:
    epoch_left, run_left = times_left(event)
    return (
        f"epoch {event.epoch + 1}/{event.epochs}: batch {event.batches}/{event.batches_total}, "
        f"{_named(event.metrics)}, {event.pairs_per_s:.0f} pairs/s, "
        f"{epoch_left} left, run {run_left} left"
    )


def _epoch_line(event: events.EpochDone) -> str:
    parts = [f"train {_named(event.train)}"]
    if event.validation is not None:
        parts.append(f"validation {_named(event.validation)}")
    parts += [f"{event.train_s + event.validation_s:.1f} s", f"{event.pairs_per_s:.0f} pairs/s"]
    parts += opinions(event.verdict)
    return f"epoch {event.epoch + 1}/{event.epochs}: {', '.join(parts)}"


def _finished_line(event: events.Finished) -> str:
    parts = [f"{event.epochs} epochs in {_duration(event.total_s)}"]
    parts += [f"{event.records:,} pairs", f"{event.pairs_per_s:,.0f} pairs/s"]
    if event.peak_memory_bytes is not None:
        parts.append(f"peak memory {event.peak_memory_bytes / 2**20:,.0f} MiB")
    parts.append(f"best epoch {event.best_epoch + 1}")
    return f"done: {', '.join(parts)}{', stopped early' if event.stopped_early else ''}"


def opinions(verdict: events.Verdict) -> list[str]:
    """Return what early stopping thinks of an epoch, in a few words or none."""
    opinions = ["best"] if verdict.is_best else []
    if verdict.should_stop:
        opinions.append("too little improvement, stopping early")
    elif verdict.is_bad:
        opinions.append(f"too little improvement ({verdict.bad} of {verdict.patience + 1})")
    return opinions


def times_left(event: events.BatchesDone) -> tuple[str, str]:
    """Return the time left in the epoch and, unless it stops early, in the run."""
    batch_s = event.epoch_s / event.batches
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
