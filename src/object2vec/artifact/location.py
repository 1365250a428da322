"""The files of a model, and the ways from a path or URL to them and back.

`MODEL_FILES` is the only list of these files: saving, loading, uploading, downloading and unpacking
go by it. A new kind of file is one more row.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from object2vec.errors import ArtifactError, StorageError
from object2vec.files.archive import MAX_BYTES, unpacked
from object2vec.files.remote import PathLike, exists, fetch, is_url, join, upload
from object2vec.files.whole import check_free, whole_folder


@dataclass(frozen=True)
class ModelFile:
    """A file that a model has or may have.

    Parameters
    ----------
    name : str
    is_required : bool, default False
    marks_whole : bool, default False
        Written last and removed first: a folder without it is no model.
    """

    name: str
    is_required: bool = False
    marks_whole: bool = False


CONFIG, WEIGHTS, METRICS, CARD = "config.json", "model.safetensors", "metrics.jsonl", "README.md"
VOCABULARIES = ("vocab0.json", "vocab1.json")  # by side

MODEL_FILES = (
    ModelFile(WEIGHTS, is_required=True),
    *map(ModelFile, VOCABULARIES),
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
            raise ArtifactError.at(
                os.fspath(location),
                "must be a model folder",
                f"no {MARK} there" if path.is_dir() else "nothing",
                "Name the folder that `object2vec train --out` wrote.",
            )
        yield path


def check_target(location: PathLike, *, replace: bool = False) -> None:
    """Make sure that a model can be saved to a path or URL.

    Raises
    ------
    StorageError
        If something stands there that may not be replaced, or nobody can tell.
    """
    if not is_url(location):
        check_free(Path(location), replace=replace)
    elif not replace and exists(join(location, MARK)):
        raise StorageError.at(
            os.fspath(location),
            "must not exist yet",
            "a model",
            "Choose another place or allow overwriting (--overwrite).",
        )


@contextlib.contextmanager
def new_model(location: PathLike, *, replace: bool = False) -> Iterator[Path]:
    """Give a folder whose files become the model at `location` when the block ends without error.

    Raises
    ------
    StorageError
        If a model is there already and may not be replaced, or it cannot be written.

    Notes
    -----
    An object store has no folders that could be renamed: there the file that marks a model is
    removed first and uploaded last.
    """
    if not is_url(location):
        with whole_folder(Path(location), replace=replace) as folder:
            yield folder
        return
    check_target(location, replace=replace)
    with tempfile.TemporaryDirectory(prefix="object2vec-") as temporary:
        with whole_folder(Path(temporary) / "model") as folder:
            yield folder
        upload(Path(temporary) / "model", os.fspath(location), NAMES, last=MARK)
