"""The three jobs of AWS's article on tuning, by the SageMaker SDK 2; runs in its environment.

Usage: python tune_sdk2.py SEEN

From scratch, with the same data and algorithm, and with transfer learning from both as parents:
https://aws.amazon.com/blogs/machine-learning/amazon-sagemaker-automatic-model-tuning-becomes-more-efficient-with-warm-start-of-hyperparameter-tuning-jobs
SEEN is written: what the SDK said, as JSON.
"""

import json
import sys
from pathlib import Path

import boto3
from sagemaker.analytics import HyperparameterTuningJobAnalytics
from sagemaker.inputs import TrainingInput
from sagemaker.tuner import (
    CategoricalParameter,
    ContinuousParameter,
    HyperparameterTuner,
    IntegerParameter,
    WarmStartConfig,
    WarmStartTypes,
)

import sagemaker

RANGES = {
    "enc_dim": IntegerParameter(4, 16),
    "learning_rate": ContinuousParameter(1e-4, 0.1, scaling_type="Logarithmic"),
    "optimizer": CategoricalParameter(["adam", "adagrad"]),
}
OBJECTIVE = "validation:cross_entropy"


def made():
    """Return an estimator and its channels."""
    session, role = sagemaker.Session(), sagemaker.get_execution_role()
    records = [{"in0": [i % 8 + 1], "in1": [i % 6 + 1], "label": i % 2} for i in range(64)]
    Path("train.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    bucket = session.default_bucket()
    uri = session.upload_data("train.jsonl", bucket, "data")
    image = sagemaker.image_uris.retrieve("object2vec", session.boto_region_name)
    estimator = sagemaker.estimator.Estimator(
        image, role, 1, "ml.m5.large", output_path=f"s3://{bucket}/out", sagemaker_session=session
    )
    estimator.set_hyperparameters(
        enc0_network="pooled_embedding",
        enc0_max_seq_len=2,
        enc0_vocab_size=9,
        enc1_network="pooled_embedding",
        enc1_max_seq_len=2,
        enc1_vocab_size=9,
        mlp_dim=4,
        mlp_layers=1,
        epochs=2,
        mini_batch_size=16,
        num_classes=2,
        output_layer="softmax",
    )
    given = TrainingInput(uri, content_type="application/jsonlines")
    return estimator, {"train": given, "validation": given}


def main(seen):
    """Run the three jobs, one after the other."""
    estimator, inputs = made()
    said = {}

    def run(name, jobs, warm=None):
        tuner = HyperparameterTuner(
            estimator,
            OBJECTIVE,
            RANGES,
            objective_type="Minimize",
            max_jobs=jobs,
            max_parallel_jobs=2,
            warm_start_config=warm,
            base_tuning_job_name=name,
            early_stopping_type="Auto",
        )
        tuner.fit(inputs, include_cls_metadata=False)
        tuner.wait()
        said[name] = looked_at(tuner)
        return tuner

    first = run("scratch", 3)
    same = WarmStartTypes.IDENTICAL_DATA_AND_ALGORITHM
    second = run("same", 2, WarmStartConfig(same, {first.latest_tuning_job.name}))
    names = {first.latest_tuning_job.name, second.latest_tuning_job.name}
    third = run("transfer", 2, WarmStartConfig(WarmStartTypes.TRANSFER_LEARNING, names))
    predictor = third.deploy(1, "ml.m5.large")
    said["deployed"] = predictor.endpoint_name == third.best_training_job()
    predictor.delete_endpoint()
    child = second.identical_dataset_and_algorithm_tuner()
    said["parents of a child"] = len(child.warm_start_config.parents)
    Path(seen).write_text(json.dumps(said))


def looked_at(tuner):
    """Return what the SDK shows of a tuning job."""
    name = tuner.latest_tuning_job.name
    frame = HyperparameterTuningJobAnalytics(name).dataframe()
    description = boto3.client("sagemaker").describe_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name
    )
    best = tuner.best_training_job()
    values = dict(zip(frame["TrainingJobName"], frame["FinalObjectiveValue"], strict=True))
    overall = description.get("OverallBestTrainingJob", description["BestTrainingJob"])
    return {
        "status": description["HyperParameterTuningJobStatus"],
        "jobs": len(frame),
        "columns": sorted(set(frame.columns) & {*RANGES, "FinalObjectiveValue"}),
        "best is best": values[best] == min(values.values()),
        "overall is no worse": overall["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        <= values[best],
        "warm start": tuner.describe().get("WarmStartConfig", {}).get("WarmStartType"),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
