"""An objective is one thing: a third one fits in by its file, and nobody else asks which it is."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from object2vec import Object2Vec
from object2vec.config import Config
from object2vec.config.table import HYPERPARAMETERS, Choice
from object2vec.objectives import (
    AGAINST_ALL,
    OBJECTIVES,
    Encoded,
    Metric,
    Objective,
    Rivals,
    metrics_by_name,
    objective_of,
)
from object2vec.objectives.mean_squared_error import NumberLabels
from object2vec.reporting.events import EpochDone, Verdict
from object2vec.reporting.live import _row

SOURCE = Path(__file__).parents[2] / "src" / "object2vec"


class Ranking(Objective):
    """Each object's partner against the other partners of the batch: no logit is asked for."""

    metrics = (Metric("rank_loss", "loss"), Metric("hits", "score", short="hits@1"))
    watched = metrics[1]
    width = 1
    labels = NumberLabels()
    output = "a rank"

    def similarities(self, batch):
        return batch.a @ batch.b.T  # (B, B)

    def losses(self, batch):
        assert "logits" not in vars(batch)
        similarities = self.similarities(batch)
        right = torch.arange(len(similarities))
        return functional.cross_entropy(similarities, right, reduction="none")

    def scores(self, logits):
        return 2 * logits

    def sums(self, batch):
        similarities = self.similarities(batch).detach()
        right = torch.arange(len(similarities))
        hits = (similarities.argmax(dim=1) == right).sum().item()
        return functional.cross_entropy(similarities, right, reduction="sum").item(), hits


@pytest.fixture
def ranking(monkeypatch):
    monkeypatch.setitem(OBJECTIVES, "partner", Ranking)
    row = HYPERPARAMETERS["output_layer"]
    kind = Choice((*OBJECTIVES,))
    monkeypatch.setitem(HYPERPARAMETERS, "output_layer", replace(row, kind=kind))


@pytest.mark.parametrize(
    ("objective", "head", "said", "label", "threshold", "against"),
    [
        (OBJECTIVES["softmax"], "layers", set(), None, 0.5, None),
        (OBJECTIVES["mean_squared_error"], "layers", set(), None, 0.5, None),
        (OBJECTIVES["dot_product"], "sum", {"has_noise"}, None, 0.0, (0, 1)),
        (OBJECTIVES["ranking"], "similarity", {"is_in_batch", "is_measured_by_task"}, 1, 0.5, None),
        (OBJECTIVES["cosine"], "sum", {"is_measured_by_task"}, None, 0.5, None),
        (AGAINST_ALL["dot_product"], "odds", {"is_measured_by_task"}, 1, 0.0, None),
        (AGAINST_ALL["ranking"], "similarity", {"is_measured_by_task"}, 1, 0.5, None),
    ],
)
def test_what_an_objective_is(objective, head, said, label, threshold, against):
    switches = ("is_in_batch", "has_noise", "is_measured_by_task", "averages_batches")
    assert {name for name in switches if getattr(objective, name)} == said
    assert (objective.head, objective.default_label, objective.threshold) == (
        head,
        label,
        threshold,
    )
    assert objective.measured_against == against
    config = Config.build({"enc0_max_seq_len": 1, "enc0_vocab_size": 9})
    assert objective(config).config is config


def test_which_metrics_are_in_tables_and_in_lines_that_sagemaker_reads():
    metrics = metrics_by_name().values()
    assert {each.name for each in metrics if not each.is_tabled} == {
        *("perplexity", "micro_precision", "micro_recall")
    }
    assert {each.name for each in metrics if each.is_quality} == {
        *("cross_entropy", "accuracy", "mean_squared_error", "ndcg@10", "spearman"),
        *("binary_classification_accuracy", "binary_classification_cross_entropy"),
        "discriminator_auc",
    }
    assert {each.name for each in metrics if each.kind == "loss"} == {
        *("perplexity", "cross_entropy", "mean_squared_error", "mean_absolute_error"),
        *("binary_classification_cross_entropy", "ranking_loss", "cosine_loss"),
        "candidate_cross_entropy",
    }


def test_the_table_of_hyperparameters_names_every_objective():
    kind = HYPERPARAMETERS["output_layer"].kind
    assert isinstance(kind, Choice)
    assert {*kind.values, *kind.extensions} == OBJECTIVES.keys()


@pytest.mark.usefixtures("ranking")
def test_a_third_objective_trains_saves_loads_and_predicts(tmp_path):
    rows = np.arange(1, 9)
    pairs = {"in0": rows, "in1": rows, "label": np.ones(8)}
    model = Object2Vec(
        enc0_network="pooled_embedding",
        enc0_max_seq_len=1,
        enc0_vocab_size=9,
        enc_dim=16,
        mlp_layers=0,
        output_layer="partner",
        mini_batch_size=8,
        learning_rate=0.1,
        epochs=20,
        token_embedding_storage_type="row_sparse",
        device="cpu",
        seed=1,
    )
    model.fit(pairs, validation=pairs)
    first, *_, last = (e for e in model.facts.history if e["event"] == "epoch")
    assert first["validation"]["rank_loss"] > 10 * last["validation"]["rank_loss"]
    assert model.facts.metrics["validation"]["hits"] == 1.0
    assert model.evaluate(pairs) == model.facts.metrics["validation"]
    model.save(tmp_path / "model")
    loaded = Object2Vec.load(tmp_path / "model")
    scores = loaded.predict(in0=[[1], [2]], in1=[[1], [3]])
    assert scores.shape == (2, 1)
    network = loaded.artifact.network
    a, b = (torch.from_numpy(loaded.encode(**{side: [[1], [2]]})) for side in ("in0", "in1"))
    assert scores[0, 0] == pytest.approx(2 * network.score(a, b)[0, 0].item(), rel=1e-5)
    assert "a pair gets a rank." in (tmp_path / "model" / "README.md").read_text()


@pytest.mark.usefixtures("ranking")
def test_its_metrics_are_shown_by_their_short_names():
    verdict = Verdict(0, "hits", 1.0, True, False, 0, 1, False, None, None)
    event = EpochDone(
        epoch=0,
        epochs=1,
        batches=1,
        records=1,
        train_s=1.0,
        validation_s=0.0,
        train={"rank_loss": 1.5, "hits": 0.25},
        validation=None,
        verdict=verdict,
    )
    assert "1.5000" in _row(event)
    assert "0.2500" in _row(event)


def test_nothing_else_asks_which_objective_it_is():
    asking = re.compile(r"\.is_classifier|\.output_width|config\.output_layer *[!=]=")
    files = [f for f in SOURCE.rglob("*.py") if f.parent.name != "objectives"]
    assert len(files) > 50
    assert [str(f) for f in files if asking.search(f.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("layer", OBJECTIVES)
def test_a_weight_scales_the_loss_of_its_record_and_no_metric(layer):
    config = Config.build({"enc0_max_seq_len": 1, "enc0_vocab_size": 9, "output_layer": layer})
    objective = objective_of(config)
    logits = torch.randn(3, objective.width, generator=torch.Generator().manual_seed(1))
    label = np.array([1, 0, 1], np.float32)

    rivals = Rivals(None, None, torch.ones(1), functional.linear)

    def batch(weight):
        weight = None if weight is None else np.array(weight, np.float32)
        return Encoded(logits, logits, None, label, lambda a, b, pairing: a, weight, True, rivals)

    losses = objective.losses(batch(None))
    assert losses.shape == (3,)
    assert objective.loss(batch(None)) == losses.mean() == objective.loss(batch([1, 1, 1]))
    assert objective.loss(batch([0.5, 0, 2.5])) == (0.5 * losses[0] + 2.5 * losses[2]) / 3
    assert objective.sums(batch([0.5, 0, 2.5])) == objective.sums(batch(None))
