"""Tensors in safetensors files: written from memory, read into what exists already."""

from __future__ import annotations

import contextlib
import json
import math
import stat
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from object2vec.errors import ArtifactError
from object2vec.files.whole import storing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

_PART_BYTES = 64 << 20  # of a tensor that is read at once
_MAX_HEADER_BYTES = 1 << 20
_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F32": "<f4",
    "F64": "<f8",
}
_WRITER = "writer"  # its name in the metadata of the format


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a safetensors file.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with storing(path):
        path.touch()
        mode = stat.S_IMODE(path.stat().st_mode)
        try:
            held = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
            save_file(held, path, metadata={_WRITER: "object2vec"})
        except SafetensorError as err:
            raise OSError(0, str(err)) from err
        path.chmod(mode)  # safetensors makes it readable for its owner alone


def is_written_here(stream: BinaryIO) -> bool:
    """Return whether a file of tensors says that `write_tensors` has written it."""
    (length,) = struct.unpack("<Q", stream.read(8).ljust(8, b"\0"))
    try:
        header = json.loads(stream.read(min(length, _MAX_HEADER_BYTES)))
        return bool(header["__metadata__"][_WRITER] == "object2vec")
    except (ValueError, RecursionError, KeyError, TypeError):
        return False


def read_tensors(path: Path, into: Mapping[str, Tensor]) -> None:
    """Copy the tensors of a safetensors file into tensors that exist already.

    Parameters
    ----------
    path : Path
    into : mapping of str to Tensor
        Every name and shape that the file must hold, no more and no less. Nothing is allocated from
        what the file claims.

    Raises
    ------
    ArtifactError
        If the file is missing, damaged or holds something else.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        # safetensors makes its tensors where a caller's default device says.
        with (
            torch.device("cpu"),
            _in_utf8(path) as readable,
            safe_open(readable, framework="pt") as file,
        ):
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
            check_shapes(path, found, {name: tuple(t.shape) for name, t in into.items()})
            for name, tensor in into.items():
                _copy(path, name, file.get_slice(name), tensor)
    except (OSError, SafetensorError, ValueError, RuntimeError, OverflowError) as err:
        raise _damaged(path, str(err) or type(err).__name__) from err


def map_matrix(path: Path, name: str, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return one matrix of a safetensors file, memory-mapped: a row is read when it is used.

    Parameters
    ----------
    path : Path
    name : str
    shape : pair of int
        What it must have.

    Returns
    -------
    float32 array of this shape
        It may be written; the file stays as it is.

    Raises
    ------
    ArtifactError
        If the file is missing, damaged or holds something else there.
    """
    arrays = map_arrays(path, "c")  # compiled code knows only arrays that may be written
    found = arrays[name].shape if name in arrays else "none"
    check_shapes(path, {name: found}, {name: shape})
    if arrays[name].dtype != "f4":
        raise _damaged(path, f"{name} of type {arrays[name].dtype}")
    return arrays[name]


@dataclass(frozen=True)
class Streamed:
    """An array that exists only piece by piece, as it is written.

    Parameters
    ----------
    dtype : numpy.dtype
    shape : tuple of int
    pieces : callable
        Returns its rows in their order, some at a time.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    pieces: Callable[[], Iterable[NDArray[Any]]]

    @property
    def nbytes(self) -> int:
        """Size of the whole array in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any] | Streamed]) -> None:
    """Write arrays to a safetensors file, without PyTorch and without a copy of them.

    Raises
    ------
    StorageError
        If the file cannot be written.
    """
    import numpy as np

    # The widest first, so that each begins at a multiple of its width.
    held = sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize)
    header: dict[str, Any] = {"__metadata__": {_WRITER: "object2vec"}}
    end = 0
    for name, array in held:
        dtype = next(key for key, kind in _DTYPES.items() if np.dtype(kind) == array.dtype)
        begin, end = end, end + array.nbytes
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with storing(path), path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, array in held:
            for piece in array.pieces() if isinstance(array, Streamed) else (array,):
                file.write(np.ascontiguousarray(piece).data)


def map_arrays(path: Path, mode: Literal["r", "c"] = "r") -> dict[str, NDArray[Any]]:
    """Return the arrays of a safetensors file, memory-mapped: nothing is read until it is used.

    Parameters
    ----------
    path : Path
    mode : {"r", "c"}, default "r"
        Whether they cannot be written, or only in memory.

    Raises
    ------
    ArtifactError
        If the file is missing, or its header does not fit it.
    """
    import numpy as np

    try:
        content = np.asarray(np.memmap(path, np.uint8, mode))  # (bytes,)
        (length,) = struct.unpack("<Q", content[:8].tobytes())
        if length > min(len(content) - 8, _MAX_HEADER_BYTES):
            raise ValueError(f"a header of {length} bytes")
        header, data = json.loads(content[8 : 8 + length].tobytes()), content[8 + length :]
        header.pop("__metadata__", None)
        return {str(name): _mapped(data, entry) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        raise _damaged(path, str(err) or type(err).__name__) from err
    except (struct.error, OverflowError) as err:
        raise _damaged(path, "an end in its header") from err


def _mapped(data: NDArray[np.uint8], entry: Mapping[str, Any]) -> NDArray[Any]:
    """Return the array that an entry of a header describes; its numbers are a view of `data`."""
    import numpy as np

    begin, end = entry["data_offsets"]
    if not 0 <= begin <= end <= len(data):
        raise ValueError(f"offsets {begin} to {end} in {len(data)} bytes")
    return np.reshape(data[begin:end].view(_DTYPES[entry["dtype"]]), entry["shape"])


@contextlib.contextmanager
def _in_utf8(path: Path) -> Iterator[str]:
    """Give a name that is UTF-8, as safetensors knows no other; on Linux any bytes are one."""
    name = str(path)
    if name.encode(errors="replace").decode() == name:
        yield name
        return
    with path.open("rb") as file:
        yield f"/dev/fd/{file.fileno()}"


def _copy(path: Path, name: str, source: Any, into: Tensor) -> None:
    """Copy a tensor of a file, a few megabytes at a time: a table may be half of the memory."""
    if into.ndim == 0:
        into.copy_(source[...])
        return
    step = max(1, _PART_BYTES * len(into) // max(1, into.nbytes))
    for start in range(0, len(into), step):
        part = source[start : start + step]
        if part.dtype != into.dtype:
            raise _damaged(path, f"{name} of type {part.dtype}")
        into[start : start + step].copy_(part)


def check_shapes(path: Path, found: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    """Raise `ArtifactError` if a file holds other tensors, by name, than it must."""
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            must = f"must hold {name} of shape {wanted.get(name, 'none')}"
            cure = "The file does not belong to this configuration."
            raise ArtifactError.at(str(path), must, found.get(name, "none"), cure)


def _damaged(path: Path, what: str) -> ArtifactError:
    cure = "Copy or train the model again."
    return ArtifactError.at(str(path), "must be a whole safetensors file", what, cure)
