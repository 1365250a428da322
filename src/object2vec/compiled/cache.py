"""Where compiled functions are kept between processes.

Compiling takes seconds, so its result is written to a file per function and machine. Nothing about
those files may end a program: where none can be written, each process compiles for itself, and a
file that is damaged is compiled anew. Numba's own cache stops a program in each of these cases, and
two processes that write at the same time may leave it with the code of another signature.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
from numba.core import serialize
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.runtime import rtsys

from object2vec.files.user_cache import user_cache
from object2vec.version import VERSION

_logger = logging.getLogger(__name__)
_PACKAGE = Path(__file__).parents[1]
_IMPORTS = re.compile(r"^from object2vec\.([\w.]+) import", re.MULTILINE)
_DIGEST_BYTES = hashlib.sha256().digest_size


class FunctionCache(NullCache):  # type: ignore[misc]
    """The files of one function, one for each signature; Numba asks for them before it compiles."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._name = f"{function.__module__}.{function.__qualname__}"

    def load_overload(self, signature: Any, target: Any) -> Any:
        """Return what was compiled for a signature, or None.

        Numba would first load all that compiling may need: half a second, where what is compiled
        needs its runtime alone. It does so itself as soon as there is something to compile.
        """
        rtsys.initialize(target)
        name = self._file_name(signature, target.codegen())
        for folder in _readable_folders():
            with _harmless("read", folder / name):
                content = (folder / name).read_bytes()
                if hashlib.sha256(content[_DIGEST_BYTES:]).digest() == content[:_DIGEST_BYTES]:
                    payload = serialize.loads(content[_DIGEST_BYTES:])
                    return CompileResult._rebuild(target, *payload)
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep what was compiled for a signature."""
        folder = writable_folder()
        if folder is None or result.library.has_dynamic_globals:
            return
        path = folder / self._file_name(signature, result.codegen)
        with _harmless("write", path):
            payload = serialize.dumps(result._reduce())
            _write_whole(path, hashlib.sha256(payload).digest() + payload)

    def _file_name(self, signature: Any, codegen: Any) -> str:
        """Return a name that no other function, source, signature, CPU or Numba leads to."""
        facts = (
            self._name,
            self._function.__code__.co_code,
            str(signature),
            codegen.magic_tuple(),
            _source_digest(Path(self._function.__code__.co_filename)),
            (numba.__version__, VERSION, sys.version, sys.platform, platform.machine()),
        )
        return f"{self._name}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:16]}.bin"


@functools.cache
def _source_digest(file: Path) -> str:
    """Return what changes with the sources that may be compiled into a function of a file.

    Those are the ones beside it, the ones that these import from, and those here.
    """
    beside = [*file.parent.glob("*.py"), *Path(__file__).parent.glob("*.py")]
    names = {name for path in beside for name in _IMPORTS.findall(path.read_text("utf-8"))}
    used = {_PACKAGE.joinpath(*name.split(".")).with_suffix(".py") for name in names}
    digest = hashlib.sha256()
    for path in sorted({*beside, *filter(Path.is_file, used)}):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def writable_folder() -> Path | None:
    """Return the folder that compiled functions are written to; None where there is none.

    It is ``$NUMBA_CACHE_DIR``, or lies beside the package, or in the user's cache, or in the
    system's folder for temporary files: the first of them that can be written.
    """
    for folder in _folders():
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_own(folder):
                tempfile.TemporaryFile(dir=folder).close()
                return folder
    _logger.warning("No folder for compiled kernels can be written: each process compiles.")
    return None


@functools.cache
def _readable_folders() -> tuple[Path, ...]:
    """Return the folders to look into: that for writing, and what came with the package."""
    folders = (writable_folder(), _beside_package())
    return tuple(dict.fromkeys(folder for folder in folders if folder is not None))


def _folders() -> Iterator[Path]:
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        yield Path(given).absolute() / "object2vec"
    yield _beside_package()
    if (caches := user_cache()) is not None:
        yield caches / "kernels"
    user = os.getuid() if hasattr(os, "getuid") else 0
    yield Path(tempfile.gettempdir()) / f"object2vec-kernels-{user}"


def _beside_package() -> Path:
    return _PACKAGE / "__pycache__" / "kernels"


def _is_own(folder: Path) -> bool:
    """Return whether nobody else can have put code there for this process to run."""
    if not hasattr(os, "getuid"):
        return True
    facts = folder.stat()
    return facts.st_uid in (os.getuid(), 0) and not facts.st_mode & 0o002


@contextlib.contextmanager
def _harmless(what: str, path: Path) -> Iterator[None]:
    """Go on after any mistake about a file: the function is compiled in this process, too."""
    try:
        yield
    except FileNotFoundError:
        pass
    except Exception as err:
        _logger.debug("Could not %s the compiled kernel %s: %r", what, path, err)


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
