"""A service that has little room: its limits, and jobs that are stopped."""

import time

import pytest
from botocore.exceptions import ClientError

from object2vec.errors import ConfigError, StorageError
from object2vec.sagemaker.local import api
from object2vec.sagemaker.local.service import Service


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One with room for two jobs and one endpoint, and for one process at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(api.MOST, "TrainingJob", 2)
        patch.setitem(api.MOST, "Endpoint", 1)
        with Service(tmp_path_factory.mktemp("crowded"), slots=1).running(grace_s=5) as running:
            yield running


@pytest.fixture
def long(job, bucket, s3):
    """A request for a job that goes on for minutes."""
    line = b'{"in0": [1], "in1": [2], "label": 1}\n{"in0": [3], "in1": [4], "label": 0}\n'
    s3.put_object(Bucket=bucket, Key="pre/train-0.jsonl", Body=line * 3_000)
    return job(epochs=100, early_stopping_patience=5)


def test_too_many_jobs_are_rejected_with_the_error_of_aws(sagemaker, service, long, ended, waiting):
    for name in ("one", "two"):
        sagemaker.create_training_job(TrainingJobName=name, **long)
    with pytest.raises(ClientError, match="ResourceLimitExceeded") as caught:
        sagemaker.create_training_job(TrainingJobName="three", **long)
    assert "with current utilization of 2 TrainingJobs" in str(caught.value)
    sagemaker.stop_training_job(TrainingJobName="two")  # it waits: stopped at once
    said = waiting(
        lambda: sagemaker.describe_training_job(TrainingJobName="two"),
        lambda said: said["TrainingJobStatus"] == "Stopped",
        seconds=5,
    )
    assert "TrainingStartTime" not in said
    sagemaker.create_training_job(TrainingJobName="three", **long)
    names = {"EndpointConfigName": "c"}
    container = {"Image": "object2vec", "ModelDataUrl": "s3://sagemaker-data/model.tar.gz"}
    role = {"ExecutionRoleArn": "arn:aws:iam::123456789012:role/object2vec-local"}
    sagemaker.create_model(ModelName="m", PrimaryContainer=container, **role)
    variants = [{"VariantName": "v", "ModelName": "m"}]
    sagemaker.create_endpoint_config(ProductionVariants=variants, **names)
    service.sagemaker.endpoints.endpoints.create(
        {"EndpointName": "a", "EndpointStatus": "Creating"}
    )
    with pytest.raises(ClientError, match="ResourceLimitExceeded"):
        sagemaker.create_endpoint(EndpointName="b", **names)
    sagemaker.delete_endpoint(EndpointName="a")
    sagemaker.create_endpoint(EndpointName="b", **names)
    for name in ("three", "one"):
        sagemaker.stop_training_job(TrainingJobName=name)
        assert ended(name)["TrainingJobStatus"] == "Stopped"


def test_a_running_job_that_is_stopped_keeps_its_checkpoint_and_its_model(
    sagemaker, client, s3, long, waiting
):
    long["CheckpointConfig"] = {"S3Uri": "s3://sagemaker-data/kept"}
    long["Environment"] = {"OBJECT2VEC_CHECKPOINT_EVERY": "50"}
    name = {"TrainingJobName": "running"}
    sagemaker.create_training_job(**name, **long)
    log = client("logs")

    def has_learned():
        try:
            said = log.filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs")
        except ClientError:
            return False  # nothing is logged yet
        return any("quality_metric" in event["message"] for event in said["events"])

    waiting(has_learned, bool)
    started = time.monotonic()
    sagemaker.stop_training_job(**name)
    said = waiting(
        lambda: sagemaker.describe_training_job(**name),
        lambda said: said["TrainingJobStatus"] not in ("InProgress", "Stopping"),
    )
    assert time.monotonic() - started < 30
    assert said["TrainingJobStatus"] == said["SecondaryStatus"] == "Stopped"
    s3.head_object(Bucket="sagemaker-data", Key="out/running/output/model.tar.gz")
    kept = s3.list_objects_v2(Bucket="sagemaker-data", Prefix="kept/step-")["Contents"]
    assert {each["Key"].rpartition("/")[2] for each in kept} >= {"state.json"}
    assert len({each["Key"].split("/")[1] for each in kept}) == 1  # older ones are gone, as on AWS


def test_a_folder_belongs_to_one_service(service):
    with pytest.raises(StorageError, match="must belong to one service; got 'another one"):
        Service(service.folder)


def test_a_service_without_its_port_says_so(service, tmp_path):
    with pytest.raises(ConfigError, match="must be a free address"):
        Service(tmp_path / "other", port=int(service.url.rpartition(":")[2]))
