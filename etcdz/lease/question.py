"""What a lessor is asked, by listeners of its own member and by other members whose leader it is."""

from struct import Struct
from typing import Final, NamedTuple

KEEP_ALIVE, TIME_TO_LIVE, LEASES = 1, 2, 3
"""What is asked."""
PEERS: Final = -1
"""As the slot of who asks: another member."""
NOT_KNOWN: Final = -(1 << 63)
"""As what is left: the lessor has not heard of this lease."""
CLOCK: Final = Struct(">qq")
"""The lessor's part of the answer to TIME_TO_LIVE: lease id, whole seconds left."""


class Question(NamedTuple):
    """slot: of the listener, or PEERS. came_s: a lease that was alive then has not missed its keep-alive because it
    waited. with_keys: a TIME_TO_LIVE wants the lease's keys as well"""

    slot: int
    request_id: int
    method: int
    lease_id: int
    came_s: float
    with_keys: bool = False
