"""What is asked of AWS beside SageMaker and S3: who one is, and what one may."""

import json

import pytest
from botocore.exceptions import ClientError
from werkzeug.exceptions import NotFound

from object2vec.sagemaker.local import aws


def test_everybody_has_assumed_a_role_that_jobs_may_have(client):
    arn = client("sts").get_caller_identity()["Arn"]
    role = client("iam").get_role(RoleName=arn.split("/")[-2])["Role"]
    assert arn == "arn:aws:sts::123456789012:assumed-role/object2vec-local/SageMaker"
    assert role["Arn"] == "arn:aws:iam::123456789012:role/object2vec-local"
    assert "sagemaker.amazonaws.com" in json.dumps(role["AssumeRolePolicyDocument"])


def test_the_role_may_do_everything(client):
    """SDK 3 asks before it trains."""
    actions = [f"s3:Action{i}" for i in range(12)]
    pages = (
        client("iam")
        .get_paginator("simulate_principal_policy")
        .paginate(
            PolicySourceArn="arn:aws:iam::123456789012:role/object2vec-local", ActionNames=actions
        )
    )
    found = [each for page in pages for each in page["EvaluationResults"]]
    assert sorted(each["EvalActionName"] for each in found) == sorted(actions)
    assert {each["EvalDecision"] for each in found} == {"allowed"}


@pytest.mark.parametrize(
    ("name", "operation", "asked"),
    [
        ("iam", "simulate_custom_policy", {"PolicyInputList": ["{}"], "ActionNames": ["s3:Get"]}),
        ("s3", "get_bucket_website", {"Bucket": "none-of-that-name"}),
        ("deadline", "list_farms", {}),
    ],
)
def test_what_is_not_offered_is_an_error_that_clients_can_read(client, name, operation, asked):
    with pytest.raises(ClientError):
        getattr(client(name), operation)(**asked)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (NotImplementedError("Flying"), 400, "Flying is not offered here."),
        (NotImplementedError(), 400, "This is not offered here."),
        (NotFound("gone"), 404, "gone"),
    ],
)
def test_what_moto_raises_is_a_response(service, monkeypatch, error, status, text):
    def handler(*given):
        raise error

    monkeypatch.setattr(aws, "_handler", lambda url, path: handler)
    response = service.aws("GET", "https://iam.amazonaws.com", "/", {}, b"")
    assert response.status == status
    assert text in response.body.decode()


FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


@pytest.mark.parametrize(
    ("host", "headers", "start"),
    [
        ("deadline.us-east-1.amazonaws.com", {}, '{"__type": "UnknownOperationException"'),
        ("deadline.us-east-1.amazonaws.com", FORM, "<ErrorResponse><Error><Code>InvalidAction<"),
        ("bucket.s3-nowhere.example", {}, "<Error><Code>InvalidAction<"),
    ],
)
def test_an_error_has_the_form_of_the_service_s_protocol(service, host, headers, start):
    response = service.aws("POST", f"https://{host}", "/?x=<", headers, b"")
    assert response.status == 400
    assert response.body.decode().startswith(start)
    assert "This service of AWS is not offered here." in response.body.decode()


def test_metrics_are_in_cloudwatch_by_job_and_time(service, client):
    cloudwatch = client("cloudwatch")
    for value, at, job in ((0.5, 1.8e9, "a"), (0.25, 1.8e9 + 60, "a"), (9.0, 1.8e9, "b")):
        service.aws.put_metric("us-east-1", "/aws/sagemaker/TrainingJobs", "loss", value, at, job)
    said = cloudwatch.get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="loss",
        Dimensions=[{"Name": "TrainingJobName", "Value": "a"}],
        StartTime=1.8e9 - 60,
        EndTime=1.8e9 + 120,
        Period=60,
        Statistics=["Average"],
    )["Datapoints"]
    found = sorted((each["Timestamp"].timestamp(), each["Average"]) for each in said)
    assert found == [(1.8e9, 0.5), (1.8e9 + 60, 0.25)]


def test_there_is_one_role_however_many_services_there_were(service, client, tmp_path):
    before = aws.iam_backends[aws.ACCOUNT]["aws"].roles.copy()
    backend = service.aws.buckets
    try:
        aws.Aws(tmp_path)
        assert aws.iam_backends[aws.ACCOUNT]["aws"].roles == before
        assert client("s3").list_buckets()["Buckets"] == []
    finally:
        aws.Aws(backend.buckets.parent)
