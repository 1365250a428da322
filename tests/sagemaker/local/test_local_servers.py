"""Endpoints without the processes of their servers: states, requests passed on, what is said."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
import time
import types

import pytest

from object2vec.sagemaker.local import endpoints
from object2vec.sagemaker.local.buckets import Folders
from object2vec.sagemaker.local.endpoints import Endpoints
from object2vec.sagemaker.local.jobs import note_process
from object2vec.sagemaker.local.logs import Logs
from object2vec.sagemaker.local.protocol import ServiceError
from object2vec.sagemaker.local.resources import Resources
from object2vec.sagemaker.local.storage import Storage

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
IMAGE = "1.dkr.ecr.us-east-1.amazonaws.com/object2vec:1"
KINDS = ("Model", "EndpointConfig", "Endpoint")


class Handler(http.server.BaseHTTPRequestHandler):
    """Says what it was asked; a body that begins with a number is responded to with this status."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.respond(self.server.ping, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.connections.add(self.client_address)
        said = {"path": self.path, "headers": dict(self.headers), "body": body.decode()}
        status = int(body.split()[0]) if body[:1].isdigit() else 200
        self.respond(status, json.dumps(said).encode())

    def respond(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Amzn-SageMaker-Custom-Attributes", "c=1")
        self.send_header("Other", "x")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.server.closes

    def log_message(self, *said):
        pass


KINDS = ("Model", "EndpointConfig", "Endpoint")


class Server(http.server.ThreadingHTTPServer):
    ping, closes = 200, False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.connections = set()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Process:
    """A job whose process is a server in this one, or prints `lines` and ends with `code`."""

    made, lines, code, is_ready = [], ["loading"], None, True

    def __init__(self, folder):
        self.folder, self.stopping, self.graces = folder, threading.Event(), []
        self.ended = threading.Event()
        self.server = Server()
        self.server.ping = 200 if self.is_ready else 503
        Process.made.append(self)

    def run(self, arguments, environment, on_line):
        self.arguments, self.environment = arguments, environment
        for line in self.lines:
            on_line(line)
        if self.code is None:
            on_line(f"Serving a model at http://127.0.0.1:{self.server.server_port}")
            assert self.ended.wait(20)
        self.server.shutdown()
        self.server.server_close()
        return self.code or 0

    def stop(self, grace_s):
        self.graces.append(grace_s)
        self.stopping.set()
        self.ended.set()


@pytest.fixture
def service(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda file: None)
    monkeypatch.setattr(endpoints, "Work", Process)
    monkeypatch.setattr(endpoints, "_POLL_S", 0.005)
    for name, value in (("made", []), ("lines", ["loading"]), ("code", None), ("is_ready", True)):
        monkeypatch.setattr(Process, name, value)
    folders = Folders(tmp_path / "s3")
    (folders.buckets / "b").mkdir(parents=True)
    storage = Storage(folders)
    (tmp_path / "packed").write_text("packed")
    storage.put(tmp_path / "packed", "s3://b/model.tar.gz")
    kinds = [Resources(tmp_path / "all", kind, ARN) for kind in KINDS]
    made = Endpoints(*kinds, storage, Logs(tmp_path / "logs"))
    asked = made.operations()
    ask = types.SimpleNamespace(
        made=made, call=lambda name, **request: asked[name](request), logs=tmp_path / "logs"
    )
    for name in ("one", "two"):
        container = {"Image": IMAGE, "ModelDataUrl": "s3://b/model.tar.gz"}
        container["Environment"] = {"MINE": name, "SAGEMAKER_BIND_TO_PORT": "1"}
        assert ask.call("CreateModel", ModelName=name, PrimaryContainer=container) == {
            "ModelArn": f"{ARN}:model/{name}"
        }
        variant = {"VariantName": "v", "ModelName": name}
        variant |= {"InitialInstanceCount": 2, "InitialVariantWeight": 0.5} if name == "two" else {}
        ask.call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=[variant])
    yield ask
    made.close()
    made.calls.release()
    for process in Process.made:
        process.server.shutdown()  # or its thread looks at a closed socket without a pause
        process.server.server_close()


def described(service, name="e"):
    return service.call("DescribeEndpoint", EndpointName=name)


def until(condition, *, seconds=20):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return found


def in_state(service, state, name="e"):
    return until(
        lambda: said if (said := described(service, name))["EndpointStatus"] == state else None
    )


def created(service, name="e", config="one", state="InService"):
    said = service.call("CreateEndpoint", EndpointName=name, EndpointConfigName=config)
    assert said == {"EndpointArn": f"{ARN}:endpoint/{name}"}
    return in_state(service, state, name)


def test_an_endpoint_is_a_server_of_its_model(service):
    said = created(service)
    (process,) = Process.made
    assert said["ProductionVariants"] == [
        {
            "VariantName": "v",
            "CurrentWeight": 1.0,
            "DesiredWeight": 1.0,
            "CurrentInstanceCount": 1,
            "DesiredInstanceCount": 1,
        }
    ]
    model = process.arguments[1]
    assert process.arguments == ["serve", model, "--host", "127.0.0.1", "--port", "0"]
    assert model.startswith(str(process.folder / "model-"))
    assert process.environment == {"MINE": "one"}
    (stream,) = (service.logs).rglob("*i-local*")
    assert [line.split("\t")[1] for line in stream.read_text().splitlines()] == [
        "loading",
        f"Serving a model at http://127.0.0.1:{process.server.server_port}",
    ]
    service.call("DeleteEndpoint", EndpointName="e")
    assert process.graces == [5]
    assert not service.made.endpoints.exists("e")
    until(lambda: not service.made._started)
    assert service.made._servers == {}


def test_a_request_is_passed_on_with_what_belongs_to_it(service):
    created(service)
    headers = {
        "Content-Type": "text/csv",
        "Accept": "application/json;\r\n verbose=true",
        "X-Amzn-SageMaker-Custom-Attributes": "a=1",
        "Authorization": "secret",
    }
    response = service.made.invoke("e", headers, b"caf\xc3\xa9")
    assert response.status == 200
    assert response.headers == {
        "Content-Type": "application/json",
        "X-Amzn-SageMaker-Custom-Attributes": "c=1",
        "x-Amzn-Invoked-Production-Variant": "AllTraffic",
    }
    assert json.loads(response.body) == {
        "path": "/invocations",
        "body": "café",
        "headers": {
            "Host": "127.0.0.1",
            "Content-Length": "5",
            "Content-Type": "text/csv",
            "accept": "application/json; verbose=true",
            "X-Amzn-SageMaker-Custom-Attributes": "a=1",
        },
    }


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "CLIENT_ERROR_FROM_MODEL"),
        (499, "CLIENT_ERROR_FROM_MODEL"),
        (500, "SERVER_ERROR_FROM_MODEL"),
    ],
)
def test_an_error_of_the_model_is_said_as_aws_says_it(service, status, code):
    created(service)
    response = service.made.invoke("e", {}, str(status).encode())
    assert response.status == 424
    assert response.headers["x-amzn-ErrorType"] == "ModelError"
    said = json.loads(response.body)
    assert said["ErrorCode"] == code
    assert said["OriginalStatusCode"] == status
    assert json.loads(said["OriginalMessage"])["body"] == str(status)
    assert said["LogStreamArn"] == "/aws/sagemaker/Endpoints/e"
    assert said["Message"].startswith(f"Received client error ({status}) from primary with message")
    assert said["Message"].endswith("See the log of the endpoint e.")
    assert service.made.invoke("e", {}, b"399").status == 200


def test_a_connection_stays_open_and_is_made_again_when_it_was_closed(service):
    created(service)
    (process,) = Process.made
    for body in (b"a", b"b"):
        assert service.made.invoke("e", {}, body).status == 200
    assert len(process.server.connections) == 1
    process.server.closes = True  # without a word, while the connection is idle
    for body in (b"c", b"d", b"e"):
        assert service.made.invoke("e", {}, body).status == 200
    assert len(process.server.connections) == 3
    service.made.calls.release()
    service.made.calls.release()
    process.server.closes = False
    assert service.made.invoke("e", {}, b"f").status == 200
    assert len(process.server.connections) == 4


def test_who_is_not_in_service_does_not_respond(service, monkeypatch):
    missing = service.made.invoke("none", {}, b"")
    assert (missing.status, missing.headers["x-amzn-ErrorType"]) == (400, "ValidationError")
    assert json.loads(missing.body)["message"] == "Endpoint none of account not found."
    monkeypatch.setattr(Process, "is_ready", False)
    service.call("CreateEndpoint", EndpointName="e", EndpointConfigName="one")
    until(lambda: Process.made and hasattr(Process.made[0], "arguments"))
    early = service.made.invoke("e", {}, b"")
    assert (early.status, early.headers["x-amzn-ErrorType"]) == (503, "ServiceUnavailable")
    assert "is not in service yet" in json.loads(early.body)["Message"]
    with pytest.raises(ServiceError, match="Cannot update in-progress endpoint 'e'"):
        service.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="two")
    Process.made[0].server.ping = 200
    in_state(service, "InService")
    monkeypatch.setattr(
        service.made.calls, "post", lambda *_: (_ for _ in ()).throw(OSError("gone"))
    )
    lost = service.made.invoke("e", {}, b"")
    assert (lost.status, json.loads(lost.body)["message"]) == (
        503,
        "The endpoint e does not respond: gone",
    )


def test_another_configuration_takes_over_when_it_is_ready(service):
    created(service)
    said = service.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="two")
    assert said == {"EndpointArn": f"{ARN}:endpoint/e"}
    said = in_state(service, "InService")
    first, second = Process.made
    until(lambda: first.graces)
    assert (first.graces, second.graces) == ([20], [])
    assert said["EndpointConfigName"] == "two"
    assert said["ProductionVariants"][0] == {
        "VariantName": "v",
        "CurrentWeight": 0.5,
        "DesiredWeight": 0.5,
        "CurrentInstanceCount": 2,
        "DesiredInstanceCount": 2,
    }
    until(lambda: len(service.made._started) == 1)
    assert service.made.invoke("e", {}, b"x").status == 200
    assert len(second.server.connections) == 1


def test_a_server_that_ends_has_failed_and_its_last_lines_say_why(service, monkeypatch):
    monkeypatch.setattr(Process, "lines", ["a", "b", "c", "d"])
    monkeypatch.setattr(Process, "code", 7)
    said = created(service, state="Failed")
    assert said["FailureReason"] == "The server ended with exit code 7. b c d"
    assert not list(Process.made[0].folder.glob("model-*"))
    monkeypatch.setattr(Process, "lines", ["x" * 2000])
    assert len(created(service, "long", state="Failed")["FailureReason"]) == 1024
    monkeypatch.setattr(Process, "code", None)
    service.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="two")
    in_state(service, "InService")


def test_a_deleted_endpoint_does_not_respond_while_its_server_ends(service, monkeypatch):
    created(service)
    (process,) = Process.made
    monkeypatch.setattr(Process, "stop", lambda self, grace_s: self.stopping.set())
    service.call("DeleteEndpoint", EndpointName="e")
    gone = service.made.invoke("e", {}, b"")
    assert json.loads(gone.body)["message"] == "Endpoint e of account not found."
    assert process.server.connections == set()
    process.ended.set()
    until(lambda: not service.made._started)


def test_an_endpoint_that_is_deleted_is_the_only_one(service):
    for name in ("e", "f"):
        created(service, name)
    service.call("DeleteEndpoint", EndpointName="e")
    assert [process.graces for process in Process.made] == [[5], []]
    assert service.made.invoke("f", {}, b"x").status == 200


def test_the_service_ends_when_all_servers_have_ended(service, monkeypatch):
    for name in ("e", "f"):
        created(service, name)

    def stop(process, grace_s):
        process.stopping.set()
        threading.Timer(0.05, process.ended.set).start()

    monkeypatch.setattr(Process, "stop", stop)
    servers = [server for _, server in service.made._started]
    service.made.close()
    assert all(server.is_over.is_set() for server in servers)
    assert len(servers) == 2


def test_a_server_that_ends_later_has_failed_too(service):
    created(service)
    Process.made[0].ended.set()
    said = in_state(service, "Failed")
    assert said["FailureReason"].startswith("The server ended with exit code 0. loading Serving a")
    assert service.made.invoke("e", {}, b"").status == 503
    assert not list(Process.made[0].folder.glob("model-*"))
    until(lambda: not service.made._started)
    service.call("DeleteEndpoint", EndpointName="e")
    assert Process.made[0].graces == []


def test_an_endpoint_that_is_deleted_while_its_server_starts_is_no_more(service, monkeypatch):
    def is_ready(port):
        service.call("DeleteEndpoint", EndpointName="e")  # just before it would be in service
        return True

    monkeypatch.setattr(endpoints, "is_ready", is_ready)
    service.call("CreateEndpoint", EndpointName="e", EndpointConfigName="one")
    until(lambda: Process.made and Process.made[0].graces)
    until(lambda: not service.made._started)
    assert Process.made[0].graces == [5]
    assert service.made._servers == {}
    assert not service.made.endpoints.exists("e")
    monkeypatch.undo()


def test_a_server_that_is_never_ready_has_failed(service, monkeypatch):
    monkeypatch.setattr(endpoints, "_START_S", 0.02)
    monkeypatch.setattr(Process, "is_ready", False)
    said = created(service, state="Failed")
    assert said["FailureReason"] == "The server did not respond within 0 s."
    until(lambda: Process.made[0].graces == [0])


def test_without_its_model_an_endpoint_has_failed(service):
    service.call(
        "CreateModel",
        ModelName="gone",
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": "s3://b/none"},
    )
    variant = {"VariantName": "v", "ModelName": "gone"}
    service.call("CreateEndpointConfig", EndpointConfigName="gone", ProductionVariants=[variant])
    said = created(service, config="gone", state="Failed")
    assert said["FailureReason"] == "Could not find model data at s3://b/none."
    service.call("DeleteModel", ModelName="one")
    assert "Could not find Model 'one'" in created(service, "f", state="Failed")["FailureReason"]


def test_what_cannot_be_served_is_rejected_at_once(service):
    good = {"Image": IMAGE, "ModelDataUrl": "s3://b/x"}
    for wrong, text in (
        ({}, "one container"),
        ({"PrimaryContainer": good, "Containers": [good]}, "one container"),
        ({"PrimaryContainer": {"Image": IMAGE}}, "must have a ModelDataUrl"),
        ({"PrimaryContainer": {"ModelDataUrl": "s3://b/x"}}, "must be that of object2vec"),
        ({"PrimaryContainer": good | {"Environment": {"PYTHONPATH": "x"}}}, "which code is run"),
    ):
        with pytest.raises(ServiceError, match=text):
            service.call("CreateModel", ModelName="m", **wrong)
    service.call("CreateModel", ModelName="m", Containers=[good])
    assert service.call("DescribeModel", ModelName="m")["PrimaryContainer"] == good
    variant = {"VariantName": "v", "ModelName": "m"}
    for variants, text in (
        ([], "one production variant"),
        ([variant, variant], "one production variant"),
        ([variant | {"ModelName": "none"}], "Could not find Model"),
    ):
        asked = {"EndpointConfigName": "c", "ProductionVariants": variants}
        with pytest.raises(ServiceError, match=text):
            service.call("CreateEndpointConfig", **asked)
    for operation in ("CreateEndpoint", "UpdateEndpoint"):
        with pytest.raises(ServiceError, match="Could not find EndpointConfig"):
            service.call(operation, EndpointName="e", EndpointConfigName="none")
    with pytest.raises(ServiceError, match="Could not find Endpoint"):
        service.call("DeleteEndpoint", EndpointName="e")


def test_lists_say_what_aws_says_of_each(service):
    created(service)
    (endpoint,) = service.call("ListEndpoints")["Endpoints"]
    assert endpoint.keys() == {
        *("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
    }
    models = service.call("ListModels", SortBy="Name")["Models"]
    assert [each.keys() for each in models] == [{"ModelName", "ModelArn", "CreationTime"}] * 2
    (config,) = service.call("ListEndpointConfigs", NameContains="two")["EndpointConfigs"]
    assert config.keys() == {"EndpointConfigName", "EndpointConfigArn", "CreationTime"}
    service.call("DeleteEndpointConfig", EndpointConfigName="two")
    assert not service.made.configs.exists("two")


def test_endpoints_are_served_again_by_the_next_service(service, monkeypatch):
    created(service)
    created(service, "failed")
    service.made.endpoints.change("failed", EndpointStatus="Failed")
    left = service.made.endpoints.folder("e") / "model-1.tar.gz"
    left.write_text("left")
    service.made.close()
    assert [process.graces for process in Process.made] == [[5], [5]]
    assert service.made.invoke("e", {}, b"").status == 503
    until(lambda: not service.made._started)
    service.made.endpoints.change("e", EndpointStatus="InService")
    monkeypatch.setattr(Process, "is_ready", False)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as killed:
        note_process(service.made.endpoints.folder("e"), killed.pid)  # of a service that was killed
        service.made.recover()
        assert killed.wait(20) == -9
    until(lambda: len(Process.made) == 3)
    assert described(service)["EndpointStatus"] == "Creating"
    Process.made[2].server.ping = 200
    in_state(service, "InService")
    until(lambda: "e" in service.made._servers)
    assert not left.exists()
    assert len(Process.made) == 3
    assert described(service, "failed")["EndpointStatus"] == "Failed"
