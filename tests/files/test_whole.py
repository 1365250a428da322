"""Files appear whole or not at all, whatever fails and whenever it does."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import os
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import safetensors.torch
import torch

from object2vec import ArtifactError, Object2Vec, StorageError
from object2vec.files import whole
from object2vec.files.tensors import read_tensors, write_tensors
from object2vec.files.whole import (
    TEMPORARY_PREFIX,
    check_writable,
    flush,
    make_folder,
    remove_abandoned,
    remove_unless_locked,
    space_ahead,
    temporary_file,
    whole_file,
    whole_folder,
)

# Everything that touches the disk while a folder is written.
CALLS = [
    (Path, "mkdir"),
    (Path, "write_text"),
    (Path, "chmod"),
    (safetensors.torch, "save_file"),
    (os, "fsync"),
    (os, "rename"),
    (whole, "_exchange"),
]
ERRORS = [errno.ENOSPC, errno.EIO, errno.EROFS]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two fitted models with different weights."""
    records = [{"in0": [1, 2], "in1": [3], "label": 1}, {"in0": [4], "in1": [5], "label": 0}]
    return [
        Object2Vec(
            enc0_network="pooled_embedding",
            enc0_max_seq_len=2,
            enc0_vocab_size=6,
            enc_dim=4,
            mlp_layers=0,
            epochs=1,
            threads=1,
            seed=seed,
        ).fit(records)
        for seed in (1, 2)
    ]


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }


def fail(patch: pytest.MonkeyPatch, owner, name: str, at: int, number: int) -> list[int]:
    """Let call number `at` of a function raise; return the list of the calls to come."""
    original, calls = getattr(owner, name), []

    def call(*args, **kwargs):
        calls.append(len(calls) + 1)
        if calls[-1] == at:
            raise OSError(number, os.strerror(number))
        return original(*args, **kwargs)

    patch.setattr(owner, name, call)
    return calls


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("way", ["exchange", "two renames", "new"])
def test_a_save_that_fails_at_any_call_leaves_what_stood_there(
    models, way, number, tmp_path, monkeypatch
):
    old, new = models
    target, is_there = tmp_path / "model", way != "new"
    if way == "two renames":  # as on a file system that cannot exchange names
        monkeypatch.setattr(whole, "_exchange", lambda work, target: False)
    if is_there:
        old.save(target)
    before = content(tmp_path)
    failures = dict.fromkeys(CALLS, 0)
    for owner, name in CALLS:
        for at in itertools.count(1):
            with pytest.MonkeyPatch.context() as patch:
                calls = fail(patch, owner, name, at, number)
                with contextlib.suppress(StorageError):
                    new.save(target, overwrite=True)
                    break
            failures[owner, name] += 1
            assert content(tmp_path) == before, f"{name}, call {at}"
        assert len(calls) < at  # it went well only where nothing failed
        saved = content(target)
        assert saved.keys() >= {"config.json", "model.safetensors"}
        assert content(tmp_path).keys() == {"model", *(f"model/{name}" for name in saved)}
        shutil.rmtree(target)
        if is_there:
            old.save(target)
    assert failures[os, "fsync"] >= 6
    assert failures.pop((os, "rename")) == {"exchange": 0, "two renames": 2, "new": 1}[way]
    assert failures.pop((whole, "_exchange")) == is_there
    assert min(failures.values()) >= 1


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize(("owner", "name"), CALLS[:-1])
def test_a_save_that_fails_says_why_and_what_to_do(models, owner, name, number, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        fail(patch, owner, name, 1, number)
        text = (
            rf"must be writable, with space left; got '{os.strerror(number)}'\. Free space or "
            r"choose another path; what stood there before is unchanged\."
        )
        with pytest.raises(StorageError, match=text):
            models[0].save(tmp_path / "model")


def test_a_disk_that_is_full_at_any_byte_leaves_what_stood_there(models, tmp_path):
    """The kernel itself refuses, in Python's writes as in those of safetensors."""
    old, new = models
    target = tmp_path / "model"
    old.save(target)
    before = content(tmp_path)
    largest = max(len(data) for data in before.values())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in [*range(0, 40), *range(40, largest, 97)]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(StorageError, match="File too large"):
                new.save(target, overwrite=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert content(tmp_path) == before


def test_an_existing_folder_is_replaced_only_if_told(models, tmp_path):
    old, new = models
    target = tmp_path / "model"
    old.save(target)
    before = content(tmp_path)
    with pytest.raises(StorageError, match=r"model: must not exist yet; .*--overwrite"):
        new.save(target)
    assert content(tmp_path) == before
    new.save(target, overwrite=True)
    assert content(tmp_path).keys() == before.keys()
    assert content(tmp_path) != before


def test_a_file_stands_in_the_way_of_a_folder(models, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="must not exist yet"):
        models[0].save(tmp_path / "file")
    with pytest.raises(StorageError, match=r"must be writable.*(Not a directory|File exists)"):
        models[0].save(tmp_path / "file" / "model")
    assert content(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize("error", [ValueError("ours"), KeyboardInterrupt()], ids=repr)
def test_an_error_in_the_block_is_not_turned_into_another_one(error, tmp_path):
    def write():
        with whole_folder(tmp_path / "a" / "b") as folder:
            (folder / "half").write_text("written")
            assert folder.name.startswith(TEMPORARY_PREFIX)
            raise error

    with pytest.raises(type(error)):
        write()
    assert not (tmp_path / "a" / "b").exists()
    assert list((tmp_path / "a").iterdir()) == []


def test_a_folder_appears_with_all_that_was_written(tmp_path):
    with whole_folder(tmp_path / "new") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("text")
        assert not (tmp_path / "new").exists()
    assert content(tmp_path) == {"new": b"", "new/sub": b"", "new/sub/file": b"text"}


def test_every_file_and_folder_is_flushed_before_the_rename(monkeypatch, tmp_path):
    done = []
    monkeypatch.setattr("object2vec.files.whole.flush", lambda path: done.append(Path(path)))
    rename = os.rename
    monkeypatch.setattr(os, "rename", lambda a, b: (done.append("rename"), rename(a, b)))
    with whole_folder(tmp_path / "new") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("text")
    at = done.index("rename")
    assert set(done[:at]) == {folder, folder / "sub", folder / "sub" / "file"}
    assert done[at + 1 :] == [tmp_path]


def recorded(monkeypatch) -> list:
    """What is flushed, and each file or folder that gets its name, in this order."""
    done, fsync, rename, replace = [], os.fsync, os.rename, os.replace
    path = "/proc/self/fd/{}"
    monkeypatch.setattr(
        os, "fsync", lambda file: (done.append(Path(os.readlink(path.format(file)))), fsync(file))
    )
    monkeypatch.setattr(os, "rename", lambda a, b: (done.append(("rename", b)), rename(a, b)))
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append(("rename", b)), replace(a, b)))
    return done


def test_a_file_is_flushed_before_it_gets_its_name_and_the_name_after_it(monkeypatch, tmp_path):
    done = recorded(monkeypatch)
    with whole_file(tmp_path / "new") as stream:
        stream.write(b"text")
        work = Path(stream.name)
    assert done == [work, ("rename", tmp_path / "new"), tmp_path]


def test_all_that_was_written_is_in_the_file_when_it_is_flushed_to_the_disk(monkeypatch, tmp_path):
    sizes, fsync = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda file: (sizes.append(os.fstat(file).st_size), fsync(file))
    )
    write_file(tmp_path / "new", "text")
    assert sizes[0] == 4


@pytest.mark.parametrize("by_another", [True, False])
def test_a_signal_while_something_is_made_leaves_what_others_write(
    by_another, monkeypatch, tmp_path
):
    """It may come before anything is made, or just after that and before it is known."""
    mkdir, made = Path.mkdir, []

    def interrupted(path, *args, **options):
        mkdir(path, *args, **options)
        made.append(path)
        raise KeyboardInterrupt

    with whole_folder(tmp_path / "x") as first, monkeypatch.context() as patch:
        if by_another:
            patch.setattr(whole, "_sweep", interrupted_at_once)
        else:
            patch.setattr(Path, "mkdir", interrupted)
        with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "x"):
            pytest.fail("was begun")
        assert first.is_dir()
        assert not any(path.exists() for path in made)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def interrupted_at_once(*args, **options):
    raise KeyboardInterrupt


def test_folders_on_the_way_survive_a_crash_too(monkeypatch, tmp_path):
    done = recorded(monkeypatch)
    with whole_folder(tmp_path / "a" / "b" / "new") as folder:
        assert done == [tmp_path, tmp_path / "a"]
    assert done[2:] == [folder, ("rename", tmp_path / "a" / "b" / "new"), tmp_path / "a" / "b"]


def test_processes_may_make_the_same_folders_at_once(monkeypatch, tmp_path):
    mkdir = Path.mkdir

    def second(path, *args, **options):
        mkdir(path)  # by another process, since we looked
        mkdir(path, *args, **options)

    monkeypatch.setattr(Path, "mkdir", second)
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_space_that_was_not_used_is_given_back(tmp_path):
    with whole_file(tmp_path / "new") as stream, space_ahead(stream) as reserve:
        stream.write(b"text")
        stream.flush()
        if not reserve(4) or os.fstat(stream.fileno()).st_blocks * 512 < 1 << 20:
            pytest.skip("this file system sets no space aside")
        assert not reserve(1 << 20)
    assert (tmp_path / "new").read_bytes() == b"text"
    assert (tmp_path / "new").stat().st_blocks * 512 < 1 << 20


def test_a_file_that_cannot_be_set_aside_for_is_written_all_the_same(tmp_path):
    (tmp_path / "x").write_bytes(b"text")
    with (tmp_path / "x").open("rb") as stream, space_ahead(stream) as reserve:
        assert [reserve(4), reserve(1 << 30)] == [False, False]  # it is open for reading alone
    assert (tmp_path / "x").read_bytes() == b"text"


def test_much_space_is_set_aside_in_steps(tmp_path, monkeypatch):
    """One call for each step, and none where it is there already."""
    asked = []

    def allocate(file, flag, offset, size):
        asked.append((flag, offset, size))
        return 0

    monkeypatch.setattr(whole, "_system_call", lambda name, *types: allocate)
    monkeypatch.setattr(whole, "_AHEAD_BYTES", 100)
    with whole_file(tmp_path / "x") as stream, space_ahead(stream) as reserve:
        assert [reserve(0), reserve(1), reserve(100)] == [False, True, False]
        assert [reserve(301), reserve(400)] == [True, False]
        stream.write(b"text")
    keeps_size = 1
    assert asked == [(keeps_size, offset, 100) for offset in (0, 100, 200, 300)]
    assert (tmp_path / "x").read_bytes() == b"text"


def write_file(target: Path, text: str = "new") -> None:
    with whole_file(target) as stream:
        stream.write(text.encode())


def write_folder(target: Path, text: str = "new") -> None:
    with whole_folder(target, may_replace=lambda path: None) as folder:
        (folder / "file").write_text(text)


@pytest.mark.parametrize("write", [write_file, write_folder])
@pytest.mark.parametrize("is_there", [True, False])
def test_what_a_link_leads_to_is_replaced_and_the_link_stays(write, is_there, tmp_path):
    (tmp_path / "far").mkdir()
    if is_there:
        write(tmp_path / "far" / "real", "old")
    (tmp_path / "link").symlink_to("far/real")
    write(tmp_path / "link")
    assert os.readlink(tmp_path / "link") == "far/real"
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["real"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["far", "link"]
    real = tmp_path / "far" / "real"
    assert (real if real.is_file() else real / "file").read_text() == "new"


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_what_is_new_has_the_mode_that_the_umask_allows_and_what_is_replaced_keeps_its(
    write, tmp_path
):
    def modes() -> set[int]:
        return {path.stat().st_mode & 0o777 for path in [tmp_path / "x", *tmp_path.glob("x/*")]}

    before = os.umask(0o027)
    try:
        write(tmp_path / "x")
        assert modes() == ({0o640} if write is write_file else {0o640, 0o750})
        for path in (tmp_path / "x", *tmp_path.glob("x/*")):
            path.chmod(path.stat().st_mode & 0o700)
        os.umask(0o022)
        write(tmp_path / "x")
    finally:
        os.umask(before)
    assert modes() == ({0o600} if write is write_file else {0o600, 0o700})


def test_a_file_is_as_private_while_it_is_written_as_the_one_it_replaces(tmp_path):
    write_file(tmp_path / "x")
    (tmp_path / "x").chmod(0o600)
    with whole_file(tmp_path / "x") as stream:
        assert os.fstat(stream.fileno()).st_mode & 0o777 == 0o600


def test_a_folder_is_replaced_where_the_old_one_stays(tmp_path, folders_stay):
    write_folder(tmp_path / "x")
    with whole_folder(tmp_path / "x", may_replace=lambda path: None) as folder:
        (folder / "new").write_text("new")
    assert folders_stay
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["new"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_where_names_cannot_be_exchanged_folders_are_renamed_one_after_the_other(
    tmp_path, monkeypatch, number
):
    def exchange(*names):
        ctypes.set_errno(number)
        return -1

    write_folder(tmp_path / "x", "old")
    monkeypatch.setattr(whole, "_system_call", lambda name, *types: exchange)
    if number == errno.EIO:  # the call is known and has failed
        with pytest.raises(StorageError, match=os.strerror(number)):
            write_folder(tmp_path / "x")
    else:
        write_folder(tmp_path / "x")
    expected = b"old" if number == errno.EIO else b"new"
    assert content(tmp_path) == {"x": b"", "x/file": expected}


def test_folders_are_replaced_on_systems_without_calls_of_linux(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    write_folder(tmp_path / "x", "old")
    write_folder(tmp_path / "x")
    assert content(tmp_path) == {"x": b"", "x/file": b"new"}
    with whole_file(tmp_path / "y") as stream, space_ahead(stream) as reserve:
        assert not reserve(1)


def test_nothing_is_locked_or_flushed_that_windows_does_not_let(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "fcntl", None)
    write_file(tmp_path / "x")
    assert content(tmp_path) == {"x": b"new"}
    monkeypatch.setattr(os, "name", "nt")
    monkeypatch.setattr(os, "open", None)
    flush(tmp_path)


def test_a_folder_that_can_be_made_again_is_not_flushed(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(whole, "flush", flushed.append)
    with whole_folder(tmp_path / "x", is_flushed=False) as folder:
        (folder / "file").write_text("new")
    assert content(tmp_path) == {"x": b"", "x/file": b"new"}
    assert not flushed


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_what_a_killed_process_has_left_goes_with_the_next_one(write, tmp_path):
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from object2vec.files import whole\n"
        "with getattr(whole, sys.argv[2])(Path(sys.argv[1])):\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    name = "whole_file" if write is write_file else "whole_folder"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x"), name], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(TEMPORARY_PREFIX)
    write(tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_what_was_abandoned_anywhere_beneath_a_folder_goes_and_the_rest_stays(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / f"{TEMPORARY_PREFIX}folder-0").mkdir()
    (tmp_path / "deep" / f"{TEMPORARY_PREFIX}folder-0" / "file").write_text("half")
    (tmp_path / f"{TEMPORARY_PREFIX}file-0").write_text("half")
    (tmp_path / "deep" / "mine").write_text("whole")
    with whole_file(tmp_path / "now") as stream:  # is written at this moment
        remove_abandoned(tmp_path)
        assert {each for each in content(tmp_path) if TEMPORARY_PREFIX in each} == {
            Path(stream.name).name
        }
    assert content(tmp_path) == {"deep": b"", "deep/mine": b"whole", "now": b""}


def test_a_temporary_file_is_locked_and_goes(tmp_path):
    for fails in (False, True):
        with contextlib.suppress(ZeroDivisionError), temporary_file(tmp_path) as path:
            assert path.parent == tmp_path
            assert path.read_bytes() == b""
            remove_abandoned(tmp_path)
            with temporary_file(tmp_path) as another:
                assert another != path
            assert list(tmp_path.iterdir()) == [path]
            _ = 1 / (not fails)
        assert list(tmp_path.iterdir()) == []


def test_what_is_written_right_now_is_not_removed(tmp_path):
    with whole_folder(tmp_path / "x") as folder, temporary_file(tmp_path) as file:
        for path in (folder, file, tmp_path / "nothing"):
            remove_unless_locked(path)
        assert folder.exists()
        assert file.exists()
    (tmp_path / "left").write_text("left")
    for name in ("x", "left"):
        remove_unless_locked(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_locked_all_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    (tmp_path / "left").write_text("left")
    remove_unless_locked(tmp_path / "left")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files in /proc")
def test_no_file_stays_open_and_no_lock_is_held(tmp_path):
    def leave():
        (tmp_path / f"{TEMPORARY_PREFIX}x-0").mkdir()

    def fail(context):
        with contextlib.suppress(ZeroDivisionError), context:
            _ = 1 / 0

    steps = [
        lambda: write_folder(tmp_path / "x"),
        lambda: write_folder(tmp_path / "x"),
        lambda: (leave(), write_folder(tmp_path / "x")),
        lambda: (leave(), remove_abandoned(tmp_path)),
        lambda: (leave(), remove_unless_locked(tmp_path / f"{TEMPORARY_PREFIX}x-0")),
        lambda: write_file(tmp_path / "y"),
        lambda: check_writable(tmp_path / "x"),
        lambda: flush(tmp_path),
        lambda: fail(whole_folder(tmp_path / "z")),
        lambda: fail(whole_file(tmp_path / "z")),
    ]
    for number, step in enumerate(steps):
        before = len(os.listdir("/proc/self/fd"))
        step()
        assert len(os.listdir("/proc/self/fd")) == before, f"step {number}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "y"]


def test_what_was_replaced_goes_with_the_next_one_if_it_could_not_be_removed(tmp_path):
    write_folder(tmp_path / "x", "old")
    left = tmp_path / f"{TEMPORARY_PREFIX}x-0-old"
    left.mkdir()
    (left / "file").write_text("older")
    write_folder(tmp_path / "x")
    assert content(tmp_path) == {"x": b"", "x/file": b"new"}


@pytest.mark.skipif(sys.platform != "linux", reason="calls of Linux")
def test_a_call_of_the_system_knows_the_types_of_its_arguments():
    """Else an offset beyond two gigabytes would be another one."""
    types = (ctypes.c_int, ctypes.c_int64)
    assert tuple(whole._system_call("fallocate", *types).argtypes) == types
    assert whole._system_call("no_such_call", *types) is None


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
@pytest.mark.parametrize("write", [write_file, write_folder])
@pytest.mark.parametrize("moment", ["before it is opened", "opened", "locked by the other one"])
def test_what_another_one_takes_for_abandoned_is_made_again(moment, write, tmp_path, monkeypatch):
    """It stands there unlocked for a moment, in which another process may remove it."""
    import fcntl

    taken, open_, flock = [], os.open, fcntl.flock

    def work() -> Path:
        (found,) = tmp_path.glob(f"{TEMPORARY_PREFIX}*")
        return found

    def opening(path, flags, *mode):
        if not taken and flags & os.O_NOFOLLOW:  # to lock it
            taken.append(work())
            remove_abandoned(tmp_path)
        return open_(path, flags, *mode)

    def locking(descriptor, operation):
        if taken:
            return flock(descriptor, operation)
        taken.append(work())
        if moment == "opened":
            remove_abandoned(tmp_path)
            return flock(descriptor, operation)
        other = open_(work(), os.O_RDONLY)
        flock(other, operation)
        try:
            return flock(descriptor, operation)
        finally:
            whole.remove(work())
            os.close(other)

    if moment == "before it is opened":
        monkeypatch.setattr(os, "open", opening)
    else:
        monkeypatch.setattr(fcntl, "flock", locking)
    write(tmp_path / "x")
    assert taken
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
def test_a_lock_on_what_has_another_name_by_now_removes_nothing(tmp_path, monkeypatch):
    """A process that looks for what was abandoned opens it just before it gets its own name."""
    import fcntl

    flock, names = fcntl.flock, []

    def locking(descriptor, operation):
        if not names:  # meanwhile the next one writes under the temporary name
            names.append(left)
            left.rename(tmp_path / "x")
            left.write_text("the next one")
        return flock(descriptor, operation)

    left = tmp_path / f"{TEMPORARY_PREFIX}x-0"
    left.write_text("the first one")
    monkeypatch.setattr(fcntl, "flock", locking)
    remove_abandoned(tmp_path)
    assert content(tmp_path) == {left.name: b"the next one", "x": b"the first one"}


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
@pytest.mark.parametrize("write", [write_file, write_folder])
def test_a_file_system_without_locks_is_written_to(write, tmp_path, monkeypatch):
    import fcntl

    def locking(descriptor, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", locking)
    for _ in range(2):
        write(tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_any_number_may_write_to_the_same_target_at_once(tmp_path):
    """Each finds names and locks of the others in all states, and what it writes comes whole."""

    def write(text: str) -> None:
        for _ in range(60):
            write_file(tmp_path / "x", text)
            with whole_folder(
                tmp_path / "y", may_replace=lambda path: None, is_flushed=False
            ) as folder:
                (folder / "file").write_text(text)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, "abcd"))
    found = content(tmp_path)
    assert set(found) == {"x", "y", "y/file"}
    assert {found["x"], found["y/file"]} <= set(map(str.encode, "abcd"))


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
def test_a_folder_that_somebody_else_keeps_locked_is_replaced(tmp_path, monkeypatch):
    """As whoever calls ``flock model object2vec train --out model`` does."""
    import fcntl

    monkeypatch.setattr(whole, "_WAIT_S", 0.05)
    write_folder(tmp_path / "x", "old")
    theirs = os.open(tmp_path / "x", os.O_RDONLY)
    fcntl.flock(theirs, fcntl.LOCK_EX)
    write_folder(tmp_path / "x")
    os.close(theirs)
    assert content(tmp_path) == {"x": b"", "x/file": b"new"}


def test_what_another_one_writes_at_the_same_time_stays(tmp_path):
    with whole_file(tmp_path / "x") as first:
        first.write(b"first")
        with whole_file(tmp_path / "x") as second:
            second.write(b"second")
        assert (tmp_path / "x").read_bytes() == b"second"
    assert (tmp_path / "x").read_bytes() == b"first"
    with whole_folder(tmp_path / "y") as first:
        with contextlib.suppress(ZeroDivisionError), whole_folder(tmp_path / "y") as second:
            assert first != second
            _ = 1 / 0
        assert first.is_dir()
        assert not second.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "y"]


def test_an_old_folder_comes_back_if_a_process_was_killed_between_two_renames(tmp_path):
    write_folder(tmp_path / "x", "old")
    with whole_folder(tmp_path / "y") as folder:
        name = folder.name.replace("y", "x")
    (tmp_path / name).mkdir()  # the new one, and the old one out of its way
    (tmp_path / "x").rename(tmp_path / f"{name}-old")
    with contextlib.suppress(ZeroDivisionError), whole_folder(tmp_path / "x", may_replace=print):
        _ = 1 / 0
    assert (tmp_path / "x" / "file").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "y"]


def test_a_target_is_tried_before_anything_is_written_to_it(tmp_path, monkeypatch):
    write_folder(tmp_path / "x", "old")
    for free in (tmp_path / "x", tmp_path / "new", tmp_path / "not" / "yet" / "there"):
        check_writable(free)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    for wrong in (
        tmp_path / "file" / "x",
        tmp_path / "file" / "x" / "y",
        tmp_path / ("x" * 300),
        Path("/"),
        tmp_path / "loop" / "x",
    ):
        with pytest.raises(StorageError, match=rf"^{wrong}: must be writable, with space left"):
            check_writable(wrong)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(StorageError, match="got 'Permission denied'"):
        check_writable(tmp_path / "x")
    monkeypatch.undo()
    fail(monkeypatch, os, "fsync", 1, errno.ENOSPC)
    with pytest.raises(StorageError, match="got 'No space left on device'"):
        check_writable(tmp_path / "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop", "x"]


def test_a_folder_in_the_way_of_a_file_is_seen_before_it_is_written(tmp_path):
    with pytest.raises(StorageError, match="got 'Is a directory'"), whole_file(tmp_path):
        pytest.fail("was written")


def test_flush_takes_files_and_folders(tmp_path):
    (tmp_path / "file").write_text("x")
    flush(tmp_path / "file")
    flush(tmp_path)
    with pytest.raises(FileNotFoundError):
        flush(tmp_path / "none")


TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([1.5])}


def empty() -> dict[str, torch.Tensor]:
    return {name: torch.zeros_like(tensor) for name, tensor in TENSORS.items()}


def test_tensors_come_back_into_tensors_that_are_there(tmp_path):
    write_tensors(tmp_path / "x", TENSORS)
    into = empty()
    places = {name: tensor.data_ptr() for name, tensor in into.items()}
    read_tensors(tmp_path / "x", into)
    for name, tensor in into.items():
        assert torch.equal(tensor, TENSORS[name])
        assert tensor.data_ptr() == places[name]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"a": TENSORS["a"]}, r"must hold b of shape \(1,\); got 'none'"),
        (TENSORS | {"c": torch.zeros(1)}, r"must hold c of shape none; got \(1,\)"),
        (TENSORS | {"a": torch.zeros(3, 2)}, r"must hold a of shape \(2, 3\); got \(3, 2\)"),
        (TENSORS | {"a": torch.zeros(6)}, r"must hold a of shape \(2, 3\); got \(6,\)"),
        (TENSORS | {"b": torch.zeros(1, dtype=torch.float64)}, "got 'b of type torch.float64'"),
        (TENSORS | {"b": torch.zeros(1, dtype=torch.bfloat16)}, "got 'b of type torch.bfloat16'"),
        (TENSORS | {"b": torch.zeros(1, dtype=torch.int32)}, "got 'b of type torch.int32'"),
        ({}, "must hold a of shape"),
    ],
)
def test_tensors_that_are_not_the_wanted_ones_are_refused(written, message, tmp_path):
    write_tensors(tmp_path / "x", written)
    with pytest.raises(ArtifactError, match=message):
        read_tensors(tmp_path / "x", empty())


def test_a_file_of_tensors_cut_anywhere_is_refused(tmp_path):
    write_tensors(tmp_path / "x", TENSORS)
    whole = (tmp_path / "x").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "x").write_bytes(whole[:length])
        with pytest.raises(ArtifactError, match="must be a whole safetensors file"):
            read_tensors(tmp_path / "x", empty())
    with pytest.raises(ArtifactError, match="must be a whole safetensors file"):
        read_tensors(tmp_path / "none", empty())
    with pytest.raises(ArtifactError, match="must be a whole safetensors file"):
        read_tensors(tmp_path, empty())


def test_tensors_that_cannot_be_written_say_so(tmp_path):
    with pytest.raises(StorageError, match=r"must be writable, with space left; got .*No such"):
        write_tensors(tmp_path / "none" / "x", TENSORS)
