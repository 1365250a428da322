"""What a run trains, at a cost of what has changed: its best weights, its checkpoints.

An epoch may touch a thousandth of a table's rows. Copying the table whenever an epoch is the best,
or with each checkpoint, would cost the vocabulary after all. So the other way round: a row that is
about to change for the first time since the best moment is written down as it is, and going back to
that moment puts those rows back. A checkpoint holds the rows that have changed since the run began;
the others are as every start of the run makes them.

Tables whose every update touches all rows, tables on a GPU and the dense layers are copied whole,
in their device's memory where they are a small part of it.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from object2vec.compiled import Programs
from object2vec.devices import memory_bytes
from object2vec.errors import ArtifactError
from object2vec.files.tensors import Streamed, check_shapes, map_arrays, write_arrays
from object2vec.files.whole import storing
from object2vec.network.network import Network
from object2vec.network.tokens import TokenTable
from object2vec.training.optimizer import Optimizer

compiled_programs = Programs(
    "object2vec.kernels.cpu.loops.changes", "object2vec.training", "Changed rows are found"
)

_WRITTEN, _CHANGED = 1, 2  # bits of a row: since the best moment, since the run began
_MEMORY_SHARE = 8  # of a device's memory, the part of it that may hold what is kept
_PIECE_BYTES = 16 << 20
_ROWS = "rows"
_BLOCK = 1 << 12


class RowJournal:
    """Which rows of a table have changed, and what they were at the best moment.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        What going back must restore, each of shape (V, ...): the table and what belongs to its
        rows.
    folder : Path
        For what does not fit into `limit`.
    limit : int
        Bytes of memory for each of the tensors.
    tracks : bool
        Whether the rows that have changed since the run began must be known.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], folder: Path, limit: int, tracks: bool
    ) -> None:
        self.tensors = {name: tensor.numpy() for name, tensor in tensors.items()}
        self._marks = np.zeros(len(next(iter(self.tensors.values()))), np.uint8)  # (V,)
        self._bits = _CHANGED if tracks else 0
        self._written: list[NDArray[np.int32]] = []
        self._folder = folder
        self._logs = {
            name: tempfile.SpooledTemporaryFile(max_size=limit, dir=str(folder))
            for name in self.tensors
        }
        for log in self._logs.values():
            weakref.finalize(self, log.close)

    def close(self) -> None:
        """Remove what was written."""
        for log in self._logs.values():
            log.close()

    def note(self, rows: Tensor) -> None:
        """Write down what rows are that will change, (n,), as far as it has not been done."""
        if not self._bits:
            return
        fresh = _first_of(self._marks, rows.numpy(), self._bits)  # (m,)
        if self._bits & _WRITTEN and len(fresh):
            for start, stop in _pieces(len(fresh), self.tensors.values()):
                piece = fresh[start:stop]
                self._append(piece, {name: array[piece] for name, array in self.tensors.items()})

    def mark(self) -> None:
        """Make this moment the one to go back to."""
        self._forget()
        self._bits |= _WRITTEN

    def restore(self) -> None:
        """Make all rows what they were at the moment that was marked."""
        for name, array in self.tensors.items():
            for rows, old in zip(self._written, self._old(name), strict=True):
                array[rows] = old
        self._forget()

    def changed(self) -> NDArray[np.int64]:
        """Return the rows that have changed since the run began, (k,)."""
        return np.flatnonzero(self._marks & _CHANGED)

    def set_changed(self, rows: NDArray[np.int64]) -> None:
        """Take these rows as changed, (k,)."""
        self._marks[rows] |= _CHANGED

    def written(self) -> dict[str, Any]:
        """Return what going back would put back, and the rows it would put there."""
        rows = np.concatenate([np.empty(0, np.int32), *self._written])  # (k,)
        return {_ROWS: rows} | {
            name: Streamed(array.dtype, (len(rows), *array.shape[1:]), partial(self._old, name))
            for name, array in self.tensors.items()
        }

    def set_written(self, rows: NDArray[np.int32], old: Mapping[str, NDArray[Any]]) -> None:
        """Take this moment as marked, and these rows (k,) as changed since, from what they were."""
        self.mark()
        self._marks[rows] |= self._bits
        for start, stop in _pieces(len(rows), self.tensors.values()):
            self._append(rows[start:stop], {name: old[name][start:stop] for name in self.tensors})

    def _append(self, rows: NDArray[np.int32], old: Mapping[str, NDArray[Any]]) -> None:
        with storing(self._folder):
            for name, log in self._logs.items():
                log.write(np.ascontiguousarray(old[name]).data.cast("B"))
        self._written.append(np.array(rows))

    def _old(self, name: str) -> Iterator[NDArray[Any]]:
        """Yield what each piece of rows was, (m, ...)."""
        array, log = self.tensors[name], self._logs[name]
        row_bytes = array[:1].nbytes
        log.seek(0)
        for rows in self._written:
            content = log.read(len(rows) * row_bytes)
            yield np.frombuffer(content, array.dtype).reshape(len(rows), *array.shape[1:])
        log.seek(0, 2)

    def _forget(self) -> None:
        for rows in self._written:
            self._marks[rows] &= ~np.uint8(_WRITTEN)
        self._written.clear()
        for log in self._logs.values():
            log.seek(0)
            log.truncate()


class KeptTensors:
    """All that a run trains, with its best weights.

    Parameters
    ----------
    network : Network
        With its initial weights, which every start of the run makes anew.
    optimizer : Optimizer
    folder : Path
        For what does not fit into memory.
    has_checkpoints : bool
        Whether `write` will be called.

    Attributes
    ----------
    fingerprint : str
        What tells the rows that a run begins with from others.
    """

    def __init__(
        self, network: Network, optimizer: Optimizer, folder: Path, has_checkpoints: bool
    ) -> None:
        self._weights = network.state_dict()
        self._all = self._weights | optimizer.tensors()
        limit = (memory_bytes("cpu") or 0) // _MEMORY_SHARE
        self._journals: dict[str, RowJournal] = {}
        self.fingerprint = ""
        self._tables = network.tables()
        for i, table in enumerate(self._tables):
            prefix = f"tokens.{i}."
            if has_checkpoints and (table.is_frozen or _has_few_changes(table)):
                self.fingerprint += _digest(table.weight)
            if table.is_frozen:
                del self._weights[f"{prefix}weight"], self._all[f"{prefix}weight"]
            elif _has_few_changes(table):
                own = {name: t for name, t in self._weights.items() if name.startswith(prefix)}
                journal = RowJournal(own, folder, limit, has_checkpoints)
                self._journals[prefix] = journal
                table.on_change = journal.note
        whole = self._whole(self._weights)
        self._copies = _copies(whole, folder) if whole else {}

    def close(self) -> None:
        """Remove what was written, and ask for no more."""
        for table in self._tables:
            table.on_change = None
        for journal in self._journals.values():
            journal.close()

    def keep_best(self) -> None:
        """Make the weights of this moment the best ones."""
        for name, tensor in self._whole(self._weights).items():
            self._copies[name].copy_(tensor)
        for journal in self._journals.values():
            journal.mark()

    def restore_best(self) -> None:
        """Make the weights the best ones again."""
        for name, tensor in self._whole(self._weights).items():
            tensor.copy_(self._copies[name])
        for journal in self._journals.values():
            journal.restore()

    def write(self, path: Path) -> None:
        """Write weights and optimizer state to a file: of tables the rows that have changed."""
        arrays: dict[str, Any] = {n: _array(t) for n, t in self._whole(self._all).items()}
        for prefix, journal in self._journals.items():
            rows = journal.changed()  # (k,)
            arrays[f"{prefix}{_ROWS}"] = rows
            for name, tensor in self._of(prefix).items():
                arrays[name] = _selected(_array(tensor), rows)
        write_arrays(path, arrays)

    def write_best(self, path: Path) -> None:
        """Write what leads from the weights back to the best ones."""
        arrays: dict[str, Any] = {name: _array(copy) for name, copy in self._copies.items()}
        for prefix, journal in self._journals.items():
            written = journal.written()
            arrays[f"{prefix}{_ROWS}"] = written.pop(_ROWS)
            arrays |= written
        write_arrays(path, arrays)

    def read(self, path: Path, best: Path | None) -> None:
        """Read what `write` and `write_best` have written into what a run begins with.

        Raises
        ------
        ArtifactError
            If a file is missing, damaged or holds something else; nothing has changed then.
        """
        arrays = self._checked(path, self._whole(self._all), self._all)
        old = self._checked(best, self._whole(self._weights), self._weights) if best else None
        for name, tensor in self._whole(self._all).items():
            tensor.copy_(torch.from_numpy(arrays[name]))
        for prefix, journal in self._journals.items():
            rows = arrays[f"{prefix}{_ROWS}"]
            journal.set_changed(rows)
            for name, tensor in self._of(prefix).items():
                _put(_array(tensor), rows, arrays[name])
        if old is None:
            return
        for name, copy in self._copies.items():
            copy.copy_(torch.from_numpy(old[name]))
        for prefix, journal in self._journals.items():
            journal.set_written(old[f"{prefix}{_ROWS}"], old)

    def _whole(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors that belong to no table with a journal."""
        prefixes = tuple(self._journals)
        return {
            name: tensor
            for name, tensor in tensors.items()
            if not name.removeprefix("optimizer.").startswith(prefixes)
        }

    def _of(self, prefix: str) -> dict[str, Tensor]:
        """Return a table and all that belongs to its rows."""
        return {
            name: tensor
            for name, tensor in self._all.items()
            if name.removeprefix("optimizer.").startswith(prefix)
        }

    def _checked(
        self, path: Path, whole: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
    ) -> dict[str, NDArray[Any]]:
        """Return the arrays of a file that holds what it must."""
        arrays = map_arrays(path, "c")
        shapes = {name: tuple(tensor.shape) for name, tensor in whole.items()}
        for prefix, journal in self._journals.items():
            rows = arrays.get(f"{prefix}{_ROWS}", np.empty(0))
            size = len(next(iter(journal.tensors.values())))
            if rows.ndim != 1 or rows.dtype.kind != "i" or not _are_rows(rows, size):
                must, cure = f"must name rows below {size}", "Remove this checkpoint."
                raise ArtifactError.at(f"{path}: {prefix}{_ROWS}", must, rows.shape, cure)
            shapes[f"{prefix}{_ROWS}"] = rows.shape
            own = (name for name in self._of(prefix) if name in tensors)
            shapes |= {name: (len(rows), *self._all[name].shape[1:]) for name in own}
        check_shapes(path, {name: array.shape for name, array in arrays.items()}, shapes)
        for name, array in arrays.items():
            if name in tensors and array.dtype != _array(tensors[name][:0]).dtype:
                must, cure = "must hold numbers of another type", "Remove this checkpoint."
                raise ArtifactError.at(f"{path}: {name}", must, str(array.dtype), cure)
        return arrays


def _has_few_changes(table: TokenTable) -> bool:
    """Return whether an update changes the rows of a batch alone, and the CPU knows which."""
    return table.storage == "row_sparse" and table.weight.device.type == "cpu"


def _copies(tensors: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """Return room for copies: on each device, or in a file where that is too much of its memory."""
    device = str(next(iter(tensors.values())).device)
    size = sum(tensor.nbytes for tensor in tensors.values())
    if size <= (memory_bytes(device) or size) // _MEMORY_SHARE:
        return {name: torch.empty_like(tensor) for name, tensor in tensors.items()}
    return {name: _in_file(tensor, folder) for name, tensor in tensors.items()}


def _in_file(tensor: Tensor, folder: Path) -> Tensor:
    """Return room for a copy that the system may write to a disk."""
    with storing(folder), tempfile.TemporaryFile(dir=folder) as file:
        file.truncate(tensor.nbytes)
        kind = _array(tensor[:0]).dtype
        mapped = np.memmap(file, kind, "r+", shape=tuple(tensor.shape))
    return torch.from_numpy(np.asarray(mapped))


def _array(tensor: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.detach().cpu().contiguous().numpy()
    return array


def _selected(array: NDArray[Any], rows: NDArray[np.int64]) -> Streamed:
    """Return some rows of an array, which are gathered as they are written."""

    def pieces() -> Iterator[NDArray[Any]]:
        for start, stop in _pieces(len(rows), [array]):
            yield array[rows[start:stop]]

    return Streamed(array.dtype, (len(rows), *array.shape[1:]), pieces)


def _put(array: NDArray[Any], rows: NDArray[np.int64], values: NDArray[Any]) -> None:
    for start, stop in _pieces(len(rows), [array]):
        array[rows[start:stop]] = values[start:stop]


def _pieces(count: int, arrays: Iterable[NDArray[Any]]) -> Iterator[tuple[int, int]]:
    """Yield first and last of so many rows, a few megabytes at a time."""
    row_bytes = sum(array[:1].nbytes for array in arrays)
    step = max(1, _PIECE_BYTES // max(1, row_bytes))
    for start in range(0, count, step):
        yield start, min(start + step, count)


def _are_rows(rows: NDArray[Any], size: int) -> bool:
    return len(rows) == 0 or (rows.min() >= 0 and rows.max() < size)


def _first_of(marks: NDArray[np.uint8], rows: NDArray[np.int32], bits: int) -> NDArray[np.int32]:
    """Give rows (n,) these marks; return those that lacked one of them, each once, (m,)."""
    programs = compiled_programs()
    if programs is None:
        fresh = np.unique(rows[marks[rows] & bits != bits])  # (m,)
        marks[fresh] |= np.uint8(bits)
        return fresh
    fresh = np.empty(len(rows), np.int32)  # (n,)
    return fresh[: programs.first_of(marks, rows, np.uint8(bits), fresh)]


def _digest(weight: Tensor) -> str:
    """Return what changes with any number of a table, or with their order."""
    import hashlib

    content = _array(weight).reshape(-1).view(np.uint8)  # (bytes,)
    whole = len(content) // (8 * _BLOCK) * 8 * _BLOCK
    numbers = content[:whole].view(np.uint64).reshape(-1, _BLOCK)  # (n, _BLOCK)
    digest = hashlib.sha256(content[whole:].tobytes())
    for axis in (0, 1):
        digest.update(numbers.sum(axis=axis, dtype=np.uint64).tobytes())
    return digest.hexdigest()[:16]
