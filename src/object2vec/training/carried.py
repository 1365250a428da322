"""The optimizer state that a model goes on with: that of a checkpoint of its run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from object2vec.artifact import Artifact
from object2vec.config import Note
from object2vec.errors import ConfigError
from object2vec.files.remote import PathLike
from object2vec.files.tensors import map_arrays
from object2vec.reporting.table import counted
from object2vec.training.checkpoint import TENSORS, CheckpointFolder
from object2vec.training.optimizer import Optimizer


@torch.no_grad()
def carry_state(optimizer: Optimizer, folder: PathLike, start: Artifact) -> Note:
    """Give an optimizer the state that known rows and layers have in a checkpoint.

    Rows that a vocabulary has grown by begin without any, as all do otherwise.

    Parameters
    ----------
    optimizer : Optimizer
        New, of a network that has the weights of `start`.
    folder : path
        Of the checkpoints of the run that `start` is of; the newest one counts.
    start : Artifact

    Raises
    ------
    ConfigError
        If there is no checkpoint, or it is of another run or another optimizer.
    ArtifactError
        If it is damaged.
    """
    checkpoints = CheckpointFolder(Path(folder))
    if (path := checkpoints.latest()) is None:
        _reject(folder, "must hold a checkpoint of the model's run", "none")
    state, rule = checkpoints.state(path), optimizer.rule
    theirs, data = state.get("hyperparameters") or {}, state.get("data") or {}
    if theirs.get("optimizer") != rule.name:
        _reject(folder, f"must be of the optimizer {rule.name}", theirs.get("optimizer"))
    if start.schema is not None and data.get("schema") != start.schema.fingerprint:
        _reject(folder, "must hold a checkpoint of the model's run", f"another one's {path.name}")
    arrays, known, weights = map_arrays(path / TENSORS), 0, start.network.state_dict()
    for name, parameter in optimizer.parameters.items():
        size = len(weights[name])
        rows = arrays.get(f"{name.rpartition('.')[0]}.rows")  # of a table: those with a state
        parts = [arrays.get(f"optimizer.{name}.{part}") for part in rule.state_names]
        if _has_partners(name, theirs):
            rows, parts = _of_tokens(rows, parts, size)
        known += 0 if rows is None else len(rows)
        for values, tensor in zip(parts, parameter.state, strict=True):
            if values is None or not _fits(values, rows, size, tuple(tensor.shape[1:])):
                _reject(folder, "must hold a checkpoint of the model's run", f"another {name}")
            at = slice(size) if rows is None else torch.from_numpy(rows.astype(np.int64))
            tensor[at] = torch.from_numpy(np.array(values)).to(tensor.device)
    optimizer.rule = replace(rule, steps_before=int(state["steps"]))
    what = f"{counted(known, 'row')} and the layers" if known else "Known rows and the layers"
    return Note("info", f"{what} have their optimizer state from {path.name}.")


def _has_partners(name: str, hyperparameters: dict[str, Any]) -> bool:
    """Return whether a weight is a token table that had rows for partners behind its tokens."""
    table, _, rest = name.partition(".")
    side = rest.partition(".")[0]
    return table == "tokens" and bool(hyperparameters.get(f"enc{side}_partners"))


def _of_tokens(
    rows: NDArray[Any] | None, parts: list[NDArray[Any] | None], size: int
) -> tuple[NDArray[Any] | None, list[NDArray[Any] | None]]:
    """Return the rows of tokens and their state: a model goes on without those of partners."""
    if rows is None:
        return None, [None if each is None else each[:size] for each in parts]
    kept = rows < size  # (k,)
    are_whole = all(each is not None and len(each) == len(rows) for each in parts)
    return rows[kept], [each[kept] for each in parts if each is not None] if are_whole else [None]


def _fits(
    values: NDArray[Any], rows: NDArray[Any] | None, size: int, rest: tuple[int, ...]
) -> bool:
    """Return whether an array is the state of a weight of this size, or of rows of it."""
    if rows is None:
        return values.shape == (size, *rest)
    is_inside = not len(rows) or (rows.min() >= 0 and rows.max() < size)
    return bool(is_inside and values.shape == (len(rows), *rest))


def _reject(folder: PathLike, must: str, got: Any) -> NoReturn:
    cure = "Name the folder of its checkpoints, or leave it out to begin without."
    raise ConfigError.at("start_state", f"{must} in {folder}", got, cure)
