"""The exceptions of object2vec and the one form their messages have.

Every message reads ``<where>: <what must hold>; got <value>. <what to do>``, so that a person can
act on it without reading our code. Problems of one kind are collected and raised together, up to
`MAX_PROBLEMS`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

MAX_PROBLEMS = 20
_SHOWN_CHARACTERS = 80


class Object2VecError(Exception):
    """Base of everything that object2vec raises on purpose."""

    @classmethod
    def at(cls, where: str, must: str, got: object, cure: str, **details: Any) -> Self:
        """Return the error of one problem, in the form that every message has.

        Parameters
        ----------
        where, must, got, cure
            As in `problem`.
        **details
            What else this kind of error holds, such as an HTTP status.

        Examples
        --------
        >>> str(ConfigError.at("enc_dim", "must be even for bilstm", 5, "Choose 6."))
        'enc_dim: must be even for bilstm; got 5. Choose 6.'
        """
        return cls(problem(where, must, got, cure), **details)


class ConfigError(Object2VecError, ValueError):
    """A hyperparameter is unknown, malformed, out of range or contradicts another one."""


class DataError(Object2VecError, ValueError):
    """A record, vocabulary or vector file does not hold what it must."""


class NotFittedError(Object2VecError, ValueError, AttributeError):
    """The model was used before it was trained or loaded."""


class ArtifactError(Object2VecError):
    """A saved model or checkpoint is missing, damaged, truncated or of an unknown version."""


class StorageError(Object2VecError, OSError):
    """A file could not be written: full disk, no permission, or another process owns the folder."""


class TrainingError(Object2VecError):
    """No epoch of a training ended with finite numbers: there is no model to keep."""


class MissingExtraError(Object2VecError, ImportError):
    """An optional dependency is not installed; the message names the line that installs it."""


class RequestError(Object2VecError, ValueError):
    """An inference request is rejected or fails.

    Parameters
    ----------
    message : str
        Text for the client, without any detail of the server's insides.
    status : int, default 400
        HTTP status code that belongs to the problem.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Interrupted(Object2VecError):
    """Training was asked to stop by a signal; a checkpoint was written first.

    Parameters
    ----------
    message : str
        What was saved, where, and how to go on.
    signal_number : int
        The signal that was received, so that the command line can exit with 128 + its number.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number


def shown(value: object) -> str:
    """Return `value` as it may appear in a message: its repr, of 80 characters at the most.

    Examples
    --------
    >>> shown("adam")
    "'adam'"
    >>> len(shown("x" * 1000))
    80
    """
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deep, or an integer of thousands of digits
        text = f"a {type(value).__name__} too deep or too long to show"
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."


def suggestion(word: object, known: Iterable[str]) -> str:
    """Return the question whether the known word that looks most like `word` was meant.

    Examples
    --------
    >>> suggestion("Enc-Dmi", ["enc_dim", "epochs"])
    'Did you mean enc_dim? '
    >>> suggestion("x", ["enc_dim", "epochs"])
    ''
    """
    # difflib's time grows with the square of the length
    wanted = str(word)[:_SHOWN_CHARACTERS].lower().replace("-", "_")
    near = difflib.get_close_matches(wanted, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}? " if near else ""


def problem(where: str, must: str, got: object, cure: str) -> str:
    """Return one message in the form that every object2vec error has.

    Examples
    --------
    >>> problem("enc_dim", "must be an integer in [4, 10000]", 2, "Choose a larger embedding size.")
    'enc_dim: must be an integer in [4, 10000]; got 2. Choose a larger embedding size.'
    """
    return f"{where}: {must}; got {shown(got)}. {cure}"


def join_problems(problems: Sequence[str]) -> str:
    """Return `problems` as one text: alone if there is one, else counted and listed.

    Parameters
    ----------
    problems : sequence of str
        Messages made by `problem`; at least one.
    """
    if len(problems) == 1:
        return problems[0]
    head = f"{len(problems)} problems"
    if len(problems) >= MAX_PROBLEMS:
        head = f"the first {MAX_PROBLEMS} problems"
        problems = problems[:MAX_PROBLEMS]
    return "\n".join([f"{head}:", *(f"  {text}" for text in problems)])
