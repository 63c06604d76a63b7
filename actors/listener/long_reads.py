"""Reads that the backend has told to be long: when each is asked for, and what has come of its answer.

They wait here with no more than their request, and are asked for a few at a time: fairly between clients, none for a
client that has not taken what it was sent before, and none while all clients together hold up too much. So what many
large answers cost in memory is what a few of them cost.

An answer comes in parts, and goes to its client when it is complete: gRPC says how long a message is before it begins.
"""

from collections import deque
from collections.abc import Container, Iterator, Mapping
from typing import Final

from actors.listener.call import WRITE, Call, Caller, Client, asker_of
from etcdz import limits
from etcdz.ipc.messages import ReplyPart

_NO_IDS: Final[deque[int]] = deque()


class _Parts:
    """What has come of an answer. incarnation: of the backend that sends it"""

    __slots__ = ("incarnation", "pieces", "size")

    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.pieces: list[bytes] = []
        self.size = 0


class Stall:
    """How much a client has not taken, and since when it has taken nothing."""

    __slots__ = ("since_s", "unsent")

    def __init__(self, unsent: int, since_s: float) -> None:
        self.unsent = unsent
        self.since_s = since_s


class LongReads:
    """Of one listener. len(): how many, asked for or not. in: by request id.

    waiting     request ids of those that are not asked for, by who asks. Invariant: in the order of their turns, none
                without ids
    cancelled   request ids of those that the backend works on in vain, and is to be told of
    """

    def __init__(self) -> None:
        self._calls: dict[int, Call] = {}
        """By request id."""
        self.waiting: dict[Caller, deque[int]] = {}
        self._request_bytes = 0
        self._asked: set[int] = set()
        self.cancelled: list[int] = []
        self._parts: dict[int, _Parts] = {}
        """By request id of a long read, or of a change with a large answer."""
        self._parts_bytes = 0
        self._holders: dict[Client, Stall] = {}
        """Clients that may not have taken a large answer."""
        self._starved_since: float | None = None
        """Since when reads have waited and there was no space to ask for any."""

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, request_id: object) -> bool:
        return request_id in self._calls

    @property
    def asked(self) -> set[int]:
        """Request ids of those that the backend works on."""
        return self._asked

    # ---- what waits ----

    def add(self, request_id: int, call: Call) -> bool:
        """The backend has told this read to be long. return False: too many are"""
        asker = asker_of(call.caller)
        queue = self.waiting.get(asker, _NO_IDS)
        if len(self._calls) >= limits.LONG_READS_MAX or len(queue) >= limits.LONG_READS_EACH:
            return False
        if self._request_bytes + len(call.payload) > limits.LONG_READS_BYTES_MAX:
            return False
        self._request_bytes += len(call.payload)
        self._calls[request_id] = call
        self.waiting.setdefault(asker, deque()).append(request_id)
        return True

    def end(self, request_id: int) -> Call | None:
        """The read has its answer, or an error: it is forgotten. None: it is none of these"""
        call = self._calls.pop(request_id, None)
        self.drop_parts(request_id)
        if call is not None:
            self._request_bytes -= len(call.payload)
            self._asked.discard(request_id)
            self._unqueue(request_id, asker_of(call.caller))
        return call

    def _unqueue(self, request_id: int, asker: Caller) -> None:
        queue = self.waiting.get(asker)
        if queue is not None and request_id in queue:
            queue.remove(request_id)
            if not queue:
                del self.waiting[asker]

    def cancel(self, given_up: Mapping[Caller, Container[int]]) -> None:
        """Clients have given up these calls, by stream."""
        for request_id, call in list(self._calls.items()):
            if call.caller in given_up and call.stream_id in given_up[call.caller]:
                if request_id in self._asked:
                    self.cancelled.append(request_id)
                self.end(request_id)

    def forget(self, client: Client) -> None:
        """Its connection is gone."""
        self._holders.pop(client, None)

    def expire(self, oldest_s: float) -> list[int]:
        """Request ids of those that have waited to be asked for since before oldest_s."""
        waiting = [request_id for queue in self.waiting.values() for request_id in queue]
        return [request_id for request_id in waiting if self._calls[request_id].began_s < oldest_s]

    def ask_again(self) -> None:
        """A new backend knows nothing of what the one before was asked for."""
        for request_id in sorted(self._asked, reverse=True):
            self.waiting.setdefault(asker_of(self._calls[request_id].caller), deque()).appendleft(request_id)
        self._asked.clear()
        self.cancelled.clear()
        self._parts.clear()
        self._parts_bytes = 0

    # ---- what is asked for ----

    def take_due(self) -> Iterator[tuple[int, Call]]:
        """Those that are to be asked for now, with their request ids."""
        while self.waiting and len(self._asked) < limits.LONG_READS_ASKED and self._has_space():
            asker = next((asker for asker in self.waiting if _has_room(asker)), None)
            if asker is None:
                return
            queue = self.waiting.pop(asker)
            request_id = queue.popleft()
            if queue:
                self.waiting[asker] = queue  # behind all others
            self._asked.add(request_id)
            self._starved_since = None
            yield request_id, self._calls[request_id]

    def _has_space(self) -> bool:
        return self.unsent_bytes() < limits.UNSENT_BYTES_MAX

    def unsent_bytes(self) -> int:
        """Of large answers: what clients have not taken, and what is not complete."""
        total = self._parts_bytes
        for client in list(self._holders):
            unsent = client.unsent_bytes
            if unsent:
                total += unsent
            else:
                del self._holders[client]
        return total

    # ---- answers ----

    def on_part(self, part: ReplyPart) -> list[bytes] | None:
        """The pieces of an answer, if this part completes it. None: there is more to come, or it is not the
        part that is due, but of a backend that is gone. Requires: somebody waits for the answer"""
        found = self._parts.get(part.request_id)
        if part.offset == 0:
            self.drop_parts(part.request_id)
            found = self._parts[part.request_id] = _Parts(part.incarnation)
        if found is None or part.offset != found.size or part.incarnation != found.incarnation:
            return None
        found.pieces.append(part.data)
        found.size += len(part.data)
        self._parts_bytes += len(part.data)
        if not part.is_last:
            return None
        self.drop_parts(part.request_id)
        return found.pieces

    def drop_parts(self, request_id: int) -> None:
        """What has come of an answer that nobody waits for."""
        found = self._parts.pop(request_id, None)
        if found is not None:
            self._parts_bytes -= found.size

    def has_given(self, client: Client, now: float) -> None:
        """The client has been given a large answer, to take it as it can."""
        self._holders[client] = Stall(client.unsent_bytes, now)

    def find_stalled(self, now: float) -> list[Client]:
        """Clients that have taken nothing for long while others wait for the space that they take; or, if these have
        waited for long, the one that takes most of it, though it takes its answer bit by bit."""
        stalled = []
        for client, stall in self._holders.items():
            unsent = client.unsent_bytes
            if unsent < stall.unsent:
                stall.since_s = now
            elif unsent and now - stall.since_s > limits.UNSENT_STALL_S:
                stalled.append(client)
            stall.unsent = unsent
        if not self.waiting or self._has_space():
            self._starved_since = None
            return []
        if self._starved_since is None:
            self._starved_since = now
        if stalled or now - self._starved_since <= limits.UNSENT_STARVED_S:
            return stalled
        held = {client: stall.unsent for client, stall in self._holders.items()}
        return [max(held, key=lambda client: held[client])] if sum(held.values()) >= limits.UNSENT_BYTES_MAX else []

    def takes_answer(self, call: Call) -> bool:
        """Whether an answer to a change may be given: reads are asked for only when it may."""
        return call.state != WRITE or _has_room(call.caller) or self._has_space()


def _has_room(caller: Caller) -> bool:
    """Whether it has taken what it was given before, but for a little; parts of the listener always have."""
    return not isinstance(caller, Client) or caller.has_room
