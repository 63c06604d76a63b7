"""Request ids: which member, which of its listeners, which call.

    id = low 16 bits of the member id | slot (5 bits) | count (43 bits)

The count starts at the microseconds of the process's start and grows by one a call, so that ids of a restarted
listener never meet those of the one before: nobody makes a million calls a second. It wraps after 101 days, long after
the log has forgotten.
"""

SLOT_BITS = 5
COUNT_BITS = 43
SLOTS_MAX = 1 << SLOT_BITS
_COUNT_MASK = (1 << COUNT_BITS) - 1
_SLOT_MASK = SLOTS_MAX - 1


class RequestIds:
    """Ids of one listener. now_us: wall clock at its start, in microseconds."""

    __slots__ = ("_count", "_head")

    def __init__(self, member_id: int, slot: int, now_us: int) -> None:
        if not 0 <= slot < SLOTS_MAX:
            raise ValueError(f"slot {slot} is not below {SLOTS_MAX}")
        self._head = (member_id & 0xFFFF) << (SLOT_BITS + COUNT_BITS) | slot << COUNT_BITS
        self._count = now_us & _COUNT_MASK

    def next(self) -> int:
        self._count = count = (self._count + 1) & _COUNT_MASK
        return self._head | count


def slot_of(request_id: int) -> int:
    """Slot of the listener that made request_id."""
    return request_id >> COUNT_BITS & _SLOT_MASK


def member_bits(request_id: int) -> int:
    """Low 16 bits of the id of the member that made request_id."""
    return request_id >> (SLOT_BITS + COUNT_BITS)
