"""SIGKILL at random moments of a run that writes a checkpoint at every step: nothing is lost."""

from __future__ import annotations

import itertools
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch

from object2vec import Object2Vec
from object2vec.training.checkpoint import CheckpointFolder

pytestmark = pytest.mark.slow

KILLS = 50
RUN = """
import json, sys
from object2vec import Object2Vec
settings, train, validation, place = json.loads(sys.argv[1])

class Teller:
    def __call__(self, event):
        if event.name in ("run", "checkpoint"):
            print(event.name, flush=True)

    def close(self):
        print("closed", flush=True)

Object2Vec(**settings).fit(
    train, validation=validation, checkpoints=place + "/run", checkpoint_every=1, resume=True,
    save_to=place + "/model", reporters=[Teller()],
)
"""
SETTINGS = {
    "enc0_network": "hcnn",
    "enc0_max_seq_len": 4,
    "enc0_vocab_size": 12,
    "enc0_token_embedding_dim": 3,
    "enc0_layers": 2,
    "enc_dim": 4,
    "mlp_dim": 4,
    "mlp_activation": "tanh",
    "mini_batch_size": 4,
    "epochs": 12,
    "learning_rate": 0.01,
    "dropout": 0.3,
    "negative_sampling_rate": 1,
    "early_stopping_patience": 5,
    "token_embedding_storage_type": "row_sparse",
    "threads": 1,
    "device": "cpu",
}


def data(n: int, seed: int) -> dict:
    generator = np.random.default_rng(seed)
    return {
        "in0": [generator.integers(1, 12, 1 + i % 4).tolist() for i in range(n)],
        "in1": [generator.integers(1, 12, 1 + i % 3).tolist() for i in range(n)],
        "label": generator.integers(0, 2, n).tolist(),
    }


TRAIN, VALIDATION = data(40, 0), data(10, 1)


def live(place: Path, checkpoints: int, seconds: float) -> bool:
    """Kill the run so long after it has written so many checkpoints; return whether it ended."""
    given = json.dumps([SETTINGS, TRAIN, VALIDATION, str(place)])
    with subprocess.Popen(
        [sys.executable, "-c", RUN, given], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "run\n"
        for line in itertools.islice(process.stdout, checkpoints):
            if line == "closed\n":
                break
        time.sleep(seconds)
        process.kill()
        process.communicate()
    assert process.returncode in (0, -signal.SIGKILL)
    return process.returncode == 0 or (place / "model").exists()


def progress_of(folder: CheckpointFolder) -> int:
    """Steps of the newest checkpoint, which must be whole."""
    path = folder.latest()
    if path is None:
        return 0
    safetensors.torch.load_file(path / "tensors.safetensors")
    state = folder.state(path)
    assert state["hyperparameters"] == Object2Vec(**SETTINGS).config.to_dict()
    assert state["steps"] == int(path.name.removeprefix("step-"))
    return state["steps"]


def test_a_run_that_is_killed_again_and_again_ends_as_if_it_never_was(tmp_path):
    expected = Object2Vec(**SETTINGS).fit(TRAIN, validation=VALIDATION)
    expected.save(tmp_path / "expected")
    weights = (tmp_path / "expected" / "model.safetensors").read_bytes()
    moments, kills, advances, places = random.Random(7), 0, 0, 0
    while kills < KILLS:
        place = tmp_path / f"run-{places}"
        place.mkdir()
        folder, steps, places = CheckpointFolder(place / "run"), 0, places + 1
        # Some kills fall before the first checkpoint, most between two or into the writing of one.
        while not live(place, moments.choice([0, 1, 5, 20]), moments.uniform(0.0, 0.05)):
            kills += 1
            now = progress_of(folder)
            assert now >= steps  # nothing that was committed is lost
            advances += now > steps
            steps = now
        assert (place / "model" / "model.safetensors").read_bytes() == weights
        Object2Vec.load(place / "model")
    assert advances >= KILLS // 2
