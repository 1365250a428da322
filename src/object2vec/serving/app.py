"""The web application: SageMaker's routes, health, metrics and a page for people."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from object2vec.artifact import Artifact, load
from object2vec.compiled.cores import available_cores
from object2vec.inference.payload import MIB
from object2vec.serving.endpoint import Endpoint, LoadListener
from object2vec.serving.error_responses import error_response, of_runtime
from object2vec.serving.guard import Guard, path_of
from object2vec.serving.invocations import FAILED, Invocations
from object2vec.serving.page import page
from object2vec.serving.settings import Settings

if TYPE_CHECKING:
    from object2vec.model import Object2Vec

_MAX_TRANSFORM_MIB = 100  # SageMaker: MaxConcurrentTransforms x MaxPayloadInMB


def create_app(
    model: str | os.PathLike[str] | Object2Vec,
    settings: Settings | None = None,
    on_loaded: LoadListener = lambda failure: None,
) -> Starlette:
    """Return the application that serves a model.

    Parameters
    ----------
    model : location or Object2Vec
        A model, or where one is: a folder, a ``model.tar.gz``, or the URL of either. It is loaded
        in the background when the application starts or, where nobody starts it as in a mounted
        one, at the first request; until then requests and ``/ping`` get 503.
    settings : Settings, optional
    on_loaded : callable, optional
        Called, in another thread, when a model is loaded: with None, or with the error why it could
        not be.

    Returns
    -------
    Starlette
        Its ``state.endpoint`` is the `Endpoint`.

    Examples
    --------
    Inside another ASGI application: ``Mount("/movies", create_app("model/"))``.
    """
    settings = settings or Settings()
    endpoint = Endpoint(lambda: _artifact(model), settings, on_loaded)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        endpoint.start()
        yield
        endpoint.close()

    app = _App(
        endpoint,
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_error, Exception: _unexpected},
    )
    if settings.token is not None:
        app.add_middleware(Guard, token=settings.token)
    if not isinstance(model, (str, os.PathLike)):
        endpoint.put(_artifact(model))
    return app


def _artifact(model: str | os.PathLike[str] | Object2Vec) -> Artifact:
    """Return a model in memory."""
    return load(model) if isinstance(model, (str, os.PathLike)) else model.artifact


class _App(Starlette):
    """Starlette that loads its model, and with a short cut to what is requested all the time."""

    def __init__(self, endpoint: Endpoint, **options: Any) -> None:
        self._invocations = Invocations(endpoint)
        super().__init__(routes=_routes(endpoint, self._invocations), **options)
        self.state.endpoint = self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process a request, without middleware and routing if it needs none."""
        if self._endpoint.model is None:
            self._endpoint.start()  # a mounted application gets no lifespan events
        is_usual = scope["type"] == "http" and path_of(scope) == "/invocations"
        if is_usual and scope["method"] == "POST" and not self.user_middleware:
            await self._invocations(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _routes(endpoint: Endpoint, invocations: Invocations) -> list[Route]:
    """Return all routes."""

    async def ping(request: Request) -> Response:
        return Response(status_code=200 if endpoint.is_ready else 503)

    async def execution_parameters(request: Request) -> Response:
        payload = min(max(endpoint.settings.max_payload_bytes // MIB, 1), _MAX_TRANSFORM_MIB)
        concurrent = min(available_cores(), _MAX_TRANSFORM_MIB // payload)
        limits = {"MaxConcurrentTransforms": concurrent, "MaxPayloadInMB": payload}
        return JSONResponse({"BatchStrategy": "MULTI_RECORD"} | limits)

    async def metrics(request: Request) -> Response:
        return Response(endpoint.metrics.render(), media_type=endpoint.metrics.media_type)

    async def people(request: Request) -> Response:
        html, policy = page(endpoint, request.scope.get("object2vec.authorized", True))
        return HTMLResponse(
            html,
            headers={
                "Content-Security-Policy": policy,
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
            },
        )

    return [
        Route("/invocations", invocations, methods=["POST"]),
        Route("/endpoints/{name}/invocations", Invocations(endpoint, of_runtime), methods=["POST"]),
        Route("/ping", ping),
        Route("/execution-parameters", execution_parameters),
        Route("/metrics", metrics),
        Route("/suggestions", partial(_suggest, endpoint)),
        Route("/", people),
    ]


async def _suggest(endpoint: Endpoint, request: Request) -> Response:
    """Respond with tokens for an input of the page."""
    found: list[str] = []
    if endpoint.model is not None and (known := endpoint.model.suggestions) is not None:
        wanted = [request.query_params.get(name, "") for name in ("field", "text")]
        found = await asyncio.to_thread(known.find, *wanted)
    return JSONResponse({"tokens": found})


async def _http_error(request: Request, err: Exception) -> Response:
    """Respond to what no route takes."""
    assert isinstance(err, HTTPException)
    return error_response(err.status_code, err.detail, err.headers)


async def _unexpected(request: Request, err: Exception) -> Response:
    """Respond to our bugs without their insides; starlette logs them."""
    return error_response(500, FAILED)
