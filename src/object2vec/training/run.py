"""One run from hyperparameters and channels to a trained model, reporting what it does."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from object2vec import artifact
from object2vec.artifact import Artifact, ModelFacts, Vocabularies
from object2vec.artifact.location import METRICS
from object2vec.compiled.cores import share_of_cores
from object2vec.config import Config, Note
from object2vec.devices import (
    computing,
    find_device,
    peak_memory_bytes,
    release_freed_memory,
    retain_freed_memory,
)
from object2vec.errors import ConfigError, DataError
from object2vec.fields.schema import ObjectSchema
from object2vec.files.remote import PathLike
from object2vec.files.sources import are_paths
from object2vec.kernels import kernel_for
from object2vec.kernels.compiling import CompileClock
from object2vec.network.network import Network, folded, new_network, parameter_count
from object2vec.objectives import objective_of
from object2vec.pairs.batches import TrainingBatches
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.report import Report, check_channel
from object2vec.reading.tables import Table
from object2vec.reporting import events
from object2vec.reporting.json import MetricsFile
from object2vec.training.auxiliary import load_auxiliary
from object2vec.training.carried import carry_state
from object2vec.training.centering import center
from object2vec.training.loop import Loop
from object2vec.training.measuring import measured
from object2vec.training.memory import checked_memory
from object2vec.training.options import Channels, Habits
from object2vec.training.partners import find_partners
from object2vec.training.schedule import Horizon
from object2vec.training.settling import Settling, settling_text
from object2vec.training.start import start_from
from object2vec.training.step import Step
from object2vec.training.stop import StopRequest
from object2vec.training.tables import Declared, learn_from
from object2vec.training.topics import begin_with_topics
from object2vec.training.vectors import load_vectors
from object2vec.training.weights import learn_weights
from object2vec.version import VERSION

# What the saved model remembers.
_KEPT_EVENTS = (
    events.TableLearned,
    events.RunStarted,
    events.EpochDone,
    events.Tested,
    events.Finished,
)
_MOST_THREADS = 1024
_COMPILING = "Compiling kernels for this machine, once: the first steps wait for it."
_NOT_SAVED = (
    "The trained model is not saved, but kept in the checkpoint: resume saves it without training."
)


class Run:
    """A run of training, from hyperparameters and channels to a trained model.

    Parameters
    ----------
    config : Config
    channels : Channels
    habits : Habits
    declared : Declared, optional
        What the columns of the channels mean, if they are tables. Then the config is provisional
        until they are read.
    start : Artifact, optional
        The model that training goes on from.
    start_state : path, optional
        The checkpoints that its optimizer state is taken from.

    Attributes
    ----------
    artifact : Artifact or None
        The model with all that the run knows about it, also if the run was interrupted; None while
        nothing worth keeping was learned.
    """

    def __init__(
        self,
        config: Config,
        channels: Channels,
        habits: Habits,
        declared: Declared | None = None,
        start: Artifact | None = None,
        start_state: PathLike | None = None,
    ) -> None:
        self.config, self.channels, self.habits = config, channels, habits
        self.schema: ObjectSchema | None = None
        self._declared, self._start, self._start_state = declared, start, start_state
        self._facts: dict[str, dict[str, Any]] = {}
        self.artifact: Artifact | None = None
        self._started = time.monotonic()
        self._history: list[dict[str, Any]] = []
        self._metrics_file: MetricsFile | None = None
        self._pairs: dict[str, Pairs] = {}
        self._reports: dict[str, Report] = {}

    def __call__(self) -> None:
        """Train, score the test channel with the best weights, and save.

        Raises
        ------
        ConfigError, DataError
            If hyperparameters or records are wrong.
        Interrupted
            If the run was asked to stop.
        TrainingError
            If it diverged.
        StorageError
            If something cannot be written. A model that is trained and cannot be saved is in the
            last checkpoint, where there is a folder for checkpoints.
        """
        habits, stop = self.habits, self.habits.stop
        self._check_target()
        with contextlib.ExitStack() as stack:
            for listener in habits.reporters:
                stack.callback(listener.close)
            if stop is None:
                stop = StopRequest()
                stack.enter_context(stop.on_signals())
            workspace = self._open_workspace(stack)
            threads = stack.enter_context(computing(self._threads()))
            clock = CompileClock(lambda: self._report(events.Noted(_COMPILING)))
            stack.enter_context(clock.running())
            self._read_tables()
            network, vocabularies = self._build(threads)
            self._open_channels()
            train = TrainingBatches(self._pairs["train"], self.config)
            loop = Loop(
                self._first_step(network, train),
                train,
                self._pairs.get("validation"),
                habits,
                stop,
                workspace=workspace,
                emit=self._emit,
                history=self._history,
                clock=clock,
                settle=Settling(network, self.schema, self._pairs),
                identity=self.schema.fingerprint if self.schema else None,
            )
            stack.callback(loop.close)
            try:
                self._train(loop, workspace, vocabularies)
            finally:
                if loop.has_learned:
                    self.artifact = self._learned(network, vocabularies)
            if habits.save_to is not None and habits.checkpoints is not None:
                habits.checkpoints.clear()

    def _check_target(self) -> None:
        """Raise `StorageError` or `ConfigError` if the model cannot be saved where it shall be."""
        habits = self.habits
        if habits.save_to is not None:
            artifact.check_target(habits.save_to, replace=habits.overwrite)
            for folder in filter(None, (habits.checkpoints, habits.save_state)):
                folder.check_apart(habits.save_to)
        self._check_states()

    def _check_states(self) -> None:
        """Raise an error if the optimizer state cannot come from or go to where it shall."""
        habits, start = self.habits, self._start_state
        if start is not None and self._start is None:
            cure = "Name the model, too, as start_from."
            raise ConfigError.at("start_state", "must come with a model", "none", cure)
        kept = habits.save_state
        if kept is not None and not (habits.overwrite or habits.resume):
            kept.check_free()
        paths = {"start_state": start, "save_state": kept.path if kept else None}
        own = habits.checkpoints and os.path.realpath(habits.checkpoints.path)
        for name, path in paths.items():
            if own and path is not None and own == os.path.realpath(path):
                must = "must not be the folder of this run's checkpoints"
                raise ConfigError.at(name, must, str(path), "Choose another one.")

    def _open_workspace(self, stack: contextlib.ExitStack) -> Path:
        """Return where the run may put its files: the folder that it owns, or a temporary one."""
        folder = self.habits.checkpoints
        if folder is None:
            return Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(folder.locked())
        if not (self.habits.resume or self.habits.overwrite):
            folder.check_free()
        return folder.path

    def _threads(self) -> int:
        """Return the number of threads; without one given, that of the run that this one goes on.

        The rounding of PyTorch's products depends on it, so a run that goes on elsewhere keeps it.
        It is never more than whoever started this process beside others leaves to it.
        """
        folder, given = self.habits.checkpoints, self.config.threads
        if given > (share := share_of_cores()):
            text = f"threads: {share} instead of {given}, this process's share of the cores."
            self._report(events.Noted(text))
            given = share
        path = folder.latest() if folder is not None and self.habits.resume else None
        if given or folder is None or path is None:
            return given
        found = folder.state(path).get("threads")
        return found if isinstance(found, int) and 0 < found <= _MOST_THREADS else given

    def _read_tables(self) -> None:
        """Learn what the tables hold, if they are tables, and with it the configuration."""
        if self._declared is None:
            return
        sources = dict(self.channels.sources())
        found = learn_from(self._declared, sources, self.config.seed, self._start)
        self.config, self.schema, self._pairs = found.config, found.schema, found.pairs
        for channel, facts in found.facts.items():
            coverage = {name: asdict(each) for name, each in facts.coverage.items()}
            self._facts[channel] = {"coverage": coverage}
        self._emit(found.event)
        for text in (settling_text(found.schema, found.config), checked_memory(self.config)):
            if text:
                self._report(events.Noted(text))

    def _first_step(self, network: Network, train: TrainingBatches) -> Step:
        """Return what trains the network, with the optimizer state that it begins with."""
        horizon = Horizon(len(train) * self.config.epochs, train.records)
        step = Step(self._weighed(network), horizon)
        self._carry_state(step)
        return step

    def _carry_state(self, step: Step) -> None:
        """Give the optimizer the state of the model that the run goes on from, if asked to."""
        if self._start_state is None or self._start is None:
            return
        note = carry_state(step.optimizer, self._start_state, self._start)
        self._report(events.Noted(note.text))

    def _build(self, threads: int) -> tuple[Network, Vocabularies]:
        """Return the network with its initial weights, and the vocabularies."""
        config = self.config
        device = find_device(config.device)
        kernel = kernel_for(config.kernel, device)
        network = new_network(config, kernel)
        vocabularies, notes = load_auxiliary(network, config, self.channels.auxiliary)
        if self._start is not None:
            notes.append(
                start_from(
                    network, self.schema, self._start, has_state=self._start_state is not None
                )
            )
        elif self._declared is not None and self._declared.vectors is not None:
            assert self.schema is not None, "our bug: tables without a schema"
            notes += load_vectors(network, self.schema, self._declared.vectors)
        network.to(device)
        self._emit(
            events.RunStarted(
                config=config,
                notes=(*config.notes, *notes),
                layers=_layers(network),
                parameters=parameter_count(network),
                token_parameters=sum(table.weight.numel() for table in network.tables()),
                device=device,
                threads=threads,
                kernel=kernel.name,
                version=VERSION,
            )
        )
        return network, vocabularies

    def _open_channels(self) -> None:
        """Read and check the channels that are given."""
        rate, label = self.config.negatives, objective_of(self.config).default_label
        sources = dict(self.channels.sources())
        for channel, source in sources.items() if self.schema is None else ():
            default = 1.0 if rate and channel == "train" else label
            self._pairs[channel] = Pairs.read(source, default_label=default, name=channel)
        for channel, pairs in self._pairs.items():
            self._reports[channel] = check_channel(pairs, self.config, channel)
            name = _name(sources.get(channel, self.channels.train))
            self._emit(_opened(name, pairs, self._reports[channel], self.config))
        has_noise = self.config.shared_negatives and objective_of(self.config).has_noise
        if has_noise and not self._pairs["train"].makes_blocks(self.config):
            text = "shared_negatives is ignored: dot_product has them with pairs=windows alone."
            self._report(events.Warned(text))
        if rate and len(self._pairs["train"]) < 2:
            raise DataError.at(
                "train", "must hold two records to make negatives", 1, "Add records."
            )

    def _weighed(self, network: Network) -> Network:
        """Return the network, which learns from now on what tokens count and who is with them.

        Its predictions begin at what training says on average, if they shall.
        """
        goes_on = self._start is not None
        train = self._pairs["train"]
        said = [] if goes_on else begin_with_topics(network, train)
        said += learn_weights(network, train, self.schema, goes_on=goes_on)
        if not goes_on:
            center(network, train)
        for text in (*said, *find_partners(network, train)):
            self._report(events.Noted(text))
        return network

    def _train(self, loop: Loop, workspace: Path, vocabularies: Vocabularies) -> None:
        """Train, then do what must not lose the trained weights if it fails."""
        if self.habits.resume:
            loop.resume()
        elif self.habits.checkpoints is not None:
            self.habits.checkpoints.discard()  # only now that this run is sure to begin
        release_freed_memory()  # what reading the channels has left
        retain_freed_memory()
        with contextlib.closing(MetricsFile(workspace / METRICS, self._history)) as file:
            self._metrics_file = file
            try:
                outcome = loop.run()
            finally:
                release_freed_memory()
            trained = len(self._history)
            try:
                finished = self._end(loop, vocabularies, outcome)
            except Exception:
                del self._history[trained:]
                if loop.save_finished() is not None:
                    self._report(events.Warned(_NOT_SAVED))
                raise
        self._report(finished)

    def _end(
        self, loop: Loop, vocabularies: Vocabularies, outcome: events.Outcome
    ) -> events.Finished:
        """Score the test channel and save the model; return what is left to report."""
        self._test(loop)
        finished = events.Finished(
            **asdict(outcome),
            total_s=time.monotonic() - self._started,
            peak_memory_bytes=peak_memory_bytes(),
        )
        self._remember(finished)  # before the model is saved with what is remembered
        if self.habits.save_state is not None:
            loop.save_state(self.habits.save_state)
        if self.habits.save_to is not None:
            started, path = time.monotonic(), self.habits.save_to
            learned = self._learned(loop.network, vocabularies)
            artifact.save(learned, path, replace=self.habits.overwrite)
            self._report(events.ModelSaved(path=path, write_s=time.monotonic() - started))
        return finished

    def _test(self, loop: Loop) -> None:
        pairs = self._pairs.get("test")
        if pairs is None:
            return
        started, size = time.monotonic(), self.config.mini_batch_size
        metrics = measured(loop.network, pairs, self.config, loop.train.known)
        self._emit(
            events.Tested(
                metrics=metrics,
                records=len(pairs),
                batches=-(-len(pairs) // size),
                batch_size=size,
                test_s=time.monotonic() - started,
            )
        )

    def _learned(self, network: Network, vocabularies: Vocabularies) -> Artifact:
        """Return the model with all that the run knows about it."""
        used = folded(network.eval())
        facts = ModelFacts(
            data={
                channel: report.to_dict() | self._facts.get(channel, {})
                for channel, report in self._reports.items()
            },
            metrics=_last_metrics(self._history),
            history=tuple(self._history),
        )
        return Artifact(self.config, used, vocabularies, facts, self.schema)

    def _emit(self, event: events.Event) -> None:
        """Report to everybody, and remember what belongs to the model's history."""
        self._remember(event)
        self._report(event)

    def _remember(self, event: events.Event) -> None:
        if not isinstance(event, _KEPT_EVENTS):
            return
        values = event.to_dict()
        values.pop("peak_memory_bytes", None)  # of this process, not of the model
        self._history.append(values)
        if self._metrics_file is not None:
            self._metrics_file.append(values)

    def _report(self, event: events.Event) -> None:
        for reporter in self.habits.reporters:
            reporter(event)


def _name(source: Any) -> str:
    """Return what a log calls the source of a channel."""
    if isinstance(source, Table):
        return source.name
    names = [source] if isinstance(source, str | os.PathLike) else source
    if are_paths(names):
        return ", ".join(map(os.fspath, names))
    return "memory"


def _opened(source: str, pairs: Pairs, report: Report, config: Config) -> events.ChannelOpened:
    """Return the event for an open channel."""
    is_train = report.channel == "train"
    is_drawn = is_train or pairs.are_positives
    batches = TrainingBatches(pairs, config) if is_drawn else None
    size = config.mini_batch_size
    count = len(batches) if batches else -(-len(pairs) // size)
    repeated = -len(pairs) % size if config.compat_metrics else 0
    _, *facts = report.lines()  # the first one says what the event itself does
    notes = [Note("info", line) for line in facts]
    notes += [Note("warning", line) for line in report.warnings()]
    return events.ChannelOpened(
        channel=report.channel,
        source=source,
        records=len(pairs),
        tokens0=report.in0.tokens,
        tokens1=report.in1.tokens,
        batches=count,
        batch_size=size,
        max_seq_lens=(config.encoders[0].max_seq_len, config.encoders[1].max_seq_len),
        negatives_per_record=config.negatives if is_drawn else 0,
        buckets=len(batches.buckets) if batches else 1,
        replicated_records=batches.repeated_records if batches else repeated,
        notes=tuple(notes),
    )


def _layers(network: Network) -> tuple[events.Layer, ...]:
    return tuple(
        events.Layer(name, tuple(tensor.shape), tensor.numel())
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
