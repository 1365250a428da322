"""The lock of all compiled code that runs on several threads."""

from __future__ import annotations

import threading

compiled = threading.Lock()  # not each of Numba's threading layers takes two callers at once
