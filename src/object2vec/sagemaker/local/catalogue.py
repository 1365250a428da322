"""What is asked of resources whatever their kind: tags, and searches."""

from __future__ import annotations

import operator as operators
from collections.abc import Callable, Mapping
from typing import Any

from object2vec.sagemaker.local.protocol import Operation, ServiceError
from object2vec.sagemaker.local.resources import Document, Resources


class Catalogue:
    """All resources.

    Parameters
    ----------
    kinds : mapping of str to Resources
        By AWS's name.
    """

    def __init__(self, kinds: Mapping[str, Resources]) -> None:
        self._kinds = kinds

    def operations(self) -> dict[str, Operation]:
        """Return the operations that are offered, by AWS's name."""
        return {
            "AddTags": self._add_tags,
            "ListTags": self._list_tags,
            "DeleteTags": self._delete_tags,
            "Search": self._search,
        }

    def _of_arn(self, arn: str) -> tuple[Resources, str]:
        """Return the kind and the name that an ARN means."""
        for kind in self._kinds.values():
            for document in kind.all():
                if document[f"{kind.kind}Arn"] in (arn, arn.lower()):
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
        """Return the training jobs that fit every filter."""
        if request["Resource"] != "TrainingJob":
            text = f"Search is offered for TrainingJob here; got {request['Resource']!r}."
            raise ServiceError.validation(text)
        filters = request.get("SearchExpression", {}).get("Filters", [])
        found = [
            job for job in self._kinds["TrainingJob"].all() if all(_fits(job, f) for f in filters)
        ]
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
    if operator in _ORDERS:
        return bool(_ORDERS[operator](_order(text), _order(wanted)))
    if operator not in _OPERATORS:
        raise ServiceError.validation(f"Operator must be one of AWS's; got {operator!r}.")
    return bool(_OPERATORS[operator](text, wanted))


def _order(text: str) -> tuple[float, str]:
    """Return what a text is ordered by: its number where it is one."""
    try:
        return float(text), ""
    except ValueError:
        return 0.0, text


_ORDERS = {
    "GreaterThan": operators.gt,
    "GreaterThanOrEqualTo": operators.ge,
    "LessThan": operators.lt,
    "LessThanOrEqualTo": operators.le,
}
_OPERATORS: dict[str, Callable[[str, str], Any]] = {
    "Equals": operators.eq,
    "NotEquals": operators.ne,
    "Contains": operators.contains,
    "In": lambda text, wanted: text in wanted.split(","),
}
