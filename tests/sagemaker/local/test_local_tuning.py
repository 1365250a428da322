"""Tuning jobs by boto3: from ranges to the best training job, with parents."""

import pytest
from botocore.exceptions import ClientError

RANGES = {
    "ContinuousParameterRanges": [
        {
            "Name": "learning_rate",
            "MinValue": "0.001",
            "MaxValue": "0.1",
            "ScalingType": "Logarithmic",
        }
    ],
    "IntegerParameterRanges": [{"Name": "enc_dim", "MinValue": "4", "MaxValue": "9"}],
}


@pytest.fixture(scope="module")
def tuning(job):
    """Returns what a request for a tuning job says, with other members."""

    def made(name, *, metric="train:cross_entropy", jobs=2, **members):
        definition = job()
        static = definition.pop("HyperParameters")
        definition["StaticHyperParameters"] = {k: v for k, v in static.items() if k != "enc_dim"}
        return {
            "HyperParameterTuningJobName": name,
            "HyperParameterTuningJobConfig": {
                "Strategy": "Bayesian",
                "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": metric},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": 2},
                "ParameterRanges": RANGES,
            },
            "TrainingJobDefinition": definition,
            **members,
        }

    return made


@pytest.fixture(scope="module")
def tuned(sagemaker, waiting):
    """Returns what runs a tuning job to its end."""

    def run(request):
        sagemaker.create_hyper_parameter_tuning_job(**request)
        name = request["HyperParameterTuningJobName"]
        return waiting(
            lambda: sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name),
            lambda said: said["HyperParameterTuningJobStatus"] not in ("InProgress", "Stopping"),
        )

    return run


def test_the_best_training_job_is_found_and_known_to_children(tuned, tuning, sagemaker):
    said = tuned(tuning("parent"))
    assert said["HyperParameterTuningJobStatus"] == "Completed", said
    assert said["TrainingJobStatusCounters"]["Completed"] == 2
    assert said["ObjectiveStatusCounters"] == {"Succeeded": 2, "Pending": 0, "Failed": 0}
    listed = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="parent", SortBy="FinalObjectiveMetricValue"
    )["TrainingJobSummaries"]
    metric = "FinalHyperParameterTuningJobObjectiveMetric"
    values = [each[metric]["Value"] for each in listed]
    assert values == sorted(values)
    best = said["BestTrainingJob"]
    assert best == listed[0]
    assert set(best["TunedHyperParameters"]) == {"learning_rate", "enc_dim"}
    whole = sagemaker.describe_training_job(TrainingJobName=best["TrainingJobName"])
    assert whole["HyperParameters"]["_tuning_objective_metric"] == "train:cross_entropy"
    assert whole["HyperParameters"]["enc_dim"] == best["TunedHyperParameters"]["enc_dim"]
    warm = {
        "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": "parent"}],
        "WarmStartType": "IdenticalDataAndAlgorithm",
    }
    child = tuned(tuning("child", jobs=1, WarmStartConfig=warm))
    overall = child["OverallBestTrainingJob"]
    candidates = [*values, child["BestTrainingJob"][metric]["Value"]]
    assert overall[metric]["Value"] == min(candidates)
    with pytest.raises(ClientError, match="must have the objective train:accuracy"):
        tuned(tuning("wrong-child", metric="train:accuracy", WarmStartConfig=warm))


def test_a_tuning_job_whose_trials_all_fail_fails(tuned, tuning):
    request = tuning("hopeless", jobs=3)
    request["TrainingJobDefinition"]["StaticHyperParameters"]["enc0_vocab_size"] = "2"
    said = tuned(request)
    assert said["HyperParameterTuningJobStatus"] == "Failed"
    assert "in0" in said["FailureReason"]


def test_what_is_wrong_is_rejected_at_once(sagemaker, tuning):
    request = tuning("wrong")
    ranges = {"IntegerParameterRanges": [{"Name": "enc_dimm", "MinValue": "4", "MaxValue": "9"}]}
    request["HyperParameterTuningJobConfig"]["ParameterRanges"] = ranges
    with pytest.raises(ClientError, match="must name hyperparameters"):
        sagemaker.create_hyper_parameter_tuning_job(**request)
    with pytest.raises(ClientError, match="Could not find HyperParameterTuningJob"):
        sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="wrong")
