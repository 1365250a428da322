"""A service over a folder that an earlier one left in the middle of things, and its own end."""

import time

import pytest

from object2vec.sagemaker.local.endpoints import Endpoints
from object2vec.sagemaker.local.jobs import Queue
from object2vec.sagemaker.local.resources import Resources
from object2vec.sagemaker.local.service import Service
from object2vec.sagemaker.local.training import INTERRUPTED
from object2vec.sagemaker.local.tuning_jobs import TuningJobs

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
LEFT = {
    "TrainingJob": {
        "TrainingJobStatus": "InProgress",
        "SecondaryStatus": "Training",
        "SecondaryStatusTransitions": [],
        "AlgorithmSpecification": {"MetricDefinitions": []},
    },
    "TransformJob": {"TransformJobStatus": "Stopping"},
    "HyperParameterTuningJob": {"HyperParameterTuningJobStatus": "Stopping"},
    "Endpoint": {"EndpointStatus": "InService", "EndpointConfigName": "none"},
}
BECOMES = {
    "TrainingJob": ("Failed", INTERRUPTED),
    "TransformJob": ("Stopped", None),
    "HyperParameterTuningJob": ("Stopped", None),
    "Endpoint": ("Failed", "Could not find EndpointConfig 'none'."),
}


@pytest.mark.parametrize("kind", LEFT)
def test_what_was_going_on_has_an_end_or_goes_on(tmp_path, kind):
    left = Resources(tmp_path, kind, ARN)
    left.create({f"{kind}Name": "x", **LEFT[kind]})
    with Service(tmp_path).running(grace_s=1):
        end = time.monotonic() + 20
        while (said := left.get("x"))[f"{kind}Status"] != BECOMES[kind][0]:
            assert time.monotonic() < end
            time.sleep(0.005)
    assert said.get("FailureReason") == BECOMES[kind][1]


def test_a_service_ends_its_studies_its_jobs_and_its_servers(tmp_path, monkeypatch):
    """In this order: a study would start another job."""
    ended = []
    for part in (TuningJobs, Queue, Endpoints):
        close = part.close

        def closing(self, *grace_s, close=close):
            ended.append((type(self), *grace_s))
            close(self, *grace_s)

        monkeypatch.setattr(part, "close", closing)
    with Service(tmp_path).running(grace_s=7):
        assert ended == []
    assert ended == [(TuningJobs,), (Queue, 7), (Endpoints,)]
