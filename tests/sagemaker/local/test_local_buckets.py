"""S3 over folders: keys are files, and what boto3 puts is what it gets."""

import contextlib
import io
import os

import pytest
from botocore.exceptions import ClientError

from object2vec.errors import StorageError
from object2vec.files.whole import TEMPORARY_PREFIX
from object2vec.sagemaker.local import buckets
from object2vec.sagemaker.local.buckets import FolderBackend, FolderKeys, Folders

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


def code_of(function, **request):
    with pytest.raises(ClientError) as caught:
        function(**request)
    return caught.value.response["Error"]["Code"]


def test_what_is_not_there_is_said_as_s3_says_it(s3):
    s3.create_bucket(Bucket="missing")
    assert code_of(s3.get_object, Bucket="missing", Key="k") == "NoSuchKey"
    assert code_of(s3.head_object, Bucket="missing", Key="k") == "404"
    assert code_of(s3.copy_object, Bucket="missing", Key="c", CopySource="missing/k") == "NoSuchKey"
    assert code_of(s3.put_object, Bucket="no-such-bucket", Key="k", Body=b"") == "NoSuchBucket"
    s3.delete_object(Bucket="missing", Key="k")
    assert "Contents" not in s3.list_objects_v2(Bucket="missing")


def test_a_key_that_is_written_again_has_nothing_of_the_first(s3, service):
    s3.create_bucket(Bucket="again")
    first = s3.put_object(
        Bucket="again", Key="a/k", Body=b"first", ContentType="text/x", Metadata={"a": "1"}
    )
    second = s3.put_object(Bucket="again", Key="a/k", Body=b"two")
    said = s3.get_object(Bucket="again", Key="a/k")
    assert said["Body"].read() == b"two"
    assert (said["ContentType"], said["Metadata"]) == ("binary/octet-stream", {})
    assert said["ETag"] == second["ETag"] != first["ETag"]
    (service.folder / "buckets" / "again" / "a" / "k").write_bytes(b"third, by somebody")
    said = s3.get_object(Bucket="again", Key="a/k")
    assert said["ContentLength"] == len(b"third, by somebody")
    assert said["ETag"] not in (first["ETag"], second["ETag"])


def test_a_bucket_is_deleted_when_it_is_empty(s3, service):
    s3.create_bucket(Bucket="to-delete")
    s3.put_object(Bucket="to-delete", Key="a/b/c", Body=b"1")
    s3.put_object(Bucket="to-delete", Key="a/d", Body=b"1")
    assert code_of(s3.delete_bucket, Bucket="to-delete") == "BucketNotEmpty"
    s3.delete_object(Bucket="to-delete", Key="a/b/c")
    folder = service.folder / "buckets" / "to-delete"
    assert [path.name for path in folder.rglob("*")] == ["a", "d"]  # no empty folder is left
    s3.delete_object(Bucket="to-delete", Key="a/d")
    assert list(folder.iterdir()) == []
    assert not list((service.folder / "meta" / "to-delete").rglob("*.json"))
    s3.delete_bucket(Bucket="to-delete")
    assert not folder.exists()
    assert "to-delete" not in [each["Name"] for each in s3.list_buckets()["Buckets"]]


def test_versions_are_not_kept_and_that_is_said(s3):
    s3.create_bucket(Bucket="versions")
    with pytest.raises(ClientError, match="not kept by the local S3"):
        s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Suspended"})


def test_a_folder_of_keys_is_no_key(s3):
    s3.create_bucket(Bucket="folders")
    s3.put_object(Bucket="folders", Key="a/b", Body=b"1")
    with pytest.raises(ClientError, match="a cannot be stored in a folder beside a key"):
        s3.put_object(Bucket="folders", Key="a", Body=b"2")
    assert code_of(s3.get_object, Bucket="folders", Key="a") == "NoSuchKey"


def test_a_key_has_one_version(s3):
    s3.create_bucket(Bucket="one-version")
    for body in (b"1", b"22"):
        s3.put_object(Bucket="one-version", Key="a/b", Body=body)
    (version,) = s3.list_object_versions(Bucket="one-version")["Versions"]
    assert (version["Key"], version["VersionId"], version["Size"]) == ("a/b", "null", 2)
    assert version["IsLatest"]
    said = s3.get_object(Bucket="one-version", Key="a/b", VersionId="null")
    assert said["Body"].read() == b"22"
    s3.delete_object(Bucket="one-version", Key="a/b", VersionId="null")
    assert "Versions" not in s3.list_object_versions(Bucket="one-version")


def test_a_copy_has_the_metadata_that_it_is_given(s3):
    s3.create_bucket(Bucket="copies")
    s3.put_object(
        Bucket="copies", Key="a", Body=b"1", Metadata={"of": "a"}, StorageClass="STANDARD_IA"
    )
    source = {"Bucket": "copies", "CopySource": "copies/a"}
    s3.copy_object(Key="same", **source)
    s3.copy_object(Key="other", Metadata={"of": "b"}, MetadataDirective="REPLACE", **source)
    for key, metadata in (("a", {"of": "a"}), ("same", {"of": "a"}), ("other", {"of": "b"})):
        assert s3.head_object(Bucket="copies", Key=key)["Metadata"] == metadata
    listed = s3.list_objects_v2(Bucket="copies")["Contents"]
    classes = {each["Key"]: each["StorageClass"] for each in listed}
    assert classes == {"a": "STANDARD_IA", "same": "STANDARD", "other": "STANDARD"}


def test_a_disk_that_is_full_is_the_service_s_error(s3, monkeypatch):
    s3.create_bucket(Bucket="full")

    def full(path):
        raise StorageError("no space left")

    monkeypatch.setattr(buckets, "whole_file", full)
    with pytest.raises(ClientError, match="no space left") as caught:
        s3.put_object(Bucket="full", Key="a", Body=b"1")
    assert caught.value.response["Error"]["Code"] == "InternalError"
    assert "Contents" not in s3.list_objects_v2(Bucket="full")


def test_what_is_not_a_key_yet_is_not_listed(service, s3):
    s3.create_bucket(Bucket="partly")
    s3.put_object(Bucket="partly", Key=f"{TEMPORARY_PREFIX}x", Body=b"1")  # a key of this name
    folder = service.folder / "buckets" / "partly"
    (folder / f"{TEMPORARY_PREFIX}y").write_bytes(b"half")
    listed = s3.list_objects_v2(Bucket="partly")["Contents"]
    assert [each["Key"] for each in listed] == [f"{TEMPORARY_PREFIX}x"]
    assert s3.get_object(Bucket="partly", Key=f"{TEMPORARY_PREFIX}x")["Body"].read() == b"1"


@pytest.mark.parametrize("text", ["not JSON", "{}", "[]", '{"stamp": 1}'])
def test_what_a_key_has_besides_its_bytes_may_be_damaged(service, s3, text):
    bucket = f"damaged-{len(text)}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a", Body=b"12345", Metadata={"who": "me"})
    service.aws.buckets.meta_file(bucket, "a").write_text(text)
    said = s3.get_object(Bucket=bucket, Key="a")
    assert (said["Body"].read(), said["Metadata"]) == (b"12345", {})
    assert said["ETag"] == '"827ccb0eea8a706c4c34a16891f84e7b"'


def test_a_key_s_hash_is_computed_once(service, s3, monkeypatch):
    s3.create_bucket(Bucket="hashed")
    (service.folder / "buckets" / "hashed" / "x").write_bytes(b"12345")
    hashed, md5 = [], buckets._md5
    monkeypatch.setattr(buckets, "_md5", lambda path: hashed.append(path) or md5(path))
    tags = {s3.head_object(Bucket="hashed", Key="x")["ETag"] for _ in range(3)}
    assert len(hashed) == len(tags) == 1


def test_buckets_are_there_again_for_the_next_service(service, s3, tmp_path):
    s3.create_bucket(Bucket="next")
    s3.put_object(Bucket="next", Key="a", Body=b"1")
    root = service.aws.buckets.buckets.parent
    (root / "buckets" / "a-file").write_text("no bucket")
    try:
        FolderBackend.install(root)
        assert s3.get_object(Bucket="next", Key="a")["Body"].read() == b"1"
        names = [each["Name"] for each in s3.list_buckets()["Buckets"]]
        assert "next" in names
        assert "a-file" not in names
    finally:
        (root / "buckets" / "a-file").unlink()


@pytest.fixture
def still(monkeypatch):
    """Files whose time of change is always the same, as of a disk with a coarse clock."""

    @contextlib.contextmanager
    def whole_file(path):
        with written(path) as stream:
            yield stream
        os.utime(path, ns=(0, 10**18))

    written = buckets.whole_file
    monkeypatch.setattr(buckets, "whole_file", whole_file)


def test_a_key_of_the_same_size_and_time_has_nothing_of_the_first(service, s3, still, tmp_path):
    s3.create_bucket(Bucket="still")
    first = s3.put_object(Bucket="still", Key="k", Body=b"1", Metadata={"a": "1"})
    second = s3.put_object(Bucket="still", Key="k", Body=b"2")
    said = s3.head_object(Bucket="still", Key="k")
    assert said["Metadata"] == {}
    assert said["ETag"] == second["ETag"] != first["ETag"]
    s3.put_object(Bucket="still", Key="k", Body=b"1", Metadata={"a": "1"})
    (tmp_path / "new").write_bytes(b"3")
    service.aws.buckets.put_file("still", "k", tmp_path / "new")
    said = s3.head_object(Bucket="still", Key="k")
    assert said["Metadata"] == {}
    assert said["ETag"] not in (first["ETag"], second["ETag"])


def test_a_bucket_is_as_large_as_its_keys(service, s3):
    s3.create_bucket(Bucket="sizes")
    for key, size in (("a", 3), ("b/c", 5)):
        s3.put_object(Bucket="sizes", Key=key, Body=b"x" * size)
    keys = FolderKeys(Folders(service.folder), "sizes")
    assert [key for key, _ in keys.items()] == ["a", "b/c"]
    assert (len(keys), keys.item_size()) == (2, 8)
