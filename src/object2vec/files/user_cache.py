"""The folder in which this system keeps what can be made again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def user_cache() -> Path | None:
    """Return object2vec's folder in the user's cache; None for a user who has no home.

    Containers run under numbers that no list of users knows, often without the variable HOME.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or os.path.expanduser("~/AppData/Local")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "object2vec" if os.path.isabs(base) else None
