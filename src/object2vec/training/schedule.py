"""How the learning rate goes over a run: a function of the step and of how many there will be.

A resumed run needs nothing remembered for it, but for ``plateau``, which follows the watched
metric: how often that has divided the rate is part of the checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from object2vec.config import Config

PLATEAU_DIVISOR = 5.0  # that of InferSent (Conneau et al. 2017, section 3.3)


@dataclass(frozen=True)
class Horizon:
    """What lies before a run.

    Parameters
    ----------
    steps : int
        Updates if no epoch is left out.
    records : int
        Records of an epoch, generated negatives included.
    """

    steps: int
    records: int


def needs_horizon(config: Config) -> bool:
    """Return whether a step depends on how many there will be, or on how many records."""
    is_falling = config.learning_rate_schedule in ("linear", "cosine")
    return bool(is_falling or config.warmup or config.weight_averaging or config.noise_temperature)


def runs_to_its_end(config: Config) -> bool:
    """Return whether the weights of the last step are what a run is made for.

    Its learning rate falls to 0, or its last weights are averaged: without a validation channel
    there is no reason to stop before, and none to prefer an earlier epoch.
    """
    is_falling = config.learning_rate_schedule in ("linear", "cosine")
    return is_falling or config.weight_averaging > 0


def rate_share(config: Config, step: int, steps: int, divisions: int) -> float:
    """Return the share of `learning_rate` that a step has.

    Parameters
    ----------
    config : Config
    step : int
        Its number, from 1.
    steps : int
        How many there will be.
    divisions : int
        How often ``plateau`` has divided the rate.

    Examples
    --------
    >>> sizes = {"enc0_max_seq_len": 9, "enc0_vocab_size": 9, "learning_rate_schedule": "linear"}
    >>> config = Config.build(sizes | {"warmup": 0.4})
    >>> [rate_share(config, step, 10, 0) for step in (1, 4, 5, 6, 10)]
    [0.25, 1.0, 1.0, 0.8333333333333334, 0.16666666666666663]
    """
    rising = round(config.warmup * steps)
    if step <= rising:
        return step / rising
    done = (step - 1 - rising) / max(1, steps - rising)
    if config.learning_rate_schedule == "linear":
        return 1.0 - done
    if config.learning_rate_schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * done))
    if config.learning_rate_schedule == "plateau":
        return PLATEAU_DIVISOR**-divisions
    return 1.0


def averaged_after(config: Config, steps: int) -> int | None:
    """Return the last step whose weights count in no average; None where none are averaged."""
    if not config.weight_averaging:
        return None
    return steps - max(1, round(config.weight_averaging * steps))
