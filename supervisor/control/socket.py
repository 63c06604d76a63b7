"""The control socket: requests of `etcdz actors` and the monitor, answered from the loop's own state.

    request   {"verb": "ps", "args": {}}
    answer    {"ok": true, "result": ...} or {"ok": false, "error": "..."}
    piece     {"ok": true, "more": true, "result": ...}   before the answer, any number of them

ROUTER, JSON. Only processes of this user may talk to it: the directory is private, and each peer's credentials are
asked of the kernel (SO_PEERCRED) when it connects. What can be asked stands in verbs.py.
"""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import zmq

if TYPE_CHECKING:
    from supervisor.runtime.loop import Loop

REQUESTS_PER_TURN: Final = 16
QUEUED_MAX: Final = 10_000
"""Pieces that wait for one asker; who takes them no more is given up."""

LATER: Final = object()
"""What a verb returns that has kept its request and will answer it."""


class ControlError(Exception):
    """The request cannot be met; the text is for the user."""


class Request:
    """Somebody asks. A verb returns its result, or returns LATER and sooner or later calls `answer` or `refuse`."""

    __slots__ = ("args", "verb", "_envelope", "_socket")

    def __init__(self, verb: str, args: Mapping[str, Any], envelope: list[bytes], socket: "zmq.Socket[bytes]") -> None:
        self.verb = verb
        self.args = args
        self._envelope = envelope
        self._socket = socket

    def answer(self, result: Any) -> bool:
        """The last thing that is said. return False if nobody listens any more."""
        return self._send({"ok": True, "result": result})

    def piece(self, result: Any) -> bool:
        """Something before the answer. return False if nobody listens any more: then forget this request."""
        return self._send({"ok": True, "more": True, "result": result})

    def refuse(self, error: str) -> bool:
        return self._send({"ok": False, "error": error})

    def _send(self, answer: dict[str, Any]) -> bool:
        try:
            self._socket.send_multipart([*self._envelope, _encode(answer)], zmq.NOBLOCK)
        except zmq.ZMQError:  # the asker is gone (EHOSTUNREACH), has stopped reading (EAGAIN), or the member ends
            return False
        return True


Verb = Callable[["Loop", Request], Any]


class Control:
    """Serves requests between the loop's other work."""

    def __init__(self, context: "zmq.Context[Any]", endpoint: str, loop: "Loop", verbs: Mapping[str, Verb]) -> None:
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.socket.setsockopt(zmq.SNDHWM, QUEUED_MAX)
        self.socket.setsockopt(zmq.IPC_FILTER_UID, os.geteuid())
        self.socket.bind(endpoint)
        self._loop = loop
        self._verbs = verbs

    def serve(self) -> None:
        """Answer what waits; a few each turn, so that a flood here cannot hold up supervision."""
        with suppress(zmq.Again):
            for _ in range(REQUESTS_PER_TURN):
                *envelope, body = self.socket.recv_multipart(zmq.NOBLOCK)
                self._serve_one(envelope, body)

    def _serve_one(self, envelope: list[bytes], body: bytes) -> None:
        request = Request("", {}, envelope, self.socket)
        try:
            asked = json.loads(body)
            request.verb, request.args = asked["verb"], dict(asked.get("args", {}))
            result = self._verbs[request.verb](self._loop, request)
        except ControlError as error:
            request.refuse(str(error))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            request.refuse(f"bad request: {error!r}; known verbs: {', '.join(self._verbs)}")
        else:
            if result is not LATER:
                request.answer(result)

    def close(self) -> None:
        self.socket.close(linger=0)


def _encode(answer: dict[str, Any]) -> bytes:
    """What JSON does not know, such as bytes in a heartbeat's summary, in Python's words."""
    return json.dumps(answer, default=str, skipkeys=True).encode()
