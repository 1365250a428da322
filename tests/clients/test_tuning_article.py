"""AWS's article on tuning with warm start, by the real SDK inside `object2vec sagemaker local`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-clients/sdk2/bin/python"
COLUMNS = ["FinalObjectiveValue", "enc_dim", "learning_rate", "optimizer"]


def seen_of(jobs, warm_start):
    return {
        "status": "Completed",
        "jobs": jobs,
        "columns": COLUMNS,
        "best is best": True,
        "overall is no worse": True,
        "warm start": warm_start,
    }


@pytest.mark.clients
def test_the_three_jobs_of_the_article_run_unchanged(tmp_path):
    assert PYTHON.exists(), f"{PYTHON}: must exist; got nothing. Run: make test-clients"
    service = [sys.executable, "-m", "object2vec", "sagemaker", "local", "--dir", tmp_path / "dir"]
    done = subprocess.run(
        [*service, "--", PYTHON, HERE / "tune_sdk2.py", "seen.json"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert json.loads((tmp_path / "seen.json").read_text()) == {
        "scratch": seen_of(3, None),
        "same": seen_of(2, "IdenticalDataAndAlgorithm"),
        "transfer": seen_of(2, "TransferLearning"),
        "deployed": True,
        "parents of a child": 1,
    }
