"""Ids that name members, clusters and requests.

A request id says whose request it is, so that an answer finds its way without a table:

    bits 48-63   low bits of the member's id
    bits 43-47   slot of the listener in that member
    bits  0-42   microseconds since 1970 at the listener's start, plus one for each request, mod 2**43

A listener that starts again begins with a later time, so it gives no id twice, unless it gave more than one a
microsecond. Member and cluster ids are worked out in etcdz.config.identity, from the flags.
Source: etcd 3.5 pkg/idutil has the member's bits in the same place, and milliseconds below them.
"""

from collections.abc import Iterable
from itertools import count

from etcdz.cluster import identity

SLOTS = 32
LESSOR_SLOT = 30
"""In the ids of what the lessor proposes."""
BACKEND_SLOT, COMPACTOR_SLOT = 29, 28
"""In the ids of what these propose. They see by what is applied whether it was: nobody waits for the replies."""
INTERNAL_PROPOSERS = frozenset((BACKEND_SLOT, COMPACTOR_SLOT))
SLOT_SHIFT = 43
MEMBER_SHIFT = 48
COUNTER_MASK = (1 << SLOT_SHIFT) - 1
SLOT_MASK = SLOTS - 1


class RequestIds:
    """Gives the ids of one listener. `next` is called once per request."""

    __slots__ = ("next", "_prefix")

    def __init__(self, member_id: int, slot: int, now_us: int) -> None:
        """Requires: 0 <= slot < SLOTS, which no other listener of this member has."""
        if not 0 <= slot < SLOTS:
            raise ValueError(f"slot {slot} is not below {SLOTS}")
        self._prefix = (member_id & 0xFFFF) << MEMBER_SHIFT | slot << SLOT_SHIFT
        prefix, counter = self._prefix, count(now_us & COUNTER_MASK).__next__

        def next_id() -> int:
            return prefix | counter() & COUNTER_MASK

        self.next = next_id
        """The next id. A closure, as it costs half of what a method does."""

    def is_own(self, request_id: int) -> bool:
        """Whether this listener, in this life or an earlier one, gave this id."""
        return request_id & ~COUNTER_MASK == self._prefix


def slot_of(request_id: int) -> int:
    return request_id >> SLOT_SHIFT & SLOT_MASK


def member_bits(request_id: int) -> int:
    """The low 16 bits of the id of the member that gave it."""
    return request_id >> MEMBER_SHIFT


def added_member_id(peer_urls: Iterable[str], token: str, now_s: int) -> int:
    """Id of a member that joins a running cluster: the time sets it apart from one of these URLs that was removed."""
    return identity.member_id(peer_urls, f"{token}{now_s}")
