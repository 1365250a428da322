"""Training jobs by boto3: from records in S3 to a model in S3, with log and metrics."""

import datetime
import io
import tarfile

import pytest
from botocore.exceptions import ClientError


@pytest.fixture(scope="module")
def done(sagemaker, job, ended):
    """A job that has trained."""
    sagemaker.create_training_job(TrainingJobName="first", **job())
    return ended("first")


def test_a_job_ends_with_a_model_in_s3(done, s3, bucket):
    assert done["TrainingJobStatus"] == "Completed", done
    assert done["OutputDataConfig"] == {"KmsKeyId": "", "S3OutputPath": f"s3://{bucket}/out"}
    states = [each["Status"] for each in done["SecondaryStatusTransitions"]]
    assert states == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    uri = done["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri == f"s3://{bucket}/out/first/output/model.tar.gz"
    packed = s3.get_object(Bucket=bucket, Key="out/first/output/model.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert "config.json" in archive.getnames()
    output = s3.get_object(Bucket=bucket, Key="out/first/output/output.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(output)) as archive:
        assert "metrics.jsonl" in archive.getnames()


def test_its_metrics_are_those_of_its_log(done, client):
    log = client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    streams = log.describe_log_streams(logGroupName=group, logStreamNamePrefix="first/")
    (stream,) = streams["logStreams"]
    events = log.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
    )
    lines = [event["message"] for event in events["events"]]
    values = [
        float(line.rpartition("=")[2]) for line in lines if "train cross_entropy <loss>=" in line
    ]
    assert len(values) == 2
    final = {each["MetricName"]: each["Value"] for each in done["FinalMetricDataList"]}
    assert final["train:cross_entropy"] == pytest.approx(values[-1], rel=1e-6)
    assert {"train:progress", "train:throughput"} < final.keys()
    assert final["train:progress"] == 100
    again = log.get_log_events(
        logGroupName=group,
        logStreamName=stream["logStreamName"],
        startFromHead=True,
        nextToken=events["nextForwardToken"],
    )
    assert again["events"] == []
    now = datetime.datetime.now(datetime.timezone.utc)
    said = client("cloudwatch").get_metric_statistics(
        Namespace=group,
        MetricName="train:cross_entropy",
        Dimensions=[{"Name": "TrainingJobName", "Value": "first"}],
        StartTime=now - datetime.timedelta(hours=1),
        EndTime=now + datetime.timedelta(hours=1),
        Period=3600,
        Statistics=["Average", "SampleCount"],
    )
    (point,) = said["Datapoints"]
    assert point["SampleCount"] == 2
    assert point["Average"] == pytest.approx(sum(values) / 2, rel=1e-6)


def test_wrong_hyperparameters_fail_the_job_with_the_container_s_reason(sagemaker, job, ended):
    sagemaker.create_training_job(TrainingJobName="wrong", **job(enc_dim=-1))
    said = ended("wrong")
    assert said["TrainingJobStatus"] == "Failed"
    assert said["FailureReason"].startswith("ClientError: enc_dim: must be")


def test_data_that_is_not_there_fails_before_training(sagemaker, job, ended):
    request = job()
    source = request["InputDataConfig"][0]["DataSource"]["S3DataSource"]
    source["S3Uri"] = "s3://sagemaker-data/nothing"
    sagemaker.create_training_job(TrainingJobName="no-data", **request)
    said = ended("no-data")
    assert said["TrainingJobStatus"] == "Failed"
    assert said["FailureReason"].startswith("ClientError: No S3 objects found under S3 URL")
    assert "Training" not in [each["Status"] for each in said["SecondaryStatusTransitions"]]


def test_a_missing_bucket_and_a_foreign_image_are_rejected_at_once(sagemaker, job):
    request = job()
    request["OutputDataConfig"]["S3OutputPath"] = "s3://nowhere-to-be-found/x"
    with pytest.raises(ClientError, match="does not exist"):
        sagemaker.create_training_job(TrainingJobName="no-bucket", **request)
    request = job()
    request["AlgorithmSpecification"]["TrainingImage"] = "1.dkr.ecr.us-east-1.x/xgboost:1"
    with pytest.raises(ClientError, match="object2vec or ipinsights"):
        sagemaker.create_training_job(TrainingJobName="no-image", **request)
    with pytest.raises(ClientError, match="Could not find TrainingJob"):
        sagemaker.describe_training_job(TrainingJobName="no-bucket")


def test_a_stopped_job_saves_what_it_has_learned(sagemaker, job, ended, waiting, s3, bucket):
    sagemaker.create_training_job(TrainingJobName="endless", **job(epochs=100, seed=3) | {})
    name = {"TrainingJobName": "endless"}
    waiting(
        lambda: sagemaker.describe_training_job(**name),
        lambda said: said["SecondaryStatus"] == "Training",
    )
    sagemaker.stop_training_job(**name)
    said = ended("endless")
    assert said["TrainingJobStatus"] in ("Stopped", "Completed")


def test_names_are_unique_and_listed(done, sagemaker, job):
    with pytest.raises(ClientError, match="ResourceInUse"):
        sagemaker.create_training_job(TrainingJobName="first", **job())
    said = sagemaker.list_training_jobs(NameContains="FIR", StatusEquals="Completed")
    assert [each["TrainingJobName"] for each in said["TrainingJobSummaries"]] == ["first"]
    found = sagemaker.search(
        Resource="TrainingJob",
        SearchExpression={"Filters": [{"Name": "TrainingJobName", "Value": "first"}]},
    )
    assert [each["TrainingJob"]["TrainingJobName"] for each in found["Results"]] == ["first"]


def test_whoever_asks_has_a_role_and_tags_stay(done, client, sagemaker):
    arn = client("sts").get_caller_identity()["Arn"]
    assert arn.startswith("arn:aws:sts::123456789012:assumed-role/object2vec-local/")
    role = client("iam").get_role(RoleName="object2vec-local")["Role"]
    assert ":role/" in role["Arn"]
    arn = done["TrainingJobArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "1"}]
