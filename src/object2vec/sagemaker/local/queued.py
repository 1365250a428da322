"""What all jobs that a queue runs have in common: they are stopped, go on, and have an end."""

from __future__ import annotations

import shutil
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from object2vec.sagemaker.local.jobs import Queue, Work, end_noted, reason_of
from object2vec.sagemaker.local.logs import Logs, Stream
from object2vec.sagemaker.local.protocol import Operation
from object2vec.sagemaker.local.resources import ENDED, Document, Edit, Resources
from object2vec.sagemaker.local.storage import MissingData, Storage

_TREE = "work"


@dataclass(frozen=True)
class QueuedJobs(ABC):
    """Jobs of one kind, each a process.

    Parameters
    ----------
    jobs : Resources
    queue : Queue
    storage : Storage
    logs : Logs
    """

    jobs: Resources
    queue: Queue
    storage: Storage
    logs: Logs
    stream_name: ClassVar[str]  # of its log, from the `name` of a job and when it was created

    def operations(self) -> dict[str, Operation]:
        """Return the operations that are offered, by AWS's name."""
        kind = self.jobs.kind
        own = {f"Create{kind}": self.create, f"Stop{kind}": self.stop}
        return self.jobs.operations() | own

    @abstractmethod
    def create(self, request: Document) -> Document:
        """Queue a new job."""

    @abstractmethod
    def _run(self, document: Document, job: Work, tree: Path, stream: Stream) -> None:
        """Do the work of a job in the folder `tree`; what this raises is why it failed."""

    def stop(self, request: Document) -> None:
        """Ask a job to end."""
        name = request[self.jobs.name_member]
        self.jobs.stop(name, self._entering("Stopping"))
        self.queue.stop(self.jobs.folder(name))

    def recover(self) -> None:
        """Go on with what an earlier service left."""
        for document in self.jobs.all():
            name = document[self.jobs.name_member]
            end_noted(self.jobs.folder(name))
            if document[self.jobs.status_member] in ENDED:
                shutil.rmtree(self._tree(name), ignore_errors=True)
            elif document[self.jobs.status_member] == "Stopping":
                self._end(name, "Stopped")
            else:
                self._resume(document)

    def _resume(self, document: Document) -> None:
        """Begin a job again that was waiting or running."""
        self._submit(document)

    def _submit(self, document: Document) -> None:
        self.queue.submit(self.jobs.folder(document[self.jobs.name_member]), self._work)

    def _tree(self, name: str) -> Path:
        """Return the folder that a job reads and writes while it runs."""
        return self.jobs.folder(name) / _TREE

    def _stream(self, document: Document) -> Stream:
        name, created = document[self.jobs.name_member], int(document["CreationTime"])
        return self.logs.stream(self.jobs.log_group, self.stream_name.format(name, created))

    def _work(self, job: Work) -> None:
        """Run one job and note how it ended."""
        name, tree = job.name, self._tree(job.name)
        if job.stopping.is_set():  # while it waited
            self._end(name, "Stopped")
            return
        document = self.jobs.change(name, **{f"{self.jobs.stem}StartTime": time.time()})
        stream = self._stream(document)
        try:
            shutil.rmtree(tree, ignore_errors=True)
            self._run(document, job, tree, stream)
        except Exception as err:  # whatever it is, a job has an end
            if job.stopping.is_set() and not isinstance(err, MissingData):
                self._end(name, "Stopped")
            else:
                text = reason_of(err)
                stream.append(text.partition("\n")[0])
                self._end(name, "Failed", text)
        else:
            status = "Stopped" if job.stopping.is_set() else "Completed"
            self._end(name, status, is_overdue=job.is_overdue)
        finally:
            shutil.rmtree(tree, ignore_errors=True)

    def _end(self, name: str, status: str, reason: str = "", *, is_overdue: bool = False) -> None:
        """Note how a job ended; `is_overdue` if its time was over."""
        state = "MaxRuntimeExceeded" if is_overdue else status
        self.jobs.end(name, status, reason, self._entering(state, reason))

    def _entering(self, state: str, reason: str = "") -> Edit:
        """Return what notes the state that a job comes to, where a kind has more than a status."""
        return lambda document: None
