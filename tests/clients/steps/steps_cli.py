"""The AWS CLI: the same steps as commands of a shell."""

import json
import os
import subprocess
import sys
import time

import api
import data
from api import BUCKET, IMAGE

AWS = os.path.join(os.path.dirname(sys.executable), "aws")


def aws(*words):
    """Run a command, and return what it prints, as JSON if it is."""
    done = subprocess.run([AWS, *words], check=True, stdout=subprocess.PIPE)
    text = done.stdout.decode()
    return json.loads(text) if text[:1] in "{[" and text else text.strip()


def created(operation, request):
    """Create something of a description in a file, as one keeps it beside the code."""
    with open("request.json", "w") as file:
        json.dump(request, file)
    return aws("sagemaker", operation, "--cli-input-json", "file://request.json")


def role():
    """Make the bucket, and return the role of whoever calls."""
    aws("s3", "mb", "s3://" + BUCKET)
    arn = aws("sts", "get-caller-identity", "--query", "Arn", "--output", "text")
    words = ["--role-name", arn.split("/")[-2], "--query", "Role.Arn", "--output", "text"]
    return aws("iam", "get-role", *words)


def upload(prefix, paths):
    """Copy files by channel, and return the URIs."""
    uris = {}
    for name, path in paths.items():
        uris[name] = f"s3://{BUCKET}/{prefix}/{name}/{os.path.basename(path)}"
        aws("s3", "cp", path, uris[name], "--quiet")
    return uris


def train(name, role, hyperparameters, uris):
    """Run a training job to its end, and return its description."""
    created("create-training-job", api.training(name, role, hyperparameters, uris))
    return ended("training-job", name, "TrainingJobStatus")


def ended(kind, name, field):
    """Wait until something is no longer at work, then let the CLI's own waiter confirm it."""
    words = ["describe-" + kind, f"--{kind}-name", name]
    while aws("sagemaker", *words)[field] in ("InProgress", "Creating"):
        time.sleep(0.5)
    state = "-in-service" if kind == "endpoint" else "-completed-or-stopped"
    aws("sagemaker", "wait", kind + state, f"--{kind}-name", name)
    return aws("sagemaker", *words)


def deploy(name, role, job):
    """Create model, configuration and endpoint."""
    model = job["ModelArtifacts"]["S3ModelArtifacts"]
    container = json.dumps({"Image": IMAGE, "ModelDataUrl": model})
    words = ["--primary-container", container, "--execution-role-arn", role]
    aws("sagemaker", "create-model", "--model-name", name, *words)
    variant = f"VariantName=all,ModelName={name},InitialInstanceCount=1,InstanceType=ml.m4.xlarge"
    words = ["--endpoint-config-name", name, "--production-variants", variant]
    aws("sagemaker", "create-endpoint-config", *words)
    aws("sagemaker", "create-endpoint", "--endpoint-name", name, "--endpoint-config-name", name)
    ended("endpoint", name, "EndpointStatus")


def ask(name, instances):
    """Return the predictions of an endpoint."""
    with open("body.json", "w") as file:
        json.dump({"instances": instances}, file)
    words = ["--endpoint-name", name, "--content-type", "application/json"]
    aws("sagemaker-runtime", "invoke-endpoint", *words, "--body", "fileb://body.json", "out.json")
    with open("out.json") as file:
        return json.load(file)["predictions"]


def clean(name):
    """Delete what `deploy` made."""
    aws("sagemaker", "delete-endpoint", "--endpoint-name", name)
    aws("sagemaker", "delete-endpoint-config", "--endpoint-config-name", name)
    aws("sagemaker", "delete-model", "--model-name", name)


def movies():
    """Ratings, then recommendation, then embeddings."""
    arn = role()
    seen = {"role": arn}
    for task in ("r", "c"):
        name = "movies-" + task
        paths = data.movies(task)
        job = train(name, arn, data.movies_hyperparameters(task), upload(name, paths))
        deploy(name, arn, job)
        found = ask(name, data.pairs_of(paths["validation"]))
        seen["scores_" + task] = [len(row["scores"]) for row in found]
        if task == "c":
            found = ask(name, [{"in1": [movie]} for movie in range(1, data.MOVIES)])
            seen["embeddings"] = [len(row["embeddings"]) for row in found]
        clean(name)
    return seen


def sentences():
    """A run, a second one with vectors, and a tuning job."""
    arn = role()
    paths = data.sentences()
    uris = upload("sentences", paths)
    hyperparameters = data.sentences_hyperparameters()
    job = train("sentences", arn, hyperparameters, uris)
    query = "FinalMetricDataList[?MetricName=='validation:cross_entropy'].MetricName"
    words = ["--training-job-name", "sentences", "--query", query]
    seen = {"job": "sentences", "metrics": aws("sagemaker", "describe-training-job", *words)}
    deploy("sentences", arn, job)
    pairs = data.pairs_of(paths["validation"])
    seen["scores"] = [len(row["scores"]) for row in ask("sentences", pairs)]
    for path in ("glove.840B-trim.txt", "all_vocab.json"):
        aws("s3", "cp", path, f"s3://{BUCKET}/sentences/auxiliary/", "--quiet")
    channels = dict(uris, auxiliary=f"s3://{BUCKET}/sentences/auxiliary")
    second = train("sentences-2", arn, api.with_vectors(hyperparameters), channels)
    deploy("sentences-2", arn, second)
    for side in ("in0", "in1"):
        found = ask("sentences-2", [{"in1": pair[side]} for pair in pairs])
        seen["embeddings_" + side] = [len(row["embeddings"]) for row in found]
    clean("sentences")
    clean("sentences-2")
    seen["tuned"] = tuned(arn, uris, hyperparameters)
    return seen


def tuned(arn, uris, hyperparameters):
    """Run a tuning job, and return its state and those of its jobs."""
    created("create-hyper-parameter-tuning-job", api.tuning(arn, hyperparameters, uris))
    words = ["--hyper-parameter-tuning-job-name", api.TUNING]
    state = "InProgress"
    while state == "InProgress":
        time.sleep(0.5)
        said = aws("sagemaker", "describe-hyper-parameter-tuning-job", *words)
        state = said["HyperParameterTuningJobStatus"]
    jobs = aws("sagemaker", "list-training-jobs-for-hyper-parameter-tuning-job", *words)
    return [state] + [job["TrainingJobStatus"] for job in jobs["TrainingJobSummaries"]]


def genres():
    """Channels by prefix, vectors for one side, batch transform, and single requests."""
    arn = role()
    paths = data.genres()
    upload("genres", paths)
    base = f"s3://{BUCKET}/genres/"
    for path in ("vocab.json", "glove.840B.300d.txt"):
        aws("s3", "cp", path, base + "auxiliary/", "--quiet")
    channels = {name: base + name + "/" for name in ("train", "validation", "auxiliary")}
    job = train("genres", arn, data.genres_hyperparameters(), channels)
    deploy("genres", arn, job)
    request = api.transform("genres", base + "test/", base + "predictions/")
    created("create-transform-job", request)
    ended("transform-job", "genres", "TransformJobStatus")
    aws("s3", "cp", "--recursive", base + "predictions/", ".", "--quiet")
    name = os.path.basename(paths["test"]) + ".out"
    seen = {"transformed": [len(row["scores"]) for row in data.rows_of(name)]}
    batch = [{"in0": [3, 5, 7], "in1": [genre]} for genre in range(len(data.GENRES))]
    seen["scores"] = [len(row["scores"]) for row in ask("genres", batch)]
    clean("genres")
    return seen


def documents():
    """Three channels, the job's log, embeddings in batches."""
    arn = role()
    paths = data.documents()
    uris = upload("documents", paths)
    job = train("documents", arn, data.documents_hyperparameters(), uris)
    group = ["--log-group-name", "/aws/sagemaker/TrainingJobs"]
    (stream,) = aws("logs", "describe-log-streams", *group)["logStreams"]
    words = [*group, "--log-stream-name", stream["logStreamName"], "--start-from-head"]
    lines = aws("logs", "get-log-events", *words)["events"]
    assert any("Finished scoring on" in line["message"] for line in lines)
    deploy("documents", arn, job)
    found = []
    articles = [{"in0": row["in1"]} for row in data.rows_of(paths["test"])]
    for start in range(0, len(articles), 25):
        found += ask("documents", articles[start : start + 25])
    clean("documents")
    return {
        "embeddings": [len(row["embeddings"]) for row in found],
        "metrics": sorted(each["MetricName"] for each in job["FinalMetricDataList"]),
    }
