"""The pages are true: their code runs, their links lead somewhere, what they name exists."""

from __future__ import annotations

import doctest
import importlib.util
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from object2vec.cli import main as command_line
from object2vec.fields.describe import described_table
from object2vec.fields.kinds import KINDS
from object2vec.model import Object2Vec
from object2vec.pairs.makers import MAKERS
from object2vec.reading.tables.formats import FORMATS
from support.console import assert_as_said, examples, run_example

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(DOCS.glob("*.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
]
PACKAGE = ROOT / "src" / "object2vec"
FOLDERS = (ROOT, PACKAGE, PACKAGE / "examples")  # where names in pages begin
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^()\s]+)\)")
_NUMBER = re.compile(r"\d+\.\d*")


def read(path):
    return path.read_text(encoding="utf-8")


def blocks(page, language):
    """The code blocks of a page in this language; "" for those that name none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", read(page), re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == language]


def anchors(page):
    """What links into a page may name: its headings as a repository's pages number them."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", read(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def assert_printed(found, said):
    """Compare texts, their decimals within what another machine's rounding may change."""
    assert _NUMBER.sub("N", found) == _NUMBER.sub("N", said)
    numbers = [[float(n) for n in _NUMBER.findall(text)] for text in (found, said)]
    assert numbers[0] == pytest.approx(numbers[1], abs=0.03)


def test_what_to_touch_is_there():
    """Names in code of the table "to add ..." stand in one of the files or folders of their row."""
    table = read(ROOT / "CONTRIBUTING.md").partition("| to add |")[2].partition("\n\n")[0]
    rows = [row for row in table.split("\n") if "`" in row]
    assert len(rows) > 20
    for row in rows:
        said = re.findall(r"`([^`\s]+)`", row)
        places = [PACKAGE / name for name in said if (PACKAGE / name).exists()]
        files = [f for p in places for f in ([p] if p.is_file() else sorted(p.rglob("*.py")))]
        text = "\n".join(map(read, files))
        names = [name for name in said if name.isidentifier() and name not in ("evaluate", "tune")]
        missing = [name for name in names if not re.search(rf"\b{name}\b", text)]
        assert missing in ([], ["PEERS"]), row


@each_page
def test_links_lead_somewhere(page):
    for link in _LINK.findall(_FENCE.sub("", read(page))):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_a_wrong_anchor_would_be_seen():
    assert {"clients-of-an-endpoint", "what-differs"} < anchors(DOCS / "sagemaker.md")
    assert "awss-notebooks" in anchors(DOCS / "examples.md")


def test_the_readme_links_every_page_and_sagemakers_first():
    links = [link.partition("#")[0] for link in _LINK.findall(read(ROOT / "README.md"))]
    pages = {str(page.relative_to(ROOT)) for page in PAGES} - {"README.md"}
    assert pages <= {*links}
    read_on = _LINK.findall(read(ROOT / "README.md").partition("## Read on")[2])
    assert read_on[0] == "docs/sagemaker.md"


def test_the_site_has_every_page():
    menu = read(ROOT / "mkdocs.yml").partition("\nnav:")[2]
    assert {page.name for page in DOCS.glob("*.md")} <= set(re.findall(r"[\w-]+\.md", menu))


@each_page
def test_modules_that_a_page_names_exist(page):
    if page.name == "LOG.md":
        return  # tells what was
    for name in re.findall(r"`([\w/.-]+\.(?:py|html))`", read(page)):
        assert any((base / name).is_file() for base in (page.parent, *FOLDERS)), name
    for name in re.findall(r"`(object2vec(?:\.[a-z_]\w*)+)`", read(page)):
        assert importlib.util.find_spec(name), name


@each_page
def test_targets_that_a_page_names_exist(page):
    targets = re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.MULTILINE)
    for name in re.findall(r"(?:`|^)make ([a-z-]+)", read(page), re.MULTILINE):
        assert name in targets


def test_the_readmes_first_lines_print_what_it_says(capsys):
    readme = ROOT / "README.md"
    exec(compile(blocks(readme, "python")[0], "README.md", "exec"), {})
    said = next(block for block in blocks(readme, "") if block.startswith("[["))
    assert_printed(capsys.readouterr().out, said)
    assert len([line for line in blocks(readme, "python")[0].split("\n") if line]) <= 11


def test_the_readme_shows_what_the_demo_printed():
    shown = next(block for block in blocks(ROOT / "README.md", "") if block.startswith("Which of"))
    assert shown in read(ROOT / "benchmarks" / "results" / "demo.txt")


def test_the_readmes_files_and_commands_work(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    records = [{"in0": [i % 7], "in1": [i % 5], "label": float(i % 3)} for i in range(1, 60)]
    text = "".join(json.dumps(record) + "\n" for record in records)
    for name in ("train.jsonl", "valid.jsonl", "pairs.jsonl"):
        Path(name).write_text(text)
    Path("films.jsonl").write_text('{"in1": [3]}\n')
    readme = ROOT / "README.md"
    code = "from object2vec import Object2Vec\n" + blocks(readme, "python")[1]
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert Path("model/config.json").exists()
    Path("hp.json").write_text(json.dumps(names["model"].get_params() | {"epochs": "1"}))
    (commands,) = (block for block in blocks(readme, "") if block.startswith("object2vec check"))
    for line in commands.strip().split("\n"):
        command = line.partition("#")[0].partition(">")[0].replace("--out model", "--out other")
        program, *words = shlex.split(command)
        assert program == "object2vec"
        if words[0] != "serve":  # docs/serving.md has its own test
            assert command_line(words) == 0, line
    assert Path("films.npy").exists()
    assert capsys.readouterr().out.count('{"scores":') == len(records)


@pytest.mark.parametrize("name", ["python.md", "data.md"])
def test_the_sessions_of_a_page_are_true(name):
    result = doctest.testfile(str(DOCS / name), module_relative=False, encoding="utf-8")
    assert result.failed == 0
    assert result.attempted > 4


def test_the_page_of_your_data_is_true(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OBJECT2VEC_CACHE", str(tmp_path / "cache"))
    runpy.run_path(str(ROOT / "examples" / "make_tables.py"))["main"](tmp_path)
    page = DOCS / "your-data.md"
    ran = [command for command, _ in examples(read(page))]
    assert len(ran) > 10
    for command, said in examples(read(page)):
        assert_as_said(run_example(command, capsys, monkeypatch), said, command)
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert result.failed == 0


def test_the_tables_of_the_data_page_are_those_of_the_code():
    page = read(DOCS / "data.md")
    assert described_table(KINDS, "kind", "what the column holds") in page
    assert described_table(MAKERS, "maker", "what it makes of the rows") in page
    for each in FORMATS.values():
        assert f"| `{each.name}` |" in page
        assert each.about in page


def test_the_first_example_is_shown_and_prints_what_the_page_says(capsys):
    (shown,) = blocks(DOCS / "examples.md", "python")
    assert shown == read(ROOT / "examples" / "first_pairs.py")
    runpy.run_path(str(ROOT / "examples" / "first_pairs.py"))
    assert_printed(capsys.readouterr().out, blocks(DOCS / "examples.md", "")[0])


@pytest.fixture
def drawing():
    path = ROOT / "scripts" / "draw_architecture.py"
    spec = importlib.util.spec_from_file_location("draw_architecture", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_of_the_architecture_is_that_of_the_code(drawing):
    picture = drawing.draw(drawing.read_imports(), drawing.read_sentences())
    assert read(drawing.PICTURE) == picture, "run `make pages` and look at the picture"
    names = [text.text for text in ET.fromstring(picture).iter() if text.get("class") == "name"]
    assert {"files", "network", "cli"} <= {*names}


def test_imports_that_follow_from_others_are_not_drawn(drawing):
    imports = {"a": set(), "b": {"a"}, "c": {"a", "b"}, "errors": set(), "d": {"errors", "a"}}
    assert drawing.reduced(imports) == [("a", "b"), ("b", "c"), ("a", "d")]


def test_a_room_without_a_cell_is_named(drawing):
    with pytest.raises(SystemExit, match="CELLS must hold attic"):
        drawing.draw(drawing.read_imports() | {"attic": set()}, drawing.read_sentences())


RECORDS = "".join(f'{{"in0": [{i}], "in1": [{i}], "label": {i % 2}}}\n' for i in (1, 2, 3, 4))


def test_the_long_run_of_the_python_page_ends(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train.jsonl", "valid.jsonl"):
        Path(name).write_text(RECORDS)
    sizes = {"enc0_max_seq_len": 1, "enc0_vocab_size": 5, "enc_dim": 4, "mlp_dim": 4, "epochs": 1}
    names = {"model": Object2Vec(enc0_network="pooled_embedding", **sizes)}
    for _ in range(2):
        exec(compile(blocks(DOCS / "python.md", "python")[-1], "docs/python.md", "exec"), names)
    assert not Path("run").exists()  # the run owned it
    assert names["model"].encode(in0=[[1]]).shape == (1, 4)


def console(page):
    """The commands of a page's consoles with what they print."""
    for block in blocks(page, "console"):
        for example in block.removeprefix("$ ").split("\n$ "):
            command, _, output = example.partition("\n")
            yield command, output.rstrip("\n")


def test_the_job_of_the_deployment_page_runs_without_a_container(tmp_path):
    (tmp_path / "train.jsonl").write_text(RECORDS)
    commands = [command for command, _ in console(DOCS / "deployment.md")]
    kinds = ("mkdir", "cp ", "echo ", "SAGEMAKER_BASE_DIR")
    script = "\n".join(command for command in commands if command.startswith(kinds))
    assert len(script.split("\n")) == 4
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    job = {**os.environ, "PATH": path}
    done = subprocess.run(
        ["bash", "-ec", script], cwd=tmp_path, env=job, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "job/model/config.json").exists()
    assert not (tmp_path / "job/output/failure").exists()


def test_batch_transform_prints_what_its_page_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sizes = {"enc0_max_seq_len": 1, "enc0_vocab_size": 5, "enc_dim": 4, "mlp_dim": 4, "epochs": 1}
    records = [json.loads(line) for line in RECORDS.splitlines()]
    Object2Vec(enc0_network="pooled_embedding", **sizes).fit(records).save("model")
    Path("more").mkdir()
    for name in ("test.jsonl", "more/a.jsonl"):
        Path(name).write_text(RECORDS)
    (_, (command, said)) = console(DOCS / "batch.md")
    assert command_line(shlex.split(command)[1:]) == 0
    found = capsys.readouterr()
    assert (found.out + found.err).strip() == re.sub(r"\d+ records", "4 records", said)
