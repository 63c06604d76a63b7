"""Ids that name members, clusters and requests.

A request id says which process gave it, so that an answer finds its way without a table:

    bits 48-63   low bits of the member's id
    bits 43-47   slot of the process in that member
    bits  0-42   microseconds since 1970 at the process's start, plus the member's id without its low 16 bits, plus one
                 for each request, mod 2**43

A process that starts again begins with a later time, so it gives no id twice, unless it gave more than one a
microsecond. Two members whose low bits are the same, one pair in 65,536, begin far from each other by the rest of their
ids. Member and cluster ids are worked out in etcdz.cluster.identity.
Source: etcd 3.5 pkg/idutil has the member's bits in the same place, and milliseconds below them.

    slot     process
    0-27     listeners: the supervisor gives each process a slot that no living one has (supervisor/children)
    28       compactor
    29       backend
    30       lessor
    31       raft
"""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import TypeVar

SLOT_SHIFT = 43
MEMBER_SHIFT = 48
SLOTS = 1 << MEMBER_SHIFT - SLOT_SHIFT
LISTENER_SLOTS = range(28)
COMPACTOR_SLOT = 28
BACKEND_SLOT = 29
LESSOR_SLOT = 30
RAFT_SLOT = 31
INTERNAL_PROPOSERS = frozenset((BACKEND_SLOT, COMPACTOR_SLOT, RAFT_SLOT))
"""They see by what is applied whether their proposals were, so refusals are not sent to them."""
COUNTER_MASK = (1 << SLOT_SHIFT) - 1
SLOT_MASK = SLOTS - 1
ORIGIN_BITS = MEMBER_SHIFT - SLOT_SHIFT

assert [*LISTENER_SLOTS, COMPACTOR_SLOT, BACKEND_SLOT, LESSOR_SLOT, RAFT_SLOT] == [*range(SLOTS)], (
    "each slot has one kind of process"
)


T = TypeVar("T")


class RequestIds:
    """Gives the ids of one process. `next` is called once per request."""

    __slots__ = ("next",)

    def __init__(self, member_id: int, slot: int, now_us: int) -> None:
        """slot: no other process of this member has it. raises ValueError: not below SLOTS"""
        if not 0 <= slot < SLOTS:
            raise ValueError(f"slot {slot} is not below {SLOTS}")
        prefix = (member_id & 0xFFFF) << MEMBER_SHIFT | slot << SLOT_SHIFT
        counter = count(now_us + (member_id >> 16) & COUNTER_MASK).__next__

        def next_id() -> int:
            return prefix | counter() & COUNTER_MASK

        self.next = next_id
        """The next id. A closure, as it costs half of what a method does."""


def slot_of(request_id: int) -> int:
    """The slot of the process that gave it."""
    return request_id >> SLOT_SHIFT & SLOT_MASK


def origin_of(request_id: int) -> int:
    """Member bits and slot together: says which process gave it."""
    return request_id >> SLOT_SHIFT


def member_bits(request_id: int) -> int:
    """The low 16 bits of the id of the member that gave it."""
    return request_id >> MEMBER_SHIFT


class OwnOrigins:
    """Tells what processes of this member have proposed from what others have.

    NB: an id of another member passes if the low bits of the two members' ids are the same: no call here has it.
    """

    __slots__ = ("_bits",)

    def __init__(self, member_ids: Iterable[int]) -> None:
        """member_ids: those that processes of this member make their request ids of"""
        self._bits = frozenset(id_ & 0xFFFF for id_ in member_ids)

    def has(self, request_id: int) -> bool:
        """Whether it was given by a process of this member."""
        return member_bits(request_id) in self._bits

    def by_slot(self, replies: Mapping[int, list[T]]) -> dict[int, list[T]]:
        """By the slot of the process, out of replies by their origin: those for other members are left out."""
        own: dict[int, list[T]] = {}
        for origin, items in replies.items():
            if origin >> ORIGIN_BITS in self._bits:
                slot = origin & SLOT_MASK
                own[slot] = own[slot] + items if slot in own else items
        return own
