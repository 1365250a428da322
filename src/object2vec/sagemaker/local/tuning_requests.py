"""What a request for a tuning job means to a study, and what is said of its trials.

Source: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_HyperParameterTuningJobConfig.html
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from object2vec.sagemaker.local.protocol import ServiceError, list_of
from object2vec.sagemaker.local.resources import Document
from object2vec.tuning.objective import OBJECTIVE_CHANNELS, Direction, Goal
from object2vec.tuning.search import Search, strategy_of
from object2vec.tuning.space import Space
from object2vec.tuning.trials import Trial

KIND = "HyperParameterTuningJob"
LIST_TRIALS = f"ListTrainingJobsFor{KIND}"


def goal_of(request: Mapping[str, Any]) -> Goal:
    """Return the objective of a request, in the direction that it says."""
    said = request[f"{KIND}Config"].get(f"{KIND}Objective")
    if said is None:
        raise ServiceError.validation(f"A tuning job must have a {KIND}Objective here.")
    channel, _, metric = said["MetricName"].partition(":")
    if channel not in OBJECTIVE_CHANNELS:
        Goal.parse(said["MetricName"])  # says what is wrong
    direction: Direction = "minimize" if said["Type"] == "Minimize" else "maximize"
    return Goal(channel, metric, direction)


def search_of(request: Mapping[str, Any]) -> Search:
    """Return how a request wants to search."""
    config = request[f"{KIND}Config"]
    static = request["TrainingJobDefinition"].get("StaticHyperParameters", {})
    epochs = int(static.get("epochs", 30))
    hyperband = config.get("StrategyConfig", {}).get("HyperbandStrategyConfig", {})
    return Search(
        Space.parse(config.get("ParameterRanges", {}), "ParameterRanges"),
        goal_of(request),
        strategy_of(config["Strategy"]),
        seed=int(config.get("RandomSeed", 0)),
        early_stopping=config.get("TrainingJobEarlyStoppingType", "Off") == "Auto",
        epochs=int(hyperband.get("MaxResource", epochs)),
    )


def settings_of(request: Mapping[str, Any], search: Search) -> dict[str, Any]:
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


def training_request(document: Mapping[str, Any], trial: Trial) -> Document:
    """Return the request for the training job of a trial."""
    tuning = document[f"{KIND}Name"]
    definition = document["TrainingJobDefinition"]
    mark = hashlib.blake2b(f"{tuning}/{trial.number}".encode(), digest_size=4).hexdigest()
    taken = ("StaticHyperParameters", "DefinitionName", "TuningObjective", "RetryStrategy")
    request = {name: value for name, value in definition.items() if name not in taken}
    metric = document[f"{KIND}Config"][f"{KIND}Objective"]["MetricName"]
    request["HyperParameters"] = {
        **definition.get("StaticHyperParameters", {}),
        **trial.texts(),
        "_tuning_objective_metric": metric,
    }
    request["TrainingJobName"] = f"{tuning[:49]}-{trial.number:03d}-{mark}"
    request["TuningJobArn"] = document[f"{KIND}Arn"]
    if "ResourceConfig" not in request:
        instance = definition.get("HyperParameterTuningResourceConfig", {})
        request["ResourceConfig"] = {"InstanceCount": 1, "VolumeSizeInGB": 1} | {
            name: instance[name] for name in ("InstanceType", "InstanceCount") if name in instance
        }
    if checkpoint := request.get("CheckpointConfig"):
        uri = f"{checkpoint['S3Uri'].rstrip('/')}/{request['TrainingJobName']}"
        request["CheckpointConfig"] = {**checkpoint, "S3Uri": uri}
    return request


def trial_summary(job: Mapping[str, Any], trial: Trial, objective: Goal) -> Document:
    """Return what is said of a trial and its training job."""
    said = {name: job[name] for name in list_of(LIST_TRIALS)[1] if name in job}
    said["TunedHyperParameters"] = trial.texts()
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


def counts_of(summaries: Sequence[Document]) -> Document:
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


def value_of(summary: Mapping[str, Any]) -> float:
    """Return the objective of a trial that has one."""
    return float(summary["FinalHyperParameterTuningJobObjectiveMetric"]["Value"])
