"""Training jobs, by the container's contract: a tree of folders, one process, a model in S3.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tarfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from object2vec.errors import Object2VecError
from object2vec.files.whole import make_folder
from object2vec.reporting.aws_log import (
    FURTHER_METRIC_DEFINITIONS,
    IP_INSIGHTS_METRIC_DEFINITIONS,
    METRIC_DEFINITIONS,
)
from object2vec.sagemaker.local.aws import Aws
from object2vec.sagemaker.local.checkpoints import Checkpoints
from object2vec.sagemaker.local.images import (
    algorithm_of_image,
    check_environment,
    variables_of_image,
)
from object2vec.sagemaker.local.jobs import JobFailed, Work
from object2vec.sagemaker.local.logs import Stream
from object2vec.sagemaker.local.metrics import JobMetrics
from object2vec.sagemaker.local.protocol import Operation, ServiceError
from object2vec.sagemaker.local.queued import QueuedJobs
from object2vec.sagemaker.local.resources import ENDED, Document, Edit
from object2vec.sagemaker.local.storage import MissingData
from object2vec.sagemaker.paths import BASE_DIR_VARIABLE, JobTree

HOST = "algo-1"
INTERRUPTED = (
    "InternalServerError: the local service ended while the job was running. "
    "Start it again; with a CheckpointConfig it goes on by itself."
)
_MOST_S = 86_400  # that a job may run by default
Listener = Callable[[str, float], object]
_CHANNEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DEFINITIONS = {
    "object2vec": (*METRIC_DEFINITIONS, *FURTHER_METRIC_DEFINITIONS),
    "ipinsights": IP_INSIGHTS_METRIC_DEFINITIONS,
}
_MESSAGES = {
    "Starting": "Waiting for its turn",
    "Downloading": "Downloading input data",
    "Training": "Training image is running",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job stopped",
}


@dataclass(frozen=True)
class Training(QueuedJobs):
    """Creates, runs and describes training jobs.

    Parameters
    ----------
    aws : Aws
        Takes the metrics.
    region : str
    """

    aws: Aws
    region: str
    stream_name = "{}/" + HOST + "-{}"
    _listeners: dict[str, Listener | None] = field(default_factory=dict, init=False)

    def operations(self) -> dict[str, Operation]:
        """Return the operations that are offered, by AWS's name."""
        return super().operations() | {"DeleteTrainingJob": self.delete}

    def create(self, request: Document, on_metric: Listener | None = None) -> Document:
        """Queue a new job.

        Parameters
        ----------
        request : dict
            Of ``CreateTrainingJob``.
        on_metric : callable, optional
            Takes the name and the value of each metric that the job logs.
        """
        given = request["AlgorithmSpecification"]
        definitions = _DEFINITIONS[algorithm_of_image(_image(request))]
        specification = {
            **given,
            "MetricDefinitions": [*definitions, *given.get("MetricDefinitions", [])],
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
        described = {
            "EnableNetworkIsolation": False,
            "EnableInterContainerTrafficEncryption": False,
            "EnableManagedSpotTraining": False,
            **request,
            "AlgorithmSpecification": specification,
            "OutputDataConfig": {"KmsKeyId": "", **request["OutputDataConfig"]},
            "TrainingJobStatus": "InProgress",
            "SecondaryStatusTransitions": [],
            "ModelArtifacts": {"S3ModelArtifacts": f"{output}/{name}/output/model.tar.gz"},
        }
        _enter(described, "Starting")
        document = self.jobs.create(described)
        self._listeners[name] = on_metric
        self._submit(document)
        return {"TrainingJobArn": document["TrainingJobArn"]}

    def course(self, document: Document, metric: str) -> list[float]:
        """Return every value of a metric that a job has logged."""
        found: list[float] = []

        def take(name: str, value: float, at: float) -> None:
            if name == metric:
                found.append(value)

        self._replay(document, take)
        return found

    def delete(self, request: Document) -> None:
        """Forget a job that has ended."""
        name = request["TrainingJobName"]
        if self.jobs.get(name)["TrainingJobStatus"] not in ENDED:
            raise ServiceError("ResourceInUse", f"The training job {name} has not ended.")
        self.jobs.delete(name)

    def recover(self) -> None:
        """Go on with what an earlier service left: from a checkpoint, or as failed."""
        for document in self.jobs.all():  # CloudWatch forgets
            self._replay(document, self._publisher(document["TrainingJobName"]))
        super().recover()

    def _resume(self, document: Document) -> None:
        name = document["TrainingJobName"]
        if document["SecondaryStatus"] != "Starting" and "CheckpointConfig" not in document:
            shutil.rmtree(self._tree(name), ignore_errors=True)
            self._end(name, "Failed", INTERRUPTED)
            return
        self._save_checkpoints(document)
        self._begin(name, "Starting", "Started again after the local service ended")
        self._submit(document)

    def _save_checkpoints(self, document: Document) -> None:
        """Copy the checkpoints that a killed service has left; its last ones may be on the way.

        Before the training, those of S3 may be there in part.
        """
        if document["SecondaryStatus"] == "Downloading":
            return
        tree = JobTree(self._tree(document["TrainingJobName"]))
        with contextlib.suppress(MissingData, OSError, Object2VecError):
            if checkpoints := self._checkpoints(document, tree):
                checkpoints.copy()

    def _checkpoints(self, document: Document, tree: JobTree) -> Checkpoints | None:
        if (config := document.get("CheckpointConfig")) is None:
            return None
        return Checkpoints(self.storage, config["S3Uri"], tree.checkpoints)

    def _run(self, document: Document, job: Work, tree: Path, stream: Stream) -> None:
        """Run one job from its data to its model in S3."""
        name, layout = job.name, JobTree(tree)
        metrics = self._metrics(document)

        def take(line: str) -> None:
            stream.append(line)
            metrics.read(line)

        self._begin(name, "Downloading")
        self._prepare(document, layout)
        keeping: AbstractContextManager[None] = contextlib.nullcontext()
        if checkpoints := self._checkpoints(document, layout):
            checkpoints.fetch()
            keeping = checkpoints
        self._begin(name, "Training")
        seconds = document["StoppingCondition"].get("MaxRuntimeInSeconds", _MOST_S)
        with job.limited(seconds), keeping:
            code = job.run(["sagemaker", "train"], _environment(document, layout), take)
        self._begin(name, "Uploading")
        self.jobs.change(name, FinalMetricDataList=metrics.final())
        if code != 0:
            raise JobFailed(_reason(layout, code))
        self._upload(document, layout)

    def _prepare(self, document: Document, layout: JobTree) -> None:
        """Lay out the tree that the container expects."""
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

    def _publisher(self, name: str) -> Callable[[str, float, float], None]:
        """Return what gives CloudWatch the values of a job's metrics."""

        def publish(metric: str, value: float, at: float) -> None:
            self.aws.put_metric(self.region, self.jobs.log_group, metric, value, at, name)

        return publish

    def _metrics(self, document: Document) -> JobMetrics:
        """Return what finds a job's metrics in its log, for CloudWatch and whoever else asks."""
        name = document["TrainingJobName"]
        publish, listener = self._publisher(name), self._listeners.pop(name, None)

        def take(metric: str, value: float, at: float) -> None:
            publish(metric, value, at)
            if listener is not None:
                listener(metric, value)

        return JobMetrics(document["AlgorithmSpecification"]["MetricDefinitions"], take)

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

    def _begin(self, name: str, state: str, message: str = "") -> None:
        """Note the next state of a job that goes on."""
        self.jobs.update(name, self._entering(state, message))

    def _entering(self, state: str, reason: str = "") -> Edit:
        return lambda document: _enter(document, state, reason.partition("\n")[0])


def _enter(document: Document, state: str, message: str = "") -> None:
    """Give a job's description its next state."""
    now, transitions = time.time(), document["SecondaryStatusTransitions"]
    if transitions:
        transitions[-1].setdefault("EndTime", now)
    said = message or _MESSAGES.get(state, "")
    transitions.append({"Status": state, "StartTime": now, "StatusMessage": said})
    document["SecondaryStatus"] = state
    if document["TrainingJobStatus"] in ENDED:
        transitions[-1]["EndTime"] = now
        seconds = int(now - document.get("TrainingStartTime", now))
        document["TrainingTimeInSeconds"] = document["BillableTimeInSeconds"] = seconds


def _image(request: Mapping[str, Any]) -> str:
    specification = request["AlgorithmSpecification"]
    return specification.get("TrainingImage") or specification.get("AlgorithmName") or ""


def _environment(document: Document, layout: JobTree) -> dict[str, str]:
    """Return the variables of a job's process."""
    own = {
        BASE_DIR_VARIABLE: str(layout.base),
        **variables_of_image(_image(document)),
        "TRAINING_JOB_NAME": document["TrainingJobName"],
        "TRAINING_JOB_ARN": document["TrainingJobArn"],
    }
    return {**document.get("Environment", {}), **own}


def _reason(layout: JobTree, code: int) -> str:
    """Return why a job's process failed."""
    try:
        return layout.failure.read_text("utf-8", "replace")
    except OSError:
        if code < 0:
            return f"AlgorithmError: the process was ended by signal {-code}"
        return f"AlgorithmError: exit code {code}"


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content), "utf-8")


def _pack(folder: Path, target: Path) -> None:
    """Write a folder's content into an archive."""
    with tarfile.open(target, "w:gz", compresslevel=1) as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, arcname=path.name)
