"""Leases that are kept alive, on one stream for all of them.

    sent        TTL / 3 after the last answer, and again 500 ms after a stream has ended
    answered    with a TTL: it has that long from when this was asked for; with 0: it is lost
    deadline    no answer in its TTL: it is lost; if its TTL is not known yet, in the time to dial and 1 s more

A lease is lost once, and is told so once.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from etcdz.client import methods
from etcdz.client.errors import EtcdError
from etcdz.client.host import Host
from etcdz.client.streams import StreamCall

REOPEN_S: Final = 0.5
PARTS: Final = 3


class KeptLease:
    """A lease that is being kept alive. send_at, deadline: on the core's clock. on_lost: called once

    plan        number of its last plan: timers of earlier ones do nothing
    asked       when each keep-alive was sent that this stream has not answered: answers come in order
    """

    __slots__ = ("asked", "deadline", "id", "is_lost", "on_lost", "plan", "send_at", "sent", "ttl")

    def __init__(self, lease_id: int, ttl: float, now: float, on_lost: Callable[[], None]) -> None:
        self.id = lease_id
        self.ttl = ttl
        self.send_at = now + ttl / PARTS
        self.deadline = now + ttl
        self.plan = 0
        self.on_lost = on_lost
        self.is_lost = False
        self.sent = False
        self.asked: deque[float] = deque()

    def on_answer(self, ttl: int, now: float) -> bool:
        """return False: it is lost, or may be: the answer was read so late (this process may have been stopped)"""
        self.sent = False
        asked_at = self.asked.popleft() if self.asked else now
        if ttl <= 0:
            return False
        self.ttl = ttl
        self.send_at = now + ttl / PARTS
        self.deadline = asked_at + ttl
        return now < self.deadline

    def on_sent(self, now: float) -> None:
        """NB: if no answer comes it is asked again in time."""
        self.sent = True
        self.asked.append(now)
        self.send_at = now + self.ttl / PARTS


class KeepAlives:
    """leases: by their ids"""

    def __init__(self, core: Host) -> None:
        self.leases: dict[int, KeptLease] = {}
        self._core = core
        self._call: StreamCall | None = None
        self._is_open = False
        self._opens_at = 0.0

    @property
    def is_active(self) -> bool:
        return bool(self.leases)

    def add(self, lease_id: int, ttl: float, on_lost: Callable[[], None], granted_at: float) -> KeptLease:
        """granted_at: when its grant was asked for. ttl: 0, it is not known: it is asked for at once"""
        patience = self._core.options.dial_timeout_s + 1
        lease = self.leases[lease_id] = KeptLease(lease_id, ttl or patience, granted_at, on_lost)
        if not ttl:
            lease.send_at = granted_at
            self._send(lease, self._core.now())
        self._plan(lease)
        return lease

    def remove(self, lease: KeptLease) -> None:
        """Kept alive no longer; nothing is told."""
        if self.leases.get(lease.id) is lease:
            del self.leases[lease.id]
        if not self.leases and self._call is not None:
            call, self._call = self._call, None
            call.cancel()

    def close(self) -> None:
        self.leases.clear()
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _plan(self, lease: KeptLease) -> None:
        lease.plan += 1
        number = lease.plan
        at = min(lease.send_at, lease.deadline)
        self._core.after(max(0.0, at - self._core.now()), lambda: self._look(lease, number))

    def _look(self, lease: KeptLease, number: int) -> None:
        if self.leases.get(lease.id) is not lease or lease.plan != number:
            return
        now = self._core.now()
        if now >= lease.deadline:
            self._lose(lease)
            return
        if now >= lease.send_at:
            self._send(lease, now)
        self._plan(lease)

    def _lose(self, lease: KeptLease) -> None:
        self.remove(lease)
        if not lease.is_lost:
            lease.is_lost = True
            lease.on_lost()

    def _send(self, lease: KeptLease, now: float) -> None:
        from etcdz.proto import etcdserverpb as pb

        if self._call is None:
            self._open()
            if lease.send_at > now:  # sent with all others that were due
                return
        call = self._call
        if call is not None and self._is_open:
            lease.on_sent(now)
            self._core.send(call, pb.LeaseKeepAliveRequest(ID=lease.id).SerializeToString())
        else:
            lease.send_at = now + min(REOPEN_S, lease.ttl / PARTS)

    def _open(self) -> None:
        if self._core.closed or self._core.now() < self._opens_at:
            return
        call = self._call = StreamCall(methods.LEASE_KEEP_ALIVE, resumes=True)
        self._is_open = False
        call.open = self._on_open
        call.message = self._on_message
        call.end = lambda error: self._on_end(call, error)
        self._core.stream(call)

    def _on_open(self) -> None:
        """All that are due, and those whose answers an earlier stream has taken with it."""
        self._is_open = True
        now = self._core.now()
        for lease in list(self.leases.values()):
            lease.asked.clear()
            if lease.sent or lease.send_at - now <= REOPEN_S:
                self._send(lease, now)

    def _on_message(self, message: bytes) -> None:
        from etcdz.proto import etcdserverpb as pb

        answer = pb.LeaseKeepAliveResponse.FromString(message)
        lease = self.leases.get(answer.ID)
        if lease is not None and not lease.on_answer(answer.TTL, self._core.now()):
            self._lose(lease)

    def _on_end(self, call: StreamCall, error: EtcdError | None) -> None:
        if call is not self._call:
            return
        self._call = None
        self._is_open = False
        now = self._core.now()
        self._opens_at = now + REOPEN_S
        for lease in self.leases.values():
            if lease.sent:
                lease.send_at = min(lease.send_at, self._opens_at)
                self._plan(lease)
