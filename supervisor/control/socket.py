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
from functools import partial
from typing import Any, Final, Protocol

import zmq

from etcdz.ipc.messages import Look, Looked
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

    __slots__ = ("args", "verb", "_send")

    def __init__(self, verb: str, args: Mapping[str, Any], send: Callable[[dict[str, Any]], bool]) -> None:
        """send(answer) -> whether there is still somebody to send it to"""
        self.verb = verb
        self.args = args
        self._send = send

    def answer(self, result: Any) -> bool:
        """The last that is sent. return False if the client is gone"""
        return self._send({"ok": True, "result": result})

    def piece(self, result: Any) -> bool:
        """Something before the answer. return False if the client is gone: then forget this request"""
        return self._send({"ok": True, "more": True, "result": result})

    def refuse(self, error: str) -> bool:
        """The last that is sent: a text for the user. return False if the client is gone"""
        return self._send({"ok": False, "error": error})


Verb = Callable[[Member, Request], Any]


class Pending(Protocol):
    """Requests whose answers are waited for."""

    def look(self, now: float) -> None:
        """Once a turn: answer what is done by now."""


class ControlSocket:
    """Serves requests between the loop's other work."""

    def __init__(
        self, member: Member, pending: Pending, verbs: Mapping[str, Verb], looks: Mapping[str, Verb] | None = None
    ) -> None:
        """verbs: what this user may ask. looks: what clients may see, by way of a listener"""
        self.socket: zmq.Socket[bytes] = member.zmq.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.socket.setsockopt(zmq.SNDHWM, QUEUED_MAX)
        self.socket.setsockopt(zmq.IPC_FILTER_UID, os.geteuid())
        self.socket.bind(member.data.control)
        self._member = member
        self._verbs = verbs
        self._looks = looks or {}
        self.look = pending.look

    def serve(self) -> None:
        """Answer what waits; a few each turn, so that a flood here cannot hold up supervision."""
        with suppress(zmq.Again):
            for _ in range(REQUESTS_PER_TURN):
                *envelope, body = self.socket.recv_multipart(zmq.NOBLOCK)
                self._serve_one(envelope, body)

    def _serve_one(self, envelope: list[bytes], body: bytes) -> None:
        request = Request("", {}, partial(self._send, envelope))
        try:
            content = json.loads(body)
            request.verb, request.args = content["verb"], dict(content.get("args", {}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            request.refuse(f"bad request: {error!r}; known verbs: {', '.join(self._verbs)}")
        else:
            serve(self._verbs, self._member, request)

    def _send(self, envelope: list[bytes], answer: dict[str, Any]) -> bool:
        try:
            self.socket.send_multipart([*envelope, encode(answer)], zmq.NOBLOCK)
        except zmq.ZMQError:  # the client is gone (EHOSTUNREACH), has stopped reading (EAGAIN), or the member ends
            return False
        return True

    def on_look(self, look: Look) -> None:
        """The question of a listener's client."""

        def send(answer: dict[str, Any]) -> bool:
            told = answer["result"] if answer["ok"] else answer["error"]
            self._member.links.send(look.incarnation, Looked(look.seq, answer["ok"], encode(told)))
            return True

        serve(self._looks, self._member, Request(look.verb, look.args, send))

    def close(self) -> None:
        """What is not sent yet is dropped."""
        self.socket.close(linger=0)


def serve(verbs: Mapping[str, Verb], member: Member, request: Request) -> None:
    """Has a request answered, now or later; one that is wrong is refused."""
    try:
        result = verbs[request.verb](member, request)
    except ControlError as error:
        request.refuse(str(error))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        request.refuse(f"bad request: {error!r}; known verbs: {', '.join(verbs)}")
    else:
        if result is not LATER:
            request.answer(result)


def encode(answer: Any) -> bytes:
    """What JSON does not know, such as bytes in a heartbeat's summary, in Python's words."""
    return json.dumps(answer, default=str, skipkeys=True).encode()
