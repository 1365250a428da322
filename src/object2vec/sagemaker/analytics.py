"""The metrics of a job, read from its log by the regular expressions that SageMaker uses."""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

from object2vec.errors import ConfigError, MissingExtraError
from object2vec.reporting.aws_log import METRIC_DEFINITIONS
from object2vec.sagemaker.jobs import TrainingJob

METRIC_NAMES = tuple(each["Name"] for each in METRIC_DEFINITIONS)

_METRICS = {
    definition["Name"]: re.compile(definition["Regex"]) for definition in METRIC_DEFINITIONS
}
_TIME = re.compile(r"\[(\d\d/\d\d/\d{4} \d\d:\d\d:\d\d) ")


class TrainingJobAnalytics:
    """The metrics of a training job.

    Parameters
    ----------
    training_job_name : str
    metric_names : sequence of str, optional
        Such as ``validation:cross_entropy``; all by default.

    Raises
    ------
    ConfigError
        If there is no such job or metric.
    """

    def __init__(self, training_job_name: str, metric_names: Sequence[str] | None = None) -> None:
        self.name = training_job_name
        self.metric_names = list(METRIC_NAMES if metric_names is None else metric_names)
        for name in self.metric_names:
            if name not in _METRICS:
                cure = f"They are {', '.join(METRIC_NAMES)}."
                raise ConfigError.at("metric_names", "must be known metrics", name, cure)
        self._job = TrainingJob(training_job_name)

    def rows(self) -> list[dict[str, Any]]:
        """Return every value as a dict of ``timestamp``, ``metric_name`` and ``value``.

        Returns
        -------
        list of dict
            In the order of `metric_names` and, for each, of time; timestamps are seconds since the
            job was started.
        """
        started = int(self._job.times[0])
        found = [
            {"timestamp": float(max(0, at - started)), "metric_name": name, "value": value}
            for at, name, value in read_metrics(self._job)
        ]
        order = {name: place for place, name in enumerate(self.metric_names)}
        kept = [row for row in found if row["metric_name"] in order]
        return sorted(kept, key=lambda row: order[row["metric_name"]])

    def dataframe(self) -> Any:
        """Return `rows` as a pandas DataFrame.

        Raises
        ------
        MissingExtraError
            If pandas is not installed; `rows` needs nothing.
        """
        try:
            import pandas as pd  # type: ignore[import-untyped,import-not-found,unused-ignore]
        except ImportError as err:
            cure = "Run: pip install pandas, or call rows()."
            raise MissingExtraError.at("dataframe", "needs pandas", str(err), cure) from err
        return pd.DataFrame(self.rows(), columns=["timestamp", "metric_name", "value"])


def read_metrics(job: TrainingJob) -> Iterator[tuple[int, str, float]]:
    """Yield time in seconds since 1970, name and value of each metric in a job's log."""
    at = int(job.times[0])
    with (job.folder / "log.txt").open(encoding="utf-8", errors="replace") as log:
        for line in log:
            if stamp := _TIME.match(line):
                at = calendar.timegm(time.strptime(stamp[1], "%m/%d/%Y %H:%M:%S"))
            for name, regex in _METRICS.items():
                if match := regex.search(line):
                    yield at, name, float(match[1])


def final_metrics(job: TrainingJob) -> list[dict[str, Any]]:
    """Return the last value of each metric, as DescribeTrainingJob lists them."""
    last = {name: (at, value) for at, name, value in read_metrics(job)}
    return [
        {"MetricName": name, "Value": last[name][1], "Timestamp": last[name][0]}
        for name in METRIC_NAMES
        if name in last
    ]
