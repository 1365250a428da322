"""What is tried next, what a trial's course says, and what a study keeps on the disk."""

import json
from pathlib import Path

import numpy as np
import pytest

from object2vec.errors import ArtifactError, ConfigError
from object2vec.tuning import trials
from object2vec.tuning.objective import Goal
from object2vec.tuning.parents import knowledge
from object2vec.tuning.processes import _Course
from object2vec.tuning.search import Search, strategy_of
from object2vec.tuning.space import Choices, Numbers, Space
from object2vec.tuning.trials import Study, Trial

SPACE = Space.parse({"dropout": {"min": 0.0, "max": 0.5}, "optimizer": ["adam", "sgd"]})
LOSS = Goal.parse("validation:mean_squared_error")
SCORE = Goal.parse("validation:accuracy")
VALUES = {"dropout": 0.25, "optimizer": "adam"}


def test_a_goal_knows_which_value_is_better():
    assert (LOSS.channel, LOSS.metric, LOSS.direction) == (
        "validation",
        "mean_squared_error",
        "minimize",
    )
    assert LOSS.name == "validation:mean_squared_error"
    assert (LOSS.best([3.0, 1.0, 2.0]), SCORE.best([3.0, 1.0, 2.0])) == (1.0, 3.0)
    assert LOSS.is_better(1.0, 2.0)
    assert not LOSS.is_better(2.0, 2.0)
    assert SCORE.is_better(2.0, 1.0)
    assert not SCORE.is_better(1.0, 1.0)
    assert LOSS.of({"mean_squared_error": 3, "other": 1}) == 3.0
    assert LOSS.of({"other": 1}) is None
    assert LOSS.of(None) is None


def test_the_log_of_a_training_says_how_it_goes():
    course = _Course(LOSS)
    lines = [
        ({"event": "run"}, []),
        ({"event": "epoch", "validation": {"mean_squared_error": 3.0}}, [3.0]),
        ({"event": "epoch", "validation": {"mean_squared_error": 1.0}}, [1.0]),
        ({"event": "test", "metrics": {"mean_squared_error": 0.5}}, []),
        ({"event": "epoch", "validation": None}, []),
        ({"event": "epoch", "validation": {"mean_squared_error": 2.0}}, [2.0]),
        ([1], []),
    ]
    assert course.final is None
    for line, value in lines:
        assert course.read(json.dumps(line)) == value
    assert course.final == 1.0
    assert not course.is_over
    course.read(json.dumps({"event": "best"}))
    assert course.is_over
    assert course.error == ""
    for number in range(7):
        course.read(f"line {number}\n")
    assert course.error == "line 2 line 3 line 4 line 5 line 6"
    for line in ("Error: an older one\n", "Error: enc_dim:\n", "  must be\n"):
        course.read(line)
    assert course.error == "enc_dim: must be"


def test_a_training_that_goes_on_knows_the_epochs_before_its_checkpoint():
    course = _Course(LOSS)

    def read(event, **more):
        return course.read(json.dumps({"event": event, **more}))

    def epochs(*values):
        return [read("epoch", validation={"mean_squared_error": value}) for value in values]

    read("run")
    assert epochs(0.5, 3.0, 4.0) == [[0.5], [3.0], [4.0]]
    course.read("Error: of the first\n")
    read("run")
    assert course.final is None
    assert read("resumed", epoch=2, batches=7) == [0.5, 3.0]
    assert epochs(2.0) == [[2.0]]
    assert (course.final, course.error) == (0.5, "")
    read("finished")
    assert course.is_over
    read("epoch", validation=None)
    assert course.is_over
    read("run")  # without its checkpoint it starts afresh
    assert not course.is_over
    assert epochs(2.0) == [[2.0]]
    assert course.final == 2.0


def test_a_goal_of_the_test_is_the_test_s_alone():
    course = _Course(Goal.parse("test:accuracy"))
    assert course.read(json.dumps({"event": "epoch", "test": {"accuracy": 0.9}})) == []
    assert course.final is None
    assert course.read(json.dumps({"event": "test", "metrics": {"accuracy": 0.4}})) == []
    assert course.final == 0.4
    course.read(json.dumps({"event": "finished"}))
    assert course.is_over


def test_values_are_those_of_the_space_and_come_first_as_asked():
    search = Search(SPACE, LOSS, "random", seed=3)
    first = [{"dropout": 0.5, "optimizer": "sgd"}, VALUES]
    assert search.next_values([], first=first) == first[0]
    assert search.next_values([Trial(1, VALUES)], first=first) == first[1]
    drawn = [search.next_values([Trial(n, VALUES)] * n, first=first[:1]) for n in range(1, 30)]
    assert {each["optimizer"] for each in drawn} == {"adam", "sgd"}
    assert all(0 <= each["dropout"] <= 0.5 for each in drawn)
    assert len({each["dropout"] for each in drawn}) == 29


def test_a_grid_has_every_combination_once():
    search = Search(SPACE, LOSS, "grid", grid_points=2)
    points = [{"dropout": d, "optimizer": o} for d in (0.0, 0.5) for o in ("adam", "sgd")]
    assert search.grid() == points
    trials = [Trial(n + 1, point) for n, point in enumerate(points)]
    assert [search.next_values(trials[:n]) for n in range(5)] == [*points, None]
    assert Search(SPACE, LOSS, "grid").next_values(trials[:2], first=points) == {
        "dropout": pytest.approx(0.5 / 3),
        "optimizer": "adam",
    }  # of four points; nothing comes before a grid


def test_what_a_trial_tells_the_sampler():
    from optuna.trial import TrialState

    search = Search(SPACE, LOSS)
    whole = search._frozen(Trial(1, VALUES, "completed", (3.0, 2.0), 1.5))
    assert (whole.state, whole.value, whole.params) == (TrialState.COMPLETE, 1.5, VALUES)
    stopped = search._frozen(Trial(2, VALUES, "stopped", (2.0, 3.0)))
    assert (stopped.state, stopped.value) == (TrialState.COMPLETE, 2.0)
    running = search._frozen(Trial(3, VALUES, "running", (2.0,)))
    assert (running.state, running.value) == (TrialState.RUNNING, None)
    assert search._frozen(Trial(4, VALUES, "stopped")).state == TrialState.RUNNING
    assert search._frozen(Trial(5, VALUES, "failed", (1.0,))) is None
    assert search._frozen(Trial(6, VALUES | {"dropout": 0.7}, "completed", (), 1.0)) is None
    assert search._frozen(Trial(7, {"dropout": 0.1}, "completed", (), 1.0)) is None
    assert whole.distributions == {name: r.distribution() for name, r in SPACE.ranges.items()}


TWO = Space.parse({"dropout": {"min": 0.0, "max": 0.5}, "weight_decay": {"min": 0.0, "max": 0.5}})


def tried(count, loss, seed=1):
    """Trials of two numbers, drawn evenly, with what they lose."""
    drawn = np.random.default_rng(seed).uniform(0, 0.5, (count, 2)).tolist()
    values = [dict(zip(TWO.ranges, each, strict=True)) for each in drawn]
    return [Trial(n, v, "completed", (), loss(*v.values())) for n, v in enumerate(values, 1)]


@pytest.mark.parametrize("count", [0, 1, 9, 10])
def test_ten_trials_are_drawn_at_random_and_then_they_say_where_to_look(count):
    known = tried(count, lambda a, b: a + b)
    by_chance = Search(TWO, LOSS, "random", seed=3).next_values(known)
    assert (Search(TWO, LOSS, seed=3).next_values(known) == by_chance) == (count < 10)


def test_it_looks_at_all_hyperparameters_together():
    """Where both are alike it is good, whatever each of them is: one at a time says nothing."""
    known = tried(40, lambda a, b: (a - b) ** 2)
    found = [Search(TWO, LOSS, seed=seed).next_values(known) for seed in range(20)]
    apart = [abs(values["dropout"] - values["weight_decay"]) for values in found]
    assert np.mean(apart) < 0.08  # 0.17 by chance


def test_what_runs_now_is_not_tried_again():
    space = Space.parse({"dropout": {"min": 0.0, "max": 0.5}})
    known = [
        Trial(n, {"dropout": x}, "completed", (), abs(x - 0.2))
        for n, x in enumerate(np.linspace(0, 0.5, 12).tolist(), 1)
    ]
    near = [Trial(n, {"dropout": 0.04 + n / 100}, "running") for n in range(13, 20)]  # 0.17 to 0.23

    def distances(trials):
        drawn = [Search(space, LOSS, seed=seed).next_values(trials) for seed in range(10)]
        return [abs(values["dropout"] - 0.2) for values in drawn]

    assert max(distances(known)) < 0.05 < min(distances(known + near))


@pytest.mark.parametrize(("goal", "sign"), [(LOSS, 1), (SCORE, -1)])
def test_what_decides_is_found_among_twenty_trials_that_chance_disturbs(goal, sign):
    def lost(rng):
        return lambda a, b: sign * ((2 * a - 0.3) ** 2 + 0.03 * rng.standard_normal())

    for seed in range(10):
        trials = tried(20, lost(np.random.default_rng(seed)), seed)
        found = Search(TWO, goal).importance(trials)
        assert found["dropout"] > 0.6, seed
        assert sum(found.values()) == pytest.approx(1)


def test_few_trials_or_trials_alike_do_not_say_what_decides():
    search = Search(SPACE, LOSS)
    trials = [Trial(n, VALUES | {"dropout": n / 10}, "completed", (), float(n)) for n in (1, 2, 3)]
    assert search.importance(trials[:2]) == {}
    assert set(search.importance(trials)) == set(SPACE.ranges)


@pytest.mark.parametrize(
    "trials",
    [
        [Trial(n, VALUES | {"dropout": n / 20}, "completed", (), 1.0) for n in range(1, 9)],
        # but for one they are alike, and that one is better
        [
            Trial(n, VALUES | {"dropout": n / 20}, "completed", (), 1.0 - (n == 8))
            for n in range(1, 9)
        ],
        [Trial(n, VALUES, "running", (1.0 * n,)) for n in range(1, 9)],
        [Trial(n, VALUES, "completed" if n < 3 else "running", (), 1.0 * n) for n in range(1, 9)],
    ],
    ids=["all alike", "most alike", "all run", "two are over"],
)
def test_where_nothing_can_be_said_nothing_is(trials):
    """Optuna would warn, and call all hyperparameters equally important."""
    assert Search(SPACE, LOSS).importance(trials) == {}


def test_hyperband_s_rungs_are_powers_of_three_below_the_last_epoch():
    search = Search(SPACE, LOSS, "hyperband", epochs=27)
    assert [search._rungs(number) for number in range(1, 6)] == [
        [1, 3, 9],
        [3, 9],
        [9],
        [],
        [1, 3, 9],
    ]
    assert Search(SPACE, LOSS, "hyperband", epochs=2)._rungs(1) == [1]
    assert Search(SPACE, LOSS, "hyperband", epochs=3)._rungs(2) == []
    assert Search(SPACE, LOSS, "hyperband", epochs=1)._rungs(1) == []


@pytest.mark.parametrize(("goal", "sign"), [(LOSS, 1), (SCORE, -1)])
def test_of_a_rung_the_best_third_goes_on(goal, sign):
    """Trials 1, 5, 9, ... of 27 epochs are compared after epochs 1, 3 and 9."""
    search = Search(SPACE, goal, "hyperband", epochs=27)

    def survives(course, *others, number=1):
        rivals = [
            Trial(5 + 4 * i, {}, "running", tuple(sign * v for v in c))
            for i, c in enumerate(others)
        ]
        return search.has_prospects(
            Trial(number, {}, "running", tuple(sign * v for v in course)), rivals
        )

    assert survives((5.0,), (1.0,))  # two are too few to compare
    assert not survives((5.0,), (1.0,), (6.0,))
    assert survives((1.0,), (1.5,), (6.0,))
    assert not survives((2.0,), (1.0,), (3.0,), (4.0,), (5.0,))  # one of five goes on
    assert survives((2.0,), (1.0,), (3.0,), (4.0,), (5.0,), (6.0,))  # two of six
    assert survives((9.0, 9.0), (1.0, 1.0), (1.0, 1.0))  # no rung
    assert survives((9.0, 9.0, 2.0), (1.0, 1.0), (1.0, 1.0, 3.0), (1.0,))  # others are not here yet
    assert not survives((1.0, 1.0, 9.0), (9.0, 9.0, 1.0), (1.0, 1.0, 3.0))
    assert survives((9.0, 9.0, 9.0), (1.0,) * 3, (1.0,) * 3, number=2)  # of another bracket
    assert survives((9.0,) * 9, (1.0,) * 9, (1.0,) * 9, number=4)  # which has no rungs


def test_the_rule_of_the_median_looks_at_trials_that_are_over():
    search = Search(SPACE, LOSS, early_stopping=True)
    over = [Trial(n, {}, "completed", (float(n), 0.0)) for n in (1, 2, 30)]
    running = [Trial(n, {}, "running", (9.0, 9.0)) for n in (4, 5, 6)]
    assert not search.has_prospects(Trial(9, {}, "running", (2.5,)), [*over, *running])
    assert search.has_prospects(Trial(9, {}, "running", (2.0,)), [*over, *running])
    assert search.has_prospects(Trial(9, {}, "running", (99.0,)), running)
    begun = [Trial(n, {}, "stopped", (0.0,)) for n in (7, 8)]  # they had no second epoch
    assert not search.has_prospects(Trial(9, {}, "running", (0.0, 1.1)), [*over, *begun])
    assert search.has_prospects(Trial(9, {}, "running", (0.0, 1.0)), [*over, *begun])
    assert search.has_prospects(Trial(9, {}, "running", (99.0,)), [*over[:2], *running])
    assert Search(SPACE, LOSS).has_prospects(Trial(9, {}, "running", (99.0,)), over)


def test_strategies_have_four_names():
    assert [strategy_of(each) for each in ("Bayesian", "RANDOM", "grid", "hyperband")] == [
        "bayesian",
        "random",
        "grid",
        "hyperband",
    ]
    with pytest.raises(ConfigError, match="must be one of bayesian, random, grid, hyperband"):
        strategy_of("genetic")


SETTINGS = {"objective": LOSS.name, "space": SPACE.state()}


def test_a_trial_is_read_as_it_was_written(tmp_path):
    study = Study.create(tmp_path / "new" / "study", SETTINGS)
    trials = [
        Trial(10, VALUES, "completed", (2.0, 1.0), 1.0, 3.5),
        Trial(2, VALUES, "failed", error="why"),
    ]
    for trial in trials:
        study.save(trial)
    assert study.trials() == trials[::-1]
    assert study.folder(10) == tmp_path / "new" / "study" / "trials" / "0010"
    assert [trial.is_over for trial in study.trials()] == [True, True]
    assert Study.open(study.path).settings == study.settings == {"schema_version": 1} | SETTINGS
    assert study.objective == LOSS
    (study.folder(2) / "trial.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"trial\.json: must be a trial"):
        study.trials()


def test_a_study_begins_in_an_empty_folder_alone(tmp_path):
    (tmp_path / "empty").mkdir()
    Study.create(tmp_path / "empty", SETTINGS)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="must not exist yet"):
        Study.create(tmp_path / "file", SETTINGS)
    with pytest.raises(ConfigError, match="must not exist yet"):
        Study.create(tmp_path / "empty", SETTINGS)
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "study.json").write_text("[]")
    with pytest.raises(ArtifactError, match="must hold a study"):
        Study.open(tmp_path / "list")


@pytest.mark.parametrize(("metric", "number"), [(LOSS.name, 2), (SCORE.name, 4)])
def test_the_best_trial_is_one_with_a_model(tmp_path, metric, number):
    study = Study.create(tmp_path / "study", SETTINGS | {"objective": metric})
    assert study.best() is None
    for n, (state, value) in enumerate(
        [
            ("stopped", 0.0),
            ("completed", 1.0),
            ("completed", 1.0),
            ("completed", 2.0),
            ("completed", 2.0),
            ("stopped", 9.0),
            ("completed", None),
            ("failed", None),
        ],
        1,
    ):
        study.save(Trial(n, {}, state, value=value))
    assert study.best().number == number  # the first of those that are as good


def test_only_the_best_model_stays(tmp_path):
    study = Study.create(tmp_path / "study", SETTINGS)
    study.keep_best()
    assert not (study.path / "best").exists()

    def done(number, state, value):
        study.save(Trial(number, {}, state, value=value))
        model = study.folder(number) / "model"
        model.mkdir()
        (model / "number").write_text(str(number))

    def kept():
        best = (study.path / "best" / "number").read_text()
        assert json.loads((study.path / "best.json").read_text()) == {"trial": int(best)}
        return best, sorted(p.parent.name for p in study.path.glob("trials/*/model"))

    done(1, "completed", 3.0)
    done(2, "running", None)
    study.keep_best()
    assert kept() == ("1", ["0002"])  # a trial that runs writes its model
    done(3, "completed", 4.0)
    study.keep_best()
    assert kept() == ("1", ["0002"])
    study.save(Trial(2, {}, "completed", value=2.0))
    study.keep_best()
    assert kept() == ("2", [])
    assert not (study.path / ".best-before").exists()


@pytest.mark.parametrize("at", [1, 2, 3])
def test_whenever_it_is_killed_the_next_one_keeps_the_best_model(tmp_path, monkeypatch, at):
    study, calls = Study.create(tmp_path / "study", SETTINGS), []

    def done(number, value):
        study.save(Trial(number, {}, "completed", value=value))
        (study.folder(number) / "model").mkdir()

    def killed(original):
        def call(*arguments):
            calls.append(arguments)
            if len(calls) == at:
                raise KeyboardInterrupt
            return original(*arguments)

        return call

    done(1, 3.0)
    study.keep_best()
    done(2, 2.0)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed(Path.rename))
        patch.setattr(trials, "_write", killed(trials._write))
        with pytest.raises(KeyboardInterrupt):
            study.keep_best()
    assert {path.name for path in study.path.iterdir()} & {"best", ".best-before"}
    study.keep_best()
    assert json.loads((study.path / "best.json").read_text()) == {"trial": 2}
    assert (study.path / "best").is_dir()
    assert not (study.path / ".best-before").exists()
    assert not list(study.path.glob("trials/*/model"))


def test_a_trial_that_was_interrupted_waits_again(tmp_path):
    study = Study.create(tmp_path / "study", SETTINGS)
    again = study.reset(Trial(1, VALUES, "running", (1.0,), seconds=7.0))
    assert again == Trial(1, VALUES, "waiting", (), seconds=7.0)
    assert study.trials() == [again]


def parent(path, *trials):
    study = Study.create(path, SETTINGS)
    for trial in trials:
        study.save(trial)
    return study


def test_on_the_same_data_all_values_of_all_parents_are_known(tmp_path):
    one = parent(tmp_path / "a", Trial(1, VALUES, "completed", (), 1.0), Trial(2, VALUES, "failed"))
    two = parent(tmp_path / "b", Trial(1, VALUES, "stopped", (), 2.0))
    known, first = knowledge(Search(SPACE, LOSS), [one, two], "IDENTICAL_DATA_AND_ALGORITHM", [])
    assert ([trial.value for trial in known], first) == ([1.0, 2.0], [])
    assert knowledge(Search(SPACE, LOSS), [one], None, []) == ([], [])


@pytest.mark.parametrize(("goal", "best"), [(LOSS, [0.1, 0.2, 0.3]), (SCORE, [0.4, 0.3, 0.2])])
def test_on_other_data_the_best_different_values_that_fit_come_first(tmp_path, goal, best):
    dropouts = [(0.1, 1.0), (0.2, 2.0), (0.2, 2.0), (0.3, 3.0), (0.4, 4.0), (0.9, 0.5), (0.8, 9.0)]
    trials = [
        Trial(n, VALUES | {"dropout": dropout}, "completed", (), value)
        for n, (dropout, value) in enumerate(dropouts, 1)
    ]
    _, first = knowledge(
        Search(SPACE, goal), [parent(tmp_path / "p", *trials)], "TRANSFER_LEARNING", []
    )
    assert [each["dropout"] for each in first] == best


def test_values_of_other_data_are_scaled_once_three_of_ones_own_are_known(tmp_path):
    old = parent(
        tmp_path / "p",
        Trial(1, VALUES, "completed", (), 1.0),
        Trial(2, VALUES, "completed", (), 3.0),
    )
    alone = parent(tmp_path / "q", Trial(1, VALUES, "completed", (), 1.0))
    own = [Trial(n, VALUES, "completed", (), v) for n, v in enumerate((10.0, 20.0, 30.0), 1)]
    running = Trial(4, VALUES, "running", (1.0,))

    def scaled(*trials, parents=(old,)):
        known, _ = knowledge(Search(SPACE, LOSS), parents, "TRANSFER_LEARNING", trials)
        return [trial.value for trial in known]

    spread = (200 / 3) ** 0.5
    assert scaled(*own, running) == pytest.approx([20 - spread, 20 + spread])
    assert scaled(*own[:2], running) == []
    assert scaled(*own, parents=(alone,)) == []  # one value has no scale


def test_ranges_have_a_distribution_of_their_kind():
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    assert Numbers(0.5, 2.0).distribution() == FloatDistribution(0.5, 2.0)
    assert Numbers(0.01, 2.0).distribution() == FloatDistribution(0.01, 2.0, log=True)
    assert Numbers(1, 5, is_integer=True).distribution() == IntDistribution(1, 5)
    assert Numbers(1, 500, is_integer=True).distribution() == IntDistribution(1, 500, log=True)
    reverse = Numbers(0.5, 0.75, "ReverseLogarithmic")
    assert reverse.distribution() == FloatDistribution(0.25, 0.5, log=True)
    assert (reverse.value(0.25), reverse.value(0.5), reverse.drawn(0.5)) == (0.75, 0.5, 0.5)
    assert reverse.value(0.1) == 0.75  # never beyond an end
    assert reverse.value(0.6) == 0.5
    assert isinstance(Numbers(1, 5, is_integer=True).value(3.0), int)
    assert Choices(("a", "b")).distribution() == CategoricalDistribution(("a", "b"))
    assert (Choices(("1", "b")).drawn(1), Choices(("1", "b")).drawn("c")) == ("1", None)
    assert Choices(("b", "a")).grid(1) == ["b", "a"]


def test_a_grid_of_few_integers_has_all_of_them():
    assert Numbers(2, 5, is_integer=True).grid(4) == [2, 3, 4, 5]
    assert Numbers(2, 6, is_integer=True).grid(4) == [2, 3, 5, 6]
    few = Numbers(1, 5, "Logarithmic", is_integer=True)
    assert (few.grid(4), few.grid(5)) == ([1, 2, 3, 5], [1, 2, 3, 4, 5])
    assert Numbers(1, 6, is_integer=True).grid(2) == [1, 6]
    assert Numbers(0.0, 1.0).grid(1) == [0.0]
    assert Numbers(1, 1000, "Logarithmic", is_integer=True).grid(4) == [1, 10, 100, 1000]


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        (Numbers(float("nan"), 1.0), "must have finite numbers, min not above max"),
        (Numbers(0.0, float("inf")), "must have finite numbers, min not above max"),
        (Numbers(0.0, 1.5, is_integer=True), "must have integers as min and max"),
        (Numbers(0.0, 0.5, "ReverseLogarithmic"), ""),
        (
            Numbers(-0.1, 0.5, "ReverseLogarithmic"),
            "must lie in [0, 1) on a reverse logarithmic scale",
        ),
        (
            Numbers(0.0, 1.0, "ReverseLogarithmic"),
            "must lie in [0, 1) on a reverse logarithmic scale",
        ),
        (
            Numbers(0.0, 0.0, "ReverseLogarithmic", is_integer=True),
            "must not be of integers on a reverse logarithmic scale",
        ),
        (Numbers(2.0, 2.0), ""),
    ],
)
def test_what_is_wrong_with_a_range(numbers, problem):
    assert numbers.problem() == problem


def test_a_space_is_read_from_a_file(tmp_path):
    path = tmp_path / "space.json"
    path.write_text(json.dumps({"dropout": {"min": 0, "max": 0.5, "type": "integer"}}))
    with pytest.raises(ConfigError, match="must have integers"):
        Space.read(str(path))
    path.write_text(json.dumps({"dropout": {"min": 0, "max": 1, "type": "integer"}}))
    assert Space.read(str(path)).ranges == {"dropout": Numbers(0.0, 1.0, is_integer=True)}
    path.write_text("{")
    with pytest.raises(ConfigError, match=r"space\.json: must be a JSON object of ranges"):
        Space.read(str(path))
    with pytest.raises(ConfigError, match="must have a list of values"):
        Space.parse({"optimizer": {"values": "adam"}})


@pytest.mark.parametrize(
    ("given", "has", "lacks"),
    [
        (
            {"enc1_network": "bilstm"},
            {"enc1_layers", "enc0_layers", "enc0_cnn_filter_width"},
            {"enc1_cnn_filter_width"},
        ),
        ({}, {"enc0_layers", "enc_dim", "enc0_cnn_filter_width"}, {"enc1_layers"}),
        (
            {"enc0_network": "pooled_embedding"},
            {"enc_dim"},
            {"enc0_token_embedding_dim", "enc0_layers", "enc0_cnn_filter_width", "enc1_layers"},
        ),
        (
            {"enc0_network": "bilstm", "dropout": 0.1},
            {"enc0_layers"},
            {"dropout", "enc0_cnn_filter_width"},
        ),
    ],
)
def test_recommended_are_ranges_that_have_an_effect(given, has, lacks):
    names = set(Space.default(given).ranges)
    assert has <= names
    assert not lacks & names
