"""Archives are unpacked whatever the order of their entries."""

import io
import tarfile

import pytest

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
