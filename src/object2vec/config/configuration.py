"""The typed configuration: values parsed, rules applied, all errors at once.

`Config.build` takes hyperparameters as SageMaker passes them (strings) or as Python values, applies
the rules of the AWS container (encoder 1 inherits from encoder 0, pooled encoders overwrite their
token width, and so on) and remembers what it changed as `notes` for the log. A built config is
whole: ``Config.build(config.to_dict())`` equals it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from object2vec.config.kinds import COMPARATORS, Anything, Choice, ValueKind
from object2vec.config.rules import RULES, TIED, Draft, Note
from object2vec.config.table import HYPERPARAMETERS, EncoderConfig, Hyperparameters
from object2vec.errors import ConfigError, join_problems, problem, shown, suggestion

_HELD = [row for row in HYPERPARAMETERS.values() if row.origin != "tolerated"]
_NAME_CHARACTERS = 80


@dataclass(frozen=True, kw_only=True)
class Config(Hyperparameters):
    """All hyperparameters, typed and resolved; `object2vec.config.table` has their meaning.

    Build it with `Config.build`, never by its constructor, which checks nothing.
    """

    notes: tuple[Note, ...] = field(default=(), compare=False, repr=False)
    inherits: bool = field(default=False, compare=False, repr=False)
    beyond_aws: bool = field(default=False, compare=False, repr=False)

    @classmethod
    def build(cls, hyperparameters: Mapping[str, Any], *, beyond_aws: bool = False) -> Config:
        """Return the config that `hyperparameters` describe.

        Parameters
        ----------
        hyperparameters : mapping of str to str, int, float, bool or list
            Values by AWS's names; what is missing or "" gets the default of the table.
        beyond_aws : bool, default False
            Lift AWS's limits of what data decide: rows of a token table, lengths, classes. Those
            hold for its format; a model that learned a schema has none of them.

        Raises
        ------
        ConfigError
            If a name is unknown, a value malformed or out of range, a required one missing, or two
            contradict each other. All problems are reported together.
        """
        notes: list[Note] = []
        given, problems = _parse(hyperparameters, notes, beyond_aws)
        values = {row.name: given.get(row.name, row.default) for row in _HELD}
        said = {name for name, value in hyperparameters.items() if value != ""}
        draft = Draft(values, given, said - given.keys())
        for rule in RULES:
            for found in rule.apply(draft):
                if isinstance(found, Note):
                    notes.append(found)
                elif draft.unusable.isdisjoint(found.names):
                    problems.append(found.text)
        if problems:
            raise ConfigError(join_problems(problems))
        return cls(
            encoders=(
                EncoderConfig(0, **_fields(values, 0)),
                EncoderConfig(1, **_fields(values, 1)),
            ),
            **_fields(values, None),
            notes=tuple(notes),
            inherits=draft.inherits,
            beyond_aws=beyond_aws,
        )

    @property
    def table_encoders(self) -> tuple[EncoderConfig, ...]:
        """The encoder of each token table: the first one where both sides share a table."""
        return self.encoders[:1] if self.tied_token_embedding_weight else self.encoders

    @property
    def comparator_width(self) -> int:
        """Width of the comparator's output: enc_dim for each part, twice for concat."""
        return sum(COMPARATORS[name] for name in self.comparator_list) * self.enc_dim

    @property
    def negatives(self) -> int:
        """Negatives generated for each training record, of both sorts."""
        return self.negative_sampling_rate + self.random_negative_sampling_rate

    def setting(self, side: int, name: str) -> str:
        """Return the hyperparameter to set for another value of one encoder's field `name`.

        Encoder 1 may take it from encoder 0, pooled encoders take their width from enc_dim, and
        tied tables have one size.
        """
        if name == "token_embedding_dim" and self.encoders[side].network == "pooled_embedding":
            return "enc_dim"
        if self.inherits:
            return f"enc0_{name}"
        if self.tied_token_embedding_weight and name in TIED:
            return f"enc0_{name} and enc1_{name}"
        return f"enc{side}_{name}"

    def to_dict(self) -> dict[str, Any]:
        """Return the whole config as JSON values by hyperparameter name."""
        values = {}
        for row in _HELD:
            value = getattr(self if row.side is None else self.encoders[row.side], row.field)
            values[row.name] = list(value) if isinstance(value, tuple) else value
        return values


def unknown(name: object) -> str:
    """Return the problem of a name that no hyperparameter has."""
    cure = f"{suggestion(name, HYPERPARAMETERS)}`object2vec hyperparameters` lists them all."
    return problem(str(name)[:_NAME_CHARACTERS], "must be a known hyperparameter", name, cure)


def _fields(values: Mapping[str, Any], side: int | None) -> dict[str, Any]:
    """Return the values of one encoder, or those of none, by field."""
    return {row.field: values[row.name] for row in _HELD if row.side == side}


def _parse(
    hyperparameters: Mapping[str, Any], notes: list[Note], beyond_aws: bool
) -> tuple[dict[str, Any], list[str]]:
    """Return the parsed values, and the problems of those that cannot be parsed."""
    given: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in hyperparameters.items():
        if name not in HYPERPARAMETERS:
            problems.append(unknown(name))
            continue
        kind = _kind(name, hyperparameters, beyond_aws)
        if value == "" and not isinstance(kind, Anything):
            continue  # as SageMaker's console sends what was left empty
        try:
            given[name] = kind.parse(value)
        except ValueError:
            problems.append(problem(name, kind.rule, value, kind.cure))
            continue
        if isinstance(kind, Choice) and kind.is_alias(value):
            text = f"{name}: {shown(value)} is read as {given[name]!r}, the documented value."
            notes.append(Note("warning", text))
        if HYPERPARAMETERS[name].origin == "tolerated":
            text = f"{name}: Object2Vec has no such hyperparameter; ignored."
            notes.append(Note("info", text))
    return given, problems


def _kind(name: str, hyperparameters: Mapping[str, Any], beyond_aws: bool) -> ValueKind:
    """Return the type of `name`; in a built config, a pooled token width may be any enc_dim."""
    row = HYPERPARAMETERS[name]
    if beyond_aws and row.beyond_aws is not None:
        return row.beyond_aws
    if (
        name.endswith("_token_embedding_dim")
        and str(hyperparameters.get(f"{name[:4]}_network")) == "pooled_embedding"
        and str(hyperparameters[name]) == str(hyperparameters.get("enc_dim"))
    ):
        return HYPERPARAMETERS["enc_dim"].kind
    return row.kind
