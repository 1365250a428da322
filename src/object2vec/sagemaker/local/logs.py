"""CloudWatch Logs: what jobs and endpoints print, from files that it is appended to.

A log stream is a file of lines, each a time in milliseconds, a tab and a message. Its position in
bytes is what a client calls a token, so that a reader goes on where it was, also while a job runs.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from object2vec.files.whole import make_folder
from object2vec.sagemaker.local.protocol import Operation, ServiceError
from object2vec.sagemaker.local.resources import page_of

_MOST_EVENTS, _MOST_BYTES = 10_000, 1 << 20  # in one response, as on AWS
_TOKEN = re.compile(r"[fb]/(\d{1,18})")


class Stream:
    """One log stream.

    Parameters
    ----------
    path : Path
        Its file, which is made with the first line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def append(self, message: str) -> None:
        """Add a line that was printed now."""
        text = message.replace("\n", "\\n").replace("\r", "")
        with self._lock:
            make_folder(self.path.parent)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{time.time_ns() // 1_000_000}\t{text}\n")


class Logs:
    """All log streams.

    Parameters
    ----------
    folder : Path
        Holds a folder for each group.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def stream(self, group: str, name: str) -> Stream:
        """Return a stream, which need not be there yet."""
        return Stream(self._path(group, name))

    def operations(self) -> dict[str, Operation]:
        """Return the operations that are offered, by AWS's name."""
        return {
            "DescribeLogGroups": self._describe_groups,
            "DescribeLogStreams": self._describe_streams,
            "GetLogEvents": self._events,
            "FilterLogEvents": self._filtered,
        }

    def _path(self, group: str, name: str) -> Path:
        """Return the file of a stream; raise `ServiceError` if no stream has such a name."""
        for text in (group, name):
            if not re.fullmatch(r"[\w./#:-]{1,512}", text) or ".." in text:
                raise ServiceError("InvalidParameterException", f"{text!r} is no name.")
        folder, file = (text.strip("/").replace("/", "%2F") for text in (group, name))
        return self._folder / folder / f"{file}.log"

    def _streams(self, group: str, prefix: str = "") -> Iterator[tuple[str, Path]]:
        """Yield the name and the file of each stream of a group."""
        folder = self._path(group, "-").parent
        if not folder.is_dir():
            text = "The specified log group does not exist."
            raise ServiceError("ResourceNotFoundException", text)
        for path in sorted(folder.glob("*.log")):
            name = path.stem.replace("%2F", "/")
            if name.startswith(prefix):
                yield name, path

    def _describe_groups(self, request: dict[str, Any]) -> dict[str, Any]:
        found = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
        names = ["/" + each.name.replace("%2F", "/") for each in found]
        prefix = request.get("logGroupNamePrefix", "")
        return {"logGroups": [{"logGroupName": n} for n in names if n.startswith(prefix)]}

    def _describe_streams(self, request: dict[str, Any]) -> dict[str, Any]:
        prefix = request.get("logStreamNamePrefix", "")
        found: list[dict[str, Any]] = []
        for name, path in self._streams(request["logGroupName"], prefix):
            facts = path.stat()
            with path.open(encoding="utf-8") as file:
                first = file.readline().partition("\t")[0]
            found.append(
                {
                    "logStreamName": name,
                    "creationTime": int(first or 0),
                    "firstEventTimestamp": int(first or 0),
                    "lastEventTimestamp": facts.st_mtime_ns // 1_000_000,
                    "storedBytes": facts.st_size,
                }
            )
        if request.get("orderBy") == "LastEventTime":
            found.sort(key=lambda each: each["lastEventTimestamp"])
        if request.get("descending"):
            found.reverse()
        return {"logStreams": found[: int(request.get("limit", 50))]}

    def _events(self, request: dict[str, Any]) -> dict[str, Any]:
        group = request.get("logGroupName") or request.get("logGroupIdentifier", "")
        path = self._path(group.rpartition("log-group:")[2], request["logStreamName"])
        if not path.is_file():
            text = "The specified log stream does not exist."
            raise ServiceError("ResourceNotFoundException", text)
        size, limit = path.stat().st_size, int(request.get("limit", _MOST_EVENTS))
        token = _TOKEN.fullmatch(request.get("nextToken", ""))
        if request.get("nextToken") and token is None:
            raise ServiceError("InvalidParameterException", "nextToken is no token of this stream.")
        start = min(int(token[1]), size) if token else 0
        if token is None and not request.get("startFromHead"):
            start = _tail(path, limit)
        events, end = _read(path, start, limit)
        low, high = request.get("startTime", 0), request.get("endTime", 1 << 62)
        events = [each for each in events if low <= each["timestamp"] < high]
        return {
            "events": events,
            "nextForwardToken": f"f/{end}",
            "nextBackwardToken": f"b/{start}",
        }

    def _filtered(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the events of several streams that hold a text."""
        text = request.get("filterPattern", "").strip('"')
        names = request.get("logStreamNames")
        low, high = request.get("startTime", 0), request.get("endTime", 1 << 62)
        found = []
        for name, path in self._streams(
            request["logGroupName"], request.get("logStreamNamePrefix", "")
        ):
            if names is not None and name not in names:
                continue
            position = 0
            while True:
                events, end = _read(path, position, _MOST_EVENTS)
                for number, each in enumerate(events):
                    if low <= each["timestamp"] < high and text in each["message"]:
                        event_id = f"{name}/{position}/{number}"
                        found.append(each | {"logStreamName": name, "eventId": event_id})
                if end == position:
                    break
                position = end
        found.sort(key=lambda each: each["timestamp"])
        shown, more = page_of(found, request, _MOST_EVENTS, ("nextToken", "limit"))
        return {"events": shown, "searchedLogStreams": [], **more}


def _read(path: Path, start: int, limit: int) -> tuple[list[dict[str, Any]], int]:
    """Return whole lines from a position on, and the position after them."""
    events: list[dict[str, Any]] = []
    end = start
    with path.open("rb") as file:
        file.seek(start)
        for line in file:
            if not line.endswith(b"\n") or len(events) == limit or end - start > _MOST_BYTES:
                break
            end += len(line)
            at, _, message = line.decode("utf-8", "replace").rstrip("\n").partition("\t")
            if at.isdecimal():
                events.append({"timestamp": int(at), "message": message, "ingestionTime": int(at)})
    return events, end


def _tail(path: Path, limit: int) -> int:
    """Return the position of the line that is `limit` lines before the end."""
    with path.open("rb") as file:
        starts = [0]
        for line in file:
            starts.append(starts[-1] + len(line))
    return starts[max(0, len(starts) - 1 - limit)]
