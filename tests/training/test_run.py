"""What a run reports of itself: channels, times, memory, and what a saved model remembers."""

from __future__ import annotations

import json
import tempfile
import time

import pytest

from object2vec import DataError, Object2Vec
from object2vec.reading.tables import open_table
from object2vec.reporting import events
from object2vec.training import loop, run

SMALL = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 2,
    "enc0_vocab_size": 6,
    "enc_dim": 4,
    "mlp_dim": 4,
    "epochs": 2,
    "mini_batch_size": 4,
    "threads": 1,
    "device": "cpu",
}


class Log(list):
    def __call__(self, event) -> None:
        self.append(event)

    def close(self) -> None:
        pass

    def one(self, kind: type):
        (found,) = (event for event in self if type(event) is kind)
        return found

    def channels(self) -> dict:
        return {event.channel: event for event in self if type(event) is events.ChannelOpened}


def records(n: int) -> list[dict]:
    return [{"in0": [1, 2, 3][: 1 + i % 3], "in1": [i % 5], "label": i % 2} for i in range(n)]


def fitted(channels: dict, **given) -> tuple[Object2Vec, Log]:
    log, of_fit = (
        Log(),
        {n: given.pop(n) for n in ("save_to", "checkpoints", "checkpoint_every") if n in given},
    )
    return Object2Vec(**SMALL | given).fit(**channels, **of_fit, reporters=[log]), log


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize(("n", "batches"), [(8, 2), (9, 3), (1, 1)])
def test_a_channel_is_reported_with_its_batches(n, batches, compat):
    channels = {"train": records(10), "validation": records(n), "test": records(n)}
    _, log = fitted(channels, compat_metrics=compat, negative_sampling_rate=1)
    assert [*log.channels()] == [*channels]
    train = log.channels()["train"]
    assert (train.records, train.batches, train.batch_size) == (10, 5, 4)
    assert (train.negatives_per_record, train.tokens0, train.tokens1) == (1, 16, 10)
    for name in ("validation", "test"):
        opened = log.channels()[name]
        assert (opened.records, opened.batches, opened.negatives_per_record) == (n, batches, 0)
        assert opened.replicated_records == (4 * batches - n if compat else 0)
        assert (opened.buckets, opened.max_seq_lens, opened.source) == (1, (2, 2), "memory")
    tested = log.one(events.Tested)
    assert (tested.records, tested.batches, tested.batch_size) == (n, batches, 4)


def test_repeated_records_and_buckets_of_training_are_reported():
    _, log = fitted({"train": records(9)}, compat_metrics=True, bucket_width=1)
    train = log.channels()["train"]
    assert train.buckets == 2  # lengths 1 and 2, as they are truncated
    assert train.batches * 4 - train.replicated_records == 9


@pytest.mark.parametrize("several", [False, True])
def test_a_channel_is_called_by_its_files(several, tmp_path):
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path in paths:
        path.write_text("".join(json.dumps(each) + "\n" for each in records(6)))
    source = paths if several else str(paths[0])
    _, log = fitted({"train": source})
    opened = log.channels()["train"]
    assert opened.source == ", ".join(map(str, paths[: 1 + several]))
    assert opened.records == 6 * (1 + several)


def test_a_channel_of_a_table_is_called_as_the_table_is(tmp_path):
    path = tmp_path / "films.csv"
    path.write_text("user,film,rating\n" + "".join(f"u{i % 3},f{i % 4},{i}\n" for i in range(12)))
    log = Log()
    Object2Vec(in0="user", in1="film", label="rating", epochs=1).fit(str(path), reporters=[log])
    assert log.channels()["train"].source == str(path)
    opened = Log()
    of_table = Object2Vec(in0="user", in1="film", label="rating", epochs=1)
    of_table.fit(open_table([path]), reporters=[opened])
    assert opened.channels()["train"].source == open_table([path]).name
    assert all(event.text for event in log if isinstance(event, events.Noted))


def test_a_channel_of_positives_is_measured_with_negatives_and_reported_so():
    log = Log()
    table = {"user": [f"u{i % 3}" for i in range(12)], "film": [f"f{i % 4}" for i in range(12)]}
    given = {"in0": "user", "in1": "film", "preset": "aws", "enc0_network": "pooled_embedding"}
    sizes = {"enc_dim": 4, "mlp_dim": 4, "mini_batch_size": 10, "epochs": 1, "device": "cpu"}
    model = Object2Vec(**given, **sizes).fit(table, validation=table, reporters=[log])
    assert model.config.negatives == 4
    for opened in log.channels().values():
        assert (opened.records, opened.batches, opened.negatives_per_record) == (12, 6, 4)


def test_negatives_need_a_second_record():
    with pytest.raises(DataError, match="train: must hold two records to make negatives; got 1"):
        fitted({"train": records(1)}, negative_sampling_rate=1)
    fitted({"train": records(2)}, negative_sampling_rate=1)
    fitted({"train": records(1)})


def test_times_are_parts_of_the_time_that_passes(tmp_path):
    began = time.monotonic()
    channels = {"train": records(8), "validation": records(4), "test": records(4)}
    paths = {"save_to": tmp_path / "model", "checkpoints": tmp_path / "run"}
    _, log = fitted(channels, **paths, checkpoint_every=3)
    passed = time.monotonic() - began
    total = log.one(events.Finished).total_s
    epochs = [event for event in log if isinstance(event, events.EpochDone)]
    parts = [log.one(events.Tested).test_s, log.one(events.ModelSaved).write_s]
    for epoch in epochs:
        parts += [epoch.train_s, epoch.validation_s, epoch.verdict_s]
    assert len(parts) == 2 + 2 * 3
    written = log.one(events.CheckpointWritten)
    assert (written.epoch, written.batches) == (1, 1)
    assert 0 < written.write_s < total
    assert all(part > 0 for part in parts)
    assert total + parts[1] <= passed  # the model is saved when the rest is over
    assert sum(parts) - parts[1] <= total


def test_a_run_leaves_nothing_in_the_folder_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fitted({"train": records(8)}, token_embedding_storage_type="row_sparse")
    assert list(tmp_path.iterdir()) == []


def test_a_model_remembers_its_run_but_not_the_memory_of_the_process(tmp_path):
    model, log = fitted({"train": records(8), "test": records(4)})
    history = model.facts.history
    assert [event["event"] for event in history] == ["run", "epoch", "epoch", "test", "finished"]
    finished = log.one(events.Finished)
    assert finished.peak_memory_bytes > 2**20
    assert "peak_memory_bytes" not in history[-1]
    assert history[-1]["records"] == finished.records == 16
    assert [*model.facts.metrics] == ["train", "test"]
    best = [event for event in history[1:3] if event["verdict"]["is_best"]][-1]
    assert model.facts.metrics["train"] == best["train"]
    assert [*model.facts.data] == ["train", "test"]


def test_memory_that_is_free_goes_back_before_and_after_training(monkeypatch):
    """What reading has left, and what training has; in between some of it is kept for steps."""
    found = Log()
    for module in (run, loop):
        monkeypatch.setattr(module, "release_freed_memory", lambda: found("release"))
    monkeypatch.setattr(run, "retain_freed_memory", lambda: found("retain"))
    steps = 2 * 70
    Object2Vec(**SMALL).fit(records(4 * 70), reporters=[found])
    said = [e if isinstance(e, str) else type(e).__name__ for e in found]
    opened, restored = said.index("ChannelOpened"), said.index("BestRestored")
    assert said[:opened].count("release") == 0
    assert said[opened + 1 : opened + 3] == ["release", "retain"]
    in_loop = said[opened + 3 : restored].count("release")
    assert in_loop == len([n for n in range(1, steps + 1) if n.bit_count() == 1 or n % 128 == 0])
    assert said[restored + 1 :] == ["release", "Finished"]
