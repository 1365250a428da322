"""Names of the image; nothing is pulled: jobs are processes on this machine."""

from __future__ import annotations

from typing import Any

from object2vec.errors import ConfigError
from object2vec.version import VERSION


def retrieve(framework: str, region: str | None = None, *args: Any, **kwargs: Any) -> str:
    """Return the name of the image.

    Parameters
    ----------
    framework : str
        ``object2vec``.
    region : str, optional
        Means nothing, like every further argument of the SDK's function.

    Raises
    ------
    ConfigError
        If another algorithm is asked for.

    Examples
    --------
    >>> retrieve("object2vec", "us-east-1").partition(":")[0]
    'object2vec'
    """
    if framework != "object2vec":
        cure = "Only Object2Vec is here."
        raise ConfigError.at("framework", "must be object2vec", framework, cure)
    return f"object2vec:{VERSION}"


def get_image_uri(region_name: str | None, repo_name: str, *args: Any, **kwargs: Any) -> str:
    """Return the name of the image; the SDK's first version of `retrieve`."""
    return retrieve(repo_name, region_name)
