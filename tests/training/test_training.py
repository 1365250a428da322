"""Training runs: what is learned, when they stop, and that a resumed run is the same run."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from object2vec import (
    ArtifactError,
    ConfigError,
    Interrupted,
    NotFittedError,
    Object2Vec,
    StorageError,
    TrainingError,
    artifact,
)
from object2vec.kernels.cpu.kernel import CompiledKernel
from object2vec.kernels.reference import ReferenceKernel
from object2vec.kernels.rules import RULES
from object2vec.objectives.metrics import Metrics
from object2vec.reporting.events import (
    BatchesDone,
    BestRestored,
    CheckpointWritten,
    EpochDone,
    Event,
    Finished,
    Interrupting,
    Resumed,
    Warned,
)
from object2vec.training import loop
from object2vec.training.stop import StopRequest

# The validation losses of AWS's published logs (spec 9.6).
REGRESSION = [0.980, 0.986, 0.959, 0.952, 0.934, 0.932, 0.931, 0.928, 0.919]
CLASSIFICATION = [0.579, 0.571, 0.589, 0.727, 0.885, 1.022, 1.086]
WIKIPEDIA = [0.2271, 0.1995, 0.1787, 0.1879, 0.1925, 0.1823]


class Recorder:
    """Keeps every event, and asks to stop after so many batches."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.events: list[Event] = []
        self.stop = StopRequest()
        self.stop_after = stop_after
        self.is_closed = False

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if len(self.of(BatchesDone)) == self.stop_after:
            self.stop.request(signal.SIGTERM)

    def close(self) -> None:
        self.is_closed = True

    def of(self, kind: type) -> list:
        return [event for event in self.events if type(event) is kind]


def data(n: int = 10, seed: int = 0) -> dict:
    """Records of some lengths, with two classes."""
    generator = np.random.default_rng(seed)
    return {
        "in0": [generator.integers(1, 12, 1 + i % 4).tolist() for i in range(n)],
        "in1": [generator.integers(0, 12, 1 + i % 3).tolist() for i in range(n)],
        "label": generator.integers(0, 2, n),
    }


def settings(**given) -> dict:
    values = {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": 4,
        "enc0_vocab_size": 12,
        "enc0_token_embedding_dim": 3,
        "enc_dim": 4,
        "mlp_dim": 4,
        "mlp_layers": 1,
        "mlp_activation": "tanh",
        "mini_batch_size": 4,
        "epochs": 3,
        "learning_rate": 0.05,
        "early_stopping_patience": 5,
        "threads": 1,
        "device": "cpu",
    }
    return values | given


def model(**given) -> Object2Vec:
    return Object2Vec(**settings(**given))


def result(fitted: Object2Vec, folder: Path) -> tuple[bytes, list]:
    """Bytes of the saved weights, and the history without what a clock says."""
    fitted.save(folder)
    return (folder / "model.safetensors").read_bytes(), without_times(fitted.facts.history)


def without_times(value):
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if not k.endswith("_s")}
    return [without_times(v) for v in value] if isinstance(value, list | tuple) else value


@pytest.fixture
def every_batch(monkeypatch):
    """Report every batch."""
    monkeypatch.setattr(loop, "_REPORT_BATCHES", 1)


# Nothing hides: every value of every axis meets every value of every other one, see below.
AXES = {
    "optimizer": list(RULES),
    "token_embedding_storage_type": ["dense", "row_sparse"],
    "dropout": [0.0, 0.4],
    "negative_sampling_rate": [0, 1],
    "bucket_width": [0, 2],
    "enc0_network": ["pooled_embedding", "hcnn", "bilstm"],
    "kernel": ["compiled", "reference"],
    "tied_token_embedding_weight": [False, True],
}
DESIGN = [
    dict(zip(AXES, row, strict=True))
    for row in [
        ("sgd", "dense", 0.0, 0, 0, "pooled_embedding", "compiled", False),
        ("sgd", "row_sparse", 0.4, 1, 0, "hcnn", "reference", True),
        ("sgd", "dense", 0.4, 0, 2, "bilstm", "reference", False),
        ("adam", "row_sparse", 0.0, 0, 0, "bilstm", "compiled", True),
        ("adam", "dense", 0.4, 1, 2, "pooled_embedding", "reference", True),
        ("adam", "dense", 0.0, 1, 2, "hcnn", "compiled", False),
        ("adagrad", "dense", 0.0, 1, 2, "bilstm", "compiled", True),
        ("adagrad", "row_sparse", 0.4, 0, 0, "pooled_embedding", "reference", False),
        ("adagrad", "dense", 0.4, 0, 2, "hcnn", "compiled", True),
        ("rmsprop", "row_sparse", 0.0, 1, 0, "pooled_embedding", "compiled", False),
        ("rmsprop", "dense", 0.4, 0, 2, "hcnn", "reference", True),
        ("rmsprop", "dense", 0.0, 1, 0, "bilstm", "reference", False),
        ("adadelta", "dense", 0.4, 1, 2, "pooled_embedding", "compiled", True),
        ("adadelta", "row_sparse", 0.0, 0, 0, "hcnn", "reference", False),
        ("adadelta", "dense", 0.0, 1, 0, "bilstm", "reference", True),
    ]
]

SHARED = DESIGN[3] | {"shared_encoder": True}


# What goes on over a whole run, with every rule, storage and kernel.
WHOLE = {
    "weight_averaging": 0.6,
    "noise_temperature": 0.5,
    "embedding_decay": 0.1,
    "warmup": 0.2,
    "weight_decay": 0.02,
    "decoupled_weight_decay": True,
    "gradient_clip_norm": 0.2,
    "token_init": "unit",
}
OVER_A_RUN = [
    {**DESIGN[number], "learning_rate_schedule": schedule, **WHOLE, **given}
    for number, schedule, given in [
        (3, "linear", {}),
        (4, "cosine", {"weight_averaging": 1.0}),
        (2, "plateau", {"warmup": 0.0}),
        (7, "linear", {"weight_averaging": 0.3}),
        (9, "plateau", {}),
        (12, "constant", {}),
        (13, "constant", {"noise_temperature": 0.0}),
    ]
]


def test_the_design_covers_every_pair_of_values():
    wanted = {
        frozenset([(a, x), (b, y)])
        for a, b in itertools.combinations(AXES, 2)
        for x in AXES[a]
        for y in AXES[b]
    }
    # row_sparse switches bucketing off (spec, hyperparameter 25): there is no such pair.
    wanted.remove(frozenset([("token_embedding_storage_type", "row_sparse"), ("bucket_width", 2)]))
    covered = {frozenset(pair) for row in DESIGN for pair in itertools.combinations(row.items(), 2)}
    assert wanted - covered == set()


def id_of(row: dict) -> str:
    return "-".join(str(value) for value in row.values())


@pytest.mark.usefixtures("every_batch")
@pytest.mark.parametrize("row", [*DESIGN, SHARED, *OVER_A_RUN], ids=id_of)
def test_a_run_stopped_at_any_batch_and_resumed_is_the_uninterrupted_run(row, tmp_path):
    train, validation, test = data(7), data(5, seed=1), data(3, seed=2)
    channels = {"train": train, "validation": validation, "test": test}
    whole = Recorder()
    expected = result(model(**row).fit(**channels, reporters=[whole]), tmp_path / "whole")
    steps = len(whole.of(BatchesDone))
    assert steps >= 6
    for step in range(1, steps + 1):
        folder, recorder = tmp_path / str(step), Recorder(stop_after=step)
        with pytest.raises(Interrupted, match=r"Stopped by SIGTERM\. Go on from .*with resume"):
            model(**row).fit(
                **channels, checkpoints=folder, reporters=[recorder], stop=recorder.stop
            )
        assert recorder.is_closed
        assert recorder.of(Finished) == []
        assert len(recorder.of(Interrupting)) == len(recorder.of(CheckpointWritten)) == 1
        rest = Recorder()
        resumed = model(**row).fit(**channels, checkpoints=folder, resume=True, reporters=[rest])
        assert len(rest.of(Resumed)) == 1
        assert len(rest.of(BatchesDone)) == steps - step
        assert result(resumed, tmp_path / f"{step}-model") == expected


@pytest.mark.usefixtures("every_batch")
@pytest.mark.parametrize("row", [DESIGN[4], DESIGN[10], DESIGN[3]], ids=id_of)
def test_a_run_stopped_after_every_batch_gets_there(row, tmp_path):
    channels = {"train": data(10), "validation": data(5, seed=1)}
    expected = result(model(**row).fit(**channels), tmp_path / "whole")
    fitted, legs = None, 0
    while fitted is None:
        recorder = Recorder(stop_after=1)
        with contextlib.suppress(Interrupted):
            fitted = model(**row).fit(
                **channels,
                checkpoints=tmp_path / "run",
                resume=True,
                checkpoint_every=1,
                reporters=[recorder],
                stop=recorder.stop,
            )
        legs += 1
    assert legs >= 10
    assert result(fitted, tmp_path / "model") == expected


def test_checkpoints_at_every_step_change_nothing_and_only_the_newest_stays(tmp_path):
    recorder = Recorder()
    plain = result(model().fit(data(), validation=data(5)), tmp_path / "plain")
    fitted = model().fit(
        data(),
        validation=data(5),
        checkpoints=tmp_path / "run",
        checkpoint_every=1,
        reporters=[recorder],
    )
    assert result(fitted, tmp_path / "model") == plain
    written = [Path(event.path).name for event in recorder.of(CheckpointWritten)]
    assert written == [f"step-{step:09d}" for step in range(1, 10)]
    assert [path.name for path in (tmp_path / "run").glob("step-*")] == written[-1:]
    again = model().fit(data(), validation=data(5), checkpoints=tmp_path / "run", resume=True)
    assert result(again, tmp_path / "again") == plain


def test_a_time_between_checkpoints_is_kept(tmp_path, monkeypatch):
    clock = itertools.count(0.0, 10.0)
    monkeypatch.setattr(loop.time, "monotonic", lambda: next(clock))
    recorder = Recorder()
    model().fit(data(), checkpoints=tmp_path, checkpoint_every="30s", reporters=[recorder])
    steps = [int(Path(event.path).name[5:]) for event in recorder.of(CheckpointWritten)]
    assert 0 < len(steps) < 9


@pytest.mark.parametrize("text", ["0", "-1", "x", "1.5", "10d", ""])
def test_a_wrong_interval_is_refused(text, tmp_path):
    with pytest.raises(ConfigError, match="must be a number of steps or a time; got"):
        model().fit(data(), checkpoints=tmp_path / "run", checkpoint_every=text)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("given", [{"resume": True}, {"checkpoint_every": 3}], ids=str)
def test_what_needs_a_folder_for_checkpoints_is_refused_without_one(given):
    with pytest.raises(ConfigError, match="checkpoints: must be given with"):
        model().fit(data(), **given)


def interrupted(folder: Path, **given) -> None:
    recorder = Recorder(stop_after=1)
    with pytest.raises(Interrupted):
        model(**given).fit(
            data(),
            validation=data(5),
            checkpoints=folder,
            reporters=[recorder],
            stop=recorder.stop,
        )


def test_resume_without_a_checkpoint_starts_afresh(tmp_path):
    recorder = Recorder()
    fitted = model().fit(
        data(), validation=data(5), checkpoints=tmp_path / "new", resume=True, reporters=[recorder]
    )
    assert recorder.of(Resumed) == []
    expected = result(model().fit(data(), validation=data(5)), tmp_path / "a")
    assert result(fitted, tmp_path / "b") == expected


@pytest.mark.usefixtures("every_batch")
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"learning_rate": 0.06}, "other learning_rate"),
        ({"seed": 1, "dropout": 0.5}, "other dropout, seed"),
        ({"optimizer": "sgd"}, "other optimizer"),
        ({"enc_dim": 6}, "other enc0_token_embedding_dim, enc1_token_embedding_dim, enc_dim"),
    ],
)
def test_resume_into_other_settings_is_refused(changed, named, tmp_path):
    interrupted(tmp_path / "run")
    with pytest.raises(ArtifactError, match=rf"must belong to this run; got '{named}'.*Resume"):
        model(**changed).fit(data(), validation=data(5), checkpoints=tmp_path / "run", resume=True)
    model().fit(data(), validation=data(5), checkpoints=tmp_path / "run", resume=True)


@pytest.mark.usefixtures("every_batch")
@pytest.mark.parametrize(
    "channels",
    [
        {"train": data(11), "validation": data(5)},
        {"train": data(10, seed=7), "validation": data(5)},  # as many records, other tokens
        {"train": data(10) | {"label": [1] * 10}, "validation": data(5)},
        {"train": data(10) | {"label": data(10)["label"][::-1]}, "validation": data(5)},
        {"train": data(10), "validation": data(5, seed=8)},
        {"train": data(10)},
    ],
    ids=[
        "more",
        "other tokens",
        "other labels",
        "other order",
        "other validation",
        "no validation",
    ],
)
def test_resume_with_other_data_is_refused(channels, tmp_path):
    interrupted(tmp_path / "run")
    with pytest.raises(ArtifactError, match="must belong to this run; got 'other data'"):
        model().fit(**channels, checkpoints=tmp_path / "run", resume=True)


@pytest.mark.usefixtures("every_batch")
def test_resume_may_go_on_longer_and_elsewhere(tmp_path, monkeypatch):
    sgd = {"optimizer": "sgd"}  # the rule that both kernels round alike, given the same products
    monkeypatch.setattr(ReferenceKernel, "linear", staticmethod(CompiledKernel.linear))
    interrupted(tmp_path / "run", **sgd)
    channels = {"train": data(), "validation": data(5)}
    other = {"epochs": 5, "kernel": "reference", "threads": 2}
    resumed = model(**sgd, **other).fit(**channels, checkpoints=tmp_path / "run", resume=True)
    expected = result(model(**sgd, epochs=5).fit(**channels), tmp_path / "a")
    assert result(resumed, tmp_path / "b")[1][1:] == expected[1][1:]
    assert len(expected[1]) > 5


@pytest.mark.usefixtures("every_batch")
def test_a_disk_without_links_can_resume(tmp_path, monkeypatch):
    expected = result(model().fit(data(), validation=data(5)), tmp_path / "whole")

    def refuse(source, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    recorder = Recorder(stop_after=7)  # in the last epoch: there are best weights to keep
    folder = {"checkpoints": tmp_path / "run", "validation": data(5)}
    with pytest.raises(Interrupted):
        model().fit(data(), **folder, reporters=[recorder], stop=recorder.stop)
    assert result(model().fit(data(), **folder, resume=True), tmp_path / "model") == expected


@pytest.mark.usefixtures("every_batch")
def test_a_stop_before_the_first_epoch_ends_leaves_the_averages_of_what_there_was():
    """Averages change nothing of the weights that are trained on."""

    def stopped(after: int, share: float) -> Object2Vec:
        recorder, fitted = Recorder(stop_after=after), model(weight_averaging=share)
        with pytest.raises(Interrupted):
            fitted.fit(data(), reporters=[recorder], stop=recorder.stop)
        return fitted

    plain = [stopped(after, 0.0).artifact.network.state_dict() for after in (1, 2)]
    for name, tensor in stopped(2, 1.0).artifact.network.state_dict().items():
        expected = torch.stack([each[name] for each in plain]).mean(0)
        torch.testing.assert_close(tensor, expected)
    name = "head.output.weight"
    assert not torch.equal(plain[0][name], plain[1][name])


@pytest.mark.usefixtures("every_batch")
def test_a_stop_without_a_folder_says_what_is_lost_and_keeps_the_best_weights():
    recorder, fitted = Recorder(stop_after=5), model()
    with pytest.raises(Interrupted, match=r"Stopped by SIGTERM\. No folder for checkpoints") as err:
        fitted.fit(data(), validation=data(5), reporters=[recorder], stop=recorder.stop)
    assert err.value.signal_number == signal.SIGTERM
    one_epoch = model(epochs=1).fit(data(), validation=data(5))
    assert np.array_equal(fitted.encode(in0=data()["in0"]), one_epoch.encode(in0=data()["in0"]))
    assert len(recorder.of(BestRestored)) == 1


@pytest.mark.usefixtures("every_batch")
def test_checkpoints_of_an_earlier_run_are_not_overwritten_unasked(tmp_path):
    interrupted(tmp_path)
    before = sorted(tmp_path.glob("step-*"))
    with pytest.raises(
        StorageError, match=r"must hold no checkpoint of an earlier run; got .*step"
    ):
        model().fit(data(), checkpoints=tmp_path)
    assert sorted(tmp_path.glob("step-*")) == before
    model(seed=3).fit(data(), checkpoints=tmp_path, overwrite=True)
    assert list(tmp_path.glob("step-*")) == []


@pytest.mark.usefixtures("python_takes_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_the_run_with_a_checkpoint(number, tmp_path):
    class Killer(Recorder):
        def __call__(self, event):
            super().__call__(event)
            if isinstance(event, EpochDone):
                signal.raise_signal(number)

    before = signal.getsignal(number)
    name = signal.Signals(number).name
    with pytest.raises(Interrupted, match=f"Stopped by {name}. Go on from") as err:
        model().fit(data(), checkpoints=tmp_path / "run", reporters=[Killer()])
    assert err.value.signal_number == number
    assert signal.getsignal(number) is before
    resumed = model().fit(data(), checkpoints=tmp_path / "run", resume=True)
    assert result(resumed, tmp_path / "a") == result(model().fit(data()), tmp_path / "b")


@pytest.mark.usefixtures("python_takes_signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_the_caller_ignores_stays_ignored(number):
    signal.signal(number, signal.SIG_IGN)
    stop = StopRequest()
    with stop.on_signals():
        signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_IGN
    assert stop.signal_number is None
    assert signal.getsignal(number) is signal.SIG_IGN


@pytest.mark.usefixtures("python_takes_signals")
def test_a_second_signal_finds_the_handlers_that_were_there_before():
    stop, before = StopRequest(), signal.getsignal(signal.SIGINT)
    assert stop.name == "nobody"
    with stop.on_signals():
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal_number == signal.SIGTERM
        assert signal.getsignal(signal.SIGINT) is before
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


class Script:
    """A validation whose losses are given; it remembers the weights of every epoch."""

    def __init__(self, losses: list[float]) -> None:
        self.losses, self.weights = list(losses), []

    def __call__(self, network, pairs, config, *, search):
        assert search is None  # no retrieval is measured
        self.weights.append({k: v.clone() for k, v in network.state_dict().items()})
        metrics = Metrics(network.objective)
        metrics.add((self.losses[len(self.weights) - 1], 0.0), records=1)
        return metrics.values()


@pytest.mark.parametrize(
    ("losses", "patience", "stops", "best"),
    [(REGRESSION, 3, 8, 8), (CLASSIFICATION, 3, 6, 1), (WIKIPEDIA, 2, 5, 2)],
    ids=["regression", "classification", "wikipedia"],
)
def test_a_whole_run_stops_and_keeps_what_the_container_did(
    losses, patience, stops, best, monkeypatch
):
    script, recorder = Script(losses + [9.0] * 5), Recorder()
    monkeypatch.setattr(loop, "measured", script)
    fitted = model(
        output_layer="mean_squared_error", epochs=14, early_stopping_patience=patience
    ).fit(data(), validation=data(5), reporters=[recorder])
    assert [event.epoch for event in recorder.of(EpochDone)] == list(range(stops + 1))
    assert [event.epoch for event in recorder.of(BestRestored)] == [best]
    (finished,) = recorder.of(Finished)
    assert (finished.epochs, finished.best_epoch, finished.stopped_early) == (stops + 1, best, True)
    assert finished.best_value == pytest.approx(losses[best])
    kept = fitted.artifact.network.state_dict()
    for name, weight in script.weights[best].items():
        assert torch.equal(kept[name], weight), name
    assert not all(torch.equal(script.weights[0][n], script.weights[-1][n]) for n in kept)
    assert fitted.facts.metrics["validation"]["mean_squared_error"] == pytest.approx(losses[best])


def test_without_validation_the_training_loss_decides():
    recorder = Recorder()
    model(epochs=6, learning_rate=1.0, early_stopping_patience=1).fit(data(), reporters=[recorder])
    epochs = recorder.of(EpochDone)
    assert all(event.validation is None for event in epochs)
    watched = [event.verdict.value for event in epochs]
    assert watched == [event.train["cross_entropy"] for event in epochs]
    (finished,) = recorder.of(Finished)
    assert finished.best_epoch == int(np.argmin(watched))
    assert finished.best_value == min(watched)


def test_a_loss_that_is_no_number_warns_and_ends_early():
    recorder = Recorder()
    with pytest.raises(TrainingError, match="must reach a finite mean_squared_error; got"):
        diverging().fit(HUGE, reporters=[recorder])
    assert [event.text for event in recorder.of(Warned)] == [
        f"The mean_squared_error of epoch {epoch} is not finite: the run has diverged. "
        "Lower learning_rate or choose another optimizer."
        for epoch in (0, 1)
    ]
    assert recorder.of(Finished) == recorder.of(BestRestored) == []
    assert recorder.is_closed
    for event in recorder.of(EpochDone):
        json.dumps(event.to_dict(), allow_nan=False)


HUGE = data() | {"label": [1e30] * 10}


def diverging(**given) -> Object2Vec:
    given = {"learning_rate": 1.0, "early_stopping_patience": 1, "epochs": 30} | given
    return model(output_layer="mean_squared_error", optimizer="sgd", **given)


def test_a_run_that_diverges_saves_nothing_and_leaves_what_is_there(tmp_path):
    trained = model(output_layer="mean_squared_error").fit(data(), save_to=tmp_path / "model")
    before = result(trained, tmp_path / "copy")
    with pytest.raises(TrainingError):
        diverging().fit(
            HUGE,
            save_to=tmp_path / "model",
            overwrite=True,
            checkpoints=tmp_path / "run",
            checkpoint_every=2,
        )
    kept = Object2Vec.load(tmp_path / "model")
    assert result(kept, tmp_path / "again") == before
    assert [path.name for path in (tmp_path / "run").glob("step-*")] == ["step-000000006"]
    failed = diverging()
    with pytest.raises(TrainingError):
        failed.fit(HUGE)
    with pytest.raises(NotFittedError):
        failed.encode(in0=[[1]])


@pytest.mark.usefixtures("every_batch")
def test_a_run_that_is_stopped_while_it_diverges_keeps_no_weights():
    recorder, fitted = Recorder(stop_after=2), diverging()
    with pytest.raises(Interrupted):
        fitted.fit(HUGE | {"label": [1e38] * 10}, reporters=[recorder], stop=recorder.stop)
    with pytest.raises(NotFittedError):
        fitted.encode(in0=[[1]])


@pytest.mark.usefixtures("every_batch")
def test_the_time_of_a_resumed_epoch_is_that_of_all_its_parts(tmp_path):
    recorder = Recorder(stop_after=2)
    with pytest.raises(Interrupted):
        model().fit(data(), checkpoints=tmp_path, reporters=[recorder], stop=recorder.stop)
    (state,) = tmp_path.glob("step-*/state.json")
    before = json.loads(state.read_text())["progress"]["epoch_s"]
    assert before == recorder.of(BatchesDone)[-1].epoch_s > 0
    rest = Recorder()
    began = time.monotonic()
    model().fit(data(), checkpoints=tmp_path, resume=True, reporters=[rest])
    passed = time.monotonic() - began
    assert [event.batches for event in rest.of(BatchesDone)[:2]] == [3, 1]
    assert before < rest.of(BatchesDone)[0].epoch_s < before + passed
    assert rest.of(EpochDone)[0].train_s == rest.of(BatchesDone)[0].epoch_s
    assert rest.of(BatchesDone)[1].epoch_s < passed  # the next one begins anew


@pytest.mark.usefixtures("python_takes_signals")
def test_a_run_in_another_thread_leaves_signals_alone():
    found = []

    def work():
        with StopRequest().on_signals():
            found.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]


def test_a_checkpoint_of_the_last_step_stands_for_the_end(tmp_path, monkeypatch):
    """The last batch of a run was saved already: what follows it is done again on resume."""
    expected = result(model().fit(data(), validation=data(5, 1)), tmp_path / "whole")
    target = {"checkpoints": tmp_path / "run", "save_to": tmp_path / "model", "resume": True}
    with monkeypatch.context() as patch:
        patch.setattr(artifact, "save", full_disk)
        with pytest.raises(StorageError, match="disk is full"):
            model().fit(data(), validation=data(5, 1), checkpoint_every=1, **target)
    assert [path.name for path in (tmp_path / "run").glob("step-*")] == ["step-000000009"]
    recorder = Recorder()
    fitted = model().fit(data(), validation=data(5, 1), **target, reporters=[recorder])
    assert recorder.of(BatchesDone) == []
    assert result(fitted, tmp_path / "again") == expected


@pytest.mark.usefixtures("every_batch")
@pytest.mark.parametrize("best_is_last", [False, True])
def test_a_model_that_cannot_be_saved_is_kept_and_saved_on_resume(
    best_is_last, tmp_path, monkeypatch
):
    channels = {"train": data(), "test": data(3, 2)}
    channels |= {} if best_is_last else {"validation": data(5, 1)}
    given = {"learning_rate": 0.05}
    recorder = Recorder()
    expected = result(model(**given).fit(**channels, reporters=[recorder]), tmp_path / "whole")
    (finished,) = recorder.of(Finished)
    assert (finished.best_epoch == finished.epochs - 1) is best_is_last
    target = {"checkpoints": tmp_path / "run", "save_to": tmp_path / "model", "resume": True}
    recorder = Recorder()
    with monkeypatch.context() as patch:
        patch.setattr(artifact, "save", full_disk)
        with pytest.raises(StorageError, match="disk is full"):
            model(**given).fit(**channels, **target, reporters=[recorder])
    assert "resume saves it without training" in recorder.of(Warned)[-1].text
    if not best_is_last:
        with pytest.raises(ArtifactError, match="got 'other epochs'"):
            model(**given | {"epochs": 9}).fit(**channels, **target)
    recorder = Recorder()
    model(**given).fit(**channels, **target, reporters=[recorder])
    assert recorder.of(BatchesDone) == recorder.of(EpochDone) == []
    assert result(Object2Vec.load(tmp_path / "model"), tmp_path / "again") == expected
    assert not (tmp_path / "run").exists()


def full_disk(*_, **__):
    raise StorageError("the disk is full")


def test_a_target_that_must_stay_is_found_before_training(tmp_path):
    recorder = Recorder()
    with pytest.raises(StorageError):
        model().fit(data(), save_to=tmp_path, reporters=[recorder])
    assert recorder.events == []


def test_history_tells_the_run_and_metrics_are_those_of_the_best_epoch():
    fitted = model(epochs=4).fit(data(), validation=data(5, 1), test=data(3, 2))
    names = [event["event"] for event in fitted.facts.history]
    assert names == ["run", "epoch", "epoch", "epoch", "epoch", "test", "finished"]
    epochs = [event for event in fitted.facts.history if event["event"] == "epoch"]
    best = min(epochs, key=lambda event: event["validation"]["cross_entropy"])
    assert fitted.facts.metrics["validation"] == best["validation"]
    assert fitted.facts.metrics["train"] == best["train"]
    assert fitted.evaluate(data(5, 1)) == best["validation"]
    assert fitted.evaluate(data(3, 2)) == fitted.facts.metrics["test"]


@pytest.mark.usefixtures("every_batch")
def test_the_interval_of_a_resumed_run_counts_from_the_checkpoint_that_it_resumed(tmp_path):
    recorder = Recorder(stop_after=3)
    with pytest.raises(Interrupted):
        model().fit(data(), checkpoints=tmp_path, reporters=[recorder], stop=recorder.stop)
    rest = Recorder()
    model().fit(data(), checkpoints=tmp_path, resume=True, checkpoint_every=4, reporters=[rest])
    assert [Path(e.path).name for e in rest.of(CheckpointWritten)] == ["step-000000007"]


def test_the_rate_of_a_run_is_that_of_all_its_epochs():
    recorder = Recorder()
    model(epochs=4).fit(data(), validation=data(5, 1), reporters=[recorder])
    (finished,) = recorder.of(Finished)
    seconds = sum(event.train_s for event in recorder.of(EpochDone))
    assert finished.records == 40
    assert finished.pairs_per_s == pytest.approx(40 / seconds)


@pytest.mark.parametrize(("every_s", "reports"), [(1e9, 1), (-1.0, 3)])
def test_batches_are_reported_at_the_end_and_after_some_time(every_s, reports, monkeypatch):
    monkeypatch.setattr(loop, "_REPORT_S", every_s)
    recorder = Recorder()
    model(epochs=1).fit(data(), reporters=[recorder])
    assert len(recorder.of(BatchesDone)) == reports


def test_records_and_batches_are_counted_with_negatives():
    recorder = Recorder()
    model(negative_sampling_rate=3, epochs=2).fit(data(), reporters=[recorder])
    assert [(e.batches, e.records) for e in recorder.of(EpochDone)] == [(10, 40), (10, 40)]
    assert recorder.of(Finished)[0].records == 80


@pytest.mark.parametrize("network", ["pooled_embedding", "hcnn", "bilstm"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_seed_is_the_run_and_global_randomness_is_not(network, dropout, tmp_path):
    given = {"enc0_network": network, "dropout": dropout, "negative_sampling_rate": 1}
    found = []
    for i, seed in enumerate([5, 5, 6]):
        torch.manual_seed(i)
        np.random.seed(i)  # noqa: NPY002 - the global state is what is shown not to matter
        before = torch.get_rng_state()
        found.append(result(model(seed=seed, **given).fit(data()), tmp_path / str(i)))
        assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1]
    assert found[0][0] != found[2][0]


def test_a_pooled_training_is_the_same_bytes_on_one_and_two_threads(tmp_path):
    given = {
        "enc_dim": 64,
        "mlp_dim": 64,
        "mini_batch_size": 100,
        "dropout": 0.2,
        "epochs": 2,
        "negative_sampling_rate": 1,
        "tied_token_embedding_weight": True,
    }
    found = []
    for threads in (1, 2):
        fitted = model(**given, threads=threads).fit(data(200), validation=data(50, 1))
        found.append(result(fitted, tmp_path / str(threads))[0])
    model(threads=1).fit(data())
    assert found[0] == found[1]


def test_dropout_and_negatives_take_part(tmp_path):
    """The tests of resuming and seeds above would pass if neither did anything."""
    results = [
        result(model(**given).fit(data()), tmp_path / str(i))[0]
        for i, given in enumerate([{}, {"dropout": 0.5}, {"negative_sampling_rate": 1}])
    ]
    assert len(set(results)) == 3
