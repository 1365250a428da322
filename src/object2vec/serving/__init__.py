"""The server: SageMaker's endpoint contract on any machine.

=================  ==========================================================
``wire.py``        bytes of a request to instances, answers to bytes
``engine.py``      instances to scores and embeddings
``batcher.py``     requests in flight merged into one batch
``app.py``         the HTTP surface
``page.py``        the page for people at ``/``
``server.py``      the process: socket, signals, workers
``settings.py``    what SageMaker's environment variables switch
``unpack.py``      a model folder out of a ``model.tar.gz``
=================  ==========================================================
"""

from __future__ import annotations

from importlib.util import find_spec

from object2vec.errors import MissingExtraError

_missing = [
    name for name in ("starlette", "uvicorn", "orjson", "prometheus_client") if not find_spec(name)
]
if _missing:
    raise MissingExtraError.at(
        "object2vec.serving",
        "must find the packages of the extra 'serve'",
        f"no {', '.join(_missing)}",
        "Run: pip install 'object2vec[serve]'",
    )
