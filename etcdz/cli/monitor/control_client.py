"""Requests to a member's control socket that do not block: answers come back through `serve`.

All requests share one connection, and carry a number that the member sends back. A request that is answered again and
again (logs, traces) has a connection of its own, and ends when that is closed.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import zmq

from supervisor.runtime.data_dir import read_record

Then = Callable[[bool, Any], None]
"""then(ok, result or why not): what is done with an answer."""
HAS_ENDED: Final = "the member has ended"


class ControlClient:
    """The requests to the member in one data directory, over all its restarts."""

    def __init__(self, context: "zmq.Context[Any]", poller: zmq.Poller, data_dir: str) -> None:
        """poller: its sockets are registered there; what it finds ready is for serve()"""
        self._context, self._poller, self._data_dir = context, poller, data_dir
        self._record: Mapping[str, Any] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._pending: dict[bytes, Then] = {}
        self._followed: tuple[zmq.Socket[bytes], Then] | None = None
        self._number = 0

    def refresh(self) -> bool:
        """Whether a member runs there. If it is another than before, requests to the last one have failed."""
        record = read_record(self._data_dir)
        if record != self._record:
            self.close()
            self._record = record
            self._socket = self._connect() if record is not None else None
        return record is not None

    def _connect(self) -> "zmq.Socket[bytes]":
        assert self._record is not None
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(self._record["control"])
        self._poller.register(socket, zmq.POLLIN)
        return socket

    def ask(self, verb: str, args: Mapping[str, Any], then: Then) -> None:
        """One request. verb, args: of supervisor/control/verbs.py. then: called once, at once if no member runs"""
        if self._socket is None:
            then(False, "no member runs")
            return
        self._number += 1
        name = b"%d" % self._number
        self._pending[name] = then
        self._socket.send_multipart([name, _encode(verb, args)], zmq.NOBLOCK)

    def follow(self, verb: str, args: Mapping[str, Any], then: Then) -> None:
        """A request in place of what was followed before. then: called for each answer"""
        self.unfollow()
        if self._record is not None:
            socket = self._connect()
            self._followed = (socket, then)
            socket.send_multipart([b"", _encode(verb, args)], zmq.NOBLOCK)

    def unfollow(self) -> None:
        """Ends what is followed."""
        if self._followed is not None:
            self._drop(self._followed[0])
            self._followed = None

    def serve(self, ready: Mapping[Any, int]) -> None:
        """Hands on the answers that have come. ready: what poll() of the poller has found, as a dict"""
        if self._socket in ready:
            for name, body in _frames(self._socket):
                then = self._pending.pop(name, None)
                if then is not None:
                    then(*_result(body))
        if self._followed is not None and self._followed[0] in ready:
            socket, then = self._followed
            for _, body in _frames(socket):
                then(*_result(body))

    def close(self) -> None:
        """Ends all requests: those without an answer fail with HAS_ENDED."""
        self.unfollow()
        pending, self._pending = self._pending, {}
        if self._socket is not None:
            self._drop(self._socket)
            self._socket = None
        for then in pending.values():
            then(False, HAS_ENDED)

    def _drop(self, socket: "zmq.Socket[bytes]") -> None:
        self._poller.unregister(socket)
        socket.close(linger=0)


def _frames(socket: "zmq.Socket[bytes] | None") -> list[tuple[bytes, bytes]]:
    """(name, body) of all answers that have come."""
    found = []
    while socket is not None and socket.poll(0):
        name, *_, body = socket.recv_multipart()
        found.append((name, body))
    return found


def _result(body: bytes) -> tuple[bool, Any]:
    answer = json.loads(body)
    return (True, answer["result"]) if answer["ok"] else (False, str(answer["error"]))


def _encode(verb: str, args: Mapping[str, Any]) -> bytes:
    return json.dumps({"verb": verb, "args": dict(args)}).encode()
