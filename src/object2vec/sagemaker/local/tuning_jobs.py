"""Hyperparameter tuning jobs: studies of `object2vec.tuning` whose trials are training jobs.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateHyperParameterTuningJob.html
"""

from __future__ import annotations

import hashlib
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from object2vec.errors import ConfigError, Object2VecError
from object2vec.sagemaker.local.protocol import ServiceError
from object2vec.sagemaker.local.resources import ENDED, Document, Resources
from object2vec.sagemaker.local.training import INTERRUPTED, Training
from object2vec.tuning import report
from object2vec.tuning.objective import OBJECTIVE_CHANNELS, Direction, Goal
from object2vec.tuning.parents import Setting, WarmStart, check
from object2vec.tuning.search import Search, Strategy
from object2vec.tuning.space import Space
from object2vec.tuning.trials import Study, Trial
from object2vec.tuning.tuner import Trained, Tuner, Watch

_KIND = "HyperParameterTuningJob"
_POLL_S = 0.1
_DEFAULT_PARALLEL, _DEFAULT_JOBS = 1, 10
_STRATEGIES: dict[str, Strategy] = {
    "Bayesian": "bayesian",
    "Random": "random",
    "Grid": "grid",
    "Hyperband": "hyperband",
}
_WARM_STARTS: dict[str, WarmStart] = {
    "IdenticalDataAndAlgorithm": "IDENTICAL_DATA_AND_ALGORITHM",
    "TransferLearning": "TRANSFER_LEARNING",
}
_TRIAL_MEMBERS = (
    "TrainingJobName",
    "TrainingJobArn",
    "CreationTime",
    "TrainingStartTime",
    "TrainingEndTime",
    "TrainingJobStatus",
    "FailureReason",
)
_SUMMARY = (
    "HyperParameterTuningJobName",
    "HyperParameterTuningJobArn",
    "HyperParameterTuningJobStatus",
    "CreationTime",
    "HyperParameterTuningEndTime",
    "LastModifiedTime",
    "TrainingJobStatusCounters",
    "ObjectiveStatusCounters",
)


class TuningJobs:
    """Creates, runs and describes tuning jobs.

    Parameters
    ----------
    jobs : Resources
    training : Training
        Runs the trials.
    """

    def __init__(self, jobs: Resources, training: Training) -> None:
        self._jobs, self._training = jobs, training
        self._tuners: dict[str, Tuner] = {}
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._is_closing = False  # the service ends; tuning jobs go on with the next one

    @property
    def kinds(self) -> list[Resources]:
        """What it knows by name."""
        return [self._jobs]

    def operations(self) -> dict[str, Any]:
        """Return the operations that are offered, by AWS's name."""
        return {
            f"Create{_KIND}": self._create,
            f"Describe{_KIND}": self._describe,
            f"Stop{_KIND}": self._stop,
            f"List{_KIND}s": lambda request: self._jobs.page(
                request, f"{_KIND}Summaries", self._summary
            ),
            f"ListTrainingJobsFor{_KIND}": self._list_jobs,
        }

    def recover(self) -> None:
        """Go on with the tuning jobs that an earlier service left."""
        for document in self._jobs.all():
            name = document[f"{_KIND}Name"]
            if document[f"{_KIND}Status"] == "Stopping":
                self._end(name, "Stopped")
            elif document[f"{_KIND}Status"] not in ENDED:
                self._start(name)

    def close(self) -> None:
        """Let all tuning jobs end; they go on with the next service."""
        self._is_closing = True
        with self._lock:
            tuners, threads = list(self._tuners.values()), list(self._threads)
        for tuner in tuners:
            tuner.stop()
        for thread in threads:
            thread.join()

    def _create(self, request: Document) -> Document:
        name = request[f"{_KIND}Name"]
        if "TrainingJobDefinition" not in request:
            text = "A tuning job must have one TrainingJobDefinition here."
            raise ServiceError.validation(text)
        try:
            search = _search(request)
            self._check_parents(request, search)
        except ConfigError as err:
            raise ServiceError.validation(str(err)) from err
        full = {f"{_KIND}Status": "InProgress", **request}
        document = self._jobs.create(full, lambda: self._make_study(name, request, search))
        self._start(name)
        return {f"{_KIND}Arn": document[f"{_KIND}Arn"]}

    def _stop(self, request: Document) -> None:
        name = request[f"{_KIND}Name"]

        def edit(document: Document) -> None:
            if document[f"{_KIND}Status"] != "InProgress":
                raise ServiceError.validation(f"The tuning job {name} has ended.")
            document[f"{_KIND}Status"] = "Stopping"

        self._jobs.update(name, edit)
        with self._lock:
            tuner = self._tuners.get(name)
        if tuner is not None:
            tuner.stop()

    def _make_study(self, name: str, request: Document, search: Search) -> None:
        Study.create(self._study_path(name), _settings(request, search))

    def _study_path(self, name: str) -> Path:
        return self._jobs.folder(name) / "study"

    def _parents(self, request: Mapping[str, Any]) -> tuple[list[Study], WarmStart | None]:
        """Return the studies that a request names as parents, and in which way."""
        warm = request.get("WarmStartConfig")
        if warm is None:
            return [], None
        names = [each[f"{_KIND}Name"] for each in warm[f"Parent{_KIND}s"]]
        for name in names:
            if self._jobs.get(name)[f"{_KIND}Status"] not in ENDED:
                raise ServiceError.validation(f"The parent tuning job {name} has not ended.")
        studies = [Study.open(self._study_path(name)) for name in names]
        return studies, _WARM_STARTS[warm["WarmStartType"]]

    def _check_parents(self, request: Document, search: Search) -> None:
        parents, kind = self._parents(request)
        if kind is not None:
            said = _settings(request, search)
            facts = Setting(said["objective"], said["space"], said["fixed"], said["data"])
            check(facts, parents, kind)

    def _start(self, name: str) -> None:
        thread = threading.Thread(target=self._work, args=(name,), daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _work(self, name: str) -> None:
        """Run one tuning job and note how it ended."""
        document = self._jobs.get(name)
        try:
            study = Study.open(self._study_path(name))
            search = _search(document)
            limits = document[f"{_KIND}Config"].get("ResourceLimits", {})
            parents, kind = self._parents(document)
            tuner = Tuner(
                study,
                search,
                lambda trial, watch: self._train(document, trial, watch),
                trials=limits.get("MaxNumberOfTrainingJobs", _DEFAULT_JOBS),
                parallel=limits.get("MaxParallelTrainingJobs", _DEFAULT_PARALLEL),
                parents=parents,
                warm_start=kind,
                report=lambda trial: report.write_page(study, search),
            )
            with self._lock:
                self._tuners[name] = tuner
            tuner.run()
        except Exception as err:  # whatever it is, a job has an end
            if not isinstance(err, Object2VecError):
                traceback.print_exc()
            self._end(name, "Failed", str(err))
            return
        finally:
            with self._lock:
                self._tuners.pop(name, None)
                self._threads.remove(threading.current_thread())
        if self._jobs.get(name)[f"{_KIND}Status"] == "Stopping":
            self._end(name, "Stopped")
        elif not tuner.is_stopping:  # else the service ends, and the next one goes on
            self._end(name, "Completed")

    def _train(self, document: Document, trial: Trial, watch: Watch) -> Trained:
        """Run one trial as a training job."""
        objective = _objective(document)
        request = _training_request(document, trial)
        name = request["TrainingJobName"]
        jobs = self._training.jobs
        if jobs.exists(name) and _is_interrupted(jobs.get(name)):
            jobs.delete(name)  # the trial is tried again
        if not jobs.exists(name):
            course: list[float] = []

            def take(metric: str, value: float) -> None:
                if metric == objective.name:
                    course.append(value)
                    if not watch.epoch(value):
                        self._training.queue.stop(jobs.folder(name))

            self._training.create(request, take)
        while (job := jobs.get(name))["TrainingJobStatus"] not in ENDED:
            if watch.is_stopping:
                self._training.queue.stop(jobs.folder(name))
            time.sleep(_POLL_S)
        if self._is_closing and job["TrainingJobStatus"] == "Stopped":
            jobs.delete(name)
            return Trained(is_interrupted=True)
        values = self._training.course(job, objective.name)
        if job["TrainingJobStatus"] == "Failed" or not values:
            return Trained(error=job.get("FailureReason", "no value of the objective"))
        return Trained(value=objective.best(values))

    def _end(self, name: str, status: str, reason: str = "") -> None:
        failure = {"FailureReason": reason[:1024]} if reason else {}
        members = {f"{_KIND}Status": status, "HyperParameterTuningEndTime": time.time()}
        self._jobs.change(name, **members, **failure)

    def _describe(self, request: Document) -> Document:
        document = self._jobs.get(request[f"{_KIND}Name"])
        summaries = self._summaries(document)
        objective = _objective(document)
        found = [each for each in summaries if each["ObjectiveStatus"] == "Succeeded"]
        best = min(found, key=lambda each: objective.sign * _value(each), default=None)
        said = document | _counts(summaries)
        if best is not None:
            said["BestTrainingJob"] = best
            warm = document.get("WarmStartConfig", {})
            if warm.get("WarmStartType") == "IdenticalDataAndAlgorithm":
                said["OverallBestTrainingJob"] = self._overall_best(document, objective, best)
        return said

    def _overall_best(self, document: Document, objective: Goal, own: Document) -> Document:
        """Return the best training job of a tuning job and all its parents."""
        found = [own]
        for parent in document["WarmStartConfig"][f"Parent{_KIND}s"]:
            summaries = self._summaries(self._jobs.get(parent[f"{_KIND}Name"]))
            for each in summaries:
                if each["ObjectiveStatus"] == "Succeeded":
                    found.append({"TuningJobName": parent[f"{_KIND}Name"], **each})
        return min(found, key=lambda each: objective.sign * _value(each))

    def _summary(self, document: Document) -> Document:
        said = document | _counts(self._summaries(document))
        strategy = {"Strategy": document[f"{_KIND}Config"]["Strategy"]}
        limits = {"ResourceLimits": document[f"{_KIND}Config"].get("ResourceLimits", {})}
        return {name: said[name] for name in _SUMMARY if name in said} | strategy | limits

    def _summaries(self, document: Document) -> list[Document]:
        """Return what is said of each training job of a tuning job."""
        study = Study.open(self._study_path(document[f"{_KIND}Name"]))
        objective, found = _objective(document), []
        for trial in study.trials():
            name = _training_request(document, trial)["TrainingJobName"]
            if not self._training.jobs.exists(name):
                continue
            job = self._training.jobs.get(name)
            found.append(_trial_summary(job, trial, objective))
        return found

    def _list_jobs(self, request: Document) -> Document:
        document = self._jobs.get(request[f"{_KIND}Name"])
        found = self._summaries(document)
        status = request.get("StatusEquals")
        found = [each for each in found if status in (None, each["TrainingJobStatus"])]
        key = request.get("SortBy", "Name")
        if key == "FinalObjectiveMetricValue":
            found = [each for each in found if each["ObjectiveStatus"] == "Succeeded"]
            found.sort(key=_value)
        elif key in ("CreationTime", "Status"):
            name = "TrainingJobStatus" if key == "Status" else key
            found.sort(key=lambda each: each[name])
        if request.get("SortOrder", "Ascending") == "Descending":
            found.reverse()
        token = request.get("NextToken", "0")
        first = int(token) if token.isdecimal() else 0
        last = first + int(request.get("MaxResults", 10))
        more = {"NextToken": str(last)} if last < len(found) else {}
        return {"TrainingJobSummaries": found[first:last], **more}


def _is_interrupted(job: Mapping[str, Any]) -> bool:
    return bool(job.get("FailureReason") == INTERRUPTED)


def _objective(request: Mapping[str, Any]) -> Goal:
    """Return the objective of a request, in the direction that it says."""
    said = request[f"{_KIND}Config"].get(f"{_KIND}Objective")
    if said is None:
        raise ServiceError.validation(f"A tuning job must have a {_KIND}Objective here.")
    channel, _, metric = said["MetricName"].partition(":")
    if channel not in OBJECTIVE_CHANNELS:
        Goal.parse(said["MetricName"])  # says what is wrong
    direction: Direction = "minimize" if said["Type"] == "Minimize" else "maximize"
    return Goal(channel, metric, direction)


def _search(request: Mapping[str, Any]) -> Search:
    """Return how a request wants to search."""
    config = request[f"{_KIND}Config"]
    static = request["TrainingJobDefinition"].get("StaticHyperParameters", {})
    epochs = int(static.get("epochs", 30))
    hyperband = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    return Search(
        Space.parse(config.get("ParameterRanges", {}), "ParameterRanges"),
        _objective(request),
        _STRATEGIES[config["Strategy"]],
        seed=int(config.get("RandomSeed", 0)),
        early_stopping=config.get("TrainingJobEarlyStoppingType", "Off") == "Auto",
        epochs=int(hyperband.get("MaxResource", epochs)),
    )


def _settings(request: Mapping[str, Any], search: Search) -> dict[str, Any]:
    """Return what the study of a request remembers."""
    definition = request["TrainingJobDefinition"]
    uris = [
        (each["ChannelName"], each["DataSource"].get("S3DataSource", {}).get("S3Uri"))
        for each in definition.get("InputDataConfig", [])
    ]
    image = definition["AlgorithmSpecification"].get("TrainingImage", "")
    return {
        "objective": search.objective.name,
        "space": search.space.state(),
        "fixed": definition.get("StaticHyperParameters", {}),
        "strategy": search.strategy,
        "seed": search.seed,
        "data": f"{sorted(uris)} {image.rpartition('/')[2].partition(':')[0]}",
    }


def _training_request(document: Mapping[str, Any], trial: Trial) -> Document:
    """Return the request for the training job of a trial."""
    tuning = document[f"{_KIND}Name"]
    definition = document["TrainingJobDefinition"]
    mark = hashlib.blake2b(f"{tuning}/{trial.number}".encode(), digest_size=4).hexdigest()
    taken = ("StaticHyperParameters", "DefinitionName", "TuningObjective", "RetryStrategy")
    request = {name: value for name, value in definition.items() if name not in taken}
    values = {name: _text(value) for name, value in trial.values.items()}
    metric = document[f"{_KIND}Config"][f"{_KIND}Objective"]["MetricName"]
    request["HyperParameters"] = {
        **definition.get("StaticHyperParameters", {}),
        **values,
        "_tuning_objective_metric": metric,
    }
    request["TrainingJobName"] = f"{tuning[:49]}-{trial.number:03d}-{mark}"
    request["TuningJobArn"] = document[f"{_KIND}Arn"]
    if "ResourceConfig" not in request:
        instance = definition.get("HyperParameterTuningResourceConfig", {})
        request["ResourceConfig"] = {"InstanceCount": 1, "VolumeSizeInGB": 1} | {
            name: instance[name] for name in ("InstanceType", "InstanceCount") if name in instance
        }
    if checkpoint := request.get("CheckpointConfig"):
        uri = f"{checkpoint['S3Uri'].rstrip('/')}/{request['TrainingJobName']}"
        request["CheckpointConfig"] = {**checkpoint, "S3Uri": uri}
    return request


def _trial_summary(job: Mapping[str, Any], trial: Trial, objective: Goal) -> Document:
    said = {name: job[name] for name in _TRIAL_MEMBERS if name in job}
    said["TunedHyperParameters"] = {name: _text(value) for name, value in trial.values.items()}
    said["ObjectiveStatus"] = "Pending"
    if trial.is_over:
        said["ObjectiveStatus"] = "Failed" if trial.value is None else "Succeeded"
    if trial.value is not None:
        said["FinalHyperParameterTuningJobObjectiveMetric"] = {
            "Type": "Minimize" if objective.direction == "minimize" else "Maximize",
            "MetricName": objective.name,
            "Value": trial.value,
        }
    return said


def _counts(summaries: Sequence[Document]) -> Document:
    """Return how many training jobs there are in each state."""
    jobs = [each["TrainingJobStatus"] for each in summaries]
    objectives = [each["ObjectiveStatus"] for each in summaries]
    return {
        "TrainingJobStatusCounters": {
            "Completed": jobs.count("Completed"),
            "InProgress": jobs.count("InProgress") + jobs.count("Stopping"),
            "RetryableError": 0,
            "NonRetryableError": jobs.count("Failed"),
            "Stopped": jobs.count("Stopped"),
        },
        "ObjectiveStatusCounters": {
            name: objectives.count(name) for name in ("Succeeded", "Pending", "Failed")
        },
    }


def _value(summary: Mapping[str, Any]) -> float:
    return float(summary["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])


def _text(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)
