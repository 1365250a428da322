"""What the client raises where AWS's SDK would."""

from __future__ import annotations

from collections.abc import Sequence

from object2vec.errors import Object2VecError


class UnexpectedStatusException(Object2VecError, ValueError):
    """A job did not end as it should have.

    Parameters
    ----------
    message : str
        Why, as the job itself said.
    allowed_statuses : sequence of str
    actual_status : str
    """

    def __init__(self, message: str, allowed_statuses: Sequence[str], actual_status: str) -> None:
        super().__init__(message)
        self.allowed_statuses = list(allowed_statuses)
        self.actual_status = actual_status
