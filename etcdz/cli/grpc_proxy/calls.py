"""Calls with one answer, from a client to the cluster and back."""

from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError

from etcdz.api import errors as api
from etcdz.api import methods as m
from etcdz.api.errors import Code
from etcdz.cli.grpc_proxy.callers import Caller
from etcdz.cli.grpc_proxy.key_calls import Answer, Forward, KeyCalls
from etcdz.client import methods as client_methods
from etcdz.client.errors import ClientClosed, EtcdError
from etcdz.client.methods import Method
from etcdz.client.pending import Call

BYTES_EACH_MAX: Final = 32 << 20
BYTES_MAX: Final = 256 << 20
"""Of requests that are not answered, of one client and of all; beyond, `etcdserver: too many requests`."""
CALL_BYTES: Final = 1 << 10
"""What a call takes beside its request, about."""
_REPEATABLE: Final = {
    method.path: method for method in vars(client_methods).values() if isinstance(method, Method) and method.repeatable
}
METHODS: Final = {
    tag: _REPEATABLE.get(path, Method(path, False))
    for path, tag in (m.PATHS | m.AUTH_PATHS | m.STREAM_PATHS).items()
    if tag not in (set(m.STREAM_PATHS.values()) - m.WAITING)
}
"""By number: calls with one answer, and which may be sent again."""
_TOO_MANY: Final = api.REQUEST_TOO_MANY_REQUESTS


class Client(Protocol):
    """A client's connection. waiting: its calls by stream id; waiting_bytes: what they hold"""

    waiting: dict[int, Call]
    waiting_bytes: int

    def answer(self, stream_id: int, body: bytes) -> None: ...
    def refuse(self, stream_id: int, code: int, text: str) -> None: ...


class Calls:
    """keys: what is read of calls; core: the client library's; send_bytes_max: of a request"""

    def __init__(self, keys: KeyCalls, shell: Any, send_bytes_max: int) -> None:
        self.keys = keys
        self.own: dict[int, Any] = {}
        """By number: calls that are answered here, or None if they go on after all."""
        self._shell = shell
        self._send_bytes_max = send_bytes_max
        self._bytes = 0

    def begin(
        self, client: Client, stream_id: int, tag: int, body: bytes, deadline: float | None, caller: Caller
    ) -> None:
        """The answer comes by client.answer or client.refuse, now or later."""
        then = None
        reader = self.keys.readers.get(tag)
        if reader is not None:
            try:
                found = reader(body, caller)
            except DecodeError as problem:
                client.refuse(stream_id, Code.INTERNAL, f"grpc: error unmarshalling request: {problem}")
                return
            if isinstance(found, Answer):
                self._tell(client, stream_id, found)
                return
            body, then = found
        elif tag in self.own and (answer := self.own[tag](body)) is not None:
            client.answer(stream_id, answer)
            return
        self._send(client, stream_id, tag, Forward(body, then), deadline, caller)

    def _tell(self, client: Client, stream_id: int, answer: Answer) -> None:
        if answer.code:
            client.refuse(stream_id, answer.code, answer.body.decode())
        else:
            client.answer(stream_id, answer.body)

    def _send(
        self, client: Client, stream_id: int, tag: int, forward: Forward, deadline: float | None, caller: Caller
    ) -> None:
        size = len(forward.body)
        if 0 < self._send_bytes_max < size:
            text = f"trying to send message larger than max ({size} vs. {self._send_bytes_max})"
            client.refuse(stream_id, Code.RESOURCE_EXHAUSTED, text)
            return
        held = size + CALL_BYTES
        if client.waiting_bytes + held > BYTES_EACH_MAX or self._bytes + held > BYTES_MAX:
            client.refuse(stream_id, _TOO_MANY.code, _TOO_MANY.text)
            return
        core = self._shell.core
        left_s = max(1e-6, deadline - core.now()) if deadline is not None else 0.0
        try:
            call = core.call(METHODS[tag], forward.body, left_s, caller)
        except ClientClosed as error:
            client.refuse(stream_id, Code.UNAVAILABLE, error.text)
            return
        self._bytes += held
        client.waiting_bytes += held
        client.waiting[stream_id] = call
        call.tell = lambda: self._on_done(client, stream_id, call, forward, held)
        if call.done:
            call.tell()
        else:
            self._shell.schedule()

    def _on_done(self, client: Client, stream_id: int, call: Call, forward: Forward, held: int) -> None:
        self._bytes -= held
        client.waiting_bytes -= held
        if client.waiting.pop(stream_id, None) is None:
            return  # it was given up
        error = call.error
        if error is None:
            body = call.value or b""
            try:
                client.answer(stream_id, body if forward.then is None else forward.then(body))
            except DecodeError as problem:
                client.refuse(stream_id, Code.INTERNAL, f"grpc: failed to unmarshal the received message {problem}")
        elif isinstance(error, EtcdError):
            if error.text == api.USER_EMPTY.text:
                self.keys.cache.clear()  # what is kept was answered when nobody was asked who it is
            if forward.then is not None and error.maybe_applied:
                self.keys.cache.clear()
            client.refuse(stream_id, error.code, error.text)
        else:
            client.refuse(stream_id, Code.UNKNOWN, str(error))

    def cancel(self, client: Client, stream_id: int) -> None:
        """The client does not want the answer any more."""
        call = client.waiting.pop(stream_id, None)
        if call is not None:
            self._shell.core.cancel(call)
            self._shell.schedule()
