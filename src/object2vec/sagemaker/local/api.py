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

MOST: dict[str, int | None] = {  # resources of each kind that run, wait or are in service
    "TrainingJob": 1000,
    "TransformJob": 1000,
    "HyperParameterTuningJob": 100,
    "Model": None,
    "EndpointConfig": None,
    "Endpoint": 50,  # each is a process
}


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
        kinds = {kind: Resources(folder, kind, arn, most) for kind, most in MOST.items()}
        models, configs = kinds["Model"], kinds["EndpointConfig"]
        common = self._queue, storage, streams
        self._training = Training(kinds["TrainingJob"], *common, aws, region)
        self._transforms = Transforms(kinds["TransformJob"], *common, models)
        self._tuning = TuningJobs(kinds["HyperParameterTuningJob"], self._training)
        self.endpoints = Endpoints(models, configs, kinds["Endpoint"], storage, streams)
        parts = (self._training, self._transforms, self._tuning, self.endpoints, Catalogue(kinds))
        operations = ChainMap(*(part.operations() for part in parts))
        self.control = JsonService("sagemaker", operations)
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
