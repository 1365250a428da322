"""docs/serving.md: its model is trained, every curl command is sent, its answers are compared."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from object2vec import Object2Vec
from object2vec.serving.app import create_app
from support.servers import ask

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def build():
    """The applications that serve the page's models, by port."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    code = "".join(block for block in blocks if ".save(" in block)
    saved: list[Object2Vec] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Object2Vec, "save", lambda model, path: saved.append(model))
        exec(compile(code, "docs/serving.md", "exec"), {})  # the page is ours
    return {str(port): create_app(model) for port, model in enumerate(saved, 8080)}


def run_curl(apps, command: str) -> str:
    """The body that a curl command would print."""
    words = shlex.split(command.replace("$'", "'"))
    assert words.pop(0) == "curl"
    headers, body, path, port = {"accept": "*/*"}, None, None, ""
    while words:
        word = words.pop(0)
        if word == "-H":
            name, _, value = words.pop(0).partition(":")
            headers[name.lower()] = value.strip()
        elif word == "-d":
            body = words.pop(0).replace("\\n", "\n").encode()
        else:
            port, slash, rest = word.removeprefix("localhost:").partition("/")
            path = slash + rest
    sent = {name: value for name, value in headers.items() if value}
    method = "GET" if body is None else "POST"
    return ask(apps[port], body or b"", sent, method=method, path=path)[2].decode()


def examples() -> list[tuple[str, str]]:
    """Commands of the page with what it says they print."""
    found = re.findall(r"^\$ (curl .*)\n((?:[^$`].*\n)+)", PAGE, re.MULTILINE)
    assert len(found) == PAGE.count("$ curl")
    return found


@pytest.fixture(scope="module")
def app():
    return build()


def rounded(value):
    """The document with numbers that agree across machines."""
    if isinstance(value, float):
        return pytest.approx(value, abs=2e-4)
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("command", "answer"), examples())
def test_the_page_shows_real_answers(app, command, answer):
    found = [json.loads(line) for line in run_curl(app, command).splitlines()]
    told = [json.loads(line) for line in answer.splitlines()]
    if "execution-parameters" in command:  # depends on the number of cores
        assert [line.keys() for line in found] == [line.keys() for line in told]
    else:
        assert found == rounded(told)
