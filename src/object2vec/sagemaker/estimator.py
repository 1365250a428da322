"""The estimator of SageMaker's SDK, whose jobs are processes on this machine."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import Any

from object2vec.errors import ConfigError
from object2vec.sagemaker import image_uris, jobs
from object2vec.sagemaker.analytics import TrainingJobAnalytics, final_metrics
from object2vec.sagemaker.inputs import TrainingInput
from object2vec.sagemaker.jobs import TrainingJob
from object2vec.sagemaker.model import Model
from object2vec.sagemaker.predictor import Predictor
from object2vec.sagemaker.transformer import Transformer

_AWS_ONLY = frozenset(
    "role instance_type train_instance_type keep_alive_period_in_seconds volume_size "
    "train_volume_size volume_kms_key train_volume_kms_key max_run train_max_run input_mode "
    "output_kms_key sagemaker_session tags subnets security_group_ids model_uri "
    "model_channel_name metric_definitions encrypt_inter_container_traffic use_spot_instances "
    "train_use_spot_instances max_wait train_max_wait checkpoint_local_path "
    "enable_network_isolation rules debugger_hook_config tensorboard_output_config "
    "enable_sagemaker_metrics profiler_config disable_profiler max_retry_attempts "
    "training_repository_access_mode instance_groups disable_output_compression".split()
)
"""Arguments of the SDK's estimator that mean nothing on one machine."""

_OWN = frozenset(
    "image_uri image_name instance_count train_instance_count output_path base_job_name "
    "hyperparameters environment checkpoint_s3_uri".split()
)


class Estimator:
    """Trains models as SageMaker's estimator does, on this machine.

    Parameters
    ----------
    image_uri : str, optional
        Name of the image; jobs run this installation of object2vec.
    role : str, optional
    instance_count : int, optional
        Must be 1, also on AWS.
    instance_type : str, optional
    output_path : path or URL, optional
        Where ``<job name>/output/model.tar.gz`` goes; the job's folder by default.
    base_job_name : str, default "object2vec"
    hyperparameters : mapping, optional
    environment : mapping, optional
        Variables for the jobs.
    checkpoint_s3_uri : path, optional
        A folder of this machine: a job that is stopped goes on from there the next time.
    **aws_only
        Every other argument of the SDK's estimator, by its name in the first or second version;
        those that are given are listed in the first line of the job's log.

    Raises
    ------
    ConfigError
        If an argument is none of the SDK's.

    Examples
    --------
    >>> estimator = Estimator("object2vec", role="any", instance_type="ml.p2.xlarge")
    >>> estimator.set_hyperparameters(enc0_max_seq_len=1, enc0_vocab_size=944)
    >>> estimator.hyperparameters()
    {'enc0_max_seq_len': '1', 'enc0_vocab_size': '944'}
    """

    def __init__(
        self,
        image_uri: str | None = None,
        role: str | None = None,
        instance_count: int | None = None,
        instance_type: str | None = None,
        *,
        output_path: str | os.PathLike[str] | None = None,
        base_job_name: str = "object2vec",
        hyperparameters: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        checkpoint_s3_uri: str | None = None,
        **aws_only: Any,
    ) -> None:
        image_name = aws_only.pop("image_name", None)  # names of the SDK's first version
        count = aws_only.pop("train_instance_count", None)
        _check_names(aws_only)
        self.image_uri = image_uri or image_name or image_uris.retrieve("object2vec")
        self.instance_count = instance_count or count or 1
        self.output_path = None if output_path is None else os.fspath(output_path)
        self.base_job_name, self.checkpoint_s3_uri = base_job_name, checkpoint_s3_uri
        self.environment = dict(environment or {})
        unused = {"role": role, "instance_type": instance_type, **aws_only}
        self.aws_only = {name: value for name, value in unused.items() if value is not None}
        self._hyperparameters: dict[str, str] = {}
        self.set_hyperparameters(**hyperparameters or {})
        self.latest_training_job: TrainingJob | None = None

    def set_hyperparameters(self, **hyperparameters: Any) -> None:
        """Set hyperparameters, which are sent as strings; the container checks them."""
        self._hyperparameters |= {name: str(value) for name, value in hyperparameters.items()}

    def hyperparameters(self) -> dict[str, str]:
        """Return the hyperparameters."""
        return dict(self._hyperparameters)

    def fit(
        self,
        inputs: Any,
        wait: bool = True,
        logs: bool | str = True,
        job_name: str | None = None,
        experiment_config: Mapping[str, str] | None = None,
    ) -> None:
        """Run a training job.

        Parameters
        ----------
        inputs : mapping of str to path, URL or TrainingInput
            The channels: train, validation, test, auxiliary. A single path is train.
        wait, logs : bool, default True
            Whether to wait for the end, and to print the log meanwhile.
        job_name : str, optional
            By default made of `base_job_name` and the time.
        experiment_config : mapping, optional
            Means nothing.

        Raises
        ------
        ConfigError, DataError
            If the inputs or the name cannot be used.
        UnexpectedStatusException
            If the job fails, with what it says of it.
        """
        given = inputs if isinstance(inputs, Mapping) else {"train": inputs}
        channels = {name: TrainingInput.of(value) for name, value in given.items()}
        unused = ", ".join(f"{name}={value!r}" for name, value in self.aws_only.items())
        facts = {
            "image_uri": self.image_uri,
            "output_path": self.output_path,
            "base_job_name": self.base_job_name,
            "instance_count": self.instance_count,
            "note": f"A local job has no use for {unused}.\n" if unused else "",
        }
        self.latest_training_job = TrainingJob.start(
            job_name or jobs.new_name(self.base_job_name),
            self._hyperparameters,
            channels,
            self.instance_count,
            self.environment,
            facts,
            self.checkpoint_s3_uri,
        )
        if wait:
            self.latest_training_job.wait(logs=bool(logs) and logs != "None")

    def logs(self) -> None:
        """Print the log of the latest job, until it ends."""
        jobs.show_log(self._job.folder)

    @property
    def model_data(self) -> str:
        """Path or URL of the latest job's ``model.tar.gz``.

        Raises
        ------
        ConfigError
            If there was no job.
        UnexpectedStatusException
            If it has no model.
        """
        return self._job.model_data

    @property
    def training_job_analytics(self) -> TrainingJobAnalytics:
        """All metrics of the latest job."""
        return TrainingJobAnalytics(self._job.name)

    def describe(self) -> dict[str, Any]:
        """Return what DescribeTrainingJob says of the latest job."""
        return describe(self._job)

    def create_model(self, **options: Any) -> Model:
        """Return the latest job's model; `options` are those of `Model`."""
        return Model(self.model_data, **{"base_name": self.base_job_name, **options})

    def deploy(
        self, initial_instance_count: int = 1, instance_type: str | None = None, **options: Any
    ) -> Predictor:
        """Serve the latest job's model; `options` are those of `Model.deploy`."""
        return self.create_model().deploy(initial_instance_count, instance_type, **options)

    def transformer(
        self, instance_count: int = 1, instance_type: str | None = None, **options: Any
    ) -> Transformer:
        """Return what answers whole files; `options` are those of `Transformer`."""
        return self.create_model().transformer(instance_count, instance_type, **options)

    @classmethod
    def attach(cls, training_job_name: str, sagemaker_session: Any = None) -> Estimator:
        """Return the estimator of a job, wherever it was started.

        Raises
        ------
        ConfigError
            If there is no such job.
        """
        job = TrainingJob(training_job_name)
        estimator = cls(
            job.facts["image_uri"],
            instance_count=job.facts["instance_count"],
            output_path=job.facts["output_path"],
            base_job_name=job.facts["base_job_name"],
            hyperparameters=job.hyperparameters,
        )
        estimator.latest_training_job = job
        return estimator

    @property
    def _job(self) -> TrainingJob:
        if self.latest_training_job is None:
            cure = "Call fit, or Estimator.attach."
            raise ConfigError.at("Estimator", "must have run a job", None, cure)
        return self.latest_training_job


def describe(job: TrainingJob) -> dict[str, Any]:
    """Return what DescribeTrainingJob says of a job, as far as it means something here."""
    status, (started, ended) = job.status, job.times
    document: dict[str, Any] = {
        "TrainingJobName": job.name,
        "TrainingJobStatus": status,
        "HyperParameters": job.hyperparameters,
        "AlgorithmSpecification": {"TrainingImage": job.facts["image_uri"]},
        "InputDataConfig": [
            {"ChannelName": name, "DataSource": {"S3DataSource": {"S3Uri": source}}}
            for name, source in job.facts["channels"].items()
        ],
        "TrainingStartTime": started,
        "FinalMetricDataList": final_metrics(job),
    }
    if ended is not None:
        document["TrainingEndTime"] = ended
        document["TrainingTimeInSeconds"] = round(ended - started)
    if status == "Failed":
        document["FailureReason"] = job.failure_reason
    elif job.has_model:
        document["ModelArtifacts"] = {"S3ModelArtifacts": job.model_data}
    return document


def _check_names(given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in _AWS_ONLY:
            near = difflib.get_close_matches(name, _AWS_ONLY | _OWN, n=1, cutoff=0.0)[0]
            cure = f"Did you mean {near}?"
            raise ConfigError.at(name, "must be an argument of the SDK", given[name], cure)
