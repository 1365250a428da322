"""The steps of AWS's four notebooks with the real clients, inside `object2vec sagemaker local`.

`make test-clients` runs a short form, three clients through a notebook each; `make
test-clients-all` runs every client through all four. Each has an environment of its own and runs in
a folder of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".venv-clients"
STEPS = ["movies", "sentences", "genres", "documents"]
SCRIPTS = {"sdk2": "sdk2", "sdk2020": "sdk2", "sdk3": "sdk3", "boto3": "boto3", "cli": "cli"}
SHORT = {("sdk2", "movies"), ("sdk3", "documents"), ("boto3", "genres")}
ROLE = "arn:aws:iam::123456789012:role/object2vec-local"
SEEN = {
    "movies": {
        "role": ROLE,
        "scores_r": [1] * 22,
        "scores_c": [2] * 22,
        "embeddings": [8] * 8,
    },
    "sentences": {
        "metrics": ["validation:cross_entropy"],
        "scores": [3] * 40,
        "embeddings_in0": [8] * 40,
        "embeddings_in1": [8] * 40,
        "tuned": ["Completed", "Completed", "Completed"],
    },
    "genres": {"transformed": [2] * 20, "scores": [2] * 3},
    "documents": {
        "embeddings": [8] * 60,
        "metrics": [
            "test:accuracy",
            "test:cross_entropy",
            "train:accuracy",
            "train:cross_entropy",
            "train:progress",
            "train:throughput",
            "validation:accuracy",
            "validation:cross_entropy",
        ],
    },
}


SLOW = pytest.mark.slow


def marks(client, steps):
    """Short or long, by the pair."""
    return [pytest.mark.clients] if (client, steps) in SHORT else [pytest.mark.clients, SLOW]


PAIRS = [
    pytest.param(client, steps, marks=marks(client, steps), id=f"{client}-{steps}")
    for client in SCRIPTS
    for steps in STEPS
]


def environment(folder: Path) -> dict[str, str]:
    """No credentials, no region, no settings of the user's: the service says them all."""
    kept = ("PATH", "OBJECT2VEC_CACHE", "XDG_CACHE_HOME", "LANG")
    own = {"HOME": str(folder), "PYTHONWARNINGS": "ignore", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {name: os.environ[name] for name in kept if name in os.environ} | own


@pytest.mark.parametrize(("client", "steps"), PAIRS)
def test_the_steps_of_a_notebook_run_with_a_real_client(client, steps, tmp_path):
    python = ENVIRONMENTS / client / "bin/python"
    assert python.exists(), f"{python}: must exist; got nothing. Run: make test-clients-all"
    service = [Path(sys.executable).with_name("object2vec"), "sagemaker", "local"]
    main = [python, HERE / "steps/main.py", SCRIPTS[client], steps, "seen.json"]
    done = subprocess.run(
        [*service, "--dir", tmp_path / "local", "--", *main],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    seen = json.loads((tmp_path / "seen.json").read_text())
    seen.pop("job", None)
    assert seen == SEEN[steps]
