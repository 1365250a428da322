"""Models, endpoint configurations and endpoints: each endpoint is a server of its own.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpoint.html
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Mapping
from typing import Any

from object2vec.inference.payload import JSON
from object2vec.sagemaker.local.calls import Calls, is_ready
from object2vec.sagemaker.local.images import algorithm_of_image, check_environment
from object2vec.sagemaker.local.jobs import Work, end_noted
from object2vec.sagemaker.local.logs import Logs
from object2vec.sagemaker.local.protocol import Operation, Response, ServiceError
from object2vec.sagemaker.local.resources import Document, Resources
from object2vec.sagemaker.local.storage import MissingData, Storage

_START_S = 120.0  # that a server may take to load its model
_POLL_S = 0.05
_PORT = re.compile(r"Serving .* at http://\S+:(\d+)")
_VARIANT = "AllTraffic"
_SENT = ("content-type", "accept", "x-amzn-sagemaker-custom-attributes")
_RETURNED = ("content-type", "x-amzn-sagemaker-custom-attributes")


class _Server:
    """The server of one endpoint."""

    def __init__(self, job: Work) -> None:
        self.job = job
        self.port: int | None = None
        self.last_lines: list[str] = []
        self.is_over = threading.Event()


class Endpoints:
    """Creates endpoints, passes requests on to them, and ends them.

    Parameters
    ----------
    models, configs, endpoints : Resources
    storage : Storage
    logs : Logs
    """

    def __init__(
        self,
        models: Resources,
        configs: Resources,
        endpoints: Resources,
        storage: Storage,
        logs: Logs,
    ) -> None:
        self.models, self.configs, self.endpoints = models, configs, endpoints
        self._storage, self._logs = storage, logs
        self._servers: dict[str, _Server] = {}  # those that are ready, by the endpoint's name
        self._started: list[tuple[str, _Server]] = []  # all, also those that load their model
        self._lock = threading.RLock()
        self.calls = Calls()

    def operations(self) -> dict[str, Operation]:
        """Return the operations that are offered, by AWS's name."""
        return {
            **self.models.operations(),
            **self.configs.operations(),
            **self.endpoints.operations(),
            "CreateModel": self._create_model,
            "DeleteModel": lambda request: self.models.delete(request["ModelName"]),
            "CreateEndpointConfig": self._create_config,
            "DeleteEndpointConfig": lambda request: self.configs.delete(
                request["EndpointConfigName"]
            ),
            "CreateEndpoint": self._create,
            "UpdateEndpoint": self._update,
            "DeleteEndpoint": self._delete,
        }

    def recover(self) -> None:
        """Start the servers of all endpoints that were there before."""
        for document in self.endpoints.all():
            name = document["EndpointName"]
            end_noted(self.endpoints.folder(name))
            for left in self.endpoints.folder(name).glob("model-*.tar.gz"):
                left.unlink()
            if document["EndpointStatus"] != "Failed":
                self.endpoints.change(name, EndpointStatus="Creating")
                self._start(name, document["EndpointConfigName"])

    def close(self) -> None:
        """End all servers."""
        with self._lock:
            servers = [server for _, server in self._started]
            self._servers.clear()
        for server in servers:
            server.job.stop(grace_s=5)
        for server in servers:
            server.is_over.wait(timeout=10)

    def invoke(self, name: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Return an endpoint's response to a request."""
        with self._lock:
            server = self._servers.get(name)
        if server is None or server.port is None:
            if not self.endpoints.exists(name):
                text = f"Endpoint {name} of account not found."
                return _error("ValidationError", text, 400)
            text = f"The endpoint {name} is not in service yet."
            return _error("ServiceUnavailable", text, 503)
        sent = {
            ("accept" if k.lower() == "accept" else k): v
            for k, v in headers.items()
            if k.lower() in _SENT
        }
        try:
            status, said, content = self.calls.post(server.port, sent, body)
        except OSError as err:
            return _error("ServiceUnavailable", f"The endpoint {name} does not respond: {err}", 503)
        if status >= 400:
            group = f"{self.endpoints.log_group}/{name}"
            return _model_error(name, group, status, content)
        returned = {k: v for k, v in said if k.lower() in _RETURNED}
        returned["x-Amzn-Invoked-Production-Variant"] = _VARIANT
        return Response(200, returned, content)

    def _create_model(self, request: Document) -> Document:
        containers = [request["PrimaryContainer"]] if "PrimaryContainer" in request else []
        containers += request.get("Containers", [])
        if len(containers) != 1:
            text = "A model must have one container: pipelines of several are not offered here."
            raise ServiceError.validation(text)
        algorithm_of_image(containers[0].get("Image", ""))
        check_environment(containers[0].get("Environment", {}))
        if not containers[0].get("ModelDataUrl"):
            raise ServiceError.validation("A model must have a ModelDataUrl.")
        document = self.models.create({"PrimaryContainer": containers[0], **request})
        return {"ModelArn": document["ModelArn"]}

    def _create_config(self, request: Document) -> Document:
        variants = request["ProductionVariants"]
        if len(variants) != 1:
            text = "An endpoint must have one production variant here."
            raise ServiceError.validation(text)
        self.models.get(variants[0]["ModelName"])
        document = self.configs.create(request)
        return {"EndpointConfigArn": document["EndpointConfigArn"]}

    def _create(self, request: Document) -> Document:
        config = self.configs.get(request["EndpointConfigName"])
        document = self.endpoints.create(
            {
                **request,
                "EndpointStatus": "Creating",
                "ProductionVariants": [_variant(each) for each in config["ProductionVariants"]],
            }
        )
        self._start(request["EndpointName"], request["EndpointConfigName"])
        return {"EndpointArn": document["EndpointArn"]}

    def _update(self, request: Document) -> Document:
        """Start a server of another configuration, which takes over when it is ready."""
        name = request["EndpointName"]
        config = self.configs.get(request["EndpointConfigName"])
        if self.endpoints.get(name)["EndpointStatus"] not in ("InService", "Failed"):
            raise ServiceError.validation(f"Cannot update in-progress endpoint {name!r}.")
        document = self.endpoints.change(
            name,
            EndpointStatus="Updating",
            EndpointConfigName=request["EndpointConfigName"],
            ProductionVariants=[_variant(each) for each in config["ProductionVariants"]],
        )
        self._start(name, request["EndpointConfigName"])
        return {"EndpointArn": document["EndpointArn"]}

    def _delete(self, request: Document) -> None:
        name = request["EndpointName"]
        with self._lock:
            self._servers.pop(name, None)
            self.endpoints.delete(name)
            for endpoint, server in self._started:
                if endpoint == name:
                    server.job.stop(grace_s=5)

    def _start(self, name: str, config_name: str) -> None:
        """Start an endpoint's server; it is in service when it responds."""
        server = _Server(Work(self.endpoints.folder(name)))
        with self._lock:
            self._started.append((name, server))
        arguments = (name, config_name, server)
        threading.Thread(target=self._served, args=arguments, daemon=True).start()

    def _served(self, name: str, config_name: str, server: _Server) -> None:
        """Be an endpoint's server until it is stopped, and forget it."""
        try:
            self._serve(name, config_name, server)
        finally:
            server.is_over.set()
            with self._lock:
                self._started.remove((name, server))

    def _serve(self, name: str, config_name: str, server: _Server) -> None:
        folder = self.endpoints.folder(name)
        try:
            variant = self.configs.get(config_name)["ProductionVariants"][0]
            container = self.models.get(variant["ModelName"])["PrimaryContainer"]
            model = folder / f"model-{time.time_ns()}.tar.gz"
            self._storage.get(container["ModelDataUrl"], model)
        except (ServiceError, MissingData) as err:
            self._fail(name, str(err))
            return
        group = f"{self.endpoints.log_group}/{name}"
        stream = self._logs.stream(group, f"{_VARIANT}/i-local")
        watcher = threading.Thread(target=self._watch, args=(name, server), daemon=True)

        def take(line: str) -> None:
            stream.append(line)
            server.last_lines = [*server.last_lines[-2:], line]
            if server.port is None and (match := _PORT.search(line)):
                server.port = int(match[1])
                watcher.start()

        arguments = ["serve", str(model), "--host", "127.0.0.1", "--port", "0"]
        given = container.get("Environment", {}).items()
        environment = {k: v for k, v in given if k != "SAGEMAKER_BIND_TO_PORT"}
        code = server.job.run(arguments, environment, take)
        model.unlink(missing_ok=True)
        with self._lock:
            if self._servers.get(name) is server:
                del self._servers[name]
        if not server.job.stopping.is_set():  # also one that never became ready
            said = " ".join(server.last_lines)
            self._fail(name, f"The server ended with exit code {code}. {said}")

    def _watch(self, name: str, server: _Server) -> None:
        """Wait until a server responds, and put its endpoint into service."""
        deadline = time.monotonic() + _START_S
        while not server.is_over.wait(_POLL_S):
            if time.monotonic() > deadline:
                self._fail(name, f"The server did not respond within {_START_S:.0f} s.")
                server.job.stop(grace_s=0)
                return
            if is_ready(server.port):
                break
        else:
            return
        with self._lock:
            if server.job.stopping.is_set():  # deleted meanwhile
                return
            before = self._servers.get(name)
            self._servers[name] = server
            self.endpoints.change(name, EndpointStatus="InService")
        if before is not None:
            before.job.stop(grace_s=20)

    def _fail(self, name: str, reason: str) -> None:
        with contextlib.suppress(ServiceError):  # deleted meanwhile
            self.endpoints.change(name, EndpointStatus="Failed", FailureReason=reason[:1024])


def _variant(variant: Mapping[str, Any]) -> Document:
    count = variant.get("InitialInstanceCount", 1)
    weight = variant.get("InitialVariantWeight", 1.0)
    return {
        "VariantName": variant["VariantName"],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
    }


def _error(code: str, message: str, status: int) -> Response:
    headers = {"Content-Type": JSON, "x-amzn-ErrorType": code}
    return Response(status, headers, json.dumps({"message": message, "Message": message}).encode())


def _model_error(name: str, log_group: str, status: int, content: bytes) -> Response:
    """Return what SageMaker makes of an error that a model's container responds with."""
    said = content.decode("utf-8", "replace")
    text = (
        f'Received client error ({status}) from primary with message "{said}". See the log of the '
        f"endpoint {name}."
    )
    document = {
        "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if status < 500 else "SERVER_ERROR_FROM_MODEL",
        "LogStreamArn": log_group,
        "Message": text,
        "OriginalMessage": said,
        "OriginalStatusCode": status,
    }
    headers = {"Content-Type": JSON, "x-amzn-ErrorType": "ModelError"}
    return Response(424, headers, json.dumps(document).encode())
