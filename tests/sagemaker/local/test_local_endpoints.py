"""Endpoints by boto3: a model in S3 answers, and its name is free again afterwards."""

import io
import json
import tarfile

import pytest
from botocore.exceptions import ClientError

IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/object2vec:1"
ROLE = "arn:aws:iam::123456789012:role/object2vec-local"


@pytest.fixture(scope="module")
def deployed(sagemaker, model_uri, waiting):
    """The name of an endpoint that is in service."""
    container = {"Image": IMAGE, "ModelDataUrl": model_uri}
    sagemaker.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": "m",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    said = waiting(
        lambda: sagemaker.describe_endpoint(EndpointName="e"),
        lambda said: said["EndpointStatus"] != "Creating",
    )
    assert said["EndpointStatus"] == "InService", said
    return "e"


def test_it_answers_and_passes_errors_on_as_aws_does(deployed, client):
    runtime = client("sagemaker-runtime")
    body = json.dumps({"instances": [{"in0": [1], "in1": [2]}]})
    said = runtime.invoke_endpoint(EndpointName="e", Body=body, ContentType="application/json")
    (prediction,) = json.loads(said["Body"].read())["predictions"]
    assert len(prediction["scores"]) == 2
    with pytest.raises(ClientError) as caught:
        runtime.invoke_endpoint(EndpointName="e", Body=b"{", ContentType="application/json")
    said = caught.value.response
    assert said["Error"]["Code"] == "ModelError"
    assert said["OriginalStatusCode"] == 400
    with pytest.raises(ClientError, match="not found"):
        runtime.invoke_endpoint(EndpointName="other", Body=body, ContentType="application/json")
    by_url = client("sagemaker-runtime", by_url=True)
    by_url.invoke_endpoint(EndpointName="e", Body=body, ContentType="application/json")


def test_a_model_that_is_not_there_fails_the_endpoint(sagemaker, waiting, bucket):
    uri = f"s3://{bucket}/no/model.tar.gz"
    sagemaker.create_model(
        ModelName="gone",
        PrimaryContainer={"Image": IMAGE, "ModelDataUrl": uri},
        ExecutionRoleArn=ROLE,
    )
    variant = {"VariantName": "v", "ModelName": "gone"}
    sagemaker.create_endpoint_config(EndpointConfigName="gone", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="gone", EndpointConfigName="gone")
    said = waiting(
        lambda: sagemaker.describe_endpoint(EndpointName="gone"),
        lambda said: said["EndpointStatus"] != "Creating",
    )
    assert said["EndpointStatus"] == "Failed"
    assert "Could not find model data" in said["FailureReason"]


def test_names_are_free_again(deployed, sagemaker):
    sagemaker.delete_endpoint(EndpointName="e")
    with pytest.raises(ClientError, match="Could not find Endpoint"):
        sagemaker.describe_endpoint(EndpointName="e")
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    sagemaker.delete_endpoint(EndpointName="e")


def test_an_endpoint_whose_server_cannot_read_its_model_has_failed(sagemaker, s3, bucket, waiting):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo("config.json")
        entry.size = 2
        archive.addfile(entry, io.BytesIO(b"{}"))
    s3.put_object(Bucket=bucket, Key="broken/model.tar.gz", Body=packed.getvalue())
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{bucket}/broken/model.tar.gz"}
    sagemaker.create_model(ModelName="broken", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {
        "VariantName": "all",
        "ModelName": "broken",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m4.xlarge",
    }
    sagemaker.create_endpoint_config(EndpointConfigName="broken", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="broken", EndpointConfigName="broken")
    said = waiting(
        lambda: sagemaker.describe_endpoint(EndpointName="broken"),
        lambda said: said["EndpointStatus"] != "Creating",
    )
    assert said["EndpointStatus"] == "Failed"
    assert "config.json" in said["FailureReason"]
    sagemaker.delete_endpoint(EndpointName="broken")
