"""SageMaker without SageMaker: the container's contract, and a client with the SDK's shape."""

from __future__ import annotations
