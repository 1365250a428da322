"""What a user names, as sources of bytes: files, folders, standard input and URLs."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from object2vec.errors import DataError
from object2vec.files.remote import PathLike, is_url, list_objects, open_url

_STDIN = "-"
_LISTED = 5

_log = logging.getLogger("object2vec.reading")


@dataclass(frozen=True)
class Source:
    """One stream of bytes.

    Parameters
    ----------
    name : str
        What messages call it: the path or URL as the user wrote it, or ``<stdin>``.
    open : callable
        Gives the raw stream as a context manager.
    path : Path or None
        The regular file behind it, which can be read again; None for a pipe or a remote object.
    """

    name: str
    open: Callable[[], AbstractContextManager[BinaryIO]] = field(repr=False, compare=False)
    path: Path | None = None


def list_sources(named: PathLike | Sequence[PathLike]) -> list[Source]:
    """Return the streams that `named` stands for, in a fixed order.

    Parameters
    ----------
    named : path, URL, "-" for standard input, or a sequence of these
        A folder stands for every regular file beneath it, sorted, without hidden ones. A URL is
        whatever fsspec can open (``s3://bucket/prefix``).

    Raises
    ------
    DataError
        If something does not exist or a folder has no file.
    MissingExtraError
        If no installed package can open a URL.
    """
    if isinstance(named, (str, os.PathLike)):
        return _one(os.fspath(named))
    if not named:
        cure = "Name a file, a folder or - for standard input."
        raise DataError.at("input", "must name at least one file", named, cure)
    return [source for each in named for source in _one(os.fspath(each))]


def are_paths(given: Any) -> bool:
    """Return whether `given` is a list of paths; an empty one is, as it holds no record either."""
    return isinstance(given, (list, tuple)) and all(
        isinstance(each, (str, os.PathLike)) for each in given
    )


def names_of(sources: Sequence[Source]) -> str:
    """Return what messages call some sources together."""
    return ", ".join(source.name for source in sources[:3]) + (", ..." if sources[3:] else "")


def read_raw(source: Source) -> Iterator[bytes]:
    """Yield the bytes of `source` as they are.

    Raises
    ------
    DataError
        If the source cannot be read.
    """
    try:
        with source.open() as raw:
            while part := raw.read(1 << 20):
                yield part
    except OSError as err:
        raise unreadable(source.name, err) from err


def unreadable(name: str, err: Exception) -> DataError:
    """Return the error for a source that cannot be read."""
    got = (err.strerror if isinstance(err, OSError) else None) or str(err) or type(err).__name__
    if isinstance(err, EOFError):
        got = "Truncated archive"
    cure = "Check the name, your permissions and whether the file is whole."
    return DataError.at(name, "must be readable", got, cure)


def _one(name: str) -> list[Source]:
    """Return the streams behind one name."""
    if name == _STDIN:
        return [Source("<stdin>", lambda: contextlib.nullcontext(sys.stdin.buffer))]
    if is_url(name):
        return _remote(name)
    path = Path(name)
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        cure = "Check the name and the folder you are in."
        raise DataError.at(name, "must be a file or folder", "nothing there", cure)
    return [_local(path)]


def _local(path: Path) -> Source:
    return Source(str(path), lambda: path.open("rb"), path if path.is_file() else None)


def _folder(folder: Path) -> list[Source]:
    """Return the files beneath `folder`, as SageMaker reads a channel, and log what is left out."""
    files, left_out, seen = [], [], set[str]()
    for at, folders, names in os.walk(folder, onerror=_raise_unreadable, followlinks=True):
        here = Path(at)
        hidden = [name for name in (*folders, *names) if name.startswith(".")]
        folders[:] = [name for name in folders if name not in hidden]
        special = [name for name in names if name not in hidden and _is_special(here / name)]
        if (real := os.path.realpath(at)) in seen:  # a link to a folder around it
            folders[:], names, hidden, special = [], [], [], []
        seen.add(real)
        left_out += [here / name for name in (*hidden, *special)]
        files += [here / name for name in names if name not in (*hidden, *special)]
    if left_out:
        shown = ", ".join(str(path.relative_to(folder)) for path in sorted(left_out)[:_LISTED])
        more = ", ..." if left_out[_LISTED:] else ""
        text = "%s: %d hidden or special files are not read: %s%s"
        _log.info(text, folder, len(left_out), shown, more)
    if not files:
        cure = "Put the records there or name another folder."
        raise DataError.at(str(folder), "must hold at least one file", "none", cure)
    return [_local(path) for path in sorted(files)]


def _raise_unreadable(err: OSError) -> None:
    raise unreadable(str(err.filename), err) from err


def _is_special(path: Path) -> bool:
    """Say whether a path is a pipe, a socket or a device; a broken link is a file that is not."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _remote(url: str) -> list[Source]:
    """Return the objects behind a URL."""
    system, root = open_url(url)
    try:
        found = list_objects(system, root)
    except (OSError, ValueError) as err:
        raise unreadable(url, err) from err
    if not found:
        cure = "Put the records there or name another prefix."
        raise DataError.at(url, "must hold at least one object", "none", cure)
    if found == [root]:
        return [Source(url, _opener(system, root))]
    return [Source(system.unstrip_protocol(path), _opener(system, path)) for path in found]


def _opener(system: Any, file: str) -> Callable[[], AbstractContextManager[BinaryIO]]:
    return lambda: cast(AbstractContextManager[BinaryIO], system.open(file, "rb"))
