"""Training jobs, by the container's contract: a tree of folders, one process, a model in S3.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tarfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from object2vec.errors import Object2VecError
from object2vec.files.whole import make_folder
from object2vec.reporting.aws_log import (
    FURTHER_METRIC_DEFINITIONS,
    IP_INSIGHTS_METRIC_DEFINITIONS,
    LOG_FORMS,
    METRIC_DEFINITIONS,
)
from object2vec.sagemaker.algorithms import ALGORITHM_VARIABLE, ALGORITHMS, LOG_VARIABLE
from object2vec.sagemaker.local.aws import Aws
from object2vec.sagemaker.local.jobs import JobFailed, Queue, Work, end_noted, reason_of
from object2vec.sagemaker.local.logs import TRAINING, Logs, Stream
from object2vec.sagemaker.local.metrics import NAMESPACE, JobMetrics
from object2vec.sagemaker.local.protocol import ServiceError
from object2vec.sagemaker.local.resources import ENDED, Document, Resources
from object2vec.sagemaker.local.storage import MissingData, Storage, split_uri
from object2vec.sagemaker.paths import BASE_DIR_VARIABLE, JobTree

HOST = "algo-1"
INTERRUPTED = (
    "InternalServerError: the local service ended while the job was running. "
    "Start it again; with a CheckpointConfig it goes on by itself."
)
_MARK = "state.json"  # the last file of a checkpoint to be copied
_TREE = "ml"  # what a job reads and writes while it runs
_FAILURE_CHARACTERS = 1024
_SYNC_S = 1.0  # between copies of new checkpoints to S3
_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOADING = re.compile(r"(?:LD_|DYLD_|PYTHON|NUMBA_|TORCH|GCONV_|PATH$).*")
_IMAGE = re.compile(r"(?:.*/)?(object2vec|ipinsights)(?::([\w.-]+))?(?:@.*)?")
_DEFINITIONS = {
    "object2vec": (*METRIC_DEFINITIONS, *FURTHER_METRIC_DEFINITIONS),
    "ipinsights": IP_INSIGHTS_METRIC_DEFINITIONS,
}
_Stamp = tuple[int, int]  # when a file was changed, and its size
_SUMMARY = (
    "TrainingJobName",
    "TrainingJobArn",
    "CreationTime",
    "TrainingEndTime",
    "LastModifiedTime",
    "TrainingJobStatus",
    "SecondaryStatus",
)


@dataclass(frozen=True)
class Training:
    """Creates, runs and describes training jobs.

    Parameters
    ----------
    jobs : Resources
    queue : Queue
    storage : Storage
    logs : Logs
    aws : Aws
    region : str
    """

    jobs: Resources
    queue: Queue
    storage: Storage
    logs: Logs
    aws: Aws
    region: str

    @property
    def kinds(self) -> list[Resources]:
        """What it knows by name."""
        return [self.jobs]

    def operations(self) -> dict[str, Any]:
        """Return the operations that are offered, by AWS's name."""
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": lambda request: self.jobs.get(request["TrainingJobName"]),
            "ListTrainingJobs": lambda request: self.jobs.page(
                request, "TrainingJobSummaries", _summary
            ),
            "StopTrainingJob": self.stop,
            "DeleteTrainingJob": self.delete,
        }

    def create(
        self, request: Document, on_metric: Callable[[str, float], object] | None = None
    ) -> Document:
        """Queue a new job.

        Parameters
        ----------
        request : dict
            Of ``CreateTrainingJob``.
        on_metric : callable, optional
            Takes the name and the value of each metric that the job logs.
        """
        algorithm = algorithm_name(request)
        said = request.get("AlgorithmSpecification", {}).get("MetricDefinitions", [])
        specification = {
            **request["AlgorithmSpecification"],
            "MetricDefinitions": [*_DEFINITIONS[algorithm], *said],
        }
        output = request["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        name = request["TrainingJobName"]
        check_environment(request.get("Environment", {}))
        for channel in request.get("InputDataConfig", []):
            if not _CHANNEL.fullmatch(channel["ChannelName"]):
                text = f"ChannelName must be a name of a folder; got {channel['ChannelName']!r}."
                raise ServiceError.validation(text)
        try:
            self.storage.check_bucket(output)
        except MissingData as err:
            raise ServiceError.validation(str(err)) from err
        document = self.jobs.create(
            {
                "EnableNetworkIsolation": False,
                "EnableInterContainerTrafficEncryption": False,
                "EnableManagedSpotTraining": False,
                **request,
                "AlgorithmSpecification": specification,
                "OutputDataConfig": {"KmsKeyId": "", **request["OutputDataConfig"]},
                "TrainingJobStatus": "InProgress",
                "SecondaryStatus": "Starting",
                "SecondaryStatusTransitions": [_transition("Starting", "Waiting for its turn")],
                "ModelArtifacts": {"S3ModelArtifacts": f"{output}/{name}/output/model.tar.gz"},
            }
        )
        self._submit(name, on_metric)
        return {"TrainingJobArn": document["TrainingJobArn"]}

    def _submit(self, name: str, on_metric: Callable[[str, float], object] | None = None) -> None:
        folder = self.jobs.folder(name)
        self.queue.submit(folder, lambda job: self._work(job, on_metric))

    def course(self, document: Document, metric: str) -> list[float]:
        """Return every value of a metric that a job has logged."""
        found: list[float] = []

        def take(name: str, value: float, at: float) -> None:
            if name == metric:
                found.append(value)

        self._replay(document, take)
        return found

    def stop(self, request: Document) -> None:
        """Ask a job to end; it saves what it has learned."""
        name = request["TrainingJobName"]

        def edit(document: Document) -> None:
            if document["TrainingJobStatus"] != "InProgress":
                text = f"The request was rejected because the training job {name} has ended."
                raise ServiceError.validation(text)
            document["TrainingJobStatus"] = "Stopping"
            _enter(document, "Stopping", "Stopping the training job")

        self.jobs.update(name, edit)
        self.queue.stop(self.jobs.folder(name))

    def delete(self, request: Document) -> None:
        """Forget a job that has ended."""
        name = request["TrainingJobName"]
        if self.jobs.get(name)["TrainingJobStatus"] not in ENDED:
            raise ServiceError("ResourceInUse", f"The training job {name} has not ended.")
        self.jobs.delete(name)

    def recover(self) -> None:
        """Go on with what an earlier service left: from a checkpoint, or as failed."""
        for document in self.jobs.all():
            name = document["TrainingJobName"]
            end_noted(self.jobs.folder(name))
            if document["TrainingJobStatus"] in ENDED:
                shutil.rmtree(self.jobs.folder(name) / _TREE, ignore_errors=True)
                self._republish(document)
                continue
            is_waiting = document["SecondaryStatus"] == "Starting"
            if document["TrainingJobStatus"] == "Stopping":
                self._end(name, "Stopped", "The local service ended while the job was stopping.")
            elif is_waiting or "CheckpointConfig" in document:
                self._save_checkpoints(document)
                self._enter(name, "Starting", "Started again after the local service ended")
                self._submit(name)
            else:
                shutil.rmtree(self.jobs.folder(name) / _TREE, ignore_errors=True)
                self._end(name, "Failed", INTERRUPTED)

    def _save_checkpoints(self, document: Document) -> None:
        """Copy the checkpoints that a killed service has left; its last ones may be on the way.

        Before the training, those of S3 may be there in part.
        """
        if document["SecondaryStatus"] == "Downloading":
            return
        tree = JobTree(self.jobs.folder(document["TrainingJobName"]) / _TREE)
        with contextlib.suppress(MissingData, OSError, Object2VecError):
            self._copying(document, tree).copy()

    def _work(self, job: Work, on_metric: Callable[[str, float], object] | None) -> None:
        """Run one job from its data to its model in S3, and note how it ended."""
        name = job.name
        if job.stopping.is_set():  # while it waited
            self._end(name, "Stopped", "")
            return
        document = self.jobs.get(name)
        stream = self._stream(document)
        layout = JobTree(self.jobs.folder(name) / _TREE)
        metrics = self._metrics(document, on_metric)
        self.jobs.change(name, TrainingStartTime=time.time())
        try:
            self._prepare(document, layout)
            held = self._fetch_checkpoints(document, layout)
            self._enter(name, "Training", "Training image is running")
            with _limited(document, job) as clock, self._copying(document, layout, held):
                code = job.run(
                    ["sagemaker", "train"], _environment(document, layout), _lines(stream, metrics)
                )
            self._enter(name, "Uploading", "Uploading generated training model")
            self.jobs.change(name, FinalMetricDataList=metrics.final())
            if code != 0:
                raise JobFailed(_reason(layout, code, is_stopped=job.stopping.is_set()))
            self._upload(document, layout)
        except Exception as err:  # whatever it is, a job has an end
            if job.stopping.is_set() and not isinstance(err, MissingData):
                self._end(name, "Stopped", "")
            else:
                text = reason_of(err)
                stream.append(text.partition("\n")[0])
                self._end(name, "Failed", text)
        else:
            is_stopped = job.stopping.is_set()
            self._end(name, "Stopped" if is_stopped else "Completed", "", over=clock.is_over)
        finally:
            shutil.rmtree(layout.base, ignore_errors=True)

    def _prepare(self, document: Document, layout: JobTree) -> None:
        """Lay out the tree that the container expects."""
        self._enter(document["TrainingJobName"], "Downloading", "Downloading input data")
        shutil.rmtree(layout.base, ignore_errors=True)
        for folder in (layout.config, layout.data, layout.model, layout.output_data):
            make_folder(folder)
        channels = {}
        for channel in document.get("InputDataConfig", []):
            name, source = channel["ChannelName"], channel["DataSource"].get("S3DataSource")
            if source is None:
                raise MissingData(f"The channel {name!r} must have an S3DataSource.")
            if source["S3DataType"] != "S3Prefix":
                raise MissingData(
                    f"The channel {name!r} must have the S3DataType S3Prefix here; "
                    f"got {source['S3DataType']}."
                )
            self.storage.get_prefix(source["S3Uri"], layout.channel(name), is_channel=True)
            channels[name] = {
                "TrainingInputMode": channel.get("InputMode")
                or document["AlgorithmSpecification"]["TrainingInputMode"],
                "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
                "RecordWrapperType": channel.get("RecordWrapperType", "None"),
                **({"ContentType": channel["ContentType"]} if channel.get("ContentType") else {}),
            }
        count = document["ResourceConfig"].get("InstanceCount", 1)
        hosts = [f"algo-{number}" for number in range(1, count + 1)]
        _write(layout.hyperparameters, document.get("HyperParameters", {}))
        _write(layout.input_data_config, channels)
        _write(layout.resource_config, {"current_host": HOST, "hosts": hosts})

    def _fetch_checkpoints(self, document: Document, layout: JobTree) -> dict[str, _Stamp]:
        """Bring the checkpoints that are in S3, and return which files they are."""
        if (checkpoint := document.get("CheckpointConfig")) is None:
            return {}
        make_folder(layout.checkpoints)
        try:
            uri = _folder(checkpoint["S3Uri"])
            self.storage.get_prefix(uri, layout.checkpoints, is_changed=True)
        except MissingData:
            self.storage.check_bucket(checkpoint["S3Uri"])
        held = _stamps(layout.checkpoints)
        for each in layout.checkpoints.glob("step-*"):
            if not (each / _MARK).is_file():  # it never came to S3 as a whole
                shutil.rmtree(each)
        return held

    def _copying(
        self, document: Document, layout: JobTree, held: Mapping[str, _Stamp] | None = None
    ) -> _Copying:
        """Return what keeps the checkpoints in S3 in step while the job runs.

        As on AWS, what is removed here is removed there: of what S3 held before, and what was
        copied. A checkpoint is removed only when the one that replaces it is there as a whole.
        Source: https://docs.aws.amazon.com/sagemaker/latest/dg/model-checkpoints.html
        """
        checkpoint = document.get("CheckpointConfig")
        if checkpoint is None:
            return _Copying(lambda: None)
        uri = _folder(checkpoint["S3Uri"])
        sent = dict(held or {})

        def copy() -> None:
            found = _stamps(layout.checkpoints)
            for name, stamp in found.items():
                if sent.get(name) != stamp:
                    with contextlib.suppress(FileNotFoundError):  # an older one, just removed
                        self.storage.put(layout.checkpoints / name, uri + name)
                        sent[name] = stamp
            if _stamps(layout.checkpoints) == found:
                for name in sent.keys() - found.keys():
                    self.storage.delete(uri + name)
                    del sent[name]

        return _Copying(copy)

    def _upload(self, document: Document, layout: JobTree) -> None:
        """Pack the model and the other output, and put both into S3."""
        uri = document["ModelArtifacts"]["S3ModelArtifacts"]
        packed = layout.base / "model.tar.gz"
        _pack(layout.model, packed)
        output = layout.base / "output.tar.gz"
        if any(layout.output_data.iterdir()):
            _pack(layout.output_data, output)
            self.storage.put(output, uri.replace("/model.tar.gz", "/output.tar.gz"))
        self.storage.put(packed, uri)

    def _stream(self, document: Document) -> Stream:
        started = int(document["CreationTime"])
        return self.logs.stream(TRAINING, f"{document['TrainingJobName']}/{HOST}-{started}")

    def _metrics(
        self, document: Document, on_metric: Callable[[str, float], object] | None = None
    ) -> JobMetrics:
        """Return what finds a job's metrics in its log, for CloudWatch and whoever else asks."""
        name = document["TrainingJobName"]

        def publish(metric: str, value: float, at: float) -> None:
            self.aws.put_metric(self.region, NAMESPACE, metric, value, at, name)
            if on_metric is not None:
                on_metric(metric, value)

        return JobMetrics(document["AlgorithmSpecification"]["MetricDefinitions"], publish)

    def _republish(self, document: Document) -> None:
        """Give CloudWatch, which forgets, the metrics of a job that ended earlier."""
        name = document["TrainingJobName"]
        self._replay(
            document,
            lambda metric, value, at: self.aws.put_metric(
                self.region, NAMESPACE, metric, value, at, name
            ),
        )

    def _replay(self, document: Document, take: Callable[[str, float, float], object]) -> None:
        """Read the metrics in a job's log once more."""
        metrics = JobMetrics(document["AlgorithmSpecification"]["MetricDefinitions"], take)
        path = self._stream(document).path
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    at, _, message = line.rstrip("\n").partition("\t")
                    if at.isdecimal():
                        metrics.read(message, int(at) / 1000)

    def _enter(self, name: str, secondary: str, message: str) -> None:
        """Note the next state of a job that goes on."""
        self.jobs.update(name, lambda document: _enter(document, secondary, message))

    def _end(self, name: str, status: str, reason: str, *, over: bool = False) -> None:
        """Note how a job ended."""

        def edit(document: Document) -> None:
            message = _LAST.get(status) or reason.partition("\n")[0]
            _enter(document, "MaxRuntimeExceeded" if over else status, message)
            document["TrainingJobStatus"] = status
            last = document["SecondaryStatusTransitions"][-1]
            now = last["EndTime"] = document["TrainingEndTime"] = last["StartTime"]
            seconds = int(now - document.get("TrainingStartTime", now))
            document["TrainingTimeInSeconds"] = document["BillableTimeInSeconds"] = seconds
            if status == "Failed":
                document["FailureReason"] = reason[:_FAILURE_CHARACTERS]

        self.jobs.update(name, edit)


_LAST = {"Completed": "Training job completed", "Stopped": "Training job stopped"}


class _Copying:
    """Calls a function now and then while a block runs, and once at its end."""

    def __init__(self, copy: Callable[[], object]) -> None:
        self.copy, self._over = copy, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.wait(_SYNC_S):
            self.copy()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self.copy()


class _limited:
    """Stops a job when its time is over."""

    def __init__(self, document: Document, job: Work) -> None:
        self.is_over, self._job = False, job
        seconds = document["StoppingCondition"].get("MaxRuntimeInSeconds", 86_400)
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def _end(self) -> None:
        self.is_over = True
        self._job.stop()

    def __enter__(self) -> _limited:
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()


def algorithm_name(request: Mapping[str, Any]) -> str:
    """Return the algorithm that a request's image is of; raise `ServiceError` for another one."""
    specification = request["AlgorithmSpecification"]
    image = specification.get("TrainingImage") or specification.get("AlgorithmName") or ""
    return algorithm_of_image(image)


def algorithm_of_image(image: str) -> str:
    """Return the algorithm of an image; raise `ServiceError` if it is none of ours."""
    match = _IMAGE.fullmatch(image)
    if match is None or match[1] not in ALGORITHMS:
        text = f"The image must be that of object2vec or ipinsights; got {image!r}."
        raise ServiceError.validation(text)
    return match[1]


def check_environment(variables: Mapping[str, str]) -> None:
    """Raise `ServiceError` for a variable that would have a process run other code than ours."""
    for name in variables:
        if _LOADING.fullmatch(name.upper()):
            text = f"Environment must not say which code is run; got {name}. Leave it out."
            raise ServiceError.validation(text)


def _summary(document: Document) -> Document:
    return {name: document[name] for name in _SUMMARY if name in document}


def _enter(document: Document, secondary: str, message: str) -> None:
    """Give a job's description its next state."""
    transitions = document["SecondaryStatusTransitions"]
    if transitions:
        transitions[-1].setdefault("EndTime", time.time())
    transitions.append(_transition(secondary, message))
    document["SecondaryStatus"] = secondary


def _transition(status: str, message: str) -> Document:
    return {"Status": status, "StartTime": time.time(), "StatusMessage": message}


def _environment(document: Document, layout: JobTree) -> dict[str, str]:
    """Return the variables of a job's process."""
    own = {
        BASE_DIR_VARIABLE: str(layout.base),
        ALGORITHM_VARIABLE: algorithm_name(document),
        **_log_form(document),
        "TRAINING_JOB_NAME": document["TrainingJobName"],
        "TRAINING_JOB_ARN": document["TrainingJobArn"],
    }
    return {**document.get("Environment", {}), **own}


def _log_form(document: Document) -> dict[str, str]:
    """Return the variable that chooses the log of the year that the image's tag names."""
    image = document["AlgorithmSpecification"].get("TrainingImage") or ""
    tag = (match[2] if (match := _IMAGE.fullmatch(image)) else None) or ""
    return {LOG_VARIABLE: tag} if tag in LOG_FORMS else {}


def _lines(stream: Stream, metrics: JobMetrics) -> Callable[[str], None]:
    def take(line: str) -> None:
        stream.append(line)
        metrics.read(line)

    return take


def _reason(layout: JobTree, code: int, *, is_stopped: bool) -> str:
    """Return why a job's process failed."""
    try:
        return layout.failure.read_text("utf-8", "replace")
    except OSError:
        if code < 0 and not is_stopped:
            return f"AlgorithmError: the process was ended by signal {-code}"
        return f"AlgorithmError: exit code {code}"


def _stamps(folder: Path) -> dict[str, _Stamp]:
    """Return the files beneath a folder that are no temporary ones, by name.

    Those that say that a checkpoint is whole are the last ones.
    """
    found: dict[str, _Stamp] = {}
    for inside, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".")]
        for path in (Path(inside) / each for each in files if not each.startswith(".")):
            with contextlib.suppress(FileNotFoundError):  # of a checkpoint that is being removed
                facts = path.stat()
                name = path.relative_to(folder).as_posix()
                found[name] = facts.st_mtime_ns, facts.st_size
    return dict(sorted(found.items(), key=lambda each: (each[0].endswith(_MARK), each[0])))


def _folder(uri: str) -> str:
    split_uri(uri)
    return uri.rstrip("/") + "/"


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content), "utf-8")


def _pack(folder: Path, target: Path) -> None:
    """Write a folder's content into an archive."""
    with tarfile.open(target, "w:gz", compresslevel=1) as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name)
