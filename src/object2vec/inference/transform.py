"""Batch transform: a model's predictions for whole files, ``<file>.out`` for each.

Records are read and processed exactly as the server does it, in payloads of limited size, so that
memory does not grow with the file. An output file appears whole or not at all: after a failure the
same call goes on with the files that have none yet.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from object2vec.errors import (
    MAX_PROBLEMS,
    ArtifactError,
    ConfigError,
    DataError,
    RequestError,
    join_problems,
    problem,
)
from object2vec.files.contents import read_blocks
from object2vec.files.remote import exists, is_url, join, name_beneath, open_url, write_object
from object2vec.files.sources import Source, list_sources
from object2vec.files.whole import make_folder, storing, whole_file
from object2vec.inference.inputs import Tally, rows_at_once
from object2vec.inference.payload import CSV, JSON, JSON_LINES, MIB
from object2vec.objects.ragged import Ragged

if TYPE_CHECKING:
    from object2vec.inference.engine import Engine
    from object2vec.inference.forms import Form
    from object2vec.inference.instances import Group, Request

Floats = NDArray[np.float32]
MAX_PAYLOAD_MB = 100  # SageMaker's own limit

_REPORT_S = 10.0

_log = logging.getLogger("object2vec.inference.transform")


@dataclass(frozen=True, kw_only=True)
class TransformSettings:
    """How files are read and predictions written; SageMaker's names and meaning.

    Parameters
    ----------
    content_type : str, default "application/jsonlines"
        Or ``application/json``, or ``text/csv`` for a model with a schema. Parameters may follow:
        ``; infer_max_seqlens=20,50``, and of a CSV ``; header=absent``.
    accept : str, default ""
        Form of the output; that of the records by default.
    split_type : {"Line", "None"}, optional
        Whether each line is a record or each file one request; by default ``Line`` for JSON Lines
        and ``None`` for JSON. A CSV is always read record by record, also where one has many lines.
    strategy : {"MultiRecord", "SingleRecord"}, default "MultiRecord"
        Whether a payload holds many records or one. The predictions are the same.
    max_payload_mb : int, default 6
        Megabytes of a payload, 1 to 100. A record, or a file that is not split, must fit into one.
    overwrite : bool, default False
        Process also the files that have their output already.
    device : str, optional
        Where to compute; as in training by default.

    Raises
    ------
    ConfigError
        If settings are wrong; all of them together.
    """

    content_type: str = JSON_LINES
    accept: str = ""
    split_type: Literal["Line", "None"] | None = None
    strategy: Literal["MultiRecord", "SingleRecord"] = "MultiRecord"
    max_payload_mb: int = 6
    overwrite: bool = False
    device: str | None = None

    def __post_init__(self) -> None:
        split_type, strategy, size = self.split_type, self.strategy, self.max_payload_mb
        problems = []
        if split_type not in (None, "Line", "None"):
            must, cure = "must be Line or None", "RecordIO and TFRecord are not read."
            problems.append(problem("split_type", must, split_type, cure))
        if split_type == "Line" and self.media == JSON:
            must, cure = f"must be None for {JSON}", "Split JSON Lines instead."
            problems.append(problem("split_type", must, "Line", cure))
        if strategy not in ("MultiRecord", "SingleRecord"):
            must, cure = "must be MultiRecord or SingleRecord", "Choose one of them."
            problems.append(problem("strategy", must, strategy, cure))
        if not 1 <= size <= MAX_PAYLOAD_MB:
            must, cure = f"must be in [1, {MAX_PAYLOAD_MB}] megabytes", "Choose another size."
            problems.append(problem("max_payload", must, size, cure))
        if problems:
            raise ConfigError(join_problems(problems))

    @property
    def media(self) -> str:
        """The content type without its parameters."""
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def splits_lines(self) -> bool:
        """Whether each line is a record."""
        if self.split_type is None:
            return self.media == JSON_LINES
        return self.split_type == "Line"


@dataclass
class TransformReport:
    """What became of the files.

    Parameters
    ----------
    done : dict of str to int
        Records processed, by file.
    skipped : list of str
        Files that had their output already.
    failed : dict of str to str
        What is wrong, by file.
    """

    done: dict[str, int] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def transform(
    model: str | os.PathLike[str],
    inputs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    settings: TransformSettings | None = None,
) -> TransformReport:
    """Write a model's predictions to files.

    Parameters
    ----------
    model : path or URL
        Model folder or ``model.tar.gz``.
    inputs : sequence of path or URL
        Files, or folders and prefixes: everything beneath them. Records with ``in0`` and ``in1``
        are scored, records with one of them embedded; other keys, such as labels, are ignored.
    out : path or URL
        Folder for the output. ``a/b.jsonl`` beneath an input folder becomes ``a/b.jsonl.out``.
    settings : TransformSettings, optional

    Returns
    -------
    TransformReport
        A file with a wrong record fails, and the others go on.

    Raises
    ------
    ArtifactError
        If the model cannot be read.
    ConfigError
        If the settings are wrong, or two files would have the same output file.
    DataError
        If there is no input.
    StorageError
        If an output file cannot be written.
    """
    from object2vec.artifact import load
    from object2vec.devices import computing
    from object2vec.inference.engine import Engine
    from object2vec.inference.forms import WRITTEN

    settings = settings or TransformSettings()
    _form(settings, (*WRITTEN, CSV))  # finds mistakes before the model is loaded
    files = _name_outputs(inputs, out)
    engine = Engine(load(model, settings.device))
    worker = _Worker(engine, _form(settings, engine.reader.readable), settings)
    with computing(engine.config.threads) as threads:
        engine.steady(threads)
        return worker.process_all(files)


def _form(settings: TransformSettings, readable: tuple[str, ...]) -> Form:
    """Return the form that files are read and written in."""
    from object2vec.inference.forms import negotiate

    try:
        return negotiate(settings.content_type, settings.accept, readable=readable)
    except RequestError as err:
        raise ConfigError(str(err)) from err


class _Worker:
    """Processes files, one after another."""

    def __init__(self, engine: Engine, form: Form, settings: TransformSettings) -> None:
        self.engine, self.form, self.settings = engine, form, settings
        self.reader = engine.reader
        self.max_bytes = settings.max_payload_mb * MIB
        self.max_rows = rows_at_once(engine.width)
        if settings.strategy == "SingleRecord":
            self.max_rows = 1

    def process_all(self, files: Mapping[str, Source]) -> TransformReport:
        """Write the output files that are missing, each from its source."""
        report = TransformReport()
        for target, source in files.items():
            if not self.settings.overwrite and exists(target):
                report.skipped.append(source.name)
                _log.info("%s: %s is there already", source.name, target)
                continue
            try:
                with _open_output(target) as stream:
                    records, tally = self.process(source, stream)
            except DataError as err:
                report.failed[source.name] = str(err)
                _log.error("%s", err)
                continue
            report.done[source.name] = records
            tally.say(f"{source.name}: ")
            _log.info("%s: %d records, in %s", source.name, records, target)
        return report

    def process(self, source: Source, stream: BinaryIO) -> tuple[int, Tally]:
        """Write the predictions for a file's records.

        Returns
        -------
        records : int
        tally : Tally
            What became of them.
        """
        from object2vec.inference.responses import render

        records, tally, reported = 0, Tally(), time.monotonic()
        for where, request in self._requests(source):
            try:
                predictions = [self._predict(group) for group in request.groups]
            except ArtifactError as err:
                raise DataError(f"{where}: {err}") from err
            form, classes = self.form.writes, self.engine.classes
            stream.writelines(render(request, predictions, form, classes))
            records += len(request)
            for side, account in enumerate(request.accounts):
                tally.count(side, account)
            if time.monotonic() - reported > _REPORT_S:
                reported = time.monotonic()
                _log.info("%s: %d records so far", source.name, records)
        return records, tally

    def _requests(self, source: Source) -> Iterator[tuple[str, Request]]:
        """Yield the records of a file as requests of limited size, each with where it begins."""
        from object2vec.inference.value_reader import ValueReader

        if isinstance(self.reader, ValueReader) and self.form.reads == CSV:
            yield from self.reader.read_file(source, self.form, self.max_rows)
            return
        for line, payload in self._payloads(source):
            try:
                request = self.reader.read(payload, self.form)
            except RequestError as err:
                raise DataError(self._explain(source, line, payload, err)) from err
            if request is not None:
                yield f"{source.name}:{line}", request

    def _predict(self, group: Group) -> Floats:
        """Return the predictions for records of one kind, (n, D) or (n, K)."""
        given = [(side, Ragged.of_lists(rows)) for side, rows in group.columns.items()]
        (side, column), *other = given
        return self.engine.score(column, other[0][1]) if other else self.engine.encode(side, column)

    def _payloads(self, source: Source) -> Iterator[tuple[int, bytes]]:
        """Yield the number of the first line, and the bytes, of each payload of a file."""
        if not self.settings.splits_lines:
            yield 1, self._read_whole(source)
            return
        for block in read_blocks(source):
            lines = block.data.removesuffix(b"\n").split(b"\n")
            first, size = 0, 0
            for index, line in enumerate(lines):
                if len(line) > self.max_bytes:
                    where = f"{source.name}:{block.first_line + index}"
                    raise self._too_large(where, "a record", len(line))
                if size + len(line) > self.max_bytes or index - first == self.max_rows:
                    yield block.first_line + first, b"\n".join(lines[first:index])
                    first, size = index, 0
                size += len(line) + 1
            yield block.first_line + first, b"\n".join(lines[first:])

    def _read_whole(self, source: Source) -> bytes:
        blocks, size = [], 0
        for block in read_blocks(source):
            blocks.append(block.data)
            size += len(block.data)
            if size > self.max_bytes:
                raise self._too_large(source.name, "a file that is not split", size)
        return b"".join(blocks)

    def _too_large(self, where: str, what: str, size: int) -> DataError:
        must = f"must fit into a payload of {self.settings.max_payload_mb} MB, being {what}"
        is_most = self.settings.max_payload_mb == MAX_PAYLOAD_MB
        cure = "Split it." if is_most else "Raise --max-payload, or split it."
        return DataError.at(where, must, f"{size} bytes", cure)

    def _explain(self, source: Source, line: int, payload: bytes, err: RequestError) -> str:
        """Return the problems of a payload, each with its file and line."""
        if not self.settings.splits_lines:
            return f"{source.name}: {err}"
        problems = []
        for number, record in enumerate(payload.split(b"\n"), line):
            try:
                self.reader.read(record, self.form)
            except RequestError as wrong:
                text = str(wrong).removeprefix("instances[0]").lstrip(".: ")
                problems.append(f"{source.name}:{number}: {text}")
        return join_problems(problems[:MAX_PROBLEMS] or [f"{source.name}:{line}: {err}"])


def _name_outputs(
    inputs: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]
) -> dict[str, Source]:
    """Return the source of each output file, by its path or URL."""
    if os.fspath(out) == "-":
        cure = "`object2vec predict` and `encode` write to standard output."
        raise ConfigError.at("out", "must be a folder or the URL of one", "-", cure)
    outputs: dict[str, Source] = {}
    for given in inputs:
        for source in list_sources(os.fspath(given)):
            target = join(out, f"{_relative(source.name, os.fspath(given))}.out")
            if target in outputs:
                cure = "Transform them into different folders."
                must = f"must have an output file of its own, not that of {outputs[target].name}"
                raise ConfigError.at(source.name, must, target, cure)
            outputs[target] = source
    return outputs


def _relative(name: str, given: str) -> str:
    """Return a file's name beneath the folder that was given; of a file, its own name."""
    if is_url(given):
        system, root = open_url(given)
        return name_beneath(str(system._strip_protocol(name)), root)
    if name == "<stdin>":
        cure = "Name a file, or use `object2vec predict` or `encode`."
        raise DataError.at("input", "must be a file or folder", given, cure)
    path_given = Path(given)
    return Path(name).relative_to(path_given).as_posix() if path_given.is_dir() else Path(name).name


@contextlib.contextmanager
def _open_output(target: str) -> Iterator[BinaryIO]:
    """Give a file that becomes `target` when the block ends without an error."""
    if is_url(target):
        with write_object(target) as stream:
            yield stream
        return
    path = Path(target)
    with storing(path):
        make_folder(path.parent)
    with whole_file(path) as stream:
        yield stream
