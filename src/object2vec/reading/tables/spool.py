"""Temporary copies of what can be read once, or must be read at any offset."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from object2vec.files.contents import HEAD_BYTES, is_packed, read_unpacked
from object2vec.files.remote import is_url
from object2vec.files.sources import Source, read_raw
from object2vec.files.whole import storing


class Spool:
    """A temporary file that is gone when nobody holds this object any more."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="object2vec-")
        os.close(handle)
        self.path = Path(name)
        weakref.finalize(self, self.path.unlink, missing_ok=True)

    def open(self) -> BinaryIO:
        """Return its content as a stream."""
        return self.path.open("rb")

    def fill(self, pieces: Iterable[bytes]) -> Spool:
        """Write its content.

        Raises
        ------
        StorageError
            If the disk is full.
        """
        with storing(self.path), self.path.open("wb") as copy:
            for piece in pieces:
                copy.write(piece)
        return self


def readable_again(source: Source) -> Source:
    """Return a source that can be opened any number of times.

    Standard input and pipes are copied to a temporary file, which has no `path`: it is another one
    in every process, so only its content tells whether it is the same.
    """
    if source.path is not None or is_url(source.name):
        return source
    return Source(source.name, Spool().fill(read_raw(source)).open)


def at_any_offset(source: Source) -> Source:
    """Return a source that is not packed, and whose stream can be read at any offset."""
    with source.open() as raw:
        head = raw.read(HEAD_BYTES)
    return (
        Source(source.name, Spool().fill(read_unpacked(source)).open) if is_packed(head) else source
    )
