"""What a model is made with, and how it shows itself: scikit-learn's protocol.

scikit-learn is not needed for any of it, and is imported only when it asks for tags itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

from object2vec.config import Config
from object2vec.config.configuration import unknown
from object2vec.config.presets import names_columns
from object2vec.config.table import HYPERPARAMETERS
from object2vec.errors import ConfigError, shown
from object2vec.reading.tables import TableOptions
from object2vec.training.tables import LABEL, Declared

if TYPE_CHECKING:
    from typing_extensions import Self

    from object2vec.artifact import Artifact
    from object2vec.fields.specification import Field
    from object2vec.fields.table_schema import TableSchema

_COLUMNS = 80


COLUMNS = ("in0", "in1", "label", "weight", "group", "time", "share", "pairs")
"""Arguments that say what the columns of a table mean."""
OF_TABLES = (*COLUMNS, "preset", "vectors")
"""Arguments that go with the columns of a table."""


class Estimator:
    """Arguments by name, kept as they were given, and what was learned with them.

    Parameters
    ----------
    **arguments
        Hyperparameters, and those of `OF_TABLES` that are given.
    """

    def __init__(self, **arguments: Any) -> None:
        self._arguments = arguments
        self._artifact: Artifact | None = None

    @property
    def _hyperparameters(self) -> dict[str, Any]:
        return {name: value for name, value in self._arguments.items() if name not in OF_TABLES}

    def _declared_schema(self) -> TableSchema | None:
        """Return what the columns of a table mean; None if none is named: objects are ids."""
        given = {name: self._arguments[name] for name in COLUMNS if name in self._arguments}
        preset = self._arguments.get("preset")
        if not given and not names_columns(preset):
            return None
        from object2vec.pairs.makers import declared_schema

        sides = (_fields(given.pop("in0", ())), _fields(given.pop("in1", ())))
        pairs, share = given.pop("pairs", None), _shared(given.pop("share", ()))
        return declared_schema(sides, pairs, preset, **given, share=share)

    def _begin(
        self, start: Artifact | None, options: TableOptions, split: float | None, y: Any
    ) -> tuple[Config, Declared | None]:
        """Return the config as far as it is known before data are read, and what columns mean."""
        schema, given = self._declared_schema(), self._hyperparameters
        if schema is None and start is not None and start.schema is not None:
            schema = start.schema.declared
        if schema is None:
            named = {name: self._arguments.get(name) for name in ("preset", "vectors")}
            usual = vars(TableOptions())
            reading = {name: v for name, v in vars(options).items() if v != usual[name]}
            _reject_of_tables({"split": split, **named, **reading})
            return Config.build(given if start is None else start.config.to_dict() | given), None
        if start is not None and start.schema is None:
            must, cure = "must be a model that knows columns", "Train a new model on the table."
            raise ConfigError.at("start_from", must, "a model of ids", cure)
        if y is not None and schema.label is None:
            schema = replace(schema, label=LABEL)
        preset, vectors = self._arguments.get("preset"), self._arguments.get("vectors")
        if start is not None and vectors is not None:
            must, cure = "must not be given with a model to start from", "It has vectors already."
            raise ConfigError.at("vectors", must, str(vectors), cure)
        declared = Declared(schema, given, preset, options, split or 0.0, vectors)
        return declared.provisional_config(start), declared

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments as given; scikit-learn's protocol."""
        return dict(self._arguments)

    def set_params(self, **arguments: Any) -> Self:
        """Change arguments of a model that is to be trained anew; scikit-learn's protocol.

        Raises
        ------
        ConfigError
            If there is no argument of a name; nothing is changed then.
        """
        for name in arguments:
            if name not in HYPERPARAMETERS and name not in OF_TABLES:
                raise ConfigError(unknown(name))
        if arguments:
            self._arguments = self._arguments | arguments
            self._artifact = None
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return self._artifact is not None

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type=None,  # `predict` gives scores, not classes
            target_tags=TargetTags(required=False),
            input_tags=InputTags(two_d_array=False, dict=True),
        )

    def __repr__(self) -> str:
        """Return the call that makes this model, of what differs from the defaults."""
        begin = f"{type(self).__name__}("
        lines: list[list[str]] = [[]]
        for name, value in self._changed().items():
            part = f"{name}={_text(value)}"
            if lines[-1] and len(begin + ", ".join([*lines[-1], part])) >= _COLUMNS:
                lines.append([])
            lines[-1].append(part)
        between = ",\n" + " " * len(begin)
        return f"{begin}{between.join(map(', '.join, lines))})"

    def _repr_html_(self) -> str:
        state = "trained" if self._artifact else "not trained"
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(_text(value))}</td></tr>"
            for name, value in self._changed().items()
        )
        return f"<b>{escape(type(self).__name__)}</b> ({state})<table>{rows}</table>"

    def _changed(self) -> dict[str, Any]:
        """Return the arguments with another value than the default: columns, then by name."""
        columns = {name: self._arguments[name] for name in COLUMNS if name in self._arguments}
        given = columns | dict(sorted(self._arguments.items()))
        return {name: value for name, value in given.items() if not _is_default(name, value)}


def arguments_of(loaded: Artifact) -> dict[str, Any]:
    """Return the arguments that a model was made with; of one that reads ids, all that hold."""
    if loaded.schema is None:
        return loaded.config.to_dict()
    declared = loaded.schema.declared.state()
    if (making := declared.pop("making")) is not None:
        made = making["columns"]
        declared["pairs"] = making["maker"]
        declared["share"] = [each for each in declared["share"] if not {*made} & {*each}]
        declared["group"] = None if making["members"] else declared["group"]
    return {**declared, **loaded.schema.decisions.get("given", {})}


def _reject_of_tables(given: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if something is given that only tables have."""
    for name, value in given.items():
        if value not in (None, 0):
            cure = "Name the columns of both sides (in0=, in1=)."
            raise ConfigError.at(name, "goes with the columns of a table", value, cure)


def _fields(given: Any) -> tuple[Field, ...]:
    """Return the fields of a side: one, or several; as specifications or as they are."""
    from object2vec.fields.specification import Field, parse_field

    each = [given] if isinstance(given, str | Field) else given
    return tuple(field if isinstance(field, Field) else parse_field(field) for field in each)


def _shared(given: Any) -> tuple[tuple[str, ...], ...]:
    """Return the groups of columns that share a vocabulary; one group may stand alone."""
    groups = [given] if given and all(isinstance(each, str) for each in given) else given
    return tuple(tuple(group) for group in groups)


def _text(value: Any) -> str:
    """Return an argument as it may be written again: a field by its specification."""
    specification = getattr(value, "specification", None)
    if specification is not None:
        return shown(specification())
    if isinstance(value, list | tuple) and any(hasattr(each, "specification") for each in value):
        return f"[{', '.join(map(_text, value))}]"
    return shown(value)


def _is_default(name: str, value: Any) -> bool:
    row = HYPERPARAMETERS.get(name)
    try:
        return row is not None and bool(row.kind.parse(value) == row.default)
    except ValueError:
        return False
