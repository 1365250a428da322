"""The standard streams, however the process was started."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from object2vec.errors import Object2VecError, StorageError


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Make the three streams usable, and standard output take any text.

    A name that its encoding lacks, or that is not Unicode at all, is written with backslashes, as
    on standard error.

    Raises
    ------
    StorageError
        If standard output cannot be written.
    """
    _open_closed_streams()
    with _escaping(sys.stdout):
        try:
            yield
            sys.stdout.flush()  # while an error can still be reported
        except BrokenPipeError:
            raise
        except OSError as err:
            if isinstance(err, Object2VecError) or _can_be_written(sys.stdout):
                raise
            raise _unwritable(err) from err


@contextlib.contextmanager
def _escaping(stream: TextIO) -> Iterator[None]:
    if not isinstance(stream, io.TextIOWrapper) or stream.errors != "strict":
        yield
        return
    stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # what it still holds cannot be written, as was said
            stream.reconfigure(errors="strict")


def _can_be_written(stream: TextIO) -> bool:
    try:
        stream.flush()  # what could not be written is mostly still there
    except OSError:
        return False
    return True


def _open_closed_streams() -> None:
    """Open standard streams that are closed, as under some daemons, the wrong way round.

    Reading or writing fails as it must, and no file or socket gets their numbers: what a library
    writes to standard error would go there, and the end of Python would close it.
    """
    streams = (("stdin", os.O_WRONLY), ("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY))
    for name, flags in streams:  # in the order of their numbers, as the lowest free one is taken
        if getattr(sys, name) is None:
            number = os.open(os.devnull, flags)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", closefd=False))


def say(text: str) -> None:
    """Write a text and the end of its line to standard output.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as err:
        raise _unwritable(err) from err


def _unwritable(err: OSError) -> StorageError:
    cure = "Send it to a file, a pipe or a terminal that can be written."
    got = err.strerror or str(err)
    return StorageError.at("standard output", "must be writable", got, cure)


def settle_output() -> None:
    """Send output that cannot be written nowhere, or Python would complain when it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
