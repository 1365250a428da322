"""Every path may be a URL: a real S3 server on the loopback address, and fsspec's memory."""

import contextlib
import json
import os
import sys

import fsspec
import numpy as np
import pytest

from object2vec.artifact import open_model
from object2vec.cli import main
from object2vec.errors import ArtifactError, ConfigError, DataError, MissingExtraError, StorageError
from object2vec.files import remote
from object2vec.files.remote import (
    check_writable_url,
    exists,
    is_url,
    join,
    names_in,
    write_object,
)
from object2vec.files.sources import list_sources, read_raw
from object2vec.inference.transform import transform
from object2vec.model import Object2Vec

RECORDS = [{"in0": [i % 8 + 1], "in1": [i % 6 + 1, 1], "label": i % 2} for i in range(16)]
SETTINGS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 1,
    "enc0_vocab_size": 9,
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": 2,
    "enc1_vocab_size": 7,
    "enc_dim": 4,
    "mlp_dim": 4,
    "epochs": 1,
    "seed": 1,
    "threads": 1,
}
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()


@pytest.fixture(scope="module")
def s3():
    """The URL of an empty bucket in an S3 server of this process, and a plain client for it."""
    pytest.importorskip("moto.server", reason="pip install 'object2vec[test]' brings an S3 server")
    pytest.importorskip("s3fs", reason="pip install 'object2vec[sagemaker]' brings s3fs")
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        yield client
        client.close()
    server.stop()


@pytest.fixture
def memory():
    """fsspec's file system in memory, empty afterwards."""
    store = fsspec.filesystem("memory")
    yield store
    store.store.clear()
    store.pseudo_dirs[:] = [""]


def keys(client, prefix=""):
    found = client.list_objects_v2(Bucket="bucket", Prefix=prefix).get("Contents", [])
    return [entry["Key"] for entry in found]


def test_a_model_goes_through_s3_from_its_records_to_its_answers(s3, tmp_path):
    s3.put_object(Bucket="bucket", Key="in/train/1.jsonl", Body=LINES)
    s3.put_object(Bucket="bucket", Key="in/train/.hidden", Body=b"no records")
    s3.put_object(Bucket="bucket", Key="in/aux/vocab.json", Body=b'{"a": 1, "b": 2}')
    s3.put_object(Bucket="bucket", Key="in/aux/vectors.txt", Body=b"b 1 2 3 4\n")
    files = {"enc0_vocab_file": "vocab.json", "enc0_pretrained_embedding_file": "vectors.txt"}
    model = Object2Vec(**SETTINGS, **files)
    model.fit(
        "s3://bucket/in/train",
        validation="s3://bucket/in/train/1.jsonl",
        auxiliary="s3://bucket/in/aux",
        save_to="s3://bucket/models/one",
    )
    assert keys(s3, "models/") == [
        "models/one/README.md",
        "models/one/config.json",
        "models/one/metrics.jsonl",
        "models/one/model.safetensors",
        "models/one/vocab0.json",
    ]
    local = Object2Vec(**SETTINGS, **files)
    (tmp_path / "vocab.json").write_bytes(b'{"a": 1, "b": 2}')
    (tmp_path / "vectors.txt").write_bytes(b"b 1 2 3 4\n")
    local.fit(RECORDS, validation=RECORDS, auxiliary=tmp_path)
    loaded = Object2Vec.load("s3://bucket/models/one")
    assert (loaded.encode(in0=[[1], [2], [3]]) == local.encode(in0=[[1], [2], [3]])).all()
    assert loaded.vocabularies == ({"a": 1, "b": 2}, None)
    assert loaded.evaluate("s3://bucket/in/train") == local.evaluate(RECORDS)

    report = transform("s3://bucket/models/one", ["s3://bucket/in/train"], "s3://bucket/out")
    assert list(report.done.values()) == [16]
    assert keys(s3, "out/") == ["out/1.jsonl.out"]
    body = s3.get_object(Bucket="bucket", Key="out/1.jsonl.out")["Body"].read()
    assert [list(json.loads(line)) for line in body.splitlines()] == [["scores"]] * 16


def test_a_channel_in_s3(s3):
    for key in ("channel/a/1", "channel/2"):
        s3.put_object(Bucket="bucket", Key=key, Body=key.encode())
    s3.put_object(Bucket="bucket", Key="channel/marker/", Body=b"")
    found = {each.name: b"".join(read_raw(each)) for each in list_sources("s3://bucket/channel")}
    assert found == {f"s3://bucket/{key}": key.encode() for key in ("channel/2", "channel/a/1")}


def test_a_prefix_may_end_within_a_name(s3, memory, tmp_path):
    for key in ("within/train-0", "within/train-1", "within/trail", "within/train-x/deeper"):
        s3.put_object(Bucket="bucket", Key=key, Body=key.encode())
        memory.pipe_file(f"/{key}", key.encode())
    for url in ("s3://bucket/within/train", "memory://within/train"):
        names = [source.name.rpartition("/")[2] for source in list_sources(url)]
        assert names == ["train-0", "train-1"]
    s3.put_object(Bucket="bucket", Key="within/train", Body=b"the object itself")
    assert len(list_sources("s3://bucket/within/train")) == 1
    with pytest.raises(DataError):
        list_sources("s3://bucket/within/nothing")
    with pytest.raises(DataError):
        list_sources(f"file://{tmp_path}/trai")


def test_what_others_wrote_into_s3_since_the_last_look_is_seen(s3):
    s3.put_object(Bucket="bucket", Key="seen/here/a", Body=b"one")
    assert [source.name for source in list_sources("s3://bucket/seen")] == [
        "s3://bucket/seen/here/a"
    ]
    assert names_in("s3://bucket/seen/here") == ["a"]
    assert not exists("s3://bucket/seen/here/b")
    s3.put_object(Bucket="bucket", Key="seen/here/b", Body=b"another")
    assert exists("s3://bucket/seen/here/b")
    assert names_in("s3://bucket/seen/here") == ["a", "b"]
    assert len(list_sources("s3://bucket/seen")) == 2
    s3.put_object(Bucket="bucket", Key="seen/here/b", Body=b"a longer one")
    (source,) = list_sources("s3://bucket/seen/here/b")
    with source.open() as stream:
        assert stream.read() == b"a longer one"


def test_what_is_not_in_s3_is_said(s3):
    with pytest.raises(DataError, match="s3://bucket/nothing"):
        Object2Vec(**SETTINGS).fit("s3://bucket/nothing")
    with pytest.raises(ArtifactError, match=r"must be a model folder; got 'no config\.json there'"):
        Object2Vec.load("s3://bucket/nothing")
    with pytest.raises(StorageError, match="s3://absent/model: must be reachable"):
        Object2Vec(**SETTINGS).fit(RECORDS).save("s3://absent/model")


@pytest.fixture(scope="module")
def model():
    return Object2Vec(**SETTINGS).fit(RECORDS)


def test_a_model_is_not_replaced_unless_told(model, memory):
    model.save("memory://bucket/model")
    with pytest.raises(
        StorageError, match=r"memory://bucket/model: must not exist yet; got 'a mod"
    ):
        model.save("memory://bucket/model")
    with pytest.raises(StorageError, match="must not exist yet"):
        Object2Vec(**SETTINGS).fit("not/read/before", save_to="memory://bucket/model")
    memory.pipe("/bucket/model/vocab1.json", b'{"old": 1}')
    model.save("memory://bucket/model", overwrite=True)
    assert not memory.exists("/bucket/model/vocab1.json")
    assert Object2Vec.load("memory://bucket/model").encode(in0=[[1]]).shape == (1, 4)


@pytest.mark.parametrize("uploads", range(4))
def test_a_model_that_was_not_uploaded_whole_is_no_model(model, memory, monkeypatch, uploads):
    model.save("memory://bucket/model")
    put, done = type(memory).put_file, []

    def failing(self, source, target, **options):
        if len(done) == uploads:
            raise ConnectionError("gone")
        done.append(target)
        put(self, source, target, **options)

    monkeypatch.setattr(type(memory), "put_file", failing)
    with pytest.raises(StorageError, match="memory://bucket/model: must be reachable; got 'gone'"):
        model.save("memory://bucket/model", overwrite=True)
    with pytest.raises(ArtifactError, match=r"got 'no config\.json there'"):
        Object2Vec.load("memory://bucket/model")


def test_only_files_of_a_model_are_downloaded(model, memory):
    model.save("memory://bucket/model")
    memory.pipe("/bucket/model/other", b"x" * 100)
    memory.pipe("/bucket/model/../../evil", b"x")
    with open_model("memory://bucket/model") as folder:
        assert sorted(path.name for path in folder.iterdir()) == [
            "README.md",
            "config.json",
            "metrics.jsonl",
            "model.safetensors",
        ]
    assert not folder.exists()
    with pytest.raises(ArtifactError, match=r"^memory://bucket/model/other: must be a whole tar"):
        Object2Vec.load("memory://bucket/model/other")
    with pytest.raises(ZeroDivisionError), open_model("memory://bucket/model"):
        _ = 1 / 0  # what happens in the block is not the file system's fault


def test_hidden_objects_are_not_read(memory):
    for name in ("a/1", "2", ".cache/3", "a/.DS_Store", ".4"):
        memory.pipe(f"/bucket/in/{name}", b"x")
    found = [each.name for each in list_sources("memory://bucket/in")]
    assert found == ["memory:///bucket/in/2", "memory:///bucket/in/a/1"]
    memory.pipe("/bucket/other/.hidden", b"x")
    with pytest.raises(DataError, match="must hold at least one object; got 'none'"):
        list_sources("memory://bucket/other")


def test_a_prefix_ends_within_a_name_of_a_bucket_and_not_of_hidden_objects(memory):
    memory.pipe("/train-0", b"x")
    memory.pipe("/bucket/in/.hidden", b"x")
    memory.pipe("/bucket/in/a.b", b"x")
    for url in ("memory://trai", "memory://bucket/in/.hid", "memory://bucket/gone/a"):
        with pytest.raises(DataError, match=f"^{url}: must be readable; got"):
            list_sources(url)
    assert len(list_sources("memory://bucket/in/a")) == 1


def test_a_folder_lists_names_wherever_it_is(memory, tmp_path):
    for name in ("a", "deep/b", "deep/er/c"):
        memory.pipe(f"/bucket/in/{name}", b"x")
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"x")
    for root in (tmp_path, tmp_path.as_uri(), "memory://bucket"):
        found = names_in(join(root, "in"))
        assert sorted(found) == ["a", "deep/"]
        assert names_in(join(root, "in/a")) == ["a"]
        assert names_in(join(root, "nothing")) == []
        assert exists(join(root, "in/a"))
        assert not exists(join(root, "in/b"))
    (tmp_path / "broken").symlink_to("nowhere")
    assert exists(tmp_path / "broken")


def test_an_object_that_stands_for_a_folder_is_not_in_it(memory, monkeypatch):
    entries = [{"name": "/bucket/in/", "type": "directory"}, {"name": "/bucket/in/a", "type": "f"}]
    monkeypatch.setattr(type(memory), "ls", lambda self, path, detail: entries)
    assert names_in("memory://bucket/in") == ["a"]


def test_a_url_that_can_be_written_is_left_as_it_was(memory, monkeypatch):
    memory.pipe("/bucket/model/other", b"x")
    written = []
    pipe = type(memory).pipe_file
    monkeypatch.setattr(
        type(memory),
        "pipe_file",
        lambda self, path, value, **more: (written.append(path), pipe(self, path, value, **more)),
    )
    check_writable_url("memory://bucket/model", "config.json")
    assert written == ["/bucket/model/config.json"]
    assert memory.find("/bucket") == ["/bucket/model/other"]
    monkeypatch.setattr(type(memory), "rm_file", None)
    check_writable_url("memory://bucket/model", "config.json")  # one may write and not remove
    assert len(memory.find("/bucket")) == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left"), "No space left"),
        (OSError("plain"), "plain"),
        (FileNotFoundError(2, "No such file"), "nothing there"),
        (RuntimeError("odd"), "odd"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_what_a_file_system_says_is_passed_on(error, said, memory, monkeypatch):
    def fail(self, path):
        raise error

    monkeypatch.setattr(type(memory), "cat_file", fail)
    with pytest.raises(DataError, match=rf"memory://a/b: must be reachable; got '{said}'\."):
        remote.read_bytes("memory://a/b")


def test_nothing_is_written_of_an_object_that_failed(memory):
    with contextlib.suppress(ZeroDivisionError), write_object("memory://bucket/a/b") as stream:
        stream.write(b"half")
        raise ZeroDivisionError
    assert not memory.exists("/bucket/a/b")
    with write_object("memory://bucket/a/b") as stream:
        stream.write(b"whole")
    assert memory.cat("/bucket/a/b") == b"whole"


def test_file_urls_are_files(model, tmp_path):
    model.save(f"file://{tmp_path}/model")
    assert Object2Vec.load(tmp_path / "model").encode(in0=[[1]]).shape == (1, 4)
    assert Object2Vec.load(f"file://{tmp_path}/model").encode(in0=[[1]]).shape == (1, 4)
    model.save(f"file://{tmp_path}/model", overwrite=True)
    for name in ("one", "two"):
        with write_object(f"file://{tmp_path}/new/folder/{name}") as stream:
            stream.write(name.encode())
        assert (tmp_path / "new" / "folder" / name).read_text() == name


def test_the_folders_of_a_file_url_are_made_when_it_is_tried(tmp_path):
    for _ in range(2):  # what is there is left alone
        check_writable_url((tmp_path / "a" / "b").as_uri(), "config.json")
    assert [*(tmp_path / "a").rglob("*")] == [tmp_path / "a" / "b"]


def test_checkpoints_stay_on_this_machine():
    with pytest.raises(
        ConfigError, match="checkpoints: must be a folder of this machine; got 's3:"
    ):
        Object2Vec(**SETTINGS).fit(RECORDS, checkpoints="s3://bucket/run")


def test_urls_that_nobody_can_open(monkeypatch):
    with pytest.raises(DataError, match="nobody://y: must be a known kind of URL; got"):
        remote.open_url("nobody://y")
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'object2vec\[sagemaker\]'"):
        remote.open_url("s3://bucket/key")
    with pytest.raises(MissingExtraError, match=r"needs another package; .*Install the package"):
        remote.open_url("gs://bucket/key")


def test_names_of_places():
    assert [is_url(name) for name in ("s3://a", "a", "/a:b", os.curdir)] == [True, *[False] * 3]
    assert join("s3://bucket/a/", "b") == "s3://bucket/a/b"
    assert join("a", "b") == os.path.join("a", "b")


def test_every_path_of_the_command_line_may_be_a_url(memory, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    memory.pipe("/bucket/train.jsonl", LINES)
    memory.pipe("/bucket/settings.json", json.dumps(SETTINGS).encode())
    files = {"vocab.json": b'{"a": 1}', "vectors.txt": b"a 1 2 3 4\n"}
    for name, content in files.items():
        memory.pipe(f"/bucket/aux/{name}", content)
    train = [
        "train",
        "--train",
        "memory://bucket/train.jsonl",
        "--out",
        "memory://bucket/model",
        "--config",
        "memory://bucket/settings.json",
        "--auxiliary",
        "memory://bucket/aux",
        "--set",
        "enc0_vocab_file=vocab.json",
        "enc0_pretrained_embedding_file=vectors.txt",
    ]
    assert main(train) == 0
    assert main(train) == 2
    assert "--out: must not exist yet; got 'memory://bucket/model'" in capsys.readouterr().err
    assert main([*train, "--resume"]) == 0
    assert "is finished; there is nothing to do" in capsys.readouterr().err
    assert main([*train, "--overwrite", "--checkpoints", "memory://bucket/run"]) == 2
    assert "--checkpoints: must be a folder of this machine" in capsys.readouterr().err
    assert (
        main(
            [
                "encode",
                "memory://bucket/model",
                "memory://bucket/train.jsonl",
                "--side",
                "in0",
                "--format",
                "npy",
                "--out",
                "memory://bucket/out/vectors.npy",
            ]
        )
        == 0
    )
    with memory.open("/bucket/out/vectors.npy") as file:
        vectors = np.load(file, allow_pickle=False)
    assert vectors.shape == (16, 4)
    assert vectors[0].tolist() == [1, 2, 3, 4]
    assert main(["predict", "memory://bucket/model", "memory://bucket/train.jsonl"]) == 0
    assert capsys.readouterr().out.count("scores") == 16
    assert main(["info", "memory://bucket/model"]) == 0
    assert "path: memory://bucket/model" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
