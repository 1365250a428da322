"""The container's contract, item by item, in a plain folder instead of /opt/ml."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from object2vec.errors import ArtifactError, ConfigError, DataError, Interrupted, StorageError
from object2vec.model import Object2Vec
from object2vec.reporting.aws_log import METRIC_DEFINITIONS
from object2vec.sagemaker import container
from object2vec.sagemaker.container import explain, publish, serve_container, train_container
from object2vec.sagemaker.paths import JobTree
from object2vec.serving import server
from object2vec.training.stop import StopRequest

HYPERPARAMETERS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": "2",
    "enc0_vocab_size": "9",
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": "3",
    "enc1_vocab_size": "7",
    "enc_dim": "4",
    "mlp_dim": "4",
    "mlp_layers": "1",
    "epochs": "3",
    "mini_batch_size": "4",
    "_kvstore": "device",
    "_num_gpus": "auto",
    "_tuning_objective_metric": "",
    "seed": "1",
    "threads": "1",
}
RECORDS = [{"in0": [i % 8 + 1], "in1": [i % 6 + 1, 1], "label": i % 2} for i in range(16)]
CHANNEL = {
    "ContentType": "application/jsonlines",
    "TrainingInputMode": "File",
    "S3DistributionType": "FullyReplicated",
    "RecordWrapperType": "None",
}


@pytest.fixture
def layout(tmp_path, monkeypatch):
    """A tree as SageMaker mounts it: config and channels there, the other folders empty."""
    monkeypatch.setenv("OBJECT2VEC_CACHE", str(tmp_path / "cache"))
    layout = JobTree(tmp_path / "ml")
    layout.model.mkdir(parents=True)
    layout.output_data.mkdir(parents=True)
    write(layout.hyperparameters, HYPERPARAMETERS)
    write(layout.input_data_config, {"train": CHANNEL, "validation": CHANNEL})
    write(layout.resource_config, {"current_host": "algo-7", "hosts": ["algo-7"]})
    write_records(layout, "train")
    write_records(layout, "validation")
    return layout


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def write_records(layout, channel, records=RECORDS, name="part-0.jsonl"):
    folder = layout.channel(channel)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))


def run(layout, **environ):
    return train_container(layout.base, environ)


def failure(layout):
    return layout.failure.read_text()


def events(layout):
    lines = (layout.output_data / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_the_tree_is_under_opt_ml_unless_told():
    assert JobTree.of({}).base.as_posix() == "/opt/ml"
    assert JobTree.of({"SAGEMAKER_BASE_DIR": ""}).base.as_posix() == "/opt/ml"
    assert JobTree.of({"SAGEMAKER_BASE_DIR": "/x"}).failure.as_posix() == "/x/output/failure"


def test_a_job_writes_model_metrics_and_awss_log(layout, capsys):
    write(layout.input_data_config, dict.fromkeys(["train", "validation", "test"], CHANNEL))
    write_records(layout, "train", RECORDS[:8], "part-1.jsonl")
    write_records(layout, "test")
    assert run(layout) == 0
    log = capsys.readouterr().out
    assert log.startswith("Docker entrypoint called with argument(s): train\n")
    assert f"Reading provided configuration: {HYPERPARAMETERS}" in log
    assert "Total: 24 samples in 1 buckets" in log
    assert "Creating data iterator for" in log
    shown = ["batches of 4, approx 8.0 words", "Serializing model to ", "Finished scoring on"]
    assert sorted(shown, key=log.index) == shown  # AWS's model is saved before its test
    times = json.loads(log.rpartition("#metrics ")[2])["Metrics"]
    assert times["totaltime"]["max"] > times["setuptime"]["max"] > 0
    saving, whole = (times[name]["max"] for name in ("model.serialize.time", "totaltime"))
    assert 0 < saving < whole  # milliseconds
    assert log.count('"early_stop.time"') == 3
    expected = {
        "train:progress": 3,
        "train:throughput": 3,
        "train:accuracy": 3,
        "train:cross_entropy": 3,
        "validation:accuracy": 3,
        "validation:cross_entropy": 3,
        "test:accuracy": 1,
        "test:cross_entropy": 1,
        "train:mean_squared_error": 0,
        "test:mean_squared_error": 0,
        "validation:mean_squared_error": 0,
    }
    found = {d["Name"]: len(re.findall(d["Regex"], log)) for d in METRIC_DEFINITIONS}
    assert found == expected
    assert set(re.findall(r"host=(\S+),", log)) == {"algo-7"}
    assert not layout.failure.exists()

    model = Object2Vec.load(layout.model)
    assert model.encode(in0=[[1]]).shape == (1, 4)
    assert events(layout) == ["run", "epoch", "epoch", "epoch", "test", "finished"]
    summary = json.loads((layout.output_data / "summary.json").read_text())
    assert summary["metrics"].keys() == {"train", "validation", "test"}
    assert sorted(path.name for path in layout.model.iterdir()) == [
        "README.md",
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
    ]


def test_the_same_job_gives_the_same_weights_as_the_library(layout):
    assert run(layout) == 0
    model = Object2Vec(**HYPERPARAMETERS).fit(RECORDS, validation=RECORDS)
    ids = [[1], [2, 3]]
    assert (Object2Vec.load(layout.model).encode(in0=ids) == model.encode(in0=ids)).all()


def test_files_that_sagemaker_may_leave_out_may_be_missing(layout, capsys):
    layout.input_data_config.unlink()
    layout.resource_config.unlink()
    (layout.data / ".hidden").mkdir()
    assert run(layout) == 0
    assert set(re.findall(r"host=(\S+),", capsys.readouterr().out)) == {"algo-1"}
    assert json.loads((layout.output_data / "summary.json").read_text())["metrics"].keys() == {
        "train",
        "validation",
    }


def test_pretrained_vectors_come_from_the_auxiliary_channel(layout, capsys):
    files = {"enc0_vocab_file": "vocab.json", "enc0_pretrained_embedding_file": "vectors.txt"}
    write(
        layout.hyperparameters, HYPERPARAMETERS | files | {"tied_token_embedding_weight": "False"}
    )
    write(layout.input_data_config, {"train": CHANNEL, "auxiliary": {"ContentType": "text/plain"}})
    write(layout.channel("auxiliary") / "vocab.json", {"a": 1, "b": 2})
    (layout.channel("auxiliary") / "vectors.txt").write_text("b 1 2 3 4\n")
    assert run(layout) == 0
    assert "1 of 2 tokens have a vector in vectors.txt" in capsys.readouterr().out
    model = Object2Vec.load(layout.model)
    assert model.encode(in0=[[2]]).tolist() == [[1, 2, 3, 4]]
    assert model.vocabularies == ({"a": 1, "b": 2}, None)


def test_an_unknown_id_fails_with_awss_own_sentence(layout, capsys):
    write_records(layout, "train", [*RECORDS, {"in0": [1], "in1": [7], "label": 1}])
    assert run(layout) == 2
    sentence = (
        'ClientError: Inconsistent vocab for in1 found. Vocab id "7" is not less than vocab_size=7'
    )
    first, second = failure(layout).split("\n", 1)
    assert first == sentence
    assert "part-0.jsonl:17: Inconsistent vocab" in second
    assert sentence in capsys.readouterr().err
    assert list(layout.model.iterdir()) == []


def test_an_old_failure_is_gone_after_a_success(layout):
    layout.failure.write_text("ClientError: of an earlier run")
    assert run(layout) == 0
    assert not layout.failure.exists()


@pytest.mark.parametrize(
    ("file", "content", "text"),
    [
        ("hyperparameters", {**HYPERPARAMETERS, "enc_dmi": "4"}, "enc_dmi: .* mean enc_dim"),
        ("hyperparameters", {**HYPERPARAMETERS, "self": "4"}, "self: must be a known hyperparam"),
        ("hyperparameters", {"epochs": "0"}, "3 problems:\n  epochs: must be"),
        ("hyperparameters", ["enc_dim"], "must be a JSON object; got 'a JSON list'"),
        ("input_data_config", {"validation": CHANNEL}, "channel train: must be given"),
        (
            "input_data_config",
            {"train": {}, "training": {}},
            "channel training: must be one of train, validation, test, auxiliary; got 'training'",
        ),
        (
            "input_data_config",
            {"train": {"TrainingInputMode": "Pipe"}},
            "channel train: must have input mode File or FastFile; got 'Pipe'",
        ),
        (
            "input_data_config",
            {"train": {"RecordWrapperType": "RecordIO"}},
            "channel train: must have RecordWrapperType None; got 'RecordIO'",
        ),
        (
            "input_data_config",
            {"train": {"ContentType": "text/csv"}},
            "channel train: must have the content type application/jsonlines; got 'text/csv'",
        ),
        ("input_data_config", {"train": {}, "test": {}}, "test: must be a file or folder; got"),
        (
            "input_data_config",
            {"train": None},
            r"channel train: must be described by a JSON object; got None\. Write Training",
        ),
        ("input_data_config", {"train": "s3://x"}, "described by a JSON object; got 's3://x'"),
        (
            "resource_config",
            {"current_host": "algo-1", "hosts": "algo-1"},
            "must name one host: training uses one machine; got 'algo-1'. Set",
        ),
        (
            "resource_config",
            {"current_host": "algo-1", "hosts": ["algo-1", "algo-2"]},
            "resourceconfig.json: must name one host: training uses one machine; got",
        ),
    ],
)
def test_a_mistake_is_a_client_error(layout, file, content, text):
    write(getattr(layout, file), content)
    assert run(layout) == 2
    assert failure(layout).startswith("ClientError: ")
    assert re.search(text, failure(layout)[:1024])
    assert list(layout.model.iterdir()) == []


def test_without_hyperparameters_the_required_ones_are_named(layout):
    layout.hyperparameters.unlink()
    assert run(layout) == 2
    assert re.search("enc0_vocab_size: is required and must be an integer", failure(layout))


def test_a_failure_is_written_where_there_is_no_folder_for_it_yet(tmp_path):
    layout = JobTree(tmp_path / "not" / "there")
    assert run(layout) == 2
    assert failure(layout).startswith("ClientError: ")


def test_all_wrong_channels_are_named_together(layout):
    write(layout.input_data_config, {"training": {}, "validation": {"TrainingInputMode": "Pipe"}})
    assert run(layout) == 2
    assert failure(layout).startswith("ClientError: 3 problems:\n  channel training: must")


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"ContentType": None, "TrainingInputMode": "FastFile"},
        {"ContentType": "application/jsonlines; charset=utf-8"},
        {"ContentType": "application/x-jsonlines"},
        {"ContentType": "application/json"},
    ],
)
def test_descriptions_that_are_right(layout, facts):
    write(layout.input_data_config, {"train": facts})
    assert container._read_channels(layout) == {"train": layout.channel("train")}


@pytest.mark.parametrize(
    ("error", "text", "code"),
    [
        (ConfigError("epochs: wrong"), "ClientError: epochs: wrong", 2),
        (DataError("a.jsonl:1: wrong"), "ClientError: a.jsonl:1: wrong", 2),
        (ArtifactError("other run"), "ClientError: other run", 2),
        (
            MemoryError(),
            "ClientError: Out of memory. Use a larger instance, or a smaller "
            "mini_batch_size, enc_dim or vocabulary.\nMemoryError",
            2,
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            "ClientError: Out of memory. Use a larger instance, or a smaller mini_batch_size, "
            "enc_dim or vocabulary.\nDefaultCPUAllocator: can't allocate memory: you tried",
            2,
        ),
        (StorageError("disk full"), "AlgorithmError: disk full", 1),
        (Interrupted("Stopped by SIGTERM.", 15), "AlgorithmError: Stopped by SIGTERM.", 1),
        (KeyError("x"), "AlgorithmError: KeyError: 'x'", 1),
    ],
)
def test_whose_fault_it_is(error, text, code):
    assert explain(error) == (text, code)


def test_our_own_error_keeps_its_trace(layout, monkeypatch, capsys):
    def broken(self, *args, **kwargs):
        raise IndexError("of ours")

    monkeypatch.setattr(Object2Vec, "fit", broken)
    assert run(layout) == 1
    assert failure(layout).startswith("AlgorithmError: IndexError: of ours\n\nTraceback")
    assert "in broken" in capsys.readouterr().err


def stop_after(monkeypatch, seen, epochs=1):
    """Let SIGTERM arrive when so many epochs are done."""
    fit = Object2Vec.fit

    def stopping(self, *args, reporters, **kwargs):
        def listen(event):
            seen.append(event.name)
            if seen.count("epoch") == epochs and event.name == "epoch":
                os.kill(os.getpid(), signal.SIGTERM)

        listen.close = lambda: None
        return fit(self, *args, reporters=[*reporters, listen], **kwargs)

    monkeypatch.setattr(Object2Vec, "fit", stopping)


def test_sigterm_saves_the_best_model_and_leaves_with_success(layout, monkeypatch, capsys):
    seen = []
    handler = signal.getsignal(signal.SIGTERM)
    stop_after(monkeypatch, seen)
    assert run(layout) == 0
    assert seen.count("epoch") == 1
    assert "Received SIGTERM." in capsys.readouterr().out
    assert not layout.failure.exists()
    assert len(Object2Vec.load(layout.model).facts.history) == 2
    assert signal.getsignal(signal.SIGTERM) == handler


def test_a_stopped_job_goes_on_from_its_checkpoint_to_the_same_model(layout, monkeypatch, capsys):
    assert run(layout) == 0
    whole = (layout.model / "model.safetensors").read_bytes()
    layout.checkpoints.mkdir()
    with monkeypatch.context() as patch:
        stop_after(patch, [])
        assert run(layout) == 0
    assert (layout.model / "model.safetensors").read_bytes() != whole
    assert len(list(layout.checkpoints.glob("step-*"))) == 1
    capsys.readouterr()
    assert run(layout) == 0
    assert "Resuming training from" in capsys.readouterr().out
    assert (layout.model / "model.safetensors").read_bytes() == whole
    assert events(layout) == ["run", "epoch", "epoch", "epoch", "finished"]


def test_checkpoints_at_an_interval_where_there_is_a_folder(layout, capsys):
    layout.checkpoints.mkdir()
    assert run(layout, OBJECT2VEC_CHECKPOINT_EVERY="2") == 0
    assert capsys.readouterr().out.count("Saved checkpoint to") == 6
    write(layout.hyperparameters, HYPERPARAMETERS | {"enc_dim": "8"})
    assert run(layout) == 2
    assert re.search("must belong to this run; got 'other .*enc_dim", failure(layout))


def test_a_stop_before_anything_is_learned_is_no_success(layout, monkeypatch):
    stop = StopRequest()
    monkeypatch.setattr(container, "StopRequest", lambda: stop)

    def stopped(self, *args, stop, **kwargs):
        raise Interrupted("Stopped by SIGTERM.", signal.SIGTERM)

    monkeypatch.setattr(Object2Vec, "fit", stopped)
    assert run(layout) == 1
    assert failure(layout) == "AlgorithmError: Stopped by SIGTERM."


def fitted(**hyperparameters):
    return Object2Vec(**HYPERPARAMETERS | {"epochs": 1} | hyperparameters).fit(RECORDS)


def test_a_model_replaces_an_older_one_and_its_leftovers(tmp_path):
    (tmp_path / "vocab0.json").write_text('{"old": 1}')
    (tmp_path / "config.json").write_text("old")
    (tmp_path / ".incomplete-model").mkdir()
    (tmp_path / "kept").write_text("of somebody else")
    publish(fitted(), tmp_path)
    assert Object2Vec.load(tmp_path).vocabularies == (None, None)
    assert {path.name for path in tmp_path.iterdir()} == {
        "README.md",
        "config.json",
        "kept",
        "metrics.jsonl",
        "model.safetensors",
    }


@pytest.mark.parametrize("moves", range(4))
def test_a_model_that_was_not_moved_whole_is_no_model(tmp_path, monkeypatch, moves):
    publish(fitted(), tmp_path)
    model, replace, done = fitted(enc_dim=8), os.replace, []

    def failing(source, target):
        if len(done) == moves:
            raise OSError(28, "No space left on device")
        done.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(StorageError, match="must be writable, with space left; got 'No space"):
        publish(model, tmp_path)
    monkeypatch.undo()
    with pytest.raises(ArtifactError, match=r"config\.json: must be a JSON object; got 'nothing'"):
        Object2Vec.load(tmp_path)
    publish(model, tmp_path)
    assert Object2Vec.load(tmp_path).encode(in0=[[1]]).shape == (1, 8)


@pytest.fixture
def served(monkeypatch):
    """What the server is asked to do, instead of doing it."""
    calls = []

    def run(model, **options):
        calls.append((model, options))
        return 7

    monkeypatch.setattr(server, "run", run)
    return calls


@pytest.mark.parametrize(
    ("environ", "port"), [({}, 8080), ({"SAGEMAKER_BIND_TO_PORT": "9000"}, 9000)]
)
def test_the_model_of_the_tree_is_served_to_everyone(tmp_path, served, environ, port):
    assert serve_container(tmp_path, environ | {"MAX_CONTENT_LENGTH": "1000"}) == 7
    ((model, options),) = served
    assert model == tmp_path / "model"
    assert (options["host"], options["port"]) == ("0.0.0.0", port)
    assert options["settings"].max_payload_bytes == 1000


def test_an_archive_that_nobody_has_unpacked_is_served(tmp_path, served):
    (tmp_path / "model").mkdir()
    archive = tmp_path / "model" / "model.tar.gz"
    archive.touch()
    serve_container(tmp_path, {})
    (tmp_path / "model" / "config.json").touch()
    serve_container(tmp_path, {})
    assert [model for model, _ in served] == [archive, tmp_path / "model"]


@pytest.mark.parametrize("port", ["http", "-1", "0", "65536", "8080.0", "9" * 50])
def test_a_port_that_is_none(tmp_path, served, port):
    with pytest.raises(ConfigError, match=f"SAGEMAKER_BIND_TO_PORT: must be a port; got '{port}'"):
        serve_container(tmp_path, {"SAGEMAKER_BIND_TO_PORT": port})
    assert served == []


DOCKERFILE = Path(__file__).parents[2] / "Dockerfile"


def instructions(name):
    """The arguments of every such line of the Dockerfile, continued lines joined."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    return re.findall(rf"^{name} (.*)$", text, re.MULTILINE)


def test_the_image_is_slim_pinned_and_not_run_by_root():
    assert instructions("FROM") == ["python:${PYTHON}-slim AS build", "python:${PYTHON}-slim"]
    arguments = dict(line.split("=", 1) for line in instructions("ARG"))
    assert arguments["TORCH"] == '"torch==2.13.0"'
    assert arguments["RUN_AS"] == "object2vec"
    assert instructions("USER") == ["${RUN_AS}"]
    installs = [line for line in instructions("RUN") if "pip install" in line]
    assert installs == [
        "pip install ${TORCH} ${TORCH_INDEX:+--index-url ${TORCH_INDEX}}",
        'pip install ".[sagemaker]"',
    ]
    for line in instructions("COPY"):
        for source in line.split()[:-1]:
            assert (
                source.startswith(("--from=build", "/opt/"))
                or (DOCKERFILE.parent / source).exists()
            )


def start(arguments, **environ):
    """Start what the image starts, with this Python's object2vec."""
    (entry_point,) = (json.loads(line) for line in instructions("ENTRYPOINT"))
    assert entry_point[0] == "object2vec"
    command = [sys.executable, "-m", *entry_point, *arguments]
    return subprocess.Popen(
        command,
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ask(port, path, body=None):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as err:
        return err.code, err.read()
    except OSError:
        return None, b""


def test_the_images_entry_point_trains_and_then_serves(layout):
    with start(["train"], SAGEMAKER_BASE_DIR=str(layout.base)) as process:
        log = process.communicate(timeout=120)[0]
    assert process.returncode == 0, log
    assert log.startswith("Docker entrypoint called with argument(s): train\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (command,) = (json.loads(line) for line in instructions("CMD"))
    environ = {"SAGEMAKER_BASE_DIR": str(layout.base), "SAGEMAKER_BIND_TO_PORT": str(port)}
    with start(command, **environ) as process:
        deadline = time.monotonic() + 120
        while ask(port, "/ping")[0] != 200:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        status, body = ask(port, "/invocations", b'{"instances": [{"in0": [1]}]}')
        process.send_signal(signal.SIGTERM)
        log = process.communicate(timeout=60)[0]
    assert status == 200
    expected = Object2Vec.load(layout.model).encode(in0=[[1]])[0]
    assert json.loads(body)["predictions"][0]["embeddings"] == pytest.approx(expected.tolist())
    assert process.returncode == 0
    assert log.count("Serving ") == 1


def test_sigterm_before_training_begins_ends_the_process(layout):
    layout.checkpoints.mkdir()
    write(layout.hyperparameters, HYPERPARAMETERS | {"epochs": "100", "learning_rate": "1e-6"})
    write_records(layout, "train", RECORDS * 2000)
    with start(["train"], SAGEMAKER_BASE_DIR=str(layout.base)) as process:
        assert process.stdout.readline().startswith("Docker entrypoint called")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=100)
    assert process.returncode == 0
    assert len(list(layout.checkpoints.glob("step-*"))) == 1
    assert Object2Vec.load(layout.model).encode(in0=[[1]]).shape == (1, 4)


def test_the_log_is_that_of_the_year_asked_for(layout, capsys):
    write_records(layout, "train", RECORDS[:15])
    for form, batches in ((None, 4), ("2025", 4), ("2019", 3)):
        assert run(layout, **({} if form is None else {"OBJECT2VEC_LOG": form})) == 0
        assert f"15 samples in {batches} batches of 4" in capsys.readouterr().out
    assert run(layout, OBJECT2VEC_LOG="2020") == 2
    assert "OBJECT2VEC_LOG: must be one of 2025, 2019; got '2020'" in failure(layout)


def test_a_failure_that_cannot_be_written_is_in_the_log(layout, monkeypatch, capsys):
    def full(path):
        raise StorageError(f"{path.name}: no space left")

    monkeypatch.setattr(container, "whole_file", full)
    write(layout.hyperparameters, {"enc_dim": "2"})
    assert run(layout) == 2
    said = capsys.readouterr().err
    assert "ClientError: " in said
    assert said.endswith("failure: no space left\n")
