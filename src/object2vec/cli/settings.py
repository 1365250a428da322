"""Hyperparameters as the command line takes them: a JSON file and NAME=VALUE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from object2vec.errors import ConfigError
from object2vec.files.json import strict_json
from object2vec.files.remote import read_bytes

_EXAMPLE = 'Write for example {"enc_dim": 64}.'


def read_hyperparameters(config: str | None, settings: Sequence[str] | None) -> dict[str, Any]:
    """Return the hyperparameters of a file with those of the command line put over them.

    Parameters
    ----------
    config : str or None
        File or URL with one JSON object, of strings or native values.
    settings : sequence of str, optional
        ``NAME=VALUE`` each; the last one of a name counts.

    Raises
    ------
    ConfigError
        If the file cannot be read or a setting has no name. The names are not looked up here.
    """
    values = {} if config is None else _read_object(config)
    for setting in settings or ():
        name, equals, value = setting.partition("=")
        if not (name.strip() and equals):
            raise ConfigError.at(
                "--set", "must be NAME=VALUE", setting, "Write for example enc_dim=64."
            )
        values[name.strip()] = value
    return values


def _read_object(path: str) -> dict[str, Any]:
    try:
        values = strict_json(read_bytes(path).decode("utf-8-sig"))
    except OSError as err:
        cure = "Check the name and the folder you are in."
        got = err.strerror or str(err)
        raise ConfigError.at(path, "must be a readable file", got, cure) from err
    except ValueError as err:
        raise ConfigError.at(path, "must be a readable JSON file", str(err), _EXAMPLE) from err
    if not isinstance(values, dict):
        raise ConfigError.at(path, "must hold one JSON object", values, _EXAMPLE)
    return values
