"""Warm start: AWS's constraints, and that knowing helps."""

import statistics

import pytest

from object2vec.errors import ConfigError
from object2vec.tuning.objective import Goal
from object2vec.tuning.parents import Setting, check, knowledge
from object2vec.tuning.search import Search
from object2vec.tuning.space import Space
from object2vec.tuning.trials import Study, Trial
from object2vec.tuning.tuner import Trained, Tuner

DOCUMENT = {"dropout": {"min": 0.0, "max": 1.0}, "weight_decay": {"min": 0.0, "max": 1.0}}
SPACE = Space.parse(DOCUMENT)
OBJECTIVE = Goal.parse("validation:mean_squared_error")
IDENTICAL, TRANSFER = "IDENTICAL_DATA_AND_ALGORITHM", "TRANSFER_LEARNING"


def settings(space=SPACE, fixed=None, data="d", objective=OBJECTIVE.name):
    return {
        "objective": objective,
        "space": space.state(),
        "fixed": fixed or {},
        "data": data,
        "strategy": "bayesian",
        "seed": 0,
    }


def facts(**changes):
    return Setting.of(settings(**changes))


def bowl(shift=0.0):
    def train(trial, watch):
        value = (trial.values["dropout"] - 0.7) ** 2 + (trial.values["weight_decay"] - 0.2) ** 2
        watch.epoch(value + shift)
        return Trained(value=value + shift)

    return train


@pytest.fixture
def parent(tmp_path):
    """A finished study of 25 trials."""
    study = Study.create(tmp_path / "parent", settings())
    Tuner(study, Search(SPACE, OBJECTIVE), bowl(), trials=25).run()
    return study


def test_same_facts_are_fine_for_both(parent):
    check(facts(), [parent], IDENTICAL)
    check(facts(data="other"), [parent], TRANSFER)
    narrower = Space.parse({**DOCUMENT, "dropout": {"min": 0.5, "max": 0.9}})
    check(facts(space=narrower), [parent], IDENTICAL)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "other"}, "must have the same data"),
        ({"objective": "validation:accuracy"}, "must have the objective validation:accuracy"),
        ({"fixed": {"epochs": "3"}}, "must set and tune the same hyperparameters"),
        (
            {"space": Space.parse({**DOCUMENT, "dropout": ["0.1", "0.2"]})},
            "must have ranges of the same types",
        ),
    ],
)
def test_what_does_not_fit(parent, changes, message):
    with pytest.raises(ConfigError, match=message):
        check(facts(**changes), [parent], IDENTICAL)


def test_a_parent_must_be_finished_and_there_are_five_at_the_most(parent):
    with pytest.raises(ConfigError, match="must be 1 to 5"):
        check(facts(), [parent] * 6, TRANSFER)
    parent.save(Trial(26, {}, "waiting"))
    with pytest.raises(ConfigError, match="must be finished"):
        check(facts(), [parent], IDENTICAL)


def test_at_most_ten_settings_may_change(tmp_path):
    fixed = {f"enc{side}_{name}": "1" for side in (0, 1) for name in "abcdef"}
    old = Study.create(tmp_path / "old", settings(fixed=fixed))
    check(facts(fixed=fixed | dict.fromkeys(list(fixed)[:10], "2")), [old], TRANSFER)
    with pytest.raises(ConfigError, match="must differ in 10 settings at the most"):
        check(facts(fixed=fixed | dict.fromkeys(list(fixed)[:11], "2")), [old], TRANSFER)


def test_one_to_five_parents_are_taken(tmp_path):
    old = Study.create(tmp_path / "old", settings())
    for count in (1, 5):
        check(facts(), [old] * count, IDENTICAL)
    for count in (0, 6):
        with pytest.raises(ConfigError, match=rf"parents: must be 1 to 5; got {count}\."):
            check(facts(), [old] * count, IDENTICAL)


def test_to_tune_what_was_set_is_a_change_too(tmp_path):
    names = ["dropout", "weight_decay", *(f"enc{side}_{x}" for side in (0, 1) for x in "abcde")]
    fixed = dict.fromkeys(names[2:], "1")
    old = Study.create(tmp_path / "old", settings(fixed=fixed))
    tuned = {**DOCUMENT, "learning_rate": {"min": 0.1, "max": 1.0}}
    with pytest.raises(ConfigError, match=r"same hyperparameters; got \['learning_rate'\]"):
        check(facts(space=Space.parse(tuned), fixed=fixed), [old], TRANSFER)
    fewer = Space({"dropout": SPACE.ranges["dropout"]})
    moved = fixed | {"weight_decay": "0.5"}
    check(facts(space=fewer, fixed=moved), [old], TRANSFER)  # one of ten
    changed = moved | dict.fromkeys(names[2:11], "2")
    check(facts(space=fewer, fixed=changed), [old], TRANSFER)  # ten
    with pytest.raises(ConfigError, match="must differ in 10 settings at the most"):
        check(facts(space=fewer, fixed=changed | {names[11]: "2"}), [old], TRANSFER)


def test_all_that_does_not_fit_of_all_parents_is_said(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    studies = [Study.create(path, settings(data=path.name)) for path in paths]
    with pytest.raises(ConfigError) as caught:
        check(facts(data="c", objective="test:accuracy"), studies, IDENTICAL)
    lines = str(caught.value).splitlines()
    assert lines[0] == "4 problems:"
    assert [line.split(": ")[0].strip() for line in lines[1:]] == [
        f"parent {path}" for path in paths for _ in range(2)
    ]


def test_values_that_are_all_equal_have_no_spread(tmp_path):
    old = Study.create(tmp_path / "old", settings())
    for number in (1, 2):
        old.save(Trial(number, {"dropout": 0.5, "weight_decay": 0.5}, "completed", (), 7.0))
    own = [Trial(n, {}, "completed", (), float(n)) for n in (1, 2, 3)]
    known, _ = knowledge(Search(SPACE, OBJECTIVE), [old], TRANSFER, own)
    assert [trial.value for trial in known] == [2.0, 2.0]


@pytest.mark.parametrize(("kind", "shift"), [(IDENTICAL, 0.0), (TRANSFER, 50.0)])
def test_knowing_helps(tmp_path, parent, kind, shift):
    def needed(name, seed, parents):
        """Trials until one is as good as 0.02 above the best that there is."""
        study = Study.create(tmp_path / name, settings())
        warm = {"parents": parents, "warm_start": kind} if parents else {}
        search = Search(SPACE, OBJECTIVE, seed=seed)
        Tuner(study, search, bowl(shift), trials=16, **warm).run()
        good = [trial.number for trial in study.trials() if trial.value < shift + 0.02]
        return good[0] if good else 17

    cold = [needed(f"cold{seed}", seed, []) for seed in range(4)]
    warm = [needed(f"warm{seed}", seed, [parent]) for seed in range(4)]
    assert statistics.mean(warm) < 0.7 * statistics.mean(cold)


def test_on_other_data_the_best_of_the_parents_come_first(parent):
    search = Search(SPACE, OBJECTIVE)
    known, first = knowledge(search, [parent], TRANSFER, [])
    best = sorted(parent.trials(), key=lambda trial: trial.value)[:3]
    assert known == []
    assert first == [trial.values for trial in best]
    own = [Trial(n, {}, "completed", (), value) for n, value in enumerate((100.0, 102.0, 104.0))]
    known, _ = knowledge(search, [parent], TRANSFER, own)
    values = [trial.value for trial in known]
    assert statistics.fmean(values) == pytest.approx(102)
    assert statistics.pstdev(values) == pytest.approx(statistics.pstdev([100.0, 102.0, 104.0]))
