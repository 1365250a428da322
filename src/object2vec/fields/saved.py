"""The two files of a schema: what it says as JSON, and its vocabularies as arrays.

The JSON file holds size and hash of the other one, so both belong together or are damaged. Arrays
are mapped, not read: a vocabulary of a million tokens opens in milliseconds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from object2vec.errors import ArtifactError
from object2vec.files.tensors import map_arrays, write_arrays
from object2vec.files.whole import storing

if TYPE_CHECKING:
    from object2vec.fields.base import Arrays

_FORMAT = 1
SCHEMA, VOCABULARY_FILE = "schema.json", "vocabularies.safetensors"

_CURE = "Copy or train the model again."


def write_schema(folder: Path, content: Mapping[str, Any], arrays: Arrays) -> None:
    """Write both files to a folder.

    Parameters
    ----------
    folder : Path
    content : mapping of str to JSON values
    arrays : dict of str to array

    Raises
    ------
    StorageError
        If a file cannot be written.
    """
    write_arrays(folder / VOCABULARY_FILE, arrays)
    file = {"size_bytes": (folder / VOCABULARY_FILE).stat().st_size}
    said = {"format": _FORMAT, **content, "vocabulary_file": {**file, "sha256": _hash(folder)}}
    with storing(folder / SCHEMA):
        text = json.dumps(said, ensure_ascii=False, indent=1, allow_nan=False)
        (folder / SCHEMA).write_text(f"{text}\n", encoding="utf-8")


def read_schema(folder: Path) -> tuple[dict[str, Any], Arrays]:
    """Return what `write_schema` has written.

    Raises
    ------
    ArtifactError
        If a file is missing or damaged, of another format, or they do not belong together.
    """
    path = folder / SCHEMA
    try:
        content = json.loads(path.read_bytes())
        found, file = content["format"], content["vocabulary_file"]
        said = int(file["size_bytes"]), str(file["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as err:
        raise damaged(folder, str(err) or type(err).__name__) from err
    if found != _FORMAT:
        must, cure = f"must be of format {_FORMAT}", "Use the version of object2vec that made it."
        raise ArtifactError.at(str(path), must, found, cure)
    arrays = map_arrays(folder / VOCABULARY_FILE)
    is_held = (folder / VOCABULARY_FILE).stat().st_size, _hash(folder)
    if is_held != said:
        must = f"must be the file of {said[0]} bytes that {SCHEMA} names"
        raise ArtifactError.at(str(folder / VOCABULARY_FILE), must, f"{is_held[0]} bytes", _CURE)
    return content, arrays


def damaged(folder: Path, what: str) -> ArtifactError:
    """Return the error of a schema that says what none can."""
    return ArtifactError.at(str(folder / SCHEMA), "must be a whole schema", what, _CURE)


def _hash(folder: Path) -> str:
    import numpy as np

    content = np.asarray(np.memmap(folder / VOCABULARY_FILE, np.uint8, "r"))
    # Processors have instructions for it: twice as fast as blake2b where opening a model waits.
    return hashlib.sha256(content.data).hexdigest()
