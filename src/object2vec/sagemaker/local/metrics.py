"""Metrics: what a job's log says of its quality, as CloudWatch and a job's description have it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any


class JobMetrics:
    """Finds metrics in the lines of one training job.

    Parameters
    ----------
    definitions : sequence of mapping
        ``Name`` and ``Regex``, whose first group is the value.
    publish : callable
        Takes the name, the value and the time of each one.
    """

    def __init__(
        self,
        definitions: Sequence[Mapping[str, str]],
        publish: Callable[[str, float, float], object],
    ) -> None:
        self._patterns = [(each["Name"], re.compile(each["Regex"])) for each in definitions]
        self._publish = publish
        self._last: dict[str, tuple[float, float]] = {}

    def read(self, line: str, at: float | None = None) -> None:
        """Take the metrics of a line, printed at a time in seconds, now by default."""
        moment = time.time() if at is None else at
        for name, pattern in self._patterns:
            if (match := pattern.search(line)) is None:
                continue
            try:
                value = float(match[1])
            except (ValueError, IndexError):
                continue
            self._last[name] = (value, moment)
            self._publish(name, value, moment)

    def final(self) -> list[dict[str, Any]]:
        """Return the last value of each metric, as ``FinalMetricDataList`` has it."""
        return [
            {"MetricName": name, "Value": value, "Timestamp": at}
            for name, (value, at) in self._last.items()
        ]
