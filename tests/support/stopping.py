"""Runs that are stopped anywhere: what stops them, and settings with much to go on from."""

from __future__ import annotations

import signal

from object2vec.training.stop import StopRequest

# Of ranking: each has a state, draws numbers, or changes what a step computes.
EVERYTHING = {
    "shared_negatives": 7,
    "negative_exponent": 0.5,
    "log_q_correction": True,
    "label_smoothing": 0.1,
    "token_dropout": 0.2,
    "topics": 2,
    "weight_averaging": 0.5,
    "noise_temperature": 0.01,
    "embedding_decay": 0.01,
    "weight_decay": 0.01,
    "decoupled_weight_decay": True,
    "gradient_clip_norm": 1.0,
}


class AfterBatches(StopRequest):
    """Asks to stop after so many batches."""

    def __init__(self, batches: int) -> None:
        self._left = batches
        super().__init__()

    @property
    def signal_number(self):
        self._left -= 1
        return signal.SIGTERM if self._left < 0 else None

    @signal_number.setter
    def signal_number(self, value):
        pass
