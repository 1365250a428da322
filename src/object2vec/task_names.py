"""The names of the tasks that `object2vec.tasks` measures: all that options and objectives need."""

from __future__ import annotations

from typing import Literal

TaskName = Literal[
    "retrieval", "ranking", "similarity", "classification", "regression", "multilabel"
]
