"""Folders and files behind URLs: whatever fsspec can open, ``s3://bucket/prefix`` among them.

fsspec is imported when a URL is met and not before, as it is slow to load.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from object2vec.errors import (
    ArtifactError,
    DataError,
    MissingExtraError,
    Object2VecError,
    StorageError,
    problem,
)
from object2vec.files.whole import storing

PathLike = str | os.PathLike[str]

_WITH_FOLDERS = {"file", "local", "sftp", "ssh", "ftp", "smb", "hdfs", "webhdfs", "webdav"}
_OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "az", "memory"}


def is_url(name: PathLike) -> bool:
    """Return whether `name` is a URL and not a local path.

    Examples
    --------
    >>> is_url("s3://bucket/model"), is_url("model")
    (True, False)
    """
    return "://" in os.fspath(name)


def join(folder: PathLike, name: str) -> str:
    """Return the path or URL of a file in a folder.

    Examples
    --------
    >>> join("s3://bucket/aux/", "vocab.json")
    's3://bucket/aux/vocab.json'
    """
    if is_url(folder):
        return f"{os.fspath(folder).rstrip('/')}/{name}"
    return str(Path(folder) / name)


def exists(location: PathLike) -> bool:
    """Return whether something is at a path, even a broken link, or behind a URL.

    Raises
    ------
    DataError
        If that cannot be found out.
    """
    if not is_url(location):
        return os.path.lexists(location)
    url = os.fspath(location)
    with _opened(url, DataError) as (system, root):
        return bool(system.exists(root))


def read_bytes(location: PathLike) -> bytes:
    """Return the content of a file or object.

    Raises
    ------
    DataError
        If an object cannot be read; of a file, the system's own error.
    """
    if not is_url(location):
        return Path(location).read_bytes()
    url = os.fspath(location)
    with _opened(url, DataError) as (system, root):
        content: bytes = system.cat_file(root)
        return content


def fetch(url: str, folder: Path, names: Iterable[str]) -> Path:
    """Copy an object, or of a folder the files of some names, into a local folder.

    Returns
    -------
    Path
        Of the object's copy; `folder` if the URL names no object.

    Raises
    ------
    ArtifactError
        If the URL cannot be reached.
    MissingExtraError
        If no installed package can open it.
    """
    with _opened(url, ArtifactError) as (system, root):
        if system.isfile(root):
            system.get_file(root, str(folder / "object"))
            return folder / "object"
        for name in names:
            if system.exists(f"{root}/{name}"):
                system.get_file(f"{root}/{name}", str(folder / name))
    return folder


def upload(folder: Path, url: str, names: Sequence[str]) -> None:
    """Replace files beneath a URL by those of a local folder.

    Parameters
    ----------
    folder : Path
    url : str
    names : sequence of str
        Every file that either may have. They are removed from the last to the first and copied from
        the first to the last, so that the last one says that the others are whole.

    Raises
    ------
    StorageError
        If that fails.
    """
    assert {path.name for path in folder.iterdir()} <= set(names)
    with _opened(url, StorageError) as (system, root):
        _make_folder(system, root)
        for name in reversed(names):
            if system.exists(f"{root}/{name}"):
                system.rm_file(f"{root}/{name}")
        for name in names:
            if (folder / name).exists():
                system.put_file(str(folder / name), f"{root}/{name}")


def check_writable_url(url: str, name: str) -> None:
    """Make sure that files can be written beneath a URL, by writing one and removing it.

    Parameters
    ----------
    url : str
    name : str
        Of the file. It stays, empty, where one may write and not remove.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    with _opened(url, StorageError) as (system, root):
        _make_folder(system, root)
        system.pipe_file(f"{root}/{name}", b"")
    with contextlib.suppress(Exception):
        system.rm_file(f"{root}/{name}")


def names_in(location: PathLike) -> list[str]:
    """Return the names of what is in a folder or beneath a URL, of folders with a slash at the end.

    A file is taken for a folder with this file in it, and what is not there for an empty one.

    Raises
    ------
    StorageError
        If that cannot be found out.
    """
    if not is_url(location):
        with storing(location):
            return [path.name + "/" * path.is_dir() for path in _entries(Path(location))]
    url = os.fspath(location)
    with _opened(url, StorageError) as (system, root):
        try:
            entries = system.ls(root, detail=True)
        except FileNotFoundError:
            return []
    found = {entry["name"].rstrip("/"): entry["type"] for entry in entries}
    if found.get(root) == "directory":  # an empty object that stands for the folder itself
        del found[root]
    return [path.rpartition("/")[2] + "/" * (kind == "directory") for path, kind in found.items()]


def _entries(path: Path) -> list[Path]:
    """Return what is in a folder; of a file, this file."""
    if path.is_dir():
        return list(path.iterdir())
    return [path] if path.exists() else []


def name_beneath(path: str, root: str) -> str:
    """Return an object's path beneath a prefix; its own name where that is no folder of it.

    Examples
    --------
    >>> name_beneath("b/pre/x/1", "b/pre"), name_beneath("b/pre-1", "b/pre")
    ('x/1', 'pre-1')
    """
    folder = root.rstrip("/") + "/"
    return path.removeprefix(folder) if path.startswith(folder) else PurePosixPath(path).name


def list_objects(system: Any, root: str) -> list[str]:
    """Return an object, or all beneath a prefix, sorted, without hidden ones.

    As SageMaker's prefixes, that of an object store may end within a name: ``s3://bucket/pre/train``
    is ``pre/train-0.jsonl`` and ``pre/train-1.jsonl`` where it is neither an object nor a folder.

    Raises
    ------
    FileNotFoundError
        If nothing is there.
    """
    if not system.isdir(root):
        try:
            system.info(root)
        except FileNotFoundError:
            if _protocols(system).isdisjoint(_OBJECT_STORES):
                raise
            return _beginning_with(system, root)
        return [root]
    beneath = root.rstrip("/") + "/"
    found = [path for path in sorted(system.find(root)) if not path.endswith("/")]
    return [path for path in found if not _is_hidden(path.removeprefix(beneath))]


def _beginning_with(system: Any, root: str) -> list[str]:
    """Return the objects of one folder whose names begin with the last part of a path."""
    parent, _, start = root.rpartition("/")
    try:
        found = system.ls(parent, detail=True) if parent else []
    except FileNotFoundError as err:
        raise FileNotFoundError(root) from err  # what was asked for, not the folder it would be in
    names = sorted(entry["name"] for entry in found if entry["type"] == "file")
    chosen = [name for name in names if name.startswith(root) and not start.startswith(".")]
    if not chosen:
        raise FileNotFoundError(root)
    return chosen


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") and part != ".." for part in path.split("/"))


@contextlib.contextmanager
def write_object(url: str) -> Iterator[BinaryIO]:
    """Give a file whose content becomes one object when the block ends without an error.

    Raises
    ------
    StorageError
        If the upload fails.
    """
    with tempfile.TemporaryFile() as spool:
        yield spool
        spool.seek(0)
        with _opened(url, StorageError) as (system, path):
            _make_folder(system, path.rpartition("/")[0])
            with system.open(path, "wb") as remote:
                shutil.copyfileobj(spool, remote, 1 << 20)


def open_url(url: str) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, and the path in it.

    Raises
    ------
    DataError
        If nobody knows such URLs.
    MissingExtraError
        If a package is missing.
    """
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(url)
    except ImportError as err:
        cure = "Install the package that it names."
        if url.startswith("s3"):
            cure = "Run: pip install 'object2vec[sagemaker]'"
        raise MissingExtraError.at(url, "needs another package", str(err), cure) from err
    except ValueError as err:
        cure = "Use s3://, file:// or another one that fsspec knows."
        raise DataError.at(url, "must be a known kind of URL", str(err), cure) from err
    system.invalidate_cache()  # or what others wrote since the last listing stays unseen
    return system, path.rstrip("/")


def _make_folder(system: Any, path: str) -> None:
    """Make a folder where there are such things; an object store would make a bucket instead."""
    if _protocols(system) & _WITH_FOLDERS:
        system.makedirs(path, exist_ok=True)


def _protocols(system: Any) -> set[str]:
    return {system.protocol} if isinstance(system.protocol, str) else {*system.protocol}


@contextlib.contextmanager
def _opened(url: str, kind: type[Object2VecError]) -> Iterator[tuple[Any, str]]:
    """Give what `open_url` returns; raise whatever it raises in use, each its own kind, as ours."""
    system_and_path = open_url(url)
    try:
        yield system_and_path
    except Object2VecError:
        raise
    except Exception as err:
        got = (err.strerror if isinstance(err, OSError) else None) or str(err)
        if isinstance(err, FileNotFoundError):
            got = "nothing there"
        cure = "Check the URL, your permissions and the network."
        raise kind(problem(url, "must be reachable", got or type(err).__name__, cure)) from err
