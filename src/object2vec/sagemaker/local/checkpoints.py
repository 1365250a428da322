"""Checkpoints of training jobs: they come from S3, and go back to it while a job runs.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/model-checkpoints.html
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path

from object2vec.files.whole import make_folder
from object2vec.sagemaker.local.storage import MissingData, Storage, split_uri

_MARK = "state.json"  # the last file of a checkpoint to be copied
_SYNC_S = 1.0  # between copies of new checkpoints to S3
_Stamp = tuple[int, int]  # when a file was changed, and its size


class Checkpoints:
    """Keeps the checkpoints in S3 in step with a folder: now and then while a block runs.

    As on AWS, what is removed here is removed there: of what S3 held before, and what was copied.
    A checkpoint is removed only when the one that replaces it is there as a whole.

    Parameters
    ----------
    storage : Storage
    uri : str
        Of what S3 holds.
    folder : Path
    """

    def __init__(self, storage: Storage, uri: str, folder: Path) -> None:
        split_uri(uri)
        self._storage, self._uri, self._folder = storage, uri.rstrip("/") + "/", folder
        self._sent: dict[str, _Stamp] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def fetch(self) -> None:
        """Bring the checkpoints that are in S3, if there are any; raise `MissingData` if not."""
        make_folder(self._folder)
        try:
            self._storage.get_prefix(self._uri, self._folder, is_changed=True)
        except MissingData:
            self._storage.check_bucket(self._uri)
        self._sent = _stamps(self._folder)
        for each in self._folder.glob("step-*"):
            if not (each / _MARK).is_file():  # it never came to S3 as a whole
                shutil.rmtree(each)

    def copy(self) -> None:
        """Copy to S3 what is new, and remove what is not there any more."""
        found = _stamps(self._folder)
        for name, stamp in found.items():
            if self._sent.get(name) != stamp:
                with contextlib.suppress(FileNotFoundError):  # an older one, just removed
                    self._storage.put(self._folder / name, self._uri + name)
                    self._sent[name] = stamp
        if _stamps(self._folder) == found:
            for name in self._sent.keys() - found.keys():
                self._storage.delete(self._uri + name)
                del self._sent[name]

    def _go_on(self) -> None:
        while not self._over.wait(_SYNC_S):
            self.copy()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self.copy()


def _stamps(folder: Path) -> dict[str, _Stamp]:
    """Return the files beneath a folder that are no temporary ones, by name.

    Those that say that a checkpoint is whole are the last ones.
    """
    found: dict[str, _Stamp] = {}
    for inside, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".")]
        for path in (Path(inside) / each for each in files if not each.startswith(".")):
            with contextlib.suppress(FileNotFoundError):  # of a checkpoint that is being removed
                facts = path.stat()
                name = path.relative_to(folder).as_posix()
                found[name] = facts.st_mtime_ns, facts.st_size
    return dict(sorted(found.items(), key=lambda each: (each[0].endswith(_MARK), each[0])))
