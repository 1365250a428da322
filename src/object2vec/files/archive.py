"""A model as a folder, whether it is given as one or as a ``model.tar.gz``.

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
_CONFIG = "config.json"
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
_LONG_NAMES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME)


@contextlib.contextmanager
def model_folder(model: Path, *, max_bytes: int = MAX_BYTES) -> Iterator[Path]:
    """Give the folder of a model while the block runs.

    Parameters
    ----------
    model : Path
        The folder itself, or an archive: ``tar``, plain or compressed by gzip, bzip2 or xz, with
        the model's files at its top or in one folder.
    max_bytes : int
        What the archive's files may hold together.

    Raises
    ------
    ArtifactError
        If the archive is damaged, holds no model, is too large, or holds anything but plain files
        and folders under relative names without ``..``.
    """
    if not model.is_file():
        yield model
        return
    with tempfile.TemporaryDirectory(prefix="object2vec-") as name:
        folder = Path(name)
        try:
            # A stream is read once from its beginning to its end, whatever its headers claim.
            with tarfile.open(model, "r|*", tarinfo=_Member) as archive:
                _unpack(archive, folder, max_bytes)
        except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError) as err:
            raise ArtifactError.at(
                str(model),
                "must be a whole tar archive",
                str(err) or type(err).__name__,
                "Copy the model again.",
            ) from err
        yield _top(folder, model)


class _Member(tarfile.TarInfo):
    """An entry that is refused before anything is allocated for it."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _LONG_NAMES:
            if self.size > _MAX_HEADER_BYTES:
                raise _refused("an entry", f"a header of {self.size} bytes")
        elif self.type not in _PLAIN:
            raise _refused(self.name, "a link, device or other special file")
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return member


def _unpack(archive: tarfile.TarFile, folder: Path, max_bytes: int) -> None:
    """Write the files of an archive under `folder`."""
    left = max_bytes
    for count, member in enumerate(archive):
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or any(c in member.name for c in "\\:\0"):
            raise _refused(member.name, "a name that is absolute or leads outside")
        if count >= MAX_FILES:
            raise _refused(member.name, f"more than {MAX_FILES} entries")
        target = folder.joinpath(*path.parts)
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        left -= member.size
        if left < 0 or member.size > shutil.disk_usage(folder).free or member.issparse():
            raise _refused(member.name, f"more than {max_bytes} bytes, or than the disk has free")
        target.parent.mkdir(parents=True, exist_ok=True)
        source = archive.extractfile(member)
        assert source is not None
        with target.open("xb") as file:
            shutil.copyfileobj(source, file, 1 << 20)


def _top(folder: Path, model: Path) -> Path:
    """Return where the model's files are: at the top or in the one folder that holds them."""
    found = [
        path.parent for path in [folder / _CONFIG, *folder.glob(f"*/{_CONFIG}")] if path.is_file()
    ]
    if not found or (len(found) > 1 and found[0] != folder):
        raise ArtifactError.at(
            str(model),
            "must hold one object2vec model",
            f"{len(found)} files {_CONFIG}",
            "Pack the folder that `object2vec train --out` wrote.",
        )
    return found[0]


def _refused(name: str, what: str) -> ArtifactError:
    return ArtifactError.at(
        name, "must be a plain file or folder inside the archive", what, "Pack the model again."
    )
