"""One run shown several ways: as a live display, as plain lines, as JSON, as AWS's log."""

from typing import Literal, get_args

LogFormat = Literal["rich", "plain", "sagemaker", "json"]
LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)
