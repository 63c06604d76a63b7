"""Places of calls in flight: who holds one that no client waits for, who waits for one, and who is refused.

A call has a place until it is answered. If its client gives it up before (RST_STREAM, a deadline, the end of the
connection), the answer is dropped, but what is on its way to the backend cannot be taken back. Such a call is
*abandoned*: its place is its client's still, until the backend is through with it, so that calls that are reset as soon
as they are made fill no mailbox.

When all places are taken, a client with few calls waits for one, in order of arrival, and one with many is refused:
what one client piles up must not have the calls of another refused.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from actors.listener.call import Caller, Client, asker_of
from etcdz import limits
from etcdz.api.auth_info import AuthInfo


class WaitingCall(NamedTuple):
    """What Calls.begin is given, and when it came: seconds on the monotonic clock."""

    caller: Caller
    stream_id: int
    method: int
    body: bytes
    auth: AuthInfo | None
    since_s: float


class Host(Protocol):
    """clients: how many connections share the places"""

    @property
    def clients(self) -> int: ...


class Admission:
    """places   so many calls may be in flight beside those that are abandoned; the rest waits or is refused"""

    __slots__ = ("_abandoned", "_holds", "_host", "_share", "_waiting", "_waiting_bytes", "places")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._share = limits.CALLS_IN_FLIGHT_MAX
        self.places = self._share
        self._abandoned: dict[int, tuple[Caller, float]] = {}
        """By request id: who asked, and when it was given up."""
        self._holds: dict[Caller, int] = {}
        """How many of these each asker has."""
        self._waiting: dict[tuple[Caller, int], WaitingCall] = {}
        """By caller and stream. Invariant: in the order in which they came."""
        self._waiting_bytes = 0

    @property
    def waits(self) -> bool:
        """Whether any call waits for a place."""
        return bool(self._waiting)

    @property
    def abandoned(self) -> int:
        """How many places are held by calls that their clients have given up."""
        return len(self._abandoned)

    def divide(self, listeners: int) -> None:
        """limits.CALLS_IN_FLIGHT_MAX is the bound of the member: its listeners have equal parts of it."""
        self._share = limits.CALLS_IN_FLIGHT_MAX // listeners
        self.places = self._share - len(self._abandoned)

    # ---- abandoned ----

    def abandon(self, request_id: int, caller: Caller, now: float) -> None:
        """The client of this call has given it up, and it cannot be taken back."""
        asker = asker_of(caller)
        self._abandoned[request_id] = (asker, now)
        self._holds[asker] = self._holds.get(asker, 0) + 1
        self.places = self._share - len(self._abandoned)

    def release(self, request_id: int) -> None:
        """The backend is through with this call, whether abandoned or not."""
        found = self._abandoned.pop(request_id, None)
        if found is None:
            return
        self.places = self._share - len(self._abandoned)
        asker = found[0]
        left = self._holds[asker] - 1
        if left:
            self._holds[asker] = left
        else:
            del self._holds[asker]

    def release_all(self) -> None:
        """An actor on their way is new: what was abandoned is done or lost, and not offered again."""
        self._abandoned.clear()
        self._holds.clear()
        self.places = self._share

    # ---- waiting ----

    def wait(self, call: WaitingCall) -> bool:
        """Whether the call waits for a place, rather than to be refused."""
        asker = asker_of(call.caller)
        is_full = len(self._waiting) >= limits.CALLS_WAITING_MAX or self._waiting_bytes > limits.CALLS_WAITING_BYTES_MAX
        if is_full or not isinstance(asker, Client):
            return False
        own = asker.open_calls + self._holds.get(asker, 0)
        if own > max(1, min(limits.CALLS_WAITING_EACH, limits.CALLS_WAITING_MAX // max(1, self._host.clients))):
            return False
        self._waiting[call.caller, call.stream_id] = call
        self._waiting_bytes += len(call.body)
        return True

    def _take(self, key: tuple[Caller, int]) -> WaitingCall:
        call = self._waiting.pop(key)
        self._waiting_bytes -= len(call.body)
        return call

    def admit(self, in_flight: int) -> Iterator[WaitingCall]:
        """Those that have waited for longest, as many as there are places. in_flight: calls that are not abandoned"""
        for _ in range(min(self.places - in_flight, len(self._waiting))):
            if self._waiting:  # NB: to begin one may have begun others
                yield self._take(next(iter(self._waiting)))

    def cancel(self, given_up: Mapping[Caller, Container[int]]) -> None:
        """Clients have given up these calls, by stream: those that wait are gone."""
        gone = [key for key in self._waiting if key[0] in given_up and key[1] in given_up[key[0]]]
        for key in gone:
            self._take(key)

    # ---- time ----

    def expire(self, oldest_s: float) -> Iterable[WaitingCall]:
        """What has waited since before oldest_s, and does no more. What was abandoned before is taken for lost."""
        for request_id in [number for number, (_, since_s) in self._abandoned.items() if since_s <= oldest_s]:
            self.release(request_id)
        late = []
        for key, call in self._waiting.items():
            if call.since_s > oldest_s:
                break
            late.append(key)
        return [self._take(key) for key in late]
