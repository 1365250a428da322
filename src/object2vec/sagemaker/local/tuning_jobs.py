"""Hyperparameter tuning jobs: studies of `object2vec.tuning` whose trials are training jobs.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateHyperParameterTuningJob.html
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from object2vec.errors import ConfigError, Object2VecError
from object2vec.sagemaker.local.protocol import Operation, ServiceError
from object2vec.sagemaker.local.resources import ENDED, Document, Resources, page_of
from object2vec.sagemaker.local.training import INTERRUPTED, Training
from object2vec.sagemaker.local.tuning_requests import (
    KIND,
    LIST_TRIALS,
    counts_of,
    goal_of,
    search_of,
    settings_of,
    training_request,
    trial_summary,
    value_of,
)
from object2vec.tuning import report
from object2vec.tuning.objective import Goal
from object2vec.tuning.parents import Setting, WarmStart, check
from object2vec.tuning.search import Search
from object2vec.tuning.trials import Study, Trial
from object2vec.tuning.tuner import Trained, Tuner, Watch

_POLL_S = 0.1
_DEFAULT_PARALLEL, _DEFAULT_JOBS = 1, 10
_PAGE = 10
_WARM_STARTS: dict[str, WarmStart] = {
    "IdenticalDataAndAlgorithm": "IDENTICAL_DATA_AND_ALGORITHM",
    "TransferLearning": "TRANSFER_LEARNING",
}


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

    def operations(self) -> dict[str, Operation]:
        """Return the operations that are offered, by AWS's name."""
        return {
            f"Create{KIND}": self._create,
            f"Describe{KIND}": self._describe,
            f"Stop{KIND}": self._stop,
            f"List{KIND}s": lambda request: self._jobs.page(request, self._summary),
            LIST_TRIALS: self._list_jobs,
        }

    def recover(self) -> None:
        """Go on with the tuning jobs that an earlier service left."""
        for document in self._jobs.all():
            name = document[f"{KIND}Name"]
            if document[f"{KIND}Status"] == "Stopping":
                self._jobs.end(name, "Stopped")
            elif document[f"{KIND}Status"] not in ENDED:
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
        name = request[f"{KIND}Name"]
        if "TrainingJobDefinition" not in request:
            text = "A tuning job must have one TrainingJobDefinition here."
            raise ServiceError.validation(text)
        try:
            search = search_of(request)
            self._check_parents(request, search)
        except ConfigError as err:
            raise ServiceError.validation(str(err)) from err
        full = {f"{KIND}Status": "InProgress", **request}
        document = self._jobs.create(full, lambda: self._make_study(name, request, search))
        self._start(name)
        return {f"{KIND}Arn": document[f"{KIND}Arn"]}

    def _stop(self, request: Document) -> None:
        name = request[f"{KIND}Name"]
        self._jobs.stop(name)
        with self._lock:
            tuner = self._tuners.get(name)
        if tuner is not None:
            tuner.stop()

    def _make_study(self, name: str, request: Document, search: Search) -> None:
        Study.create(self._study_path(name), settings_of(request, search))

    def _study_path(self, name: str) -> Path:
        return self._jobs.folder(name) / "study"

    def _parents(self, request: Mapping[str, Any]) -> tuple[list[Study], WarmStart | None]:
        """Return the studies that a request names as parents, and in which way."""
        warm = request.get("WarmStartConfig")
        if warm is None:
            return [], None
        names = [each[f"{KIND}Name"] for each in warm[f"Parent{KIND}s"]]
        for name in names:
            if self._jobs.get(name)[f"{KIND}Status"] not in ENDED:
                raise ServiceError.validation(f"The parent tuning job {name} has not ended.")
        studies = [Study.open(self._study_path(name)) for name in names]
        return studies, _WARM_STARTS[warm["WarmStartType"]]

    def _check_parents(self, request: Document, search: Search) -> None:
        parents, kind = self._parents(request)
        if kind is not None:
            check(Setting.of(settings_of(request, search)), parents, kind)

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
            search = search_of(document)
            limits = document[f"{KIND}Config"].get("ResourceLimits", {})
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
            self._jobs.end(name, "Failed", str(err))
            return
        finally:
            with self._lock:
                self._tuners.pop(name, None)
                self._threads.remove(threading.current_thread())
        if self._jobs.get(name)[f"{KIND}Status"] == "Stopping":
            self._jobs.end(name, "Stopped")
        elif not tuner.is_stopping:  # else the service ends, and the next one goes on
            self._jobs.end(name, "Completed")

    def _train(self, document: Document, trial: Trial, watch: Watch) -> Trained:
        """Run one trial as a training job."""
        objective = goal_of(document)
        request = training_request(document, trial)
        name = request["TrainingJobName"]
        jobs = self._training.jobs
        if jobs.exists(name) and jobs.get(name).get("FailureReason") == INTERRUPTED:
            jobs.delete(name)  # the trial is tried again
        if not jobs.exists(name):

            def take(metric: str, value: float) -> None:
                if metric == objective.name and not watch.epoch(value):
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

    def _describe(self, request: Document) -> Document:
        document = self._jobs.get(request[f"{KIND}Name"])
        summaries = self._summaries(document)
        objective = goal_of(document)
        found = [each for each in summaries if each["ObjectiveStatus"] == "Succeeded"]
        best = min(found, key=lambda each: objective.sign * value_of(each), default=None)
        said = document | counts_of(summaries)
        if best is not None:
            said["BestTrainingJob"] = best
            warm = document.get("WarmStartConfig", {})
            if warm.get("WarmStartType") == "IdenticalDataAndAlgorithm":
                said["OverallBestTrainingJob"] = self._overall_best(document, objective, best)
        return said

    def _overall_best(self, document: Document, objective: Goal, own: Document) -> Document:
        """Return the best training job of a tuning job and all its parents."""
        found = [own]
        for parent in document["WarmStartConfig"][f"Parent{KIND}s"]:
            summaries = self._summaries(self._jobs.get(parent[f"{KIND}Name"]))
            for each in summaries:
                if each["ObjectiveStatus"] == "Succeeded":
                    found.append({"TuningJobName": parent[f"{KIND}Name"], **each})
        return min(found, key=lambda each: objective.sign * value_of(each))

    def _summary(self, document: Document) -> Document:
        config = {"ResourceLimits": {}, **document[f"{KIND}Config"]}
        return document | config | counts_of(self._summaries(document))

    def _summaries(self, document: Document) -> list[Document]:
        """Return what is said of each training job of a tuning job."""
        study = Study.open(self._study_path(document[f"{KIND}Name"]))
        objective, found = goal_of(document), []
        for trial in study.trials():
            name = training_request(document, trial)["TrainingJobName"]
            if not self._training.jobs.exists(name):
                continue
            job = self._training.jobs.get(name)
            found.append(trial_summary(job, trial, objective))
        return found

    def _list_jobs(self, request: Document) -> Document:
        document = self._jobs.get(request[f"{KIND}Name"])
        found = self._summaries(document)
        status = request.get("StatusEquals")
        found = [each for each in found if status in (None, each["TrainingJobStatus"])]
        key = request.get("SortBy", "Name")
        if key == "FinalObjectiveMetricValue":
            found = [each for each in found if each["ObjectiveStatus"] == "Succeeded"]
            found.sort(key=value_of)
        elif key in ("CreationTime", "Status"):
            name = "TrainingJobStatus" if key == "Status" else key
            found.sort(key=lambda each: each[name])
        if request.get("SortOrder", "Ascending") == "Descending":
            found.reverse()
        shown, more = page_of(found, request, _PAGE)
        return {"TrainingJobSummaries": shown, **more}
