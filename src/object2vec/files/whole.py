"""Files that appear whole or not at all.

A folder is written beside its place under a temporary name, every file and the folder itself are
flushed to the disk, and one rename puts it there. Whatever happens before the rename, the old state
stays; a rename alone is not enough, since file systems may reorder it before the data (Pillai et
al. 2014, "All file systems are not created equal").
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from object2vec.errors import StorageError, problem

_AHEAD_BYTES = 64 << 20  # of a growing file that is set aside at once
_KEEP_SIZE = 1  # a flag of fallocate(2)
TEMPORARY_PREFIX = ".incomplete-"


@contextlib.contextmanager
def whole_folder(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a folder to write to that becomes `target` when the block ends without an error.

    Parameters
    ----------
    target : Path
        Where the folder shall stand.
    replace : bool, default False
        Whether a folder that stands there may be replaced.

    Raises
    ------
    StorageError
        If the disk is full, the place is not writable, or something stands there already.
    """
    work = target.parent / f"{TEMPORARY_PREFIX}{target.name}-{uuid.uuid4().hex[:8]}"
    try:
        work.mkdir(parents=True)
        yield work
        for path in [*sorted(work.rglob("*")), work]:
            flush(path)
        _put(work, target, replace)
    except OSError as err:
        if isinstance(err, StorageError):
            raise
        raise StorageError(storage_problem(target, err)) from err
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """Give a file to write to that replaces `target` when the block ends without an error.

    Raises
    ------
    StorageError
        If the disk is full or the place is not writable.
    """
    work = target.with_name(f"{TEMPORARY_PREFIX}{target.name}-{uuid.uuid4().hex[:8]}")
    try:
        with work.open("w+b") as stream:
            yield stream
        flush(work)
        os.replace(work, target)
        flush(target.parent)
    except OSError as err:
        if isinstance(err, StorageError):
            raise
        raise StorageError(storage_problem(target, err)) from err
    finally:
        with contextlib.suppress(OSError):
            work.unlink(missing_ok=True)


@contextlib.contextmanager
def space_ahead(stream: BinaryIO) -> Iterator[Callable[[int], bool]]:
    """Give a function that has the system set space aside for a file up to a position.

    It returns whether it had to set more aside: a good moment to flush what is there. Linux finds
    room for a large file page by page while it is written, which can take longer than to compute
    what is in it (benchmarks/LOG.md). The file becomes no longer by this, and what was not used is
    given back at the end. Where the system or the file system has no such call nothing happens;
    whether there is space at all is for the write to tell.
    """
    allocate = _fallocate()
    end = 0

    def reserve(position: int) -> bool:
        nonlocal allocate, end
        before = end
        while allocate is not None and end < position:
            if allocate(stream.fileno(), _KEEP_SIZE, end, _AHEAD_BYTES) == 0:
                end += _AHEAD_BYTES
            else:
                allocate = None
        return end > before

    yield reserve
    if end:
        stream.truncate(stream.seek(0, os.SEEK_END))


def _fallocate() -> Any:
    """Return the C library's fallocate(2), or None where there is none."""
    if sys.platform != "linux":
        return None
    call = getattr(ctypes.CDLL(None), "fallocate", None)
    if call is not None:
        call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return call


def check_free(target: Path, *, replace: bool = False) -> None:
    """Refuse a place where something stands that may not be replaced.

    Raises
    ------
    StorageError
        If so.
    """
    if target.exists() and not replace:
        raise StorageError.at(
            str(target),
            "must not exist yet",
            "a file or folder",
            "Choose another place or allow overwriting (--overwrite).",
        )


def _put(work: Path, target: Path, replace: bool) -> None:
    """Rename `work` to `target`; if that fails or cannot be flushed, all is as it was before."""
    check_free(target, replace=replace)
    aside = work.with_name(work.name + "-old")
    with contextlib.ExitStack() as undo:
        if target.exists():
            os.rename(target, aside)
            undo.callback(os.rename, aside, target)
        os.rename(work, target)
        undo.callback(os.rename, target, work)
        flush(target.parent)
        undo.pop_all()
    shutil.rmtree(aside, ignore_errors=True)


def storage_problem(target: Path, err: OSError) -> str:
    """Return the message for a failed write to `target`."""
    return problem(
        str(target),
        "must be writable, with space left",
        err.strerror or str(err),
        "Free space or choose another place; what stood there before is unchanged.",
    )


def flush(path: Path) -> None:
    """Flush a file or folder to the disk; folders only where the system can (not on Windows)."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
