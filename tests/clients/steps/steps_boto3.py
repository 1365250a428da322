"""boto3 alone: what the notebooks do, in the API's own calls, as Airflow and pipelines do it."""

import json
import os
import time

import api
import boto3
import data
from api import BUCKET, IMAGE

POLL = {"Delay": 1, "MaxAttempts": 300}


class Account:
    """The clients of an account, and the role of whoever calls."""

    def __init__(self):
        self.s3, self.api = boto3.client("s3"), boto3.client("sagemaker")
        self.runtime, self.logs = boto3.client("sagemaker-runtime"), boto3.client("logs")
        caller = boto3.client("sts").get_caller_identity()["Arn"]
        role = boto3.client("iam").get_role(RoleName=caller.split("/")[-2])
        self.role = role["Role"]["Arn"]
        self.s3.create_bucket(Bucket=BUCKET)

    def upload(self, prefix, paths):
        """Upload files by channel, and return the URIs."""
        uris = {}
        for name, path in paths.items():
            key = prefix + "/" + name + "/" + os.path.basename(path)
            self.s3.upload_file(path, BUCKET, key)
            uris[name] = f"s3://{BUCKET}/{key}"
        return uris

    def train(self, name, hyperparameters, uris):
        """Run a training job to its end, and return its description."""
        self.api.create_training_job(**api.training(name, self.role, hyperparameters, uris))
        waiter = self.api.get_waiter("training_job_completed_or_stopped")
        waiter.wait(TrainingJobName=name, WaiterConfig=POLL)
        return self.api.describe_training_job(TrainingJobName=name)

    def model(self, name, job):
        """Create a model of a job that has ended."""
        uri = job["ModelArtifacts"]["S3ModelArtifacts"]
        self.api.create_model(
            ModelName=name,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": uri},
            ExecutionRoleArn=self.role,
        )

    def deploy(self, name):
        """Create an endpoint of a model, and wait for it."""
        self.api.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {
                    "VariantName": "AllTraffic",
                    "ModelName": name,
                    "InitialInstanceCount": 1,
                    "InstanceType": "ml.m4.xlarge",
                }
            ],
        )
        self.api.create_endpoint(EndpointName=name, EndpointConfigName=name)
        self.api.get_waiter("endpoint_in_service").wait(EndpointName=name, WaiterConfig=POLL)

    def ask(self, name, instances):
        """Return the predictions of an endpoint."""
        said = self.runtime.invoke_endpoint(
            EndpointName=name,
            ContentType="application/json",
            Body=json.dumps({"instances": instances}),
        )
        return json.loads(said["Body"].read().decode())["predictions"]

    def clean(self, name):
        """Delete an endpoint, its configuration and its model."""
        self.api.delete_endpoint(EndpointName=name)
        self.api.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig=POLL)
        self.api.delete_endpoint_config(EndpointConfigName=name)
        self.api.delete_model(ModelName=name)


def movies():
    """Ratings, then recommendation, then embeddings."""
    account = Account()
    seen = {"role": account.role}
    for task in ("r", "c"):
        name = "movies-" + task
        paths = data.movies(task)
        uris = account.upload(name, paths)
        job = account.train(name, data.movies_hyperparameters(task), uris)
        account.model(name, job)
        account.deploy(name)
        found = account.ask(name, data.pairs_of(paths["validation"]))
        seen["scores_" + task] = [len(row["scores"]) for row in found]
        if task == "c":
            found = account.ask(name, [{"in1": [movie]} for movie in range(1, data.MOVIES)])
            seen["embeddings"] = [len(row["embeddings"]) for row in found]
        account.clean(name)
    return seen


def sentences():
    """A run, its log, a second one with vectors, and a tuning job."""
    account = Account()
    paths = data.sentences()
    uris = account.upload("sentences", paths)
    hyperparameters = data.sentences_hyperparameters()
    job = account.train("sentences", hyperparameters, uris)
    seen = {
        "job": job["TrainingJobName"],
        "metrics": [
            each["MetricName"]
            for each in job["FinalMetricDataList"]
            if each["MetricName"] == "validation:cross_entropy"
        ],
    }
    account.model("sentences", job)
    account.deploy("sentences")
    pairs = data.pairs_of(paths["validation"])
    seen["scores"] = [len(row["scores"]) for row in account.ask("sentences", pairs)]
    for path in ("glove.840B-trim.txt", "all_vocab.json"):
        account.s3.upload_file(path, BUCKET, "sentences/auxiliary/" + path)
    channels = dict(uris, auxiliary=f"s3://{BUCKET}/sentences/auxiliary")
    second = account.train("sentences-2", api.with_vectors(hyperparameters), channels)
    account.model("sentences-2", second)
    account.deploy("sentences-2")
    for side in ("in0", "in1"):
        found = account.ask("sentences-2", [{"in1": pair[side]} for pair in pairs])
        seen["embeddings_" + side] = [len(row["embeddings"]) for row in found]
    account.clean("sentences")
    account.clean("sentences-2")
    seen["tuned"] = tuned(account, uris, hyperparameters)
    return seen


def tuned(account, uris, hyperparameters):
    """Run a tuning job, and return its state and those of its jobs."""
    account.api.create_hyper_parameter_tuning_job(**api.tuning(account.role, hyperparameters, uris))
    while True:
        said = account.api.describe_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=api.TUNING
        )
        state = said["HyperParameterTuningJobStatus"]
        if state not in ("InProgress", "Stopping"):
            break
        time.sleep(1)
    jobs = account.api.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=api.TUNING
    )["TrainingJobSummaries"]
    return [state] + [job["TrainingJobStatus"] for job in jobs]


def genres():
    """Channels by prefix, vectors for one side, batch transform, and single requests."""
    account = Account()
    paths = data.genres()
    account.upload("genres", paths)
    for path in ("vocab.json", "glove.840B.300d.txt"):
        account.s3.upload_file(path, BUCKET, "genres/auxiliary/" + path)
    base = f"s3://{BUCKET}/genres/"
    channels = {name: base + name + "/" for name in ("train", "validation", "auxiliary")}
    job = account.train("genres", data.genres_hyperparameters(), channels)
    account.model("genres", job)
    account.api.create_transform_job(
        **api.transform("genres", base + "test/", base + "predictions/")
    )
    waiter = account.api.get_waiter("transform_job_completed_or_stopped")
    waiter.wait(TransformJobName="genres", WaiterConfig=POLL)
    name = os.path.basename(paths["test"]) + ".out"
    account.s3.download_file(BUCKET, "genres/predictions/" + name, name)
    seen = {"transformed": [len(row["scores"]) for row in data.rows_of(name)]}
    account.deploy("genres")
    batch = [{"in0": [3, 5, 7], "in1": [genre]} for genre in range(len(data.GENRES))]
    seen["scores"] = [len(row["scores"]) for row in account.ask("genres", batch)]
    account.clean("genres")
    return seen


def documents():
    """Three channels, the job's log, embeddings in batches."""
    account = Account()
    paths = data.documents()
    uris = account.upload("documents", paths)
    job = account.train("documents", data.documents_hyperparameters(), uris)
    group = "/aws/sagemaker/TrainingJobs"
    (stream,) = account.logs.describe_log_streams(
        logGroupName=group, logStreamNamePrefix="documents/"
    )["logStreams"]
    lines = account.logs.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
    )["events"]
    assert any("Finished scoring on" in line["message"] for line in lines)
    account.model("documents", job)
    account.deploy("documents")
    found = []
    articles = [{"in0": row["in1"]} for row in data.rows_of(paths["test"])]
    for start in range(0, len(articles), 25):
        found += account.ask("documents", articles[start : start + 25])
    account.clean("documents")
    return {
        "embeddings": [len(row["embeddings"]) for row in found],
        "metrics": sorted(each["MetricName"] for each in job["FinalMetricDataList"]),
    }
