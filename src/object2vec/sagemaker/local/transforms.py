"""Batch transform jobs: predictions for every file beneath a prefix, joined with the records.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/batch-transform.html
"""

from __future__ import annotations

import codecs
import csv
import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from object2vec.files.contents import read_blocks
from object2vec.files.sources import list_sources
from object2vec.files.whole import make_folder, whole_file
from object2vec.inference.payload import CSV, JSON
from object2vec.sagemaker.local.jobs import JobFailed, Work
from object2vec.sagemaker.local.logs import Stream
from object2vec.sagemaker.local.protocol import ServiceError
from object2vec.sagemaker.local.queued import QueuedJobs
from object2vec.sagemaker.local.resources import Document, Resources
from object2vec.sagemaker.local.selections import Selection, WrongSelection, selection
from object2vec.sagemaker.local.storage import MissingData

_OUTPUT, _INPUT = "SageMakerOutput", "SageMakerInput"


@dataclass(frozen=True)
class Transforms(QueuedJobs):
    """Creates, runs and describes batch transform jobs; what one of them wrote is written again.

    Parameters
    ----------
    models : Resources
    """

    models: Resources
    stream_name = "{}/{}"

    def create(self, request: Document) -> Document:
        """Queue a new job."""
        self.models.get(request["ModelName"])
        processing = request.get("DataProcessing", {})
        try:
            for name in ("InputFilter", "OutputFilter"):
                selection(processing.get(name, "$"))
            self.storage.check_bucket(request["TransformOutput"]["S3OutputPath"])
        except (WrongSelection, MissingData) as err:
            raise ServiceError.validation(str(err)) from err
        output = {"AssembleWith": "None", "KmsKeyId": "", **request["TransformOutput"]}
        state = {"TransformOutput": output, "TransformJobStatus": "InProgress"}
        document = self.jobs.create({**request, **state})
        self._submit(document)
        return {"TransformJobArn": document["TransformJobArn"]}

    def _run(self, document: Document, job: Work, tree: Path, stream: Stream) -> None:
        """Run one job from its data to its predictions in S3."""
        for folder in ("given", "in", "out"):
            make_folder(tree / folder)
        self._prepare(document, tree)
        code = job.run(["transform", *_arguments(document, tree)], {}, stream.append)
        if code != 0 or job.stopping.is_set():
            raise JobFailed(f"AlgorithmError: exit code {code}. See the log of the job.")
        self._upload(document, tree)

    def _prepare(self, document: Document, work: Path) -> None:
        """Fetch the model and the files, and filter the records."""
        container = self.models.get(document["ModelName"])["PrimaryContainer"]
        self.storage.get(container["ModelDataUrl"], work / "model.tar.gz")
        source = document["TransformInput"]["DataSource"]["S3DataSource"]
        if source["S3DataType"] != "S3Prefix":
            text = f"The S3DataType must be S3Prefix here; got {source['S3DataType']}."
            raise MissingData(text)
        self.storage.get_prefix(source["S3Uri"], work / "given")
        path = document.get("DataProcessing", {}).get("InputFilter", "$")
        media = _media(document["TransformInput"].get("ContentType", ""))
        for file in _files(work / "given"):
            target = work / "in" / file.relative_to(work / "given")
            make_folder(target.parent)
            if path == "$":
                file.rename(target) if not _is_joined(document) else shutil.copyfile(file, target)
            else:
                _write_records(target, map(selection(path), _records(file, media)), media)

    def _upload(self, document: Document, work: Path) -> None:
        """Join the predictions with the records, filter them, and put them into S3."""
        base = document["TransformOutput"]["S3OutputPath"].rstrip("/")
        processing = document.get("DataProcessing", {})
        select = selection(processing.get("OutputFilter", "$"))
        is_plain = not _is_joined(document) and processing.get("OutputFilter", "$") == "$"
        media = _media(document["TransformInput"].get("ContentType", ""))
        accept = _media(document["TransformOutput"].get("Accept", "")) or media
        for file in _files(work / "out"):
            name = file.relative_to(work / "out").as_posix()
            if not is_plain:
                given = work / "given" / name.removesuffix(".out") if _is_joined(document) else None
                joined = file.with_name(f"{file.name}.joined")
                _write_records(joined, _joined(given, media, file, accept, select), accept)
                joined.replace(file)
            self.storage.put(file, f"{base}/{name}")


def _arguments(document: Document, work: Path) -> list[str]:
    """Return the command line of a job's process."""
    given, output = document["TransformInput"], document["TransformOutput"]
    options = {
        "--content-type": given.get("ContentType"),
        "--accept": output.get("Accept"),
        "--split-type": given.get("SplitType"),
        "--strategy": document.get("BatchStrategy"),
        "--max-payload": document.get("MaxPayloadInMB"),
    }
    said = [f"{name}={value}" for name, value in options.items() if value not in (None, "")]
    named = [str(work / "model.tar.gz"), str(work / "in"), f"--out={work / 'out'}"]
    return [*named, *said]


def _is_joined(document: Document) -> bool:
    return bool(document.get("DataProcessing", {}).get("JoinSource", "None") == "Input")


def _media(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def _records(file: Path, media: str) -> Iterator[Any]:
    """Yield the records of a file: of a CSV as arrays of texts, of JSON the whole file as one."""
    data = b"".join(block.data for source in list_sources(file) for block in read_blocks(source))
    if media == CSV:
        yield from csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    elif media == JSON:
        yield orjson.loads(data)
    else:
        yield from (orjson.loads(line) for line in data.splitlines() if line.strip())


def _write_records(file: Path, records: Iterator[Any], media: str) -> None:
    """Write records in the form of their content type."""
    with whole_file(file) as stream:
        if media == CSV:
            writer = csv.writer(codecs.getwriter("utf-8")(stream), lineterminator="\n")
            writer.writerows(each if isinstance(each, list) else [each] for each in records)
            return
        for record in records:
            stream.write(orjson.dumps(record))
            stream.write(b"" if media == JSON else b"\n")


def _joined(
    given: Path | None, media: str, predicted: Path, accept: str, select: Selection
) -> Iterator[Any]:
    """Yield predictions, after their records if those are `given`, as a filter wants them."""
    predictions = _records(predicted, accept)
    if given is None:
        yield from map(select, predictions)
        return
    for record, prediction in zip(_records(given, media), predictions, strict=True):
        if media == CSV:
            added: Sequence[Any] = prediction if isinstance(prediction, list) else [prediction]
            yield select([*record, *added])
        else:
            whole: Mapping[str, Any] = record if isinstance(record, dict) else {_INPUT: record}
            yield select({**whole, _OUTPUT: prediction})
