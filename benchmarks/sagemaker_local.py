"""What the local SageMaker service costs beside the commands that it runs.

``fit``: a training job by boto3, from its creation until it is Completed (asked every 0.1 s), over
``object2vec train`` on the same records; in turns. ``invoke_endpoint``: one pair in a request, by
boto3 and over a connection that stays open: to ``object2vec serve`` alone, to an endpoint by the
service's URL, and through the service as HTTPS proxy; in turns of blocks, the median of all
requests. ``start``: until the service prints its variables.

With ``--sdk PYTHON``, an interpreter that has the SageMaker SDK, its ``fit`` of the same job stands
beside: what it takes longer is its own waiting between two questions.

No data needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import save, speed_parser, table

PROGRAM = [sys.executable, "-m", "object2vec"]
IMAGE = "382416733822.dkr.ecr.us-east-1.amazonaws.com/object2vec:1"
ROLE = "arn:aws:iam::123456789012:role/object2vec-local"
NAMES = {"EndpointName": "e", "EndpointConfigName": "e"}
SETTINGS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 10,
    "enc0_vocab_size": 5000,
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": 10,
    "enc1_vocab_size": 5000,
    "enc_dim": 64,
    "mlp_dim": 64,
    "mini_batch_size": 256,
    "epochs": 5,
}
RECORDS, REQUESTS, WARM = 50_000, 500, 50
SDK = """
import sys, time, sagemaker
from sagemaker.estimator import Estimator
session = sagemaker.Session()
estimator = Estimator({image!r}, {role!r}, 1, "ml.m5.large", output_path="s3://data/sdk",
                      hyperparameters={settings!r}, sagemaker_session=session)
started = time.perf_counter()
estimator.fit({{"train": "s3://data/train.jsonl"}}, logs={logs})
print("SECONDS", time.perf_counter() - started)
"""


def main() -> None:
    """Measure all of it."""
    options = speed_parser(__doc__, threads=None)
    options.add_argument("--sdk", help="Python interpreter that has the SageMaker SDK")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder / "train.jsonl")
        starts = []
        for _ in range(given.rounds):
            with _service(folder) as (_, seconds):
                starts.append(seconds)
        with _service(folder) as (variables, _):
            client = _clients(variables)
            fits = _fits(folder, client, given.rounds)
            requests = _requests(folder, client, given.rounds)
            sdk = _sdk(given.sdk, variables) if given.sdk else {}
    rows = {"start": starts, **fits, **sdk}
    seconds = [
        {"of": of, "median_s": statistics.median(s), "rounds_s": s} for of, s in rows.items()
    ]
    table(
        ("what", "median s", "fastest", "slowest"),
        [(r["of"], r["median_s"], min(r["rounds_s"]), max(r["rounds_s"])) for r in seconds],
    )
    alone = requests["server alone"]
    latency = [
        {"of": of, "p50_ms": times, "over_alone_ms": times - alone}
        for of, times in requests.items()
    ]
    table(
        ("invoke_endpoint", "p50 ms", "over the server alone"),
        [tuple(row.values()) for row in latency],
    )
    overhead = statistics.median(
        a - b for a, b in zip(fits["fit by boto3"], fits["object2vec train"], strict=True)
    )
    print(f"fit takes {overhead:.2f} s more than object2vec train")
    save(
        "sagemaker_local",
        {"seconds": seconds, "fit_overhead_s": overhead, "latency": latency},
        given,
        versions=("object2vec", "boto3", "moto", "uvicorn"),
    )


def _write(path: Path) -> None:
    generator = np.random.default_rng(0)
    ids = generator.integers(1, 5000, (RECORDS, 2, 10))
    lines = (
        json.dumps({"in0": a, "in1": b, "label": i % 2}) + "\n"
        for i, (a, b) in enumerate(ids.tolist())
    )
    path.write_text("".join(lines), encoding="utf-8")


@contextlib.contextmanager
def _service(folder: Path) -> Iterator[tuple[dict[str, str], float]]:
    """Give the variables of a service that runs, and the seconds until it did."""
    started = time.perf_counter()
    with subprocess.Popen(
        [*PROGRAM, "sagemaker", "local", "--dir", str(folder / "dir")],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        variables: dict[str, str] = {}
        while "AWS_SECRET_ACCESS_KEY" not in variables:  # the last one
            match = re.match(r"export (\w+)=(\S+)", process.stdout.readline())
            assert match is not None
            variables[match[1]] = match[2]
        try:
            yield variables, time.perf_counter() - started
        finally:
            process.terminate()


def _clients(variables: dict[str, str]) -> Callable[..., Any]:
    """Return what makes boto3's client of a service: by proxy, or by a URL."""
    import boto3
    from botocore.config import Config

    keys = {
        "aws_access_key_id": "local",
        "aws_secret_access_key": "local",
        "region_name": "us-east-1",
    }

    def client(name: str, url: str = "") -> Any:
        if url:
            return boto3.client(name, endpoint_url=url, **keys)
        proxy = Config(proxies={"https": variables["HTTPS_PROXY"]})
        return boto3.client(name, config=proxy, verify=variables["AWS_CA_BUNDLE"], **keys)

    client.url = variables["HTTPS_PROXY"]  # type: ignore[attr-defined]
    return client


def _fits(folder: Path, client: Any, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of training by the command and by a job, in turns."""
    s3, sagemaker = client("s3"), client("sagemaker")
    s3.create_bucket(Bucket="data")
    s3.upload_file(str(folder / "train.jsonl"), "data", "train.jsonl")
    (folder / "hp.json").write_text(json.dumps(SETTINGS))
    seconds: dict[str, list[float]] = {"object2vec train": [], "fit by boto3": []}
    for turn in range(rounds + 1):
        command = [
            *PROGRAM,
            "train",
            "--train",
            str(folder / "train.jsonl"),
            "--config",
            str(folder / "hp.json"),
            "--out",
            str(folder / f"model-{turn}"),
        ]
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken = time.perf_counter() - started
        started = time.perf_counter()
        sagemaker.create_training_job(TrainingJobName=f"fit-{turn}", **_job())
        while (said := sagemaker.describe_training_job(TrainingJobName=f"fit-{turn}"))[
            "TrainingJobStatus"
        ] == "InProgress":
            time.sleep(0.1)
        assert said["TrainingJobStatus"] == "Completed", said
        if turn:
            seconds["object2vec train"].append(taken)
            seconds["fit by boto3"].append(time.perf_counter() - started)
    return seconds


def _job() -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://data/train.jsonl"}
    return {
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        "OutputDataConfig": {"S3OutputPath": "s3://data/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "HyperParameters": {name: str(value) for name, value in SETTINGS.items()},
    }


def _requests(folder: Path, client: Any, rounds: int) -> dict[str, float]:
    """Return the median milliseconds of a request on each way, blocks of them in turns."""
    _deploy(client("sagemaker"))
    with subprocess.Popen(
        [*PROGRAM, "serve", str(folder / "model-0"), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        while (match := re.search(r"at (http://\S+)", server.stderr.readline())) is None:
            pass
        ways = {
            "server alone": client("sagemaker-runtime", match[1]),
            "service by URL": client("sagemaker-runtime", client.url),
            "service as proxy": client("sagemaker-runtime"),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        try:
            for turn in range(rounds + 1):
                for name, way in ways.items():
                    taken = _block(way, REQUESTS if turn else WARM)
                    times[name] += taken if turn else []
        finally:
            server.terminate()
    return {name: statistics.median(taken) for name, taken in times.items()}


def _deploy(sagemaker: Any) -> None:
    """Put the model of a job into service."""
    uri = "s3://data/out/fit-0/output/model.tar.gz"
    container = {"Image": IMAGE, "ModelDataUrl": uri}
    sagemaker.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    variant = {"VariantName": "AllTraffic", "ModelName": "m"}
    sagemaker.create_endpoint_config(EndpointConfigName="e", ProductionVariants=[variant])
    sagemaker.create_endpoint(**NAMES)
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName="e", WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )


def _block(way: Any, count: int) -> list[float]:
    """Return the milliseconds of each of so many requests."""
    body = json.dumps({"instances": [{"in0": [1, 2, 3], "in1": [4, 5, 6]}]})
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        said = way.invoke_endpoint(EndpointName="e", Body=body, ContentType="application/json")
        said["Body"].read()
        taken.append(1e3 * (time.perf_counter() - started))
    return taken


def _sdk(python: str, variables: dict[str, str]) -> dict[str, list[float]]:
    """Return the seconds of the SDK's own `fit`, with its log and without."""
    settings = {name: str(value) for name, value in SETTINGS.items()}
    found = {}
    for logs in (True, False):
        script = SDK.format(image=IMAGE, role=ROLE, settings=settings, logs=logs)
        done = subprocess.run(
            [python, "-c", script],
            env=os.environ | variables,
            check=True,
            capture_output=True,
            text=True,
        )
        name = "fit by the SDK" + ("" if logs else ", logs=False")
        found[name] = [float(done.stdout.rpartition("SECONDS")[2])]
    return found


if __name__ == "__main__":
    main()
