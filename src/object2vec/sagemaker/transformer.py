"""Batch transform: a model's answers to whole files."""

from __future__ import annotations

import os
from collections.abc import Mapping

from object2vec.errors import ConfigError
from object2vec.sagemaker import jobs
from object2vec.sagemaker.exceptions import UnexpectedStatusException


class Transformer:
    """Runs ``object2vec transform`` as a job.

    Parameters
    ----------
    model_name : path or URL
        The model's archive or folder.
    instance_count, instance_type
        Mean nothing: one process works on this machine.
    strategy : {"MultiRecord", "SingleRecord"}, optional
    assemble_with : {"Line", "None"}, optional
        Means nothing: JSON Lines answers always end with a line break.
    output_path : path or URL, optional
        Where the answers go; the job's folder by default.
    accept : str, optional
        Content type of the answers; that of the records by default.
    max_concurrent_transforms : int, optional
        Means nothing: one process uses all cores.
    max_payload : int, optional
        Megabytes of records that are answered at once.
    env : mapping, optional
        Variables for the process.
    base_transform_job_name : str, default "object2vec"
    """

    def __init__(
        self,
        model_name: str,
        instance_count: int = 1,
        instance_type: str | None = None,
        strategy: str | None = None,
        assemble_with: str | None = None,
        output_path: str | os.PathLike[str] | None = None,
        accept: str | None = None,
        max_concurrent_transforms: int | None = None,
        max_payload: int | None = None,
        env: Mapping[str, str] | None = None,
        base_transform_job_name: str = "object2vec",
    ) -> None:
        self.model_name, self.env = model_name, dict(env or {})
        self.output_path = None if output_path is None else os.fspath(output_path)
        self.base_transform_job_name = base_transform_job_name
        self._options = {
            "--strategy": strategy,
            "--accept": accept,
            "--max-payload": None if max_payload is None else str(max_payload),
        }
        self.latest_transform_job: str | None = None
        self._shown: str | None = None  # the job whose log was printed

    def transform(
        self,
        data: str | os.PathLike[str],
        data_type: str = "S3Prefix",
        content_type: str | None = None,
        compression_type: str | None = None,
        split_type: str | None = None,
        job_name: str | None = None,
        wait: bool = True,
        logs: bool = True,
    ) -> None:
        """Start answering the records of a file or of all files beneath a folder or prefix.

        Parameters
        ----------
        data : path or URL
        data_type : str, default "S3Prefix"
        content_type : str, optional
            ``application/jsonlines``, also by default, or ``application/json``.
        compression_type : str, optional
            Means nothing: gzip and zstd are known by their first bytes.
        split_type : {"Line", "None"}, optional
        job_name : str, optional
        wait, logs : bool, default True
            Whether to wait for the end, and to print the log meanwhile.

        Raises
        ------
        ConfigError
            If `data_type` is another one or the name cannot be used.
        UnexpectedStatusException
            If a file has failed.
        """
        if data_type != "S3Prefix":
            cure = "Name the file, folder or prefix itself."
            raise ConfigError.at("data_type", "must be S3Prefix", data_type, cure)
        name = job_name or jobs.new_name(self.base_transform_job_name)
        folder = jobs.new_folder(name)
        self.output_path = self.output_path or str(folder / "output")
        self.latest_transform_job = name
        options = {**self._options, "--content-type": content_type, "--split-type": split_type}
        given = [part for name, value in options.items() if value for part in (name, value)]
        arguments = ["transform", self.model_name, os.fspath(data), "--out", self.output_path]
        jobs.start_process(folder, [*arguments, *given], self.env, {"output": self.output_path})
        if wait:
            self.wait(logs=logs)

    def wait(self, logs: bool = True) -> None:
        """Wait for the end of the job, and print its log meanwhile if nobody has seen it yet.

        Raises
        ------
        ConfigError
            If no job was started.
        UnexpectedStatusException
            If a file has failed.
        """
        if self.latest_transform_job is None:
            raise ConfigError.at("wait", "needs a job", None, "Call transform first.")
        folder = jobs.jobs_root() / self.latest_transform_job
        if logs and self._shown != folder.name:
            self._shown = folder.name
            jobs.show_log(folder)
        jobs.wait_until_end(folder)
        if code := jobs.exit_code(folder):
            lines = (folder / "log.txt").read_text(encoding="utf-8").splitlines()
            reason = "\n".join(lines[-20:]) or f"exit code {code}"
            text = f"Error for Transform job {folder.name}: Failed. Reason: {reason}"
            raise UnexpectedStatusException(text, ["Completed", "Stopped"], "Failed")
