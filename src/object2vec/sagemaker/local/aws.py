"""The services that moto offers: S3 over folders, STS and IAM with a role, CloudWatch's metrics.

The seam with moto is here and in `buckets`: its handlers are found as its own proxy finds them, by
the URL that the request would have had at AWS. Nothing of moto's SageMaker is used.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import threading
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

os.environ["TEST_PROXY_MODE"] = "true"  # moto reads it once: a bucket's name may stand in the host

from moto.backend_index import backend_url_patterns
from moto.backends import get_backend
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.request import Request
from moto.iam.models import iam_backends
from moto.sts import urls as sts_urls
from moto.sts.models import STSBackend, sts_backends
from werkzeug.exceptions import HTTPException

from object2vec.sagemaker.local.buckets import ACCOUNT, FolderBackend, Folders
from object2vec.sagemaker.local.protocol import Response, ServiceError

ROLE = "object2vec-local"
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}


class _AssumedRole(STSBackend):
    """An STS to which everybody has assumed one role, as in a notebook of SageMaker."""

    _url_module = sts_urls  # moto derives it from a backend's own module

    def get_caller_identity(self, access_key_id: str, region: str) -> tuple[str, str, str]:
        """Return the id, the ARN and the account of whoever asks."""
        arn = f"arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/SageMaker"
        return f"AROALOCAL:{access_key_id}", arn, ACCOUNT


class Aws:
    """Services of AWS beside SageMaker.

    Parameters
    ----------
    folder : Path
        Where the buckets are.

    Attributes
    ----------
    buckets : Folders
    """

    def __init__(self, folder: Path) -> None:
        self.buckets: Folders = FolderBackend.install(folder)
        self._lock = threading.RLock()  # moto's dictionaries know no threads
        sts_backends[ACCOUNT]["aws"] = _AssumedRole("aws", ACCOUNT)
        roles = iam_backends[ACCOUNT]["aws"]
        if not any(role.name == ROLE for role in roles.roles.values()):
            roles.create_role(
                role_name=ROLE,
                assume_role_policy_document=json.dumps(_TRUST),
                path="/",
                permissions_boundary=None,
                description="Runs jobs on this machine.",
                tags=[],
                max_session_duration="3600",
            )

    def __call__(
        self, method: str, url: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        """Return the response to a request for one of the services.

        Parameters
        ----------
        method : str
        url : str
            Scheme and host that the request would have had at AWS.
        path : str
            The rest of the URL, with its query.
        headers : mapping of str to str
        body : bytes
        """
        handler = _handler(url, path)
        form = dict(urllib.parse.parse_qsl(body.decode("latin-1"))) if _is_form(headers) else {}
        if form.get("Action") == "SimulatePrincipalPolicy":
            return Response(200, {"Content-Type": "text/xml"}, _all_allowed(form))
        if handler is None:
            return _not_offered(url, headers, "This service of AWS is not offered here.")
        try:
            with self._lock:
                request = Request.from_primitives(method, url + path, headers, body)
                made = handler(request, request.raw_url, request.headers)
        except NotImplementedError as err:
            return _not_offered(url, headers, f"{str(err) or 'This'} is not offered here.")
        except HTTPException as err:
            return _response(err.code or 500, dict(err.get_headers()), err.get_body())
        status, said, content = made if isinstance(made, tuple) else (200, {}, made)
        return _response(status, said, content)

    def put_metric(
        self, region: str, namespace: str, name: str, value: float, at: float, job: str
    ) -> None:
        """Give CloudWatch one value of a job's metric."""
        moment = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
        datum = {
            "MetricName": name,
            "Value": value,
            "Timestamp": moment.replace(tzinfo=None),  # as moto has them
            "Unit": "None",
            "Dimensions": [{"Name": "TrainingJobName", "Value": job}],
        }
        with self._lock:
            cloudwatch_backends[ACCOUNT][region].put_metric_data(namespace, [datum])


def _handler(url: str, path: str) -> Any:
    """Return moto's handler of a URL; None if it has none."""
    plain = path.split("?")[0]
    name = next((name for name, pattern in backend_url_patterns if pattern.match(url)), None)
    if name is None:
        return None
    found = get_backend(name)[ACCOUNT]  # type: ignore[call-overload]
    backend = found["us-east-1" if "us-east-1" in found else "aws"]
    return next((h for each, h in backend.url_paths.items() if re.match(each, plain)), None)


def _is_form(headers: Mapping[str, str]) -> bool:
    """Whether a request is of the older protocol, a form that gets XML."""
    return "x-www-form-urlencoded" in headers.get("Content-Type", "")


def _all_allowed(form: Mapping[str, str]) -> bytes:
    """Return IAM's verdict on the actions that a role may do: SDK 3 asks before it trains."""
    names = [value for key, value in form.items() if key.startswith("ActionNames.member.")]
    members = "".join(
        f"<member><EvalActionName>{escape(name)}</EvalActionName><EvalResourceName>*"
        "</EvalResourceName><EvalDecision>allowed</EvalDecision></member>"
        for name in names
    )
    return (
        '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
        f"<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated><EvaluationResults>{members}"
        "</EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
    ).encode()


def _not_offered(url: str, headers: Mapping[str, str], text: str) -> Response:
    """Return an error in the protocol of the request, so that a client can say what it is."""
    if not _is_form(headers) and ".s3" not in f".{url}":
        return ServiceError("UnknownOperationException", text).response()
    error = f"<Error><Code>InvalidAction</Code><Message>{escape(text)}</Message></Error>"
    content = error if ".s3" in f".{url}" else f"<ErrorResponse>{error}</ErrorResponse>"
    return Response(400, {"Content-Type": "text/xml"}, content.encode())


def _response(status: int, headers: Mapping[str, Any], body: Any) -> Response:
    content = body.encode() if isinstance(body, str) else bytes(body or b"")
    texts = {k: v.decode() if isinstance(v, bytes) else str(v) for k, v in headers.items()}
    return Response(status, texts, content)
