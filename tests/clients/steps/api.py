"""Requests as the API describes them, for the clients that write them by hand."""

IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/object2vec:1"
BUCKET = "object2vec-steps"
OUTPUT = f"s3://{BUCKET}/output"
TUNING = "hpo-o2v-test"


def strings(hyperparameters):
    """Return hyperparameters as the API has them."""
    return {name: str(value) for name, value in hyperparameters.items()}


def channel(name, uri):
    """Return a channel of records, or of files beside them."""
    source = {
        "S3DataType": "S3Prefix",
        "S3Uri": uri,
        "S3DataDistributionType": "FullyReplicated",
    }
    content = {} if name == "auxiliary" else {"ContentType": "application/jsonlines"}
    return dict(content, ChannelName=name, DataSource={"S3DataSource": source})


def _job(role, uris, image, output):
    """Return what training jobs, alone or in a tuning job, have in common."""
    return {
        "AlgorithmSpecification": {"TrainingImage": image, "TrainingInputMode": "File"},
        "RoleArn": role,
        "InputDataConfig": [channel(name, uri) for name, uri in uris.items()],
        "OutputDataConfig": {"S3OutputPath": output},
        "ResourceConfig": {
            "InstanceType": "ml.p3.2xlarge",
            "InstanceCount": 1,
            "VolumeSizeInGB": 30,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }


def training(name, role, hyperparameters, uris):
    """Return a request for a training job."""
    own = {"TrainingJobName": name, "HyperParameters": strings(hyperparameters)}
    return dict(_job(role, uris, IMAGE, OUTPUT), **own)


def tuning(role, hyperparameters, uris, image=IMAGE, output=OUTPUT):
    """Return a request for a tuning job of two trials."""
    static = {name: value for name, value in hyperparameters.items() if name != "enc_dim"}
    ranges = {
        "CategoricalParameterRanges": [],
        "ContinuousParameterRanges": [],
        "IntegerParameterRanges": [{"MaxValue": "16", "MinValue": "4", "Name": "enc_dim"}],
    }
    return {
        "HyperParameterTuningJobName": TUNING,
        "HyperParameterTuningJobConfig": {
            "ParameterRanges": ranges,
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 2},
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {
                "MetricName": "validation:accuracy",
                "Type": "Maximize",
            },
        },
        "TrainingJobDefinition": dict(
            _job(role, uris, image, output), StaticHyperParameters=strings(static)
        ),
    }


def transform(name, source, output):
    """Return a request for a batch transform job over lines."""
    return {
        "TransformJobName": name,
        "ModelName": name,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}},
            "ContentType": "application/jsonlines",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": output},
        "TransformResources": {"InstanceType": "ml.p3.8xlarge", "InstanceCount": 1},
    }


def with_vectors(hyperparameters):
    """Return hyperparameters that name the files of the auxiliary channel."""
    own = {}
    for side in ("enc0", "enc1"):
        own[side + "_vocab_file"] = "all_vocab.json"
        own[side + "_pretrained_embedding_file"] = "glove.840B-trim.txt"
    return dict(hyperparameters, **own)
