"""What Prometheus reads at ``/metrics``, of one process or of all workers together."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from functools import cache

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from object2vec.inference.inputs import UNREMARKABLE
from object2vec.inference.instances import Request
from object2vec.objects.schema import SIDES

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own variable
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class ServerMetrics:
    """Counters and histograms of a server.

    Attributes
    ----------
    seconds, batch_instances : Histogram
        Time from the headers of a request to the end of its response; instances of a batch.
    waiting, ready : Gauge
        Instances plus tokens in the queue; workers with a loaded model.
    requests, instances : callable
        Give the counter of a status, and of ``scores`` or ``embeddings``.
    media_type : str
        What `render` writes.
    """

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = to = CollectorRegistry()
        text = "Requests for inference by status."
        requests = Counter("object2vec_requests", text, ["status"], registry=to)
        text = "Instances by kind of result."
        instances = Counter("object2vec_instances", text, ["kind"], registry=to)
        self.requests: Callable[[int], Counter] = cache(requests.labels)
        self.instances: Callable[[str], Counter] = cache(instances.labels)
        text = "Sequences that were truncated, hold the padding id 0 or are empty."
        self._omissions = Counter("object2vec_omissions", text, ["side", "kind"], registry=to)
        text = "Values, and their tokens that are known, hashed, unknown or skipped."
        labels = ["side", "field", "kind"]
        self._values = Counter("object2vec_values", text, labels, registry=to)
        text = "Time from the headers of a request to the end of its response."
        self.seconds = Histogram("object2vec_request_seconds", text, buckets=_SECONDS, registry=to)
        name, text = "object2vec_batch_instances", "Instances computed together."
        self.batch_instances = Histogram(name, text, buckets=_SIZES, registry=to)
        text = "Instances plus tokens in the queue."
        self.waiting = Gauge("object2vec_waiting_units", text, registry=to)
        name, text = "object2vec_ready_workers", "Workers whose model is loaded."
        self.ready = Gauge(name, text, multiprocess_mode="livesum", registry=to)

    def count(self, request: Request) -> None:
        """Count the instances of a request, and what became of their objects."""
        for group in request.groups:
            self.instances(group.key).inc(len(group))
        for name, account in zip(SIDES, request.accounts, strict=True):
            if account is UNREMARKABLE:
                continue
            if account.omissions:
                for kind, count in asdict(account.omissions).items():
                    self._omissions.labels(name, kind).inc(count)
            if account.unknown:
                self._omissions.labels(name, "unknown").inc(account.unknown)
            for field, coverage in account.coverage.items():
                for kind, count in asdict(coverage).items():
                    self._values.labels(name, field, kind).inc(count)

    def render(self) -> bytes:
        """Return all values in Prometheus's text form; those of all workers if there are more."""
        if not os.environ.get(SHARED_FOLDER):
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
