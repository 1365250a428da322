"""One recorded run, told by every reporter; AWS's own lines reproduced to the character."""

import dataclasses
import io
import itertools
import json
import math
import re
import signal
import subprocess
import sys
import threading

import pytest
from rich.console import Console

from object2vec.config import Config, Note
from object2vec.devices import peak_memory_bytes
from object2vec.errors import ConfigError, StorageError
from object2vec.fields.base import Coverage
from object2vec.objectives import metrics_by_name
from object2vec.reporting import LOG_FORMATS, events
from object2vec.reporting.aws_log import (
    IP_INSIGHTS_METRIC_DEFINITIONS,
    METRIC_DEFINITIONS,
    OBJECT2VEC_DIALECT,
    Dialect,
    SageMakerReporter,
)
from object2vec.reporting.json import JsonReporter, MetricsFile
from object2vec.reporting.live import RichReporter, _cell
from object2vec.reporting.plain import PlainReporter
from object2vec.reporting.reporters import reporter
from object2vec.reporting.table import coverage_lines
from object2vec.training.early_stopping import EarlyStopping

MSE = metrics_by_name()["mean_squared_error"]
HYPERPARAMETERS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 1,
    "enc0_vocab_size": 944,
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": 1,
    "enc1_vocab_size": 1684,
    "enc_dim": 1024,
    "mlp_layers": 1,
    "mlp_dim": 256,
    "mini_batch_size": 64,
    "epochs": 20,
    "early_stopping_patience": 1,
}


VALIDATION_S = 90_624 / 15396.9553405 - 5.692699  # the throughput in AWS's log counts it


def _mse(squared, absolute):
    return {"mean_squared_error": squared, "mean_absolute_error": absolute}


def _cross_entropy(perplexity, cross_entropy, accuracy):
    return {"perplexity": perplexity, "cross_entropy": cross_entropy, "accuracy": accuracy}


def _opening(output_layer):
    config = Config.build(HYPERPARAMETERS | {"output_layer": output_layer})
    layers = (
        events.Layer("tokens0", (944, 1024), 966_656),
        events.Layer("tokens1", (1684, 1024), 1_724_416),
        events.Layer("head.0", (256, 4096), 1_048_832),
        events.Layer("head.1", (1, 256), 257),
    )
    yield events.RunStarted(
        config=config,
        notes=config.notes[:1],
        layers=layers,
        parameters=1_049_089,
        token_parameters=2_691_072,
        device="cpu",
        threads=2,
        kernel="numba",
        version="0.1.0",
    )
    yield events.ChannelOpened(
        channel="train",
        source="/opt/ml/input/data/train",
        records=90_570,
        tokens0=90_570,
        tokens1=90_570,
        batches=1_416,
        batch_size=64,
        max_seq_lens=(1, 1),
        replicated_records=54,
    )
    yield events.ChannelOpened(
        channel="validation",
        source="/opt/ml/input/data/validation",
        records=9_430,
        tokens0=9_430,
        tokens1=9_430,
        batches=148,
        batch_size=64,
        max_seq_lens=(1, 1),
        notes=(Note("warning", "3 sequences are empty."),),
    )


def _epochs(trained, validated):
    """Three epochs of which the last two are bad: with patience 1 the run stops early."""
    loss = "cross_entropy" if "cross_entropy" in trained[0] else "mean_squared_error"
    stopping = EarlyStopping(metrics_by_name()[loss], patience=1, tolerance=0.01)
    for epoch, (train, validation) in enumerate(zip(trained, validated, strict=True)):
        for batches, epoch_s in ((100, 0.423628), (150, 0.6), (1_416, 5.692699)):
            yield events.BatchesDone(
                epoch=epoch,
                epochs=20,
                batches=batches,
                batches_total=1_416,
                records=batches * 64,
                epoch_s=epoch_s,
                metrics=train,
            )
        yield events.EpochDone(
            epoch=epoch,
            epochs=20,
            batches=1_416,
            records=90_624,
            train_s=5.692699,
            validation_s=VALIDATION_S,
            train=train,
            validation=validation,
            verdict=stopping.observe(epoch, validation[loss]),
            verdict_s=0.0005,
        )
    yield events.CheckpointWritten(path="run/step-4248", epoch=3, batches=0, write_s=0.25)
    yield events.BestRestored(epoch=stopping.best_epoch, metric=loss, value=stopping.best_value)


def _end(test):
    yield events.ModelSaved(path="/opt/ml/model", write_s=0.075)
    if test:
        yield events.Tested(metrics=test, records=60_416, batches=118, batch_size=512, test_s=3.08)
    yield events.Finished(
        epochs=3,
        best_epoch=2,
        best_value=0.919,
        stopped_early=True,
        records=271_872,
        pairs_per_s=15_919.4,
        total_s=61.2,
        peak_memory_bytes=812 * 2**20,
    )


REGRESSION = [
    *_opening("mean_squared_error"),
    *_epochs(
        [_mse(1.021004436883, 0.7990), _mse(0.6612, 0.638), _mse(0.064908472, 0.195)],
        [_mse(0.979866780139, 0.801), _mse(0.986, 0.792), _mse(0.98, 0.758)],
    ),
    *_end(None),
]
CLASSIFICATION = [
    *_opening("softmax"),
    *_epochs(
        [_cross_entropy(1.349, 0.299207981495, 0.874840989823)] * 3,
        [_cross_entropy(1.255, 0.227112250687, 0.914095603814)] * 3,
    ),
    *_end(_cross_entropy(1.209937594701743, 0.19064406154014296, 0.928760593220339)),
]


def _play(make, recorded):
    """Hand the events to a reporter on a text stream and return what it wrote."""
    stream = io.StringIO()
    show = make(stream)
    for event in recorded:
        show(event)
    show.close()
    return stream.getvalue()


# ---------------------------------------------------------------------------------- plain and json


def test_plain_is_one_line_per_fact():
    assert _play(PlainReporter, REGRESSION) == (
        "object2vec 0.1.0: pooled_embedding and pooled_embedding, enc_dim 1024, "
        "mean_squared_error; 1,049,089 parameters and 2,691,072 in token tables; "
        "cpu, 2 threads, numba kernel\n"
        "note: Inconsistent enc_dim and token_embedding_dim found for token-embedding-encoder: "
        "1024 vs 300. Setting token embedding dim to be 1024\n"
        "train: 90,570 records, 90,570 + 90,570 tokens, 1,416 batches of 64, "
        "from /opt/ml/input/data/train\n"
        "validation: 9,430 records, 9,430 + 9,430 tokens, 148 batches of 64, "
        "from /opt/ml/input/data/validation\n"
        "warning: 3 sequences are empty.\n"
        "epoch 1/20: train mean_squared_error=1.021 mean_absolute_error=0.799, "
        "validation mean_squared_error=0.979867 mean_absolute_error=0.801, "
        "5.9 s, 15919 pairs/s, best\n"
        "epoch 2/20: train mean_squared_error=0.6612 mean_absolute_error=0.638, "
        "validation mean_squared_error=0.986 mean_absolute_error=0.792, "
        "5.9 s, 15919 pairs/s, too little improvement (1 of 2)\n"
        "epoch 3/20: train mean_squared_error=0.0649085 mean_absolute_error=0.195, "
        "validation mean_squared_error=0.98 mean_absolute_error=0.758, "
        "5.9 s, 15919 pairs/s, too little improvement, stopping early\n"
        "checkpoint: epoch 4 after 0 batches, in run/step-4248, 0.2 s\n"
        "best: epoch 1, mean_squared_error 0.979867\n"
        "model: /opt/ml/model\n"
        "done: 3 epochs in 1:01, 271,872 pairs, 15,919 pairs/s, peak memory 812 MiB, "
        "best epoch 3, stopped early\n"
    )


TABLE = events.TableLearned(
    fields=(
        events.FieldFacts(
            0, "user", "token", "short texts", 943, {"train": Coverage(90, 0, 90, 90)}
        ),
        events.FieldFacts(
            1,
            "overview",
            "text",
            "",
            12_345,
            {
                "train": Coverage(90, 3, 2_000, known=1_999, hashed=1),
                "validation": Coverage(10, 0, 50, known=20, skipped=30),
            },
        ),
    ),
    rows={"train": 90, "validation": 10},
    split="a tenth at random",
    preset="texts",
    decisions=(
        events.Decision("output_layer", "mean_squared_error", "rating holds numbers from 1 to 5"),
        events.Decision("enc_dim", 64, "preset"),
    ),
    notes=(Note("warning", "every value of user is different"),),
)
TABLE_LINES = """\
columns
  in0  user      token  943 tokens     guessed: short texts
  in1  overview  text   12,345 tokens  given
  Any other kind is one word more, such as --in0 user:text: `object2vec kinds`.
train, overview: 3 of 90 values missing (3.3 %), 1 of 2,000 tokens rare (under 0.1 %), hashed
validation, overview: 30 of 50 tokens rare or unseen (60.0 %), left out
rows: 90 train, 10 validation (a tenth at random)
preset: texts
decided by the data; --set NAME=VALUE overrides
  output_layer  mean_squared_error  rating holds numbers from 1 to 5
  enc_dim       64                  preset
warning: every value of user is different
"""


def test_what_a_table_taught_is_said_in_aligned_lines():
    assert _play(PlainReporter, [TABLE]) == TABLE_LINES


def test_what_a_table_taught_is_said_on_a_terminal_and_in_awss_log():
    assert _play_rich([TABLE], 100, terminal=False) == TABLE_LINES
    log = _play(lambda stream: SageMakerReporter(stream, "algo-1"), [TABLE, *REGRESSION])
    texts = re.findall(r"^\[\S+ \S+ (\w+) \d+\] (.*)$", log, re.MULTILINE)
    assert ("INFO", TABLE_LINES.splitlines()[1]) in texts
    assert ("WARNING", "every value of user is different") in texts


@pytest.mark.parametrize(
    ("part", "whole", "share"),
    [
        (1, 3, "33.3 %"),
        (1, 1_001, "under 0.1 %"),
        (1, 1_000, "0.1 %"),
        (3, 2_000, "0.1 %"),
        (999, 1_000, "99.9 %"),
        (1_999, 2_000, "over 99.9 %"),
        (7, 7, "100.0 %"),
    ],
)
def test_a_share_is_neither_nothing_nor_all_unless_it_is(part, whole, share):
    (line,) = coverage_lines({"user": Coverage(whole, part, 0)})
    assert line == f"user: {part:,} of {whole:,} values missing ({share})"


def test_all_that_is_known_has_no_line_and_every_fate_its_own():
    whole = Coverage(10, 0, 20, known=20)
    parts = Coverage(1, 1, 10, known=4, hashed=1, unknown=2, skipped=3, by_parts=4)
    assert [*coverage_lines({"a": whole, "b": parts})] == [
        "b: 1 of 1 value missing (100.0 %), 1 of 10 tokens rare or unseen (10.0 %), hashed, "
        "2 of 10 tokens rare or unseen (20.0 %), read as unknown, "
        "3 of 10 tokens rare or unseen (30.0 %), left out, "
        "4 of 10 tokens rare or unseen (40.0 %), read by their parts"
    ]


def test_a_table_without_guesses_decisions_split_or_preset_says_less():
    field = events.FieldFacts(1, "film", "", "", 1, {"test": Coverage(9, 0, 9, known=9)})
    event = events.TableLearned(
        fields=(field,), rows={"train": 1_000}, split="", preset="", decisions=(), notes=()
    )
    assert _play(PlainReporter, [event]) == (
        "columns\n  in1  film    1 token  given\nrows: 1,000 train\n"
    )
    decided = (
        events.Decision("shared_encoder", True, "one vocabulary"),
        events.Decision("comparator_list", ("hadamard", "concat"), "preset"),
    )
    lines = _play(PlainReporter, [dataclasses.replace(event, decisions=decided)]).splitlines()
    assert lines[-2:] == [
        "  shared_encoder   true              one vocabulary",
        "  comparator_list  hadamard, concat  preset",
    ]


def test_what_a_table_taught_is_json():
    said = json.loads(_play(JsonReporter, [TABLE]))
    assert said["event"] == "table"
    assert said["fields"][1]["coverage"]["validation"]["skipped"] == 30
    assert said["decisions"][1] == {"name": "enc_dim", "value": 64, "reason": "preset"}


def test_plain_shows_batches_about_every_ten_seconds():
    batches = [
        events.BatchesDone(
            epoch=1,
            epochs=3,
            batches=n,
            batches_total=100,
            records=n * 64,
            epoch_s=float(n),
            metrics=_mse(0.5, 0.25),
        )
        for n in range(1, 36)
    ]
    lines = _play(PlainReporter, batches).splitlines()
    assert [re.search(r"batch (\d+)/", line)[1] for line in lines] == ["10", "20", "30"]
    batches.insert(15, events.Warned("slow"))  # what is said meanwhile changes nothing of that
    assert [line for line in _play(PlainReporter, batches).splitlines() if "slow" not in line] == (
        lines
    )
    assert lines[0] == (
        "epoch 2/3: batch 10/100, mean_squared_error=0.5 mean_absolute_error=0.25, 64 pairs/s, "
        "1:30 left, run 3:10 left"
    )


def test_plain_counts_the_ten_seconds_from_the_start_of_each_epoch():
    lines = _play(PlainReporter, _long_epochs(2)).splitlines()
    shown = [re.search(r"^epoch (\d)/2: batch (\d+)/", line) for line in lines]
    assert [found.groups() for found in shown if found] == [("1", "12"), ("2", "12")]


def _long_epochs(count):
    """Epochs of 18 s in three batches."""
    stopping = EarlyStopping(MSE, patience=3, tolerance=0.01)
    for epoch in range(count):
        for n in (6, 12, 18):
            yield events.BatchesDone(
                epoch=epoch,
                epochs=count,
                batches=n,
                batches_total=18,
                records=n,
                epoch_s=float(n),
                metrics=_mse(0.5, 0.25),
            )
        yield events.EpochDone(
            epoch=epoch,
            epochs=count,
            batches=18,
            records=18,
            train_s=18.0,
            validation_s=0.0,
            train=_mse(0.5, 0.25),
            validation=None,
            verdict=stopping.observe(epoch, 0.5),
        )


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            events.Resumed(path="run/step-3", epoch=2, batches=7),
            "resumed: epoch 3 after 7 batches, from run/step-3",
        ),
        (events.Warned("The data hold id 0."), "warning: The data hold id 0."),
        (events.Noted("Compiling."), "note: Compiling."),
        (events.Interrupting(signal.SIGINT), "SIGINT: stopping after a checkpoint"),
        (
            events.Tested(
                metrics={"accuracy": 0.5}, records=10, batches=1, batch_size=64, test_s=0.1
            ),
            "test: accuracy=0.5, 10 records",
        ),
        (
            events.Finished(
                epochs=1,
                best_epoch=0,
                best_value=0.5,
                stopped_early=False,
                records=5,
                pairs_per_s=2.5,
                total_s=3_725.0,
                peak_memory_bytes=None,
            ),
            "done: 1 epochs in 1:02:05, 5 pairs, 2 pairs/s, best epoch 1",
        ),
    ],
)
def test_plain_lines_of_rare_events(event, line):
    assert _play(PlainReporter, [event]) == line + "\n"


def test_plain_names_the_negatives_of_a_channel():
    event = events.ChannelOpened(
        channel="train",
        source="memory",
        records=10,
        tokens0=20,
        tokens1=30,
        batches=4,
        batch_size=10,
        max_seq_lens=(5, 5),
        negatives_per_record=3,
    )
    assert _play(PlainReporter, [event]) == (
        "train: 10 records, 3 negatives for each, 20 + 30 tokens, 4 batches of 10, from memory\n"
    )


def test_json_is_one_object_per_event():
    lines = [json.loads(line) for line in _play(JsonReporter, CLASSIFICATION).splitlines()]
    assert [line["event"] for line in lines] == [
        "run",
        "channel",
        "channel",
        *["batches", "batches", "batches", "epoch"] * 3,
        "checkpoint",
        "best",
        "saved",
        "test",
        "finished",
    ]
    assert lines[0]["config"] == CLASSIFICATION[0].config.to_dict()
    assert lines[0]["layers"][0] == {"name": "tokens0", "shape": [944, 1024], "parameters": 966_656}
    assert lines[2]["notes"] == [{"level": "warning", "text": "3 sequences are empty."}]
    assert lines[6] == {
        "event": "epoch",
        "epoch": 0,
        "epochs": 20,
        "batches": 1_416,
        "records": 90_624,
        "train_s": 5.692699,
        "validation_s": VALIDATION_S,
        "train": {"perplexity": 1.349, "cross_entropy": 0.299207981495, "accuracy": 0.874840989823},
        "validation": {
            "perplexity": 1.255,
            "cross_entropy": 0.227112250687,
            "accuracy": 0.914095603814,
        },
        "verdict": {
            "epoch": 0,
            "metric": "cross_entropy",
            "value": 0.227112250687,
            "is_best": True,
            "is_bad": False,
            "bad": 0,
            "patience": 1,
            "should_stop": False,
            "past_values": None,
            "best_past": None,
        },
        "verdict_s": 0.0005,
        "pairs_per_s": 90_624 / 5.692699,
    }


def test_no_log_has_a_number_that_json_lacks_or_divides_by_no_time():
    verdict = EarlyStopping(MSE, 1, 0.01).observe(0, math.nan)
    event = events.EpochDone(
        epoch=0,
        epochs=1,
        batches=1,
        records=1,
        train_s=0.0,
        validation_s=0.0,
        train={"mean_squared_error": math.inf},
        validation=None,
        verdict=verdict,
    )
    line = json.loads(_play(JsonReporter, [event]))
    assert (line["train"], line["validation"]) == ({"mean_squared_error": None}, None)
    assert (line["verdict"]["value"], line["pairs_per_s"]) == (None, 0.0)
    log = _play(lambda stream: SageMakerReporter(stream, "algo-1"), [event])
    assert "train throughput=0.0 records/second" in log
    assert events.rate(5, 0.0) == 0.0
    assert events.rate(5, 0.5) == 10.0


def test_json_names_the_signal(tmp_path):
    lines = _play(
        JsonReporter, [events.Interrupting(15), events.Resumed(path=tmp_path, epoch=0, batches=1)]
    ).splitlines()
    assert json.loads(lines[0]) == {
        "event": "interrupting",
        "signal_number": 15,
        "signal_name": "SIGTERM",
    }
    assert json.loads(lines[1])["path"] == str(tmp_path)


# --------------------------------------------------------------------------------------- SageMaker


class _Clock:
    """Thursday 2019-10-31 00:00:00 UTC, and a second more at each event."""

    now = 1_572_480_000.0

    def __call__(self):
        return self.now


def _play_sagemaker(recorded, monkeypatch, form="2019", **options):
    monkeypatch.setattr(threading, "get_ident", lambda: 139714520221504)
    stream, clock = io.StringIO(), _Clock()
    dialect = dataclasses.replace(OBJECT2VEC_DIALECT, form=form)
    show = SageMakerReporter(stream, "algo-1", clock=clock, dialect=dialect, **options)
    for event in recorded:
        clock.now += 1
        show(event)
    show.close()
    return stream.getvalue()


def _body(text):
    """Return the lines without AWS's prefix."""
    prefix = re.compile(r"\[\d\d/\d\d/\d{4} \d\d:\d\d:\d\d (INFO|WARNING) 139714520221504\] ")
    return [prefix.sub("", line) for line in text.splitlines()]


def test_sagemaker_epoch_reads_as_in_the_aws_log(monkeypatch):
    """Figures of LOG-MR's epoch 0, and of the spec's example lines."""
    text = _play_sagemaker(REGRESSION[:8], monkeypatch)
    lines = text.splitlines()
    first = next(i for i, line in enumerate(lines) if "Epoch: 0, batches: 100" in line)
    prefix = "[10/31/2019 00:00:{} INFO 139714520221504] "
    assert [line for line in lines[first:] if not line.startswith("#metrics ")] == [
        prefix.format("04") + "Epoch: 0, batches: 100, num_examples: 6400, 15107.6 samples/sec, "
        "epoch time so far: 0:00:00.423628",
        prefix.format("04")
        + "\tTraining metrics: mean_squared_error: 1.021 mean_absolute_error: 0.799 ",
        prefix.format("07") + "**************",
        prefix.format("07") + "Completed Epoch: 0, time taken: 0:00:05.692699",
        prefix.format("07")
        + "Epoch 0 Training metrics:   mean_squared_error: 1.021 mean_absolute_error: 0.799 ",
        prefix.format("07")
        + "#quality_metric: host=algo-1, epoch=0, train mean_squared_error <loss>=1.02100443688",
        prefix.format("07")
        + "Epoch 0 Validation metrics: mean_squared_error: 0.980 mean_absolute_error: 0.801 ",
        prefix.format("07")
        + "#quality_metric: host=algo-1, epoch=0, validation mean_squared_error "
        "<loss>=0.979866780139",
        prefix.format("07") + "**************",
        prefix.format("07") + "#progress_metric: host=algo-1, completed 5 % of epochs",
        prefix.format("07") + "#throughput_metric: host=algo-1, train throughput="
        "15396.9553405 records/second",
        prefix.format("08") + "Epoch: 1, batches: 100, num_examples: 6400, 15107.6 samples/sec, "
        "epoch time so far: 0:00:00.423628",
        prefix.format("08")
        + "\tTraining metrics: mean_squared_error: 0.661 mean_absolute_error: 0.638 ",
    ]


def test_sagemaker_classification_lines_are_the_published_ones(monkeypatch):
    lines = _body(_play_sagemaker(CLASSIFICATION, monkeypatch))
    published = """\
Epoch 0 Training metrics:   perplexity: 1.349 cross_entropy: 0.299 accuracy: 0.875 |
#quality_metric: host=algo-1, epoch=0, train cross_entropy <loss>=0.299207981495|
#quality_metric: host=algo-1, epoch=0, train accuracy <score>=0.874840989823|
Epoch 0 Validation metrics: perplexity: 1.255 cross_entropy: 0.227 accuracy: 0.914 |
#quality_metric: host=algo-1, epoch=0, validation cross_entropy <loss>=0.227112250687|
#quality_metric: host=algo-1, epoch=0, validation accuracy <score>=0.914095603814|
**************|
#progress_metric: host=algo-1, completed 5 % of epochs|
patience losses: [0.227112250687]|
min patience losses: 0.227112250687|
current loss: 0.227112250687|
absolute loss difference: 0.0|
Bad epoch: loss has not improved (enough). Bad count:2|
Bad epochs exceeded patience. Stopping training early!|
Early stopping criterion met! Stopping training at epoch: 2|
Early stop condition met. Stopping training.|
#progress_metric: host=algo-1, completed 100 % epochs|
Best model based on epoch 0. Best loss: 0.227|
Serializing model to /opt/ml/model|
Finished scoring on 60416 examples from 118 batches, each of size 512.|
Test Metrics:perplexity: 1.210 cross_entropy: 0.191 accuracy: 0.929 |
#test_score (algo-1) : ('perplexity', 1.209937594701743)|
#test_score (algo-1) : ('cross_entropy', 0.19064406154014296)|
#test_score (algo-1) : ('accuracy', 0.928760593220339)|
#quality_metric: host=algo-1, test cross_entropy <loss>=0.19064406154|
#quality_metric: host=algo-1, test accuracy <score>=0.92876059322"""
    rest = iter(lines)
    missing = [line for line in published.split("|\n") if line not in rest]  # in this order
    assert missing == []


def test_sagemaker_opens_with_the_data_and_the_layer_table(monkeypatch):
    text = _play_sagemaker(
        REGRESSION[:4], monkeypatch, entrypoint="train", provided={"enc_dim": "1024"}
    )
    lines = text.splitlines()
    assert lines[0] == "Docker entrypoint called with argument(s): train"
    assert lines[1].startswith("[10/31/2019 00:00:01 INFO 139714520221504] Reading default conf")
    body = [line for line in _body(text) if not line.startswith("#metrics ")]
    assert body[2] == "Reading provided configuration: {'enc_dim': '1024'}"
    assert "'enc_dim': 4096" in body[1]
    assert "'enc_dim': 1024" in body[3]
    table = body.index("_" * 120)
    assert body[5:table] == [
        "Inconsistent enc_dim and token_embedding_dim found for token-embedding-encoder: "
        "1024 vs 300. Setting token embedding dim to be 1024",
        "use bucketing: False",
        "Creating data iterator for /opt/ml/input/data/train",
        "Source words: 90570",
        "Target words: 90570",
        "Total: 90570 samples in 1 buckets",
        "Bucket of (1, 1) : 90570 samples in 1415 batches of 64, approx 64.0 words/batch",
        "0 sentence pairs discarded",
        "Negative sampling not used",
        "fill up mode: replicate",
        "Replicating 54 random sentences from bucket (1, 1) to size it to multiple of 64",
        "Creating data iterator for /opt/ml/input/data/validation",
        "Source words: 9430",
        "Target words: 9430",
        "Total: 9430 samples in 1 buckets",
        "Bucket of (1, 1) : 9430 samples in 147 batches of 64, approx 64.0 words/batch",
        "0 sentence pairs discarded",
        "Negative sampling not used",
        "3 sequences are empty.",
        "Number of GPUs being used: 0",
        "context [cpu(0)]",
        "Create Store: auto_gpu",
    ]
    assert "WARNING 139714520221504] 3 sequences are empty." in text
    assert [line.split() for line in body[table + 3 : table + 7]] == [
        ["tokens0", "944x1024", "966656"],
        ["tokens1", "1684x1024", "1724416"],
        ["head.0", "256x4096", "1048832"],
        ["head.1", "1x256", "257"],
    ]
    assert "Total params: 1049089" in lines  # without a prefix
    assert body.count("fixed_param_names: []") == 1


def test_sagemaker_counts_document_words_like_the_aws_log(monkeypatch):
    event = events.ChannelOpened(
        channel="train",
        source="/opt/ml/input/data/train",
        records=250_000,
        tokens0=4_392_571,
        tokens1=10_931_619,
        batches=1_956,
        batch_size=512,
        max_seq_lens=(50, 50),
        negatives_per_record=3,
        replicated_records=368,
    )
    lines = _body(_play_sagemaker([event], monkeypatch))
    assert (
        "Bucket of (50, 50) : 250000 samples in 488 batches of 512, approx 22016.0 words/batch"
        in lines
    )
    assert "Negative sampling enabled with sampling rate 3" in lines
    assert (
        "Replicating 368 random sentences from bucket (50, 50) to size it to multiple of 512"
        in lines
    )


@pytest.mark.parametrize(
    ("form", "records", "tokens", "size", "line"),
    [
        ("2025", 549_367, 4_532_924, 8_192, "549367 samples in 68 batches of 8192, approx 67593.6"),
        ("2025", 9_842, 82_207, 8_192, "9842 samples in 2 batches of 8192, approx 68425.1"),
        ("2019", 90_570, 90_570, 64, "90570 samples in 1415 batches of 64, approx 64.0"),
        ("2019", 250_000, 10_931_619, 512, "250000 samples in 488 batches of 512, approx 22016.0"),
    ],
)
def test_batches_and_words_are_counted_as_the_containers_of_both_years_do(
    form, records, tokens, size, line, monkeypatch
):
    event = events.ChannelOpened(
        channel="train",
        source="/opt/ml/input/data/train",
        records=records,
        tokens0=1,
        tokens1=tokens,
        batches=1,
        batch_size=size,
        max_seq_lens=(82, 82),
    )
    lines = _body(_play_sagemaker([event], monkeypatch, form=form))
    assert f"Bucket of (82, 82) : {line} words/batch" in lines


def test_the_later_container_prints_all_digits_and_the_time_before_the_metrics(monkeypatch):
    """Figures of the IP Insights container of 2025, which prints in the same way."""
    event = events.Tested(
        metrics={"cross_entropy": 0.6930449829101563, "accuracy": 0.52},
        records=1,
        batches=1,
        batch_size=1,
        test_s=0.0,
    )
    text = _play_sagemaker([event], monkeypatch, form="2025")
    assert "test cross_entropy <loss>=0.6930449829101563\n" in text
    assert "test accuracy <score>=0.52\n" in text
    block = next(line for line in text.splitlines() if line.startswith("#metrics "))
    assert [*json.loads(block[9:])] == ["StartTime", "EndTime", "Dimensions", "Metrics"]


@pytest.mark.parametrize("recorded", [REGRESSION, CLASSIFICATION], ids=["regression", "softmax"])
def test_each_regex_matches_once_per_epoch_and_once_per_test(recorded, monkeypatch):
    text = _play_sagemaker(recorded, monkeypatch, entrypoint="train")
    found = {row["Name"]: re.findall(row["Regex"], text) for row in METRIC_DEFINITIONS}
    assert found["train:progress"] == ["5", "10", "100"]
    assert len(found["train:throughput"]) == 3
    ours = {"mean_squared_error"} if recorded is REGRESSION else {"cross_entropy", "accuracy"}
    for channel, times in (
        ("train", 3),
        ("validation", 3),
        ("test", int(recorded is not REGRESSION)),
    ):
        for metric in ("mean_squared_error", "cross_entropy", "accuracy"):
            values = found[f"{channel}:{metric}"]
            assert len(values) == (times if metric in ours else 0), f"{channel}:{metric}"
            assert all(math.isfinite(float(value)) for value in values)
    assert ("Test data is not provided." in text) == (recorded is REGRESSION)


def test_metric_definitions_are_the_eleven_of_the_console():
    definitions = {row["Name"]: row["Regex"] for row in METRIC_DEFINITIONS}
    assert len(definitions) == 11
    assert definitions["train:progress"] == r"#progress_metric: host=\S+, completed (\S+) %"
    assert definitions["train:throughput"] == (
        r"#throughput_metric: host=\S+, train throughput=(\S+) records/second"
    )
    assert definitions["test:accuracy"] == r"#quality_metric: host=\S+, test accuracy <score>=(\S+)"
    assert definitions["validation:mean_squared_error"] == (
        r"#quality_metric: host=\S+, epoch=\S+, validation mean_squared_error <loss>=(\S+)"
    )
    assert definitions["train:cross_entropy"] == (
        r"#quality_metric: host=\S+, epoch=\S+, train cross_entropy <loss>=(\S+)"
    )


def test_metrics_lines_are_json_with_the_containers_keys(monkeypatch):
    text = _play_sagemaker(CLASSIFICATION, monkeypatch)
    blocks = [json.loads(line[9:]) for line in text.splitlines() if line.startswith("#metrics ")]
    names = [sorted(block["Metrics"]) for block in blocks]
    iterator = [
        "Max Batches Seen Between Resets",
        "Max Records Seen Between Resets",
        "Number of Batches Since Last Reset",
        "Number of Records Since Last Reset",
        "Reset Count",
        "Total Batches Seen",
        "Total Records Seen",
    ]
    assert names == [
        ["initialize.time"],
        iterator,
        ["early_stop.time", "epochs", "update.time"],
        iterator,
        ["early_stop.time", "update.time"],
        iterator,
        ["early_stop.time", "update.time"],
        iterator,
        ["finalize.time"],
        iterator,
        ["model.score.time", "model.serialize.time", "setuptime", "totaltime"],
    ]
    counters = [block for block in blocks if "Reset Count" in block["Metrics"]]
    assert [block["Dimensions"]["Meta"] for block in counters] == [
        "init_train_data_iter",
        *["training_data_iter"] * 3,
        "test_data_iter",
    ]
    third = blocks[7]
    assert third["Dimensions"] == {
        "Algorithm": "ObjectToVec",
        "Host": "algo-1",
        "Operation": "training",
        "Meta": "training_data_iter",
        "epoch": 2,
    }
    seen = {name: value["max"] for name, value in third["Metrics"].items()}
    assert seen["Total Records Seen"] == 271_872
    assert seen["Number of Records Since Last Reset"] == 90_624
    assert (seen["Total Batches Seen"], seen["Reset Count"]) == (4_248, 3)
    assert blocks[2]["Metrics"]["epochs"] == {"count": 1, "max": 20, "sum": 20.0, "min": 20}
    assert blocks[2]["Metrics"]["early_stop.time"]["max"] == 0.5
    last = {name: value["max"] for name, value in blocks[-1]["Metrics"].items()}
    assert (last["model.serialize.time"], last["model.score.time"]) == (75.0, 3080.0)
    assert last["setuptime"] == blocks[0]["Metrics"]["initialize.time"]["max"] == 4000.0
    assert last["setuptime"] < last["totaltime"] == 1000.0 * len(CLASSIFICATION)
    assert all(a["EndTime"] == b["StartTime"] for a, b in itertools.pairwise(blocks))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (0.0, "0.0"),
        (-3.0, "-3.0"),
        (1e-5, "1e-05"),
        (1e12, "1e+12"),
        (1.0210044368812345, "1.02100443688"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_numbers_print_as_in_python_2(value, text, monkeypatch):
    event = events.Tested(
        metrics={"cross_entropy": value}, records=1, batches=1, batch_size=1, test_s=0.0
    )
    log = _play_sagemaker([event], monkeypatch)
    regex = next(row["Regex"] for row in METRIC_DEFINITIONS if row["Name"] == "test:cross_entropy")
    assert re.findall(regex, log) == [text]


def test_sagemaker_says_what_is_trained_on_what(monkeypatch):
    settings = {"enc0_pretrained_embedding_file": "v", "enc0_vocab_file": "w", "bucket_width": 4}
    frozen = {"enc0_freeze_pretrained_embedding": True}
    config = Config.build(HYPERPARAMETERS | settings | frozen)
    started = dataclasses.replace(REGRESSION[0], config=config, device="cuda:0", notes=())
    channel = dataclasses.replace(
        REGRESSION[1], buckets=3, replicated_records=0, negatives_per_record=2
    )
    lines = _body(_play_sagemaker([started, channel, REGRESSION[3]], monkeypatch))
    for line in (
        "use bucketing: True",
        "Total: 90570 samples in 3 buckets",
        "Negative sampling enabled with sampling rate 2",
        "Number of GPUs being used: 1",
        "context [gpu(0)]",
        "fixed_param_names: ['embed_0_weight']",
    ):
        assert lines.count(line) == 1
    for start in ("Bucket of", "fill up mode", "Replicating", "Reading provided", "Docker"):
        assert not any(line.startswith(start) for line in lines)


def test_counters_have_the_most_of_all_epochs_and_the_sum(monkeypatch):
    sizes = [(3, 24), (5, 40), (4, 32)]
    epochs = [
        dataclasses.replace(REGRESSION[6], epoch=epoch, batches=batches, records=records)
        for epoch, (batches, records) in enumerate(sizes)
    ]
    text = _play_sagemaker([REGRESSION[0], *epochs, CLASSIFICATION[-2]], monkeypatch)
    blocks = [json.loads(line[9:]) for line in text.splitlines() if line.startswith("#metrics ")]
    seen = [
        (block["Dimensions"]["Meta"], *(int(value["sum"]) for value in block["Metrics"].values()))
        for block in blocks
        if "Meta" in block["Dimensions"]
    ]
    assert seen == [
        ("init_train_data_iter", 0, 0, 0, 0, 0, 0, 0),
        ("training_data_iter", 3, 24, 3, 24, 3, 24, 1),
        ("training_data_iter", 5, 40, 5, 40, 8, 64, 2),
        ("training_data_iter", 5, 40, 4, 32, 12, 96, 3),
        ("test_data_iter", 118, 60_416, 118, 60_416, 118, 60_416, 1),
    ]


def test_the_time_of_an_epoch_is_that_of_training_and_of_validation(monkeypatch):
    epoch = dataclasses.replace(REGRESSION[6], train_s=1.5, validation_s=0.25, records=7)
    text = _play_sagemaker([epoch], monkeypatch)
    assert "train throughput=4.0 records/second" in text
    assert "time taken: 0:00:01.500000" in text
    (block,) = (json.loads(x[9:]) for x in text.splitlines() if '"update.time"' in x)
    assert block["Metrics"]["update.time"] == {"sum": 1750.0, "count": 1, "min": 1750, "max": 1750}


def test_sagemaker_says_what_aws_never_had_to(monkeypatch):
    lines = _play_sagemaker(
        [
            events.Resumed(path="ckpt", epoch=1, batches=3),
            events.Warned("Slow disk."),
            events.Interrupting(signal.SIGTERM),
            events.CheckpointWritten(path="ckpt/step-9", epoch=1, batches=4, write_s=0.1),
        ],
        monkeypatch,
    ).splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [
        'INFO 139714520221504] Resuming training from "ckpt", epoch: 1, batches: 3',
        "WARNING 139714520221504] Slow disk.",
        "WARNING 139714520221504] Received SIGTERM. Stopping after a checkpoint.",
        'INFO 139714520221504] Saved checkpoint to "ckpt/step-9"',
    ]


# -------------------------------------------------------------------------------------------- rich


def _play_rich(recorded, width, terminal=True):
    console_options = {"width": width, "height": 24, "highlight": False, "color_system": None}
    return _play(
        lambda stream: RichReporter(
            Console(file=stream, force_terminal=terminal, legacy_windows=False, **console_options)
        ),
        recorded,
    )


class _Screen:
    """As much of a terminal as rich's live display asks for: what stands on it in the end."""

    def __init__(self, text):
        self.lines, self.row, self.is_cursor_shown = [""], 0, True
        for part in re.split(r"(\x1b\[[?0-9;]*[A-Za-z]|\n|\r)", text):
            self._take(part)

    def _take(self, part):
        if part == "\n":
            self.row += 1
            if self.row == len(self.lines):
                self.lines.append("")
        elif part == "\r":
            pass
        elif part == "\x1b[2K":
            self.lines[self.row] = ""
        elif part == "\x1b[1A":
            self.row -= 1
        elif part in ("\x1b[?25l", "\x1b[?25h"):
            self.is_cursor_shown = part.endswith("h")
        else:
            assert not part.startswith("\x1b"), part
            self.lines[self.row] += part

    def text(self):
        return "\n".join(line.rstrip() for line in self.lines).rstrip()


def test_rich_leaves_a_row_for_each_epoch_and_no_bar():
    screen = _Screen(_play_rich(REGRESSION[5:], 100))
    assert screen.is_cursor_shown
    assert (
        screen.text()
        == """\
                      train          validation
  epoch       MSE       MAE       MSE       MAE
   1/20    1.0210    0.7990    0.9799    0.8010  5.9 s, best
   2/20    0.6612    0.6380    0.9860    0.7920  5.9 s, too little improvement (1 of 2)
   3/20    0.0649    0.1950    0.9800    0.7580  5.9 s, too little improvement, stopping early
checkpoint: epoch 4 after 0 batches, in run/step-4248, 0.2 s
best: epoch 1, mean_squared_error 0.979867
model: /opt/ml/model
done: 3 epochs in 1:01, 271,872 pairs, 15,919 pairs/s, peak memory 812 MiB, best epoch 3, stopped
early"""
    )


@pytest.mark.parametrize("width", [100, 80, 60, 40])
def test_rich_live_lines_fit_the_terminal(width):
    screen = _Screen(_play_rich([], width))
    assert screen.text() == ""
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        height=24,
        force_terminal=True,
        color_system=None,
        legacy_windows=False,
    )
    show = RichReporter(console)
    show(CLASSIFICATION[3])
    live = _Screen(stream.getvalue())
    assert not live.is_cursor_shown
    bar, figures = live.text().splitlines()
    assert bar.startswith("epoch 1/20 ")
    assert ("━" in bar) == (width > 40)
    assert bar.rstrip().endswith("7%  0:06 left, run 2:00")
    assert figures.startswith("15,108 pairs/s  perplexity 1.3490  ")
    assert len(bar) == width >= len(figures)
    assert figures.endswith("…") == (width < 76)
    show.close()
    assert _Screen(stream.getvalue()).text() == ""
    assert _Screen(stream.getvalue()).is_cursor_shown


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize("recorded", [REGRESSION, CLASSIFICATION], ids=["regression", "softmax"])
def test_rich_keeps_every_figure_on_a_narrow_terminal(recorded, width):
    lines = _Screen(_play_rich(recorded, width)).text().splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(" ".join(lines).split())
    assert words.count("too little improvement") == 2
    for fact in ("5.9 s, best", "peak memory 812 MiB", "model: /opt/ml/model", "15,919 pairs/s"):
        assert fact in words
    if recorded is CLASSIFICATION:
        assert "1/20 0.2992 0.8748 0.2271 0.9141" in words
        assert "cross-entropy accuracy cross-entropy accuracy" in words


def test_rich_colors_warnings_and_the_best_epochs():
    stream = io.StringIO()
    show = RichReporter(
        Console(file=stream, force_terminal=True, width=100, color_system="standard")
    )
    for event in (
        events.Warned("slow"),
        events.Noted("fast"),
        events.Interrupting(signal.SIGINT),
        REGRESSION[6],
        REGRESSION[10],
    ):
        show(event)
    found = re.findall(r"(?:\x1b\[(\d+)m)?([^\x1b\n]+)(?:\x1b\[0m)?\n", stream.getvalue())
    yellow, green, dim = "33", "32", "2"
    assert [(style, text.split()[0]) for style, text in found] == [
        (yellow, "warning:"),
        ("", "note:"),
        (yellow, "SIGINT:"),
        (dim, "train"),
        (dim, "epoch"),
        (green, "1/20"),
        ("", "2/20"),
    ]


@pytest.mark.parametrize("width", [36, 30])
def test_rich_live_lines_stay_two_on_the_narrowest_terminal(width):
    stream = io.StringIO()
    show = RichReporter(
        Console(file=stream, force_terminal=True, width=width, height=24, color_system=None)
    )
    show(CLASSIFICATION[3])
    assert len(_Screen(stream.getvalue()).text().splitlines()) == 2
    show.close()


def test_rich_gives_the_cursor_back_when_training_is_interrupted():
    recorded = [REGRESSION[3], events.Warned("slow"), events.Interrupting(signal.SIGINT)]
    stream = io.StringIO()
    show = RichReporter(Console(file=stream, force_terminal=True, width=80, color_system=None))
    for event in recorded:
        show(event)
        is_cursor_shown = _Screen(stream.getvalue()).is_cursor_shown
        assert is_cursor_shown is isinstance(event, events.Interrupting)  # not closed yet
    screen = _Screen(stream.getvalue())
    assert screen.text() == "warning: slow\nSIGINT: stopping after a checkpoint"


def test_rich_without_a_terminal_draws_no_bar():
    text = _play_rich(REGRESSION, 100, terminal=False)
    assert "\x1b" not in text
    assert "━" not in text
    assert "   1/20    1.0210" in text


def test_rich_row_without_validation_shows_training_alone():
    event = events.EpochDone(
        epoch=0,
        epochs=2,
        batches=1,
        records=8,
        train_s=1.0,
        validation_s=0.0,
        train=_mse(0.00123, 0.02),
        validation=None,
        verdict=EarlyStopping(MSE, 3, 0.01).observe(0, 0.1),
    )
    assert (
        _Screen(_play_rich([event], 80)).text()
        == """\
                      train
  epoch       MSE       MAE
    1/2  1.23e-03    0.0200  1.0 s, best"""
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0000"),
        (0.00999, "9.99e-03"),
        (-0.00999, "-9.99e-03"),
        (0.01, "0.0100"),
        (-0.015, "-0.0150"),
        (0.0199, "0.0199"),
        (1234.5, "1234.5000"),
        (math.nan, "nan"),
    ],
)
def test_rich_shows_small_numbers_by_their_exponent(value, text):
    assert _cell(value) == text


# ----------------------------------------------------------------------------- choice and the file


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("log_format", "stream", "term", "kind"),
    [
        (None, _Terminal(), "xterm", RichReporter),
        (None, _Terminal(), "dumb", PlainReporter),
        (None, io.StringIO(), "xterm", PlainReporter),
        ("plain", _Terminal(), "xterm", PlainReporter),
        ("rich", io.StringIO(), "xterm", RichReporter),
        ("json", _Terminal(), "xterm", JsonReporter),
        ("sagemaker", _Terminal(), "xterm", SageMakerReporter),
    ],
)
def test_the_format_follows_the_stream_unless_told(log_format, stream, term, kind, monkeypatch):
    monkeypatch.setenv("TERM", term)
    assert type(reporter(log_format, stream)) is kind


def test_what_is_shown_goes_to_the_stream_that_is_named(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    for log_format in LOG_FORMATS:
        stream = _Terminal()
        reporter(log_format, stream)(events.Noted("12 pairs of 'a'"))
        assert stream.getvalue().count("12 pairs of 'a'") == 1
        assert "\x1b" not in stream.getvalue()  # what a text holds gets no colors


def test_a_log_of_sagemaker_has_all_that_is_its_own():
    stream = io.StringIO()
    dialect = Dialect("IPInsights", {"vector_dim": 7}, 200)
    show = reporter(
        "sagemaker",
        stream,
        "algo-7",
        entrypoint="train",
        dialect=dialect,
        provided={"enc_dim": "1024"},
    )
    for event in REGRESSION[:4]:
        show(event)
    text = stream.getvalue()
    assert text.startswith("Docker entrypoint called with argument(s): train\n")
    assert "Reading default configuration: {'vector_dim': 7}\n" in text
    assert "Reading provided configuration: {'enc_dim': '1024'}\n" in text
    assert '"Algorithm": "IPInsights", "Host": "algo-7"' in text


@pytest.mark.parametrize(
    ("log_format", "where"),
    [("sagemaker", "out"), ("plain", "err"), ("json", "err"), (None, "err")],
)
def test_logs_go_to_standard_error_except_for_cloudwatch(log_format, where, capsys):
    reporter(log_format)(events.Warned("Look here."))
    written = capsys.readouterr()
    assert "Look here." in getattr(written, where)
    assert getattr(written, "out" if where == "err" else "err") == ""


def test_an_unknown_format_is_refused():
    with pytest.raises(ConfigError, match=r"log_format: must be one of .*'plain'.*; got 'xml'\."):
        reporter("xml")


@pytest.mark.parametrize("log_format", [None, *LOG_FORMATS])
def test_a_process_without_streams_reports_to_nobody(log_format, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    made = reporter(log_format)
    made(events.Warned("Look here."))
    made.close()


@pytest.mark.parametrize("log_format", ["plain", "sagemaker", "json"])
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_names_that_a_stream_cannot_hold_are_escaped(log_format, encoding):
    written = io.BytesIO()
    made = reporter(log_format, io.TextIOWrapper(written, encoding))
    made(events.Warned("モ and donn\udce9es"))
    text = written.getvalue().decode(encoding)
    assert r"donn\udce9es" in text
    assert ("モ" in text) is (encoding == "utf-8" and log_format != "json")


def test_metrics_file_can_be_read_while_the_run_goes_on(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("from an earlier run\n")
    before = [CLASSIFICATION[0].to_dict(), CLASSIFICATION[6].to_dict()]
    file = MetricsFile(path, before)
    for event in (CLASSIFICATION[10], CLASSIFICATION[-1]):
        before.append(event.to_dict())
        file.append(before[-1])
        assert [json.loads(line) for line in path.read_text().splitlines()] == before  # flushed
    file.close()
    assert [row["event"] for row in before] == ["run", "epoch", "epoch", "finished"]


def test_a_metrics_file_that_cannot_be_written_is_an_error_of_ours(tmp_path):
    with pytest.raises(StorageError, match="must be writable; got 'Is a directory'"):
        MetricsFile(tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/dev/full is Linux")
def test_a_full_disk_is_an_error_of_ours():
    file = MetricsFile("/dev/full")
    with pytest.raises(StorageError, match="/dev/full: must be writable; got 'No space left"):
        file.append(REGRESSION[0].to_dict())
    file.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say")
def test_peak_memory_is_at_least_what_is_held():
    before = peak_memory_bytes()
    held = bytearray(b"x" * 2**26)
    assert peak_memory_bytes() >= max(before, len(held))
    assert peak_memory_bytes() < 2**40


def test_the_reporters_import_neither_torch_nor_rich():
    code = (
        "import sys, object2vec.reporting.plain, object2vec.reporting.aws_log;"
        "print({'torch', 'rich', 'numpy', 'pyarrow', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_log_of_ip_insights_has_the_metrics_that_the_service_reads():
    """The regular expressions are those of a training job of AWS's image."""
    stream = io.StringIO()
    log = SageMakerReporter(stream, "algo-1", dialect=Dialect("IPInsights", {}, 200))
    train = {
        "binary_classification_accuracy": 0.75,
        "binary_classification_cross_entropy": 0.5,
    }
    for batches in (100, 200, 300, 400, 500):
        log(
            events.BatchesDone(
                epoch=0,
                epochs=1,
                batches=batches,
                batches_total=400,
                records=9,
                epoch_s=1.0,
                metrics=train,
            )
        )
    verdict = events.Verdict(0, "m", 0.5, True, False, 0, 1, False, None, None)
    log(
        events.EpochDone(
            epoch=0,
            epochs=1,
            batches=400,
            records=9,
            train_s=1.0,
            validation_s=0.0,
            train=train,
            validation=train | {"discriminator_auc": 0.875},
            verdict=verdict,
        )
    )
    text = stream.getvalue()
    found = {d["Name"]: re.findall(d["Regex"], text) for d in IP_INSIGHTS_METRIC_DEFINITIONS}
    assert found == {
        "train:progress": ["100"],
        "train:throughput": ["9.0"],
        "train:binary_classification_accuracy": ["0.75"] * 2,
        "train:binary_classification_cross_entropy": ["0.5"] * 2,
        "train:binary_classification_accuracy:epoch": ["0.75"],
        "train:binary_classification_cross_entropy:epoch": ["0.5"],
        "validation:discriminator_auc": ["0.875"],
    }
    assert '"Algorithm": "IPInsights"' in text


def test_the_bar_moves_ten_times_a_second_at_the_most_and_at_the_end_of_an_epoch(monkeypatch):
    shown = []
    monkeypatch.setattr("object2vec.reporting.live._bar", lambda event: shown.append(event) or "")
    batches = [
        events.BatchesDone(
            epoch=epoch,
            epochs=2,
            batches=n,
            batches_total=10,
            records=n,
            epoch_s=n / 16,
            metrics=_mse(0.5, 0.25),
        )
        for epoch in (0, 1)
        for n in range(1, 11)
    ]
    stream = io.StringIO()
    reporter = RichReporter(Console(file=stream, force_terminal=True, width=80))
    for event in batches:
        reporter(event)
    reporter.close()
    seen = [(event.epoch, event.batches) for event in shown if event]
    assert seen == [(0, n) for n in (1, 3, 5, 7, 9, 10)] + [(1, n) for n in (1, 3, 5, 7, 9, 10)]
