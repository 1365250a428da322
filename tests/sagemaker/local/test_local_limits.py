"""What the service does not take: bodies without end, other keys, code instead of data."""

import re
import socket
import ssl
import threading
import time

import pytest
from botocore.exceptions import ClientError

from object2vec.cli import main
from object2vec.errors import ConfigError
from object2vec.files.whole import TEMPORARY_PREFIX
from object2vec.sagemaker.local import service as local
from object2vec.sagemaker.local.protocol import ServiceError
from object2vec.sagemaker.local.service import Service


def said(running, request):
    """The first bytes that the service answers raw bytes with."""
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(1 << 16)


HEAD = (
    b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: SageMaker.ListModels\r\nAuthorization: "
    b"AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sagemaker/aws4_request\r\n"
)


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        (b"Content-Length: 2\r\n\r\n{}", 200),
        (b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 200),
        (b"Content-Length: 99999999999\r\n\r\n", 413),
        (b"Content-Length: -5\r\n\r\n", 400),
        (b"Content-Length: many\r\n\r\n", 400),
        (b"Content-Length: 0x5\r\n\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\n-2\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\nfffffffffffff\r\n", 413),
        (b"Transfer-Encoding: chunked\r\n\r\n\r\n", 400),
    ],
)
def test_bodies_that_are_too_large_or_of_no_size(service, rest, status):
    assert said(service, HEAD + rest).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize(
    "name", ["LD_PRELOAD", "PYTHONPATH", "PATH", "ld_library_path", "NUMBA_CACHE_DIR"]
)
def test_a_request_cannot_choose_the_code_that_is_run(sagemaker, job, name):
    request = job()
    request["Environment"] = {"OBJECT2VEC_DEBUG": "1", name: "x"}
    with pytest.raises(ClientError, match=f"Environment must not say which code.*{name}"):
        sagemaker.create_training_job(TrainingJobName="code", **request)
    container = {"Image": "object2vec", "ModelDataUrl": "s3://b/k", "Environment": {name: "x"}}
    with pytest.raises(ClientError, match="Environment must not say which code"):
        sagemaker.create_model(ModelName="code", PrimaryContainer=container)


def test_names_and_values_are_data_and_reach_no_shell(sagemaker, job, ended, s3, tmp_path):
    command = f"$(touch {tmp_path}/a);`touch {tmp_path}/b`\n touch {tmp_path}/c"
    sagemaker.create_training_job(TrainingJobName="values", **job(enc_dim=command))
    assert "enc_dim: must be" in ended("values")["FailureReason"]
    request = job()
    source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    source["S3Uri"] = f"s3://sagemaker-data/{command}"
    sagemaker.create_training_job(TrainingJobName="uri", **request)
    assert ended("uri")["TrainingJobStatus"] == "Failed"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../../train", "..", ".", "a/b", "", ".hidden"])
def test_a_channel_is_a_folder_in_the_job_s_own(sagemaker, job, name):
    request = job()
    request["InputDataConfig"][0]["ChannelName"] = name
    with pytest.raises((ClientError, Exception), match="ChannelName"):
        sagemaker.create_training_job(TrainingJobName="channels", **request)


def test_a_key_that_leads_out_of_its_channel_is_rejected(sagemaker, job, ended, s3, bucket):
    s3.put_object(Bucket=bucket, Key="out-of/../../../../escaped", Body=b"{}")
    request = job()
    source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    source["S3Uri"] = f"s3://{bucket}/out-of"
    sagemaker.create_training_job(TrainingJobName="escape", **request)
    said = ended("escape")
    assert said["FailureReason"].startswith("ClientError: The key 'out-of/../")
    assert "can be no file" in said["FailureReason"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--port -1", r"--port: must be in \[0, 65535\]; got -1"),
        ("--port 65536", r"--port: must be in \[0, 65535\]; got 65536"),
        ("--slots -1", r"--slots: must not be negative; got -1"),
        ("--region Nowhere!", r"--region: must be a region of AWS; got 'Nowhere!'"),
        ("--slots -1 --port -1", r"2 problems:"),
        ("--slots many", r"Invalid value for '--slots'"),
    ],
)
def test_wrong_options_are_a_usage_error_before_anything_starts(options, message, tmp_path, capsys):
    folder = tmp_path / "dir"
    assert main(["sagemaker", "local", "--dir", str(folder), *options.split(), "--", "true"]) == 2
    assert re.search(f"^Error: {message}", capsys.readouterr().err, re.MULTILINE)
    assert not folder.exists()


def test_a_folder_that_cannot_be_is_said(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["sagemaker", "local", "--dir", str(tmp_path / "file"), "--", "true"]) == 1
    assert "file: must be writable, with space left; got" in capsys.readouterr().err


def test_with_a_key_other_keys_are_rejected(tmp_path, client):
    with Service(tmp_path, key="mine").running(grace_s=1) as running:
        for name, call in (("s3", "list_buckets"), ("sagemaker", "list_training_jobs")):
            getattr(client(name, of=running, key="mine"), call)()
            with pytest.raises(ClientError) as caught:
                getattr(client(name, of=running, key="theirs"), call)()
            assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        unsigned = said(running, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert unsigned.startswith(b"HTTP/1.1 403 ")


SIGNED = "AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/{}/aws4_request"


@pytest.mark.parametrize(
    ("signed", "path", "host"),
    [
        ("sagemaker", "/", "api.sagemaker.eu-west-1.amazonaws.com"),
        ("sagemaker", "/endpoints/e/invocations", "runtime.sagemaker.eu-west-1.amazonaws.com"),
        ("logs", "/", "logs.eu-west-1.amazonaws.com"),
        ("", "/bucket/key", "s3.us-east-1.amazonaws.com"),
    ],
)
def test_a_request_by_url_is_for_the_host_that_its_signature_names(service, signed, path, host):
    headers = {"Authorization": SIGNED.format(signed)} if signed else {}
    assert service.host_of(headers, path) == host


def test_paths_of_the_runtime_that_are_not_offered(service):
    host = "runtime.sagemaker.us-east-1.amazonaws.com"
    assert service.respond("POST", host, "/endpoints/e", {}, b"").status == 404
    unknown = service.respond("POST", host, "/endpoints/no%20ne/invocations?x=1", {}, b"")
    assert unknown.status == 400
    assert b"Endpoint no ne of account not found" in unknown.body


def test_clients_that_go_away_are_nothing_to_speak_of(service, capsys):
    def handled(error):
        try:
            raise error
        except type(error):
            service._server.handle_error(None, None)
        return capsys.readouterr().err

    for error in (ConnectionResetError(), BrokenPipeError(), TimeoutError(), ssl.SSLError()):
        assert handled(error) == ""
    assert handled(ValueError("our bug")).endswith("ValueError: our bug\n")


def test_clients_find_the_service_by_variables(service, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    bundle, direct = str(service.authority.bundle), service.environment()["no_proxy"]
    assert service.environment() == {
        "HTTPS_PROXY": service.url,
        "https_proxy": service.url,
        "NO_PROXY": direct,
        "no_proxy": direct,
        "AWS_CA_BUNDLE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "SSL_CERT_FILE": bundle,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_PYTHON_SDK_TELEMETRY_OPT_OUT": "true",
        "NLTK_ALLOW_PROXIED_URLOPEN": "1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mine")
    assert service.environment()["AWS_ACCESS_KEY_ID"] == "mine"


@pytest.mark.parametrize(
    ("text", "base", "size"),
    [
        ("5", 10, 5),
        ("5", 16, 5),
        (" 1f ", 16, 31),
        ("0" * 15, 10, 0),
        ("1" * 15, 10, int("1" * 15)),
    ],
)
def test_the_size_of_a_body(text, base, size):
    assert local._size(text, base) == size


@pytest.mark.parametrize(("text", "base"), [("", 10), ("1f", 10), ("1" * 16, 10), ("+5", 16)])
def test_what_is_no_size_of_a_body(text, base):
    with pytest.raises(ServiceError) as caught:
        local._size(text, base)
    assert caught.value.code == "IncompleteBody"


def talk(running, *requests):
    """Everything that the service answers raw requests with on one connection, to its end."""
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"".join(requests))
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


ONE = HEAD + b"Content-Length: 2\r\n\r\n{}"
CHUNKED = HEAD + b"Transfer-Encoding: Chunked\r\n\r\n"


@pytest.mark.parametrize(
    "first",
    [
        ONE,
        CHUNKED + b"1;of=us\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        CHUNKED + b"2\r\n{}\r\n0\r\nSum: 1\r\nMore: 2\r\n\r\n",  # with trailers
        HEAD + b"\r\n",
    ],
)
def test_the_next_request_begins_where_a_body_ends(service, first):
    said = talk(service, first, ONE, ONE)
    assert re.findall(rb"HTTP/1.1 (\d+) (\w+)\r", said) == [(b"200", b"OK")] * 3
    assert said.count(b'{"Models": []}') == 3
    assert b"Connection: close" not in said


@pytest.mark.parametrize("form", ["sized", "chunked"])
@pytest.mark.parametrize(
    ("target", "size", "status"),
    [("sagemaker", 100, 200), ("sagemaker", 101, 413), ("s3", 200, 404), ("s3", 201, 413)],
)
def test_a_body_has_its_limit_and_an_upload_a_larger_one(
    service, monkeypatch, form, target, size, status
):
    monkeypatch.setattr(local, "_MAX_REQUEST_BYTES", 100)
    monkeypatch.setattr(local, "MAX_BODY_BYTES", 200)
    head = HEAD if target == "sagemaker" else b"PUT /no-such-bucket/key HTTP/1.1\r\nHost: x\r\n"
    body = b"{}".ljust(size)
    if form == "sized":
        rest = b"Content-Length: %d\r\n\r\n%s" % (size, body)
    else:
        first, rest = body[:40], body[40:]
        rest = b"28\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (first, len(rest), rest)
        rest = b"Transfer-Encoding: chunked\r\n\r\n" + rest
    answer = said(service, head + rest)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert (b"\r\nConnection: close\r\n" in answer) == (status == 413)
    if status == 413:
        assert b"A body must have at most %d bytes." % (200 if target == "s3" else 100) in answer


@pytest.mark.parametrize(
    ("target", "size", "status"),
    [("sagemaker", 64 << 20, 400), ("sagemaker", (64 << 20) + 1, 413), ("s3", (5 << 30) + 1, 413)],
)
def test_a_body_is_rejected_before_it_is_sent(service, target, size, status):
    """5 GiB are what S3 takes at once."""
    head = HEAD if target == "sagemaker" else b"PUT /no-such-bucket/key HTTP/1.1\r\nHost: x\r\n"
    answer = talk(service, head + b"Content-Length: %d\r\n\r\n" % size)
    assert answer.startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 10\r\n\r\n12345",
        b"Transfer-Encoding: chunked\r\n\r\na\r\n12345",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
    ],
)
def test_an_upload_that_breaks_off_is_no_key(service, bucket, rest):
    answer = talk(service, b"PUT /%s/half HTTP/1.1\r\nHost: x\r\n" % bucket.encode() + rest)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"IncompleteBody" in answer
    assert "half" not in service.aws.buckets.keys(bucket)


def test_a_plain_request_to_a_proxy_is_for_the_host_in_its_address(service):
    form = b"GET http://%s/%s HTTP/1.1\r\nHost: other\r\n\r\n"
    assert b"<ListAllMyBucketsResult" in talk(service, form % (b"s3.amazonaws.com", b""))
    missing = talk(service, form % (b"s3.us-east-1.amazonaws.com:80", b"no-such-bucket?a=b"))
    assert b"<Code>NoSuchBucket</Code>" in missing
    elsewhere = talk(service, form % (b"pypi.example", b"simple"))
    assert elsewhere.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert elsewhere.endswith(b"Only HTTPS is passed through.")


def test_the_head_of_a_response_comes_alone_if_it_is_asked_for(service):
    answer = talk(service, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.endswith(b"\r\n\r\n")
    size = re.search(rb"(?i)content-length: (\d+)", answer)
    assert int(size[1]) > 0


def test_what_goes_wrong_in_the_service_is_its_own_failure(service, monkeypatch, capsys):
    def broken(*given):
        raise RuntimeError("our bug")

    monkeypatch.setattr(service, "respond", broken)
    answer = talk(service, ONE, ONE)
    assert answer.count(b"HTTP/1.1 500 Internal Server Error\r\n") == 2
    assert answer.count(b"x-amzn-ErrorType: InternalFailure\r\n") == 2
    assert "RuntimeError: our bug" in capsys.readouterr().err


def test_what_the_sdk_reports_of_itself_goes_nowhere(service):
    host = "sm-pysdk-t-us-east-1.s3.us-east-1.amazonaws.com"
    response = service.respond("GET", host, "/telemetry?x=1", {}, b"")
    assert (response.status, response.body) == (200, b"")


def test_a_client_keeps_its_own_keys_and_the_service_s_own_is_the_next(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    with Service(tmp_path, key="mine", region="eu-west-1").running(grace_s=1) as running:
        said = running.environment()
        assert (said["AWS_ACCESS_KEY_ID"], said["AWS_REGION"]) == ("mine", "eu-west-1")
        assert said["AWS_DEFAULT_REGION"] == "eu-west-1"
        assert running.host_of({}, "/") == "s3.eu-west-1.amazonaws.com"
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "theirs")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        said = running.environment()
        assert (said["AWS_ACCESS_KEY_ID"], said["AWS_SECRET_ACCESS_KEY"]) == ("theirs", "secret")


def connections_in_work():
    return [each for each in threading.enumerate() if "process_request_thread" in each.name]


def test_a_service_that_ends_ends_its_connections_and_leaves_its_folder(tmp_path):
    before = len(connections_in_work())
    with Service(tmp_path).running(grace_s=1) as running:
        host, port = running.url.removeprefix("http://").split(":")
        connection = socket.create_connection((host, int(port)), timeout=10)
        connection.sendall(ONE)
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        assert len(connections_in_work()) == before + 1
        (taken,) = running._server.connections
        assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)  # or clients wait 40 ms
    assert len(connections_in_work()) == before
    assert not running._server.connections
    with connection:
        assert connection.recv(1) == b""
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, int(port)), timeout=10).close()
    with Service(tmp_path, port=int(port)).running(grace_s=1) as running:
        assert running.url == f"http://127.0.0.1:{port}"


def test_connections_that_have_ended_are_forgotten(tmp_path, client):
    with Service(tmp_path).running(grace_s=1) as running:
        for by_url in (False, True):
            asking = client("sts", of=running, by_url=by_url)
            asking.get_caller_identity()
            assert len(running._server.connections) == 1
            asking.close()
            end = time.monotonic() + 20
            while running._server.connections:
                assert time.monotonic() < end
                time.sleep(0.005)


def test_a_folder_is_free_again_for_who_had_the_wrong_port(service, tmp_path):
    taken = int(service.url.rpartition(":")[2])
    with pytest.raises(ConfigError, match="must be a free address") as caught:
        Service(tmp_path, port=taken)
    with Service(tmp_path).running(grace_s=1) as running:
        assert running.folder == tmp_path
    assert caught.tb is not None  # whose frames held the first service all the time


def test_what_a_killed_service_was_writing_is_removed(tmp_path):
    (tmp_path / f"{TEMPORARY_PREFIX}half").write_text("x")
    (tmp_path / "mine").write_text("x")
    with Service(tmp_path).running(grace_s=1):
        assert not (tmp_path / f"{TEMPORARY_PREFIX}half").exists()
        assert (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("port", "region", "slots"), [(0, "a", 0), (0, "x" * 63, 1), (0, "us-gov-1", 0)]
)
def test_settings_at_their_limits(port, region, slots):
    local._check(port, region, slots)
    local._check(65535, region, slots)


@pytest.mark.parametrize("region", ["", "x" * 64, "-a", "a-", "a.b", "US"])
def test_what_is_no_region(region):
    with pytest.raises(ConfigError, match="--region: must be a region of AWS"):
        local._check(0, region, 0)
