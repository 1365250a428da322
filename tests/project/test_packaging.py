"""What is shipped, and that it installs: the archives' contents, each extra with an old pip."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
EXTRAS = ("serve", "sagemaker", "local", "tune", "text", "test", "docs", "bench", "peers")
OLD_PIP = "23.2.1"  # the one of a fresh environment of Python 3.11.7, which few people upgrade


def run(*command, **options):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def hatch(python, folder):
    """Build the archive of the source and the wheel; return both."""
    run(python, "-m", "hatchling", "build", "-d", folder, cwd=ROOT)
    (source,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return source, wheel


@pytest.mark.skipif(find_spec("hatchling") is None, reason="needs hatchling of the extra `test`")
def test_the_archives_hold_what_they_should(tmp_path):
    source, wheel = hatch(sys.executable, tmp_path)
    check_wheel(wheel)
    check_source(source)


def check_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    assert {name.split("/")[0] for name in names} == {"object2vec", metadata.split("/")[0]}
    modules = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    others = {name for name in names if name.startswith("object2vec/")} - modules
    assert others == {
        "object2vec/py.typed",
        "object2vec/serving/page.html",
        "object2vec/data/wordnet.tsv.zst",
        "object2vec/data/WORDNET-LICENSE",
    }
    licences = {Path(name).name for name in names if "/licenses/" in name}
    assert licences == {"LICENSE", "WORDNET-LICENSE"}
    assert "License-Expression: Apache-2.0" in text
    assert set(re.findall(r"^Provides-Extra: (.*)$", text, re.MULTILINE)) == {*EXTRAS}
    assert "Requires-Dist: torch>=" in text


def check_source(source):
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "Makefile"}
    assert needed | {"src/object2vec/py.typed", "examples/first_pairs.py"} <= names
    assert "src/object2vec/data/WORDNET-LICENSE" in names
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")} <= names
    assert {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py")} <= names
    assert not [name for name in names if name.endswith(".pyc") or name.startswith("site/")]


def test_the_extras_are_those_that_are_installed_below():
    section = PYPROJECT.partition("[project.optional-dependencies]\n")[2].partition("\n[")[0]
    assert tuple(re.findall(r"^(\w+) = \[", section, re.MULTILINE)) == EXTRAS


def test_the_workflow_tests_every_python_that_is_promised():
    promised = re.findall(r"Programming Language :: Python :: (3\.\d+)", PYPROJECT)
    workflow = (ROOT / ".github" / "workflows" / "checks.yml").read_text(encoding="utf-8")
    (matrix,) = re.findall(r"python: \[(.*)\]", workflow)
    assert re.findall(r"3\.\d+", matrix) == promised
    assert "run: make test " in workflow
    assert "run: make docs " in workflow
    assert f'requires-python = ">={promised[0]}"' in PYPROJECT


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """An environment with PyTorch and an old pip alone; its python, and a wheel of this project.

    PyTorch comes first and pinned, as in the Makefile, so that pip need not choose one.
    """
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", f"pip=={OLD_PIP}")
    run(python, "-m", "pip", "install", "-q", torch())
    tools = folder / "tools"
    venv.create(tools, with_pip=True)
    run(tools / "bin" / "python", "-m", "pip", "install", "-q", "hatchling", "uv")
    archives = hatch(tools / "bin" / "python", folder / "archives")
    check_source(archives[0])
    check_wheel(archives[1])
    return python, archives[1], tools / "bin" / "uv"


def torch():
    """What the Makefile asks pip for, without the options that follow it."""
    (line,) = re.findall(r"^TORCH \?= (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    return line


def in_a_minute():
    """End a process that computes for longer: a search for versions that fit takes many minutes."""
    import resource

    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))


@pytest.mark.slow
@pytest.mark.parametrize("extra", EXTRAS)
def test_an_old_pip_finds_versions_for_each_extra(extra, fresh):
    python, wheel, _ = fresh
    what = f"object2vec[{extra}] @ {wheel.as_uri()}"
    said = run(python, "-m", "pip", "install", "--dry-run", what, preexec_fn=in_a_minute)
    (chosen,) = re.findall(r"^Would install (.*)$", said, re.MULTILINE)
    assert "object2vec-" in chosen
    assert " torch-" not in chosen
    if extra in ("sagemaker", "test"):
        assert re.search(r" s3fs-20(2[5-9]|[3-9]\d)", chosen)


@pytest.mark.slow
@pytest.mark.parametrize("extra", EXTRAS)
def test_uv_finds_versions_for_each_extra(extra, fresh):
    python, wheel, uv = fresh
    what = f"object2vec[{extra}] @ {wheel.as_uri()}"
    command = (uv, "pip", "install", "--python", python, "--dry-run", what)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert " + object2vec" in done.stderr
    assert " + torch==" not in done.stderr
    assert "does not have an extra" not in done.stderr


@pytest.mark.slow
def test_the_wheel_works_where_an_old_pip_installs_it(fresh, tmp_path):
    python, wheel, _ = fresh
    run(python, "-m", "pip", "install", "-q", f"object2vec[sagemaker] @ {wheel.as_uri()}")
    alone = {"PATH": os.defpath, "HOME": str(tmp_path)}
    program = python.with_name("object2vec")
    assert "train" in run(program, "--help", cwd=tmp_path, env=alone)
    example = run(python, ROOT / "examples" / "first_pairs.py", cwd=tmp_path, env=alone)
    assert example.count("likes") == 4
    code = "import s3fs, object2vec.serving.app as app; print(app.__file__)"
    assert str(python.parents[1]) in run(python, "-c", code, cwd=tmp_path, env=alone)
