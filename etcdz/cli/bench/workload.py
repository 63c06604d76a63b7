"""What is asked: request bodies, put together from pieces that were encoded once.

All bodies of a workload have the same shape and sizes, so that what precedes a key and what lies between key and value
are constants; protobuf would spend more on one body than all the rest of the generator on the call. Randomness comes
in by the constructor.

Keys are numbers below --key-space-size: zero-padded decimals where they fit --key-size, for etcdctl can show them, else
big-endian binary. Values are random bytes and differ from request to request: a store that compresses, or that drops
what does not change, gains nothing by that.
"""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import encode_varint
from etcdz.proto.tags import OP_REQUEST_PUT, OP_REQUEST_RANGE, PUT_KEY, PUT_VALUE, TXN_SUCCESS

PUT_PATH: Final = b"/etcdserverpb.KV/Put"
RANGE_PATH: Final = b"/etcdserverpb.KV/Range"
TXN_PATH: Final = b"/etcdserverpb.KV/Txn"
KEEP_ALIVE_PATH: Final = b"/etcdserverpb.Lease/LeaseKeepAlive"

POOL_SPREAD: Final = 1 << 16
"""Values are cut out of a pool of random bytes at this many offsets."""
_POOL_STEP: Final = 40_503
"""Golden section of POOL_SPREAD: values of a hundred requests in a row do not overlap as long as they are short."""


Request = tuple[int, bytes]
"""Index into the workload's `kinds`, body."""
HeadMaker = Callable[[int], bytes]


class Workload(Protocol):
    """An endless list of requests.

    path    the method that is called
    kinds   what is reported apart from one another; ("",) where all requests are alike
    """

    path: bytes
    kinds: tuple[str, ...]

    def requests(self, lo: int, hi: int) -> list[Request]:
        """Requests number lo to hi, exclusive."""
        ...


def pool_bytes(val_size: int) -> int:
    """How large a pool of random bytes values of this size need."""
    return val_size + POOL_SPREAD


def keys_max(key_size: int) -> int:
    """How many keys of so many bytes can be asked for: all there are, up to 2^48."""
    return 1 << 8 * min(key_size, 6)


class Puts:
    """`put`: one key and one value each. sequential: keys come in order, else at random."""

    path = PUT_PATH
    kinds: tuple[str, ...] = ("",)

    def __init__(
        self, key_size: int, pool: bytes, key_space: int, sequential: bool, random: Callable[[], float]
    ) -> None:
        self._head = put_head(key_size, len(pool) - POOL_SPREAD, key_space)
        self._pool = pool
        self._val_size = len(pool) - POOL_SPREAD
        self._space = key_space
        self._sequential = sequential
        self._random = random

    def requests(self, lo: int, hi: int) -> list[Request]:
        head, pool, size, space = self._head, self._pool, self._val_size, self._space
        step, spread = _POOL_STEP, POOL_SPREAD
        if self._sequential:
            return [(0, head(i % space) + pool[(at := i * step % spread) : at + size]) for i in range(lo, hi)]
        random = self._random
        return [(0, head(int(random() * space)) + pool[(at := i * step % spread) : at + size]) for i in range(lo, hi)]


class TxnPuts:
    """`txn-put`: a transaction of puts to keys that follow one another. Requires: ops <= key_space, for no
    transaction may put a key twice."""

    path = TXN_PATH
    kinds: tuple[str, ...] = ("",)

    def __init__(self, key_size: int, pool: bytes, key_space: int, ops: int) -> None:
        self._val_size = len(pool) - POOL_SPREAD
        self._head = txn_put_head(key_size, self._val_size, key_space)
        self._pool = pool
        self._space = key_space
        self._ops = ops

    def requests(self, lo: int, hi: int) -> list[Request]:
        ops = self._ops
        return [(0, b"".join([self._put(i) for i in range(at * ops, at * ops + ops)])) for at in range(lo, hi)]

    def _put(self, i: int) -> bytes:
        at = i * _POOL_STEP % POOL_SPREAD
        return self._head(i % self._space) + self._pool[at : at + self._val_size]


class Ranges:
    """`range`: the same question again and again."""

    path = RANGE_PATH
    kinds: tuple[str, ...] = ("",)

    def __init__(self, body: bytes) -> None:
        self._body = body

    def requests(self, lo: int, hi: int) -> list[Request]:
        return [(0, self._body)] * (hi - lo)


class KeepAlives:
    """`lease-keepalive`: one lease after the other, each in a stream of its own, as etcd's tool asks."""

    path = KEEP_ALIVE_PATH
    kinds: tuple[str, ...] = ("",)

    def __init__(self, lease_ids: Sequence[int]) -> None:
        self._requests: list[Request] = [
            (0, pb.LeaseKeepAliveRequest(ID=lease_id).SerializeToString()) for lease_id in lease_ids
        ]

    def requests(self, lo: int, hi: int) -> list[Request]:
        requests = self._requests
        count = len(requests)
        return [requests[i % count] for i in range(lo, hi)]


class TxnMixed:
    """`txn-mixed`: transactions of one range or of one put. read_share: of the ranges, 0 to 1."""

    path = TXN_PATH
    kinds: tuple[str, ...] = ("read", "write")

    def __init__(self, range_body: bytes, puts: TxnPuts, read_share: float, random: Callable[[], float]) -> None:
        self._read: Request = (0, TXN_SUCCESS + _sized(OP_REQUEST_RANGE + _sized(range_body)))
        self._puts = puts
        self._read_share = read_share
        self._random = random

    def requests(self, lo: int, hi: int) -> list[Request]:
        random, share, read = self._random, self._read_share, self._read
        return [read if random() < share else (1, self._puts.requests(i, i + 1)[0][1]) for i in range(lo, hi)]


def range_body(
    key: bytes,
    end: bytes = b"",
    *,
    limit: int = 0,
    serializable: bool = False,
    keys_only: bool = False,
    count_only: bool = False,
) -> bytes:
    """An encoded RangeRequest."""
    request = pb.RangeRequest(
        key=key, range_end=end, limit=limit, serializable=serializable, keys_only=keys_only, count_only=count_only
    )
    return request.SerializeToString()


def put_head(key_size: int, val_size: int, key_space: int, before: bytes = b"") -> HeadMaker:
    """A function from a key's number to all of its PutRequest but the value's own bytes. before: comes first."""
    start = before + PUT_KEY + encode_varint(key_size)
    stop = PUT_VALUE + encode_varint(val_size) if val_size else b""
    if len(str(key_space - 1)) <= key_size:
        # A format's own method: one call in C for each head.
        return (_escaped(start) + b"%%0%dd" % key_size + _escaped(stop)).__mod__
    return lambda number: start + number.to_bytes(key_size, "big") + stop


def txn_put_head(key_size: int, val_size: int, key_space: int) -> HeadMaker:
    """As put_head, for a put as one more operation of a TxnRequest."""
    put_bytes = len(put_head(key_size, val_size, key_space)(0)) + val_size
    put = OP_REQUEST_PUT + encode_varint(put_bytes)
    return put_head(key_size, val_size, key_space, TXN_SUCCESS + encode_varint(len(put) + put_bytes) + put)


def _sized(message: bytes) -> bytes:
    return encode_varint(len(message)) + message


def _escaped(text: bytes) -> bytes:
    return text.replace(b"%", b"%%")
