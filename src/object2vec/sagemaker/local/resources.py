"""Everything that has a name and a state, each a folder with one JSON file that is always whole."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from object2vec.files.whole import make_folder, whole_file
from object2vec.sagemaker.local.protocol import Operation, ServiceError, list_of

_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_FILE = "resource.json"
_PAGE = 100
_REASON_CHARACTERS = 1024
ENDED = ("Completed", "Failed", "Stopped")
"""States of a job of which nothing more becomes."""

_Listed = TypeVar("_Listed")
Document = dict[str, Any]
Edit = Callable[[Document], object]


class Resources:
    """The resources of one kind. What AWS calls its members, and where they lie, follows from it.

    Parameters
    ----------
    root : Path
        Holds a folder for each kind, and that a folder for each resource.
    kind : str
        As AWS spells it: ``TrainingJob``.
    arn : str
        What stands before the kind in ARNs.
    most : int, optional
        How many there may be at once, not counting those that have ended or failed.
    """

    def __init__(self, root: Path, kind: str, arn: str, most: int | None = None) -> None:
        word = re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind).lower()
        self.kind, self.words, self._most = kind, word.replace("-", " "), most
        self.name_member, self.status_member = f"{kind}Name", f"{kind}Status"
        self.stem = kind.removesuffix("Job")  # of the times at which a job starts and ends
        self.log_group = f"/aws/sagemaker/{kind}s"
        self._folder, self._arn = root / f"{word}s", f"{arn}:{word}"
        self._lock = threading.RLock()
        make_folder(self._folder)
        for each in self._folder.iterdir():
            if not self.exists(each.name):  # made or deleted in part by a service that was killed
                shutil.rmtree(each, ignore_errors=True)

    def operations(self) -> dict[str, Operation]:
        """Return the operations that are alike for all kinds, by AWS's name."""
        return {
            f"Describe{self.kind}": lambda request: self.get(request[self.name_member]),
            f"List{self.kind}s": self.page,
        }

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
        count = sum(each.get(self.status_member) not in ENDED for each in self.all())
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
        try:
            if _NAME.fullmatch(name):
                document: Document = json.loads((self.folder(name) / _FILE).read_text("utf-8"))
                return document
        except FileNotFoundError:
            pass
        text = f"Could not find {self.kind} {name!r}."
        code = "ResourceNotFound" if self.kind.endswith("Job") else "ValidationException"
        raise ServiceError(code, text)

    def change(self, name: str, **members: Any) -> Document:
        """Give a resource other members, and return it."""
        return self.update(name, lambda document: document.update(members))

    def update(self, name: str, edit: Edit) -> Document:
        """Let `edit` change a resource, and return it."""
        with self._lock:
            document = self.get(name)
            edit(document)
            document["LastModifiedTime"] = time.time()
            self._write(name, document)
        return document

    def stop(self, name: str, edit: Edit = lambda document: None) -> None:
        """Note that a job is to end; raise `ServiceError` if it was asked before, or has ended."""

        def stopping(document: Document) -> None:
            if document[self.status_member] != "InProgress":
                text = f"The request was rejected because the {self.words} {name} has ended."
                raise ServiceError.validation(text)
            document[self.status_member] = "Stopping"
            edit(document)

        self.update(name, stopping)

    def end(
        self, name: str, status: str, reason: str = "", edit: Edit = lambda document: None
    ) -> None:
        """Note how a job ended, and why it failed."""

        def ended(document: Document) -> None:
            document[self.status_member] = status
            document[f"{self.stem}EndTime"] = time.time()
            if status == "Failed":
                document["FailureReason"] = reason[:_REASON_CHARACTERS]
            edit(document)

        self.update(name, ended)

    def delete(self, name: str) -> None:
        """Forget a resource; its name is free again."""
        with self._lock:
            self.get(name)
            (self.folder(name) / _FILE).unlink()
        shutil.rmtree(self.folder(name), ignore_errors=True)

    def all(self) -> list[Document]:
        """Return all resources, the oldest first."""
        found = []
        for each in self._folder.iterdir():
            with contextlib.suppress(ServiceError):  # not made yet, or deleted meanwhile
                found.append(self.get(each.name))
        return sorted(found, key=lambda each: (each["CreationTime"], each[self.name_member]))

    def page(
        self, request: Mapping[str, Any], describe: Callable[[Document], Document] = dict
    ) -> Document:
        """Return the response of the List operation: the summaries that a request asks for.

        Parameters
        ----------
        request : mapping
            ``NameContains``, ``StatusEquals``, times, ``SortBy``, ``SortOrder``, ``MaxResults`` and
            ``NextToken``, as all List operations have them.
        describe : callable, optional
            Returns all that is said of a resource; a summary has those members that AWS's has.
        """
        part, state = request.get("NameContains", ""), request.get("StatusEquals")
        after, before = request.get("CreationTimeAfter"), request.get("CreationTimeBefore")
        found = [
            each
            for each in self.all()
            if part.lower() in each[self.name_member].lower()
            and state in (None, each.get(self.status_member))
            and (after is None or each["CreationTime"] > float(after))
            and (before is None or each["CreationTime"] < float(before))
        ]
        key = {"Name": self.name_member, "Status": self.status_member}.get(
            request.get("SortBy", ""), "CreationTime"
        )
        is_up = request.get("SortOrder", "Descending" if key == "CreationTime" else "Ascending")
        found.sort(key=lambda each: each.get(key, ""), reverse=is_up == "Descending")
        shown, more = page_of(found, request, _PAGE)
        member, known = list_of(f"List{self.kind}s")
        described = map(describe, shown)
        summaries = [{name: each[name] for name in known if name in each} for each in described]
        return {member: summaries, **more}

    def _write(self, name: str, document: Document) -> None:
        make_folder(self.folder(name))
        with whole_file(self.folder(name) / _FILE) as stream:
            stream.write(json.dumps(document, indent=1).encode())


def page_of(
    found: Sequence[_Listed],
    request: Mapping[str, Any],
    size: int,
    members: tuple[str, str] = ("NextToken", "MaxResults"),
) -> tuple[Sequence[_Listed], dict[str, str]]:
    """Return the part of a list that a request asks for, and the token of the next part, if any.

    Parameters
    ----------
    found : sequence
    request : mapping
    size : int
        How many there are in a part by default.
    members : tuple of str
        What the request calls its token, and the size that it wants.
    """
    token = request.get(members[0], "0")
    if not token.isdecimal():
        raise ServiceError.validation(
            f"{members[0]} must come from an earlier page; got {token!r}."
        )
    first = int(token)
    last = first + int(request.get(members[1], size))
    return found[first:last], {members[0]: str(last)} if last < len(found) else {}
