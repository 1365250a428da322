"""What a trial is judged by: one metric of one channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from object2vec.errors import ConfigError, suggestion
from object2vec.objectives import metrics_by_name

OBJECTIVE_CHANNELS = ("train", "validation", "test")
Direction = Literal["minimize", "maximize"]


@dataclass(frozen=True)
class Goal:
    """The metric that tuning makes better.

    Parameters
    ----------
    channel : {"train", "validation", "test"}
    metric : str
    direction : {"minimize", "maximize"}
    """

    channel: str
    metric: str
    direction: Direction

    @classmethod
    def parse(cls, text: str) -> Goal:
        """Return the objective that a text like ``validation:accuracy`` names.

        Raises
        ------
        ConfigError
            If there is no such channel or metric.
        """
        channel, _, metric = text.partition(":")
        known = metrics_by_name()
        if channel not in OBJECTIVE_CHANNELS or not metric:
            cure = "Write a channel and a metric, such as validation:accuracy."
            must = f"must begin with one of {', '.join(f'{each}:' for each in OBJECTIVE_CHANNELS)}"
            raise ConfigError.at("objective", must, text, cure)
        if metric not in known:
            names = ", ".join(sorted(known))
            cure = f"{suggestion(metric, known)}Choose one of {names}."
            raise ConfigError.at("objective", "must name a metric", metric, cure)
        return cls(channel, metric, "minimize" if known[metric].kind == "loss" else "maximize")

    @property
    def name(self) -> str:
        """As it is written: ``validation:accuracy``."""
        return f"{self.channel}:{self.metric}"

    @property
    def sign(self) -> float:
        """What makes a lower number of every value a better one."""
        return 1.0 if self.direction == "minimize" else -1.0

    def is_better(self, value: float, other: float) -> bool:
        """Say whether a value is better than another one."""
        return self.sign * value < self.sign * other

    def best(self, values: list[float]) -> float:
        """Return the best of some values."""
        return min(values) if self.direction == "minimize" else max(values)

    def of(self, metrics: Mapping[str, Any] | None) -> float | None:
        """Return its value among the metrics of its channel; None if it is not there."""
        value = (metrics or {}).get(self.metric)
        return None if value is None else float(value)
