"""AWS's JSON protocol: a request's name and members in, a response or an error out.

botocore's models of the services, which the SDKs are made of, say what a request must look like.

Source: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
"""

from __future__ import annotations

import functools
import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import botocore.session
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

_UNKNOWN = re.compile(r"^Unknown parameter in ", re.MULTILINE)


class ServiceError(Exception):
    """What a service says instead of doing what it is asked.

    Parameters
    ----------
    code : str
        AWS's name of the error, ``ValidationException`` for example.
    message : str
    status : int, default 400
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.status = code, status

    @classmethod
    def validation(cls, message: str) -> ServiceError:
        """Return the error of a request that cannot be right."""
        return cls("ValidationException", message)

    def response(self) -> Response:
        """Return what goes back to a client."""
        content = {"__type": self.code, "message": str(self), "Message": str(self)}
        return _response(content, self.status, {"x-amzn-ErrorType": self.code})


@dataclass(frozen=True)
class Response:
    """What goes back to a client."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


Operation = Callable[[dict[str, Any]], Mapping[str, Any] | None]


class JsonService:
    """Handles the requests of one service by a table of its operations.

    Parameters
    ----------
    name : str
        As botocore calls the service.
    operations : mapping of str to callable
        By AWS's name; takes the members of a request, returns those of the response.
    """

    def __init__(self, name: str, operations: Mapping[str, Operation]) -> None:
        self._name, self._operations = name, operations

    def __call__(self, operation: str, body: bytes) -> Response:
        """Return the response to one request."""
        try:
            document = self._checked(operation, body)
            members = self._operations[operation](document)
        except ServiceError as err:
            return err.response()
        return _response(members or {})

    def _checked(self, operation: str, body: bytes) -> dict[str, Any]:
        """Return the members of a request; raise `ServiceError` if they are not as AWS wants them.

        Members that our botocore does not know are left alone: the client's may be newer.
        """
        if operation not in self._operations:
            text = f"{operation} is not offered by the local service."
            raise ServiceError("UnknownOperationException", text, 404)
        try:
            document = json.loads(body or b"{}")
        except (ValueError, RecursionError) as err:
            raise ServiceError("SerializationException", f"The body must be JSON: {err}") from err
        if not isinstance(document, dict):
            raise ServiceError("SerializationException", "The body must be a JSON object.")
        shape = model_of(self._name).operation_model(operation).input_shape
        if shape is not None:
            report = ParamValidator().validate(document, shape)
            wrong = [
                line for line in report.generate_report().splitlines() if not _UNKNOWN.match(line)
            ]
            if wrong:
                raise ServiceError.validation("\n".join(wrong))
        return document


@functools.cache
def model_of(service: str) -> ServiceModel:
    """Return botocore's model of a service."""
    return botocore.session.get_session().get_service_model(service)


def list_of(operation: str) -> tuple[str, list[str]]:
    """Return what a List operation of SageMaker calls its list, and the members of an element."""
    shape = model_of("sagemaker").operation_model(operation).output_shape
    (found,) = ((name, of) for name, of in shape.members.items() if of.type_name == "list")
    return found[0], list(found[1].member.members)


def _response(
    content: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    body = json.dumps(content).encode()
    fixed = {"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": str(uuid.uuid4())}
    return Response(status, fixed | dict(headers or {}), body)
