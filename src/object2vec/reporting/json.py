"""A run as JSON, one object per event and line: for programs, and for the model's own history."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, TextIO

from object2vec.errors import StorageError
from object2vec.reporting.events import Event, write_line


class JsonReporter:
    """One JSON object per event and line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write the event."""
        write_line(self._stream, json.dumps(event.to_dict(), allow_nan=False))

    def close(self) -> None:
        """Leave the stream open: it is not ours."""


class MetricsFile:
    """``metrics.jsonl``: what a run remembers, as JSON lines that can be read while it goes on.

    Parameters
    ----------
    path : path
        The file; what it holds is replaced.
    history : sequence of dict
        What the run remembers so far; of a resumed one, all that was before its checkpoint.

    Raises
    ------
    StorageError
        If it cannot be written.
    """

    def __init__(
        self, path: str | PathLike[str], history: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self._path = path
        try:
            self._file = open(path, "wb")
        except OSError as err:
            raise self._unwritable(err) from err
        for values in history:
            self.append(values)

    def append(self, values: Mapping[str, Any]) -> None:
        """Write one more line.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        try:
            self._file.write(json.dumps(values, allow_nan=False).encode() + b"\n")
            self._file.flush()
        except OSError as err:
            raise self._unwritable(err) from err

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # every line is flushed: it can only fail a second time
            self._file.close()

    def _unwritable(self, err: OSError) -> StorageError:
        cure = "Free some space, or choose a folder that can be written."
        return StorageError.at(str(self._path), "must be writable", err.strerror, cure)
