"""Kill -9 of the service at random moments: nothing is half, and the next service answers right."""

import concurrent.futures
import contextlib
import hashlib
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from object2vec.files.whole import TEMPORARY_PREFIX
from object2vec.sagemaker.local.training import INTERRUPTED

IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/object2vec:1"
ROLE = "arn:aws:iam::123456789012:role/object2vec-local"
BUCKET = "kills"
ENDED = ("Completed", "Failed", "Stopped")
LOST = (ClientError, BotoCoreError, OSError)


class Killable:
    """The service as a process, started again and again over one folder."""

    def __init__(self, folder):
        self.folder = folder
        self.process = None

    def start(self):
        command = [sys.executable, "-m", "object2vec", "sagemaker", "local", "--dir", self.folder]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, text=True, env=environment
        )
        for line in self.process.stdout:
            if match := re.match(r"export HTTPS_PROXY=(\S+)", line):
                self.url = match[1]
            if "AWS_SECRET_ACCESS_KEY" in line:
                return
        raise AssertionError("the service did not start")

    def client(self, name):
        return boto3.client(
            name,
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="someone",
            aws_secret_access_key="secret",
            config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def kill(self):
        """Kill the service alone; what it has started must end by itself."""
        self.process.kill()
        self.close()
        deadline = time.monotonic() + 10
        while left := children(self.folder):
            assert time.monotonic() < deadline, left
            time.sleep(0.02)

    def close(self):
        self.process.wait()
        self.process.stdout.close()


def children(folder):
    """What runs and names the folder in its command line or in the tree of its job."""
    found = {}
    for each in Path("/proc").iterdir():
        if not each.name.isdecimal() or int(each.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            said = (each / "cmdline").read_bytes() + (each / "environ").read_bytes()
            state = (each / "stat").read_text().rpartition(")")[2].split()[0]
            if bytes(folder) in said and state != "Z":
                found[int(each.name)] = (each / "cmdline").read_bytes()
    return found


class Campaign:
    """What was asked of the services, and what each of them said."""

    def __init__(self, folder, seed):
        self.service, self.random = Killable(folder), random.Random(seed)
        self.jobs, self.endpoints, self.transforms = {}, set(), set()
        self.objects = {}  # what each key may hold, the newest last
        self.number = 0

    def request(self, *, has_checkpoint, epochs):
        s3 = f"s3://{BUCKET}"
        source = {"S3DataType": "S3Prefix", "S3Uri": f"{s3}/data/train"}
        request = {
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "RoleArn": ROLE,
            "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": f"{s3}/out"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
            "Environment": {"OBJECT2VEC_CHECKPOINT_EVERY": "40"},
            "HyperParameters": {
                "enc0_network": "pooled_embedding",
                "enc1_network": "pooled_embedding",
                "enc0_max_seq_len": "2",
                "enc1_max_seq_len": "2",
                "enc0_vocab_size": "9",
                "enc1_vocab_size": "7",
                "enc_dim": "4",
                "mlp_dim": "4",
                "mlp_layers": "1",
                "epochs": str(epochs),
                "mini_batch_size": "16",
                "seed": "3",
                "early_stopping_patience": "5",
                "early_stopping_tolerance": "1e-6",
            },
        }
        if has_checkpoint:
            uri = f"{s3}/checkpoints/{self.number}"
            request["CheckpointConfig"] = {"S3Uri": uri}
        return request

    def begin(self, epochs):
        """Put the data there, and a model to deploy."""
        self.epochs = epochs
        self.service.start()
        s3, sagemaker = self.service.client("s3"), self.service.client("sagemaker")
        s3.create_bucket(Bucket=BUCKET)
        records = [{"in0": [i % 8 + 1], "in1": [i % 6 + 1], "label": i % 2} for i in range(64)]
        body = "".join(json.dumps(record) + "\n" for record in records)
        s3.put_object(Bucket=BUCKET, Key="data/train-0.jsonl", Body=body)
        s3.put_object(Bucket=BUCKET, Key="batch/part.jsonl", Body=body)
        request = self.request(has_checkpoint=False, epochs=epochs)
        sagemaker.create_training_job(TrainingJobName="undisturbed", **request)
        said = self.ended("undisturbed")
        assert said["TrainingJobStatus"] == "Completed", said
        self.expected = self.weights("undisturbed")
        uri = f"s3://{BUCKET}/out/undisturbed/output/model.tar.gz"
        container = {"Image": IMAGE, "ModelDataUrl": uri}
        sagemaker.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=ROLE)
        variant = {"VariantName": "AllTraffic", "ModelName": "m"}
        sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])

    def ended(self, name, seconds=120):
        return self.waited(
            lambda: self.service.client("sagemaker").describe_training_job(TrainingJobName=name),
            lambda said: said["TrainingJobStatus"] in ENDED,
            seconds,
        )

    def waited(self, describe, is_done, seconds=120):
        deadline = time.monotonic() + seconds
        while not is_done(said := describe()):
            assert time.monotonic() < deadline, said
            time.sleep(0.1)
        return said

    def weights(self, name):
        """The hash of a model's weights, out of its whole archive."""
        key = f"out/{name}/output/model.tar.gz"
        packed = self.service.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            assert "config.json" in archive.getnames()
            (name,) = [each for each in archive.getnames() if each.endswith(".safetensors")]
            return hashlib.sha256(archive.extractfile(name).read()).hexdigest()

    def disturb(self, asked, longest_s):
        """Ask for several things at once, and kill the service meanwhile."""
        self.number += 1
        with concurrent.futures.ThreadPoolExecutor(len(asked)) as pool:
            pending = [pool.submit(each, self.random.random()) for each in asked]
            time.sleep(self.random.uniform(0.01, longest_s))
            self.service.kill()
            for each in pending:
                each.result()

    def train(self, chance):
        name = f"job-{self.number}-{chance:.6f}".replace(".", "-")
        request = self.request(has_checkpoint=chance < 0.6, epochs=self.epochs)
        with contextlib.suppress(*LOST):
            self.service.client("sagemaker").create_training_job(TrainingJobName=name, **request)
            self.jobs[name] = request

    def stop(self, chance):
        if self.jobs:
            name = list(self.jobs)[-1]
            with contextlib.suppress(*LOST):
                self.service.client("sagemaker").stop_training_job(TrainingJobName=name)

    def put(self, chance):
        key = f"objects/{int(chance * 5)}"
        body = os.urandom(int(chance * 3e6))
        self.objects.setdefault(key, [b""]).append(body)
        with contextlib.suppress(*LOST):
            self.service.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)
            self.objects[key] = [body]

    def put_parts(self, chance):
        key, body = f"parts/{int(chance * 3)}", os.urandom(17_000_000)
        self.objects.setdefault(key, [b""]).append(body)
        with contextlib.suppress(Exception):  # boto3's transfers have errors of their own
            self.service.client("s3").upload_fileobj(io.BytesIO(body), BUCKET, key)
            self.objects[key] = [body]

    def deploy(self, chance):
        name = f"endpoint-{int(chance * 2)}"
        with contextlib.suppress(*LOST):
            self.service.client("sagemaker").create_endpoint(
                EndpointName=name, EndpointConfigName="c"
            )
            self.endpoints.add(name)

    def undeploy(self, chance):
        if self.endpoints:
            name = min(self.endpoints)
            self.endpoints.discard(name)  # whatever becomes of it
            with contextlib.suppress(*LOST):
                self.service.client("sagemaker").delete_endpoint(EndpointName=name)

    def transform(self, chance):
        name, s3 = f"transform-{self.number}", f"s3://{BUCKET}"
        source = {"S3DataType": "S3Prefix", "S3Uri": f"{s3}/batch"}
        with contextlib.suppress(*LOST):
            self.service.client("sagemaker").create_transform_job(
                TransformJobName=name,
                ModelName="m",
                TransformInput={
                    "DataSource": {"S3DataSource": source},
                    "ContentType": "application/jsonlines",
                    "SplitType": "Line",
                },
                TransformOutput={"S3OutputPath": f"{s3}/{name}"},
                TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
            )
            self.transforms.add(name)

    def check(self):
        """What the next service must say at once."""
        folder = self.service.folder
        self.waited(  # jobs that go on write there, too
            lambda: list((folder / "buckets").rglob(f"{TEMPORARY_PREFIX}*")), lambda left: not left
        )
        s3, sagemaker = self.service.client("s3"), self.service.client("sagemaker")
        kept = {}
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
            for each in page["Contents"]:
                if each["Key"].startswith(("objects/", "parts/")):
                    kept[each["Key"]] = each
        for key, allowed in self.objects.items():
            found = b""
            if key in kept:
                found = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            assert found in allowed, (key, len(found))
            self.objects[key] = [found]
        for name in self.jobs:
            said = sagemaker.describe_training_job(TrainingJobName=name)
            if said["TrainingJobStatus"] == "Failed":
                assert said["FailureReason"] == INTERRUPTED
                assert "CheckpointConfig" not in said
        for name in self.endpoints:
            assert sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] in (
                "Creating",
                "InService",
            )

    def finish(self):
        """Let everything come to its end, undisturbed."""
        self.service.start()
        self.check()
        states = {name: self.finished(name) for name in self.jobs}
        for name in self.endpoints:
            self.answering(name)
        for name in self.transforms:
            sagemaker, s3 = self.service.client("sagemaker"), self.service.client("s3")
            said = self.waited(
                lambda name=name, sagemaker=sagemaker: sagemaker.describe_transform_job(
                    TransformJobName=name
                ),
                lambda said: said["TransformJobStatus"] in ENDED,
            )
            assert said["TransformJobStatus"] == "Completed", said
            body = s3.get_object(Bucket=BUCKET, Key=f"{name}/batch/part.jsonl.out")["Body"]
            assert len(body.read().splitlines()) == 64
        self.service.process.send_signal(signal.SIGTERM)
        self.service.close()
        assert not children(self.service.folder)
        assert not list(self.service.folder.rglob("training-jobs/*/ml"))
        return states

    def finished(self, name):
        said = self.ended(name)
        status = said["TrainingJobStatus"]
        if status == "Completed":
            assert self.weights(name) == self.expected  # to the byte, however often interrupted
        elif status == "Failed":
            assert said["FailureReason"] == INTERRUPTED, said
            assert "CheckpointConfig" not in said
        return status

    def answering(self, name):
        sagemaker = self.service.client("sagemaker")
        self.waited(
            lambda: sagemaker.describe_endpoint(EndpointName=name),
            lambda said: said["EndpointStatus"] == "InService",
        )
        body = json.dumps({"instances": [{"in0": [1], "in1": [2]}]})
        said = self.service.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=name, Body=body, ContentType="application/json"
        )
        assert "predictions" in json.loads(said["Body"].read())


def disturbed(folder, rounds, *, seed, epochs, longest_s):
    """Return how the jobs ended that were asked for in rounds, each ended by a kill."""
    campaign = Campaign(folder, seed)
    try:
        campaign.begin(epochs)
        for each in rounds:
            campaign.disturb([getattr(campaign, name) for name in each], longest_s)
            campaign.service.start()
            campaign.check()
        campaign.service.kill()
        return campaign.finish()
    finally:
        campaign.service.process.kill()
        campaign.service.close()


pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


def test_three_kills(tmp_path):
    rounds = [["train", "put"], ["put_parts", "put"], ["deploy", "stop"]]
    disturbed(tmp_path / "dir", rounds, seed=1, epochs=10, longest_s=0.6)


@pytest.mark.slow
def test_fifty_kills(tmp_path):
    always = ["train", "put", "put_parts", "deploy"]
    last = ["transform", "stop", "undeploy"]
    rounds = [[*always, last[number % 3]] for number in range(50)]
    states = disturbed(tmp_path / "dir", rounds, seed=2, epochs=40, longest_s=4.0)
    assert {"Completed", "Failed"} <= set(states.values())
