"""Calls with one answer, from a client to the cluster and back."""

from collections.abc import Callable
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError

from etcdz.api import errors as api
from etcdz.api import methods as m
from etcdz.api.errors import Code
from etcdz.cli.grpc_proxy.callers import Caller
from etcdz.cli.grpc_proxy.key_calls import Answer, KeyCalls
from etcdz.cli.grpc_proxy.ordering import PAUSE_S, TEXT, TRIES_PER_MEMBER, Ordering
from etcdz.cli.grpc_proxy.turns import Turns
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
_ORDERED: Final = (m.RANGE, m.TXN)
_TOO_MANY: Final = api.REQUEST_TOO_MANY_REQUESTS


class Asked:
    """A call of a client.

    then        makes of the answer the one for the client
    is_long     its answer may be large: it takes a place
    call        once it is sent
    held        bytes that are counted for it
    is_given_up the client wants no answer
    tries       answers that were too old
    """

    __slots__ = (
        "body", "call", "caller", "client", "deadline", "held", "is_given_up", "is_long", "stream_id", "tag", "then",
        "tries",
    )  # fmt: skip

    def __init__(
        self,
        client: "Client",
        stream_id: int,
        tag: int,
        body: bytes,
        then: Callable[[bytes], bytes] | None,
        deadline: float | None,
        caller: Caller,
        is_long: bool,
    ) -> None:
        self.client = client
        self.stream_id = stream_id
        self.tag = tag
        self.body = body
        self.then = then
        self.deadline = deadline
        self.caller = caller
        self.is_long = is_long
        self.call: Call | None = None
        self.held = 0
        self.is_given_up = False
        self.tries = 0


class Client(Protocol):
    """A client's connection. waiting: its calls by stream id; waiting_bytes: what they hold"""

    waiting: dict[int, Asked]
    waiting_bytes: int

    def __hash__(self) -> int: ...
    def answer(self, stream_id: int, body: bytes) -> None: ...
    def refuse(self, stream_id: int, code: int, text: str) -> None: ...


class Calls:
    """keys: what is read of calls; shell: around the client library's core; send_bytes_max: of a request; ordering:
    None: reads may go back"""

    def __init__(self, keys: KeyCalls, shell: Any, send_bytes_max: int, ordering: Ordering | None = None) -> None:
        self.keys = keys
        self._ordering = ordering
        self.own: dict[int, Any] = {}
        """By number: calls that are answered here, or None if they go on after all."""
        self._shell = shell
        self._turns: Turns[Asked] = Turns(self._send)
        self._send_bytes_max = send_bytes_max
        self._bytes = 0

    def begin(
        self, client: Client, stream_id: int, tag: int, body: bytes, deadline: float | None, caller: Caller
    ) -> None:
        """The answer comes by client.answer or client.refuse, now or later."""
        then, is_long = None, False
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
            body, then, is_long = found
        elif tag in self.own and (answer := self.own[tag](body)) is not None:
            client.answer(stream_id, answer)
            return
        asked = Asked(client, stream_id, tag, body, then, deadline, caller, is_long)
        if not self._admit(asked):
            return
        if is_long:
            self._turns.take(client, asked)
        else:
            self._send(asked)

    def _tell(self, client: Client, stream_id: int, answer: Answer) -> None:
        if answer.code:
            client.refuse(stream_id, answer.code, answer.body.decode())
        else:
            client.answer(stream_id, answer.body)

    def _admit(self, asked: Asked) -> bool:
        """return False: there is too much under way, or it is too large; the client knows"""
        client, size = asked.client, len(asked.body)
        if 0 < self._send_bytes_max < size:
            text = f"trying to send message larger than max ({size} vs. {self._send_bytes_max})"
            client.refuse(asked.stream_id, Code.RESOURCE_EXHAUSTED, text)
            return False
        held = size + CALL_BYTES
        if client.waiting_bytes + held > BYTES_EACH_MAX or self._bytes + held > BYTES_MAX:
            client.refuse(asked.stream_id, _TOO_MANY.code, _TOO_MANY.text)
            return False
        asked.held = held
        self._bytes += held
        client.waiting_bytes += held
        client.waiting[asked.stream_id] = asked
        return True

    def _send(self, asked: Asked) -> None:
        if asked.is_given_up:
            self._settle(asked)
            return
        core = self._shell.core
        left_s = max(1e-6, asked.deadline - core.now()) if asked.deadline is not None else 0.0
        try:
            call = core.call(METHODS[asked.tag], asked.body, left_s, asked.caller)
        except ClientClosed as error:
            asked.client.refuse(asked.stream_id, Code.UNAVAILABLE, error.text)
            return
        asked.call = call
        call.tell = lambda: self._on_done(asked, call)
        if call.done:
            call.tell()
        else:
            self._shell.schedule()

    def _on_done(self, asked: Asked, call: Call) -> None:
        if call.error is not None:
            self._on_error(asked, call.error)
        elif self._ordering is not None and asked.tag in _ORDERED and not self._ordering.takes(call.value or b""):
            if not asked.is_given_up and self._may_ask_another(asked):
                return
        else:
            self._tell_answer(asked, call.value or b"")
        self._settle(asked)

    def _settle(self, asked: Asked) -> None:
        """It is over."""
        self._release(asked)
        if asked.is_long:
            self._turns.give_back()

    def _release(self, asked: Asked) -> None:
        client = asked.client
        self._bytes -= asked.held
        client.waiting_bytes -= asked.held
        asked.held = 0
        if client.waiting.get(asked.stream_id) is asked:
            del client.waiting[asked.stream_id]

    def _tell_answer(self, asked: Asked, body: bytes) -> None:
        try:
            body = body if asked.then is None else asked.then(body)
        except DecodeError as problem:
            text = f"grpc: failed to unmarshal the received message {problem}"
            asked.client.refuse(asked.stream_id, Code.INTERNAL, text)
            return
        if not asked.is_given_up:
            asked.client.answer(asked.stream_id, body)

    def _on_error(self, asked: Asked, error: BaseException) -> None:
        code, text = Code.UNKNOWN, str(error)
        if isinstance(error, EtcdError):
            code, text = error.code, error.text
            # A write may be carried out yet; and what is kept was answered when nobody was asked who it is.
            if error.maybe_applied or text == api.USER_EMPTY.text:
                self.keys.cache.clear()
        if not asked.is_given_up:
            asked.client.refuse(asked.stream_id, code, text)

    def _may_ask_another(self, asked: Asked) -> bool:
        """The member that has answered is behind. return False: they all are; the client knows"""
        asked.tries += 1
        core = self._shell.core
        if asked.tries > TRIES_PER_MEMBER * len(core.options.endpoints):
            asked.client.refuse(asked.stream_id, Code.UNKNOWN, TEXT)
            return False
        core.after(PAUSE_S, lambda: self._send(asked))
        self._shell.schedule()
        return True

    def cancel(self, client: Client, stream_id: int) -> None:
        """The client does not want the answer any more."""
        asked = client.waiting.pop(stream_id, None)
        if asked is not None:
            asked.is_given_up = True
            if asked.call is not None and not asked.call.done:
                self._shell.core.cancel(asked.call)
                self._shell.schedule()

    def forget(self, client: Client) -> None:
        """The client wants no answer any more."""
        never_begun = self._turns.forget(client)
        for stream_id in list(client.waiting):
            self.cancel(client, stream_id)
        for asked in never_begun:
            self._release(asked)
