"""By how many bytes a request grows the store, in etcd's estimate: what the quota is held against."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from etcdz.proto import etcdserverpb as pb

PUT_OVERHEAD_BYTES: Final = 256
"""What a put costs beside its bytes."""
LEASE_OVERHEAD_BYTES: Final = 64
"""What a lease costs."""


def put_growth(request: pb.PutRequest) -> int:
    return PUT_OVERHEAD_BYTES + len(request.key) + len(request.value)


def txn_growth(request: pb.TxnRequest) -> int:
    """The costlier branch. NB: etcd does not look into transactions inside of it; their puts grow the store as well."""
    return max(_operations_growth(request.success), _operations_growth(request.failure))


def _operations_growth(operations: Iterable[pb.RequestOp]) -> int:
    total = 0
    for op in operations:
        kind = op.WhichOneof("request")
        if kind == "request_put":
            total += put_growth(op.request_put)
        elif kind == "request_txn":
            total += txn_growth(op.request_txn)
    return total


_OF: Final[dict[str, Callable[[Any], int]]] = {
    "put": put_growth,
    "txn": txn_growth,
    "lease_grant": lambda _: LEASE_OVERHEAD_BYTES,
}


def growth(kind: str, message: Any) -> int:
    """kind: field of InternalRaftRequest. return 0 for what adds nothing: it goes on when there is no space"""
    of = _OF.get(kind)
    return 0 if of is None else of(message)
