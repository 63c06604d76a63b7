"""When leases run out: one clock for each, a heap of those that are due, and when what is left is to be written down.

Only the member whose raft leads has running clocks; elsewhere they stand. Time is an argument, in seconds of any clock
that never goes back. A renewal only moves the clock: its place in the heap is looked at when it comes up, so that a
keep-alive costs no more than a look into a dictionary.

Source: etcd 3.5 lessor (rates, spread after a change of leaders, checkpoints).
"""

from heapq import heapify, heappop, heappush, heapreplace
from typing import Final

REVOKES_PER_S: Final = 1_000
SPREAD_FROM_LEASES: Final = 1_000
"""From so many leases on, their ends are spread after a change of leaders."""
SPREAD_PER_S: Final = 750
"""So many may end in one second then: fewer than can be revoked, so that others find room."""
RETRY_S: Final = 3.0
"""A revoke that has not happened until then is asked for again."""
CHECKPOINT_EVERY_S: Final = 300.0
CHECKPOINTS_MAX: Final = 1_000
"""In one request."""
NEVER: Final = float("inf")
_GONE_MAX = 1_000
"""Clocks of leases that are gone may be in the heap, beside as many as there are leases."""


class Clock:
    """One lease. remaining_s: what is left of ttl_s as last written down; 0: nothing is."""

    __slots__ = ("answer", "checkpoint_s", "due_s", "expiry_s", "lease_id", "remaining_s", "ttl_s")

    def __init__(self, lease_id: int, ttl_s: int, remaining_s: int) -> None:
        self.lease_id = lease_id
        self.ttl_s = ttl_s
        self.remaining_s = remaining_s
        self.expiry_s = NEVER
        """When the lease runs out; NEVER while the clocks stand."""
        self.due_s = NEVER
        """Its place in the heap. Invariant: not after expiry_s, unless it has run out and its revoke is under way."""
        self.checkpoint_s = NEVER
        """When what is left is to be written down."""
        self.answer = b""
        """What a renewal answers, behind the header; made with the first."""

    def __lt__(self, other: "Clock") -> bool:
        return self.due_s < other.due_s

    @property
    def length_s(self) -> int:
        """How long it runs from a start: a checkpoint counts until the next renewal."""
        return self.remaining_s or self.ttl_s

    def left_s(self, now: float) -> float:
        return self.expiry_s - now

    def has_run_out(self, now: float) -> bool:
        return self.expiry_s <= now

    def look_again(self, now: float) -> None:
        """Place it in the heap anew: by its end, or by the earliest end that a renewal from now on can give it, since
        after a change of leaders a lease may have longer than its TTL until it is renewed."""
        self.due_s = min(self.expiry_s, now + self.ttl_s)


class Clocks:
    """All leases of a member by id."""

    def __init__(self, checkpoints: bool = False, checkpoint_every_s: float = CHECKPOINT_EVERY_S) -> None:
        """checkpoints: whether what is left of long leases is written down at times."""
        self.by_id: dict[int, Clock] = {}
        self.running = False
        self.checkpoints = checkpoints
        self._checkpoint_every_s = checkpoint_every_s
        self._due: list[Clock] = []
        """Heap. Invariant: while running, every clock is in it once; those that are gone leave when they come up."""
        self._checkpoints: list[tuple[float, int]] = []
        """Heap of (when, lease id); one that does not agree with the clock's checkpoint_s counts for nothing."""

    def __len__(self) -> int:
        return len(self.by_id)

    # what is applied

    def grant(self, lease_id: int, ttl_s: int, remaining_s: int, now: float) -> None:
        """A lease that is new here. Without effect on one that is known."""
        if lease_id in self.by_id:
            return
        clock = self.by_id[lease_id] = Clock(lease_id, ttl_s, remaining_s)
        if self.running:
            clock.expiry_s = clock.due_s = now + clock.length_s
            heappush(self._due, clock)
            self._plan_checkpoint(clock, now)

    def forget(self, lease_id: int) -> None:
        """A lease that is revoked. Without effect on one that is not known."""
        clock = self.by_id.pop(lease_id, None)
        if clock is not None:
            clock.expiry_s = NEVER
            clock.lease_id = (
                0  # of no lease: it leaves the heap when its time comes, or with others once they are too many
            )
            if len(self._due) > 2 * len(self.by_id) + _GONE_MAX:
                self._due = [clock for clock in self._due if clock.lease_id]
                heapify(self._due)

    def checkpointed(self, lease_id: int, remaining_s: int, now: float) -> None:
        """What is left was written down: it counts at the next change of leaders, the clock itself goes on."""
        clock = self.by_id.get(lease_id)
        if clock is not None:
            clock.remaining_s = remaining_s
            if self.running:
                self._plan_checkpoint(clock, now)

    def replace(self, leases: dict[int, tuple[int, int]], now: float) -> list[int]:
        """The whole truth: id -> (TTL, remaining). Clocks that run go on. return the ids that are gone"""
        gone = [lease_id for lease_id in self.by_id if lease_id not in leases]
        for lease_id in gone:
            self.forget(lease_id)
        for lease_id, (ttl_s, remaining_s) in leases.items():
            clock = self.by_id.get(lease_id)
            if clock is not None and clock.ttl_s == ttl_s:
                clock.remaining_s = remaining_s
                continue
            self.forget(lease_id)  # granted anew under the same id: another lease than the known one
            self.grant(lease_id, ttl_s, remaining_s, now)
        return gone

    # leaders

    def promote(self, extend_s: float, now: float) -> None:
        """This member leads now: every lease gets its whole time again and extend_s, since what the leader before has
        told its clients is not known."""
        self.running = True
        self._checkpoints = []
        self._due = list(self.by_id.values())
        for clock in self._due:
            clock.expiry_s = now + extend_s + clock.length_s
            self._plan_checkpoint(clock, now)
        if len(self._due) >= SPREAD_FROM_LEASES:
            self._spread(extend_s, now)
        for clock in self._due:
            clock.look_again(now)
        heapify(self._due)

    def _spread(self, extend_s: float, now: float) -> None:
        """Moves ends apart. A window opens at an end and is a second long; the n-th end in it, beyond SPREAD_PER_S, is
        put off by n/SPREAD_PER_S s, less what it lies behind the window's opening, and the window grows by as much."""
        opening = window_end = -NEVER
        count = 0
        for clock in sorted(self._due, key=lambda clock: clock.expiry_s):
            end = clock.expiry_s
            if end > window_end:
                opening, window_end, count = end, end + 1.0, 1
                continue
            count += 1
            if count > SPREAD_PER_S:
                delay = count / SPREAD_PER_S - (end - opening)
                window_end = opening + delay
                clock.expiry_s = now + extend_s + clock.length_s + delay

    def demote(self) -> None:
        """This member does not lead any more: all clocks stand."""
        self.running = False
        self._due = []
        self._checkpoints = []
        for clock in self.by_id.values():
            clock.expiry_s = clock.due_s = clock.checkpoint_s = NEVER

    # clients

    def renew(self, clock: Clock, now: float) -> None:
        """Its whole time again. Requires: it has not been named as run out."""
        clock.expiry_s = now + clock.ttl_s

    def by_expiry(self) -> list[int]:
        return [clock.lease_id for clock in sorted(self.by_id.values(), key=lambda clock: clock.expiry_s)]

    # what is due

    def next_due_s(self) -> float:
        """When to ask again for what is due; NEVER if nothing will be. NB: may be before anything is."""
        due = self._due[0].due_s if self._due else NEVER
        return min(due, self._checkpoints[0][0]) if self._checkpoints else due

    def run_out(self, now: float, limit: int) -> list[int]:
        """Leases to revoke, at most so many; those that were named before and still are there, again after RETRY_S."""
        heap = self._due
        found: list[int] = []
        while heap and heap[0].due_s <= now and len(found) < limit:
            clock = heap[0]
            if not clock.lease_id:
                heappop(heap)
                continue
            if clock.expiry_s <= now:
                found.append(clock.lease_id)
                clock.due_s = now + RETRY_S
            else:
                clock.look_again(now)
            heapreplace(heap, clock)
        return found

    def due_checkpoints(self, now: float) -> list[tuple[int, int]]:
        """(lease id, seconds left, rounded up) to write down, at most CHECKPOINTS_MAX."""
        heap = self._checkpoints
        found: list[tuple[int, int]] = []
        while heap and heap[0][0] <= now and len(found) < CHECKPOINTS_MAX:
            at, lease_id = heappop(heap)
            clock = self.by_id.get(lease_id)
            if clock is None or clock.checkpoint_s != at:
                continue
            clock.checkpoint_s = NEVER
            left = -int((now - clock.expiry_s) // 1)
            if clock.expiry_s > now and left < clock.ttl_s:
                found.append((lease_id, left))
        return found

    def _plan_checkpoint(self, clock: Clock, now: float) -> None:
        """The next one, for leases that last longer than the interval."""
        if self.checkpoints and clock.length_s > self._checkpoint_every_s:
            clock.checkpoint_s = now + self._checkpoint_every_s
            heappush(self._checkpoints, (clock.checkpoint_s, clock.lease_id))
