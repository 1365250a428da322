"""A trained model that can be deployed or asked for a whole file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from object2vec.sagemaker import endpoints, jobs
from object2vec.sagemaker.predictor import Predictor
from object2vec.sagemaker.transformer import Transformer


class Model:
    """A model archive with what to serve it by.

    Parameters
    ----------
    model_data : path or URL
        ``model.tar.gz``, or a model's folder.
    image_uri, role : str, optional
        Mean nothing here.
    env : mapping, optional
        Variables for the server, such as ``INFERENCE_PREFERRED_MODE``.
    serializer, deserializer : optional
        Of the predictor.
    content_type : str, optional
        Of requests; the serializer's by default.
    base_name : str, default "object2vec"
        What names of endpoints and transform jobs begin with.
    """

    def __init__(
        self,
        model_data: str,
        image_uri: str | None = None,
        role: str | None = None,
        env: Mapping[str, str] | None = None,
        serializer: Any = None,
        deserializer: Any = None,
        content_type: str | None = None,
        base_name: str = "object2vec",
    ) -> None:
        self.model_data, self.env, self.base_name = model_data, dict(env or {}), base_name
        self.serializer, self.deserializer = serializer, deserializer
        self.content_type = content_type

    def deploy(
        self,
        initial_instance_count: int = 1,
        instance_type: str | None = None,
        serializer: Any = None,
        deserializer: Any = None,
        endpoint_name: str | None = None,
        wait: bool = True,
    ) -> Predictor:
        """Start a server and return what asks it.

        Parameters
        ----------
        initial_instance_count, instance_type
            Mean nothing: one process serves on this machine.
        serializer, deserializer : optional
        endpoint_name : str, optional
        wait : bool, default True
            Means nothing: the server is up when this returns.

        Raises
        ------
        UnexpectedStatusException
            If it does not start.
        """
        name = endpoint_name or jobs.new_name(self.base_name)
        endpoints.start_endpoint(name, self.model_data, self.env)
        predictor = Predictor(
            name, None, serializer or self.serializer, deserializer or self.deserializer
        )
        predictor.content_type = self.content_type
        return predictor

    def transformer(
        self, instance_count: int = 1, instance_type: str | None = None, **options: Any
    ) -> Transformer:
        """Return what answers whole files; `options` are those of `Transformer`."""
        return Transformer(
            self.model_data,
            instance_count,
            instance_type,
            **{"env": self.env, "base_transform_job_name": self.base_name, **options},
        )
