"""Batch transform as a process: memory does not grow with the input, kill -9 leaves whole files."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest

from object2vec.model import Object2Vec

pytestmark = pytest.mark.slow

PAIRS = [{"in0": [i % 8 + 1], "in1": [i % 6 + 1, 1], "label": i % 2} for i in range(40)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "model"
    Object2Vec(
        enc0_network="pooled_embedding",
        enc0_max_seq_len=50,
        enc0_vocab_size=1000,
        enc1_network="pooled_embedding",
        enc1_max_seq_len=3,
        enc1_vocab_size=7,
        enc_dim=64,
        mlp_dim=4,
        epochs=1,
        seed=1,
        threads=1,
    ).fit(PAIRS).save(folder)
    return folder


def write(path, rows):
    draw = random.Random(0)
    lines = [json.dumps({"in0": draw.choices(range(1, 1000), k=40)}) + "\n" for _ in range(1000)]
    with path.open("w") as file:
        for _ in range(rows // 1000):
            file.writelines(lines)
    return path


def command(model, source, out):
    return [sys.executable, "-m", "object2vec", "transform", model, source, "--out", out]


def peak_bytes(arguments):
    """The most memory that a process of its own has held."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return int(done.stdout)


def test_memory_does_not_grow_with_the_file(model, tmp_path):
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
    small, large = write(tmp_path / "small", 20_000), write(tmp_path / "large", 200_000)
    before = peak_bytes(command(model, small, tmp_path / "out"))
    after = peak_bytes(command(model, large, tmp_path / "out"))
    sizes = [(tmp_path / f"out/{name}.out").stat().st_size for name in ("small", "large")]
    grown = sizes[1] - sizes[0]
    assert grown > 100e6
    assert after - before < 0.3 * grown


@pytest.mark.parametrize("seed", range(10))
def test_a_killed_transform_leaves_whole_files_and_is_gone_on_with(model, tmp_path, seed):
    (tmp_path / "in").mkdir()
    for name in "abcd":
        write(tmp_path / "in" / name, 2000)
    arguments = command(model, tmp_path / "in", tmp_path / "out")
    with subprocess.Popen([*map(str, arguments)], stderr=subprocess.DEVNULL) as process:
        while not (tmp_path / "out").exists() and process.poll() is None:
            time.sleep(0.002)
        time.sleep(random.Random(seed).uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.out")}
    for path in done:
        assert path.read_bytes().count(b"\n") == 2000
    subprocess.run([*map(str, arguments)], check=True, stderr=subprocess.DEVNULL)
    assert {path.name for path in (tmp_path / "out").glob("*.out")} == {
        f"{name}.out" for name in os.listdir(tmp_path / "in")
    }
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in done.items())
