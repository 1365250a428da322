"""SageMaker as this machine offers it: every operation, over one folder."""

from __future__ import annotations

from collections import ChainMap
from pathlib import Path

from object2vec.compiled.cores import available_cores
from object2vec.sagemaker.local.aws import Aws
from object2vec.sagemaker.local.buckets import ACCOUNT
from object2vec.sagemaker.local.catalogue import Catalogue
from object2vec.sagemaker.local.endpoints import Endpoints
from object2vec.sagemaker.local.jobs import Queue
from object2vec.sagemaker.local.logs import Logs
from object2vec.sagemaker.local.protocol import JsonService
from object2vec.sagemaker.local.resources import Resources
from object2vec.sagemaker.local.storage import Storage
from object2vec.sagemaker.local.training import Training
from object2vec.sagemaker.local.transforms import Transforms
from object2vec.sagemaker.local.tuning_jobs import TuningJobs

MAX_JOBS, MAX_TUNING_JOBS = 1000, 100  # of a kind, that run or wait


class SageMaker:
    """The local SageMaker.

    Parameters
    ----------
    folder : Path
        Where everything lies.
    aws : Aws
    region : str
    slots : int, default 0
        Jobs that run at once, as `jobs.Queue` has it.
    has_remote_storage : bool, default False
        Whether S3 is the user's own.

    Attributes
    ----------
    control, logs : JsonService
        What handles the requests for SageMaker and for CloudWatch Logs.
    endpoints : Endpoints
    """

    def __init__(
        self,
        folder: Path,
        aws: Aws,
        region: str,
        slots: int = 0,
        *,
        has_remote_storage: bool = False,
    ) -> None:
        arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}"
        storage = Storage(aws.buckets, is_remote=has_remote_storage)
        streams = Logs(folder / "logs")
        self._queue = Queue(available_cores(), slots)
        self.endpoints = Endpoints(folder, arn, storage, streams)
        jobs = Resources(folder / "training-jobs", "TrainingJob", f"{arn}:training-job", MAX_JOBS)
        self._training = Training(jobs, self._queue, storage, streams, aws, region)
        jobs = Resources(
            folder / "transform-jobs", "TransformJob", f"{arn}:transform-job", MAX_JOBS
        )
        self._transforms = Transforms(jobs, self._queue, storage, streams, self.endpoints)
        tuning = Resources(
            folder / "tuning-jobs",
            "HyperParameterTuningJob",
            f"{arn}:hyper-parameter-tuning-job",
            MAX_TUNING_JOBS,
        )
        self._tuning = TuningJobs(tuning, self._training)
        parts = (self._training, self._transforms, self._tuning, self.endpoints)
        kinds = [kind for part in parts for kind in part.kinds]
        operations = [part.operations() for part in (*parts, Catalogue(kinds))]
        self.control = JsonService("sagemaker", dict(ChainMap(*operations)))
        self.logs = JsonService("logs", streams.operations())

    def recover(self) -> None:
        """Go on with what an earlier service left in the folder."""
        self._training.recover()
        self._transforms.recover()
        self._tuning.recover()
        self.endpoints.recover()

    def close(self, grace_s: float) -> None:
        """End all jobs and endpoints."""
        self._tuning.close()
        self._queue.close(grace_s)
        self.endpoints.close()
