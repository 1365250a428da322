"""A training job of IP Insights as SageMaker runs it, in a plain folder instead of /opt/ml."""

from __future__ import annotations

import json
import re

import pytest

from object2vec.examples.logins import generate_logins
from object2vec.model import Object2Vec
from object2vec.reporting.aws_log import IP_INSIGHTS_METRIC_DEFINITIONS
from object2vec.sagemaker.container import train_container
from object2vec.sagemaker.paths import JobTree

HYPERPARAMETERS = {
    "num_entity_vectors": "200",
    "vector_dim": "16",
    "epochs": "3",
    "mini_batch_size": "200",
    "learning_rate": "0.02",
    "batch_metrics_publish_interval": "1",
    "_num_gpus": "auto",
    "_tuning_objective_metric": "validation:discriminator_auc",
    "seed": "1",
    "threads": "1",
}
CHANNEL = {
    "ContentType": "text/csv",
    "TrainingInputMode": "File",
    "S3DistributionType": "FullyReplicated",
    "RecordWrapperType": "None",
}


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.setenv("OBJECT2VEC_CACHE", str(tmp_path / "cache"))
    layout = JobTree(tmp_path / "ml")
    layout.model.mkdir(parents=True)
    layout.config.mkdir(parents=True)
    layout.hyperparameters.write_text(json.dumps(HYPERPARAMETERS))
    layout.input_data_config.write_text(json.dumps({"train": CHANNEL, "validation": CHANNEL}))
    logins = generate_logins(80, 10, seed=0)
    is_late = logins.days >= 7
    for channel, part in (("train", logins.take(~is_late)), ("validation", logins.take(is_late))):
        layout.channel(channel).mkdir(parents=True)
        part.write(layout.channel(channel) / "logins.csv")
    return layout


def failure(layout):
    return layout.failure.read_text()


def test_a_job_trains_and_logs_what_the_service_reads(layout, capsys):
    assert train_container(layout.base, {}) == 0
    log = capsys.readouterr().out
    assert log.startswith("Docker entrypoint called with argument(s): train\n")
    assert f"Reading provided configuration: {HYPERPARAMETERS}" in log
    assert "Reading default configuration: {'batch_metrics_publish_interval': 1000" in log
    found = {d["Name"]: re.findall(d["Regex"], log) for d in IP_INSIGHTS_METRIC_DEFINITIONS}
    assert [len(values) for values in found.values()][:2] == [3, 3]
    assert len(found["train:binary_classification_accuracy"]) >= 3
    assert len(found["train:binary_classification_cross_entropy:epoch"]) == 3
    auc = [float(value) for value in found["validation:discriminator_auc"]]
    assert len(auc) == 3
    assert auc[-1] > 0.9
    model = Object2Vec.load(layout.model)
    assert model.schema is not None
    assert model.schema.table_size(0) == 1 + 1 + 200  # padding, missing, entities
    assert model.config.enc_dim == 16
    assert (layout.output_data / "metrics.jsonl").exists()


def test_a_blank_after_the_comma_and_a_missing_content_type_are_taken(layout):
    layout.input_data_config.write_text(json.dumps({"train": {}}))
    file = layout.channel("train") / "logins.csv"
    file.write_text(file.read_text().replace(",", ", "))
    assert train_container(layout.base, {}) == 0


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"train": CHANNEL, "test": CHANNEL}, "channel test: must be one of train, validation"),
        (
            {"train": CHANNEL | {"ContentType": "application/jsonlines"}},
            "channel train: must have the content type text/csv",
        ),
        ({"train": CHANNEL | {"TrainingInputMode": "Pipe"}}, "input mode File or FastFile"),
        ({"validation": CHANNEL}, "channel train: must be given"),
    ],
)
def test_channels_are_those_of_ip_insights(layout, config, text):
    layout.input_data_config.write_text(json.dumps(config))
    assert train_container(layout.base, {}) == 2
    assert failure(layout).startswith("ClientError: ")
    assert text in failure(layout)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("user_1,999.1.2.3", "must be an IPv4 address such as 192.0.2.1; got '999.1.2.3'"),
        ("user_1", "logins.csv:"),
        ("user_1,10.0.0.1,extra", "logins.csv:"),
    ],
)
def test_a_wrong_line_is_a_client_error_that_names_it(layout, line, text):
    file = layout.channel("train") / "logins.csv"
    file.write_text("user_2,10.0.0.1\n" * 20 + line + "\n")
    assert train_container(layout.base, {}) == 2
    assert failure(layout).startswith("ClientError: ")
    assert text in failure(layout)
    assert "21" in failure(layout)
    assert list(layout.model.iterdir()) == []


def test_an_image_of_ip_insights_asks_for_its_own_hyperparameters(layout):
    layout.hyperparameters.unlink()
    assert train_container(layout.base, {"OBJECT2VEC_ALGORITHM": "ipinsights"}) == 2
    assert "num_entity_vectors: is required" in failure(layout)
    assert "vector_dim: is required" in failure(layout)
