"""Batch transform jobs without their processes: what they are given, and what becomes of it."""

from __future__ import annotations

import json
import shutil
import types
from pathlib import Path

import pytest

from object2vec.sagemaker.local.buckets import Folders
from object2vec.sagemaker.local.logs import Logs
from object2vec.sagemaker.local.protocol import ServiceError
from object2vec.sagemaker.local.resources import Resources
from object2vec.sagemaker.local.storage import Storage
from object2vec.sagemaker.local.transforms import Transforms

ARN = "arn:aws:sagemaker:us-east-1:123456789012"


@pytest.fixture
def service(tmp_path, monkeypatch, queue):
    monkeypatch.setattr("os.fsync", lambda file: None)
    folders = Folders(tmp_path / "s3")
    (folders.buckets / "b").mkdir(parents=True)
    storage = Storage(folders)
    given = {"m.tar.gz": "packed", "pre/a/x": '{"id": 1, "in0": [1]}\n', "pre/y": '{"id": 2}\n'}
    for key, text in given.items():
        (tmp_path / "given").write_text(text)
        storage.put(tmp_path / "given", f"s3://b/{key}")
    models = Resources(tmp_path / "models", "Model", ARN)
    container = {"ModelDataUrl": "s3://b/m.tar.gz"}
    models.create({"ModelName": "m", "PrimaryContainer": container})
    jobs = Resources(tmp_path / "jobs", "TransformJob", ARN)
    logs = Logs(tmp_path / "logs")
    made = Transforms(jobs, queue, storage, logs, models)
    asked = made.operations()
    return types.SimpleNamespace(
        made=made,
        jobs=jobs,
        queue=queue,
        s3=folders.buckets / "b",
        stream=lambda job: (
            logs.stream("/aws/sagemaker/TransformJobs", f"t/{int(job['CreationTime'])}").path
        ),
        call=lambda name, **request: asked[name](request),
    )


def request(name="t", uri="s3://b/pre/", kind="S3Prefix", output="s3://b/out/", **members):
    return {
        "TransformJobName": name,
        "ModelName": "m",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": kind, "S3Uri": uri}},
            "ContentType": "application/jsonlines; charset=utf-8",
        },
        "TransformOutput": {"S3OutputPath": output},
        **members,
    }


def predicted(job, arguments, environment, on_line):
    """A process that says of each record how it begins."""
    _, model, given, out, *_ = arguments
    assert Path(model).read_text() == "packed"
    given, out = Path(given), Path(out.removeprefix("--out="))
    for file in sorted(given.rglob("*")):
        if file.is_file():
            on_line(f"reading {file.name}")
            target = out / f"{file.relative_to(given)}.out"
            target.parent.mkdir(exist_ok=True)
            lines = [json.dumps({"of": json.loads(line)}) for line in file.read_text().splitlines()]
            target.write_text("".join(f"{line}\n" for line in lines))


def outputs(service, folder="out"):
    found = sorted(path for path in (service.s3 / folder).rglob("*") if path.is_file())
    return {
        str(path.relative_to(service.s3 / folder)): json.loads(path.read_text()) for path in found
    }


def test_every_file_has_its_predictions(service):
    assert service.call("CreateTransformJob", **request()) == {
        "TransformJobArn": f"{ARN}:transform-job/t"
    }
    waiting = service.jobs.get("t")
    assert waiting["TransformJobStatus"] == "InProgress"
    assert waiting["TransformOutput"] == {
        "AssembleWith": "None",
        "KmsKeyId": "",
        "S3OutputPath": "s3://b/out/",
    }
    service.queue.run("t", predicted)
    assert outputs(service) == {
        "a/x.out": {"of": {"id": 1, "in0": [1]}},
        "y.out": {"of": {"id": 2}},
    }
    ended = service.call("DescribeTransformJob", TransformJobName="t")
    assert ended["TransformJobStatus"] == "Completed"
    assert ended["CreationTime"] <= ended["TransformStartTime"] <= ended["TransformEndTime"]
    stream = service.stream(ended)
    assert [line.split("\t")[1] for line in stream.read_text().splitlines()] == [
        "reading x",
        "reading y",
    ]
    assert not (service.jobs.folder("t") / "work").exists()
    (said,) = service.call("ListTransformJobs")["TransformJobSummaries"]
    assert said.keys() == {
        *("TransformJobName", "TransformJobArn", "CreationTime", "TransformEndTime"),
        *("LastModifiedTime", "TransformJobStatus"),
    }


@pytest.mark.parametrize(
    ("processing", "found"),
    [
        ({"InputFilter": "$.id"}, {"of": 2}),
        ({"OutputFilter": "$.of.id"}, 2),
        ({"JoinSource": "Input"}, {"id": 2, "SageMakerOutput": {"of": {"id": 2}}}),
        (
            {"JoinSource": "Input", "InputFilter": "$.id"},
            {"id": 2, "SageMakerOutput": {"of": 2}},
        ),
        ({"JoinSource": "Input", "OutputFilter": "$.id"}, 2),
        ({"JoinSource": "None"}, {"of": {"id": 2}}),
    ],
)
def test_records_and_predictions_are_filtered_and_joined(service, processing, found):
    asked = request(uri="s3://b/pre/y", DataProcessing=processing)
    service.call("CreateTransformJob", **asked)
    service.queue.run("t", predicted)
    assert service.jobs.get("t")["TransformJobStatus"] == "Completed", service.jobs.get("t")
    assert outputs(service) == {"y.out": found}
    assert (service.s3 / "pre/y").read_text() == '{"id": 2}\n'


def test_predictions_that_nobody_filters_stay_as_they_were_written(service):
    written = b'{"of":  1.50}\n\n not even JSON'

    def process(job, arguments, environment, on_line):
        out = Path(arguments[3].removeprefix("--out="))
        (out / "y.out").write_bytes(written)

    for name, processing in (("a", {}), ("b", {"JoinSource": "None", "OutputFilter": "$"})):
        members = {"DataProcessing": processing, "output": f"s3://b/{name}"}
        service.call("CreateTransformJob", **request(name, "s3://b/pre/y", **members))
        service.queue.run(name, process)
        assert (service.s3 / name / "y.out").read_bytes() == written


@pytest.mark.parametrize(
    ("members", "process", "reason"),
    [
        ({}, lambda *_: 3, "AlgorithmError: exit code 3. See the log of the job."),
        ({"uri": "s3://b/none"}, predicted, "ClientError: No S3 objects found"),
        ({"kind": "ManifestFile"}, predicted, "ClientError: The S3DataType must be S3Prefix here;"),
        ({"DataProcessing": {"OutputFilter": "$.x"}}, predicted, "ClientError: "),
    ],
)
def test_a_job_that_fails_says_why(service, members, process, reason):
    service.call("CreateTransformJob", **request(**members))
    service.queue.run("t", process)
    ended = service.jobs.get("t")
    assert ended["TransformJobStatus"] == "Failed"
    assert ended["FailureReason"].startswith(reason)
    stream = service.stream(ended)
    assert ended["FailureReason"] in stream.read_text()
    assert not (service.s3 / "out").exists()
    assert not (service.jobs.folder("t") / "work").exists()


def test_a_job_is_stopped_while_it_waits_or_runs(service):
    def asked(job, arguments, environment, on_line):
        predicted(job, arguments, environment, on_line)
        job.stopping.set()

    for name, process, is_stopped in (("waits", None, True), ("runs", asked, False)):
        service.call("CreateTransformJob", **request(name))
        service.call("StopTransformJob", TransformJobName=name)
        assert service.jobs.get(name)["TransformJobStatus"] == "Stopping"
        with pytest.raises(ServiceError, match=f"the transform job {name} has ended"):
            service.call("StopTransformJob", TransformJobName=name)
        service.queue.run(name, process, is_stopped=is_stopped)
        ended = service.jobs.get(name)
        assert ended["TransformJobStatus"] == "Stopped"
        assert "TransformEndTime" in ended
        assert "FailureReason" not in ended
    assert service.queue.stopped == ["waits", "runs"]
    assert not (service.s3 / "out").exists()


def test_what_speaks_against_a_job_is_said_before_it_is_there(service):
    for members in (
        {"DataProcessing": {"InputFilter": "x"}},
        {"DataProcessing": {"OutputFilter": "x"}},
        {"output": "s3://none/x"},
        {"ModelName": "none"},
    ):
        with pytest.raises(ServiceError) as caught:
            service.call("CreateTransformJob", **request(**members))
        assert caught.value.code == "ValidationException"
        assert not service.jobs.exists("t")


def test_the_next_service_begins_again(service):
    for name in ("done", "stops", "runs"):
        service.call("CreateTransformJob", **request(name))
    service.queue.run("done", predicted)
    service.call("StopTransformJob", TransformJobName="stops")
    shutil.rmtree(service.s3 / "out")
    for name in ("done", "runs"):
        (service.jobs.folder(name) / "work" / "out").mkdir(parents=True)
        (service.jobs.folder(name) / "work" / "out" / "left").write_text("1")
    service.queue.waiting.clear()
    service.made.recover()
    assert list(service.queue.waiting) == ["runs"]
    assert not (service.jobs.folder("done") / "work").exists()
    states = {name: service.jobs.get(name)["TransformJobStatus"] for name in ("done", "stops")}
    assert states == {"done": "Completed", "stops": "Stopped"}
    service.queue.run("runs", predicted)
    assert outputs(service).keys() == {"a/x.out", "y.out"}
