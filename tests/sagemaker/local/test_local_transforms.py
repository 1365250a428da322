"""Batch transform by boto3: filters, joins and outputs as AWS has them."""

import json

import pytest
from botocore.exceptions import ClientError

from object2vec.sagemaker.local.selections import WrongSelection, selection

IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/object2vec:1"
ROLE = "arn:aws:iam::123456789012:role/object2vec-local"
RECORDS = [{"id": f"r{i}", "in0": [i % 8 + 1], "in1": [i % 6 + 1]} for i in range(5)]


@pytest.fixture(scope="module")
def transformed(sagemaker, s3, bucket, model_uri, waiting):
    """Returns what runs a transform job over RECORDS and returns its description and lines."""
    container = {"Image": IMAGE, "ModelDataUrl": model_uri}
    sagemaker.create_model(ModelName="t", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    body = "".join(json.dumps(record) + "\n" for record in RECORDS)
    s3.put_object(Bucket=bucket, Key="batch/a/part.jsonl", Body=body)

    def run(name, **processing):
        sagemaker.create_transform_job(
            TransformJobName=name,
            ModelName="t",
            TransformInput={
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/batch"}
                },
                "ContentType": "application/jsonlines",
                "SplitType": "Line",
            },
            TransformOutput={"S3OutputPath": f"s3://{bucket}/{name}", "AssembleWith": "Line"},
            TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": 1},
            **({"DataProcessing": processing} if processing else {}),
        )
        said = waiting(
            lambda: sagemaker.describe_transform_job(TransformJobName=name),
            lambda said: said["TransformJobStatus"] != "InProgress",
        )
        if said["TransformJobStatus"] != "Completed":
            return said, None
        key = f"{name}/batch/a/part.jsonl.out"
        lines = s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()
        return said, [json.loads(line) for line in lines]

    return run


def test_predictions_stand_beside_their_records(transformed):
    said, plain = transformed("plain")
    assert said["TransformJobStatus"] == "Completed"
    assert [list(line) for line in plain] == [["scores"]] * 5
    _, joined = transformed("joined", JoinSource="Input", OutputFilter="$['id','SageMakerOutput']")
    assert joined == [
        {"id": record["id"], "SageMakerOutput": prediction}
        for record, prediction in zip(RECORDS, plain, strict=True)
    ]


def test_a_filter_that_selects_nothing_fails_the_job(transformed, sagemaker):
    said, _ = transformed("no-such-key", InputFilter="$.features")
    assert said["TransformJobStatus"] == "Failed"
    assert said["FailureReason"] == "ClientError: the record has no 'features'"
    with pytest.raises(ClientError, match="must begin with"):
        transformed("no-path", InputFilter="features")


@pytest.mark.parametrize(
    ("path", "record", "expected"),
    [
        ("$", [1], [1]),
        ("$.a", {"a": 1}, 1),
        ("$['a'].b", {"a": {"b": 2}}, 2),
        ("$[1:]", [1, 2, 3], [2, 3]),
        ("$[:-1]", [1, 2, 3], [1, 2]),
        ("$[0,-1]", [1, 2, 3], [1, 3]),
        ("$[0]", [1, 2], 1),
        ("$[*]", [1, 2], [1, 2]),
        ("$['a','b']", {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2}),
    ],
)
def test_selections(path, record, expected):
    assert selection(path)(record) == expected


@pytest.mark.parametrize("path", ["", "a", "$..a", "$[a]", "$[", "$a"])
def test_wrong_paths(path):
    with pytest.raises(WrongSelection):
        selection(path)


@pytest.mark.parametrize(("path", "record"), [("$.a", {}), ("$[3]", [1]), ("$[1:]", {"a": 1})])
def test_what_a_record_does_not_have(path, record):
    with pytest.raises(WrongSelection):
        selection(path)(record)
