"""The consoles of a page: its commands run here, and what they print is compared with the page."""

from __future__ import annotations

import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from object2vec.cli import main

_CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)
_NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]\d+)?")
_MASKS = (
    (r"[\d.,]+ (s|pairs/s|MiB)\b", r"N \1"),  # how fast and how large, here and now
    (r"(into|epochs in) \S+", r"\1 X"),
    (r"\d+ threads, \w+ kernel", "N threads, K kernel"),
    (r"^\S+(: \d+ sets)", r"CACHE\1"),
    (r"size_bytes: \d+", "size_bytes: N"),
    (r"\\\[", "["),  # older versions of typer escape brackets
)


def examples(text):
    """Each command of the console blocks of a page, with what it prints."""
    for block in _CONSOLE.findall(text):
        for example in re.split(r"\n\$ ", block.removeprefix("$ ")):
            command = re.match(r"(?:.*\\\n)*.*", example)[0]
            yield command.replace("\\\n", " "), example[len(command) :].strip("\n")


def run_example(command, capsys, monkeypatch):
    """Run a command line as a shell would, as far as the pages go, and return what it prints.

    `echo TEXT |` or `printf TEXT |` may come before it, `< FILE`, `> FILE` and `2> FILE` after it.
    """
    before, pipe, command = command.rpartition(" | ")
    command, _, log = command.partition(" 2> ")
    command, _, target = command.partition(" > ")
    command, _, source = command.partition(" < ")
    if pipe:
        program, text = shlex.split(before)
        give_stdin(monkeypatch, decoded(text) if program == "printf" else f"{text}\n".encode())
    if source:
        give_stdin(monkeypatch, Path(source).read_bytes())
    program, *argv = shlex.split(command)
    assert program == "object2vec"
    main(argv)
    written = capsys.readouterr()
    for name, text in ((target, written.out), (log, written.err)):
        if name:
            Path(name).write_text(text)
    return (("" if target else written.out) + ("" if log else written.err)).rstrip("\n")


def decoded(text):
    """What printf writes for a text."""
    return text.replace("\\n", "\n").encode()


def give_stdin(monkeypatch, data):
    """Let a command read these bytes from standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def assert_as_said(found, said, command=""):
    """Compare what a command has printed with what a page says, but for the machine's figures."""
    found, said = mask(found), mask(said)
    assert _NUMBER.sub("N", found).split("\n") == _NUMBER.sub("N", said).split("\n"), command
    numbers = [[float(n) for n in _NUMBER.findall(text)] for text in (found, said)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-3, abs=1e-4), command


def mask(text):
    """Return a text without what differs from machine to machine."""
    for pattern, replacement in _MASKS:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text
