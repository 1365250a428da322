"""What a model is good for, measured on a user's file: one small task each."""

from object2vec.task_names import TaskName
from object2vec.tasks.as_trained import evaluate_as_trained
from object2vec.tasks.base import Evaluation, Question
from object2vec.tasks.records import TaskSource
from object2vec.tasks.registry import TASKS, evaluate, suiting

__all__ = [
    "TASKS",
    "Evaluation",
    "Question",
    "TaskName",
    "TaskSource",
    "evaluate",
    "evaluate_as_trained",
    "suiting",
]
