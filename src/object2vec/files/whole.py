"""Files and folders that appear whole or not at all.

What is written stands beside its target under a temporary name, is flushed to the disk with all
that is in it, and takes the target's name by one rename; what stood there goes the other way by the
same rename. Whatever happens before, the old state stays; a rename alone is not enough, since file
systems may reorder it before the data (Pillai et al. 2014, "All file systems are not created
equal").

A process holds a lock on what it writes. What a killed one has left is therefore known, and removed
by the next one that writes to the same target.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import itertools
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from object2vec.errors import StorageError, problem

TEMPORARY_PREFIX = ".incomplete-"

_AHEAD_BYTES = 64 << 20  # of a growing file that is set aside at once
_FLUSHED_AT_ONCE = 8  # files
_KEEP_SIZE = 1  # a flag of fallocate(2)
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of renameat2(2)
_UNKNOWN_CALL = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)  # of a file system that cannot do it
_WAIT_S, _TRIED_EACH_S = 2.0, 0.01  # for a lock
_KEPT_CHARACTERS = 50  # of a target's name in a temporary one: at most 200 bytes of the 255 allowed


@contextlib.contextmanager
def whole_folder(
    target: Path,
    *,
    may_replace: Callable[[Path], object] | None = None,
    is_flushed: bool = True,
) -> Iterator[Path]:
    """Give a folder to write to that becomes `target` when the block ends without an error.

    Parameters
    ----------
    target : Path
        Where the folder shall stand; of a link, where it leads to.
    may_replace : callable, optional
        Called with what stands at `target`; raises `StorageError` if that must stay. Without it
        everything must stay.
    is_flushed : bool, default True
        Whether it is flushed first, as what cannot be made again has to be.

    Raises
    ------
    StorageError
        If the disk is full, the target is not writable, or something must stay there.

    Notes
    -----
    The folder, and each file that has the name of one before it, keep the mode that these had.
    """
    with storing(target):
        check_free(target, may_replace)
        end = _end_of_links(target)
        make_folder(end.parent)
        with _temporary(end, Path.mkdir) as work:
            yield work
            written = [*sorted(work.rglob("*")), work]
            if is_flushed:
                with ThreadPoolExecutor(_FLUSHED_AT_ONCE) as pool:  # many are flushed as one
                    list(pool.map(flush, written))
            for path in written:
                _keep_mode(path, end / path.relative_to(work))
            check_free(target, may_replace)
            _put(work, end, is_flushed)


@contextlib.contextmanager
def whole_file(target: Path) -> Iterator[BinaryIO]:
    """Give a file to write to that replaces `target` when the block ends without an error.

    The file keeps the mode of one that it replaces; of a link, the file it leads to is replaced.

    Raises
    ------
    StorageError
        If the disk is full, or the target is not writable or no file.
    """
    with storing(target):
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        end = _end_of_links(target)
        with _temporary(end, functools.partial(Path.touch, exist_ok=False)) as work:
            with work.open("r+b") as stream:
                _keep_mode(work, end)
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(work, end)
            flush(end.parent)


def check_writable(target: Path) -> None:
    """Make sure that a folder can be put at `target`, by making one beside it and removing it.

    Raises
    ------
    StorageError
        If not: a folder on the way is missing and cannot be made, is a file or is not writable, or
        the disk is full.
    """
    with storing(target):
        end = _end_of_links(target)
        if os.path.ismount(end):
            raise OSError(errno.EBUSY, "the root of a mounted disk, which cannot be replaced")
        if end.is_dir() and not os.access(end, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        parent = next(path for path in end.parents if os.path.lexists(path))
        with _temporary(parent / end.name, Path.mkdir) as work:
            (work / "test").write_bytes(bytes(1 << 12))
            flush(work / "test")
            shutil.rmtree(work)


def check_free(target: Path, may_replace: Callable[[Path], object] | None = None) -> None:
    """Make sure that nothing stands at `target` that must stay.

    Raises
    ------
    StorageError
        If something does.
    """
    if target.exists():
        if may_replace is None:
            got = "a folder" if target.is_dir() else "a file"
            cure = "Choose another path or allow overwriting (--overwrite)."
            raise StorageError.at(str(target), "must not exist yet", got, cure)
        may_replace(target)


@contextlib.contextmanager
def temporary_file(folder: Path) -> Iterator[Path]:
    """Give a new file in a folder, removed when the block ends."""
    with _temporary(folder / "file", functools.partial(Path.touch, exist_ok=False)) as path:
        yield path
        remove(path)


def remove(path: Path) -> None:
    """Remove a file or folder if it is there and can be."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def remove_unless_locked(path: Path) -> None:
    """Remove what has a temporary name, unless a process holds its lock and so still writes it.

    Where nothing can be locked it is removed, too: `remove_abandoned` is more careful there.
    """
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        lock = _lock(path)
        remove(path)
        _unlock(lock)


def remove_abandoned(folder: Path) -> None:
    """Remove all files beneath a folder that killed processes had not written whole."""
    for work in folder.rglob(f"{TEMPORARY_PREFIX}*"):
        if (lock := _lock_if_free(work)) is not None:
            remove(work)
            _unlock(lock)


@contextlib.contextmanager
def storing(target: os.PathLike[str] | str) -> Iterator[None]:
    """Raise an error of the system in the block as the `StorageError` of a write to `target`.

    That nobody reads a pipe any more is left as it is.
    """
    try:
        yield
    except (StorageError, BrokenPipeError):
        raise
    except OSError as err:
        raise StorageError(storage_problem(target, err)) from err


def storage_problem(target: os.PathLike[str] | str, err: OSError) -> str:
    """Return the message for a failed write to `target`."""
    must = "must be writable, with space left"
    cure = "Free space or choose another path; what stood there before is unchanged."
    return problem(os.fspath(target), must, err.strerror or str(err), cure)


def make_folder(path: Path) -> None:
    """Make a folder, with those above it, that survives a crash; nothing if it is there."""
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        flush(folder.parent)


def flush(path: Path) -> None:
    """Flush a file or folder to the disk; folders only where the system can (not on Windows)."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def space_ahead(stream: BinaryIO) -> Iterator[Callable[[int], bool]]:
    """Give a function that has the system set space aside for a file up to an offset.

    It returns whether it had to set more aside: a good moment to flush what is there. Linux finds
    room for a large file page by page while it is written, which can take longer than to compute
    what is in it (benchmarks/LOG.md). The file becomes no longer by this, and what was not used is
    given back at the end. Where the system or the file system has no such call nothing happens;
    whether there is space at all shows when it is written.
    """
    allocate = _system_call("fallocate", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    end = 0

    def reserve(offset: int) -> bool:
        nonlocal allocate, end
        before = end
        while allocate is not None and end < offset:
            if allocate(stream.fileno(), _KEEP_SIZE, end, _AHEAD_BYTES) == 0:
                end += _AHEAD_BYTES
            else:
                allocate = None
        return end > before

    yield reserve
    if end:
        stream.truncate(stream.seek(0, os.SEEK_END))


def _system_call(name: str, *types: Any) -> Any:
    """Return a call of Linux's C library, or None where there is none."""
    if sys.platform != "linux":
        return None
    call = getattr(ctypes.CDLL(None, use_errno=True), name, None)
    if call is not None:
        call.argtypes = types
    return call


def _end_of_links(target: Path) -> Path:
    """Return where a link leads to; `target` itself if it is no link and has a name of its own."""
    if target.name in ("", "..") or target.is_symlink():
        return Path(os.path.realpath(target))
    return target


@contextlib.contextmanager
def _temporary(target: Path, make: Callable[[Path], object]) -> Iterator[Path]:
    """Give what `make` makes beside `target`, locked while the block runs, removed if it fails."""
    is_made, lock = False, None
    try:
        for number in itertools.count():
            name = f"{TEMPORARY_PREFIX}{target.name[:_KEPT_CHARACTERS]}-{number}"
            work = target.with_name(name)
            with contextlib.suppress(FileExistsError):
                _sweep(work, target)
                make(work)
                is_made = True
                try:
                    lock = _lock(work)
                    break
                except (BlockingIOError, FileNotFoundError):
                    is_made = False  # another process took it for one that was left, and removes it
        yield work
    except BaseException:
        # A signal may come just before it is noted as made; another process would hold its lock.
        if is_made or (lock := _lock_if_free(work)) is not None:
            remove(work)
        raise
    finally:
        _unlock(lock)


def _sweep(work: Path, target: Path) -> None:
    """Remove what a killed process has left under this name; nobody holds the lock on it."""
    aside = _aside(work)
    if os.path.lexists(work):
        if (lock := _lock_if_free(work)) is None:
            return
        if aside.exists() and not target.exists():  # killed between the two renames of `_put`
            os.rename(aside, target)
        remove(work)
        _unlock(lock)
    if target.exists():
        remove(aside)


def _lock(path: Path) -> int | None:
    """Lock a file or folder; None where that cannot be done.

    Raises
    ------
    BlockingIOError
        If another process holds the lock.
    FileNotFoundError
        If it is not there, or something else is by the time that the lock is held.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    with contextlib.ExitStack() as undo:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            undo.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, FileNotFoundError):
            raise
        except OSError:
            return None
        if not os.path.samestat(os.fstat(descriptor), os.lstat(path)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        undo.pop_all()
    return descriptor


def _lock_if_free(path: Path) -> int | None:
    """Lock a file or folder; None if it is not there, another process holds it, or nobody can."""
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        return _lock(path)
    return None


def _lock_soon(path: Path) -> int | None:
    """Lock a folder, waiting a while for another process that has just put it there."""
    for _ in range(round(_WAIT_S / _TRIED_EACH_S)):
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            return _lock(path)
        if not path.exists():
            break
        time.sleep(_TRIED_EACH_S)
    return None


def _unlock(lock: int | None) -> None:
    if lock is not None:
        os.close(lock)


def _keep_mode(path: Path, before: Path) -> None:
    """Give a file or folder the mode of the one that it is to replace."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.chmod(stat.S_IMODE(before.stat().st_mode))


def _put(work: Path, target: Path, is_flushed: bool) -> None:
    """Rename `work` to `target` and remove what stood there; all is undone if that fails."""
    lock = _lock_soon(target)  # nobody shall take the old folder for one of a killed process
    try:
        with contextlib.ExitStack() as undo:
            if target.exists() and _exchange(work, target):
                old = work
                undo.callback(_exchange, work, target)
            else:
                old = _aside(work)
                if target.exists():
                    os.rename(target, old)
                    undo.callback(os.rename, old, target)
                os.rename(work, target)
                undo.callback(os.rename, target, work)
            if is_flushed:
                flush(target.parent)
            undo.pop_all()
        remove(old)
    finally:
        _unlock(lock)


def _exchange(work: Path, target: Path) -> bool:
    """Exchange the names of two folders at once; return False where that cannot be done."""
    exchange = _system_call(
        "renameat2", ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
    )
    if exchange is None:
        return False
    if exchange(_HERE, os.fsencode(work), _HERE, os.fsencode(target), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN_CALL:
        return False
    raise OSError(number, os.strerror(number))


def _aside(work: Path) -> Path:
    """Return where the old folder waits for the new one if names cannot be exchanged."""
    return work.with_name(f"{work.name}-old")
