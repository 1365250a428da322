"""Buckets as folders: moto's S3 with every key a file, and nothing kept but in files.

The folder ``buckets/NAME`` is a bucket, a file in it a key: one that anybody puts there is a key at
once. What a key has besides its bytes (the content type, the user's metadata, the etag of an upload
in parts) lies under the same name in ``meta/NAME``. Parts of a name that no file can have are
percent-encoded; a key that ends with a slash, as consoles make for folders, is a file ``%``.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
import shutil
import urllib.parse
from pathlib import Path
from typing import Any

from moto.s3 import urls as s3_urls
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, FakeKey, S3Backend, s3_backends
from moto.s3.utils import _VersionedKeyStore

from object2vec.errors import StorageError
from object2vec.files.whole import TEMPORARY_PREFIX, make_folder, whole_file

_FOLDER = "%"  # the last part of a key's name where that is empty
_UNSAFE = re.compile(rf"^\.{{1,2}}$|^{re.escape(TEMPORARY_PREFIX)}|^$|[%\x00-\x1f\x7f]")
ACCOUNT = "123456789012"  # of whoever asks, as moto has it
_KEPT = ("_etag", "_storage_class", "checksum_algorithm", "checksum_value", "checksum_type")


class Unstorable(S3ClientError):
    """What no folder can hold, or this S3 does not do."""

    def __init__(self, message: str, name: str = "InvalidArgument") -> None:
        super().__init__(name, message)


class Folders:
    """The folders of all buckets.

    Parameters
    ----------
    root : Path
        Holds ``buckets`` and ``meta``.
    """

    def __init__(self, root: Path) -> None:
        self.buckets, self.meta = root / "buckets", root / "meta"
        make_folder(self.buckets)

    def names(self) -> list[str]:
        """Return the names of all buckets."""
        return sorted(each.name for each in self.buckets.iterdir() if each.is_dir())

    def file(self, bucket: str, key: str) -> Path:
        """Return the file of a key."""
        return self.buckets.joinpath(bucket, *map(_encoded, key.split("/")))

    def meta_file(self, bucket: str, key: str) -> Path:
        """Return the file of what a key has besides its bytes."""
        parts = [f"{_encoded(part)}.d" for part in key.split("/")[:-1]]  # a and a/b may both be
        return self.meta.joinpath(bucket, *parts, f"{_encoded(key.split('/')[-1])}.json")

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the keys of a bucket that begin with `prefix`, in S3's order."""
        root = self.buckets / bucket
        start = root.joinpath(*map(_encoded, prefix.split("/")[:-1]))
        found = []
        for folder, _, files in os.walk(start):
            inside = Path(folder).relative_to(root).parts
            for name in files:
                if not name.startswith(TEMPORARY_PREFIX):
                    found.append("/".join(map(_decoded, (*inside, name))))
        return sorted((key for key in found if key.startswith(prefix)), key=str.encode)

    def put_file(self, bucket: str, key: str, source: Path) -> None:
        """Make a key of a file's bytes."""
        path = self.file(bucket, key)
        make_folder(path.parent)
        with source.open("rb") as stream, whole_file(path) as target:
            shutil.copyfileobj(stream, target)
        self.meta_file(bucket, key).unlink(missing_ok=True)

    def delete(self, bucket: str, key: str) -> None:
        """Delete a key, and the folders that are empty without it."""
        for path, root in (
            (self.file(bucket, key), self.buckets / bucket),
            (self.meta_file(bucket, key), self.meta / bucket),
        ):
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                for parent in path.parents:
                    if parent == root:
                        break
                    parent.rmdir()


class FileKey(FakeKey):
    """A key whose bytes are those of a file."""

    def __init__(self, folders: Folders, bucket: str, name: str) -> None:
        self.path, self._meta = folders.file(bucket, name), folders.meta_file(bucket, name)
        facts = self.path.stat()
        super().__init__(name, b"", ACCOUNT, "aws", bucket_name=bucket, version_id="null")
        self._value_buffer.close()
        self.contentsize = facts.st_size
        self.last_modified = datetime.datetime.fromtimestamp(
            facts.st_mtime_ns // 1_000_000_000, datetime.timezone.utc
        ).replace(tzinfo=None)
        self._stamp = [facts.st_mtime_ns, facts.st_size]
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            said = json.loads(self._meta.read_text("utf-8"))
            if said["stamp"] == self._stamp:  # else the file was replaced by somebody
                self._metadata.update(said["metadata"])
                for attribute in _KEPT:
                    setattr(self, attribute, said[attribute])

    @property
    def value(self) -> bytes:
        """The bytes of the file."""
        return self.path.read_bytes()

    @value.setter
    def value(self, new: bytes) -> None:
        pass  # of a key that is made: its file is there already

    @property
    def etag(self) -> str:
        """The hash that S3 gives; of a file that nobody uploaded, that of its bytes."""
        if self._etag is None:
            self._etag = _md5(self.path)
            self.keep()
        return f'"{self._etag}"'

    def set_metadata(self, metadata: Any, replace: bool = False) -> None:
        """Set what the user says of a key."""
        super().set_metadata(metadata, replace)
        self.keep()

    def keep(self) -> None:
        """Write what the key has besides its bytes."""
        document = {name: getattr(self, name) for name in _KEPT}
        document |= {"stamp": self._stamp, "metadata": dict(self._metadata)}
        make_folder(self._meta.parent)
        with whole_file(self._meta) as stream:
            stream.write(json.dumps(document).encode())

    def dispose(self, garbage: bool = False) -> None:
        """Do nothing: the file stays."""


class FolderKeys(_VersionedKeyStore):
    """What moto takes for the dictionary of a bucket's keys; each is made when it is asked for."""

    def __init__(self, folders: Folders, bucket: str) -> None:
        super().__init__()
        self._folders, self._bucket = folders, bucket

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._folders.file(self._bucket, key).is_file()

    def __getitem__(self, key: str) -> FileKey:
        if key not in self:
            raise KeyError(key)
        return FileKey(self._folders, self._bucket, key)

    def __sgetitem__(self, key: str) -> list[Any]:
        return [self[key]]

    def __len__(self) -> int:
        return len(self._folders.keys(self._bucket))

    def _self_iterable(self) -> Any:
        return self._folders.keys(self._bucket)

    def pop(self, key: str) -> None:  # type: ignore[override]
        """Delete a key."""
        if key not in self:
            raise KeyError(key)
        self._folders.delete(self._bucket, key)

    def item_size(self) -> int:
        """Return the bytes of all keys."""
        return sum(key.contentsize for key in self.values())


class FolderBackend(S3Backend):
    """moto's S3 over folders."""

    folders: Folders
    _url_module = s3_urls  # moto derives it from a backend's own module

    @classmethod
    def install(cls, root: Path) -> Folders:
        """Let moto serve the buckets in a folder, and return them."""
        backend = cls("aws", ACCOUNT)
        backend.folders = Folders(root)
        s3_backends.bucket_accounts.clear()  # of an earlier service of this process
        for name in backend.folders.names():
            backend.buckets[name] = backend._bucket(name, _DEFAULT_REGION)
        s3_backends[ACCOUNT]["aws"] = backend
        return backend.folders

    def create_bucket(self, bucket_name: str, region_name: str, *rest: Any, **more: Any) -> Any:
        """Make a bucket and its folder."""
        super().create_bucket(bucket_name, region_name, *rest, **more)
        make_folder(self.folders.buckets / bucket_name)
        self.buckets[bucket_name] = self._bucket(bucket_name, region_name)
        return self.buckets[bucket_name]

    def _bucket(self, name: str, region: str) -> FakeBucket:
        bucket = FakeBucket(name, ACCOUNT, region)  # type: ignore[abstract]
        bucket.keys = FolderKeys(self.folders, name)
        return bucket

    def delete_bucket(self, bucket_name: str) -> FakeBucket | None:
        """Delete a bucket without keys."""
        deleted = super().delete_bucket(bucket_name)
        if deleted is not None:
            for root in (self.folders.buckets, self.folders.meta):
                for folder, _, _ in os.walk(root / bucket_name, topdown=False):
                    os.rmdir(folder)
        return deleted

    def put_bucket_versioning(self, bucket_name: str, status: str) -> None:
        """Reject versions of keys."""
        if status == "Enabled":
            raise Unstorable("Versions of keys are not kept by the local S3.")

    def put_object(  # type: ignore[override]
        self,
        bucket_name: str,
        key_name: str,
        value: bytes,
        storage: str | None = None,
        etag: str | None = None,
        **unused: Any,
    ) -> FakeKey:
        """Write a key; it appears whole."""
        self.get_bucket(bucket_name)
        path = self.folders.file(bucket_name, key_name)
        data = value.encode() if isinstance(value, str) else value
        root = self.folders.buckets / bucket_name
        is_beneath = any(each.is_file() for each in path.parents if root in each.parents)
        if is_beneath or path.is_dir():
            text = f"{key_name} cannot be stored in a folder beside a key that it is a part of."
            raise Unstorable(text)
        try:
            make_folder(path.parent)
            with whole_file(path) as stream:
                stream.write(data)
        except StorageError as err:
            raise Unstorable(str(err), "InternalError") from err
        key = FileKey(self.folders, bucket_name, key_name)
        key._etag = etag or hashlib.md5(data, usedforsecurity=False).hexdigest()
        key._storage_class = storage or "STANDARD"
        key.checksum_algorithm = None
        key._metadata.clear()
        key._metadata["Content-Type"] = "binary/octet-stream"
        key.keep()
        return key


def _encoded(part: str) -> str:
    """Return the name of a file for a part of a key's name."""
    if part == "":
        return _FOLDER
    if _UNSAFE.search(part):
        first = f"%{ord(part[0]):02X}" if part[0] == "." else _percent(part[0])
        return first + "".join(map(_percent, part[1:]))
    return part


def _percent(character: str) -> str:
    return f"%{ord(character):02X}" if _UNSAFE.search(f"x{character}") else character


def _decoded(name: str) -> str:
    return "" if name == _FOLDER else urllib.parse.unquote(name)


def _md5(path: Path) -> str:
    """Return the hash of a file's bytes that S3 calls its etag."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


_DEFAULT_REGION = "us-east-1"
