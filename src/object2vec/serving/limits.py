"""What a server has no room for, and how many bytes it holds."""

from __future__ import annotations

from object2vec.errors import RequestError


class Overloaded(RequestError):
    """The server has no room for another request.

    Parameters
    ----------
    message : str
    retry_after_s : int
        Seconds after which there will probably be room.
    """

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message, status=429)
        self.retry_after_s = retry_after_s


class HeldBytes:
    """Bytes of requests and responses in memory, counted while the blocks of `with` run.

    Parameters
    ----------
    limit : int
        What `admit` may bring the total to. One request alone is always admitted.

    Attributes
    ----------
    total : int
        Bytes held now.
    """

    def __init__(self, limit: int) -> None:
        self.total = 0
        self._limit = limit

    def admit(self, size: int) -> _Held:
        """Hold bytes of a request, or reject it.

        Raises
        ------
        Overloaded
            If other bytes are held and `size` more would exceed the limit.
        """
        if self.total and self.total + size > self._limit:
            must, cure = "must have memory for the request", "Send it again after 1 s."
            raise Overloaded.at("the server", must, f"{self.total} bytes in flight", cure)
        return _Held(self, size)

    def add(self, size: int) -> _Held:
        """Hold bytes of a response; it is in memory already, so that there is no limit."""
        return _Held(self, size)


class _Held:
    """Bytes that are held while a block runs, however it ends."""

    __slots__ = ("_counter", "_size")

    def __init__(self, counter: HeldBytes, size: int) -> None:
        self._counter, self._size = counter, size

    def __enter__(self) -> None:
        self._counter.total += self._size

    def __exit__(self, *raised: object) -> None:
        self._counter.total -= self._size
