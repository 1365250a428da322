"""Everything that has a name and a state, each a folder with one JSON file that is always whole."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from object2vec.files.whole import make_folder, whole_file
from object2vec.sagemaker.local.protocol import ServiceError

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_FILE = "resource.json"
_PAGE = 100
ENDED = ("Completed", "Failed", "Stopped")
"""States of a job of which nothing more becomes."""

Document = dict[str, Any]


class Resources:
    """The resources of one kind.

    Parameters
    ----------
    folder : Path
        Holds a folder for each.
    kind : str
        As AWS spells it: ``TrainingJob``.
    arn : str
        What stands before the name in their ARNs.
    most : int, optional
        How many there may be at once, not counting those that have ended or failed.
    """

    def __init__(self, folder: Path, kind: str, arn: str, most: int | None = None) -> None:
        self.kind, self._folder, self._arn, self._most = kind, folder, arn, most
        self._lock = threading.RLock()
        make_folder(folder)
        for each in folder.iterdir():
            if not self.exists(each.name):  # made or deleted in part by a service that was killed
                shutil.rmtree(each, ignore_errors=True)

    @property
    def name_member(self) -> str:
        """What a request calls the name."""
        return f"{self.kind}Name"

    def folder(self, name: str) -> Path:
        """Return the folder of a resource."""
        return self._folder / name

    def arn(self, name: str) -> str:
        """Return the ARN of a resource."""
        return f"{self._arn}/{name.lower()}"

    def create(
        self, document: Mapping[str, Any], prepare: Callable[[], object] = lambda: None
    ) -> Document:
        """Keep a new resource; raise `ServiceError` if its name is taken or none.

        Parameters
        ----------
        document : mapping
            What its description says.
        prepare : callable, optional
            Called when nothing speaks against it, before it is there.
        """
        name = document[self.name_member]
        if not _NAME.fullmatch(name):
            text = f"{self.name_member} must be 1 to 63 letters, digits and hyphens; got {name!r}."
            raise ServiceError.validation(text)
        now = time.time()
        full = {**document, f"{self.kind}Arn": self.arn(name)}
        full |= {"CreationTime": now, "LastModifiedTime": now}
        with self._lock:
            if self.exists(name):
                code = "ResourceInUse" if self.kind.endswith("Job") else "ValidationException"
                text = f"Cannot create already existing {self.kind} {self.arn(name)}"
                raise ServiceError(code, text)
            self._check_room()
            prepare()
            self._write(name, full)
        return full

    def _check_room(self) -> None:
        """Raise `ServiceError` if there are as many as there may be."""
        if self._most is None:
            return
        status = f"{self.kind}Status"
        count = sum(each.get(status) not in ENDED for each in self.all())
        if count >= self._most:
            text = (
                f"The account-level service limit 'Number of {self.kind}s in progress or in "
                f"service' is {self._most} {self.kind}s, with current utilization of {count} "
                f"{self.kind}s and a request delta of 1 {self.kind}s. Wait until others have "
                "ended, or delete some."
            )
            raise ServiceError("ResourceLimitExceeded", text)

    def exists(self, name: str) -> bool:
        """Say whether there is such a resource."""
        return bool(_NAME.fullmatch(name)) and (self.folder(name) / _FILE).is_file()

    def get(self, name: str) -> Document:
        """Return a resource; raise `ServiceError` if there is none of this name."""
        if not self.exists(name):
            text = f"Could not find {self.kind} {name!r}."
            code = "ResourceNotFound" if self.kind.endswith("Job") else "ValidationException"
            raise ServiceError(code, text)
        document: Document = json.loads((self.folder(name) / _FILE).read_text("utf-8"))
        return document

    def change(self, name: str, **members: Any) -> Document:
        """Give a resource other members, and return it."""
        return self.update(name, lambda document: document.update(members))

    def update(self, name: str, edit: Callable[[Document], object]) -> Document:
        """Let `edit` change a resource, and return it."""
        with self._lock:
            document = self.get(name)
            edit(document)
            document["LastModifiedTime"] = time.time()
            self._write(name, document)
        return document

    def delete(self, name: str) -> None:
        """Forget a resource; its name is free again."""
        with self._lock:
            self.get(name)
            (self.folder(name) / _FILE).unlink()
        shutil.rmtree(self.folder(name), ignore_errors=True)

    def all(self) -> list[Document]:
        """Return all resources, the oldest first."""
        names = [each.name for each in self._folder.iterdir() if self.exists(each.name)]
        found = []
        for name in names:
            try:
                found.append(self.get(name))
            except ServiceError:
                continue  # deleted meanwhile
        return sorted(found, key=lambda each: (each["CreationTime"], each[self.name_member]))

    def page(
        self, request: Mapping[str, Any], member: str, summary: Callable[[Document], Document]
    ) -> Document:
        """Return the response of a List operation: the summaries that a request asks for.

        Parameters
        ----------
        request : mapping
            ``NameContains``, ``StatusEquals``, times, ``SortBy``, ``SortOrder``, ``MaxResults`` and
            ``NextToken``, as all List operations have them.
        member : str
            What the response calls the list.
        summary : callable
            Returns what is said of one.
        """
        status = f"{self.kind}Status"
        part, state = request.get("NameContains", ""), request.get("StatusEquals")
        after, before = request.get("CreationTimeAfter"), request.get("CreationTimeBefore")
        found = [
            each
            for each in self.all()
            if part.lower() in each[self.name_member].lower()
            and state in (None, each.get(status))
            and (after is None or each["CreationTime"] > float(after))
            and (before is None or each["CreationTime"] < float(before))
        ]
        key = {"Name": self.name_member, "Status": status}.get(
            request.get("SortBy", ""), "CreationTime"
        )
        is_up = request.get("SortOrder", "Descending" if key == "CreationTime" else "Ascending")
        found.sort(key=lambda each: each.get(key, ""), reverse=is_up == "Descending")
        first, size = _first(request), int(request.get("MaxResults", _PAGE))
        response = {member: [summary(each) for each in found[first : first + size]]}
        more = {"NextToken": str(first + size)} if first + size < len(found) else {}
        return response | more

    def _write(self, name: str, document: Document) -> None:
        make_folder(self.folder(name))
        with whole_file(self.folder(name) / _FILE) as stream:
            stream.write(json.dumps(document, indent=1).encode())


def _first(request: Mapping[str, Any]) -> int:
    token = request.get("NextToken", "0")
    if not token.isdecimal():
        raise ServiceError.validation(f"NextToken must come from an earlier page; got {token!r}.")
    return int(token)
