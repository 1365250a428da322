"""Data by the URIs that requests name: the buckets here, or the user's own S3."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from object2vec.files.remote import open_url, write_object
from object2vec.files.whole import make_folder
from object2vec.sagemaker.local.buckets import Folders


class MissingData(Exception):
    """There is nothing where a request says that there is."""


class Storage:
    """Reads and writes S3.

    Parameters
    ----------
    buckets : Folders
        The buckets here.
    is_remote : bool, default False
        Whether S3 is the user's own: then `buckets` is not looked at.
    """

    def __init__(self, buckets: Folders, *, is_remote: bool = False) -> None:
        self._buckets, self._is_remote = buckets, is_remote

    def get_prefix(
        self, uri: str, target: Path, *, is_changed: bool = False, is_channel: bool = False
    ) -> int:
        """Put every key that begins with a URI into a folder, and return how many there are.

        As on AWS a prefix need not be a folder: of ``s3://b/pre/train`` the key ``pre/train-0``
        becomes the file ``train-0``, and ``pre/train/0`` becomes ``train/0``, or ``0`` in a channel
        if all keys are in that folder. Files that are going to be changed must be copies.

        Raises
        ------
        MissingData
            If there is no such bucket or key, or a name leads out of the folder.
        """
        bucket, prefix = split_uri(uri)
        keys = [key for key in self._keys(bucket, prefix, uri) if not key.endswith("/")]
        if not keys:
            raise MissingData(
                f"No S3 objects found under S3 URL {uri!r} given in input data source."
            )
        is_folder = is_channel and all(key.startswith(f"{prefix}/") for key in keys)
        base = prefix if is_folder else prefix.rpartition("/")[0]
        for key in keys:
            name = key[len(base) + 1 :] if base else key
            if not set(name.split("/")).isdisjoint(("", ".", "..")):
                raise MissingData(f"The key {key!r} beneath {uri!r} can be no file. Rename it.")
            self._fetch(bucket, key, target / name, is_changed=is_changed)
        return len(keys)

    def get(self, uri: str, target: Path) -> None:
        """Put one key into a file; raise `MissingData` if there is none."""
        bucket, key = split_uri(uri)
        if key not in self._keys(bucket, key, uri):
            raise MissingData(f"Could not find model data at {uri}.")
        self._fetch(bucket, key, target)

    def check_bucket(self, uri: str) -> None:
        """Raise `MissingData` if a URI names no bucket."""
        bucket, _ = split_uri(uri)
        if self._is_remote:
            with _reaching(f"s3://{bucket}"):
                is_there = open_url(f"s3://{bucket}")[0].exists(bucket)
        else:
            is_there = bucket in self._buckets.names()
        if not is_there:
            raise MissingData(f"The bucket of {uri!r} does not exist.")

    def _keys(self, bucket: str, prefix: str, uri: str) -> list[str]:
        """Return the keys that begin with a prefix."""
        if not self._is_remote:
            self.check_bucket(uri)
            return self._buckets.keys(bucket, prefix)
        base, _, last = prefix.rpartition("/")
        with _reaching(uri):
            system, _ = open_url(uri)
            found = system.find(f"{bucket}/{base}".rstrip("/"), prefix=last)
        keys = [path.removeprefix(f"{bucket}/") for path in found]
        return sorted((key for key in keys if key.startswith(prefix)), key=str.encode)

    def _fetch(self, bucket: str, key: str, target: Path, *, is_changed: bool = False) -> None:
        """Put a key that is there into a file."""
        make_folder(target.parent)
        if not self._is_remote:
            (shutil.copyfile if is_changed else _link)(self._buckets.file(bucket, key), target)
            return
        with _reaching(f"s3://{bucket}/{key}"):
            open_url(f"s3://{bucket}")[0].get_file(f"{bucket}/{key}", str(target))

    def put(self, source: Path, uri: str) -> None:
        """Write a file to a URI; it appears whole."""
        bucket, key = split_uri(uri)
        if self._is_remote:
            with source.open("rb") as stream, write_object(uri) as target:
                shutil.copyfileobj(stream, target)
            return
        self.check_bucket(uri)
        self._buckets.put_file(bucket, key, source)

    def delete(self, uri: str) -> None:
        """Delete a key; nothing if it is not there."""
        bucket, key = split_uri(uri)
        if not self._is_remote:
            self._buckets.delete(bucket, key)
            return
        with contextlib.suppress(FileNotFoundError):
            open_url(uri)[0].rm_file(f"{bucket}/{key}")


@contextlib.contextmanager
def _reaching(uri: str) -> Iterator[None]:
    """Raise whatever the user's S3 raises as `MissingData`."""
    try:
        yield
    except Exception as err:
        raise MissingData(f"{uri!r} cannot be read: {str(err) or type(err).__name__}") from err


def split_uri(uri: str) -> tuple[str, str]:
    """Return the bucket and the key of an S3 URI; raise `MissingData` if it is none."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise MissingData(f"{uri!r} must be an S3 URI, s3://bucket/key.")
    return bucket, key


def _link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`; a copy of it where the disk has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
