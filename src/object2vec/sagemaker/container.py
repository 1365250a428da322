"""The container's two commands, ``train`` and ``serve``, as SageMaker runs them.

Everything is read from and written to the tree of `sagemaker.paths`, so that the same code runs in
SageMaker, in a container on any machine, and in a plain folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from object2vec.artifact import MARK, MODEL_FILES
from object2vec.artifact.location import METRICS
from object2vec.errors import (
    ArtifactError,
    ConfigError,
    DataError,
    Interrupted,
    MissingExtraError,
    NotFittedError,
    Object2VecError,
    StorageError,
    join_problems,
    problem,
)
from object2vec.files.json import strict_json
from object2vec.files.whole import TEMPORARY_PREFIX, flush, make_folder, storing, whole_file
from object2vec.reporting.aws_log import LOG_FORMS
from object2vec.reporting.events import Event, Finished, ModelSaved, Reporter, Tested
from object2vec.reporting.reporters import reporter
from object2vec.sagemaker.algorithms import LOG_VARIABLE, OBJECT2VEC, Algorithm, algorithm_of
from object2vec.sagemaker.paths import JobTree
from object2vec.training.stop import StopRequest

if TYPE_CHECKING:
    from object2vec.model import Object2Vec

CHECKPOINT_VARIABLE = "OBJECT2VEC_CHECKPOINT_EVERY"
PORT_VARIABLE = "SAGEMAKER_BIND_TO_PORT"

_CLIENT_ERROR_EXIT, _ALGORITHM_ERROR_EXIT = 2, 1
_CHECKPOINT_EVERY = "5m"
_DEFAULT_HOST = "algo-1"
_DEFAULT_PORT = "8080"
_CLIENT_ERRORS = (ConfigError, DataError, ArtifactError, MissingExtraError)
_AWS_VOCABULARY = re.compile(
    r'Inconsistent vocab for in[01] found\. Vocab id "\d+" is not less than vocab_size=\d+'
)


def train_container(base: Path, environ: Mapping[str, str]) -> int:
    """Run one training job and return the exit code of its process.

    Parameters
    ----------
    base : Path
        Root of the tree, ``/opt/ml`` in SageMaker.
    environ : mapping
        ``OBJECT2VEC_ALGORITHM`` is explained in `sagemaker.algorithms`;
        ``OBJECT2VEC_CHECKPOINT_EVERY`` sets how often a checkpoint is written (``500`` steps,
        ``10m``) where there is a folder for checkpoints; ``OBJECT2VEC_LOG`` says which year's
        container the log is like, ``2025`` or ``2019``.

    Returns
    -------
    int
        0 if a model was written, also after SIGTERM; 2 if hyperparameters, channels or records
        are wrong (``ClientError``), 1 if anything else failed (``AlgorithmError``).

    Notes
    -----
    ``output/failure`` is the last thing that a failed job writes. ``model/config.json`` is the
    last thing that a successful one writes: SageMaker and Docker mount ``model`` itself, so the
    folder cannot appear by one rename, but without that file it is no model for anyone.
    """
    layout, stop = JobTree(base), StopRequest()
    try:
        layout.failure.unlink(missing_ok=True)
        with stop.on_signals():  # before anything slow: a container's first process ignores SIGTERM
            _train(layout, environ, stop)
    except Exception as err:
        return _fail(layout, err)
    return 0


def serve_container(base: Path, environ: Mapping[str, str]) -> int:
    """Serve the model of the tree to every address, and return the exit code of the process.

    Parameters
    ----------
    base : Path
        Root of the tree, ``/opt/ml`` in SageMaker. A ``model/model.tar.gz`` is taken, too.
    environ : mapping
        ``SAGEMAKER_BIND_TO_PORT``, 8080 by default; the others are those of `serving.settings`.

    Raises
    ------
    ConfigError
        If a variable is wrong or the port is taken.
    ArtifactError
        If the model cannot be loaded.
    MissingExtraError
        If the packages of the extra ``serve`` are not installed.
    """
    from object2vec.serving.server import run
    from object2vec.serving.settings import Settings

    model = JobTree(base).model
    archive = model / "model.tar.gz"
    if archive.is_file() and not (model / MARK).exists():
        model = archive
    settings = Settings.from_environ(environ)
    return run(model, host="0.0.0.0", port=_read_port(environ), settings=settings)


def _read_port(environ: Mapping[str, str]) -> int:
    text = environ.get(PORT_VARIABLE) or _DEFAULT_PORT
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 1 << 16):
        cure = "Use a number from 1 to 65535, or unset the variable."
        raise ConfigError.at(PORT_VARIABLE, "must be a port", text, cure)
    return int(text)


def _train(layout: JobTree, environ: Mapping[str, str], stop: StopRequest) -> None:
    """Train as the tree says and write the model into it."""
    host = _read_host(layout)
    hyperparameters = _read_object(layout.hyperparameters) or {}
    algorithm = algorithm_of(hyperparameters, environ)
    shown = reporter(
        "sagemaker",
        host=host,
        entrypoint="train",
        provided=hyperparameters,
        dialect=replace(algorithm.dialect(hyperparameters), form=_read_log_form(environ)),
    )
    with _SavedFirst(shown) as log:
        _fit(layout, environ, stop, algorithm, hyperparameters, log)


def _read_log_form(environ: Mapping[str, str]) -> str:
    form = environ.get(LOG_VARIABLE) or LOG_FORMS[0]
    if form not in LOG_FORMS:
        must, cure = f"must be one of {', '.join(LOG_FORMS)}", "Correct it, or unset it."
        raise ConfigError.at(LOG_VARIABLE, must, form, cure)
    return form


class _SavedFirst:
    """Shows the saved model before its test, as AWS's log does; ours is saved with its results."""

    def __init__(self, shown: Reporter) -> None:
        self._shown, self._held = shown, list[Event]()

    def __call__(self, event: Event) -> None:
        """Show an event, or keep it until the model is saved."""
        if isinstance(event, Tested | Finished):
            self._held.append(event)
        else:
            self._shown(event)

    def close(self) -> None:
        """Do nothing: the block ends it."""

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *error: object) -> None:
        for event in self._held:
            self._shown(event)
        self._shown.close()


def _fit(
    layout: JobTree,
    environ: Mapping[str, str],
    stop: StopRequest,
    algorithm: Algorithm,
    hyperparameters: Mapping[str, Any],
    log: Reporter,
) -> None:
    """Train and write the model."""
    arguments = algorithm.arguments(hyperparameters)
    channels = _read_channels(layout, algorithm)

    from object2vec.model import Object2Vec

    model = Object2Vec(**arguments)
    checkpoints = layout.checkpoints if layout.checkpoints.is_dir() else None
    every = environ.get(CHECKPOINT_VARIABLE) or _CHECKPOINT_EVERY
    try:
        model.fit(
            channels["train"],
            validation=channels.get("validation"),
            test=channels.get("test"),
            auxiliary=channels.get("auxiliary"),
            **algorithm.reading,
            checkpoints=checkpoints,
            checkpoint_every=every if checkpoints else None,
            resume=checkpoints is not None,
            reporters=[log],
            stop=stop,
        )
    except Interrupted as stopped:
        _save_after_stop(model, layout, log, stopped)
    else:
        _save(model, layout, log)


def _save_after_stop(
    model: Object2Vec, layout: JobTree, log: Reporter, stopped: Interrupted
) -> None:
    """Write the best weights so far: for SageMaker, a stopped job with a model is a success."""
    try:
        _save(model, layout, log)
    except NotFittedError:
        raise stopped from None


def _save(model: Object2Vec, layout: JobTree, log: Reporter) -> None:
    """Write the metrics and then the model, whose last file ends the job."""
    started = time.monotonic()
    facts = model.facts
    lines = "".join(json.dumps(event) + "\n" for event in facts.history)
    _write(layout.output_data / METRICS, lines)
    summary = {"metrics": facts.metrics, "data": facts.data}
    _write(layout.output_data / "summary.json", json.dumps(summary, indent=2) + "\n")
    publish(model, layout.model)
    log(ModelSaved(path=layout.model, write_s=time.monotonic() - started))


def publish(model: Object2Vec, target: Path) -> None:
    """Write a model's files into a folder that exists already, such as a mounted one.

    The files are written and flushed to the disk in a temporary folder inside and then moved, with
    ``config.json`` last. Whenever the process dies, the folder holds the whole model or none.

    Raises
    ------
    NotFittedError
        If there is nothing to save.
    StorageError
        If the folder cannot be written.
    """
    staged = target / f"{TEMPORARY_PREFIX}model"
    with storing(target):
        make_folder(target)
        for left in target.glob(f"{TEMPORARY_PREFIX}*"):
            shutil.rmtree(left)
        model.save(staged)
        (target / MARK).unlink(missing_ok=True)
        for file in MODEL_FILES:
            if not (staged / file.name).exists():
                (target / file.name).unlink(missing_ok=True)
        for path in sorted(staged.iterdir(), key=lambda path: path.name == MARK):
            os.replace(path, target / path.name)
        staged.rmdir()
        flush(target)


def _write(path: Path, text: str) -> None:
    with storing(path):
        make_folder(path.parent)
    with whole_file(path) as stream:
        stream.write(text.encode())


def _read_object(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file that SageMaker wrote, None if it did not."""
    try:
        document = strict_json(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict):
            raise ValueError(f"a JSON {type(document).__name__}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as err:
        cure = "Write names and values, all strings."
        raise ConfigError.at(str(path), "must be a JSON object", str(err), cure) from err
    return document


def _read_host(layout: JobTree) -> str:
    """Return this machine's name; reject a job for several."""
    resources = _read_object(layout.resource_config) or {}
    hosts = resources.get("hosts", [])
    if not isinstance(hosts, list) or len(hosts) > 1:
        must = "must name one host: training uses one machine"
        cure = "Set the instance count to 1 and, for speed, take a larger one."
        raise ConfigError.at(layout.resource_config.name, must, hosts, cure)
    return str(resources.get("current_host", _DEFAULT_HOST))


def _read_channels(layout: JobTree, algorithm: Algorithm = OBJECT2VEC) -> dict[str, Path]:
    """Return the folder of each channel that the job has."""
    described = _read_object(layout.input_data_config)
    if described is None:
        found = layout.data.iterdir() if layout.data.is_dir() else ()
        described = {path.name: {} for path in found if not path.name.startswith(".")}
    problems = [
        text
        for name, facts in sorted(described.items())
        for text in _channel_problems(name, facts, algorithm)
    ]
    if "train" not in described:
        cure = "Add a channel of this name."
        problems.append(problem("channel train", "must be given", sorted(described), cure))
    if problems:
        raise ConfigError(join_problems(problems))
    return {name: layout.channel(name) for name in algorithm.channels if name in described}


def _channel_problems(name: str, facts: Any, algorithm: Algorithm) -> Iterator[str]:
    """Yield what is wrong with a channel's description."""
    where = f"channel {name}"
    if not isinstance(facts, dict):
        cure = "Write TrainingInputMode, ContentType and RecordWrapperType, or {}."
        yield problem(where, "must be described by a JSON object", facts, cure)
        return
    if name not in algorithm.channels:
        known = ", ".join(algorithm.channels)
        yield problem(where, f"must be one of {known}", name, "Rename or remove it.")
        return
    mode = facts.get("TrainingInputMode") or "File"
    if mode not in ("File", "FastFile"):
        cure = "Pipe mode is not supported, as in AWS's Object2Vec and IP Insights."
        yield problem(where, "must have input mode File or FastFile", mode, cure)
    wrapper = facts.get("RecordWrapperType") or "None"
    if wrapper != "None":
        yield problem(where, "must have RecordWrapperType None", wrapper, algorithm.cure)
    wanted = algorithm.content_types
    content_type = str(facts.get("ContentType") or wanted[0])
    if name != "auxiliary" and content_type.partition(";")[0].strip() not in wanted:
        must = f"must have the content type {wanted[0]}"
        yield problem(where, must, content_type, algorithm.cure)


def _fail(layout: JobTree, err: Exception) -> int:
    """Say why the job failed, in the log and then in the failure file; return the exit code."""
    text, code = explain(err)
    sys.stderr.write(f"{text}\n")
    if not isinstance(err, Object2VecError):
        trace = "".join(traceback.format_exception(err))
        sys.stderr.write(trace)
        text += f"\n\n{trace}"
    try:
        _write(layout.failure, text)
    except StorageError as lost:
        sys.stderr.write(f"{lost}\n")
    return code


def explain(err: Exception) -> tuple[str, int]:
    """Return the failure text of an error, as AWS's containers begin it, and the exit code.

    Notes
    -----
    AWS's sentence about an id that is not in the vocabulary comes first, word for word
    (https://github.com/aws/sagemaker-python-sdk/issues/834); every such record follows.
    """
    text = str(err) or type(err).__name__
    if _is_out_of_memory(err):
        cure = "Use a larger instance, or a smaller mini_batch_size, enc_dim or vocabulary."
        return f"ClientError: Out of memory. {cure}\n{text}", _CLIENT_ERROR_EXIT
    if isinstance(err, _CLIENT_ERRORS):
        aws = _AWS_VOCABULARY.search(text)
        return f"ClientError: {aws[0]}\n{text}" if aws else f"ClientError: {text}", (
            _CLIENT_ERROR_EXIT
        )
    if isinstance(err, StorageError | Interrupted):
        return f"AlgorithmError: {text}", _ALGORITHM_ERROR_EXIT
    return f"AlgorithmError: {type(err).__name__}: {text}", _ALGORITHM_ERROR_EXIT


def _is_out_of_memory(err: Exception) -> bool:
    """Say so of Python's error and of torch's, which is a RuntimeError on a CPU."""
    names = {kind.__name__ for kind in type(err).__mro__}
    return bool({"MemoryError", "OutOfMemoryError"} & names) or (
        isinstance(err, RuntimeError) and "can't allocate memory" in str(err)
    )
