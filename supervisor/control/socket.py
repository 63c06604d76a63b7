"""The control socket: requests of `etcdz actors` and the monitor, answered from the running member's state.

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
from typing import Any, Final, Protocol

import zmq

from supervisor.runtime.context import Member

REQUESTS_PER_TURN: Final = 16
QUEUED_MAX: Final = 10_000
"""Pieces that wait for one client; one that takes no more of them gets no more."""

LATER: Final = object()
"""What a verb returns that has kept its request and will answer it."""


class ControlError(Exception):
    """The request cannot be met; the text is for the user."""


class Request:
    """One request. A verb returns its result, or returns LATER and sooner or later calls `answer` or `refuse`."""

    __slots__ = ("args", "verb", "_envelope", "_socket")

    def __init__(self, verb: str, args: Mapping[str, Any], envelope: list[bytes], socket: "zmq.Socket[bytes]") -> None:
        self.verb = verb
        self.args = args
        self._envelope = envelope
        self._socket = socket

    def answer(self, result: Any) -> bool:
        """The last that is sent. return False if the client is gone"""
        return self._send({"ok": True, "result": result})

    def piece(self, result: Any) -> bool:
        """Something before the answer. return False if the client is gone: then forget this request"""
        return self._send({"ok": True, "more": True, "result": result})

    def refuse(self, error: str) -> bool:
        """The last that is sent: a text for the user. return False if the client is gone"""
        return self._send({"ok": False, "error": error})

    def _send(self, answer: dict[str, Any]) -> bool:
        try:
            self._socket.send_multipart([*self._envelope, _encode(answer)], zmq.NOBLOCK)
        except zmq.ZMQError:  # the client is gone (EHOSTUNREACH), has stopped reading (EAGAIN), or the member ends
            return False
        return True


Verb = Callable[[Member, Request], Any]


class Pending(Protocol):
    """Requests whose answers are waited for."""

    def look(self, now: float) -> None:
        """Once a turn: answer what is done by now."""


class ControlSocket:
    """Serves requests between the loop's other work."""

    def __init__(self, member: Member, pending: Pending, verbs: Mapping[str, Verb]) -> None:
        self.socket: zmq.Socket[bytes] = member.zmq.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.socket.setsockopt(zmq.SNDHWM, QUEUED_MAX)
        self.socket.setsockopt(zmq.IPC_FILTER_UID, os.geteuid())
        self.socket.bind(member.data.control)
        self._member = member
        self._verbs = verbs
        self.look = pending.look

    def serve(self) -> None:
        """Answer what waits; a few each turn, so that a flood here cannot hold up supervision."""
        with suppress(zmq.Again):
            for _ in range(REQUESTS_PER_TURN):
                *envelope, body = self.socket.recv_multipart(zmq.NOBLOCK)
                self._serve_one(envelope, body)

    def _serve_one(self, envelope: list[bytes], body: bytes) -> None:
        request = Request("", {}, envelope, self.socket)
        try:
            content = json.loads(body)
            request.verb, request.args = content["verb"], dict(content.get("args", {}))
            result = self._verbs[request.verb](self._member, request)
        except ControlError as error:
            request.refuse(str(error))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            request.refuse(f"bad request: {error!r}; known verbs: {', '.join(self._verbs)}")
        else:
            if result is not LATER:
                request.answer(result)

    def close(self) -> None:
        """What is not sent yet is dropped."""
        self.socket.close(linger=0)


def _encode(answer: dict[str, Any]) -> bytes:
    """What JSON does not know, such as bytes in a heartbeat's summary, in Python's words."""
    return json.dumps(answer, default=str, skipkeys=True).encode()
