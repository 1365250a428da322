"""The reporter of each log format. Nothing heavy is imported before it is needed."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from object2vec.errors import ConfigError
from object2vec.reporting import LOG_FORMATS, LogFormat
from object2vec.reporting.aws_log import OBJECT2VEC_DIALECT, Dialect, SageMakerReporter
from object2vec.reporting.events import Reporter
from object2vec.reporting.json import JsonReporter
from object2vec.reporting.plain import PlainReporter


class _Nowhere(io.StringIO):
    """A stream that keeps nothing."""

    def write(self, text: str) -> int:
        """Forget the text."""
        return len(text)


def reporter(
    log_format: LogFormat | None = None,
    stream: TextIO | None = None,
    host: str = "algo-1",
    *,
    entrypoint: str | None = None,
    provided: Mapping[str, Any] | None = None,
    dialect: Dialect = OBJECT2VEC_DIALECT,
) -> Reporter:
    """Return the reporter of a log format.

    Parameters
    ----------
    log_format : {"rich", "plain", "sagemaker", "json"}, optional
        By default rich on a terminal, plain elsewhere.
    stream : text file, optional
        Where to write; by default standard output for sagemaker, where CloudWatch collects it, and
        standard error for the others. It is never closed.
    host : str, default "algo-1"
        Name of this machine in SageMaker's log lines.
    entrypoint : str, optional
        Argument of the container; its line opens the sagemaker log.
    provided : mapping, optional
        Hyperparameters as the user gave them, for the sagemaker log.
    dialect : Dialect
        What the sagemaker log has of its own, algorithm by algorithm.

    Raises
    ------
    ConfigError
        If there is no such format.
    """
    if stream is None:
        stream = sys.stdout if log_format == "sagemaker" else sys.stderr
        stream = stream or _Nowhere()  # a process of a daemon may have closed it
    if log_format is None:
        is_live = stream.isatty() and os.environ.get("TERM") != "dumb"
        log_format = "rich" if is_live else "plain"
    if log_format == "rich":
        from rich.console import Console

        from object2vec.reporting.live import RichReporter

        return RichReporter(Console(file=stream))
    if log_format == "plain":
        return PlainReporter(stream)
    if log_format == "sagemaker":
        return SageMakerReporter(
            stream, host, entrypoint=entrypoint, provided=provided, dialect=dialect
        )
    if log_format == "json":
        return JsonReporter(stream)
    raise ConfigError.at(
        "log_format", f"must be one of {LOG_FORMATS}", log_format, "Choose one of them."
    )
