"""IP Insights' hyperparameters: AWS's names, ranges and defaults, and what they become."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from object2vec.config import Config
from object2vec.errors import ConfigError
from object2vec.sagemaker.algorithms import IP_INSIGHTS, OBJECT2VEC, algorithm_of
from object2vec.sagemaker.ipinsights import HYPERPARAMETERS_OF_IP_INSIGHTS as ROWS
from object2vec.sagemaker.ipinsights import JobSettings, dialect

# AWS's documented ranges and defaults, copied by hand.
DOCUMENTED = {
    "num_entity_vectors": (1, 250_000_000, None),
    "vector_dim": (4, 4096, None),
    "batch_metrics_publish_interval": (1, None, 1000),
    "epochs": (1, None, 10),
    "learning_rate": (1e-6, 10.0, 0.001),
    "mini_batch_size": (1, 500_000, 10_000),
    "num_ip_encoder_layers": (0, 100, 1),
    "random_negative_sampling_rate": (0, 500, 1),
    "shuffled_negative_sampling_rate": (0, 500, 1),
    "weight_decay": (0.0, 10.0, 0.00001),
}
REQUIRED = {"num_entity_vectors": "20000", "vector_dim": "128"}
RATES = ("random_negative_sampling_rate", "shuffled_negative_sampling_rate")


def problems(**given):
    with pytest.raises(ConfigError) as caught:
        JobSettings.read(REQUIRED | {name: str(value) for name, value in given.items()})
    return str(caught.value)


def test_the_table_is_awss():
    assert {n: (r.kind.low, r.kind.high, r.default) for n, r in ROWS.items()} == DOCUMENTED


@pytest.mark.parametrize("name", DOCUMENTED)
def test_a_range_holds_at_its_ends_and_not_beyond(name):
    low, high, _ = DOCUMENTED[name]
    other = {rate: "0" for rate in RATES if name in RATES and rate != name}
    for value in (low, high):
        if value is not None and not (name in RATES and value == 0):
            assert JobSettings.read(REQUIRED | other | {name: str(value)}).values[name] == value
    step = 1 if isinstance(low, int) else low or 0.1
    beyond = [low - step] if high is None else [low - step, high + step]
    for value in (*beyond, "many"):
        assert f"{name}: must be" in problems(**other, **{name: value})


def test_all_mistakes_are_named_together():
    with pytest.raises(ConfigError) as caught:
        JobSettings.read({"vector_dim": "2", "num_entity_vector": "5", "epochs": "0"})
    text = str(caught.value)
    assert text.startswith("4 problems:")
    assert "num_entity_vectors: is required and must be an integer in [1, 250000000]" in text
    assert 'Did you mean "num_entity_vectors"' in text or "num_entity_vectors?" in text


@pytest.mark.parametrize("rates", [(0, 0), (500, 1), (250, 251)])
def test_both_sampling_rates_together_are_from_1_to_500(rates):
    text = problems(**dict(zip(RATES, rates, strict=True)))
    assert f"must be in [1, 500] together with {RATES[1]}; got '{rates[0]} + {rates[1]}'" in text


def test_what_they_become():
    given = REQUIRED | {
        "mini_batch_size": "1000",
        "epochs": "5",
        "learning_rate": "0.01",
        "random_negative_sampling_rate": "5",
        "_num_gpus": "auto",
        "seed": "7",
    }
    arguments = IP_INSIGHTS.arguments(given)
    assert arguments["in0"] == "entity:token(max_size=0, buckets=20000)"
    assert arguments["in1"] == "address:ipv4"
    columns = {"in0", "in1", "preset"}
    sizes = {f"enc{side}_{n}": 2 for side in (0, 1) for n in ("vocab_size", "max_seq_len")}
    ours = {name: value for name, value in arguments.items() if name not in columns}
    config = Config.build(sizes | ours, beyond_aws=True)
    assert (config.enc_dim, config.epochs, config.learning_rate) == (128, 5, 0.01)
    assert (config.negative_sampling_rate, config.random_negative_sampling_rate) == (1, 5)
    assert config.mini_batch_size == 1000 * 7  # as many records of the data as AWS's
    assert config.early_stopping_patience == 5
    assert (config.output_layer, config.weight_decay, config.seed) == ("dot_product", 1e-5, 7)


def test_the_largest_job_that_aws_takes_is_taken():
    high = {name: str(top) for name, (_, top, _) in DOCUMENTED.items() if top and name not in RATES}
    ours = IP_INSIGHTS.arguments(high | {RATES[0]: "500", RATES[1]: "0", "epochs": "1000"})
    sizes = {f"enc{side}_{n}": 2 for side in (0, 1) for n in ("vocab_size", "max_seq_len")}
    values = {name: value for name, value in ours.items() if name not in ("in0", "in1", "preset")}
    assert Config.build(sizes | values, beyond_aws=True).mini_batch_size == 500_000 * 501


def test_a_job_says_by_its_hyperparameters_which_algorithm_it_means():
    assert algorithm_of(REQUIRED, {}) is IP_INSIGHTS
    assert algorithm_of({"vector_dim": "8"}, {}) is IP_INSIGHTS
    assert algorithm_of({"enc_dim": "8"}, {}) is OBJECT2VEC
    assert algorithm_of({}, {}) is OBJECT2VEC
    assert algorithm_of({}, {"OBJECT2VEC_ALGORITHM": "ipinsights"}) is IP_INSIGHTS
    assert algorithm_of(REQUIRED, {"OBJECT2VEC_ALGORITHM": "object2vec"}) is OBJECT2VEC
    with pytest.raises(ConfigError, match="must be one of object2vec, ipinsights; got 'kmeans'"):
        algorithm_of({}, {"OBJECT2VEC_ALGORITHM": "kmeans"})


def test_the_log_has_metrics_of_batches_as_often_as_the_job_says():
    assert dialect({}).batch_metrics_every == 1000
    assert dialect({"batch_metrics_publish_interval": "20"}).batch_metrics_every == 20
    assert dialect({"batch_metrics_publish_interval": "often"}).batch_metrics_every == 1000
    assert dialect({}).defaults["mini_batch_size"] == 10_000


def test_the_page_has_the_table():
    page = (Path(__file__).parents[2] / "docs" / "ipinsights.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    assert [name for name, *_ in shown] == list(ROWS)
    for name, _, default, ours in shown:
        row = ROWS[name]
        assert ours == row.ours
        if row.default is None:
            assert default == "required"
        else:
            assert float(default.replace(",", "")) == row.default
