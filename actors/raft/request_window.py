"""Which requests entered the log lately, so that an offer made again is dropped."""

from collections import deque

from google.protobuf.message import DecodeError

from etcdz.mvcc.put_entry import decode_id
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import WITH_LENGTH, decode_varint

_TAG_MASK = 0x87  # the wire type, and whether the tag has one byte


class RequestWindow:
    """The request ids of the latest `size` entries.

    Invariant: holds every id that a listener of this member may still offer again, because size is larger than what
    all listeners together have in flight.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def add(self, request_id: int) -> bool:
        """Remember request_id; says whether it was new."""
        known = self._known
        if request_id in known:
            return False
        known.add(request_id)
        self._order.append(request_id)
        if len(self._order) > self._size:
            known.discard(self._order.popleft())
        return True

    def __contains__(self, request_id: int) -> bool:
        return request_id in self._known

    def add_all(self, request_ids: list[int]) -> None:
        """Remember the ids of entries that are in the log already."""
        known, order = self._known, self._order
        if known.isdisjoint(request_ids):
            known.update(request_ids)
            order.extend(request_ids)
            for _ in range(len(order) - self._size):
                known.discard(order.popleft())
        else:
            for request_id in request_ids:
                self.add(request_id)

    def add_data(self, data: bytes) -> None:
        """Remember the request id of an entry that is in the log already."""
        request_id = request_id_of(data)
        if request_id:
            self.add(request_id)


def request_id_of(data: bytes) -> int:
    """The id in the header of an InternalRaftRequest, 0 if it has none.

    The header is field 100, so that it is the second and last field of all requests but those of auth.
    """
    try:
        size, at = decode_varint(data, 1)
        request_id = decode_id(data, at + size) if data[0] & _TAG_MASK == WITH_LENGTH else None
    except (IndexError, ValueError):
        request_id = None
    if request_id is not None:
        return request_id
    try:
        return pb.InternalRaftRequest.FromString(data).header.ID
    except DecodeError:
        return 0  # a v2 request: not offered by listeners
