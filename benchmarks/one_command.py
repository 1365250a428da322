"""What one command costs from a file to a model, and how fast a model with many names opens.

Two tables as they are, each in one ``object2vec train`` that has not read them before: MovieLens'
u.data, which has tabs and no header, and npm's packages with their owner and repository, whose
vocabulary is large. Seconds of the whole command, rows times epochs in each of them, the memory at
its peak, and the size of the model. Kernels were compiled before, by the same command on the first
lines of the file.

A model whose vocabulary has a million names, made in one short training, beside one of a thousand:
opening the schema (`ObjectSchema.from_files`), alone in a process that has imported it, and a whole
``object2vec encode`` of one line. The target is 100 ms for the schema.

The data: https://grouplens.org/datasets/movielens/100k/, and lines of package, owner and repository
with tabs between them; `--data` names a folder with movielens_100k (ua.base and ua.test, which
together are u.data) and npm_package_repo (sample_400k.tsv.zst).
"""

from __future__ import annotations

import itertools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

from benchmarks.common import save, speed_parser, table
from benchmarks.movielens import open_text
from object2vec import Object2Vec

NAMES, FEW_NAMES, WARM_UP_LINES = 1_000_000, 1_000, 2_000
_OPEN = """
import sys, time
from pathlib import Path
from object2vec.fields.schema import ObjectSchema
started = time.perf_counter()
ObjectSchema.from_files(Path(sys.argv[1]))
print(time.perf_counter() - started)
"""


class Job(NamedTuple):
    """A file and the words that train on it."""

    file: str
    words: tuple[str, ...]


JOBS = {
    "MovieLens": Job(
        "u.data",
        (
            "--columns",
            "user,film,rating,time",
            "--in0",
            "user",
            "--in1",
            "film",
            "--label",
            "rating",
            "--split",
            "0.1",
        ),
    ),
    "npm": Job(
        "packages.tsv",
        (
            "--columns",
            "package,owner,repository",
            "--in0",
            "package",
            "--in1",
            "owner",
            "--in1",
            "repository",
            "--set",
            "epochs=3",
        ),
    ),
}


def main() -> None:
    """Train on both files, then open the models."""
    given = speed_parser(__doc__, "../shared/data").parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _write_files(given.data, work)
        jobs = [{"of": name, **_train(work, job, given)} for name, job in JOBS.items()]
        opened = [_open(work, names, given) for names in (FEW_NAMES, NAMES)]
    table(
        ("of", "rows", "epochs", "s", "rows/s", "peak MiB", "model MiB"),
        [
            (
                j["of"],
                j["rows"],
                j["epochs"],
                j["seconds"],
                round(j["rows_per_s"]),
                round(j["peak_memory_mib"]),
                j["model_mib"],
            )
            for j in jobs
        ],
    )
    table(
        ("names", "schema opens, ms", "encode of one line, s"),
        [(o["names"], 1e3 * o["schema_s"], o["encode_s"]) for o in opened],
    )
    save("one_command", {"jobs": jobs, "opening": opened}, given)


def _write_files(data: Path, work: Path) -> None:
    """Put both tables where the commands find them."""
    with (work / JOBS["MovieLens"].file).open("w", encoding="latin-1") as out:
        for name in ("ua.base", "ua.test"):
            with open_text(data / "movielens_100k", name) as file:
                shutil.copyfileobj(file, out)
    packed = data / "npm_package_repo/sample_400k.tsv.zst"
    with packed.open("rb") as file, (work / JOBS["npm"].file).open("wb") as out:
        zstandard.ZstdDecompressor().copy_stream(file, out)


def _train(work: Path, job: Job, given: Any) -> dict[str, Any]:
    """Run a command, on a few lines first, and return what it cost."""
    few = work / f"few-{job.file}"
    with (work / job.file).open("rb") as file:
        few.write_bytes(b"".join(itertools.islice(file, WARM_UP_LINES)))
    common = (*job.words, "--set", f"threads={given.threads}", "--log-format", "plain")
    _run(work, "train", "--train", few.name, *common, "--out", "warm")
    words = ("train", "--train", job.file, *common, "--out", "model")
    started = time.perf_counter()
    usage = _run(work, *words)
    seconds = time.perf_counter() - started
    model = Object2Vec.load(work / "model")
    (finished,) = (event for event in model.facts.history if event["event"] == "finished")
    with (work / job.file).open("rb") as file:
        rows = sum(1 for _ in file)
    size_bytes = sum(each.stat().st_size for each in (work / "model").iterdir())
    for name in ("model", "warm"):
        shutil.rmtree(work / name)
    return {
        "command": " ".join(("object2vec", *words)),
        "rows": rows,
        "epochs": finished["epochs"],
        "seconds": seconds,
        "rows_per_s": rows * finished["epochs"] / seconds,
        "training_records_per_s": finished["pairs_per_s"],
        "peak_memory_mib": usage / 2**20,
        "model_mib": size_bytes / 2**20,
    }


def _open(work: Path, names: int, given: Any) -> dict[str, Any]:
    """Return how long a model of so many names takes to open."""
    rows = {
        "name": [f"the name of number {i:07d}" for i in range(names)],
        "kind": [f"kind {i % 7}" for i in range(names)],
        "worth": [i % 5 for i in range(names)],
    }
    model = work / f"names-{names}"
    settings = {
        "output_layer": "mean_squared_error",
        "enc_dim": 64,
        "epochs": 1,
        "mlp_dim": 4,
        "mini_batch_size": 10_000,
        "threads": given.threads,
    }
    Object2Vec(in0="name:token", in1="kind:token", label="worth", **settings).fit(
        rows, save_to=model
    )
    (work / "line.txt").write_text("the name of number 0000007\n", encoding="utf-8")
    schema_s, encode_s = [], []
    for _ in range(given.rounds + 1):  # the first one warms up
        command = [sys.executable, "-c", _OPEN, str(model)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        schema_s.append(float(done.stdout))
        started = time.perf_counter()
        _run(work, "encode", model.name, "--side", "in0", "--lines", "line.txt")
        encode_s.append(time.perf_counter() - started)
    files = [model / name for name in ("schema.json", "vocabularies.safetensors")]
    return {
        "names": names,
        "schema_s": statistics.median(schema_s[1:]),
        "schema_rounds_s": schema_s[1:],
        "encode_s": statistics.median(encode_s[1:]),
        "encode_rounds_s": encode_s[1:],
        "schema_mib": sum(file.stat().st_size for file in files) / 2**20,
    }


# Until it runs its program, a process counts the memory of the one that it was forked from as its
# own, so a small one starts the command and asks for what that has used.
_MEASURED = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


def _run(work: Path, *words: str) -> int:
    """Run a command in a folder; return its memory at the peak, in bytes."""
    environment = os.environ | {"OBJECT2VEC_CACHE": str(work / "cache")}
    launcher = [sys.executable, "-I", "-S", "-c", _MEASURED, "memory.txt"]
    command = [sys.executable, "-m", "object2vec", *words]
    with (work / "log.txt").open("w+", encoding="utf-8") as log:
        done = subprocess.run(
            [*launcher, *command], cwd=work, env=environment, stdout=log, stderr=log, check=False
        )
        if done.returncode:
            log.seek(0)
            raise SystemExit(f"object2vec {words[0]} failed:\n{log.read()[-2000:]}")
    return int((work / "memory.txt").read_text(encoding="utf-8")) * 1024


if __name__ == "__main__":
    main()
