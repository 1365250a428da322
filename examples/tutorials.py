"""What the four tutorials share: public data, files of records, a training, a report."""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import shutil
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from object2vec import Object2Vec


def parse_arguments(description: str, data_help: str, argv: Any = None) -> argparse.Namespace:
    """Return --data, --quick and --work; `work` is a folder that exists."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=form)
    parser.add_argument("--data", type=Path, metavar="PATH", help=data_help)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small settings, and without --data small made-up data: a minute, no good figures",
    )
    parser.add_argument("--work", type=Path, metavar="DIR", help="where files of records go")
    arguments = parser.parse_args(argv)
    if arguments.work is None:
        arguments.work = Path(tempfile.mkdtemp(prefix="object2vec-tutorial-"))
    arguments.work.mkdir(parents=True, exist_ok=True)
    return arguments


def fetch(url: str, folder: Path, sha256: str | None = None) -> Path:
    """Download an archive, once, check it and unpack its files; return the folder."""
    archive = folder / url.rpartition("/")[2]
    folder.mkdir(parents=True, exist_ok=True)
    if not archive.exists():
        print(f"Fetching {url}")
        part = archive.with_suffix(".part")
        with urllib.request.urlopen(url, timeout=60) as response, part.open("wb") as file:
            shutil.copyfileobj(response, file, 1 << 20)
        part.rename(archive)
    found = digest(archive)
    if sha256 is None:
        print(f"{archive.name}: no checksum is published; {archive.stat().st_size} bytes, {found}")
    elif found != sha256:
        raise SystemExit(f"{archive}: must have the SHA-256 {sha256}; got {found}. Delete it.")
    for name, stream in _members(archive):
        target = folder / Path(name).name  # flat, so that no name can lead elsewhere
        with stream, target.open("wb") as file:
            shutil.copyfileobj(stream, file, 1 << 20)
    return folder


def _members(archive: Path) -> Iterator[tuple[str, Any]]:
    """Yield the plain files of an archive."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            for member in packed.infolist():
                if not member.is_dir() and not Path(member.filename).name.startswith("."):
                    yield member.filename, packed.open(member)
        return
    with tarfile.open(archive) as unpacked:
        for entry in unpacked:
            if entry.isfile():
                yield entry.name, unpacked.extractfile(entry)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            found.update(part)
    return found.hexdigest()


def find(folder: Path, name: str) -> Path:
    """Return the file of this name beneath a folder, packed or not."""
    for path in sorted(folder.rglob(f"{name}*")):
        if path.name in (name, f"{name}.gz", f"{name}.zst"):
            return path
    raise SystemExit(f"{folder}: must hold {name}, plain, .gz or .zst. See --help.")


def read_lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """Yield the lines of a text file, packed with gzip or zstd or not."""
    if path.suffix == ".zst":
        import zstandard

        with path.open("rb") as raw:
            stream = zstandard.ZstdDecompressor().stream_reader(raw)
            yield from (line.rstrip("\r\n") for line in io.TextIOWrapper(stream, encoding))
        return
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding=encoding) as file:
        yield from (line.rstrip("\r\n") for line in file)


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    """Write JSON Lines and return the path."""
    with path.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(json.dumps(record) + "\n")
    return path


def train(
    name: str, hyperparameters: Mapping[str, Any], channels: Mapping[str, Path], work: Path
) -> Object2Vec:
    """Train on the files of the channels, save the model and return it."""
    model = Object2Vec(**hyperparameters)
    files = dict(channels)
    model.fit(files.pop("train"), **files, save_to=work / "models" / name, overwrite=True)
    return model


def report(title: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Print figures under a title and return them."""
    print(f"\n{title}")
    for name, value in figures.items():
        print(f"  {name}: {value:.4g}" if isinstance(value, float) else f"  {name}: {value}")
    return dict(figures)
