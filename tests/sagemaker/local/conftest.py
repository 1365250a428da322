"""A local service, and boto3 as its client: the SDK's own protocol, by proxy and by URL."""

import copy
import json
import time

import boto3
import pytest
from botocore.config import Config

from object2vec.model import Object2Vec
from object2vec.sagemaker.local.jobs import Work
from object2vec.sagemaker.local.service import Service
from object2vec.sagemaker.local.training import _pack

RECORDS = [{"in0": [i % 8 + 1], "in1": [i % 6 + 1], "label": i % 2} for i in range(64)]
KEYS = {"aws_access_key_id": "someone", "aws_secret_access_key": "secret"}


def client_of(service, name, *, by_url=False, key="someone"):
    """Return boto3's client of a service of AWS that comes here, by proxy unless `by_url`."""
    given = {**KEYS, "aws_access_key_id": key, "region_name": "us-east-1"}
    retries = {"max_attempts": 1}
    if by_url:
        config = Config(retries=retries, s3={"addressing_style": "path"})
        return boto3.client(name, endpoint_url=service.url, config=config, **given)
    config = Config(retries=retries, proxies={"https": service.url})
    return boto3.client(name, verify=str(service.authority.bundle), config=config, **given)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("local"), slots=2).running(grace_s=5) as running:
        yield running


@pytest.fixture(scope="module")
def sagemaker(service):
    return client_of(service, "sagemaker")


@pytest.fixture(scope="module")
def s3(service):
    return client_of(service, "s3")


@pytest.fixture(scope="module")
def bucket(s3):
    """A bucket with records to train on."""
    s3.create_bucket(Bucket="sagemaker-data")
    body = "".join(json.dumps(record) + "\n" for record in RECORDS)
    s3.put_object(Bucket="sagemaker-data", Key="pre/train-0.jsonl", Body=body)
    return "sagemaker-data"


@pytest.fixture(scope="module")
def job(bucket):
    """Returns what a request for a small training job says, with other hyperparameters."""
    request = {
        "AlgorithmSpecification": {
            "TrainingImage": "382416733822.dkr.ecr.us-east-1.amazonaws.com/object2vec:1",
            "TrainingInputMode": "File",
        },
        "RoleArn": "arn:aws:iam::123456789012:role/object2vec-local",
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "ContentType": "application/jsonlines",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://{bucket}/pre/train",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/out"},
        "ResourceConfig": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": 1,
            "VolumeSizeInGB": 10,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        "HyperParameters": {
            "enc0_network": "pooled_embedding",
            "enc0_max_seq_len": "2",
            "enc0_vocab_size": "9",
            "enc1_network": "pooled_embedding",
            "enc1_max_seq_len": "2",
            "enc1_vocab_size": "7",
            "enc_dim": "4",
            "mlp_dim": "4",
            "mlp_layers": "1",
            "epochs": "2",
            "mini_batch_size": "16",
        },
    }

    def made(**hyperparameters):
        made = copy.deepcopy(request)
        made["HyperParameters"] |= {name: str(value) for name, value in hyperparameters.items()}
        return made

    return made


@pytest.fixture(scope="module")
def model_uri(s3, bucket, tmp_path_factory):
    """Where a small model lies in S3, packed as a training job packs its own."""
    folder = tmp_path_factory.mktemp("model")
    sides = {"enc0_vocab_size": 9, "enc1_network": "pooled_embedding", "enc1_vocab_size": 7}
    Object2Vec(
        enc0_network="pooled_embedding",
        enc0_max_seq_len=2,
        enc1_max_seq_len=2,
        **sides,
        enc_dim=4,
        mlp_dim=4,
        mlp_layers=1,
        epochs=2,
        mini_batch_size=16,
    ).fit(RECORDS, save_to=folder / "model")
    _pack(folder / "model", folder / "model.tar.gz")
    s3.upload_file(str(folder / "model.tar.gz"), bucket, "packed/model.tar.gz")
    return f"s3://{bucket}/packed/model.tar.gz"


def wait(describe, is_done, *, seconds=90):
    """Return what `describe` says once it `is_done`."""
    deadline = time.monotonic() + seconds
    while not is_done(said := describe()):
        assert time.monotonic() < deadline, said
        time.sleep(0.05)
    return said


@pytest.fixture(scope="module")
def client(service):
    """Returns boto3's client of a service of AWS that comes to this service, or to another one."""
    return lambda name, *, of=service, **how: client_of(of, name, **how)


@pytest.fixture(scope="module")
def waiting():
    """Returns what waits for a state."""
    return wait


@pytest.fixture(scope="module")
def ended(sagemaker):
    """Returns what waits for the end of a training job."""

    def described(name):
        return wait(
            lambda: sagemaker.describe_training_job(TrainingJobName=name),
            lambda said: said["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"),
        )

    return described


class HeldJob(Work):
    """A job at work, whose process is a function of the job and what a process is started with."""

    def __init__(self, folder, process):
        super().__init__(folder)
        self._process, self.stops, self.limit_s = process, 0, None

    def run(self, arguments, environment, on_line):
        return self._process(self, arguments, environment, on_line) or 0

    def limited(self, seconds):
        self.limit_s = seconds
        return super().limited(seconds)

    def stop(self):
        self.stops += 1
        self.stopping.set()


class HeldQueue:
    """A queue that runs nothing before it is asked to."""

    def __init__(self):
        self.waiting, self.stopped = {}, []

    def submit(self, folder, work):
        self.waiting[folder.name] = work, folder

    def stop(self, folder):
        self.stopped.append(folder.name)

    def run(self, name, process, *, is_stopped=False):
        work, folder = self.waiting.pop(name)
        self.job = job = HeldJob(folder, process)
        if is_stopped:
            job.stopping.set()
        work(job)
        return job


@pytest.fixture
def queue():
    return HeldQueue()
