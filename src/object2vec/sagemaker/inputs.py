"""Where the records of a channel are and how they are written."""

from __future__ import annotations

import os
from typing import Any

from object2vec.errors import ConfigError

PathLike = str | os.PathLike[str]


class TrainingInput:
    """One channel of a training job.

    Parameters
    ----------
    s3_data : path or URL
        A file or object, or a folder or prefix: all beneath it is read.
    distribution : str, default "FullyReplicated"
        Means nothing on one machine.
    compression : str, optional
        Means nothing: gzip and zstd are known by their first bytes.
    content_type : str, optional
        ``application/jsonlines``, also by default.
    record_wrapping : str, optional
        Must be None: the records are JSON Lines.
    s3_data_type : str, default "S3Prefix"
    input_mode : str, optional
        ``File`` or ``FastFile``; both mean the same here.

    Raises
    ------
    ConfigError
        If `s3_data_type` is another one: manifests are not read.
    """

    def __init__(
        self,
        s3_data: PathLike,
        distribution: str = "FullyReplicated",
        compression: str | None = None,
        content_type: str | None = None,
        record_wrapping: str | None = None,
        s3_data_type: str = "S3Prefix",
        input_mode: str | None = None,
    ) -> None:
        if s3_data_type != "S3Prefix":
            cure = "Name the file, folder or prefix itself."
            raise ConfigError.at("s3_data_type", "must be S3Prefix", s3_data_type, cure)
        self.s3_data = os.fspath(s3_data)
        self.facts: dict[str, Any] = {
            "ContentType": content_type,
            "TrainingInputMode": input_mode or "File",
            "S3DistributionType": distribution,
            "RecordWrapperType": record_wrapping or "None",
        }
        if compression is not None:
            self.facts["CompressionType"] = compression

    @classmethod
    def of(cls, value: Any) -> TrainingInput:
        """Return `value` as an input if it is a path or URL.

        Raises
        ------
        ConfigError
            If it is neither a path nor an input.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, (str, os.PathLike)):
            return cls(value)
        cure = "Pass {'train': 'train.jsonl'} or TrainingInput('train.jsonl')."
        raise ConfigError.at("inputs", "must be paths, URLs or TrainingInput", value, cure)


s3_input = TrainingInput  # its name in the SDK's first version, which AWS's notebooks use
