"""What a run reports while it goes on: one plain value per event, for any number of reporters.

The training loop knows nothing of terminals and log formats: it makes these values and hands each
to every reporter. `object2vec.reporting.plain` holds the reporters that ship.

Epochs and batches count from 0 here, as in AWS's logs. Times are seconds and their names end in
``_s``. Records include generated negatives.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TextIO

from object2vec.config import Config, Note

if TYPE_CHECKING:
    from object2vec.fields.base import Coverage


class Reporter(Protocol):
    """Shows or stores events."""

    def __call__(self, event: Event) -> None:
        """Take the next event."""

    def close(self) -> None:
        """Release the terminal or the file; called once, also after an error or Ctrl-C."""


@dataclass(frozen=True)
class Event:
    """Base of all events."""

    name: ClassVar[str]
    _derived: ClassVar[tuple[str, ...]] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON values: its name under "event"; floats finite or None."""
        names = [field.name for field in fields(self)] + list(self._derived)
        return {"event": self.name} | {name: _json_value(getattr(self, name)) for name in names}


@dataclass(frozen=True)
class Verdict:
    """What early stopping says about one epoch.

    Parameters
    ----------
    epoch : int
        Number of the epoch, from 0.
    metric : str
        Name of the metric that is watched.
    value : float
        Its value; may be NaN or infinite.
    is_best : bool
        Whether no earlier value is as good.
    is_bad : bool
        Whether the metric has not improved enough.
    bad : int
        Bad epochs in a row so far, this one included.
    patience : int
        Bad epochs in a row that are borne.
    should_stop : bool
        Whether there are more of them than that.
    past_values : tuple of float, or None
        The previous `patience` values, oldest first, those that were not finite as the worst
        infinity; None while there are fewer.
    best_past : float or None
        The best of them.
    """

    epoch: int
    metric: str
    value: float
    is_best: bool
    is_bad: bool
    bad: int
    patience: int
    should_stop: bool
    past_values: tuple[float, ...] | None
    best_past: float | None


@dataclass(frozen=True)
class Layer:
    """One row of the layer table: a parameter or a group of them."""

    name: str
    shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """A run is set up; training has not begun.

    Parameters
    ----------
    config : Config
    notes : tuple of Note
        What building the config changed or found.
    layers : tuple of Layer
        Rows of the layer table, token tables included.
    parameters : int
        Trained numbers without the token tables, as AWS counts them.
    token_parameters : int
        Numbers in the token tables.
    device : str
        Where the network lives, for example ``"cpu"`` or ``"cuda:0"``.
    threads : int
        CPU threads.
    kernel : str
        Name of the code that reads and updates token tables.
    version : str
        Version of object2vec.
    """

    name: ClassVar[str] = "run"

    config: Config
    notes: tuple[Note, ...]
    layers: tuple[Layer, ...]
    parameters: int
    token_parameters: int
    device: str
    threads: int
    kernel: str
    version: str


@dataclass(frozen=True)
class FieldFacts:
    """What was learned of one field of a table.

    Parameters
    ----------
    side : int
    column : str
    kind : str
        As a specification says it, such as ``tokens("|")``.
    reason : str
        Why it is of this kind; "" if it was given.
    tokens : int
        Tokens with a row of their own.
    coverage : mapping of str to Coverage
        How its values became ids, by channel, train first.
    """

    side: int
    column: str
    kind: str
    reason: str
    tokens: int
    coverage: Mapping[str, Coverage]


@dataclass(frozen=True)
class Decision:
    """A hyperparameter that the data decided, with its value and the reason in words."""

    name: str
    value: Any
    reason: str


@dataclass(frozen=True, kw_only=True)
class TableLearned(Event):
    """The columns of a table are known, and what follows from them is decided.

    Parameters
    ----------
    fields : tuple of FieldFacts
        Those of in0 first.
    rows : mapping of str to int
        Rows by channel, train first.
    split : str
        How rows were kept for validation, in words; "" if none were.
    preset : str
        The set of hyperparameters that training starts from; "" for none.
    decisions : tuple of Decision
    notes : tuple of Note
        What else the user should know of the table.
    """

    name: ClassVar[str] = "table"

    fields: tuple[FieldFacts, ...]
    rows: Mapping[str, int]
    split: str = ""
    preset: str = ""
    decisions: tuple[Decision, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ChannelOpened(Event):
    """The records of one channel are ready.

    Parameters
    ----------
    channel : str
        ``"train"``, ``"validation"`` or ``"test"``.
    source : str
        Where they come from: a path, or words such as ``"memory"``.
    records : int
        Records read, generated ones excluded.
    tokens0, tokens1 : int
        Tokens of each side, after truncation.
    batches : int
        Batches in one pass, those with negatives included.
    batch_size : int
        Records in a full batch.
    max_seq_lens : tuple of two int
        Tokens that each side's encoder reads at the most.
    negatives_per_record : int
        Negatives generated for each record.
    buckets : int
        Groups of similar length that batches are made of.
    replicated_records : int
        Repeated rows that fill up the last batches, in AWS's way of averaging.
    notes : tuple of Note
        Counts of what was truncated, empty or suspicious.
    """

    name: ClassVar[str] = "channel"

    channel: str
    source: str
    records: int
    tokens0: int
    tokens1: int
    batches: int
    batch_size: int
    max_seq_lens: tuple[int, int]
    negatives_per_record: int = 0
    buckets: int = 1
    replicated_records: int = 0
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    """The run goes on from a checkpoint: `batches` of `epoch` are done already."""

    name: ClassVar[str] = "resumed"

    path: str | PathLike[str]
    epoch: int
    batches: int


@dataclass(frozen=True, kw_only=True)
class BatchesDone(Event):
    """Some more batches of an epoch are trained: at each 100th, and at least every second or so.

    Parameters
    ----------
    epoch, epochs : int
        The current epoch, and how many there are at the most.
    batches, batches_total : int
        Batches of the epoch done so far, and in all.
    records : int
        Records of the epoch so far.
    epoch_s : float
        Seconds spent on them.
    metrics : mapping of str to float
        Running averages of the epoch, by name.
    """

    name: ClassVar[str] = "batches"
    _derived: ClassVar[tuple[str, ...]] = ("pairs_per_s",)

    epoch: int
    epochs: int
    batches: int
    batches_total: int
    records: int
    epoch_s: float
    metrics: Mapping[str, float]

    @property
    def pairs_per_s(self) -> float:
        """Records per second of the epoch so far."""
        return rate(self.records, self.epoch_s)


@dataclass(frozen=True, kw_only=True)
class EpochDone(Event):
    """An epoch is trained and validated.

    Parameters
    ----------
    epoch, epochs : int
        This epoch, and how many there are at the most.
    batches, records : int
        What it trained on.
    train_s, validation_s : float
        Seconds spent on training and on validation.
    train : mapping of str to float
        Metrics over the epoch's batches, as they were when trained.
    validation : mapping of str to float, or None
        Metrics on the validation channel; None where there is none.
    verdict : Verdict
        What early stopping says.
    verdict_s : float
        Seconds spent on that, keeping the weights of the best epoch included.
    """

    name: ClassVar[str] = "epoch"
    _derived: ClassVar[tuple[str, ...]] = ("pairs_per_s",)

    epoch: int
    epochs: int
    batches: int
    records: int
    train_s: float
    validation_s: float
    train: Mapping[str, float]
    validation: Mapping[str, float] | None
    verdict: Verdict
    verdict_s: float = 0.0

    @property
    def pairs_per_s(self) -> float:
        """Records per second of training; validation does not count."""
        return rate(self.records, self.train_s)


@dataclass(frozen=True, kw_only=True)
class CheckpointWritten(Event):
    """A checkpoint is on disk: it holds `batches` of `epoch`."""

    name: ClassVar[str] = "checkpoint"

    path: str | PathLike[str]
    epoch: int
    batches: int
    write_s: float


@dataclass(frozen=True, kw_only=True)
class BestRestored(Event):
    """Training is over and the network has the weights of its best epoch again."""

    name: ClassVar[str] = "best"

    epoch: int
    metric: str
    value: float


@dataclass(frozen=True, kw_only=True)
class ModelSaved(Event):
    """The model is on disk."""

    name: ClassVar[str] = "saved"

    path: str | PathLike[str]
    write_s: float


@dataclass(frozen=True, kw_only=True)
class Tested(Event):
    """The best model was scored on the test channel."""

    name: ClassVar[str] = "test"
    __test__: ClassVar[bool] = False  # or pytest takes the class for a test case

    metrics: Mapping[str, float]
    records: int
    batches: int
    batch_size: int
    test_s: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the training ended.

    Parameters
    ----------
    epochs : int
        Epochs trained.
    best_epoch, best_value : int and float
        The epoch whose weights are kept, and its value of the watched metric.
    stopped_early : bool
        Whether early stopping ended the run.
    records : int
        Records trained on, all epochs together.
    pairs_per_s : float
        Those per second of training; validation does not count.
    """

    epochs: int
    best_epoch: int
    best_value: float
    stopped_early: bool
    records: int
    pairs_per_s: float


@dataclass(frozen=True, kw_only=True)
class Finished(Outcome, Event):
    """Nothing is left to do.

    Parameters
    ----------
    total_s : float
        Seconds of the whole run.
    peak_memory_bytes : int or None
        Most memory that the process has held; None where the system does not say.
    """

    name: ClassVar[str] = "finished"

    total_s: float
    peak_memory_bytes: int | None


@dataclass(frozen=True)
class Noted(Event):
    """Something that explains what the user sees."""

    name: ClassVar[str] = "note"

    text: str


@dataclass(frozen=True)
class Warned(Event):
    """Something that the user should know of."""

    name: ClassVar[str] = "warning"

    text: str


@dataclass(frozen=True)
class Interrupting(Event):
    """A signal asks to stop: a checkpoint comes next, then the end."""

    name: ClassVar[str] = "interrupting"
    _derived: ClassVar[tuple[str, ...]] = ("signal_name",)

    signal_number: int

    @property
    def signal_name(self) -> str:
        """Name of the signal, for example ``"SIGINT"``."""
        return signal.Signals(self.signal_number).name


def rate(count: int, seconds: float) -> float:
    """Return `count` per second; 0 before the clock has moved."""
    return count / seconds if seconds > 0 else 0.0


def _json_value(value: Any) -> Any:
    """Return `value` as JSON can hold it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Config):
        return value.to_dict()
    if is_dataclass(value):
        return {field.name: _json_value(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_json_value(item) for item in value]
    return fspath(value) if isinstance(value, PathLike) else value


def write_line(stream: TextIO, line: str) -> None:
    """Write a line at once, so that who watches the log sees it.

    Characters that the stream cannot hold, such as those of a file's name, are escaped.
    """
    try:
        stream.write(line + "\n")
    except UnicodeEncodeError as err:
        stream.write(line.encode(err.encoding, "backslashreplace").decode(err.encoding) + "\n")
    stream.flush()
