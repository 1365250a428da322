"""Parsed records on the disk: every input is read once, then its columns are memory-mapped.

A cached set is a folder named by a hash of what it was made from. It is written under another name
and renamed, so it is there whole or not at all, and flushed while its records are used already; it
is never changed, so any number of processes may use it.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from object2vec.errors import DataError, StorageError
from object2vec.files.sources import Source, names_of, read_raw, unreadable
from object2vec.files.user_cache import user_cache
from object2vec.files.whole import (
    TEMPORARY_PREFIX,
    remove,
    remove_unless_locked,
    storage_problem,
    storing,
    temporary_file,
    whole_folder,
)
from object2vec.objects.schema import RECORDS, Schema
from object2vec.reading.cached_set import CACHE_VERSION, Cached, open_cached, writing
from object2vec.reading.flushing import boot_id, flush_later, has_survived, note_boot
from object2vec.reading.jsonl import read_columns

_FOLDER_NAME = "[0-9a-f]{32}"
_TELLS_OF_CHANGES = os.name == "posix"  # st_ctime; elsewhere that is the time of creation
_TICK_S, _COARSE_TICK_S = 0.02, 2.0  # of the clocks of file systems; FAT and the like know no less
_STALE_S = 24 * 3600

_log = logging.getLogger("object2vec.reading")

_T = TypeVar("_T")


def open_or_build(
    sources: Sequence[Source],
    *,
    schema: Schema = RECORDS,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Cached:
    """Return the records of `sources`, from the cache if they were read before.

    Parameters
    ----------
    sources : sequence of Source
    schema : Schema
        All its columns must be required.
    cache_dir : path, optional
        Where cached sets are kept; ``$OBJECT2VEC_CACHE`` or the user's cache folder by default.

    Raises
    ------
    DataError
        If the records are wrong, there are none, or a file changes while it is read.
    StorageError
        If the disk is full.
    """

    def make(folder: Path, files: Sequence[Source]) -> None:
        _build(folder, files, schema)

    return open_or_make(
        sources,
        schema.identity(),
        lambda folder: open_cached(folder, schema),
        make,
        cache_dir=cache_dir,
    )


def open_or_make(
    sources: Sequence[Source],
    identity: Sequence[Any],
    open_: Callable[[Path], _T | None],
    make: Callable[[Path, Sequence[Source]], None],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
) -> _T:
    """Return what is made of some sources, from the cache if it was made before.

    Parameters
    ----------
    sources : sequence of Source
    identity : sequence of plain values
        What tells it from anything else that is made of the same sources.
    open_ : callable
        Returns what is in a folder, None if that is not there or not whole.
    make : callable
        Makes it of sources that can be read more than once, in a folder that is not there.
    cache_dir : path, optional

    Raises
    ------
    StorageError
        If the disk is full.
    """
    root = _writable_root(cache_dir)
    with contextlib.ExitStack() as spools:
        files = [_identified(source, root, spools) for source in sources]
        identities = [CACHE_VERSION, identity, *(identity for _, identity in files)]
        whole = json.dumps(identities).encode()
        folder = root / hashlib.blake2b(whole, digest_size=16).hexdigest()
        was_there = folder.exists()  # what comes from now on is of another process, and whole
        if has_survived(folder) and (found := open_(folder)):
            flush_later(folder)
            return found
        if was_there:
            _log.info("The cached records in %s are damaged; reading the source again.", folder)
            remove_cached(folder)
            if folder.exists():
                must = "must be removable, since the cached records in it are damaged"
                cure = "Remove it, or name another folder for caches by OBJECT2VEC_CACHE."
                raise StorageError.at(str(folder), must, "a folder that stays", cure)
        _sweep(root)
        lost: StorageError | None = None
        try:
            make(folder, [file for file, _ in files])
        except StorageError as err:
            lost = err  # perhaps to another process that has read the same source meanwhile
        if found := open_(folder):
            flush_later(folder)
            return found
        raise lost or StorageError(storage_problem(folder, OSError("it vanished again")))


def _build(folder: Path, sources: Sequence[Source], schema: Schema) -> None:
    """Read the sources into a new cached set."""
    with new_set(folder, sources) as work, writing(work, schema) as writer:
        for chunk in read_columns(sources, schema):
            writer.append(chunk)
        if not writer.rows:
            cure = "Check that this is the right input."
            raise DataError.at(names_of(sources), "must hold at least one record", "none", cure)


@contextlib.contextmanager
def new_set(folder: Path, sources: Sequence[Source]) -> Iterator[Path]:
    """Give a folder to write to that becomes `folder`, if no source changes meanwhile.

    Raises
    ------
    DataError
        If a file changes while it is read.
    StorageError
        If the disk is full.
    """
    start = time.perf_counter()
    paths = [source.path for source in sources if source.path is not None]
    stamps = [_stamp(path) for path in paths]
    _log.info("Reading %s into %s", names_of(sources), folder)
    with whole_folder(folder, is_flushed=not boot_id()) as work:
        yield work
        note_boot(work)
        for path, stamp in zip(paths, stamps, strict=True):
            if _stamp(path) != stamp:
                must, cure = "must not change while it is read", "Wait until it is written."
                raise DataError.at(str(path), must, "a new size or time", cure)
    _log.info("Read it in %.1f s", time.perf_counter() - start)


def _identified(
    source: Source, root: Path, spools: contextlib.ExitStack
) -> tuple[Source, list[object]]:
    """Return a source that can be read again, and what tells its content from any other.

    Of a file these are its `_stamp`, so that the cost is the same for any size; what can be read
    only once is copied to a file first.
    """
    if source.path is not None:
        return source, [source.name, *_stamp(source.path)]
    content = hashlib.blake2b(digest_size=16)
    with storing(root):
        spool = spools.enter_context(temporary_file(root))
        with spool.open("wb") as copy:
            for part in read_raw(source):
                content.update(part)
                copy.write(part)
    copied = Source(source.name, lambda: spool.open("rb"), spool)
    return copied, [source.name, content.hexdigest()]


def _stamp(path: Path) -> list[int | str]:
    """Return what changes whenever the content of a file does.

    Whoever writes to a file may set its time back, but not the time of that: it is kept by the
    system (st_ctime). It moves in ticks, so a file that was changed within the last one is waited
    for: what happens to it from now on has another time. Windows keeps no such time; there the
    whole content is read.
    """
    try:
        found = path.stat()
        if _TELLS_OF_CHANGES:
            tick = _TICK_S if found.st_ctime_ns % 1_000_000_000 else _COARSE_TICK_S
            age = time.time() - found.st_ctime_ns / 1e9
            if age < tick:
                time.sleep(min(tick, tick - age))
                found = path.stat()
            return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
        with path.open("rb") as file:
            content = hashlib.blake2b(digest_size=16)
            while part := file.read(1 << 20):
                content.update(part)
    except OSError as err:
        raise unreadable(str(path), err) from err
    return [found.st_size, found.st_mtime_ns, content.hexdigest()]


def _writable_root(cache_dir: str | os.PathLike[str] | None) -> Path:
    """Return the folder of all cached sets, a temporary one if the right one is not writable."""
    root = Path(cache_dir) if cache_dir else cache_root()
    reason = "this user has no home: set OBJECT2VEC_CACHE"
    try:
        if root is not None:
            root.mkdir(parents=True, exist_ok=True)
            if os.access(root, os.W_OK | os.X_OK):
                return root
            reason = "no permission"
    except OSError as err:
        reason = err.strerror or str(err)
    temporary = _temporary_root()
    _log.warning(
        "%s cannot hold cached records (%s); they go to %s and are gone when this process ends.",
        root or "The user's cache",
        reason,
        temporary,
    )
    return temporary


def cache_root() -> Path | None:
    """Return the folder of all cached sets: ``$OBJECT2VEC_CACHE`` or the user's cache, if any."""
    given = os.environ.get("OBJECT2VEC_CACHE")
    return Path(given) if given else user_cache()


def cached_folders(root: Path) -> list[Path]:
    """Return the cached sets in a folder, and what processes write there or have left there."""
    if not root.is_dir():
        return []
    names = (_FOLDER_NAME, re.escape(TEMPORARY_PREFIX) + ".*")
    return sorted(p for p in root.iterdir() if any(re.fullmatch(n, p.name) for n in names))


def remove_cached(path: Path) -> None:
    """Remove a set of records, or what is left of one, as far as the system lets it be removed.

    It loses its name first: whoever flushes it meanwhile finds nothing there to add to. What
    another process still writes stays.
    """
    if path.name.startswith(TEMPORARY_PREFIX):
        remove_unless_locked(path)
        return
    aside = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):
        path = path.rename(aside)
    remove(path)


@functools.cache
def _temporary_root() -> Path:
    root = Path(tempfile.mkdtemp(prefix="object2vec-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    return root


def temporary_folder() -> Path:
    """Return where a folder can be made that is gone when this process ends."""
    return _temporary_root() / uuid.uuid4().hex


def _sweep(root: Path) -> None:
    """Remove what processes that were killed a day ago have left."""
    for left in root.glob(f"{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime >= _STALE_S:
                remove_unless_locked(left)
