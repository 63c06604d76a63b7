"""One request of the v2 API that waits for the backend, and how its answer is written."""

from collections.abc import Callable

from actors.listener.calls import Calls
from actors.listener.exchange import Exchange, Handler
from etcdz.api.errors import EtcdError
from etcdz.v2.answers import HttpAnswer
from etcdz.wire.http1 import Header

Encode = Callable[[int, bytes], HttpAnswer]
"""(code, body) as a Caller is told them -> the answer"""


class V2Call(Handler):
    """The Caller of one request."""

    __slots__ = ("_calls", "_encode", "_exchange", "_headers")

    def __init__(self, exchange: Exchange, calls: Calls, encode: Encode, *headers: Header) -> None:
        """headers: besides those that the answer has"""
        self._exchange = exchange
        self._calls = calls
        self._encode = encode
        self._headers = headers

    def begin(self, refusal: EtcdError | None) -> None:
        """It was asked for. refusal: why it is not on its way"""
        if refusal is not None:
            self.reply(0, refusal.code, refusal.text.encode())
        else:
            self._exchange.handler = self

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """As Caller."""
        try:
            give(self._exchange, self._encode(code, body), *self._headers)
        except Exception as error:
            self._exchange.fail(error)

    def flush(self) -> None:
        """As Caller."""
        self._exchange.flush()

    def on_gone(self) -> None:
        """Nobody waits any more."""
        self._calls.lose(self)


def cluster_id_header(calls: Calls) -> Header:
    return b"x-etcd-cluster-id", b"%x" % calls.members.known.cluster_id


def give(exchange: Exchange, answer: HttpAnswer, *more: Header) -> None:
    """A whole answer."""
    (_, kind), *headers = answer.headers
    encoded = [(name.encode(), value.encode()) for name, value in headers]
    exchange.answer(answer.status, answer.body, kind.encode(), *encoded, *more)
