"""Training jobs without their process: what is laid out, noted and kept, whatever becomes of it."""

from __future__ import annotations

import json
import subprocess
import tarfile
import time
import types

import pytest

from object2vec.sagemaker.local import checkpoints, training
from object2vec.sagemaker.local.buckets import Folders
from object2vec.sagemaker.local.images import variables_of_image
from object2vec.sagemaker.local.jobs import end_noted, note_process
from object2vec.sagemaker.local.logs import Logs
from object2vec.sagemaker.local.protocol import ServiceError
from object2vec.sagemaker.local.resources import Resources
from object2vec.sagemaker.local.storage import MissingData, Storage
from object2vec.sagemaker.local.training import INTERRUPTED, Training
from object2vec.sagemaker.paths import JobTree

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
LINE = "#quality_metric: host=algo-1, epoch=0, train cross_entropy <loss>={}"


@pytest.fixture
def service(tmp_path, monkeypatch, queue):
    """Training with a bucket, and what is published."""
    monkeypatch.setattr("os.fsync", lambda file: None)
    folders = Folders(tmp_path / "s3")
    (folders.buckets / "b").mkdir(parents=True)
    storage, published = Storage(folders), []
    for key in ("pre/train-0", "pre/train-1"):
        (tmp_path / "given").write_text(key)
        storage.put(tmp_path / "given", f"s3://b/{key}")
    aws = types.SimpleNamespace(put_metric=lambda *said: published.append(said))
    jobs = Resources(tmp_path / "jobs", "TrainingJob", ARN)
    made = Training(jobs, queue, storage, Logs(tmp_path / "logs"), aws, "us-east-1")

    def logged(name):
        """The lines in the log of a job, without their times."""
        (file,) = (path for path in (tmp_path / "logs").rglob(f"*{name}*") if path.is_file())
        return [line.partition("\t")[2] for line in file.read_text().splitlines()]

    return types.SimpleNamespace(
        training=made,
        jobs=jobs,
        queue=queue,
        storage=storage,
        published=published,
        s3=folders.buckets / "b",
        logged=logged,
    )


def request(name="t", **members):
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": "1.dkr.ecr.x/object2vec:2025",
            "TrainingInputMode": "File",
        },
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "ContentType": "application/jsonlines",
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/pre/train"}
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://b/out/"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "HyperParameters": {"epochs": "2"},
        "Environment": {"MINE": "1"},
        **members,
    }


def tree_of(environment):
    return JobTree.of(environment)


def saved(job, arguments, environment, on_line):
    """A process that saves a model, and some other output."""
    tree = tree_of(environment)
    (tree.model / "config.json").write_text("{}")
    (tree.output_data / "metrics.jsonl").write_text("{}")
    for value in (0.5, 0.25):
        on_line(LINE.format(value))


def states(document):
    return [each["Status"] for each in document["SecondaryStatusTransitions"]]


def names_in(path):
    with tarfile.open(path) as archive:
        return archive.getnames()


def test_a_job_finds_what_a_container_finds_and_leaves_a_model(service):
    seen, metrics = {}, []

    def process(job, arguments, environment, on_line):
        tree = tree_of(environment)
        assert arguments == ["sagemaker", "train"]
        seen["environment"] = environment
        seen["channel"] = sorted(path.name for path in tree.channel("train").iterdir())
        for file in (tree.hyperparameters, tree.input_data_config, tree.resource_config):
            seen[file.name] = json.loads(file.read_text())
        seen["checkpoints"] = tree.checkpoints.exists()
        seen["state"] = service.jobs.get("t")["SecondaryStatus"]
        saved(job, arguments, environment, on_line)

    said = service.training.create(request(), lambda *metric: metrics.append(metric))
    assert said == {"TrainingJobArn": f"{ARN}:training-job/t"}
    waiting = service.jobs.get("t")
    assert (waiting["TrainingJobStatus"], waiting["SecondaryStatus"]) == ("InProgress", "Starting")
    assert "TrainingStartTime" not in waiting
    for name in ("NetworkIsolation", "InterContainerTrafficEncryption", "ManagedSpotTraining"):
        assert waiting[f"Enable{name}"] is False
    assert waiting["OutputDataConfig"] == {"KmsKeyId": "", "S3OutputPath": "s3://b/out/"}
    service.queue.run("t", process)

    assert seen == {
        "environment": {
            "MINE": "1",
            "SAGEMAKER_BASE_DIR": str(service.jobs.folder("t") / "work"),
            "OBJECT2VEC_ALGORITHM": "object2vec",
            "OBJECT2VEC_LOG": "2025",
            "TRAINING_JOB_NAME": "t",
            "TRAINING_JOB_ARN": f"{ARN}:training-job/t",
        },
        "channel": ["train-0", "train-1"],
        "hyperparameters.json": {"epochs": "2"},
        "inputdataconfig.json": {
            "train": {
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
                "ContentType": "application/jsonlines",
            }
        },
        "resourceconfig.json": {"current_host": "algo-1", "hosts": ["algo-1", "algo-2"]},
        "checkpoints": False,
        "state": "Training",
    }
    ended = service.jobs.get("t")
    assert ended["TrainingJobStatus"] == ended["SecondaryStatus"] == "Completed"
    assert states(ended) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert [each["StatusMessage"] for each in ended["SecondaryStatusTransitions"]] == [
        "Waiting for its turn",
        "Downloading input data",
        "Training image is running",
        "Uploading generated training model",
        "Training job completed",
    ]
    assert all(each["EndTime"] >= each["StartTime"] for each in ended["SecondaryStatusTransitions"])
    assert ended["TrainingEndTime"] >= ended["TrainingStartTime"] >= ended["CreationTime"]
    assert ended["TrainingTimeInSeconds"] == ended["BillableTimeInSeconds"] == 0
    (final,) = ended["FinalMetricDataList"]
    assert (final["MetricName"], final["Value"]) == ("train:cross_entropy", 0.25)
    assert metrics == [("train:cross_entropy", 0.5), ("train:cross_entropy", 0.25)]
    assert [each[1:4] for each in service.published] == [
        ("/aws/sagemaker/TrainingJobs", *metric) for metric in metrics
    ]
    assert {each[0] for each in service.published} == {"us-east-1"}
    assert {each[5] for each in service.published} == {"t"}
    assert names_in(service.s3 / "out/t/output/model.tar.gz") == ["config.json"]
    assert names_in(service.s3 / "out/t/output/output.tar.gz") == ["metrics.jsonl"]
    assert not (service.jobs.folder("t") / "work").exists()
    assert service.training.course(ended, "train:cross_entropy") == [0.5, 0.25]
    assert service.training.course(ended, "train:accuracy") == []


def test_the_log_is_that_of_the_year_in_the_image_s_tag():
    def form(image):
        return variables_of_image(image)

    assert form("x/object2vec:2025") == {
        "OBJECT2VEC_ALGORITHM": "object2vec",
        "OBJECT2VEC_LOG": "2025",
    }
    assert form("ipinsights:2019@sha256:1")["OBJECT2VEC_LOG"] == "2019"
    for image in ("x/object2vec:1", "object2vec"):
        assert form(image) == {"OBJECT2VEC_ALGORITHM": "object2vec"}


def test_without_other_output_there_is_the_model_alone(service):
    service.training.create(request(HyperParameters={}, Environment={}))
    service.queue.run("t", lambda job, arguments, environment, on_line: None)
    assert [path.name for path in (service.s3 / "out/t/output").iterdir()] == ["model.tar.gz"]
    assert "FailureReason" not in service.jobs.get("t")


@pytest.mark.parametrize(
    ("process", "reason"),
    [
        (lambda job, arguments, environment, on_line: 3, "AlgorithmError: exit code 3"),
        (lambda *_: -9, "AlgorithmError: the process was ended by signal 9"),
        (
            lambda job, arguments, environment, on_line: (
                tree_of(environment).failure.write_text("ClientError: it\nhas reasons") or 1
            ),
            "ClientError: it\nhas reasons",
        ),
        (
            lambda job, arguments, environment, on_line: tree_of(environment).failure.write_text(
                "x" * 2000
            ),
            "x" * 1024,
        ),
    ],
)
def test_a_process_that_fails_says_why(service, process, reason):
    service.training.create(request())
    service.queue.run("t", process)
    ended = service.jobs.get("t")
    assert (ended["TrainingJobStatus"], ended["FailureReason"]) == ("Failed", reason)
    last = ended["SecondaryStatusTransitions"][-1]["StatusMessage"]
    assert last in (reason.partition("\n")[0], "x" * 2000)
    assert service.logged("t") == [last]
    assert not (service.s3 / "out").exists()
    assert not (service.jobs.folder("t") / "work").exists()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({}, "ClientError: The channel 'train' must have an S3DataSource."),
        (
            {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": "s3://b/pre"}},
            "ClientError: The channel 'train' must have the S3DataType S3Prefix here; "
            "got ManifestFile.",
        ),
    ],
)
def test_a_channel_from_elsewhere_fails_the_job(service, source, reason):
    service.training.create(
        request(InputDataConfig=[{"ChannelName": "train", "DataSource": source}])
    )
    service.queue.run("t", saved)
    ended = service.jobs.get("t")
    assert ended["FailureReason"] == reason
    assert service.logged("t") == [reason]
    assert states(ended) == ["Starting", "Downloading", "Failed"]


def test_a_channel_may_have_its_own_mode_and_a_job_one_host(service):
    seen = {}

    def process(job, arguments, environment, on_line):
        tree = tree_of(environment)
        for file in (tree.input_data_config, tree.resource_config):
            seen[file.name] = json.loads(file.read_text())

    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://b/pre/train"}
    source["S3DataDistributionType"] = "ShardedByS3Key"
    channel = {"ChannelName": "train", "DataSource": {"S3DataSource": source}}
    channel |= {"InputMode": "FastFile", "RecordWrapperType": "RecordIO", "ContentType": ""}
    service.training.create(request(InputDataConfig=[channel], ResourceConfig={}))
    service.queue.run("t", process)
    assert seen == {
        "inputdataconfig.json": {
            "train": {
                "TrainingInputMode": "FastFile",
                "S3DistributionType": "ShardedByS3Key",
                "RecordWrapperType": "RecordIO",
            }
        },
        "resourceconfig.json": {"current_host": "algo-1", "hosts": ["algo-1"]},
    }


def test_data_that_are_not_there_are_the_reason_also_if_a_job_is_stopped(service, monkeypatch):
    def missing(self, *given, **options):
        service.queue.job.stopping.set()
        raise MissingData("no such key")

    monkeypatch.setattr(Storage, "get_prefix", missing)
    service.training.create(request())
    service.queue.run("t", saved)
    ended = service.jobs.get("t")
    assert ended["TrainingJobStatus"] == "Failed"
    assert ended["FailureReason"] == "ClientError: no such key"


def test_the_time_of_a_job_is_that_from_its_start(service, monkeypatch):
    def process(job, arguments, environment, on_line):
        now = time.time()
        monkeypatch.setattr(training.time, "time", lambda: now + 7.5)

    service.training.create(request())
    service.queue.run("t", process)
    monkeypatch.undo()
    ended = service.jobs.get("t")
    assert ended["TrainingTimeInSeconds"] == ended["BillableTimeInSeconds"] == 7


def test_a_job_is_stopped_while_it_waits_or_runs(service):
    def asked(job, arguments, environment, on_line):
        job.stopping.set()
        saved(job, arguments, environment, on_line)

    def broken(job, arguments, environment, on_line):
        job.stopping.set()
        return 1

    for name, process, is_stopped, has_model in (
        ("waits", saved, True, False),
        ("runs", asked, False, True),
        ("fails", broken, False, False),
    ):
        service.training.create(request(name))
        service.training.stop({"TrainingJobName": name})
        asked_to = service.jobs.get(name)
        assert asked_to["TrainingJobStatus"] == asked_to["SecondaryStatus"] == "Stopping"
        with pytest.raises(ServiceError, match=f"the training job {name} has ended"):
            service.training.stop({"TrainingJobName": name})
        service.queue.run(name, process, is_stopped=is_stopped)
        ended = service.jobs.get(name)
        assert ended["TrainingJobStatus"] == ended["SecondaryStatus"] == "Stopped"
        last = ended["SecondaryStatusTransitions"][-1]
        assert last["StatusMessage"] == "Training job stopped"
        assert (service.s3 / f"out/{name}/output/model.tar.gz").exists() == has_model
    assert service.queue.stopped == ["waits", "runs", "fails"]


def test_what_an_earlier_service_left_of_a_job_is_not_of_it(service):
    service.training.create(request())
    left = JobTree(service.jobs.folder("t") / "work")
    left.model.mkdir(parents=True)
    (left.model / "left").write_text("half")
    service.queue.run("t", saved)
    assert names_in(service.s3 / "out/t/output/model.tar.gz") == ["config.json"]


def test_a_job_whose_time_is_over_is_stopped_and_saved(service):
    def process(job, arguments, environment, on_line):
        assert job.stopping.wait(20)
        saved(job, arguments, environment, on_line)

    service.training.create(request(StoppingCondition={"MaxRuntimeInSeconds": 0.01}))
    job = service.queue.run("t", process)
    ended = service.jobs.get("t")
    assert (ended["TrainingJobStatus"], ended["SecondaryStatus"]) == (
        "Stopped",
        "MaxRuntimeExceeded",
    )
    assert job.stops == 1
    service.training.create(request("quick"))
    assert service.queue.run("quick", saved).stops == 0
    service.training.create(request("long", StoppingCondition={}))
    assert service.queue.run("long", saved).limit_s == 86_400


def test_checkpoints_come_from_s3_and_go_back_the_mark_behind_the_rest(service, monkeypatch):
    monkeypatch.setattr(checkpoints, "_SYNC_S", 60.0)
    where, sent = {"CheckpointConfig": {"S3Uri": "s3://b/kept"}}, []
    put = service.storage.put
    service.training.create(request("one", **where))

    def first(job, arguments, environment, on_line):
        tree = tree_of(environment)
        assert list(tree.checkpoints.iterdir()) == []
        for name in ("step-1/state.json", "step-1/x", "step-2/state.json", ".hidden/x", "step-3/x"):
            (tree.checkpoints / name).parent.mkdir(exist_ok=True)
            (tree.checkpoints / name).write_text(name)

    monkeypatch.setattr(Storage, "put", lambda self, path, uri: (sent.append(uri), put(path, uri)))
    service.queue.run("one", first)
    copied = [uri.removeprefix("s3://b/kept/") for uri in sent if "/kept/" in uri]
    assert copied == ["step-1/x", "step-3/x", "step-1/state.json", "step-2/state.json"]

    def second(job, arguments, environment, on_line):
        tree = tree_of(environment)
        found = sorted(path.name for path in tree.checkpoints.iterdir())
        assert found == ["step-1", "step-2"]  # what has no mark never came as a whole
        (tree.checkpoints / "step-1" / "x").write_text("other")
        (tree.checkpoints / "step-2" / "state.json").unlink()

    service.training.create(request("two", **where))
    service.queue.run("two", second)
    assert service.jobs.get("two")["TrainingJobStatus"] == "Completed"
    assert (service.s3 / "kept/step-1/x").read_text() == "other"
    there = sorted(path.name for path in (service.s3 / "kept").iterdir())
    assert there == ["step-1"]  # what is removed here is removed there, as on AWS


def test_checkpoints_are_copied_now_and_then_and_only_what_has_changed(service, monkeypatch):
    monkeypatch.setattr(checkpoints, "_SYNC_S", 0.01)
    sent, put = [], service.storage.put
    monkeypatch.setattr(Storage, "put", lambda self, path, uri: (sent.append(uri), put(path, uri)))

    def process(job, arguments, environment, on_line):
        file = tree_of(environment).checkpoints / "x"
        file.write_text("1")
        end = time.monotonic() + 20
        while "s3://b/kept/x" not in sent:
            assert time.monotonic() < end
            time.sleep(0.005)
        time.sleep(0.05)

    service.training.create(request(CheckpointConfig={"S3Uri": "s3://b/kept/"}))
    service.queue.run("t", process)
    assert sent.count("s3://b/kept/x") == 1


def test_the_next_service_goes_on_with_what_it_can(service, monkeypatch):
    for name, members in (
        ("waits", {}),
        ("runs", {}),
        ("stops", {}),
        ("kept", {"CheckpointConfig": {"S3Uri": "s3://b/kept"}}),
        ("done", {}),
    ):
        service.training.create(request(name, **members))
    for name in ("runs", "kept"):
        service.jobs.change(name, SecondaryStatus="Training")
    tree = JobTree(service.jobs.folder("kept") / "work")
    tree.checkpoints.mkdir(parents=True)
    (tree.checkpoints / "last").write_text("1")
    for name in ("runs", "done"):
        (service.jobs.folder(name) / "work" / "model").mkdir(parents=True)
    service.training.stop({"TrainingJobName": "stops"})
    service.queue.run("done", saved)
    (service.jobs.folder("done") / "work").mkdir()
    service.queue.waiting.clear()
    service.training._stream(service.jobs.get("kept")).append(LINE.format(0.75))
    service.published.clear()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as killed:
        note_process(service.jobs.folder("kept"), killed.pid)  # of a service that was killed
        service.training.recover()
        assert killed.wait(20) == -9

    def said(name):
        document = service.jobs.get(name)
        return document["TrainingJobStatus"], document["SecondaryStatus"]

    assert said("waits") == said("kept") == ("InProgress", "Starting")
    assert list(service.queue.waiting) == ["waits", "kept"]
    assert said("stops") == ("Stopped", "Stopped")
    assert said("runs") == ("Failed", "Failed")
    assert service.jobs.get("runs")["FailureReason"] == INTERRUPTED
    assert said("done") == ("Completed", "Completed")
    for name in ("runs", "done"):
        assert not (service.jobs.folder(name) / "work").exists()
    assert (service.s3 / "kept/last").read_text() == "1"
    again = {(each[5], each[3]) for each in service.published}
    assert again == {("done", 0.5), ("done", 0.25), ("kept", 0.75)}
    done = service.jobs.get("done")
    for *_, at, job in service.published:
        assert job == "kept" or int(done["CreationTime"]) <= at <= done["TrainingEndTime"]
    last = service.jobs.get("kept")["SecondaryStatusTransitions"][-1]
    assert last["StatusMessage"] == "Started again after the local service ended"


def test_a_job_is_forgotten_when_it_has_ended(service):
    service.training.create(request())
    with pytest.raises(ServiceError, match="The training job t has not ended"):
        service.training.delete({"TrainingJobName": "t"})
    service.queue.run("t", saved)
    service.training.delete({"TrainingJobName": "t"})
    assert not service.jobs.exists("t")


def test_what_speaks_against_a_job_is_said_before_it_is_there(service):
    for wrong in (
        {"OutputDataConfig": {"S3OutputPath": "s3://none/x"}},
        {"Environment": {"LD_PRELOAD": "x"}},
        {"InputDataConfig": [{"ChannelName": "../x"}]},
        {"AlgorithmSpecification": {"TrainingImage": "x/xgboost:1", "TrainingInputMode": "File"}},
    ):
        with pytest.raises(ServiceError) as caught:
            service.training.create(request(**wrong))
        assert caught.value.code == "ValidationException"
        assert not service.jobs.exists("t")
        assert not service.queue.waiting


def test_a_process_that_is_noted_is_no_other_of_the_same_number(tmp_path):
    note_process(tmp_path, 1)
    assert (tmp_path / "process.pid").read_text().startswith("1 ")
    (tmp_path / "process.pid").write_text("1 5")
    assert not end_noted(tmp_path)
    assert not (tmp_path / "process.pid").exists()
    assert not end_noted(tmp_path)
