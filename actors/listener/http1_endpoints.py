"""One client's HTTP/1.1 connection."""

from collections.abc import Callable
from typing import Protocol

from actors.listener.calls import Calls
from actors.listener.http_endpoints import HttpEndpoints
from actors.listener.scrapes import Scrapes
from etcdz.wire.http1 import Header, Http1Connection, Http1Limits
from etcdz.wire.unfinished import UnfinishedRequests


class Transport(Protocol):
    """Where answers are written."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...
    def is_closing(self) -> bool: ...


class Http1Endpoints(HttpEndpoints):
    """From bytes to requests, and back. The number of a request is its place on the connection."""

    def __init__(
        self,
        transport: Transport,
        calls: Calls,
        scrapes: Scrapes,
        body_bytes_max: int,
        unfinished: UnfinishedRequests,
        fail: Callable[[Exception], None],
        metrics_only: bool = False,
    ) -> None:
        """unfinished    shared by all connections of a listener
        the rest      as HttpEndpoints
        """
        super().__init__(calls, scrapes, fail, metrics_only)
        self._unfinished = unfinished
        self._transport = transport
        self._leaving = False
        limits = Http1Limits(body_bytes_max=body_bytes_max)
        self._http = Http1Connection(limits, lambda size: unfinished.change(self, size))

    @property
    def has_asked(self) -> bool:
        """Whether a whole request has come at all."""
        return self._http.has_asked

    @property
    def is_gone(self) -> bool:
        return self._transport.is_closing()

    def give_up_unfinished(self) -> None:
        """Refuses the request that has not come completely."""
        self._http.give_up_unfinished()
        self.forget_unfinished()
        self.flush()

    def forget_unfinished(self) -> None:
        """The transport is gone."""
        self._unfinished.forget(self)

    def receive(self, data: bytes) -> None:
        """Bytes of the client: dispatches the requests that they complete, and writes the answers that are ready."""
        for request in self._http.receive(data):
            self.dispatch(request)
        self.flush()

    def receive_eof(self) -> None:
        """The client has closed its half; it still gets the answers to what it asked."""
        self._http.receive_eof()
        self.flush()

    def drain(self) -> None:
        """Closes the connection once every request has its answer."""
        self._leaving = True
        self.flush()

    def answer(self, request_id: int, status: int, body: bytes, kind: bytes, headers: list[Header]) -> None:
        self._http.respond(request_id, status, body, kind, headers)

    def flush(self) -> None:
        """Writes the answers that are ready, and closes the connection if it is over."""
        try:
            output = self._http.take_output()
            if output:
                self._transport.write(output)
            if self._http.should_close or (self._leaving and not self._http.is_busy):
                self._transport.close()
        except Exception as error:
            self._fail(error)
