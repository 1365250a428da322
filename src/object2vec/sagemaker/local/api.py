"""SageMaker as this machine offers it: every operation, over one folder."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from object2vec.sagemaker.local.aws import Aws
from object2vec.sagemaker.local.buckets import ACCOUNT
from object2vec.sagemaker.local.endpoints import Endpoints
from object2vec.sagemaker.local.jobs import Queue
from object2vec.sagemaker.local.logs import Logs
from object2vec.sagemaker.local.protocol import JsonService, ServiceError
from object2vec.sagemaker.local.resources import Document, Resources
from object2vec.sagemaker.local.storage import Storage
from object2vec.sagemaker.local.training import Training
from object2vec.sagemaker.local.transforms import Transforms


class SageMaker:
    """The local SageMaker.

    Parameters
    ----------
    folder : Path
        Where everything lies.
    aws : Aws
    region : str
    slots : int
        Jobs that run at once.
    has_remote_storage : bool, default False
        Whether S3 is the user's own.

    Attributes
    ----------
    control, logs : JsonService
        What answers for SageMaker and for CloudWatch Logs.
    endpoints : Endpoints
    """

    def __init__(
        self,
        folder: Path,
        aws: Aws,
        region: str,
        slots: int,
        *,
        has_remote_storage: bool = False,
    ) -> None:
        arn = f"arn:aws:sagemaker:{region}:{ACCOUNT}"
        storage = Storage(aws.buckets, is_remote=has_remote_storage)
        streams = Logs(folder / "logs")
        self._queue = Queue(slots)
        self.endpoints = Endpoints(folder, arn, storage, streams)
        jobs = Resources(folder / "training-jobs", "TrainingJob", f"{arn}:training-job")
        self.training = Training(jobs, self._queue, storage, streams, aws, region)
        transform_jobs = Resources(
            folder / "transform-jobs", "TransformJob", f"{arn}:transform-job"
        )
        self.transforms = Transforms(transform_jobs, self._queue, storage, streams, self.endpoints)
        self._resources = [
            jobs,
            transform_jobs,
            self.endpoints.models,
            self.endpoints.configs,
            self.endpoints.endpoints,
        ]
        self._lock = threading.Lock()
        self.control = JsonService(
            "sagemaker",
            {
                **self.training.operations(),
                **self.transforms.operations(),
                **self.endpoints.operations(),
                "AddTags": self._add_tags,
                "ListTags": self._list_tags,
                "DeleteTags": self._delete_tags,
                "Search": self._search,
            },
        )
        self.logs = JsonService("logs", streams.operations())

    def recover(self) -> None:
        """Go on with what an earlier service left in the folder."""
        self.training.recover()
        self.transforms.recover()
        self.endpoints.recover()

    def close(self, grace_s: float) -> None:
        """End all jobs and endpoints."""
        self._queue.close(grace_s)
        self.endpoints.close()

    def _of_arn(self, arn: str) -> tuple[Resources, str]:
        """Return the kind and the name that an ARN means."""
        for kind in self._resources:
            for document in kind.all():
                if document[f"{kind.kind}Arn"] == arn.lower() or document[f"{kind.kind}Arn"] == arn:
                    return kind, document[kind.name_member]
        raise ServiceError.validation(f"Could not find a resource with the ARN {arn!r}.")

    def _add_tags(self, request: Document) -> Document:
        kind, name = self._of_arn(request["ResourceArn"])
        added = {tag["Key"]: tag for tag in request["Tags"]}

        def edit(document: Document) -> None:
            kept = [tag for tag in document.get("Tags", []) if tag["Key"] not in added]
            document["Tags"] = [*kept, *added.values()]

        return {"Tags": kind.update(name, edit)["Tags"]}

    def _list_tags(self, request: Document) -> Document:
        kind, name = self._of_arn(request["ResourceArn"])
        return {"Tags": kind.get(name).get("Tags", [])}

    def _delete_tags(self, request: Document) -> Document:
        kind, name = self._of_arn(request["ResourceArn"])

        def edit(document: Document) -> None:
            tags = document.get("Tags", [])
            document["Tags"] = [tag for tag in tags if tag["Key"] not in request["TagKeys"]]

        kind.update(name, edit)
        return {}

    def _search(self, request: Document) -> Document:
        """Answer with the training jobs that fit every filter."""
        if request["Resource"] != "TrainingJob":
            text = f"Search is offered for TrainingJob here; got {request['Resource']!r}."
            raise ServiceError.validation(text)
        filters = request.get("SearchExpression", {}).get("Filters", [])
        found = [job for job in self._resources[0].all() if all(_fits(job, f) for f in filters)]
        size = int(request.get("MaxResults", 100))
        return {"Results": [{"TrainingJob": job} for job in reversed(found)][:size]}


def _fits(document: Document, rule: dict[str, Any]) -> bool:
    """Say whether a resource fits a filter of a search."""
    name, operator = str(rule["Name"]), str(rule.get("Operator", "Equals"))
    if name.startswith("Tags."):
        tags = {tag["Key"]: tag["Value"] for tag in document.get("Tags", [])}
        have: Any = tags.get(name.removeprefix("Tags."))
    else:
        have = document
        for part in name.split("."):
            have = have.get(part) if isinstance(have, dict) else None
    if operator in ("Exists", "NotExists"):
        return (have is not None) == (operator == "Exists")
    text, wanted = "" if have is None else str(have), str(rule.get("Value") or "")
    if operator == "In":
        return text in wanted.split(",")
    if operator not in _OPERATORS:
        raise ServiceError.validation(f"Operator must be one of AWS's; got {operator!r}.")
    return _OPERATORS[operator](_Text(text), _Text(wanted))


class _Text(str):
    """A text that is compared by its number where it is one."""

    def key(self) -> tuple[float, str]:
        """Return what stands for it in comparisons."""
        try:
            return float(self), ""
        except ValueError:
            return 0.0, str(self)


_OPERATORS: dict[str, Callable[[_Text, _Text], bool]] = {
    "Equals": lambda have, wanted: str(have) == str(wanted),
    "NotEquals": lambda have, wanted: str(have) != str(wanted),
    "Contains": lambda have, wanted: str(wanted) in str(have),
    "GreaterThan": lambda have, wanted: have.key() > wanted.key(),
    "GreaterThanOrEqualTo": lambda have, wanted: have.key() >= wanted.key(),
    "LessThan": lambda have, wanted: have.key() < wanted.key(),
    "LessThanOrEqualTo": lambda have, wanted: have.key() <= wanted.key(),
}
