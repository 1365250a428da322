"""A model behind HTTP: its loading, its state, and how it responds to a request for inference."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from starlette.types import Receive

from object2vec.compiled.cores import available_cores
from object2vec.errors import ArtifactError, Object2VecError, RequestError
from object2vec.inference.forms import negotiate
from object2vec.inference.instances import Group
from object2vec.inference.payload import MIB
from object2vec.inference.responses import render
from object2vec.serving.batcher import Batcher, Floats
from object2vec.serving.inputs import Suggestions
from object2vec.serving.limits import HeldBytes
from object2vec.serving.metrics import ServerMetrics
from object2vec.serving.settings import Settings
from object2vec.serving.thread import WorkThread

if TYPE_CHECKING:
    from object2vec.artifact import Artifact
    from object2vec.inference.engine import Engine

CHUNK_BYTES = 1 << 18  # of a response; what is larger leaves room for others
_MAX_DRAINED_BYTES = 64 * MIB  # of a body that is too large, so that its client reads our response
_logger = logging.getLogger(__name__)

LoadListener = Callable[[Object2VecError | None], object]


class LoadedModel:
    """A model in memory with what requests need of it.

    Parameters
    ----------
    engine : Engine
    settings : Settings
    observe : callable
        As of `Batcher`.
    """

    def __init__(
        self, engine: Engine, settings: Settings, observe: Callable[[int, int], object]
    ) -> None:
        self.engine = engine
        self.reader = engine.reader
        # Of a request: more would make a response that does not fit into memory.
        self.max_instances = max(settings.max_response_numbers // engine.width, 1)
        self.suggestions = None if engine.schema is None else Suggestions(engine.schema)
        self._settings, self._observe = settings, observe
        self._thread = WorkThread()
        # One for each event loop: a test client starts a loop for each request.
        self._batchers: WeakKeyDictionary[asyncio.AbstractEventLoop, Batcher] = WeakKeyDictionary()

    def submit(self, groups: Sequence[Group]) -> asyncio.Future[list[Floats]]:
        """Return a future of the results, as `Batcher.submit` does."""
        loop = asyncio.get_running_loop()
        batcher = self._batchers.get(loop)
        if batcher is None:
            engine = self.engine
            batcher = self._batchers[loop] = Batcher(
                engine.predict, engine.is_quick, self._settings, self._thread, self._observe
            )
        return batcher.submit(groups)

    def close(self) -> None:
        """Let the model's thread end."""
        self._thread.close()


class Endpoint:
    """The state of a serving process: a model once it is loaded, and what is in flight.

    Parameters
    ----------
    load : callable
        Returns the model; called once, in a thread.
    settings : Settings
    on_loaded : callable, optional
        Called, in that thread, when the model is loaded: with None, or with the error why it could
        not be.

    Attributes
    ----------
    model : LoadedModel or None
        None until it is loaded.
    failure : Object2VecError or None
        Why the model could not be loaded.
    is_draining : bool
        Whether new requests are rejected because the process is about to end.
    held : HeldBytes
    metrics : ServerMetrics
    """

    def __init__(
        self,
        load: Callable[[], Artifact],
        settings: Settings,
        on_loaded: LoadListener = lambda failure: None,
    ) -> None:
        self.settings = settings
        self.metrics = ServerMetrics()
        self.held = HeldBytes(settings.max_held_bytes)
        self.model: LoadedModel | None = None
        self.failure: Object2VecError | None = None
        self.is_draining = False
        self._load, self._on_loaded = load, on_loaded
        self._loading: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def is_ready(self) -> bool:
        """Whether requests are processed."""
        return self.model is not None and not self.is_draining

    def start(self) -> None:
        """Begin to load the model in the background, unless that has begun already."""
        with self._lock:
            if self.model or self.failure or (self._loading and self._loading.is_alive()):
                return
            # A daemon cannot keep the process alive.
            self._loading = threading.Thread(target=self._start, name="load", daemon=True)
            self._loading.start()

    def _start(self) -> None:
        """Load the model, or note why that is not possible."""
        start = time.perf_counter()
        try:
            self.put(self._load())
            _logger.info("Model loaded in %.1f s.", time.perf_counter() - start)
        except Object2VecError as err:
            self.failure = err
        except Exception as err:
            _logger.exception("The model could not be loaded.")
            self.failure = ArtifactError.at(
                "the model", "must be loaded", type(err).__name__, "See the log."
            )
        self._on_loaded(self.failure)

    def put(self, artifact: Artifact) -> None:
        """Serve a model from now on, with the cores that are there for one worker."""
        from object2vec.inference.engine import Engine

        engine = Engine(artifact)
        threads = engine.config.threads or max(1, available_cores() // self.settings.workers)
        engine.warm_up(self.settings.preferred_mode, threads)
        self.model = LoadedModel(engine, self.settings, self._observe)
        self.metrics.ready.set(1)

    def _observe(self, instances: int, waiting_units: int) -> None:
        """Note a batch and what it left behind."""
        self.metrics.batch_instances.observe(instances)
        self.metrics.waiting.set(waiting_units)

    def close(self) -> None:
        """Let the model's thread end."""
        if self.model is not None:
            self.model.close()

    async def respond(self, headers: dict[bytes, str], receive: Receive) -> tuple[list[bytes], str]:
        """Return the body of the response to a request, in parts, and its media type.

        Raises
        ------
        RequestError
            With the status that belongs to the problem; 204 for an empty body.
        """
        model, limit = self.model, self.settings.max_payload_bytes
        if model is None or self.is_draining:
            raise self._not_ready()
        content_type, accept = headers.get(b"content-type", ""), headers.get(b"accept", "")
        default, readable = self.settings.default_accept, model.reader.readable
        form = negotiate(content_type, accept, default, readable)
        if headers.get(b"content-encoding", "identity").lower() != "identity":
            got, cure = headers[b"content-encoding"], "Send the body uncompressed."
            raise RequestError.at("Content-Encoding", "must be identity", got, cure, status=415)
        length = _content_length(headers)
        with self.held.admit(min(length or limit, limit)):
            if length > limit and b"expect" in headers:
                raise _too_large(length, limit)  # before the client sends it
            body = await _read_body(receive, limit)
            if len(body) <= model.reader.quick_bytes:
                request = model.reader.read(body, form)
            else:  # it takes long
                request = await asyncio.to_thread(model.reader.read, body, form)
            del body
            if request is None:
                raise RequestError("body: is empty.", status=204)
            if len(request) > model.max_instances:
                raise _too_many(len(request), model.max_instances)
            results = await model.submit(request.groups)
        self.metrics.count(request)
        parts = []
        for part in render(request, results, form.writes, model.engine.classes):
            parts.append(part)
            if len(part) > CHUNK_BYTES:
                await asyncio.sleep(0)  # others have their turn between two large parts
        return parts, form.writes

    def _not_ready(self) -> RequestError:
        """Return why no request is processed now."""
        if self.failure is not None:
            return RequestError(
                "the server: has no model, because loading it failed. Its log names the cause.",
                status=500,
            )
        state = "shutting down" if self.is_draining else "loading its model"
        return RequestError(f"the server: is {state}. Send the request again soon.", status=503)


async def _read_body(receive: Receive, limit: int) -> bytes:
    """Return the whole body of a request; one that is too large is read on for a while."""
    chunks, size = [], 0
    while size <= limit + _MAX_DRAINED_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestError("the request: was not completed by its client.")
        chunk = message.get("body", b"")
        size += len(chunk)
        chunks.append(chunk)
        if size > limit:
            chunks.clear()
        if not message.get("more_body"):
            break
    if size > limit:
        raise _too_large(size, limit)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(size: int, limit: int) -> RequestError:
    rule = f"must have at most {limit} bytes"
    return RequestError.at("body", rule, size, "Split the request.", status=413)


def _too_many(instances: int, limit: int) -> RequestError:
    must, cure = f"must be at most {limit} for this model", "Split the request."
    return RequestError.at("instances", must, instances, cure, status=413)


def _content_length(headers: dict[bytes, str]) -> int:
    """Return the announced length of the body; 0 if it is not announced."""
    text = headers.get(b"content-length", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
