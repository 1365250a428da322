"""The tuner with a training that costs nothing: searching, stopping, failing, going on."""

import itertools
import json
import threading
import types
from dataclasses import replace

import pytest

from object2vec.errors import ArtifactError, ConfigError, TrainingError
from object2vec.tuning.objective import Goal
from object2vec.tuning.search import Search
from object2vec.tuning.space import Space
from object2vec.tuning.trials import Study, Trial
from object2vec.tuning.tuner import Trained, Tuner

SPACE = Space.parse({"dropout": {"min": 0.0, "max": 1.0}, "optimizer": ["adam", "sgd"]})
OBJECTIVE = Goal.parse("validation:mean_squared_error")
SETTINGS = {
    "objective": OBJECTIVE.name,
    "space": SPACE.state(),
    "fixed": {},
    "data": "d",
    "seed": 0,
    "strategy": "bayesian",
}


def loss(values):
    """A bowl whose lowest point is at dropout 0.3 with adam."""
    return (values["dropout"] - 0.3) ** 2 + (values["optimizer"] == "sgd")


def train(trial, watch):
    """Come nearer to the loss of the values in four epochs."""
    course = [loss(trial.values) + 1 / (epoch + 1) for epoch in range(4)]
    for done, value in enumerate(course, 1):
        if not watch.epoch(value):
            return Trained(value=min(course[:done]))
    return Trained(value=min(course))


def tuned(path, training=train, trials=30, search=None, **rest):
    study = Study.create(path, SETTINGS)
    search = search or Search(SPACE, OBJECTIVE)
    return Tuner(study, search, training, trials=trials, **rest), study


def test_bayesian_search_finds_the_bowl_s_lowest_point(tmp_path):
    tuner, study = tuned(tmp_path / "study")
    best = tuner.run()
    assert best == study.best()
    assert best.values["optimizer"] == "adam"
    assert best.values["dropout"] == pytest.approx(0.3, abs=0.1)
    later = [loss(trial.values) for trial in study.trials()[15:]]
    first = [loss(trial.values) for trial in study.trials()[:10]]
    assert sum(later) / len(later) < sum(first) / len(first) / 2


def test_the_same_seed_asks_the_same_and_another_asks_otherwise(tmp_path):
    asked = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        tuner, study = tuned(tmp_path / name, trials=12, search=Search(SPACE, OBJECTIVE, seed=seed))
        tuner.run()
        asked.append([trial.values for trial in study.trials()])
    assert asked[0] == asked[1] != asked[2]


def test_a_study_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path):
    whole, _ = tuned(tmp_path / "whole", trials=14)
    whole.run()

    def dying(trial, watch):
        if trial.number == 9:
            watch.epoch(5.0)
            raise KeyboardInterrupt  # as kill -9 would: nothing is noted any more
        return train(trial, watch)

    killed, study = tuned(tmp_path / "killed", dying, trials=14)
    with pytest.raises(KeyboardInterrupt):
        killed.run()
    assert [trial.state for trial in study.trials()][-1] == "running"
    again = Tuner(Study.open(study.path), Search(SPACE, OBJECTIVE), train, trials=14)
    again.run()
    assert [replace(t, seconds=0) for t in study.trials()] == [
        replace(t, seconds=0) for t in Study.open(tmp_path / "whole").trials()
    ]


def test_stopping_leaves_what_runs_for_later(tmp_path):
    holder = []

    def interrupted(trial, watch):
        if trial.number == 3:
            holder[0].stop()
            return Trained(is_interrupted=watch.is_stopping)
        return train(trial, watch)

    tuner, study = tuned(tmp_path / "s", interrupted, trials=5)
    holder.append(tuner)
    assert tuner.run() is None
    assert [trial.state for trial in study.trials()] == ["completed", "completed", "waiting"]
    assert Tuner(study, Search(SPACE, OBJECTIVE), train, trials=5).run() is not None
    assert [trial.state for trial in study.trials()] == ["completed"] * 5


def test_a_trial_that_fails_is_noted_and_the_others_go_on(tmp_path):
    def failing(trial, watch):
        if trial.number == 2:
            raise ValueError("boom")
        return Trained(error="too wide") if trial.number == 4 else train(trial, watch)

    tuner, study = tuned(tmp_path / "s", failing, trials=6)
    tuner.run()
    states = {trial.number: (trial.state, trial.error) for trial in study.trials()}
    assert states[2] == ("failed", "ValueError: boom")
    assert states[4] == ("failed", "too wide")
    assert [states[n][0] for n in (1, 3, 5, 6)] == ["completed"] * 4


def test_a_trial_without_a_value_has_failed(tmp_path):
    def silent(trial, watch):
        return Trained() if trial.number == 2 else train(trial, watch)

    tuner, study = tuned(tmp_path / "s", silent, trials=3)
    tuner.run()
    said = [(trial.state, trial.error) for trial in study.trials()]
    assert said[1] == ("failed", "no value of validation:mean_squared_error")
    assert [state for state, _ in said] == ["completed", "failed", "completed"]


def test_the_seconds_of_a_trial_that_was_interrupted_add_up(tmp_path, monkeypatch):
    clock = types.SimpleNamespace(monotonic=itertools.count(100, 5).__next__)
    monkeypatch.setattr("object2vec.tuning.tuner.time", clock)
    holder, reported = [], []

    def interrupted(trial, watch):
        holder[0].stop()
        return Trained(is_interrupted=True)

    tuner, study = tuned(tmp_path / "s", interrupted, trials=1, report=reported.append)
    holder.append(tuner)
    assert tuner.run() is None
    assert [(t.state, t.seconds) for t in study.trials()] == [("waiting", 5)]
    assert not reported  # it is not over
    Tuner(study, Search(SPACE, OBJECTIVE), train, trials=1, report=reported.append).run()
    assert [(t.state, t.seconds) for t in study.trials()] == [("completed", 10)]
    assert reported == study.trials()


def test_what_ends_by_itself_was_not_interrupted(tmp_path):
    outcomes = [Trained(is_interrupted=True), Trained(2.0, error="broken"), Trained(1.0)]
    tuner, study = tuned(tmp_path / "s", lambda trial, _: outcomes[trial.number - 1], trials=3)
    tuner.run()
    assert [(t.state, t.value, t.error) for t in study.trials()] == [
        ("failed", None, "no value of validation:mean_squared_error"),
        ("failed", None, "broken"),
        ("completed", 1.0, ""),
    ]


def test_a_trial_without_prospects_needs_no_value(tmp_path, monkeypatch):
    monkeypatch.setattr(Search, "has_prospects", lambda self, trial, others: trial.number > 1)

    def training(trial, watch):
        return Trained(1.0) if watch.epoch(1.0) else Trained()

    tuner, study = tuned(tmp_path / "s", training, trials=2)
    tuner.run()
    assert [(t.state, t.value) for t in study.trials()] == [("stopped", None), ("completed", 1.0)]


@pytest.mark.parametrize("works", ["value", "course"])
def test_where_one_trial_has_trained_failures_alike_are_those_of_their_values(tmp_path, works):
    def training(trial, watch):
        if trial.number == 1 and works == "course":
            watch.epoch(1.0)
        return Trained(1.0) if trial.number == 1 and works == "value" else Trained(error="no")

    tuner, study = tuned(tmp_path / "s", training, trials=6)
    if works == "value":
        assert tuner.run().number == 1
    else:
        with pytest.raises(TrainingError, match="must have a trial that trains; got 'no'"):
            tuner.run()
    assert len(study.trials()) == 6


def test_failures_that_differ_do_not_end_a_study(tmp_path):
    tuner, study = tuned(
        tmp_path / "s", lambda trial, _: Trained(error=f"no {trial.number % 2}"), trials=6
    )
    with pytest.raises(TrainingError, match="got 'no 1'"):
        tuner.run()
    assert len(study.trials()) == 6


def test_a_study_without_a_trial_has_no_best(tmp_path):
    tuner, _ = tuned(tmp_path / "s", trials=0)
    with pytest.raises(TrainingError, match=r"must have a trial that trains; got 'no trial'\."):
        tuner.run()


def test_where_every_trial_fails_alike_the_study_ends(tmp_path):
    tuner, study = tuned(tmp_path / "s", lambda trial, watch: Trained(error="no file"), trials=50)
    with pytest.raises(TrainingError, match="no file"):
        tuner.run()
    assert len(study.trials()) == 3


def test_what_every_trial_rejects_is_an_error_of_what_it_was_given(tmp_path):
    outcomes = [Trained(error="no file", is_rejected=True)] * 2 + [Trained(error="no file")]
    tuner, _ = tuned(tmp_path / "a", lambda trial, watch: outcomes[0], trials=3)
    with pytest.raises(ConfigError, match="must have a trial that trains; got 'no file'"):
        tuner.run()
    tuner, _ = tuned(tmp_path / "b", lambda trial, watch: outcomes[trial.number - 1], trials=3)
    with pytest.raises(TrainingError, match="no file"):
        tuner.run()


def test_trials_run_side_by_side(tmp_path):
    barrier = threading.Barrier(3, timeout=20)

    def meeting(trial, watch):
        if trial.number <= 3:
            barrier.wait()
        return train(trial, watch)

    tuner, study = tuned(tmp_path / "s", meeting, trials=9, parallel=3)
    tuner.run()
    assert sorted(trial.number for trial in study.trials()) == list(range(1, 10))


def test_the_rule_of_the_median():
    search = Search(SPACE, OBJECTIVE, early_stopping=True)
    values = {"dropout": 0.1, "optimizer": "adam"}
    others = [
        Trial(n, values, "completed", (value, value - 1)) for n, value in enumerate((3, 4, 5))
    ]
    # After two epochs the others had been 2.5, 3.5 and 4.5 on average: the median is 3.5.
    for value, goes_on in ((3.4, True), (3.5, True), (3.6, False)):
        trial = Trial(9, values, "running", (9.0, value))
        assert search.has_prospects(trial, others) is goes_on
    assert search.has_prospects(Trial(9, values, "running", (9.0, 9.0)), others[:2])
    assert search.has_prospects(Trial(9, values, "running", (9.0, 9.0, 9.0)), others)
    assert Search(SPACE, OBJECTIVE).has_prospects(Trial(9, values, "running", (9.0, 9.0)), others)


def test_scores_are_better_where_they_are_higher():
    search = Search(SPACE, Goal.parse("validation:accuracy"), early_stopping=True)
    others = [Trial(n, {}, "completed", (value,)) for n, value in enumerate((0.3, 0.4, 0.5))]
    assert search.has_prospects(Trial(9, {}, "running", (0.41,)), others)
    assert not search.has_prospects(Trial(9, {}, "running", (0.39,)), others)


def test_hyperband_stops_most_trials_early(tmp_path):
    search = Search(SPACE, OBJECTIVE, "hyperband", epochs=27)

    def long(trial, watch):
        done = []
        for epoch in range(27):
            done.append(loss(trial.values) + 1 / (epoch + 1))
            if not watch.epoch(done[-1]):
                break
        return Trained(value=min(done))

    tuner, study = tuned(tmp_path / "s", long, trials=40, search=search)
    tuner.run()
    lengths = [len(trial.course) for trial in study.trials()]
    assert set(lengths) <= {1, 3, 9, 27}
    assert sum(lengths) < 27 * 40 * 0.8
    assert len(study.best().course) == 27


def test_a_grid_is_tried_in_its_order_and_ends(tmp_path):
    search = Search(SPACE, OBJECTIVE, "grid", grid_points=3)
    tuner, study = tuned(tmp_path / "s", trials=100, search=search)
    tuner.run()
    assert [trial.values for trial in study.trials()] == [
        {"dropout": dropout, "optimizer": optimizer}
        for dropout in (0.0, 0.5, 1.0)
        for optimizer in ("adam", "sgd")
    ]


def test_the_best_model_is_kept_and_no_other(tmp_path):
    study = Study.create(tmp_path / "s", SETTINGS)

    def saving(trial, watch):
        model = study.folder(trial.number) / "model"
        model.mkdir()
        (model / "number").write_text(str(trial.number))
        return train(trial, watch)

    best = Tuner(study, Search(SPACE, OBJECTIVE), saving, trials=8).run()
    assert (study.path / "best" / "number").read_text() == str(best.number)
    assert not list(study.path.glob("trials/*/model"))


def test_what_is_no_study(tmp_path):
    with pytest.raises(ArtifactError, match="must hold a study"):
        Study.open(tmp_path / "nowhere")
    Study.create(tmp_path / "s", SETTINGS)
    with pytest.raises(ConfigError, match="must not exist yet"):
        Study.create(tmp_path / "s", SETTINGS)
    settings = json.loads((tmp_path / "s" / "study.json").read_text())
    (tmp_path / "s" / "study.json").write_text(json.dumps(settings | {"schema_version": 9}))
    with pytest.raises(ArtifactError, match="must have schema version 1"):
        Study.open(tmp_path / "s")


def test_importance_names_what_decides(tmp_path):
    idle = Space({**SPACE.ranges, "mlp_dropped": SPACE.ranges["dropout"]})
    search = Search(idle, OBJECTIVE, "random")
    tuner, study = tuned(tmp_path / "s", trials=40, search=search)
    tuner.run()
    weights = search.importance(study.trials())
    assert min(weights, key=weights.get) == "mlp_dropped"
    assert sum(weights.values()) == pytest.approx(1)


@pytest.mark.parametrize("text", ["accuracy", "validation:", "dev:accuracy", "validation:acuracy"])
def test_what_is_no_objective(text):
    with pytest.raises(ConfigError, match="objective"):
        Goal.parse(text)
