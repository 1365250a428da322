"""Requests to an endpoint."""

from __future__ import annotations

from typing import Any

from object2vec.sagemaker import endpoints
from object2vec.sagemaker.deserializers import JSONDeserializer, json_deserializer
from object2vec.sagemaker.serializers import JSONSerializer, json_serializer

__all__ = ["Predictor", "json_deserializer", "json_serializer"]


class Predictor:
    """Asks a deployed model.

    Parameters
    ----------
    endpoint_name : str
    sagemaker_session : optional
        Means nothing.
    serializer : object with ``serialize(data)`` and ``CONTENT_TYPE``, default JSON
    deserializer : object with ``deserialize(body, content_type)`` and ``ACCEPT``, default JSON

    Notes
    -----
    As a context manager it deletes the endpoint at the end of the block.
    """

    def __init__(
        self,
        endpoint_name: str,
        sagemaker_session: Any = None,
        serializer: Any = None,
        deserializer: Any = None,
    ) -> None:
        self.endpoint_name = self.endpoint = endpoint_name
        self.serializer = serializer or JSONSerializer()
        self.deserializer = deserializer or JSONDeserializer()
        self.content_type: str | None = None  # of requests; the serializer's by default
        self.accept: str | None = None  # of answers; the deserializer's by default

    def predict(self, data: Any, initial_args: dict[str, Any] | None = None) -> Any:
        """Return the answer to a request, as the deserializer gives it.

        Parameters
        ----------
        data : anything that the serializer takes
            ``{"instances": [{"in0": [1], "in1": [2]}, ...]}`` gives scores, instances with one side
            give their embeddings.
        initial_args : dict, optional
            ``ContentType`` and ``Accept`` of this request.

        Raises
        ------
        RequestError
            With the server's status and message if it refuses.
        """
        own = initial_args or {}
        body = self.serializer.serialize(data)
        body = body.encode() if isinstance(body, str) else body
        content_type = own.get("ContentType") or self.content_type or self.serializer.CONTENT_TYPE
        accept = own.get("Accept") or self.accept or ", ".join(self.deserializer.ACCEPT)
        answer, kind = endpoints.invoke(self.endpoint_name, body, content_type, accept)
        return self.deserializer.deserialize(answer, kind)

    def delete_endpoint(self, delete_endpoint_config: bool = True) -> None:
        """Stop the server."""
        endpoints.delete_endpoint(self.endpoint_name)

    def delete_model(self) -> None:
        """Do nothing: the model belongs to its job."""

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *error: object) -> None:
        self.delete_endpoint()
