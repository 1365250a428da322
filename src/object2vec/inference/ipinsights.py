"""Requests and responses of Amazon SageMaker IP Insights, for a model of an entity and an address.

Which model that is, it says itself: one field of an entity, one of an IPv4 address, and the dot
product as score. Whoever trained it, it responds as AWS's endpoint does
(https://docs.aws.amazon.com/sagemaker/latest/dg/ip-insights-inference-data-formats.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from object2vec.config import Config
from object2vec.files.sources import Source
from object2vec.inference.forms import Form
from object2vec.inference.instances import Group, Request
from object2vec.inference.value_reader import ValueReader
from object2vec.objectives import objective_of

if TYPE_CHECKING:
    from object2vec.fields.schema import ObjectSchema

_SCORE, _ENTITY, _ADDRESS = "dot_product", "entity_embedding", "ip_embedding"


def is_ip_insights(config: Config, schema: ObjectSchema) -> bool:
    """Return whether a model is one of an entity and an IPv4 address, by their dot product."""
    entity, address = schema.declared.sides
    kinds = [each.kind.name for each in address if each.kind is not None]
    return len(entity) == 1 and kinds == ["ipv4"] and objective_of(config).head == "sum"


class IpInsightsReader(ValueReader):
    """Reads bodies for such a model; what it asks of it is named as AWS does."""

    def read(self, body: bytes, form: Form) -> Request | None:
        """Return the instances of a body; None for an empty one."""
        request = super().read(body, form)
        return None if request is None else _named(request, is_verbose=form.is_verbose)

    def read_file(self, source: Source, form: Form, max_rows: int) -> Iterator[tuple[str, Request]]:
        """Yield a CSV as requests of at most `max_rows` instances, each with where it begins."""
        for where, request in super().read_file(source, form, max_rows):
            yield where, _named(request, is_verbose=form.is_verbose)


def _named(request: Request, *, is_verbose: bool) -> Request:
    """Return a request whose pairs have AWS's names, with their embeddings if they are wanted."""
    groups: list[Group] = []
    positions: list[list[int]] = []
    given = request.positions or [list(range(len(request)))]
    for group, at in zip(request.groups, given, strict=True):
        parts = [group]
        if group.in0 is not None and group.in1 is not None:
            parts = [Group(group.in0, group.in1, name=_SCORE)]
            if is_verbose:
                parts += [
                    Group(group.in0, None, name=_ENTITY),
                    Group(None, group.in1, name=_ADDRESS),
                ]
        groups += parts
        positions += [at] * len(parts)
    return replace(request, groups=groups, positions=positions if len(groups) > 1 else None)
