"""Keys with a prefix that clients do not see (`--namespace`): put on what they ask, taken off what they are answered.

Requests and responses are changed in place. Source: etcd 3.5 client/v3/namespace.
"""

from typing import Any, Final

_END: Final = b"\0"


class Namespace:
    """prefix: may be empty, and then nothing is to be done"""

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        self._end = _behind(prefix)

    def __bool__(self) -> bool:
        return bool(self.prefix)

    def span(self, key: bytes, end: bytes) -> tuple[bytes, bytes]:
        if end == _END:
            return self.prefix + key, self._end
        return self.prefix + key, self.prefix + end if end else b""

    def enter(self, request: Any) -> None:
        """request: with key and range_end"""
        request.key, request.range_end = self.span(request.key, request.range_end)

    def enter_put(self, request: Any) -> None:
        request.key = self.prefix + request.key

    def enter_txn(self, txn: Any) -> None:
        for compare in txn.compare:
            self.enter(compare)
        for op in (*txn.success, *txn.failure):
            kind = op.WhichOneof("request")
            if kind == "request_put":
                self.enter_put(op.request_put)
            elif kind == "request_txn":
                self.enter_txn(op.request_txn)
            elif kind is not None:
                self.enter(getattr(op, kind))

    def leave(self, kvs: Any) -> None:
        size = len(self.prefix)
        for kv in kvs:
            kv.key = kv.key[size:]

    def leave_put(self, response: Any) -> None:
        if response.HasField("prev_kv"):
            self.leave([response.prev_kv])

    def leave_txn(self, response: Any) -> None:
        for op in response.responses:
            kind = op.WhichOneof("response")
            if kind == "response_range":
                self.leave(op.response_range.kvs)
            elif kind == "response_put":
                self.leave_put(op.response_put)
            elif kind == "response_delete_range":
                self.leave(op.response_delete_range.prev_kvs)
            elif kind == "response_txn":
                self.leave_txn(op.response_txn)

    def leave_events(self, response: Any) -> None:
        for event in response.events:
            self.leave([event.kv])
            if event.HasField("prev_kv"):
                self.leave([event.prev_kv])

    def leave_keys(self, response: Any) -> None:
        """Of a lease: others than those of the namespace are not shown."""
        size = len(self.prefix)
        own = [key[size:] for key in response.keys if key.startswith(self.prefix)]
        del response.keys[:]
        response.keys.extend(own)


def _behind(prefix: bytes) -> bytes:
    """The first key behind all that begin so; a zero byte: there is none."""
    number = int.from_bytes(prefix, "big") + 1
    return number.to_bytes(len(prefix), "big") if number < 1 << 8 * len(prefix) else _END
