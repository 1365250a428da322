"""The server: SageMaker's endpoint contract on any machine.

======================  ==========================================================
``server.py``           the process: socket, signals, workers
``app.py``              routes, health, metrics
``guard.py``            the bearer token
``invocations.py``      one request for inference: its time limit and its response
``error_responses.py``  errors as a container and as SageMaker's runtime send them
``endpoint.py``         a model behind HTTP: loading, state, what is in flight
``batcher.py``          requests in flight merged into one batch
``limits.py``           what there is no room for
``thread.py``           the thread for work that must not block the event loop
``metrics.py``          what Prometheus reads
``page.py``             the page for people at ``/``
``settings.py``         settings, and SageMaker's environment variables for them
======================  ==========================================================

What does not know HTTP, from the bytes of a request to scores, is in `object2vec.inference`.
"""

from __future__ import annotations

from importlib.util import find_spec

from object2vec.errors import MissingExtraError

_missing = [name for name in ("starlette", "uvicorn", "prometheus_client") if not find_spec(name)]
if _missing:
    must = "must find the packages of the extra 'serve'"
    cure = "Run: pip install 'object2vec[serve]'"
    raise MissingExtraError.at("object2vec.serving", must, f"no {', '.join(_missing)}", cure)
