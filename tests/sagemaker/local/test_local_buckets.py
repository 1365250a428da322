"""S3 over folders: keys are files, and what boto3 puts is what it gets."""

import io

import pytest
from botocore.exceptions import ClientError

KEYS = ["a", "b/c", "b/d/e.txt", "folder/", "with space", "per%cent", "../up", "ünïcode", ".dot"]


def test_every_key_is_a_file_and_comes_back(service, s3):
    s3.create_bucket(Bucket="keys")
    for key in KEYS:
        s3.put_object(Bucket="keys", Key=key, Body=key.encode(), ContentType="text/x")
    listed = s3.list_objects_v2(Bucket="keys")["Contents"]
    assert [each["Key"] for each in listed] == sorted(KEYS, key=str.encode)
    for key in KEYS:
        said = s3.get_object(Bucket="keys", Key=key)
        assert said["Body"].read() == key.encode()
        assert said["ContentType"] == "text/x"
    files = [path for path in (service.folder / "buckets" / "keys").rglob("*") if path.is_file()]
    assert len(files) == len(KEYS)
    assert (service.folder / "buckets" / "keys" / "b" / "d" / "e.txt").read_bytes() == b"b/d/e.txt"


def test_a_file_that_somebody_puts_there_is_a_key(service, s3):
    s3.create_bucket(Bucket="dropped")
    (service.folder / "buckets" / "dropped" / "x").mkdir()
    (service.folder / "buckets" / "dropped" / "x" / "y.bin").write_bytes(b"12345")
    said = s3.get_object(Bucket="dropped", Key="x/y.bin")
    assert said["Body"].read() == b"12345"
    assert said["ETag"] == '"827ccb0eea8a706c4c34a16891f84e7b"'


def test_an_upload_in_parts_ranges_and_copies(s3):
    s3.create_bucket(Bucket="parts")
    body = bytes(range(256)) * 70_000  # 17 MB: boto3 sends it in parts
    s3.upload_fileobj(io.BytesIO(body), "parts", "big", ExtraArgs={"Metadata": {"who": "me"}})
    head = s3.head_object(Bucket="parts", Key="big")
    assert (head["ContentLength"], head["Metadata"]) == (len(body), {"who": "me"})
    assert head["ETag"].strip('"').endswith("-3")
    part = s3.get_object(Bucket="parts", Key="big", Range="bytes=255-257")["Body"].read()
    assert part == bytes([255, 0, 1])
    s3.copy_object(Bucket="parts", Key="copy", CopySource="parts/big")
    assert s3.get_object(Bucket="parts", Key="copy")["Body"].read() == body
    s3.delete_objects(Bucket="parts", Delete={"Objects": [{"Key": "big"}, {"Key": "copy"}]})
    s3.delete_bucket(Bucket="parts")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3.list_objects_v2(Bucket="parts")


def test_a_key_beneath_another_is_rejected_with_the_reason(s3):
    s3.create_bucket(Bucket="beneath")
    s3.put_object(Bucket="beneath", Key="a", Body=b"1")
    with pytest.raises(ClientError, match="a/b cannot be stored in a folder beside a key"):
        s3.put_object(Bucket="beneath", Key="a/b", Body=b"2")
    assert s3.get_object(Bucket="beneath", Key="a")["Body"].read() == b"1"


def test_prefixes_and_pages(s3):
    s3.create_bucket(Bucket="pages")
    for number in range(7):
        s3.put_object(Bucket="pages", Key=f"p/{number}", Body=b"")
    s3.put_object(Bucket="pages", Key="q", Body=b"")
    said = s3.list_objects_v2(Bucket="pages", Delimiter="/")
    assert [each["Prefix"] for each in said["CommonPrefixes"]] == ["p/"]
    assert [each["Key"] for each in said["Contents"]] == ["q"]
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket="pages", Prefix="p/", PaginationConfig={"PageSize": 3}
    )
    assert [each["Key"] for page in pages for each in page["Contents"]] == [
        f"p/{number}" for number in range(7)
    ]


def test_by_url_it_is_the_same_s3(client, s3):
    s3.create_bucket(Bucket="by-url")
    other = client("s3", by_url=True)
    other.put_object(Bucket="by-url", Key="k/1", Body=b"x")
    assert s3.get_object(Bucket="by-url", Key="k/1")["Body"].read() == b"x"
