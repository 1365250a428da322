"""A command that runs in the local service: its variables, its signals and its exit code."""

import contextlib
import signal
import subprocess
import sys
import types

import pytest

from object2vec.errors import ConfigError, MissingExtraError
from object2vec.sagemaker.local import command, service


@pytest.fixture
def made(monkeypatch):
    """The services that were asked for, which do nothing."""
    made = []

    class Service:
        url = "http://127.0.0.1:7"

        def __init__(self, folder, **settings):
            self.folder, self.settings, self.is_running = folder, settings, False
            made.append(self)

        @contextlib.contextmanager
        def running(self):
            self.is_running = True
            yield self
            self.is_running = False

        def environment(self):
            return {"HTTPS_PROXY": self.url, "SOME": "a b"}

    monkeypatch.setattr(service, "Service", Service)
    return made


@pytest.mark.parametrize(("script", "code"), [("exit 3", 3), ("true", 0), ("kill -9 $$", 137)])
def test_a_command_runs_in_the_service_and_its_exit_code_is_ours(
    made, script, code, capfd, monkeypatch, tmp_path
):
    monkeypatch.setenv("OWN", "1")
    shown = 'echo "$OWN $HTTPS_PROXY $SOME"; '
    assert command.run_command(["sh", "-c", shown + script], folder=str(tmp_path), slots=3) == code
    (one,) = made
    assert (one.folder, one.settings, one.is_running) == (tmp_path, {"slots": 3}, False)
    said = capfd.readouterr()
    assert said.out == "1 http://127.0.0.1:7 a b\n"
    assert said.err == f"SageMaker on this machine: {tmp_path}, http://127.0.0.1:7\n"


def test_a_command_that_is_not_there_is_said(made, tmp_path):
    with pytest.raises(ConfigError, match=r"command: must be there; got 'no-such-command'. Write"):
        command.run_command(["no-such-command", "x"], folder=str(tmp_path))


def test_a_folder_at_home_is_meant_by_its_sign(made, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert command.run_command(["true"], folder="~/local") == 0
    monkeypatch.chdir(tmp_path)
    assert command.run_command(["true"], folder="local") == 0
    assert [one.folder for one in made] == [tmp_path / "local"] * 2


def test_signals_are_the_command_s_while_it_runs(made, monkeypatch, tmp_path):
    """The terminal sends Ctrl-C to the command, too; SIGTERM comes to us alone."""
    sent = []

    class Process:
        def __init__(self, arguments, env):
            sent.append(arguments)

        def send_signal(self, number):
            sent.append(number)

        def wait(self):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            return 0

    monkeypatch.setattr(subprocess, "Popen", Process)
    numbers = signal.SIGTERM, signal.SIGINT
    before = [signal.signal(number, lambda *_: sent.append("ours")) for number in numbers]
    try:
        assert command.run_command(["x"], folder=str(tmp_path)) == 0
        assert sent == [["x"], signal.SIGTERM]
        for number in numbers:
            signal.raise_signal(number)
        assert sent[2:] == ["ours", "ours"]
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_a_service_stays_until_a_signal_and_says_how_to_use_it(made, monkeypatch, capsys, tmp_path):
    asleep = []

    def sleep(seconds):
        assert made[0].is_running
        asleep.append(seconds)
        if len(asleep) == 2:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(command.time, "sleep", sleep)
    assert command.stay(folder=str(tmp_path)) == 0
    assert len(asleep) == 2
    assert not made[0].is_running
    said = capsys.readouterr()
    assert said.out == "export HTTPS_PROXY=http://127.0.0.1:7\nexport SOME='a b'\n"
    assert "Ctrl-C ends the service" in said.err


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("moto.core", MissingExtraError, r"'moto.core'. Run: pip install 'object2vec\[local\]'"),
        ("botocore", MissingExtraError, "needs a package; got 'botocore'"),
        ("motor", ImportError, "^no such module$"),
        (None, ImportError, "^no such module$"),
    ],
)
def test_packages_that_are_missing_are_named(name, error, text, monkeypatch, tmp_path):
    class Broken(types.ModuleType):
        def __getattr__(self, attribute):
            raise ImportError("no such module", name=name)

    monkeypatch.setitem(sys.modules, service.__name__, Broken(service.__name__))
    with pytest.raises(error, match=text):
        command.run_command(["true"], folder=str(tmp_path))
