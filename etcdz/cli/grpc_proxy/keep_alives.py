"""Leases that clients keep alive: what they ask goes to the cluster on one stream for each caller.

Who asks about a lease while it is being asked for is answered together with who has asked first.
Source: what etcd 3.5 grpcproxy/lease.go is for; that one goes on for clients that ask no more, until the lease's TTL.
"""

from typing import Any, Final

from google.protobuf.message import DecodeError

from etcdz import limits
from etcdz.api import errors as api
from etcdz.api.errors import Code
from etcdz.cli.grpc_proxy.callers import Caller
from etcdz.client import methods
from etcdz.client.errors import ClientClosed, EtcdError
from etcdz.client.streams import StreamCall
from etcdz.proto import etcdserverpb as pb

OPENED_AGAIN_MAX: Final = 3
"""A stream that ends so often in a row before it has answered anything fails who waits for it."""
REOPEN_S: Final = 0.05


class KeepAliveStream:
    """A client's. open: how often it waits for an answer"""

    def __init__(self, line: "KeepAliveLine", stream: Any) -> None:
        self.stream = stream
        self.waiting = 0
        self._line = line

    def on_message(self, message: bytes) -> None:
        try:
            lease_id = pb.LeaseKeepAliveRequest.FromString(message).ID
        except DecodeError as problem:
            self.end(Code.INTERNAL, f"grpc: failed to unmarshal the received message {problem}")
            return
        if self.waiting >= limits.KEEP_ALIVES_QUEUED:
            self.end(api.REQUEST_TOO_MANY_REQUESTS.code, api.REQUEST_TOO_MANY_REQUESTS.text)
            return
        self.waiting += 1
        self._line.ask(lease_id, self)

    def on_end(self) -> None:
        self.end(0, "")

    def on_cancel(self) -> None:
        self._line.leave(self)

    def on_writable(self) -> None:
        """Answers leave by themselves."""

    def answer(self, message: bytes) -> None:
        self.waiting -= 1
        self.stream.send(message)

    def end(self, code: int, text: str) -> None:
        self._line.leave(self)
        self.stream.finish(code, text)


class KeepAliveLine:
    """The stream of one caller at the cluster."""

    def __init__(self, owner: "KeepAlives", caller: Caller) -> None:
        self.caller = caller
        self.clients: set[KeepAliveStream] = set()
        self._owner = owner
        self._asked: dict[int, list[KeepAliveStream]] = {}
        self._stream: StreamCall | None = None
        self._is_open = False
        self._failures = 0

    def ask(self, lease_id: int, client: KeepAliveStream) -> None:
        waiting = self._asked.get(lease_id)
        if waiting is not None:
            waiting.append(client)
            return
        self._asked[lease_id] = [client]
        if self._stream is None:
            self._open()
        elif self._is_open:
            self._send(lease_id)

    def leave(self, client: KeepAliveStream) -> None:
        if client not in self.clients:
            return
        self.clients.discard(client)
        if client.waiting:
            for lease_id, waiting in self._asked.items():
                self._asked[lease_id] = [one for one in waiting if one is not client]
        if not self.clients:
            self._owner.forget(self)
            if self._stream is not None:
                self._stream.cancel()
                self._owner.shell.schedule()

    def _open(self) -> None:
        if not self.clients:
            return
        stream = self._stream = StreamCall(methods.LEASE_KEEP_ALIVE, metadata=self.caller)
        stream.open, stream.message, stream.end = self._on_open, self._on_message, self._on_end
        try:
            self._owner.shell.core.stream(stream)
        except ClientClosed:
            return
        self._owner.shell.schedule()

    def _on_open(self) -> None:
        self._is_open = True
        for lease_id in self._asked:
            self._send(lease_id)

    def _send(self, lease_id: int) -> None:
        message = pb.LeaseKeepAliveRequest(ID=lease_id).SerializeToString()
        self._owner.shell.core.send(self._stream, message)
        self._owner.shell.schedule()

    def _on_message(self, message: bytes) -> None:
        self._failures = 0
        for client in self._asked.pop(pb.LeaseKeepAliveResponse.FromString(message).ID, ()):
            client.answer(message)

    def _on_end(self, error: EtcdError | None) -> None:
        self._stream = None
        self._is_open = False
        if not any(self._asked.values()):
            self._asked.clear()
            return
        self._failures += 1
        code, text = (error.code, error.text) if error is not None else (Code.UNAVAILABLE, "the stream has ended")
        if code == Code.UNAVAILABLE and self._failures < OPENED_AGAIN_MAX:
            self._owner.shell.core.after(REOPEN_S, self._open)
            return
        self._failures = 0
        waiting = {client for clients in self._asked.values() for client in clients}
        self._asked.clear()
        for client in waiting:
            client.end(code, text)


class KeepAlives:
    """All of them."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self._lines: dict[Caller, KeepAliveLine] = {}

    def open(self, stream: Any, caller: Caller) -> KeepAliveStream:
        line = self._lines.get(caller)
        if line is None:
            line = self._lines[caller] = KeepAliveLine(self, caller)
        client = KeepAliveStream(line, stream)
        line.clients.add(client)
        return client

    def forget(self, line: KeepAliveLine) -> None:
        self._lines.pop(line.caller, None)
