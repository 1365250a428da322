"""The log of the AWS container: the same lines where a machine reads them.

SageMaker takes metrics out of the log by regular expressions, `METRIC_DEFINITIONS`. The lines they
match, their order and their number format are those of the container's published logs.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, TextIO

from object2vec.config import Note
from object2vec.config.table import HYPERPARAMETERS
from object2vec.objectives import metrics_by_name
from object2vec.reporting import events
from object2vec.reporting.table import table_lines

LOG_FORMS = ("2025", "2019")
"""Years whose containers' logs differ where no metric is read; the first one is the default."""

_QUALITY = {name: metric for name, metric in metrics_by_name().items() if metric.is_quality}
_RULE = "_" * 120


def _definitions(algorithm: str) -> tuple[dict[str, str], ...]:
    """Return the definitions of the metrics of quality of one algorithm, in every channel."""
    epoch = r"epoch=\S+, "
    return tuple(
        {
            "Name": f"{channel}:{name}",
            "Regex": rf"#quality_metric: host=\S+, {prefix}{channel} {name} <{metric.kind}>=(\S+)",
        }
        for channel, prefix in (("train", epoch), ("validation", epoch), ("test", ""))
        for name, metric in _QUALITY.items()
        if metric.algorithm == algorithm
    )


METRIC_DEFINITIONS: tuple[dict[str, str], ...] = (
    {"Name": "train:progress", "Regex": r"#progress_metric: host=\S+, completed (\S+) %"},
    {
        "Name": "train:throughput",
        "Regex": r"#throughput_metric: host=\S+, train throughput=(\S+) records/second",
    },
    *_definitions("object2vec"),
)
"""What SageMaker reads from the log: pass it as `metric_definitions` with a custom image."""

FURTHER_METRIC_DEFINITIONS = _definitions("beyond")
"""The same for metrics that AWS's algorithm does not have."""

_OF_BATCHES = r"#quality_metric: host=\S+, epoch=\S+, batch=\S+ train "
_OF_EPOCHS = r"#quality_metric: host=\S+, epoch=\S+, train "
_ACCURACY = r"binary_classification_accuracy <score>=(\S+)"
_CROSS_ENTROPY = r"binary_classification_cross_entropy <loss>=(\S+)"

IP_INSIGHTS_METRIC_DEFINITIONS: tuple[dict[str, str], ...] = (
    *METRIC_DEFINITIONS[:2],
    {"Name": "train:binary_classification_accuracy", "Regex": _OF_BATCHES + _ACCURACY},
    {"Name": "train:binary_classification_cross_entropy", "Regex": _OF_BATCHES + _CROSS_ENTROPY},
    {"Name": "train:binary_classification_accuracy:epoch", "Regex": _OF_EPOCHS + _ACCURACY},
    {
        "Name": "train:binary_classification_cross_entropy:epoch",
        "Regex": _OF_EPOCHS + _CROSS_ENTROPY,
    },
    {
        "Name": "validation:discriminator_auc",
        "Regex": r"#quality_metric: host=\S+, epoch=\S+, validation discriminator_auc "
        r"<score>=(\S+)",
    },
)
"""The same of AWS's IP Insights."""


@dataclass(frozen=True)
class Dialect:
    """What the log of one of AWS's algorithms has of its own.

    Parameters
    ----------
    algorithm : str
        Its name in ``#metrics`` lines.
    defaults : mapping of str to object
        Its hyperparameters where none are given.
    batch_metrics_every : int, optional
        Batches between ``#quality_metric`` lines of an epoch at work; without it, as in Object2Vec,
        there are other lines.
    form : str
        One of `LOG_FORMS`. The container of 2019 ran Python 2: its divisions of whole numbers round
        down and its numbers have 12 digits. That of 2025 runs Python 3.
    """

    algorithm: str
    defaults: Mapping[str, Any]
    batch_metrics_every: int | None = None
    form: str = LOG_FORMS[0]

    @property
    def is_of_2019(self) -> bool:
        """Whether the log has the older form."""
        return self.form == "2019"


OBJECT2VEC_DIALECT = Dialect(
    "ObjectToVec",
    {
        name: row.default
        for name, row in HYPERPARAMETERS.items()
        if row.origin in ("aws", "internal") and row.default is not None
    },
)


class SageMakerReporter:
    """The log of the AWS container, line for line where a machine reads it.

    Parameters
    ----------
    stream : text file
    host : str
        Name of this machine in the lines.
    entrypoint : str, optional
        Argument of the container, for the first line; none is written without it.
    provided : mapping, optional
        Hyperparameters as the user gave them.
    dialect : Dialect
        Of the algorithm whose log it is.
    clock : callable, default time.time
        Returns seconds since 1970.
    """

    def __init__(
        self,
        stream: TextIO,
        host: str,
        *,
        entrypoint: str | None = None,
        provided: Mapping[str, Any] | None = None,
        dialect: Dialect = OBJECT2VEC_DIALECT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stream = stream
        self._host = host
        self._provided = provided
        self._dialect = dialect
        self._clock = clock
        self._started = self._mark = clock()
        self._setup_ms = 0.0
        self._run: events.RunStarted | None = None
        self._epochs = self._batches = self._records = 0
        self._most_batches = self._most_records = 0
        self._times_ms: dict[str, float] = {}
        self._is_tested = False
        if entrypoint is not None:
            self._write(f"Docker entrypoint called with argument(s): {entrypoint}")

    def __call__(self, event: events.Event) -> None:
        """Write the event's lines."""
        before_epochs = events.RunStarted | events.ChannelOpened | events.Noted | events.Warned
        if not isinstance(event, before_epochs):
            self._begin()
        match event:
            case events.RunStarted():
                self._write_config(event)
            case events.ChannelOpened():
                self._write_channel(event)
            case events.BatchesDone():
                self._write_batches(event)
            case events.EpochDone():
                self._write_epoch(event)
            case events.Tested():
                self._write_test(event)
            case events.Finished():
                self._write_end()
            case _:
                self._write_other(event)

    def close(self) -> None:
        """Leave the stream open: it is not ours."""

    def _write(self, line: str) -> None:
        events.write_line(self._stream, line)

    def _line(self, text: str, level: str = "INFO") -> None:
        """Write one line with AWS's prefix, in UTC."""
        stamp = time.strftime("%m/%d/%Y %H:%M:%S", time.gmtime(self._clock()))
        self._write(f"[{stamp} {level} {threading.get_ident()}] {text}")

    def _metrics(self, values: Mapping[str, float], **dimensions: str | int) -> None:
        """Write a ``#metrics`` line that covers the time since the previous one."""
        now = self._clock()
        body = {
            "StartTime": self._mark,
            "EndTime": now,
            "Dimensions": {
                "Algorithm": self._dialect.algorithm,
                "Host": self._host,
                "Operation": "training",
                **dimensions,
            },
            "Metrics": {
                name: {"sum": float(value), "count": 1, "min": value, "max": value}
                for name, value in values.items()
            },
        }
        self._mark = now
        self._write(f"#metrics {json.dumps(body)}")

    def _write_config(self, event: events.RunStarted) -> None:
        self._run = event
        self._line(f"Reading default configuration: {self._dialect.defaults}")
        if self._provided is not None:
            self._line(f"Reading provided configuration: {dict(self._provided)}")
        self._line(f"Final configuration: {event.config.to_dict()}")
        self._line(f"Encoder configs: {[asdict(encoder) for encoder in event.config.encoders]}")
        self._notes(event.notes)
        self._line(f"use bucketing: {event.config.bucket_width > 0}")

    def _notes(self, notes: tuple[Note, ...]) -> None:
        for note in notes:
            self._line(note.text, note.level.upper())

    def _write_channel(self, event: events.ChannelOpened) -> None:
        shape, size = event.max_seq_lens, event.batch_size
        self._line(f"Creating data iterator for {event.source}")
        self._line(f"Source words: {event.tokens0}")
        self._line(f"Target words: {event.tokens1}")
        self._line(f"Total: {event.records} samples in {event.buckets} buckets")
        if event.buckets == 1:
            records, words = event.records, event.tokens1 / event.records
            batches = records // size if self._dialect.is_of_2019 else -(-records // size)
            words = float(int(words) if self._dialect.is_of_2019 else words) * size
            self._line(
                f"Bucket of {shape} : {records} samples in {batches} batches "
                f"of {size}, approx {words:.1f} words/batch"
            )
        self._line("0 sentence pairs discarded")
        if event.negatives_per_record:
            rate = event.negatives_per_record
            self._line(f"Negative sampling enabled with sampling rate {rate}")
        else:
            self._line("Negative sampling not used")
        if event.replicated_records:
            self._line("fill up mode: replicate")
            self._line(
                f"Replicating {event.replicated_records} random sentences from bucket {shape} to "
                f"size it to multiple of {size}"
            )
        self._notes(event.notes)

    def _begin(self) -> None:
        """Write, once, what stands between the data and the first epoch."""
        if self._run is None:
            return
        run, self._run = self._run, None
        gpus = int(run.device.startswith("cuda"))
        self._line(f"Number of GPUs being used: {gpus}")
        self._line(f"context [{'gpu' if gpus else 'cpu'}(0)]")
        self._line(f"Create Store: {run.config.to_dict()['_kvstore']}")
        self._write_layers(run)
        frozen = [
            f"embed_{encoder.side}_weight" for encoder in run.config.encoders if encoder.is_frozen
        ]
        self._line(f"fixed_param_names: {frozen}")
        self._setup_ms = (self._clock() - self._started) * 1000
        self._times_ms["epochs"] = run.config.epochs
        self._metrics({"initialize.time": self._setup_ms})
        self._iterator("init_train_data_iter", 0, 0)

    def _write_layers(self, run: events.RunStarted) -> None:
        def row(name: object, shape: object, count: object) -> str:
            return f"{name:<52}{shape:<24}{count:<44}"

        rows = [row(x.name, "x".join(map(str, x.shape)), x.parameters) for x in run.layers]
        head = row("Layer", "Shape", "Param #")
        total = f"Total params: {run.parameters}"
        tables = f"Token table params, not in the total: {run.token_parameters}"
        for line in (_RULE, head, "=" * 120, *rows, "=" * 120, total, tables, _RULE):
            self._write(line)

    def _iterator(self, meta: str, batches: int, records: int, **dimensions: int) -> None:
        """Write the counters of AWS's data iterators."""
        is_train = meta == "training_data_iter"
        counters = {
            "Max Batches Seen Between Resets": self._most_batches if is_train else batches,
            "Max Records Seen Between Resets": self._most_records if is_train else records,
            "Number of Batches Since Last Reset": batches,
            "Number of Records Since Last Reset": records,
            "Total Batches Seen": self._batches if is_train else batches,
            "Total Records Seen": self._records if is_train else records,
            "Reset Count": self._epochs if is_train else int(batches > 0),
        }
        self._metrics(counters, Meta=meta, **dimensions)

    def _write_batches(self, event: events.BatchesDone) -> None:
        every = self._dialect.batch_metrics_every
        if every and event.batches % every == 0:
            self._quality(f"epoch={event.epoch}, batch={event.batches} train", event.metrics)
        if every or event.batches % 100:
            return
        self._line(
            f"Epoch: {event.epoch}, batches: {event.batches}, num_examples: {event.records}, "
            f"{event.pairs_per_s:.1f} samples/sec, "
            f"epoch time so far: {timedelta(seconds=event.epoch_s)}"
        )
        self._line(f"\tTraining metrics: {_aws_metrics(event.metrics)}")

    def _write_epoch(self, event: events.EpochDone) -> None:
        number, update_s = event.epoch, event.train_s + event.validation_s
        self._line("*" * 14)
        self._line(f"Completed Epoch: {number}, time taken: {timedelta(seconds=event.train_s)}")
        self._line(f"Epoch {number} Training metrics:   {_aws_metrics(event.train)}")
        self._quality(f"epoch={number}, train", event.train)
        if event.validation is not None:
            self._line(f"Epoch {number} Validation metrics: {_aws_metrics(event.validation)}")
            self._quality(f"epoch={number}, validation", event.validation)
        self._line("*" * 14)
        self._write_verdict(event.verdict)
        times = {"update.time": update_s * 1000, "early_stop.time": event.verdict_s * 1000}
        self._metrics({**self._times_ms, **times})
        self._times_ms.clear()
        if event.verdict.should_stop:
            self._line("Early stop condition met. Stopping training.")
            done = "100 % epochs"
        else:
            done = f"{100 * (number + 1) // event.epochs} % of epochs"
        self._line(f"#progress_metric: host={self._host}, completed {done}")
        self._count(event)
        self._iterator("training_data_iter", event.batches, event.records, epoch=number)
        throughput = self._number(events.rate(event.records, update_s))
        self._line(
            f"#throughput_metric: host={self._host}, train throughput={throughput} records/second"
        )

    def _count(self, event: events.EpochDone) -> None:
        self._epochs += 1
        self._batches += event.batches
        self._records += event.records
        self._most_batches = max(self._most_batches, event.batches)
        self._most_records = max(self._most_records, event.records)

    def _write_verdict(self, verdict: events.Verdict) -> None:
        if verdict.past_values is not None and verdict.best_past is not None:
            difference = abs(verdict.best_past - verdict.value)
            self._line(f"patience losses: {list(verdict.past_values)}")
            self._line(f"min patience losses: {self._number(verdict.best_past)}")
            self._line(f"current loss: {self._number(verdict.value)}")
            self._line(f"absolute loss difference: {self._number(difference)}")
        if verdict.is_bad:
            count = f"Bad count:{verdict.bad}"
            self._line(f"Bad epoch: loss has not improved (enough). {count}")
        if verdict.should_stop:
            self._line("Bad epochs exceeded patience. Stopping training early!")
            self._line(f"Early stopping criterion met! Stopping training at epoch: {verdict.epoch}")

    def _quality(self, where: str, metrics: Mapping[str, float]) -> None:
        """Write the lines that SageMaker reads metrics from."""
        for name, value in metrics.items():
            if name in _QUALITY:
                figure = f"{name} <{_QUALITY[name].kind}>={self._number(value)}"
                self._line(f"#quality_metric: host={self._host}, {where} {figure}")

    def _write_test(self, event: events.Tested) -> None:
        self._is_tested = True
        self._line(
            f"Finished scoring on {event.records} examples from {event.batches} batches, "
            f"each of size {event.batch_size}."
        )
        self._line(f"Test Metrics:{_aws_metrics(event.metrics)}")
        self._iterator("test_data_iter", event.batches, event.records)
        for item in event.metrics.items():
            self._line(f"#test_score ({self._host}) : {item}")
        self._quality("test", event.metrics)
        self._times_ms["model.score.time"] = event.test_s * 1000

    def _write_other(self, event: events.Event) -> None:
        match event:
            case events.TableLearned():
                for line in table_lines(event):
                    self._line(line)
                self._notes(event.notes)
            case events.Resumed():
                where = f"epoch: {event.epoch}, batches: {event.batches}"
                self._line(f'Resuming training from "{event.path}", {where}')
            case events.CheckpointWritten():
                self._line(f'Saved checkpoint to "{event.path}"')
            case events.BestRestored():
                loss = f"Best loss: {event.value:.3f}"
                self._line(f"Best model based on epoch {event.epoch}. {loss}")
                self._metrics({"finalize.time": (self._clock() - self._mark) * 1000})
            case events.ModelSaved():
                self._line(f"Serializing model to {event.path}")
                self._times_ms["model.serialize.time"] = event.write_s * 1000
            case events.Noted():
                self._line(event.text)
            case events.Warned():
                self._line(event.text, "WARNING")
            case events.Interrupting():
                self._line(f"Received {event.signal_name}. Stopping after a checkpoint.", "WARNING")

    def _write_end(self) -> None:
        if not self._is_tested:
            self._line("Test data is not provided.")
        total_ms = (self._clock() - self._started) * 1000  # of the container, not of the run
        total = {"setuptime": self._setup_ms, "totaltime": total_ms}
        self._metrics({**self._times_ms, **total})

    def _number(self, value: float) -> str:
        """Return a number as the container's Python prints it."""
        if not self._dialect.is_of_2019:
            return str(float(value))
        text = f"{value:.12g}"
        return f"{text}.0" if text.lstrip("-").isdigit() else text


def _aws_metrics(metrics: Mapping[str, float]) -> str:
    return "".join(f"{name}: {value:.3f} " for name, value in metrics.items())
