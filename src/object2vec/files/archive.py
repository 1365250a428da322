"""What a tar archive holds, as a folder.

An archive from elsewhere is not trusted: only plain files under plain names are written, within
limits of count and size, and neither owner, mode nor time is taken from it.
"""

from __future__ import annotations

import contextlib
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from object2vec.errors import ArtifactError

MAX_FILES = 1000
MAX_BYTES = 1 << 36
_MAX_HEADER_BYTES = 1 << 16
_CURE = "Name another one, or copy or pack it again."
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
_LONG_NAMES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME)


@contextlib.contextmanager
def unpacked(
    path: Path, mark: str, *, name: str | None = None, max_bytes: int = MAX_BYTES
) -> Iterator[Path]:
    """Give a temporary folder with the content of an archive while the block runs.

    Parameters
    ----------
    path : Path
        The archive: ``tar``, plain or compressed by gzip, bzip2 or xz.
    mark : str
        Name of a file in it. The folder given is the one that holds this file: the archive's top or
        the one folder at it.
    name : str, optional
        What messages call the archive; its path by default.
    max_bytes : int
        What the archive's files may hold together.

    Raises
    ------
    ArtifactError
        If the archive is damaged, has no file of this name or several, is too large, or holds
        anything but plain files and folders under relative names without ``..``.
    """
    name = name or str(path)
    with tempfile.TemporaryDirectory(prefix="object2vec-") as temporary:
        folder = Path(temporary)
        try:
            # A stream is read once from its beginning to its end, whatever its headers claim.
            with tarfile.open(path, "r|*", tarinfo=_Member) as archive:
                _unpack(archive, folder, max_bytes)
        except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as err:
            raise ArtifactError.at(
                name, "must be a whole tar archive", str(err) or type(err).__name__, _CURE
            ) from err
        yield _top(folder, mark, name)


class _Member(tarfile.TarInfo):
    """An entry that is rejected before anything is allocated for it."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _LONG_NAMES:
            if self.size > _MAX_HEADER_BYTES:
                raise _rejected("an entry", f"a header of {self.size} bytes")
        elif self.type not in _PLAIN:
            raise _rejected(self.name, "a link, device or other special file")
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return member


def _unpack(archive: tarfile.TarFile, folder: Path, max_bytes: int) -> None:
    """Write the files of an archive under `folder`."""
    left = max_bytes
    for count, member in enumerate(archive):
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or any(c in member.name for c in "\\:\0"):
            raise _rejected(member.name, "a name that is absolute or leads outside")
        if count >= MAX_FILES:
            raise _rejected(member.name, f"more than {MAX_FILES} entries")
        target = folder.joinpath(*path.parts)
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        left -= member.size
        if left < 0 or member.size > shutil.disk_usage(folder).free or member.issparse():
            raise _rejected(member.name, f"more than {max_bytes} bytes, or than the disk has free")
        target.parent.mkdir(parents=True, exist_ok=True)
        source = archive.extractfile(member)
        assert source is not None
        with target.open("xb") as file:
            shutil.copyfileobj(source, file, 1 << 20)


def _top(folder: Path, mark: str, name: str) -> Path:
    """Return the folder that holds the file `mark`: the top or the one folder in it."""
    found = [path.parent for path in [folder / mark, *folder.glob(f"*/{mark}")] if path.is_file()]
    if not found or (len(found) > 1 and found[0] != folder):
        raise ArtifactError.at(
            name, f"must hold one file {mark}", f"{len(found)} of them", "Pack the folder again."
        )
    return found[0]


def _rejected(name: str, what: str) -> ArtifactError:
    return ArtifactError.at(name, "must be a plain file or folder inside the archive", what, _CURE)
