"""Compiled functions: ranges on threads, and files that may miss or be damaged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numba
import numpy as np
import pytest

from object2vec.compiled import Programs, cache, first_line, missing, use_threads
from object2vec.compiled.functions import parallel
from object2vec.compiled.pool import _Pool


@parallel
def mark(first, last, owners, counts):
    for i in range(first, last):
        owners[i] = first
        counts[i] += 1


@pytest.fixture
def threads():
    yield use_threads
    use_threads(1)


def test_a_parallel_function_is_cached_with_the_sources_beside_its_own():
    code = mark._entry.py_func.__code__
    assert code.co_filename == __file__
    assert mark._entry._cache._function.__code__ is code
    first = next(
        n for n, line in enumerate(Path(__file__).read_text().splitlines(), 1) if "def mark" in line
    )
    assert first - 1 <= code.co_firstlineno <= first


def test_compiled_functions_lie_where_the_user_says_or_beside_the_package(monkeypatch, tmp_path):
    user = os.getuid() if hasattr(os, "getuid") else 0
    last = Path(tempfile.gettempdir()) / f"object2vec-kernels-{user}"
    beside = Path(cache.__file__).parents[1] / "__pycache__" / "kernels"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "given"))
    monkeypatch.setattr(cache, "user_cache", lambda: tmp_path / "user")
    in_order = [tmp_path / "given" / "object2vec", beside, tmp_path / "user" / "kernels", last]
    assert list(cache._folders()) == in_order
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    monkeypatch.setattr(cache, "user_cache", lambda: None)
    assert list(cache._folders()) == [beside, last]


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("n", [0, 1, 63, 64, 65, 1000])
@pytest.mark.parametrize("small", [True, False])
def test_every_unit_is_worked_on_once(count, n, small, threads):
    threads(count)
    owners, counts = np.full(n, -1), np.zeros(n, np.int64)
    mark(n, owners, counts, small=small)
    assert (counts == 1).all()
    assert len(np.unique(owners)) == min(n, 64)


@pytest.mark.parametrize("count", [1, 2])
def test_ranges_of_unequal_size_are_those_that_are_given(count, threads):
    threads(count)
    owners, counts = np.full(10, -1), np.zeros(10, np.int64)
    mark(np.array([2, 2, 5, 9]), owners, counts)
    assert owners.tolist() == [-1, -1, 2, 2, 2, 5, 5, 5, 5, -1]
    assert counts.sum() == 7


# Calls one function; prints how often Numba compiled it and which folder is written.
CALLING = """
import logging, sys
logging.basicConfig(stream=sys.stdout, format="%(message)s")
import numpy as np
from numba.core import event
from object2vec.compiled import missing
assert missing() is None, missing()
from object2vec.compiled.cache import writable_folder


class Count(event.Listener):
    n = 0
    def on_start(self, event):
        Count.n += event.data["dispatcher"].__name__ == NAME
    def on_end(self, event):
        pass


with event.install_listener("numba:compile", Count()):
    CALL
assert ("numba.np.arraymath" in sys.modules) == (Count.n > 0), "loaded only to compile"
print(Count.n, writable_folder())
"""


def calling(name: str, call: str) -> str:
    return CALLING.replace("NAME", repr(name)).replace("CALL", call.replace("\n", "\n    "))


PROGRAM = calling(
    "mean_rows",
    """\
from object2vec.kernels.cpu.loops.lookup import mean_rows
out = np.empty((2, 3), np.float32)
mean_rows(2, np.ones((4, 3), np.float32), np.ones(2, np.int32), np.arange(3), out)
assert (out == 1).all()""",
)
# One that nothing is compiled into and that no threads share: it takes a third of the time.
SHORT = calling(
    "copy_rows",
    """\
from object2vec.objects.programs import copy_rows
out = np.zeros(2, np.int32)
copy_rows(np.arange(6, dtype=np.int32), np.array([1, 4]), np.arange(3), out)
assert out.tolist() == [1, 4]""",
)


def compile_once(program: str = PROGRAM, /, **environ: str) -> tuple[int, str, str]:
    """Return how often it was compiled, the folder, and what else was said."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environ,
    )
    assert done.returncode == 0, done.stderr
    *said, last = done.stdout.splitlines()
    count, folder = last.split(maxsplit=1)
    return int(count), folder, "\n".join(said) + done.stderr


def copied_package(folder: Path) -> Path:
    source = Path(__file__).parents[2] / "src" / "object2vec"
    for path in source.rglob("*.py"):
        target = folder / "src" / path.relative_to(source.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return folder / "src"


@pytest.fixture
def package(tmp_path):
    """A copy of the package that nothing was compiled for."""
    return copied_package(tmp_path)


def environ(package: Path, cache: Path | str) -> dict[str, str]:
    return {"PYTHONPATH": str(package), "NUMBA_CACHE_DIR": str(cache)}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """What another copy of the package has compiled, which is the same as any copy's."""
    folder = tmp_path_factory.mktemp("compiled")
    compile_once(**environ(copied_package(folder), folder / "kernels"))
    return folder / "kernels"


def test_what_was_compiled_is_found_by_the_next_process(package, tmp_path):
    given = environ(package, tmp_path / "kernels")
    folder = str(tmp_path / "kernels" / "object2vec")
    assert compile_once(**given) == (1, folder, "")
    assert compile_once(**given) == (0, folder, "")


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "changed", "folder"])
def test_a_damaged_file_is_compiled_anew_and_replaced(package, compiled, tmp_path, damage):
    given = environ(package, shutil.copytree(compiled, tmp_path / "kernels"))
    folder = tmp_path / "kernels" / "object2vec"
    names = {path.name for path in folder.iterdir()}
    for path in folder.iterdir():
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        whole = {"cut": content[:100], "empty": b"", "other": b"text", "changed": content}
        path.unlink()
        path.mkdir() if damage == "folder" else path.write_bytes(whole[damage])
    assert compile_once(**given)[0] == 1
    assert {path.name for path in folder.iterdir()} == names  # or else these were other files
    assert compile_once(**given)[0] == (damage == "folder")


def test_another_source_or_cpu_is_compiled_for_itself(package, compiled, tmp_path):
    given = environ(package, shutil.copytree(compiled, tmp_path / "kernels"))
    assert compile_once(**given)[0] == 0
    assert compile_once(**given, NUMBA_CPU_NAME="generic")[0] == 1
    assert compile_once(**given)[0] == 0
    beside = package / "object2vec" / "compiled" / "prefetch.py"
    beside.write_text(beside.read_text() + "\n")  # part of it is compiled into `mean_rows`
    assert compile_once(**given)[0] == 1


def test_a_folder_that_cannot_be_used_is_passed_over(package, tmp_path):
    (tmp_path / "file").write_text("no folder")
    count, folder, said = compile_once(SHORT, **environ(package, tmp_path / "file"))
    assert (count, folder, said) == (
        1,
        str(package / "object2vec" / "__pycache__" / "kernels"),
        "",
    )


def test_a_folder_is_taken_only_if_files_can_be_made_in_it(monkeypatch, tmp_path):
    folders = [tmp_path / "read-only", tmp_path / "good", tmp_path / "later"]
    make = tempfile.TemporaryFile

    def temporary(dir=None):
        if dir == folders[0]:
            raise OSError(30, "Read-only file system")
        return make(dir=dir)

    monkeypatch.setattr(cache, "_folders", lambda: iter(folders))
    monkeypatch.setattr(tempfile, "TemporaryFile", temporary)
    assert cache.writable_folder.__wrapped__() == folders[1]
    assert not folders[2].exists()


def test_without_a_folder_there_is_none_and_the_log_says_it(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(cache, "_folders", lambda: iter([tmp_path / "file" / "kernels"]))
    assert cache.writable_folder.__wrapped__() is None
    assert caplog.messages == [
        "No folder for compiled kernels can be written: each process compiles."
    ]


def test_a_folder_that_others_can_write_is_not_trusted(package, tmp_path):
    own = tmp_path / "kernels" / "object2vec"
    own.mkdir(parents=True)
    own.chmod(0o777)
    _, folder, _ = compile_once(SHORT, **environ(package, tmp_path / "kernels"))
    assert folder != str(own)


def test_without_any_folder_each_process_compiles(package, tmp_path):
    (tmp_path / "file").write_text("no folder")
    (package / "object2vec" / "__pycache__").write_text("no folder")
    given = environ(package, tmp_path / "file") | dict.fromkeys(
        ("XDG_CACHE_HOME", "HOME", "TMPDIR"), str(tmp_path / "file")
    )
    program = "import tempfile; tempfile.tempdir = '/proc/none'\n" + SHORT
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-B", "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | given,
        )
        assert done.stdout == (
            "No folder for compiled kernels can be written: each process compiles.\n1 None\n"
        )


def test_a_full_disk_ends_nothing(package, tmp_path):
    program = (
        "import object2vec.compiled.cache as cache\n"
        "def full(path, content): raise OSError(28, 'No space left on device')\n"
        "cache._write_whole = full\n" + SHORT
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environ(package, tmp_path),
    )
    assert done.stdout.startswith("1 ")


def test_what_came_with_the_package_is_read_where_it_cannot_be_written(package, tmp_path):
    """As in an image that was warmed when it was built, and runs as another user."""
    (tmp_path / "file").write_text("no folder")
    beside = package / "object2vec" / "__pycache__" / "kernels"
    assert compile_once(SHORT, **environ(package, tmp_path / "file"))[:2] == (1, str(beside))
    own = tmp_path / "own"
    assert compile_once(SHORT, **environ(package, own))[:2] == (0, str(own / "object2vec"))


def test_processes_may_compile_at_once(package, tmp_path):
    given = os.environ | environ(package, tmp_path / "kernels")
    started = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], env=given, stdout=subprocess.DEVNULL)
        for _ in range(3)
    ]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert compile_once(**environ(package, tmp_path / "kernels"))[0] == 0


BROKEN = {
    "is not there": "raise ModuleNotFoundError(\"No module named 'numba'\")",
    "does not fit": "raise SystemError('initialization of _internal failed')",
    "lacks a library": "raise OSError('Could not find/load shared object file')",
}


@pytest.mark.parametrize("why", [*BROKEN, "is switched off"])
def test_without_a_working_numba_everything_goes_on_slower(why, tmp_path):
    if why in BROKEN:
        (tmp_path / "numba").mkdir()
        (tmp_path / "numba" / "__init__.py").write_text(BROKEN[why])
    program = """
import json, logging, sys
logging.basicConfig(stream=sys.stdout, format="%(message)s")
from object2vec import Object2Vec
rows = [{"in0": [1], "in1": [2, 3], "label": i % 2} for i in range(20)]
open("t.jsonl", "w").writelines(json.dumps(row) + "\\n" for row in rows)
model = Object2Vec(enc0_network="hcnn", enc0_max_seq_len=4, enc0_vocab_size=9, enc_dim=8, mlp_dim=8,
                   epochs=1, threads=1).fit("t.jsonl")
print(model.encode(in0=[[1]]).shape)
"""
    path = {"PYTHONPATH": str(tmp_path)} if why in BROKEN else {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env=os.environ | path,
    )
    assert done.returncode == 0, done.stderr
    assert "The compiled kernels need numba (" in done.stdout
    assert done.stdout.endswith("(1, 8)\n")


def test_numba_is_here():
    assert missing() is None


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("numba", "ModuleNotFoundError: import of numba halted; None in sys.modules"),
        (
            "object2vec.compiled.functions",
            "ModuleNotFoundError: import of object2vec.compiled.functions halted; None in ",
        ),
    ],
)
def test_what_keeps_a_process_from_compiled_code_is_said(module, why, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, module, None)
    found = missing.__wrapped__()
    assert found.startswith(why)
    caplog.set_level("INFO", "tests.programs")
    with monkeypatch.context() as patch:
        patch.setattr("object2vec.compiled.missing", missing.__wrapped__)
        programs = Programs("object2vec.objects.programs", "tests.programs", "Reading")
        assert programs() is programs() is None
    said = f"Reading without compiled code, more slowly ({found})."
    assert [record.getMessage() for record in caplog.records] == [said]  # once


def test_a_switch_of_numba_keeps_from_compiled_code(monkeypatch):
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)
    assert missing.__wrapped__() == "NUMBA_DISABLE_JIT is set"


def test_the_first_line_of_an_error_names_its_kind():
    assert first_line(OSError("no library\nin /usr/lib")) == "OSError: no library"


def test_where_files_have_no_owners_any_folder_is_taken(monkeypatch, tmp_path):
    folder = tmp_path / "object2vec"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert cache.writable_folder.__wrapped__() != folder
    folder.chmod(0o775)  # of its owner, and of a group that the owner trusts
    assert cache.writable_folder.__wrapped__() == folder
    folder.chmod(0o777)
    monkeypatch.delattr(os, "getuid")
    assert cache.writable_folder.__wrapped__() == folder


def test_a_folder_is_made_for_its_owner_and_its_files_may_be_read_by_all(monkeypatch, tmp_path):
    """As where an image is warmed by one user and used by another."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "new" / "kernels"))
    folder = cache.writable_folder.__wrapped__()
    assert folder == tmp_path / "new" / "kernels" / "object2vec"
    assert folder.stat().st_mode & 0o777 == 0o700
    cache._write_whole(folder / "kernel", b"code")
    assert (folder / "kernel").read_bytes() == b"code"
    assert (folder / "kernel").stat().st_mode & 0o777 == 0o644
    assert len([*folder.iterdir()]) == 1


@pytest.mark.parametrize(("owner", "is_own"), [("root", True), ("self", True), ("other", False)])
def test_a_folder_is_trusted_by_its_owner(owner, is_own, monkeypatch, tmp_path):
    facts, number = tmp_path.stat(), 4711
    owners = {"root": 0, "self": number, "other": number + 1}
    found = os.stat_result((facts.st_mode & 0o755, *facts[1:4], owners[owner], *facts[5:]))
    monkeypatch.setattr(os, "getuid", lambda: number)
    monkeypatch.setattr(Path, "stat", lambda self, **_: found)
    assert cache._is_own(tmp_path) == is_own


def test_a_file_that_cannot_be_put_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*paths):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        cache._write_whole(tmp_path / "kernel", b"code")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [2, 5])  # the second one: more than this machine may have cores
def test_every_range_of_many_jobs_is_worked_on_once(count, threads, monkeypatch):
    """Whoever comes late to a job must neither take a range of the next one nor lose its own."""
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", count)
    threads(count)
    draw, owners, found = np.random.default_rng(0), np.empty(300, np.int64), np.zeros(300, int)
    for _ in range(3000):
        size = int(draw.integers(1, 300))
        found[:] = 0
        mark(size, owners, found)
        assert found.sum() == (found[:size] == 1).sum() == size


def test_who_has_no_helpers_works_alone():
    pool, owners, found = _Pool(), np.empty(10, np.int64), np.zeros(10, np.int64)
    pool.help_with(0)
    work = (pool.address, np.arange(11), owners, found)
    caller = threading.Thread(target=mark._entry, args=work, daemon=True)
    caller.start()
    caller.join(20)
    assert found.tolist() == [1] * 10
    assert owners.tolist() == [*range(10)]


def test_callers_on_several_threads_wait_for_each_other(threads):
    threads(2)
    found = np.zeros((3, 200), np.int64)

    def call(row):
        for _ in range(300):
            mark(200, np.empty(200, np.int64), row)

    callers = [threading.Thread(target=call, args=[row]) for row in found]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert (found == 300).all()
