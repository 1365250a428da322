"""Tuning jobs without training: trials, how a job ends, what the next service goes on with."""

from __future__ import annotations

import time
import types

import pytest

from object2vec.sagemaker.local import tuning_jobs, tuning_requests
from object2vec.sagemaker.local.protocol import ServiceError
from object2vec.sagemaker.local.resources import Resources
from object2vec.sagemaker.local.training import INTERRUPTED
from object2vec.sagemaker.local.tuning_jobs import TuningJobs
from object2vec.tuning import tuner
from object2vec.tuning.search import Search
from object2vec.tuning.trials import Study

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
KIND = "HyperParameterTuningJob"
METRIC = "validation:accuracy"


class Training:
    """Training jobs that end at once, with a value that follows from their hyperparameters."""

    def __init__(self, folder):
        self.jobs = Resources(folder, "TrainingJob", ARN)
        self.values, self.stopped, self.created = {}, [], []
        self.queue = types.SimpleNamespace(stop=self.stop)
        self.outcome = lambda name, dim, take: ("Completed", [dim / 10])

    def stop(self, folder):
        self.stopped.append(folder.name)
        if self.jobs.get(folder.name)["TrainingJobStatus"] == "InProgress":
            self.jobs.change(folder.name, TrainingJobStatus="Stopped")

    def create(self, request, take):
        name = request["TrainingJobName"]
        self.created.append(request)
        self.jobs.create({**request, "TrainingJobStatus": "InProgress"})
        status, values, *reason = self.outcome(
            name, int(request["HyperParameters"]["enc_dim"]), take
        )
        self.values[name] = values
        if status:
            more = {"FailureReason": reason[0]} if reason else {}
            self.jobs.change(name, TrainingJobStatus=status, **more)

    def course(self, job, metric):
        assert metric == METRIC
        return self.values[job["TrainingJobName"]]


@pytest.fixture
def service(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda file: None)
    for module in (tuning_jobs, tuner):
        monkeypatch.setattr(module, "_POLL_S", 0.005)
    monkeypatch.setattr(Search, "importance", lambda self, trials: {})  # takes seconds to import
    training = Training(tmp_path / "training")
    jobs = Resources(tmp_path / "tuning", KIND, ARN)
    made = TuningJobs(jobs, training)
    asked = made.operations()
    yield types.SimpleNamespace(
        made=made,
        jobs=jobs,
        training=training,
        call=lambda name, **request: asked[name](request),
    )
    made.close()


def request(name="t", jobs=3, kind="Maximize", **members):
    ranges = [{"Name": "enc_dim", "MinValue": "4", "MaxValue": "9"}]
    return {
        f"{KIND}Name": name,
        f"{KIND}Config": {
            "Strategy": "Grid",
            f"{KIND}Objective": {"Type": kind, "MetricName": METRIC},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": {"IntegerParameterRanges": ranges},
        },
        "TrainingJobDefinition": {
            "AlgorithmSpecification": {"TrainingImage": "1.x/object2vec:1"},
            "StaticHyperParameters": {"epochs": "2"},
        },
        **members,
    }


def ended(service, name="t"):
    end = time.monotonic() + 20
    while (said := service.call(f"Describe{KIND}", **{f"{KIND}Name": name}))[f"{KIND}Status"] in (
        "InProgress",
        "Stopping",
    ) or service.made._threads:
        assert time.monotonic() < end
        time.sleep(0.005)
    return said


def value_of(summary):
    return summary["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]


@pytest.mark.parametrize(("kind", "best"), [("Maximize", max), ("Minimize", min)])
def test_a_job_ends_with_its_best_trial(service, kind, best):
    assert service.call(f"Create{KIND}", **request(kind=kind)) == {
        f"{KIND}Arn": f"{ARN}:hyper-parameter-tuning-job/t"
    }
    said = ended(service)
    assert said[f"{KIND}Status"] == "Completed"
    assert said["HyperParameterTuningEndTime"] >= said["CreationTime"]
    assert "FailureReason" not in said
    dims = [int(each["HyperParameters"]["enc_dim"]) for each in service.training.created]
    assert len(set(dims)) == 3
    assert value_of(said["BestTrainingJob"]) == best(dims) / 10
    assert "OverallBestTrainingJob" not in said
    assert said["TrainingJobStatusCounters"]["Completed"] == 3
    assert {each["TuningJobArn"] for each in service.training.created} == {said[f"{KIND}Arn"]}
    (listed,) = service.call(f"List{KIND}s")[f"{KIND}Summaries"]
    assert listed["Strategy"] == "Grid"
    assert listed["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 3
    assert listed["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 0, "Failed": 0}
    found = service.call(f"ListTrainingJobsFor{KIND}", **{f"{KIND}Name": "t"})
    assert [value_of(each) for each in found["TrainingJobSummaries"]] == [d / 10 for d in dims]
    assert (service.jobs.folder("t") / "study" / "report.html").is_file()


def test_without_limits_ten_training_jobs_run_one_by_one(service, monkeypatch):
    limits = []

    def made(*given, **options):
        limits.append((options["trials"], options["parallel"]))
        return tuner.Tuner(*given, **options)

    monkeypatch.setattr(tuning_jobs, "Tuner", made)
    asked = request()
    del asked[f"{KIND}Config"]["ResourceLimits"]
    asked[f"{KIND}Config"]["Strategy"] = "Random"
    service.call(f"Create{KIND}", **asked)
    ended(service)
    assert len(service.training.created) == 10
    assert limits == [(10, 1)]


def test_a_trial_that_fails_has_no_value_and_the_job_goes_on(service):
    def outcome(name, dim, take):
        if len(service.training.created) == 1:
            return "Failed", [0.9], "ClientError: because"
        return ("Completed", []) if len(service.training.created) == 2 else ("Completed", [0.1])

    service.training.outcome = outcome
    service.call(f"Create{KIND}", **request())
    said = ended(service)
    assert said[f"{KIND}Status"] == "Completed"
    assert said["ObjectiveStatusCounters"] == {"Succeeded": 1, "Pending": 0, "Failed": 2}
    errors = [trial.error for trial in Study.open(service.jobs.folder("t") / "study").trials()]
    assert errors == ["ClientError: because", "no value of the objective", ""]


def test_a_job_without_any_trial_that_trains_has_failed(service):
    service.training.outcome = lambda name, dim, take: ("Failed", [], "x" * 3000)
    service.call(f"Create{KIND}", **request(jobs=9))
    said = ended(service)
    assert said[f"{KIND}Status"] == "Failed"
    assert "must have a trial that trains; got 'xxx" in said["FailureReason"]
    assert len(service.training.created) == 3  # they fail alike
    assert "BestTrainingJob" not in said
    service.jobs.end("t", "Failed", "x" * 3000)
    assert len(service.jobs.get("t")["FailureReason"]) == 1024


def test_what_goes_wrong_in_a_job_is_its_end_and_said(service, monkeypatch, capsys):
    """A client that waits for a job shall not wait for ever."""

    def broken(study, search):
        raise RuntimeError("our bug")

    monkeypatch.setattr(tuning_jobs.report, "write_page", broken)
    service.call(f"Create{KIND}", **request())
    said = ended(service)
    assert (said[f"{KIND}Status"], said["FailureReason"]) == ("Failed", "our bug")
    assert "RuntimeError: our bug" in capsys.readouterr().err
    assert not service.made._tuners


def test_the_value_of_a_trial_is_that_of_its_best_epoch(service):
    service.training.outcome = lambda name, dim, take: ("Completed", [0.2, 0.7, 0.5])
    service.call(f"Create{KIND}", **request(jobs=1))
    assert value_of(ended(service)["BestTrainingJob"]) == 0.7


def test_epochs_are_noted_and_a_trial_without_prospects_is_stopped(service):
    def outcome(name, dim, take):
        take("validation:cross_entropy", 0.0)
        number = len(service.training.created)
        value = 0.9 + number / 100 if number < 5 else 0.1
        for _ in range(3):
            take(METRIC, value)
        return ("Completed" if value > 0.5 else ""), [value] * 3

    service.training.outcome = outcome
    asked = request(jobs=5)
    asked[f"{KIND}Config"] |= {"TrainingJobEarlyStoppingType": "Auto", "Strategy": "Random"}
    service.call(f"Create{KIND}", **asked)
    said = ended(service)
    courses = [trial.course for trial in Study.open(service.jobs.folder("t") / "study").trials()]
    assert courses[0] == (0.91,) * 3
    assert courses[4][0] == 0.1
    last = service.training.created[4]["TrainingJobName"]
    assert set(service.training.stopped) == {last}
    assert said["TrainingJobStatusCounters"]["Stopped"] == 1


def running(service, name="t"):
    end = time.monotonic() + 20
    while not service.training.created or name not in service.made._tuners:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_job_that_is_stopped_stops_its_training_job(service):
    service.training.outcome = lambda name, dim, take: ("", [0.5])
    service.call(f"Create{KIND}", **request())
    running(service)
    service.call(f"Stop{KIND}", **{f"{KIND}Name": "t"})
    said = ended(service)
    assert said[f"{KIND}Status"] == "Stopped"
    assert len(service.training.created) == 1
    assert service.training.stopped
    with pytest.raises(ServiceError, match="the hyper parameter tuning job t has ended"):
        service.call(f"Stop{KIND}", **{f"{KIND}Name": "t"})


def test_the_next_service_goes_on(service):
    service.training.outcome = lambda name, dim, take: ("", [0.5])
    service.call(f"Create{KIND}", **request())
    running(service)
    service.made.close()
    assert service.jobs.get("t")[f"{KIND}Status"] == "InProgress"
    first = service.training.created[0]["TrainingJobName"]
    assert not service.training.jobs.exists(first)  # the trial is tried again
    service.jobs.create(request("stops") | {f"{KIND}Status": "Stopping"})
    service.jobs.create(request("done") | {f"{KIND}Status": "Completed"})
    service.training.outcome = lambda name, dim, take: ("Completed", [dim / 10])
    again = TuningJobs(service.jobs, service.training)
    again.recover()
    for thread in list(again._threads):
        thread.join()
    assert service.jobs.get("t")[f"{KIND}Status"] == "Completed"
    assert service.jobs.get("stops")[f"{KIND}Status"] == "Stopped"
    assert service.jobs.get("done")[f"{KIND}Status"] == "Completed"
    names = [each["TrainingJobName"] for each in service.training.created]
    assert names[1] == first
    assert len(names) == 4
    assert not again._threads
    assert not again._tuners


@pytest.mark.parametrize(("reason", "is_again"), [(INTERRUPTED, True), ("other", False)])
def test_a_training_job_that_a_service_left_is_tried_again(service, reason, is_again):
    asked = request(jobs=1)
    document = service.jobs.create(
        asked | {f"{KIND}Status": "InProgress"},
        lambda: service.made._make_study("t", asked, tuning_requests.search_of(asked)),
    )
    study = Study.open(service.jobs.folder("t") / "study")
    trial = tuning_jobs.Trial(1, {"enc_dim": 5}, "running")
    study.save(trial)
    left = tuning_requests.training_request(document, trial)
    service.training.jobs.create(left | {"TrainingJobStatus": "Failed", "FailureReason": reason})
    service.training.values[left["TrainingJobName"]] = [0.3]
    service.made.recover()
    ended(service)
    assert len(service.training.created) == is_again


def test_children_know_their_parents(service):
    service.call(f"Create{KIND}", **request("parent"))
    parent = ended(service, "parent")
    warm = {f"Parent{KIND}s": [{f"{KIND}Name": "parent"}]}
    service.training.outcome = lambda name, dim, take: ("Completed", [0.05])
    for name, kind, overall in (
        ("same", "IdenticalDataAndAlgorithm", value_of(parent["BestTrainingJob"])),
        ("other", "TransferLearning", None),
    ):
        config = {"WarmStartConfig": warm | {"WarmStartType": kind}}
        service.call(f"Create{KIND}", **request(name, jobs=1, **config))
        said = ended(service, name)
        assert value_of(said["BestTrainingJob"]) == 0.05
        found = said.get("OverallBestTrainingJob")
        assert (found and value_of(found)) == overall
    assert (
        service.call(f"Describe{KIND}", **{f"{KIND}Name": "same"})["OverallBestTrainingJob"][
            "TuningJobName"
        ]
        == "parent"
    )


def test_what_speaks_against_a_job_is_said_before_it_is_there(service):
    wrong = request()
    del wrong["TrainingJobDefinition"]
    with pytest.raises(ServiceError, match="must have one TrainingJobDefinition"):
        service.call(f"Create{KIND}", **wrong)
    wrong = request()
    wrong[f"{KIND}Config"]["ParameterRanges"]["IntegerParameterRanges"][0]["Name"] = "enc_dimm"
    with pytest.raises(ServiceError, match="must name hyperparameters"):
        service.call(f"Create{KIND}", **wrong)
    wrong = request()
    wrong[f"{KIND}Config"][f"{KIND}Objective"]["MetricName"] = "loss"
    with pytest.raises(ServiceError) as caught:
        service.call(f"Create{KIND}", **wrong)
    assert caught.value.code == "ValidationException"
    assert not service.jobs.exists("t")
    assert not service.training.created
