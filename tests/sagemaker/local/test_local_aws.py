"""What is asked of AWS beside SageMaker and S3: who one is, and what one may."""

import json

import pytest
from botocore.exceptions import ClientError


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
