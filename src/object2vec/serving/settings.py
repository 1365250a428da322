"""Settings of a server, and SageMaker's environment variables that set them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from object2vec.errors import ConfigError, join_problems, problem
from object2vec.inference.payload import JSON, JSON_LINES, MIB

MODES = ("classification", "embedding")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits and habits of a server.

    Parameters
    ----------
    max_payload_bytes : int
        Larger request bodies are rejected with 413.
    default_accept : {"application/json", "application/jsonlines"} or None
        Form of the response to a request without ``Accept``; None for the form of the request.
    preferred_mode : {"classification", "embedding"}
        What is computed first to warm up; both modes always work.
    workers : int
        Processes, each with its own copy of the model.
    timeout_s : float
        Seconds after which a request gets 504.
    token : str or None
        Bearer token that every request must carry, but for ``/ping`` and the bare page.
    batch_instances, batch_tokens : int
        What one batch holds at most.
    batch_wait_ms : float
        How long an idle model waits for more instances; 0 starts at once, and what arrives while
        the model is busy makes the next batch.
    queue_units : int
        Instances plus tokens that may wait; further requests are rejected with 429.
    max_response_numbers : int
        Numbers that one response may hold; a request for more is rejected with 413.
    max_held_bytes : int
        Bodies of requests and large responses held at once; further requests are rejected with 429.
    """

    max_payload_bytes: int = 6 * MIB
    default_accept: str | None = None
    preferred_mode: str = "classification"
    workers: int = 1
    timeout_s: float = 60.0
    token: str | None = None
    batch_instances: int = 512
    batch_tokens: int = 1 << 15
    batch_wait_ms: float = 0.0
    queue_units: int = 1 << 18
    max_response_numbers: int = 1 << 25
    max_held_bytes: int = 512 * MIB

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Return the settings that environment variables ask for; `docs/serving.md` lists them.

        Raises
        ------
        ConfigError
            If values are malformed or out of range; all of them together.
        """
        values: dict[str, Any] = {}
        problems = []
        for variable, (name, rule, parse) in _VARIABLES.items():
            text = environ.get(variable, "").strip()
            if not text:
                continue
            try:
                values[name] = parse(text)
            except ValueError:
                cure = "Correct or unset the variable."
                problems.append(problem(variable, rule, "" if name == "token" else text, cure))
        if problems:
            raise ConfigError(join_problems(problems))
        payload = values.pop("batch_payload_bytes", None)  # the limit of a transform job
        if payload and environ.get("SAGEMAKER_BATCH", "").strip().lower() == "true":
            values["max_payload_bytes"] = payload
        return cls(**values)


def _whole(low: int, high: int, scale: int = 1) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text)
        if not low <= number <= high:
            raise ValueError
        return number * scale

    return parse


def _real(low: float, high: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = float(text)
        if not low <= number <= high:  # rejects NaN too
            raise ValueError
        return number

    return parse


def _one_of(*names: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in names:
            raise ValueError
        return text.lower()

    return parse


def _token(text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError
    return text


_ACCEPT = f"must be {JSON} or {JSON_LINES}"
_VARIABLES: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "MAX_CONTENT_LENGTH": ("max_payload_bytes", "must be bytes in [1, 2**30]", _whole(1, 1 << 30)),
    "SAGEMAKER_MAX_PAYLOAD_IN_MB": (
        "batch_payload_bytes",
        "must be an integer in [1, 100]",
        _whole(1, 100, MIB),
    ),
    "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": ("default_accept", _ACCEPT, _one_of(JSON, JSON_LINES)),
    "INFERENCE_PREFERRED_MODE": (
        "preferred_mode",
        f"must be {' or '.join(MODES)}",
        _one_of(*MODES),
    ),
    "SAGEMAKER_MODEL_SERVER_WORKERS": ("workers", "must be in [1, 64]", _whole(1, 64)),
    "SAGEMAKER_MODEL_SERVER_TIMEOUT": (
        "timeout_s",
        "must be seconds in [0.001, 3600]",
        _real(0.001, 3600),
    ),
    "OBJECT2VEC_TOKEN": ("token", "must be printable ASCII without spaces", _token),
    "OBJECT2VEC_BATCH_INSTANCES": ("batch_instances", "must be in [1, 65536]", _whole(1, 65536)),
    "OBJECT2VEC_BATCH_WAIT_MS": ("batch_wait_ms", "must be in [0, 1000]", _real(0, 1000)),
    "OBJECT2VEC_QUEUE_UNITS": ("queue_units", "must be in [1, 2**30]", _whole(1, 1 << 30)),
}
