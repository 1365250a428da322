"""Archives are unpacked whatever the order of their entries, up to what is allowed."""

import io
import tarfile
import types

import pytest

from object2vec.errors import ArtifactError
from object2vec.files import archive as archives
from object2vec.files.archive import unpacked

FOLDERS = ["model/", "model/deep/", "model/deep/est/"]
FILES = ["model/config.json", "model/deep/est/x"]


@pytest.mark.parametrize(
    "names",
    [FOLDERS + FILES, FILES + FOLDERS, FILES, FOLDERS[::-1] + FILES, [*FILES, *FOLDERS, *FOLDERS]],
    ids=["parents first", "files first", "no folders", "parents last", "folders again"],
)
def test_entries_may_come_in_any_order(tmp_path, names):
    path = tmp_path / "m.tar"
    with tarfile.open(path, "w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info.size = 0 if info.isdir() else len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
    with unpacked(path, "config.json") as folder:
        assert folder.name == "model"
        found = {
            f"model/{p.relative_to(folder)}": p.read_text()
            for p in folder.rglob("*")
            if p.is_file()
        }
    assert found == {name: name for name in FILES}


def packed(path, *names, size=5, **options):
    """An archive with files of these names, of this size each."""
    with tarfile.open(path, "w:gz", **options) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = size
            archive.addfile(info, io.BytesIO(bytes(size)))
    return path


def is_taken(path, **options):
    try:
        with unpacked(path, "mark", **options) as folder:
            return (folder / "mark").is_file()
    except ArtifactError as err:
        return "must be a plain file or folder inside the archive" not in str(err)


def test_as_many_bytes_as_are_allowed_are_unpacked(tmp_path):
    path = packed(tmp_path / "m", "a", "mark")
    assert [is_taken(path, max_bytes=size) for size in (10, 9)] == [True, False]


def test_as_many_bytes_as_the_disk_has_are_unpacked(tmp_path, monkeypatch):
    path, taken = packed(tmp_path / "m", "mark"), []
    for free in (5, 4):
        usage = types.SimpleNamespace(free=free)
        monkeypatch.setattr("shutil.disk_usage", lambda folder, usage=usage: usage)
        taken.append(is_taken(path))
    assert taken == [True, False]


@pytest.mark.parametrize(("limit", "expected"), [(3, True), (2, False)])
def test_as_many_entries_as_are_allowed_are_unpacked(tmp_path, monkeypatch, limit, expected):
    path = packed(tmp_path / "m", "a", "b", "mark")
    monkeypatch.setattr(archives, "MAX_FILES", limit)
    assert is_taken(path) is expected


@pytest.mark.parametrize(("limit", "expected"), [(151, True), (150, False)])
def test_a_name_may_be_as_long_as_is_allowed(tmp_path, monkeypatch, limit, expected):
    path = packed(tmp_path / "m", "x" * 150, "mark", format=tarfile.GNU_FORMAT)
    monkeypatch.setattr(archives, "_MAX_HEADER_BYTES", limit)
    assert is_taken(path) is expected


@pytest.mark.parametrize(
    ("names", "at"),
    [(["mark", "a/mark", "b/mark"], "."), (["a/mark", "b/x"], "a"), (["a/b/mark"], None)],
)
def test_the_folder_is_the_top_or_the_one_in_it_that_holds_the_mark(tmp_path, names, at):
    path = packed(tmp_path / "m", *names)
    if at is None:
        with (
            pytest.raises(ArtifactError, match=r"^mine: must hold one file mark; got '0 of them'"),
            unpacked(path, "mark", name="mine"),
        ):
            pytest.fail("was unpacked")
        return
    with unpacked(path, "mark") as folder:
        held = {path.name for path in folder.iterdir()}
        assert held == ({"mark", "a", "b"} if at == "." else {"mark"})
