"""What is flushed to the disk after it got its name, and how a crash of the system shows later.

A folder that can be made again need not be waited for. It holds the name of the boot of the system
under which it was written, and a mark once all of it is on the disk: what has no mark and is of an
earlier boot may have lost some of its content.
"""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

from object2vec.files.whole import flush

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # of Linux
_BOOT, _FLUSHED = ".boot", ".flushed"

_log = logging.getLogger("object2vec.reading")


def boot_id() -> bytes:
    """Return what tells this boot of the system from all others; empty where nothing does."""
    try:
        return _BOOT_ID.read_bytes()
    except OSError:
        return b""


def note_boot(folder: Path) -> None:
    """Note in a new folder when it was written, or that it is flushed before it gets its name."""
    if boot := boot_id():
        (folder / _BOOT).write_bytes(boot)
    else:
        (folder / _FLUSHED).touch()


def has_survived(folder: Path) -> bool:
    """Return whether a folder is there as it was written."""
    try:
        return (folder / _FLUSHED).exists() or (folder / _BOOT).read_bytes() == boot_id()
    except OSError:
        return False


def flush_later(folder: Path) -> None:
    """Flush a folder if it is not, while the caller goes on; the process ends when it is done."""
    if not (folder / _FLUSHED).exists():
        threading.Thread(target=_flush, args=(folder,), name="flush").start()


def _flush(folder: Path) -> None:
    try:
        for path in [*sorted(folder.rglob("*")), folder]:
            flush(path)
        (folder / _FLUSHED).touch()
    except FileNotFoundError:  # somebody has removed it
        pass
    except OSError as err:
        text = "The cached records in %s could not be written to the disk (%s): they are removed."
        _log.warning(text, folder, err.strerror or err)
        shutil.rmtree(folder, ignore_errors=True)
