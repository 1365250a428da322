"""Who may send requests: a bearer token, where the server has one."""

from __future__ import annotations

import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from object2vec.serving.error_responses import error_response

_FREE_PATHS = ("/ping", "/")


def path_of(scope: Scope) -> str:
    """Return the path of a request within the application, wherever that is mounted."""
    path, root = scope["path"], scope.get("root_path", "")
    is_below = root and path.startswith(root) and path[len(root) :][:1] in ("", "/")
    return str(path[len(root) :] if is_below else path)


class Guard:
    """Lets only requests through that carry the token; ``/ping`` and the bare page are free.

    Parameters
    ----------
    app : ASGI application
    token : str
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or reject it with 401."""
        if scope["type"] == "http":
            scope["object2vec.authorized"] = self._is_authorized(scope)
            if not scope["object2vec.authorized"] and path_of(scope) not in _FREE_PATHS:
                message = "Authorization: must be Bearer and the server's token. Ask for it."
                response = error_response(401, message, {"WWW-Authenticate": "Bearer"})
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_authorized(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        scheme, _, token = given[0].partition(b" ") if len(given) == 1 else (b"", b"", b"")
        is_same = hmac.compare_digest(token.strip(), self._expected)
        return is_same and scheme.lower() == b"bearer"
