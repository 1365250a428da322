"""The hyperparameters of a model, and how it shows itself: scikit-learn's protocol.

scikit-learn is not needed for any of it, and is imported only when it asks for tags itself.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from object2vec.config.configuration import unknown
from object2vec.config.table import HYPERPARAMETERS
from object2vec.errors import ConfigError, shown

if TYPE_CHECKING:
    from typing_extensions import Self

    from object2vec.artifact import Artifact

_COLUMNS = 80


class Estimator:
    """Hyperparameters by name, kept as they were given, and what was learned with them."""

    def __init__(self, **hyperparameters: Any) -> None:
        self._hyperparameters = hyperparameters
        self._artifact: Artifact | None = None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the hyperparameters as given; scikit-learn's protocol."""
        return dict(self._hyperparameters)

    def set_params(self, **hyperparameters: Any) -> Self:
        """Change hyperparameters of a model that is to be trained anew; scikit-learn's protocol.

        Raises
        ------
        ConfigError
            If there is no hyperparameter of a name; nothing is changed then.
        """
        for name in hyperparameters:
            if name not in HYPERPARAMETERS:
                raise ConfigError(unknown(name))
        if hyperparameters:
            self._hyperparameters = self._hyperparameters | hyperparameters
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
            part = f"{name}={shown(value)}"
            if lines[-1] and len(begin + ", ".join([*lines[-1], part])) >= _COLUMNS:
                lines.append([])
            lines[-1].append(part)
        between = ",\n" + " " * len(begin)
        return f"{begin}{between.join(map(', '.join, lines))})"

    def _repr_html_(self) -> str:
        state = "trained" if self._artifact else "not trained"
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(shown(value))}</td></tr>"
            for name, value in self._changed().items()
        )
        return f"<b>{escape(type(self).__name__)}</b> ({state})<table>{rows}</table>"

    def _changed(self) -> dict[str, Any]:
        """Return the hyperparameters with another value than the default, sorted by name."""
        given = sorted(self._hyperparameters.items())
        return {name: value for name, value in given if not _is_default(name, value)}


def _is_default(name: str, value: Any) -> bool:
    row = HYPERPARAMETERS.get(name)
    try:
        return row is not None and bool(row.kind.parse(value) == row.default)
    except ValueError:
        return False
