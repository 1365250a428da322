"""The files of a model, and the ways from a path or URL to them and back.

`MODEL_FILES` is the only list of these files: saving, loading, uploading, downloading and unpacking
go by it. A new kind of file is one more row.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from object2vec.errors import ArtifactError, StorageError
from object2vec.fields import saved
from object2vec.files.archive import MAX_BYTES, unpacked
from object2vec.files.remote import (
    PathLike,
    check_writable_url,
    fetch,
    is_url,
    join,
    names_in,
    upload,
)
from object2vec.files.sources import list_sources
from object2vec.files.tensors import is_written_here
from object2vec.files.whole import (
    TEMPORARY_PREFIX,
    check_free,
    check_writable,
    storing,
    whole_folder,
)

FORMAT = "object2vec"  # what the configuration of a model says that it is

_MAX_CONFIG_BYTES = 1 << 24


@dataclass(frozen=True)
class ModelFile:
    """A file that a model has or may have.

    Parameters
    ----------
    name : str
    is_required : bool, default False
    marks_whole : bool, default False
        Written last and removed first: a folder without it is no model.

    Notes
    -----
    Behind a URL the files are written in the order of the table and removed in the other one, so
    that what is left of either by a failure has the first one, the weights, which say whose it is.
    """

    name: str
    is_required: bool = False
    marks_whole: bool = False


CONFIG, WEIGHTS, METRICS, CARD = "config.json", "model.safetensors", "metrics.jsonl", "README.md"
VOCABULARIES = ("vocab0.json", "vocab1.json")  # by side

MODEL_FILES = (
    ModelFile(WEIGHTS, is_required=True),
    *map(ModelFile, VOCABULARIES),
    ModelFile(saved.SCHEMA),
    ModelFile(saved.VOCABULARY_FILE),
    ModelFile(METRICS),
    ModelFile(CARD),
    ModelFile(CONFIG, is_required=True, marks_whole=True),
)
NAMES = tuple(file.name for file in MODEL_FILES)
(MARK,) = (file.name for file in MODEL_FILES if file.marks_whole)


@contextlib.contextmanager
def open_model(location: PathLike, *, max_bytes: int = MAX_BYTES) -> Iterator[Path]:
    """Give the folder of a model on this machine while the block runs.

    Parameters
    ----------
    location : path or URL
        Of a model folder, or of a tar archive of one (``model.tar.gz``). Of a folder behind a URL
        the files of a model are downloaded, once, and of an archive they are unpacked, all into a
        temporary folder.
    max_bytes : int
        What the files of an archive may hold together.

    Raises
    ------
    ArtifactError
        If there is no model, or the archive is damaged.
    MissingExtraError
        If no installed package can open the URL.
    """
    with contextlib.ExitStack() as stack:
        path = Path(location)
        if is_url(location):
            temporary = tempfile.TemporaryDirectory(prefix="object2vec-")
            path = fetch(os.fspath(location), Path(stack.enter_context(temporary)), NAMES)
        if path.is_file():
            name = os.fspath(location)
            path = stack.enter_context(unpacked(path, MARK, name=name, max_bytes=max_bytes))
        if not path.is_dir() or (is_url(location) and not (path / MARK).is_file()):
            got = f"no {MARK} there" if path.is_dir() else "nothing"
            cure = "Name the folder that `object2vec train --out` wrote."
            raise ArtifactError.at(os.fspath(location), "must be a model folder", got, cure)
        yield path


def check_target(location: PathLike, *, replace: bool = False) -> None:
    """Make sure, by trying, that a model can be saved to a path or URL.

    Parameters
    ----------
    location : path or URL
    replace : bool, default False
        Whether a model that is there may be replaced; nothing else ever is.

    Raises
    ------
    StorageError
        If something is there that must stay, or nothing can be written there.
    """
    _check_free(location, replace=replace)
    if is_url(location):
        check_writable_url(os.fspath(location), f"{TEMPORARY_PREFIX}test")
    else:
        check_writable(Path(location))


@contextlib.contextmanager
def new_model(location: PathLike, *, replace: bool = False) -> Iterator[Path]:
    """Give a folder whose files become the model at `location` when the block ends without error.

    Raises
    ------
    StorageError
        If something is there that must stay, or the model cannot be written.

    Notes
    -----
    An object store has no folders that could be renamed: there the file that marks a model is
    removed first and uploaded last.
    """
    if not is_url(location):
        with whole_folder(Path(location), may_replace=_check_ours if replace else None) as folder:
            yield folder
        return
    _check_free(location, replace=replace)
    with tempfile.TemporaryDirectory(prefix="object2vec-") as temporary:
        with whole_folder(Path(temporary) / "model") as folder:
            yield folder
        upload(Path(temporary) / "model", os.fspath(location), NAMES)


def _check_free(location: PathLike, *, replace: bool) -> None:
    """Raise `StorageError` if something is there that must stay."""
    if not is_url(location):
        with storing(location):
            check_free(Path(location), _check_ours if replace else None)
    elif (names := names_in(location)) and (replace or MARK not in names):
        _check_ours(location)  # without the mark it is what an upload that failed has left
    elif names:
        cure = "Choose another URL or allow overwriting (--overwrite)."
        raise StorageError.at(os.fspath(location), "must not exist yet", "a model", cure)


def _check_ours(location: PathLike) -> None:
    """Raise `StorageError` unless a folder is empty, or a model of ours with nothing else in it."""
    names = {name for name in names_in(location) if not name.startswith(TEMPORARY_PREFIX)}
    got: object = sorted(names - set(NAMES))
    if not got and names and not _is_ours(location, names):
        got = "files of another program"
    if got:
        must = "must hold an object2vec model and nothing else to be replaced"
        cure = "Choose another path, or move what is there away."
        raise StorageError.at(os.fspath(location), must, got, cure)


def _is_ours(location: PathLike, names: Container[str]) -> bool:
    """Return whether the configuration or, without a whole one, the weights say who wrote them."""
    if CONFIG in names:
        with list_sources(join(location, CONFIG))[0].open() as stream:
            with contextlib.suppress(ValueError, RecursionError, AttributeError):
                if json.loads(stream.read(_MAX_CONFIG_BYTES)).get("format") == FORMAT:
                    return True
    if WEIGHTS in names:
        with list_sources(join(location, WEIGHTS))[0].open() as stream:
            return is_written_here(stream)
    return False
