"""One run from hyperparameters and channels to a trained model, telling what it does."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from object2vec import artifact
from object2vec.artifact import Artifact, ModelFacts, Vocabulary
from object2vec.config import Config, EncoderConfig, Note
from object2vec.devices import (
    peak_memory_bytes,
    place,
    release_freed_memory,
    retain_freed_memory,
    set_threads,
)
from object2vec.errors import ConfigError, DataError
from object2vec.files.remote import PathLike, join
from object2vec.kernels import kernel_for
from object2vec.network.network import Network, materialize, parameter_count
from object2vec.objects.vocabulary import read_vectors, read_vocabulary
from object2vec.pairs.batches import TrainingBatches, evaluation_batches
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.report import Report, check_channel
from object2vec.reporting.events import (
    ChannelOpened,
    EpochDone,
    Event,
    Finished,
    Layer,
    ModelSaved,
    Reporter,
    RunStarted,
    Tested,
)
from object2vec.reporting.json import MetricsFile
from object2vec.training.checkpoint import METRICS, CheckpointFolder, Interval
from object2vec.training.loop import Outcome, Training, score
from object2vec.training.stop import StopRequest
from object2vec.version import VERSION

_KEPT_EVENTS = (RunStarted, EpochDone, Tested, Finished)  # what the saved model remembers


class Run:
    """A run of training.

    Parameters
    ----------
    config : Config
    reporters : sequence of Reporter
        Take every event.
    auxiliary : path or None
        Folder of the vocabulary and vector files that the configuration names.

    Attributes
    ----------
    has_learned : bool
        Whether the network holds weights worth keeping.
    """

    def __init__(
        self,
        config: Config,
        reporters: Sequence[Reporter],
        auxiliary: str | os.PathLike[str] | None,
    ) -> None:
        self.config = config
        self.reporters = reporters
        self.started = time.monotonic()
        self.has_learned = False
        self.history: list[dict[str, Any]] = []
        self._metrics_file: MetricsFile | None = None
        self.reports: dict[str, Report] = {}
        self.channels: dict[str, Pairs] = {}
        threads = set_threads(config.threads)
        device = place(config.device)
        kernel = kernel_for(config.kernel, device)
        with torch.device("meta"):  # PyTorch's own initial weights would draw from global state
            self.network = Network(config, kernel)
        materialize(self.network)
        self.network.initialize(torch.Generator().manual_seed(config.seed))
        self.vocabularies, notes = _load_auxiliary(self.network, config, auxiliary)
        self.network.to(device)
        self.emit(
            RunStarted(
                config=config,
                notes=(*config.notes, *notes),
                layers=_layers(self.network),
                parameters=parameter_count(self.network),
                token_parameters=sum(table.weight.numel() for table in self.network.tables()),
                device=device,
                threads=threads,
                kernel=kernel.name,
                version=VERSION,
            )
        )

    def emit(self, event: Event) -> None:
        """Tell every reporter, and remember what belongs to the model's history."""
        self._remember(event)
        self._tell(event)

    def _remember(self, event: Event) -> None:
        if not isinstance(event, _KEPT_EVENTS):
            return
        values = event.to_dict()
        values.pop("peak_memory_bytes", None)  # of this process, not of the model
        self.history.append(values)
        if self._metrics_file is not None:
            self._metrics_file.append(values)

    def _tell(self, event: Event) -> None:
        for reporter in self.reporters:
            reporter(event)

    def open(self, **sources: Any) -> None:
        """Read and check the channels that are given, by name; train is required."""
        rate = self.config.negative_sampling_rate
        for channel, source in sources.items():
            if source is None:
                continue
            default = 1.0 if rate and channel == "train" else None
            pairs = Pairs.read(source, default_label=default, name=channel)
            self.channels[channel] = pairs
            self.reports[channel] = check_channel(pairs, self.config, channel)
            self.emit(_opened(_name(source), pairs, self.reports[channel], self.config))
        if rate and len(self.channels["train"]) < 2:
            raise DataError.at(
                "train", "must hold two records to make negatives", 1, "Add records."
            )

    def train(
        self,
        workspace: Path,
        checkpoints: CheckpointFolder | None,
        interval: Interval,
        stop: StopRequest,
        *,
        resume: bool,
        save_to: PathLike | None = None,
        overwrite: bool = False,
    ) -> None:
        """Train, score the test channel with the best weights, save, and report the end."""
        training = Training(
            self.network,
            self.config,
            TrainingBatches(self.channels["train"], self.config),
            self.channels.get("validation"),
            emit=self.emit,
            workspace=workspace,
            checkpoints=checkpoints,
            interval=interval,
            stop=stop,
            history=self.history,
        )
        if resume:
            training.resume()
        release_freed_memory()  # what reading the channels has left
        retain_freed_memory()
        with contextlib.closing(MetricsFile(workspace / METRICS, self.history)) as file:
            self._metrics_file = file
            try:
                outcome = training.run()
            finally:
                self.has_learned = training.optimizer.steps > 0
                release_freed_memory()
            self._test()
            finished = self._finish(outcome)
        if save_to is not None:
            self._save(save_to, overwrite)
        self._tell(finished)

    def _finish(self, outcome: Outcome) -> Finished:
        """Remember how the run ended, before the model is saved with what is remembered."""
        finished = Finished(
            epochs=outcome.epochs,
            best_epoch=outcome.best_epoch,
            best_loss=outcome.best_loss,
            stopped_early=outcome.stopped_early,
            records=outcome.records,
            pairs_per_s=outcome.records / outcome.train_s if outcome.train_s else 0.0,
            total_s=time.monotonic() - self.started,
            peak_memory_bytes=peak_memory_bytes(),
        )
        self._remember(finished)
        return finished

    def _save(self, path: PathLike, overwrite: bool) -> None:
        started = time.monotonic()
        artifact.save(self.artifact(), path, replace=overwrite)
        self._tell(ModelSaved(path=path, write_s=time.monotonic() - started))

    def _test(self) -> None:
        pairs = self.channels.get("test")
        if pairs is None:
            return
        started, size = time.monotonic(), self.config.mini_batch_size
        metrics = score(self.network, evaluation_batches(pairs, self.config))
        self.emit(
            Tested(
                metrics=metrics.values(),
                records=len(pairs),
                batches=-(-len(pairs) // size),
                batch_size=size,
                test_s=time.monotonic() - started,
            )
        )

    def artifact(self) -> Artifact:
        """Return the model with all that the run knows about it."""
        self.network.eval()
        facts = ModelFacts(
            data={channel: report.to_dict() for channel, report in self.reports.items()},
            metrics=_last_metrics(self.history),
            history=tuple(self.history),
        )
        return Artifact(self.config, self.network, self.vocabularies, facts)


def _name(source: Any) -> str:
    """Return what a log calls the source of a channel."""
    names = [source] if isinstance(source, str | os.PathLike) else source
    if isinstance(names, list | tuple) and all(isinstance(n, str | os.PathLike) for n in names):
        return ", ".join(map(os.fspath, names))
    return "memory"


def _opened(source: str, pairs: Pairs, report: Report, config: Config) -> ChannelOpened:
    """Return the event for an open channel."""
    is_train = report.channel == "train"
    batches = TrainingBatches(pairs, config) if is_train else None
    size = config.mini_batch_size
    count = len(batches) if batches else -(-len(pairs) // size)
    repeated = -len(pairs) % size if config.compat_metrics else 0
    _, *facts = report.lines()  # the first one says what the event itself does
    notes = [Note("info", line) for line in facts]
    notes += [Note("warning", line) for line in report.warnings()]
    return ChannelOpened(
        channel=report.channel,
        source=source,
        records=len(pairs),
        tokens0=report.in0.tokens,
        tokens1=report.in1.tokens,
        batches=count,
        batch_size=size,
        max_seq_lens=(config.encoders[0].max_seq_len, config.encoders[1].max_seq_len),
        negatives_per_record=config.negative_sampling_rate if is_train else 0,
        buckets=len(batches.buckets) if batches else 1,
        replicated_records=batches.repeated_records if batches else repeated,
        notes=tuple(notes),
    )


def _load_auxiliary(
    network: Network, config: Config, folder: str | os.PathLike[str] | None
) -> tuple[tuple[Vocabulary | None, Vocabulary | None], list[Note]]:
    """Load the configured vocabularies, and pretrained vectors into the token tables."""
    vocabularies: list[Vocabulary | None] = [None, None]
    notes: list[Note] = []
    for encoder in config.encoders:
        if not encoder.vocab_file:
            continue
        if folder is None:
            raise ConfigError.at(
                "auxiliary",
                f"must be given with enc{encoder.side}_vocab_file",
                None,
                "Name the folder that holds the files (--auxiliary).",
            )
        file = join(folder, encoder.vocab_file)
        vocabulary = read_vocabulary(file, vocab_size=encoder.vocab_size)
        vocabularies[encoder.side] = vocabulary
        is_second_of_tied = encoder.side and config.tied_token_embedding_weight
        if encoder.pretrained_embedding_file and not is_second_of_tied:
            notes.append(_load_vectors(network, encoder, vocabulary, folder))
    return (vocabularies[0], vocabularies[1]), notes


def _load_vectors(
    network: Network, encoder: EncoderConfig, vocabulary: Vocabulary, folder: PathLike
) -> Note:
    """Put pretrained vectors into one side's table; return what was found."""
    file = join(folder, encoder.pretrained_embedding_file)
    found = read_vectors(
        file, vocabulary, encoder.token_embedding_dim, vocab_size=encoder.vocab_size
    )
    table = network.table(encoder.side)
    table.weight[torch.from_numpy(found.rows)] = torch.from_numpy(found.vectors)
    state = "frozen" if encoder.is_frozen else "trained further"
    return Note(
        "info",
        f"enc{encoder.side}: {len(found.rows)} of {len(vocabulary)} tokens have a vector in "
        f"{encoder.pretrained_embedding_file}; the others keep their random one. "
        f"The table is {state}.",
    )


def _layers(network: Network) -> tuple[Layer, ...]:
    return tuple(
        Layer(name, tuple(tensor.shape), tensor.numel())
        for name, tensor in network.state_dict().items()
    )


def _last_metrics(history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the metrics of the best epoch and of the test, by channel."""
    epochs = [event for event in history if event["event"] == "epoch"]
    best = [event for event in epochs if event["verdict"]["is_best"]]
    metrics = {
        channel: best[-1][channel]
        for channel in ("train", "validation")
        if best and best[-1][channel]
    }
    tests = [event for event in history if event["event"] == "test"]
    return metrics | ({"test": tests[-1]["metrics"]} if tests else {})
