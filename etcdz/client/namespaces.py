"""A namespace: all keys of a view of a client begin with its prefix, and whoever uses the view does not see that.

Steps are changed on their way to the core, and answers on their way back, so that whatever is made of steps (locks,
queues, transactions, mirrors) is within the namespace, too. All else (leases but for their keys, members, users) has no
namespace.

    key             prefix + key; an empty one is left for the server to refuse
    range end       prefix + end; "\\0", all keys from there on: the end of all that begin with prefix
    in answers      without the prefix; of a lease's keys, those that have it

Source: etcd 3.5 client/v3/namespace
"""

from collections.abc import Callable
from copy import copy
from typing import Any, Final, TypeVar

from etcdz.client import methods
from etcdz.client.keys import ALL, prefix_end
from etcdz.client.pages import OpenRangeStream
from etcdz.client.pending import Request, Step
from etcdz.client.waiting import AddWatch
from etcdz.proto import etcdserverpb as pb

R = TypeVar("R")


class Namespace:
    """What is done with steps."""

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        self._end = prefix_end(prefix)

    def step(self, step: Step[R]) -> Step[R]:
        """The same within the namespace."""
        if isinstance(step, Request) and step.method.path in _MESSAGES:
            return self._request(step)
        if isinstance(step, OpenRangeStream):
            body = pb.RangeRequest.FromString(step.body)
            self.enter_range(body)
            return OpenRangeStream(body.SerializeToString(), step.strip + len(self._prefix))  # type: ignore[return-value]
        if isinstance(step, AddWatch):
            options = copy(step.options)
            options.key, options.range_end = self._span(options.key or ALL, options.range_end)
            options.strip += len(self._prefix)
            return AddWatch(options)  # type: ignore[return-value]
        return step

    def _request(self, step: Request[R]) -> Request[R]:
        asked, answered, enter, leave = _MESSAGES[step.method.path]
        body, decode = asked.FromString(step.body), step.decode
        enter(self, body)

        def stripped(message: bytes) -> R:
            answer = answered.FromString(message)
            leave(self, answer)
            return decode(answer.SerializeToString())

        return Request(step.method, body.SerializeToString(), stripped, step.timeout_s)

    # ---- on the way in ----

    def _span(self, key: bytes, range_end: bytes) -> tuple[bytes, bytes]:
        if range_end == ALL:
            return self._prefix + key, self._end
        return self._prefix + key, self._prefix + range_end if range_end else b""

    def enter_key(self, body: Any) -> None:
        """Of a put."""
        if body.key:
            body.key = self._prefix + body.key

    def enter_range(self, body: Any) -> None:
        """Of anything with a key and a range_end."""
        if body.key:
            body.key, body.range_end = self._span(body.key, body.range_end)

    def enter_txn(self, body: Any) -> None:
        for compare in body.compare:
            self.enter_range(compare)
        for op in (*body.success, *body.failure):
            kind = op.WhichOneof("request")
            if kind is not None:
                _OPS[kind](self, getattr(op, kind))

    def enter_nothing(self, body: Any) -> None: ...

    # ---- on the way back ----

    def _leave_kvs(self, kvs: Any) -> None:
        for kv in kvs:
            kv.key = kv.key[len(self._prefix) :]

    def leave_range(self, answer: Any) -> None:
        self._leave_kvs(answer.kvs)

    def leave_put(self, answer: Any) -> None:
        if answer.HasField("prev_kv"):
            self._leave_kvs([answer.prev_kv])

    def leave_delete(self, answer: Any) -> None:
        self._leave_kvs(answer.prev_kvs)

    def leave_txn(self, answer: Any) -> None:
        for op in answer.responses:
            kind = op.WhichOneof("response")
            if kind is not None:
                _OP_ANSWERS[kind](self, getattr(op, kind))

    def leave_lease(self, answer: Any) -> None:
        prefix = self._prefix
        answer.keys[:] = [key[len(prefix) :] for key in answer.keys if key.startswith(prefix)]


_Change = Callable[[Namespace, Any], None]
_OPS: Final[dict[str, _Change]] = {
    "request_range": Namespace.enter_range,
    "request_put": Namespace.enter_key,
    "request_delete_range": Namespace.enter_range,
    "request_txn": Namespace.enter_txn,
}
_OP_ANSWERS: Final[dict[str, _Change]] = {
    "response_range": Namespace.leave_range,
    "response_put": Namespace.leave_put,
    "response_delete_range": Namespace.leave_delete,
    "response_txn": Namespace.leave_txn,
}
_MESSAGES: Final[dict[bytes, tuple[Any, Any, _Change, _Change]]] = {
    methods.RANGE.path: (pb.RangeRequest, pb.RangeResponse, Namespace.enter_range, Namespace.leave_range),
    methods.PUT.path: (pb.PutRequest, pb.PutResponse, Namespace.enter_key, Namespace.leave_put),
    methods.DELETE_RANGE.path: (
        pb.DeleteRangeRequest, pb.DeleteRangeResponse, Namespace.enter_range, Namespace.leave_delete
    ),
    methods.TXN.path: (pb.TxnRequest, pb.TxnResponse, Namespace.enter_txn, Namespace.leave_txn),
    methods.LEASE_TIME_TO_LIVE.path: (
        pb.LeaseTimeToLiveRequest, pb.LeaseTimeToLiveResponse, Namespace.enter_nothing, Namespace.leave_lease
    ),
}  # fmt: skip
"""By the path: request, answer, what is done with each."""


class View:
    """A shell's reactor or loop as it is seen from a namespace: `run` is the shell's own, and goes by `do`."""

    def __init__(self, shell: Any, prefix: bytes) -> None:
        self._shell = shell
        self._namespace = Namespace(prefix)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shell, name)

    def do(self, step: Step[Any]) -> Any:
        """asyncio: to be awaited"""
        return self._shell.do(self._namespace.step(step))

    def run(self, work: Any) -> Any:
        """asyncio: to be awaited"""
        return type_of(self._shell).run(self, work)


def type_of(shell: Any) -> Any:
    """The shell's class, through all namespaces around it."""
    while isinstance(shell, View):
        shell = shell._shell
    return type(shell)
