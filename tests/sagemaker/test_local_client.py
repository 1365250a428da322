"""The SDK's client on this machine: real jobs, a real endpoint, the notebooks' own calls."""

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest

import object2vec.sagemaker as sagemaker
from object2vec.errors import ConfigError, DataError, MissingExtraError, RequestError
from object2vec.model import Object2Vec
from object2vec.sagemaker import (
    Estimator,
    JSONLinesDeserializer,
    JSONLinesSerializer,
    JSONSerializer,
    Model,
    Predictor,
    Session,
    TrainingInput,
    TrainingJobAnalytics,
    Transformer,
    UnexpectedStatusException,
    jobs,
)

HYPERPARAMETERS = {
    "enc0_network": "pooled_embedding", "enc0_max_seq_len": 1, "enc0_vocab_size": 9,
    "enc1_network": "pooled_embedding", "enc1_max_seq_len": 2, "enc1_vocab_size": 7,
    "enc_dim": 4, "mlp_dim": 4, "mlp_layers": 1, "epochs": 2, "mini_batch_size": 8, "seed": 1,
    "_kvstore": "device", "output_layer": "softmax", "threads": 1,
}  # fmt: skip
RECORDS = [{"in0": [i % 8 + 1], "in1": [i % 6 + 1, 1], "label": i % 2} for i in range(32)]
METRICS = {
    "train:progress", "train:throughput", "train:accuracy", "train:cross_entropy",
    "validation:accuracy", "validation:cross_entropy", "test:accuracy", "test:cross_entropy",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def root(tmp_path_factory):
    """A folder of jobs of its own."""
    path = tmp_path_factory.mktemp("jobs")
    before = os.environ.get("OBJECT2VEC_JOBS")
    os.environ["OBJECT2VEC_JOBS"] = str(path)
    yield path
    os.environ.pop("OBJECT2VEC_JOBS")
    if before is not None:
        os.environ["OBJECT2VEC_JOBS"] = before


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Records in a file, and the same in two files of a folder."""
    folder = tmp_path_factory.mktemp("data")
    lines = [json.dumps(record) + "\n" for record in RECORDS]
    (folder / "train.jsonl").write_text("".join(lines))
    (folder / "parts").mkdir()
    (folder / "parts" / "1").write_text("".join(lines[:20]))
    (folder / "parts" / "2").write_text("".join(lines[20:]))
    return folder


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """The estimator of a job that is done, and where its model should be."""
    out = tmp_path_factory.mktemp("out")
    container = sagemaker.image_uris.retrieve("object2vec", "us-east-1")
    estimator = sagemaker.estimator.Estimator(
        container, sagemaker.get_execution_role(), train_instance_count=1,
        train_instance_type="ml.p2.xlarge", output_path=out, sagemaker_session=Session(),
        volume_size=20,
    )  # fmt: skip
    estimator.set_hyperparameters(**HYPERPARAMETERS)
    content = {"distribution": "ShardedByS3Key", "content_type": "application/jsonlines"}
    channels = {
        "train": TrainingInput(data / "train.jsonl", **content),
        "validation": sagemaker.session.s3_input(str(data / "parts"), **content),
        "test": data / "train.jsonl",
    }
    estimator.fit(channels, wait=True, logs=False, job_name="first-job")
    return estimator, out


def wait_for(condition, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_a_job_leaves_config_log_and_model(trained, root, data):
    estimator, _ = trained
    job = estimator.latest_training_job
    assert (job.name, job.job_name, job.status) == ("first-job", "first-job", "Completed")
    folder = root / "first-job"
    strings = json.loads((folder / "input/config/hyperparameters.json").read_text())
    assert strings == {name: str(value) for name, value in HYPERPARAMETERS.items()}
    assert json.loads((folder / "input/config/resourceconfig.json").read_text()) == {
        "current_host": "algo-1", "hosts": ["algo-1"],
    }  # fmt: skip
    channel = json.loads((folder / "input/config/inputdataconfig.json").read_text())["train"]
    assert channel == {
        "ContentType": "application/jsonlines", "TrainingInputMode": "File",
        "S3DistributionType": "ShardedByS3Key", "RecordWrapperType": "None",
    }  # fmt: skip
    model = Object2Vec(**HYPERPARAMETERS).fit(RECORDS, validation=RECORDS)
    saved = Object2Vec.load(folder / "model")
    assert (saved.encode(in0=[[1], [2]]) == model.encode(in0=[[1], [2]])).all()


def test_the_log_begins_with_what_has_no_use_here(trained, capsys):
    trained[0].logs()
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first.startswith(
        "A local job has no use for role='local', train_instance_type='ml.p2.xlarge', "
        "sagemaker_session=<object2vec.sagemaker.session.Session object at"
    )
    assert first.endswith("volume_size=20.")
    assert second == "Docker entrypoint called with argument(s): train"


def test_the_model_is_an_archive_where_aws_puts_it(trained):
    estimator, out = trained
    assert estimator.model_data == str(out / "first-job/output/model.tar.gz")
    with tarfile.open(estimator.model_data) as archive:
        assert sorted(archive.getnames()) == [
            "README.md", "config.json", "metrics.jsonl", "model.safetensors",
        ]  # fmt: skip
    assert [p.name for p in (out / "first-job/output").iterdir()] == ["model.tar.gz"]


def test_describe_says_what_describe_training_job_says(trained, data):
    facts = trained[0].describe()
    assert facts["TrainingJobName"] == "first-job"
    assert facts["TrainingJobStatus"] == "Completed"
    assert facts["HyperParameters"]["enc_dim"] == "4"
    assert facts["ModelArtifacts"] == {"S3ModelArtifacts": trained[0].model_data}
    assert facts["InputDataConfig"][0] == {
        "ChannelName": "train",
        "DataSource": {"S3DataSource": {"S3Uri": str(data / "train.jsonl")}},
    }
    assert facts["TrainingEndTime"] >= facts["TrainingStartTime"] > 1.7e9
    final = {metric["MetricName"]: metric["Value"] for metric in facts["FinalMetricDataList"]}
    assert final.keys() == METRICS
    assert final["train:progress"] == 100
    summary = json.loads((jobs.jobs_root() / "first-job/output/data/summary.json").read_text())
    assert final["test:accuracy"] == pytest.approx(summary["metrics"]["test"]["accuracy"])
    assert "FailureReason" not in facts


def test_metrics_come_from_the_log_as_a_table(trained):
    names = ["validation:cross_entropy", "train:accuracy"]
    analytics = TrainingJobAnalytics(training_job_name="first-job", metric_names=names)
    rows = analytics.rows()
    assert [row["metric_name"] for row in rows] == [names[0]] * 2 + [names[1]] * 2
    log = (jobs.jobs_root() / "first-job/log.txt").read_text()
    printed = re.findall(r"validation cross_entropy <loss>=(\S+)", log)
    assert [row["value"] for row in rows[:2]] == [float(text) for text in printed]
    assert all(0 <= row["timestamp"] < 600 for row in rows)
    assert {row["metric_name"] for row in trained[0].training_job_analytics.rows()} == METRICS


def test_metrics_as_a_dataframe(trained):
    pytest.importorskip("pandas")
    frame = TrainingJobAnalytics("first-job", ["train:progress"]).dataframe()
    assert list(frame.columns) == ["timestamp", "metric_name", "value"]
    assert frame["value"].tolist() == [50, 100]


def test_without_pandas_a_dataframe_is_refused(trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"dataframe: needs pandas.* or call rows\(\)"):
        TrainingJobAnalytics("first-job").dataframe()
    assert TrainingJobAnalytics("first-job").rows()


def test_attach_to_a_job_of_another_process(trained, monkeypatch):
    monkeypatch.setattr(jobs, "_processes", {})
    estimator = Estimator.attach("first-job")
    assert estimator.hyperparameters() == trained[0].hyperparameters()
    assert estimator.latest_training_job.status == "Completed"
    assert estimator.model_data == trained[0].model_data


def test_the_notebooks_way_from_model_to_answers(trained, tmp_path):
    estimator, _ = trained
    model = estimator.create_model(
        serializer=sagemaker.predictor.json_serializer,
        deserializer=sagemaker.predictor.json_deserializer, content_type="application/json",
    )  # fmt: skip
    library = Object2Vec.load(estimator.latest_training_job.folder / "model")
    payload = {"instances": [{"in0": [1], "in1": [2, 3]}, {"in0": np.array([4]), "in1": [5]}]}
    with model.deploy(initial_instance_count=1, instance_type="ml.m4.xlarge") as predictor:
        answer = predictor.predict(payload)
        expected = library.predict(in0=[[1], [4]], in1=[[2, 3], [5]])
        got = [row["scores"] for row in answer["predictions"]]
        np.testing.assert_allclose(got, expected, rtol=1e-6)
        predictor.serializer = JSONLinesSerializer()
        predictor.content_type = None
        predictor.deserializer = JSONLinesDeserializer()
        rows = predictor.predict([{"in1": [6]}, {"in0": [1]}])
        np.testing.assert_allclose(rows[0]["embeddings"], library.encode(in1=[[6]])[0], rtol=1e-6)
        assert predictor.predict({"instances": [{"in1": [6]}]}) == rows[:1]
        own = {"ContentType": "application/jsonlines; infer_max_seqlens=1,1"}
        (cut,) = predictor.predict('{"in1": [6, 1]}', own)
        assert cut == rows[0]
        with pytest.raises(RequestError, match=r"answered 400: .*in1\[0\]: must be an integer"):
            predictor.predict([{"in1": [7]}])
        again = Predictor(predictor.endpoint, serializer=JSONSerializer())
        assert again.predict({"instances": [{"in1": [6]}]})["predictions"] == rows[:1]
    assert not jobs.is_alive(jobs.jobs_root() / predictor.endpoint_name)
    with pytest.raises(RequestError, match=r"must answer; got .*Is it still running") as caught:
        predictor.predict([{"in0": [1]}])
    assert caught.value.status == 503


def test_batch_transform_of_a_labelled_folder(trained, data):
    transformer = trained[0].transformer(
        instance_count=1, instance_type="ml.p3.8xlarge", strategy="MultiRecord",
        assemble_with="Line", max_payload=1,
    )  # fmt: skip
    transformer.transform(
        data=data / "parts", content_type="application/jsonlines", split_type="Line", logs=False,
        wait=False,
    )  # fmt: skip
    transformer.wait(logs=False)
    out = jobs.jobs_root() / transformer.latest_transform_job / "output"
    assert transformer.output_path == str(out)
    texts = [(out / f"{name}.out").read_text() for name in "12"]
    answers = [json.loads(line) for text in texts for line in text.splitlines()]
    assert len(answers) == 32
    assert all(len(answer["scores"]) == 2 for answer in answers)


def test_a_failed_job_says_why(data, capsys):
    estimator = Estimator(hyperparameters=HYPERPARAMETERS | {"enc1_vocab_size": "2"})
    text = 'ClientError: Inconsistent vocab for in1 found. Vocab id "2" is not less than vocab'
    with pytest.raises(UnexpectedStatusException, match=f"Failed. Reason: {text}") as caught:
        estimator.fit({"train": data / "train.jsonl"}, logs="All")
    assert text in capsys.readouterr().out
    assert caught.value.actual_status == "Failed"
    facts = estimator.describe()
    assert facts["TrainingJobStatus"] == "Failed"
    assert facts["FailureReason"].startswith(text)
    assert "ModelArtifacts" not in facts
    with pytest.raises(UnexpectedStatusException, match="has no model: its status is Failed"):
        estimator.deploy()


def test_a_stopped_job_keeps_its_best_model_and_goes_on(data, tmp_path):
    long = HYPERPARAMETERS | {"epochs": 100, "early_stopping_patience": 5, "learning_rate": 1e-6}
    estimator = Estimator(hyperparameters=long, checkpoint_s3_uri=str(tmp_path / "checkpoints"))
    estimator.fit({"train": data / "train.jsonl"}, wait=False)
    job = estimator.latest_training_job
    assert job.status == "InProgress"
    with pytest.raises(UnexpectedStatusException, match="has no model: its status is InProgress"):
        _ = estimator.model_data
    wait_for(lambda: "Completed Epoch: 0" in (job.folder / "log.txt").read_text())
    job.stop()
    job.wait(logs=False)
    assert job.status in ("Stopped", "Completed")
    assert Object2Vec.load(job.folder / "model").encode(in0=[[1]]).shape == (1, 4)


def test_a_job_that_was_killed_has_failed(data):
    estimator = Estimator(hyperparameters=HYPERPARAMETERS)
    estimator.fit(data / "train.jsonl", wait=False)
    job = estimator.latest_training_job
    jobs.send_signal(job.folder, signal.SIGKILL)
    jobs.wait_until_end(job.folder)
    assert job.status == "Failed"
    assert job.failure_reason == "AlgorithmError: the process ended without a word."


def test_several_machines_are_refused_by_the_container(data):
    estimator = Estimator(instance_count=2, hyperparameters=HYPERPARAMETERS)
    with pytest.raises(UnexpectedStatusException, match="must name one host"):
        estimator.fit(data / "train.jsonl", logs=False)


@pytest.mark.parametrize("kind", ["url", "folder"])
def test_channels_and_output_behind_urls(data, kind):
    store = fsspec.filesystem("memory")
    for name in "12":
        store.pipe(f"/bucket/in/{name}", (data / "parts" / name).read_bytes())
    given = {"url": "memory://bucket/in/1", "folder": "memory://bucket/in"}[kind]
    target = jobs.jobs_root() / kind / "input/data/train"
    jobs._fetch(given, target)
    expected = {"url": ["1"], "folder": ["1", "2"]}[kind]
    assert sorted(path.name for path in target.rglob("*") if path.is_file()) == expected
    assert (target / "1").read_bytes() == (data / "parts/1").read_bytes()
    jobs._pack(target, "memory://bucket/out/model.tar.gz")
    with store.open("/bucket/out/model.tar.gz") as file, tarfile.open(fileobj=file) as archive:
        assert archive.getnames() == expected
    store.rm("/bucket", recursive=True)


def test_a_session_copies_to_a_folder(data, tmp_path, root):
    session = Session()
    placed = session.upload_data(data / "train.jsonl", key_prefix="object2vec/train")
    assert placed == str(root / "buckets/default/object2vec/train/train.jsonl")
    assert Path(placed).read_bytes() == (data / "train.jsonl").read_bytes()
    folder = session.upload_data(str(data / "parts"), bucket=str(tmp_path))
    assert folder == str(tmp_path / "data")
    assert sorted(os.listdir(folder)) == ["1", "2"]


def test_an_archive_has_the_same_bytes_every_time(data, tmp_path):
    for name in ("a", "b"):
        jobs._pack(data / "parts", str(tmp_path / name))
        time.sleep(0.01)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_server_that_does_not_start_shows_its_log(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UnexpectedStatusException, match=r"(?s)did not start:\n.*Error: .*config"):
        Model(str(tmp_path)).deploy(endpoint_name="broken")
    assert not jobs.is_alive(jobs.jobs_root() / "broken")


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda d: Estimator(instance_typ="x"), ConfigError,
         "instance_typ: must be an argument of the SDK; got 'x'. Did you mean instance_type"),
        (lambda d: Estimator().fit({"train": 3}), ConfigError, "inputs: must be paths, URLs"),
        (lambda d: Estimator().fit({"train": d / "none"}), ConfigError,
         "none: must be a file or folder; got 'nothing there'"),
        (lambda d: Estimator().fit("memory://nothing/there"), DataError,
         "there: must be reachable; got 'nothing there'"),
        (lambda d: Estimator().fit(d, job_name="a b"), ConfigError, "must be 1 to 63 letters"),
        (lambda d: Estimator().fit(d, job_name="first-job"), ConfigError, "job name: must be new"),
        (lambda d: Estimator(checkpoint_s3_uri="s3://b/c").fit(d), ConfigError,
         "checkpoint_s3_uri: must be a folder of this machine"),
        (lambda d: Estimator().model_data, ConfigError, "Estimator: must have run a job"),
        (lambda d: Estimator.attach("nobody"), ConfigError, "job name: must be a job in"),
        (lambda d: TrainingInput("x", s3_data_type="ManifestFile"), ConfigError, "be S3Prefix"),
        (lambda d: TrainingJobAnalytics("first-job", ["loss"]), ConfigError,
         "metric_names: must be known metrics; got 'loss'. They are train:progress,"),
        (lambda d: sagemaker.get_image_uri("us-east-1", "xgboost"), ConfigError, "be object2vec"),
        (lambda d: Predictor("first-job").predict({}), ConfigError, "must be an endpoint"),
        (lambda d: Transformer("m").transform("x", data_type="ManifestFile"), ConfigError,
         "data_type: must be S3Prefix"),
        (lambda d: Transformer("m").wait(), ConfigError, "wait: needs a job"),
    ],
)  # fmt: skip
def test_calls_that_are_wrong(trained, data, call, error, text):
    before = set(jobs.jobs_root().iterdir())
    with pytest.raises(error, match=text):
        call(data)
    assert set(jobs.jobs_root().iterdir()) == before


def test_a_failed_transform_says_what_failed(trained, tmp_path):
    (tmp_path / "bad").write_text("nonsense\n")
    transformer = trained[0].transformer(output_path=tmp_path / "out")
    with pytest.raises(UnexpectedStatusException, match=r"(?s)bad:1: must be well-formed"):
        transformer.transform(str(tmp_path / "bad"), logs=False)


def test_ctrl_c_stops_the_job(trained, monkeypatch):
    job = trained[0].latest_training_job
    stopped = []
    monkeypatch.setattr(jobs, "show_log", lambda folder: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr(job, "stop", lambda: stopped.append(job.name))
    with pytest.raises(KeyboardInterrupt):
        job.wait()
    assert stopped == ["first-job"]


def test_the_log_is_followed_line_by_line(root):
    folder = jobs.new_folder("talker")
    with (folder / "log.txt").open("wb") as log:
        code = "import sys, time; sys.stdout.write('a\\nb'); sys.stdout.flush(); time.sleep(0.3); "
        code += "print('c'); print('end', end='')"
        jobs._processes[folder] = subprocess.Popen([sys.executable, "-c", code], stdout=log)
    assert list(jobs.follow(folder)) == ["a\n", "bc\n", "end\n"]
    assert jobs.exit_code(folder) == 0


def test_names_carry_the_time():
    assert re.fullmatch(r"mine-\d{4}(-\d\d){5}-\d{3}", jobs.new_name("mine"))
    assert len(jobs.new_name("x" * 99)) <= 63
