"""What notebooks ask of a session: a bucket that is a folder, and the end of an endpoint."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from object2vec.sagemaker import endpoints, jobs
from object2vec.sagemaker.inputs import TrainingInput, s3_input

__all__ = ["Session", "TrainingInput", "get_execution_role", "s3_input"]


class Session:
    """Stands in for a session with AWS; nothing leaves this machine.

    Parameters
    ----------
    default_bucket : path, optional
        A folder that stands for a bucket; ``buckets/default`` in the folder of jobs by default.
    """

    boto_region_name = "local"

    def __init__(self, default_bucket: str | os.PathLike[str] | None = None) -> None:
        self._bucket = default_bucket

    def default_bucket(self) -> str:
        """Return the folder that stands for a bucket."""
        return str(self._bucket or jobs.jobs_root() / "buckets" / "default")

    def upload_data(
        self, path: str | os.PathLike[str], bucket: str | None = None, key_prefix: str = "data"
    ) -> str:
        """Copy a file or a folder's files to a bucket's folder and return where they are.

        Parameters
        ----------
        path : path
        bucket : path, optional
            The folder; the default one if None.
        key_prefix : str, default "data"

        Returns
        -------
        str
            Path of the file, or of the folder.
        """
        source, target = Path(path), Path(bucket or self.default_bucket()) / key_prefix
        target.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
            return str(target)
        shutil.copyfile(source, target / source.name)
        return str(target / source.name)

    def delete_endpoint(self, endpoint_name: str) -> None:
        """Stop an endpoint's server."""
        endpoints.delete_endpoint(endpoint_name)


def get_execution_role(sagemaker_session: Session | None = None) -> str:
    """Return a name where AWS wants a role; nobody asks for it here."""
    return "local"
