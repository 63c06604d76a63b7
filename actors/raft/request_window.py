"""Which requests entered the log lately, so that an offer made again is dropped.

A listener offers again what it has not answered: to a new raft, and after the end of a delegation. Of such a call there
are three kinds, and the window has an answer for each:

- Its entry is not applied. Then its id is known: ids of entries that are not known to be applied are never forgotten,
  however many there are, and whichever listener gave them.
- Its entry is applied and the reply is on its way. Beyond those that are not applied, the `REQUEST_WINDOW` latest are
  known. That is more than all listeners of the member together have unanswered (asserted in etcdz/limits.py): they
  divide CALLS_IN_FLIGHT_MAX, and while each of them is being replaced (`actors restart listener`) the successors admit
  another ln 2 of it at most, since each takes its share among all that are there.
- Its entry was applied long ago, and the reply was late or lost. It may be forgotten, but not taken for new: of each
  listener the window knows up to which id it has forgotten, and what is offered again at or below that is refused. The
  listener gives ids in rising order and offers first what it gave first, so that nothing new is refused. One that has
  started when the clock had been set back gives lower ids than those before it: what it offers for the first time is
  taken in any case.

In a cluster an offer that is made again may also have been passed on to another member by a raft that is gone, and be
in that one's log. What was passed on the peer actor knows, and tells each new raft (`add_forwarded`). An offer of which
nobody can tell is not taken: it is answered when it is applied, or it times out (actors/raft/proposals.py).

Only listeners are refused so. The lessor offers again what raft has refused, behind later ids; what it proposes does
nothing the second time.

NB: a raft that begins anew reads the ids of the REQUEST_WINDOW latest applied entries off the log. If a listener stood
still while others wrote more than that, a reply was on its way to it, and raft died then, the new raft takes the
request for new.
"""

from collections import deque

from google.protobuf.message import DecodeError

from etcdz.ipc.request_ids import COUNTER_MASK, LISTENER_SLOTS, SLOT_SHIFT, slot_of
from etcdz.mvcc.put_entry import decode_id
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import WITH_LENGTH, decode_varint

_TAG_MASK = 0x87  # the wire type, and whether the tag has one byte

FORGOTTEN_SPAN = 1 << 24
"""What is offered again so far below a forgotten one is of a listener that has started when the clock had been set
back, and is not forgotten. More than what a listener gives within a request timeout, and 17 seconds of the clock."""


class RequestWindow:
    """Request ids of entries that this member's processes have proposed: all that are not applied, and at least `size`
    more. Those of other members count only where a log is read. See the module."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._order: deque[int] = deque()
        self._known: set[int] = set()
        self._forgotten: dict[int, int] = {}
        """By the bits of an id above its counter: the highest that may be forgotten. Of listeners only."""

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, request_id: int) -> bool:
        """Whether it is known to be in the log. NB: False may mean forgotten."""
        return request_id in self._known

    def add(self, request_id: int) -> bool:
        """Remember request_id, which is about to be appended; return whether it is new, and so may be."""
        known = self._known
        if request_id in known or self.has_forgotten(request_id):
            return False
        known.add(request_id)
        self._order.append(request_id)
        return True

    def add_first(self, request_id: int) -> bool:
        """As `add`, of what its listener offers for the first time: however low it is, it cannot be forgotten."""
        known = self._known
        if request_id in known:
            return False
        known.add(request_id)
        self._order.append(request_id)
        return True

    def add_all(self, request_ids: list[int]) -> None:
        """Remember the ids of entries that are in the log already, each once."""
        known = self._known
        if not known.isdisjoint(request_ids):
            request_ids = [request_id for request_id in request_ids if request_id not in known]
        known.update(request_ids)
        self._order.extend(request_ids)

    def add_entries(self, data: list[bytes], is_whole_log: bool) -> None:
        """Remember what a log holds, as data of entries in their order. is_whole_log: nothing stands before them."""
        ids = list(dict.fromkeys(filter(None, map(request_id_of, data))))
        self.add_all(ids)
        if not is_whole_log:
            for request_id in reversed(ids):
                self._forget(request_id - 1)  # the last word is that of each listener's first

    def add_forwarded(self, request_ids: list[int], is_whole: bool) -> None:
        """Remember what other members may have been given. is_whole: there was nothing before the first."""
        self.add_all(request_ids)
        if not is_whole:
            for request_id in reversed(request_ids):
                self._forget(request_id - 1)

    def trim(self, unapplied: int) -> None:
        """Forget the oldest, many at once. unapplied: so many of the latest may be of entries that are not applied."""
        order = self._order
        excess = len(order) - self._size - unapplied
        if excess <= self._size >> 4:
            return
        gone = [order.popleft() for _ in range(excess)]
        self._known.difference_update(gone)
        highest: dict[int, int] = {}  # of each listener: an id may stand behind a later one if it was offered again
        for request_id in gone:
            source = request_id >> SLOT_SHIFT
            if request_id > highest.get(source, 0):
                highest[source] = request_id
        for request_id in highest.values():
            if not self.has_forgotten(request_id):
                self._forget(request_id)

    def _forget(self, request_id: int) -> None:
        if slot_of(request_id) in LISTENER_SLOTS:
            self._forgotten[request_id >> SLOT_SHIFT] = request_id

    def has_forgotten(self, request_id: int) -> bool:
        """Whether it may have been in the log so long ago that the window does not know it any more."""
        newest = self._forgotten.get(request_id >> SLOT_SHIFT)
        return (
            newest is not None
            and (newest - request_id) & COUNTER_MASK < FORGOTTEN_SPAN
            and request_id not in self._known
        )


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
