"""The folder tree that SageMaker mounts into a container.

=====================================  =========================================================
``input/config/*.json``                hyperparameters, channels, hosts; SageMaker writes them
``input/data/<channel>/``              the records of each channel
``model/``                             the model: SageMaker packs it into ``model.tar.gz``
``output/data/``                       everything else worth keeping
``output/failure``                     why the job failed; SageMaker shows the first 1024 bytes
``checkpoints/``                       copied from and to S3 while the job runs, if there at all
=====================================  =========================================================

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BASE_DIR_VARIABLE = "SAGEMAKER_BASE_DIR"  # AWS's own toolkit reads it, too
_DEFAULT_BASE = "/opt/ml"


@dataclass(frozen=True)
class JobTree:
    """The files and folders under one base folder.

    Parameters
    ----------
    base : Path
        ``/opt/ml`` in a container.

    Examples
    --------
    >>> JobTree(Path("/opt/ml")).channel("train").as_posix()
    '/opt/ml/input/data/train'
    """

    base: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> JobTree:
        """Return the layout under ``SAGEMAKER_BASE_DIR``, ``/opt/ml`` by default."""
        return cls(Path(environ.get(BASE_DIR_VARIABLE) or _DEFAULT_BASE))

    @property
    def config(self) -> Path:
        """Folder of the three JSON files that describe the job."""
        return self.base / "input" / "config"

    @property
    def hyperparameters(self) -> Path:
        """File with the hyperparameters, all of them strings."""
        return self.config / "hyperparameters.json"

    @property
    def input_data_config(self) -> Path:
        """File with the channels."""
        return self.config / "inputdataconfig.json"

    @property
    def resource_config(self) -> Path:
        """File with the hosts."""
        return self.config / "resourceconfig.json"

    @property
    def data(self) -> Path:
        """Folder of all channels."""
        return self.base / "input" / "data"

    def channel(self, name: str) -> Path:
        """Return the folder of a channel's records."""
        return self.data / name

    @property
    def model(self) -> Path:
        """Folder of the model."""
        return self.base / "model"

    @property
    def output_data(self) -> Path:
        """Folder of what is worth keeping besides the model."""
        return self.base / "output" / "data"

    @property
    def failure(self) -> Path:
        """File that says why the job failed."""
        return self.base / "output" / "failure"

    @property
    def checkpoints(self) -> Path:
        """Folder that SageMaker keeps in step with S3; only there if the job asked for it."""
        return self.base / "checkpoints"
