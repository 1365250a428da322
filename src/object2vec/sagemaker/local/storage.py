"""Data by the URIs that requests name: the buckets here, or the user's own S3."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from object2vec.errors import Object2VecError
from object2vec.files.remote import download, open_url, write_object
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

    def get_prefix(self, uri: str, target: Path) -> int:
        """Put every key that begins with a URI into a folder, and return how many there are.

        As on AWS a prefix need not be a folder: of ``s3://b/pre/train`` the key ``pre/train-0``
        becomes the file ``train-0``.

        Raises
        ------
        MissingData
            If there is no such bucket or key.
        """
        bucket, prefix = split_uri(uri)
        if self._is_remote:
            return self._get_remote(uri, target)
        self._check_bucket(bucket, uri)
        keys = [key for key in self._buckets.keys(bucket, prefix) if not key.endswith("/")]
        if not keys:
            raise MissingData(
                f"No S3 objects found under S3 URL {uri!r} given in input data source."
            )
        base = prefix.rpartition("/")[0]
        for key in keys:
            name = key[len(base) + 1 :] if base else key
            _link(self._buckets.file(bucket, key), target / name)
        return len(keys)

    def get(self, uri: str, target: Path) -> None:
        """Put one key into a file; raise `MissingData` if there is none."""
        bucket, key = split_uri(uri)
        if self._is_remote:
            make_folder(target.parent)
            try:
                with open_url(uri)[0] as stream, target.open("wb") as file:
                    shutil.copyfileobj(stream, file)
            except Object2VecError as err:
                raise MissingData(f"{uri!r} cannot be read: {err}") from err
            return
        self._check_bucket(bucket, uri)
        source = self._buckets.file(bucket, key)
        if not source.is_file():
            raise MissingData(f"Could not find model data at {uri}.")
        _link(source, target)

    def check_bucket(self, uri: str) -> None:
        """Raise `MissingData` if a URI names no bucket."""
        if not self._is_remote:
            self._check_bucket(split_uri(uri)[0], uri)

    def _check_bucket(self, bucket: str, uri: str) -> None:
        if bucket not in self._buckets.names():
            raise MissingData(f"The bucket of {uri!r} does not exist.")

    def put(self, source: Path, uri: str) -> None:
        """Write a file to a URI; it appears whole."""
        bucket, key = split_uri(uri)
        if self._is_remote:
            with source.open("rb") as stream, write_object(uri) as target:
                shutil.copyfileobj(stream, target)
            return
        self._check_bucket(bucket, uri)
        self._buckets.put_file(bucket, key, source)

    def put_folder(self, source: Path, uri: str) -> int:
        """Write every file of a folder below a URI, and return how many there are."""
        files = [path for path in sorted(source.rglob("*")) if path.is_file()]
        for path in files:
            self.put(path, f"{uri.rstrip('/')}/{path.relative_to(source).as_posix()}")
        return len(files)

    def _get_remote(self, uri: str, target: Path) -> int:
        try:
            download(uri, target)
        except Object2VecError as err:
            raise MissingData(f"{uri!r} cannot be read: {err}") from err
        return sum(1 for path in target.rglob("*") if path.is_file())


def split_uri(uri: str) -> tuple[str, str]:
    """Return the bucket and the key of an S3 URI; raise `MissingData` if it is none."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise MissingData(f"{uri!r} must be an S3 URI, s3://bucket/key.")
    return bucket, key


def _link(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`; a copy of it where the disk has no links."""
    make_folder(target.parent)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
