"""A stream from the cluster to one client: one request, many answers, no faster than the client reads them."""

from collections.abc import Callable
from typing import Any, Final

from etcdz.api.errors import Code
from etcdz.cli.grpc_proxy.callers import Caller
from etcdz.client.errors import ClientClosed, EtcdError
from etcdz.client.methods import Method
from etcdz.client.streams import StreamCall

ROOM_BYTES: Final = 256 << 10
"""What a client may leave unread before the cluster is told to wait. NB: what it has sent by then comes on top, up to
the window of the stream (etcdz/wire/client.py)."""
REQUEST_BYTES_MAX: Final = 64 << 10


class PassThrough:
    """stream: the client's; over: told once, when it has ended"""

    def __init__(
        self, shell: Any, stream: Any, path: bytes, caller: Caller, over: Callable[["PassThrough"], object]
    ) -> None:
        self._over = over
        self._shell = shell
        self._stream = stream
        self._call = StreamCall(Method(path, False), metadata=caller)
        self._request: bytes | None = None
        self._is_held = False

    def on_message(self, message: bytes) -> None:
        """NB: a second one is not read, as by etcd."""
        if self._request is not None:
            return
        if len(message) > REQUEST_BYTES_MAX:
            self._finish(Code.RESOURCE_EXHAUSTED, f"a request of {len(message)} bytes, and not {REQUEST_BYTES_MAX}")
            return
        self._request = message
        call = self._call
        call.open, call.message, call.end = self._on_open, self._on_answer, self._on_end
        try:
            self._shell.core.stream(call)
        except ClientClosed as error:
            self._finish(Code.UNAVAILABLE, error.text)
            return
        self._shell.schedule()

    def on_end(self) -> None:
        """The client has said all; without a request there is nothing to answer."""
        if self._request is None:
            self._finish(Code.INTERNAL, "EOF")

    def on_cancel(self) -> None:
        self._over(self)
        self._call.cancel()
        self._shell.schedule()

    def on_writable(self) -> None:
        if self._is_held and self._stream.backlog_bytes <= ROOM_BYTES:
            self._is_held = False
            self._shell.core.go_on(self._call)
            self._shell.schedule()

    def _on_open(self) -> None:
        self._shell.core.send(self._call, self._request or b"")
        self._shell.core.half_close(self._call)
        self._shell.schedule()

    def _on_answer(self, message: bytes) -> None:
        self._stream.send(message)
        if not self._is_held and self._stream.backlog_bytes > ROOM_BYTES:
            self._is_held = True
            self._shell.core.hold(self._call)

    def _on_end(self, error: EtcdError | None) -> None:
        if error is None:
            self._finish(0, "")
        else:
            self._finish(error.code, error.text)

    def _finish(self, code: int, text: str) -> None:
        self._over(self)
        self._stream.finish(code, text)
