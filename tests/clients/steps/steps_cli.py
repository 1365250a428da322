"""The AWS CLI: the same steps as commands of a shell."""

import json
import os
import subprocess
import sys
import time

import api
from api import BUCKET, IMAGE

AWS = os.path.join(os.path.dirname(sys.executable), "aws")


def aws(*words):
    """Run a command, and return what it prints, as JSON if it is."""
    done = subprocess.run([AWS, *words], check=True, stdout=subprocess.PIPE)
    text = done.stdout.decode()
    return json.loads(text) if text[:1] in "{[" and text else text.strip()


def created(operation, request):
    """Create something of a description in a file, as one keeps it beside the code."""
    with open("request.json", "w") as file:
        json.dump(request, file)
    return aws("sagemaker", operation, "--cli-input-json", "file://request.json")


def ended(kind, name, field):
    """Wait until something is no longer at work, then let the CLI's own waiter confirm it."""
    words = ["describe-" + kind, f"--{kind}-name", name]
    while aws("sagemaker", *words)[field] in ("InProgress", "Creating"):
        time.sleep(0.5)
    state = "-in-service" if kind == "endpoint" else "-completed-or-stopped"
    aws("sagemaker", "wait", kind + state, f"--{kind}-name", name)
    return aws("sagemaker", *words)


class Account:
    """The bucket, and the role of whoever calls."""

    bucket = BUCKET

    def __init__(self):
        aws("s3", "mb", "s3://" + BUCKET)
        arn = aws("sts", "get-caller-identity", "--query", "Arn", "--output", "text")
        words = ["--role-name", arn.split("/")[-2], "--query", "Role.Arn", "--output", "text"]
        self.role = aws("iam", "get-role", *words)

    def upload(self, prefix, paths):
        """Copy files by channel, and return the URIs."""
        uris = {}
        for name, path in paths.items():
            uris[name] = f"s3://{BUCKET}/{prefix}/{name}/{os.path.basename(path)}"
            aws("s3", "cp", path, uris[name], "--quiet")
        return uris

    def put(self, paths, prefix):
        """Copy files into one folder."""
        for path in paths:
            aws("s3", "cp", path, f"s3://{BUCKET}/{prefix}/", "--quiet")

    def train(self, name, hyperparameters, uris):
        """Run a training job to its end, and return its description."""
        created("create-training-job", api.training(name, self.role, hyperparameters, uris))
        return ended("training-job", name, "TrainingJobStatus")

    def metrics(self, job):
        """Return the names of a job's metrics, as the CLI's query finds them."""
        words = ["--training-job-name", job["TrainingJobName"]]
        query = ["--query", "FinalMetricDataList[].MetricName"]
        return aws("sagemaker", "describe-training-job", *words, *query)

    def check_log(self, name):
        """Find the log of a job that has ended."""
        group = ["--log-group-name", "/aws/sagemaker/TrainingJobs"]
        (stream,) = aws("logs", "describe-log-streams", *group)["logStreams"]
        words = [*group, "--log-stream-name", stream["logStreamName"], "--start-from-head"]
        lines = aws("logs", "get-log-events", *words)["events"]
        assert any("Finished scoring on" in line["message"] for line in lines)

    def deploy(self, name, job):
        """Create model, configuration and endpoint."""
        model = job["ModelArtifacts"]["S3ModelArtifacts"]
        container = json.dumps({"Image": IMAGE, "ModelDataUrl": model})
        words = ["--primary-container", container, "--execution-role-arn", self.role]
        aws("sagemaker", "create-model", "--model-name", name, *words)
        variant = (
            f"VariantName=all,ModelName={name},InitialInstanceCount=1,InstanceType=ml.m4.xlarge"
        )
        words = ["--endpoint-config-name", name, "--production-variants", variant]
        aws("sagemaker", "create-endpoint-config", *words)
        aws("sagemaker", "create-endpoint", "--endpoint-name", name, "--endpoint-config-name", name)
        ended("endpoint", name, "EndpointStatus")

    def ask(self, name, instances):
        """Return the predictions of an endpoint."""
        with open("body.json", "w") as file:
            json.dump({"instances": instances}, file)
        words = ["--endpoint-name", name, "--content-type", "application/json"]
        aws(
            "sagemaker-runtime",
            "invoke-endpoint",
            *words,
            "--body",
            "fileb://body.json",
            "out.json",
        )
        with open("out.json") as file:
            return json.load(file)["predictions"]

    def transform(self, name, base, file):
        """Transform a folder, and fetch what a file of it became."""
        created("create-transform-job", api.transform(name, base + "test/", base + "predictions/"))
        ended("transform-job", name, "TransformJobStatus")
        aws("s3", "cp", base + "predictions/" + file, file, "--quiet")

    def tune(self, hyperparameters, uris):
        """Run a tuning job, and return its state and those of its jobs."""
        created("create-hyper-parameter-tuning-job", api.tuning(self.role, hyperparameters, uris))
        words = ["--hyper-parameter-tuning-job-name", api.TUNING]
        state = "InProgress"
        while state == "InProgress":
            time.sleep(0.5)
            said = aws("sagemaker", "describe-hyper-parameter-tuning-job", *words)
            state = said["HyperParameterTuningJobStatus"]
        jobs = aws("sagemaker", "list-training-jobs-for-hyper-parameter-tuning-job", *words)
        return [state] + [job["TrainingJobStatus"] for job in jobs["TrainingJobSummaries"]]

    def clean(self, names):
        """Delete what `deploy` made."""
        for name in names:
            aws("sagemaker", "delete-endpoint", "--endpoint-name", name)
            aws("sagemaker", "delete-endpoint-config", "--endpoint-config-name", name)
            aws("sagemaker", "delete-model", "--model-name", name)
