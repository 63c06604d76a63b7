"""A streaming call, as the core carries it; who wants one says what is done with its messages."""

from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError

from etcdz.client.errors import EtcdError, undecodable
from etcdz.client.methods import Method


def _nothing(*_: Any) -> None: ...


class StreamCall:
    """open: it has just been sent, messages may follow. end: None, the server has ended it well; it is not sent again.

    deadline    of waiting for a connection: none
    resumes     who wants it goes on with another if it ends
    metadata    its own, beside the client's
    """

    __slots__ = (
        "core", "deadline", "done", "end", "generation", "line", "message", "metadata", "method", "open",
        "requires_leader", "resumes", "since", "stream_id", "tries",
    )  # fmt: skip

    def __init__(
        self,
        method: Method,
        requires_leader: bool = False,
        metadata: tuple[tuple[bytes, bytes], ...] = (),
        *,
        resumes: bool = False,
    ) -> None:
        self.method = method
        self.metadata = metadata
        self.resumes = resumes
        self.requires_leader = requires_leader
        self.open: Callable[[], None] = _nothing
        self.message: Callable[[bytes], None] = _nothing
        self.end: Callable[[EtcdError | None], None] = _nothing
        self.core: Any = None
        self.deadline: float | None = None
        self.done = False
        self.generation = 0
        self.line: Any = None
        self.since = 0.0
        self.stream_id = 0
        self.tries = 0

    def on_open(self) -> None:
        self.open()

    def on_message(self, message: bytes) -> None:
        """NB: what is no message ends this stream alone: who waits for it, and all else on its connection, goes on."""
        try:
            self.message(message)
        except DecodeError as problem:
            self.core.end_stream(self)
            self.on_end(undecodable(problem))

    def on_end(self, error: EtcdError | None) -> None:
        if not self.done:
            self.done = True
            self.end(error)

    def fail(self, error: EtcdError) -> None:
        self.on_end(error)

    def cancel(self) -> None:
        if not self.done and self.core is not None:
            self.done = True
            self.core.end_stream(self)
