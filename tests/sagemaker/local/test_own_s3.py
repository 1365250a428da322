"""Data and models in the user's own S3: only SageMaker, its runtime and its logs are here."""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile

import boto3
import pytest
from botocore.exceptions import ClientError

IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/object2vec:1"
HERE = ("SAGEMAKER", "SAGEMAKER_RUNTIME", "CLOUDWATCH_LOGS")  # as botocore calls them
KEYS = {
    "AWS_ACCESS_KEY_ID": "mine",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@contextlib.contextmanager
def started(command, pattern, stream, **environment):
    """Give what a process says of its address while it runs."""
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, **KEYS, **environment},
        text=True,
        **pipes | {stream: subprocess.PIPE},
    ) as process:
        try:
            while (match := re.search(pattern, getattr(process, stream).readline())) is None:
                assert process.poll() is None
            yield match[1]
        finally:
            process.terminate()
            getattr(process, stream).read()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("own-s3")


@pytest.fixture(scope="module")
def client(folder):
    """boto3's client of a service, with nothing said of the service but in the environment."""
    server = ["-c", "from moto.server import main; main(['-p', '0'])"]
    service = ["-m", "object2vec", "sagemaker", "local", "--own-s3", "--dir", str(folder)]
    own = started(server, r"(http://127.0.0.1:\d+)", "stderr")
    with own as s3, pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL_S3": s3}.items():
            patch.setenv(name, value)
        with started(service, r"HTTPS_PROXY=(\S+)", "stdout") as url:
            for name in HERE:
                patch.setenv(f"AWS_ENDPOINT_URL_{name}", url)
            yield boto3.client


@pytest.fixture(scope="module")
def s3(client):
    made = client("s3")
    made.create_bucket(Bucket="mine")
    records = [{"in0": [i % 8 + 1], "in1": [i % 6 + 1], "label": i % 2} for i in range(64)]
    body = "".join(json.dumps(record) + "\n" for record in records)
    for key in ("pre/train-0.jsonl", "pre/train/1.jsonl", "batch/part.jsonl"):
        made.put_object(Bucket="mine", Key=key, Body=body)
    made.put_object(Bucket="mine", Key="pre/other.jsonl", Body="not a record")
    return made


@pytest.fixture(scope="module")
def request_of(job):
    def made(output):
        request = job()
        source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]
        source["S3Uri"] = "s3://mine/pre/train"
        request["OutputDataConfig"]["S3OutputPath"] = output
        request["CheckpointConfig"] = {"S3Uri": "s3://mine/kept"}
        request["Environment"] = {"OBJECT2VEC_CHECKPOINT_EVERY": "2"}
        return request

    return made


@pytest.fixture(scope="module")
def bucket():
    return "mine"  # `job` shall not make one of its own


@pytest.fixture(scope="module")
def trained(client, s3, request_of, waiting):
    sagemaker = client("sagemaker")
    sagemaker.create_training_job(TrainingJobName="own", **request_of("s3://mine/out"))
    return waiting(
        lambda: sagemaker.describe_training_job(TrainingJobName="own"),
        lambda said: said["TrainingJobStatus"] in ("Completed", "Failed"),
        seconds=180,
    )


def test_data_checkpoints_and_the_model_are_in_the_user_s_s3(trained, client, s3, folder):
    assert trained["TrainingJobStatus"] == "Completed", trained
    body = s3.get_object(Bucket="mine", Key="out/own/output/model.tar.gz")["Body"]
    with tarfile.open(fileobj=io.BytesIO(body.read())) as archive:
        assert "config.json" in archive.getnames()
    kept = s3.list_objects_v2(Bucket="mine", Prefix="kept/step-")["Contents"]
    assert [each["Key"].endswith("/state.json") for each in kept].count(True) == 1
    assert list((folder / "buckets").iterdir()) == []
    said = client("logs").filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs")
    lines = [each["message"] for each in said["events"]]
    read = [line for line in lines if re.search(r'"Total Records Seen": {[^}]*128', line)]
    assert read, lines  # both keys of the prefix, and no other one


def test_endpoints_and_transforms_find_it_there(trained, client, s3, waiting):
    sagemaker = client("sagemaker")
    container = {"Image": IMAGE, "ModelDataUrl": trained["ModelArtifacts"]["S3ModelArtifacts"]}
    role = "arn:aws:iam::123456789012:role/object2vec-local"
    sagemaker.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=role)
    variants = [{"VariantName": "v", "ModelName": "m"}]
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://mine/batch/p"}
    sagemaker.create_transform_job(
        TransformJobName="t",
        ModelName="m",
        TransformInput={
            "DataSource": {"S3DataSource": source},
            "ContentType": "application/jsonlines",
            "SplitType": "Line",
        },
        TransformOutput={"S3OutputPath": "s3://mine/predicted"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
    )
    said = waiting(
        lambda: sagemaker.describe_transform_job(TransformJobName="t"),
        lambda said: said["TransformJobStatus"] in ("Completed", "Failed"),
        seconds=180,
    )
    assert said["TransformJobStatus"] == "Completed", said
    lines = s3.get_object(Bucket="mine", Key="predicted/part.jsonl.out")["Body"].read()
    assert len(lines.splitlines()) == 64
    said = waiting(
        lambda: sagemaker.describe_endpoint(EndpointName="e"),
        lambda said: said["EndpointStatus"] != "Creating",
        seconds=180,
    )
    assert said["EndpointStatus"] == "InService", said
    body = json.dumps({"instances": [{"in0": [1], "in1": [2]}]})
    said = client("sagemaker-runtime").invoke_endpoint(EndpointName="e", Body=body)
    assert "predictions" in json.loads(said["Body"].read())


def test_what_is_not_there_is_said_before_anything_runs(client, s3, request_of, waiting):
    sagemaker = client("sagemaker")
    with pytest.raises(ClientError, match=r"The bucket of 's3://nobodys/out' does not exist"):
        sagemaker.create_training_job(TrainingJobName="no", **request_of("s3://nobodys/out"))
    request = request_of("s3://mine/out")
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = "s3://mine/nothing"
    sagemaker.create_training_job(TrainingJobName="no-data", **request)
    said = waiting(
        lambda: sagemaker.describe_training_job(TrainingJobName="no-data"),
        lambda said: said["TrainingJobStatus"] in ("Completed", "Failed"),
    )
    assert said["FailureReason"].startswith("ClientError: No S3 objects found under S3 URL")
