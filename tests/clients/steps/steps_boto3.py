"""boto3 alone: what the notebooks do, in the API's own calls, as Airflow and pipelines do it."""

import json
import os
import time

import api
import boto3
from api import BUCKET, IMAGE

POLL = {"Delay": 1, "MaxAttempts": 300}


class Account:
    """The clients of an account, and the role of whoever calls."""

    bucket = BUCKET

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

    def put(self, paths, prefix):
        """Upload files into one folder."""
        for path in paths:
            self.s3.upload_file(path, BUCKET, prefix + "/" + path)

    def train(self, name, hyperparameters, uris):
        """Run a training job to its end, and return its description."""
        self.api.create_training_job(**api.training(name, self.role, hyperparameters, uris))
        waiter = self.api.get_waiter("training_job_completed_or_stopped")
        waiter.wait(TrainingJobName=name, WaiterConfig=POLL)
        return self.api.describe_training_job(TrainingJobName=name)

    def metrics(self, job):
        """Return the names of a job's metrics."""
        return [each["MetricName"] for each in job["FinalMetricDataList"]]

    def check_log(self, name):
        """Find the log of a job that has ended."""
        group = "/aws/sagemaker/TrainingJobs"
        (stream,) = self.logs.describe_log_streams(
            logGroupName=group, logStreamNamePrefix=name + "/"
        )["logStreams"]
        lines = self.logs.get_log_events(
            logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
        )["events"]
        assert any("Finished scoring on" in line["message"] for line in lines)

    def deploy(self, name, job):
        """Create a model of a job that has ended, and an endpoint, and wait for it."""
        uri = job["ModelArtifacts"]["S3ModelArtifacts"]
        self.api.create_model(
            ModelName=name,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": uri},
            ExecutionRoleArn=self.role,
        )
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

    def transform(self, name, base, file):
        """Transform a folder, and fetch what a file of it became."""
        self.api.create_transform_job(**api.transform(name, base + "test/", base + "predictions/"))
        waiter = self.api.get_waiter("transform_job_completed_or_stopped")
        waiter.wait(TransformJobName=name, WaiterConfig=POLL)
        self.s3.download_file(BUCKET, name + "/predictions/" + file, file)

    def tune(self, hyperparameters, uris):
        """Run a tuning job, and return its state and those of its jobs."""
        self.api.create_hyper_parameter_tuning_job(**api.tuning(self.role, hyperparameters, uris))
        name = {"HyperParameterTuningJobName": api.TUNING}
        while True:
            said = self.api.describe_hyper_parameter_tuning_job(**name)
            state = said["HyperParameterTuningJobStatus"]
            if state not in ("InProgress", "Stopping"):
                break
            time.sleep(1)
        jobs = self.api.list_training_jobs_for_hyper_parameter_tuning_job(**name)
        return [state] + [job["TrainingJobStatus"] for job in jobs["TrainingJobSummaries"]]

    def clean(self, names):
        """Delete endpoints, their configurations and models."""
        for name in names:
            self.api.delete_endpoint(EndpointName=name)
            waiter = self.api.get_waiter("endpoint_deleted")
            waiter.wait(EndpointName=name, WaiterConfig=POLL)
            self.api.delete_endpoint_config(EndpointConfigName=name)
            self.api.delete_model(ModelName=name)
