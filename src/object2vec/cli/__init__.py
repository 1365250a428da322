"""The command line: ``object2vec train``, ``encode``, ``predict`` and the others.

Data go to standard output, logs and progress to standard error. Only what parses the arguments is
imported here; each command imports what it needs when it runs, so that ``--help`` costs nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence

import typer

from object2vec.cli.streams import settle_output, standard_streams
from object2vec.cli.tuning import app  # which adds its command to those of the other files
from object2vec.compiled.cores import limit_waiting
from object2vec.errors import ConfigError, DataError, Interrupted, Object2VecError
from object2vec.signals import on_signals

SIGNALLED = 128  # a process that signal n ended is reported as 128 + n by every shell
_INTERRUPTED, _PIPE_CLOSED = SIGNALLED + 2, SIGNALLED + 13

# ClickException, for which typer has no name: it brings its own click, or in older versions not.
_UsageError = typer.BadParameter.__mro__[2]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; those of the process by default.

    Returns
    -------
    int
        0: done. 1: the run failed. 2: the input or the options are wrong. 129, 130, 143: ended by
        SIGHUP, SIGINT or SIGTERM. 141: nobody reads the output any more.
    """
    if argv is None:  # the process is ours
        limit_waiting()
    arguments = list(sys.argv[1:] if argv is None else argv)
    is_debugging = os.environ.get("OBJECT2VEC_DEBUG", "0") not in ("", "0")
    if "--debug" in arguments:  # before the command or after it
        arguments.remove("--debug")
        is_debugging = True
    command = typer.main.get_command(app)
    try:
        with (
            standard_streams(),
            _logging(),
            _ended_by_signals(),
            command.make_context("object2vec", arguments) as context,
        ):
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    except (Exception, KeyboardInterrupt) as err:
        if is_debugging:
            traceback.print_exception(err)
        return _explain(err)
    return 0


def _explain(err: BaseException) -> int:
    """Say on standard error what went wrong, and return the exit code."""
    settle_output()
    if isinstance(err, BrokenPipeError):
        return _PIPE_CLOSED
    if isinstance(err, KeyboardInterrupt):
        typer.echo("Interrupted.", err=True)
        return _INTERRUPTED
    if isinstance(err, _UsageError):
        err.show()  # type: ignore[attr-defined]
        return 2
    text = str(err)
    if not isinstance(err, Object2VecError | OSError):
        text = f"{type(err).__name__}: {err}. OBJECT2VEC_DEBUG=1 shows where this comes from."
    typer.echo(f"Error: {text}", err=True)
    if isinstance(err, Interrupted):
        return SIGNALLED + err.signal_number
    return 2 if isinstance(err, ConfigError | DataError) else 1


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End by an exception where a signal would end the process at once: temporary files go."""

    def end(number: int) -> None:
        signal.signal(number, signal.SIG_DFL)  # who asks twice does not want to wait
        sys.exit(SIGNALLED + number)

    with on_signals(end, "SIGTERM", "SIGHUP", only_default=True):
        yield


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    """Show the library's log lines on standard error."""
    logger = logging.getLogger("object2vec")
    level, handler = logger.level, logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # the server has the root logger write to the same stream
    try:
        yield
    finally:
        logger.propagate = True
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Formatter(logging.Formatter):
    """A log line as `training.progress` writes it: the text, after its level unless it is info."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return level + record.getMessage()
