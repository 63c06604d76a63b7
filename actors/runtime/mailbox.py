"""Where an actor's messages arrive: a ZeroMQ PULL socket, and a unix datagram socket beside it for small frames.

ZeroMQ hands a frame from thread to thread four times on its way, which is nothing for a batch and most of the time of a
lone call. So a small frame goes as one datagram to the unix socket `<endpoint>.dgram` if there is room in it, and by
ZeroMQ otherwise: both lose nothing while the receiver lives. Measured on one CPU: 11 us a hop instead of 27.

    sequenced frame = 0x01 | sender's incarnation u64 BE | number u64 BE, from 1 for each link
                           | when it was sent u64 BE, ns on the monotonic clock | messages
    plain frame     = messages (msgpack array, so never 0x01): what the supervisor sends

The two ways may overtake each other; the number puts the frames of a link back in order.

Some frames say what their receiver wants to know with whatever else it does, and seldom at once: what such an actor
names as deferrable has a datagram socket of its own, `<endpoint>.<kind>`. Each turn empties it, but the actor is woken
for it only while it heeds this kind. Measured: a turn for nothing costs some 100 us of CPU, emptying the socket 1 us.

A frame also overtakes the roster that names its sender, which comes from the supervisor: it waits for it. Else the
answer would go to the sender's dead predecessor, and a question that is asked once would wait for ever.
"""

import select
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

import zmq

SEQUENCED = struct.Struct(">BQQQ")
MARK = 1
DATAGRAM_BYTES_MAX = 128 << 10
"""Longest frame for the datagram path: well inside a unix socket's default buffer."""

NEVER_NS = (1 << 63) - 1

_READABLE = int(zmq.POLLIN)


def datagram_path(endpoint: str) -> str:
    """Path of the datagram path of a mailbox. Requires: an ipc endpoint."""
    return endpoint.removeprefix("ipc://") + ".dgram"


def deferred_path(endpoint: str, kind: str) -> str:
    """Path of the datagrams of a deferrable kind. Requires: an ipc endpoint."""
    return f"{endpoint.removeprefix('ipc://')}.{kind}"


def _receiver(path: str) -> socket.socket:
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    receiver.bind(path)
    return receiver


def _sender(path: str) -> socket.socket | None:
    """None: a mailbox without this datagram path, or one whose process has just ended."""
    sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sender.connect(path)
    except OSError:
        sender.close()
        return None
    return sender


class Mailbox:
    """Receives whole frames, those of one link in the order in which they were sent."""

    def __init__(self, context: "zmq.Context[Any]", endpoint: str, deferrable: Sequence[str] = ()) -> None:
        """deferrable: kinds of frames that it need not be woken for. NB: not for an actor with an event loop, which
        watches `descriptors` alone."""
        self._zmq: zmq.Socket[bytes] = context.socket(zmq.PULL)
        self._zmq.setsockopt(zmq.RCVHWM, 0)
        self._zmq.setsockopt(zmq.LINGER, 0)
        self._datagrams = _receiver(datagram_path(endpoint))
        self._deferred = {kind: _receiver(deferred_path(endpoint, kind)) for kind in deferrable}
        self._zmq.bind(endpoint)
        # NB: recv(n) would allocate n bytes each time: that is a mapping made, faulted in and taken down per frame.
        self._buffer = memoryview(bytearray(DATAGRAM_BYTES_MAX + SEQUENCED.size))
        self._poll = select.epoll()
        self._poll.register(self._datagrams.fileno(), select.EPOLLIN)
        self._zmq_descriptor = int(self._zmq.getsockopt(zmq.FD))
        self._poll.register(self._zmq_descriptor, select.EPOLLIN)
        self._deferred_poll = select.epoll()
        for receiver in self._deferred.values():
            self._deferred_poll.register(receiver.fileno(), select.EPOLLIN)
        self._heeded: set[str] = set()
        """Kinds of deferrable frames that wake this actor: at first all."""
        for kind in deferrable:
            self.heed(kind, True)
        self._zmq_due = True
        """Its descriptor has spoken, and it was not emptied since. Asking it without need costs 5 us, every time."""
        self._next: dict[int, int] = {}
        """By sender: the number of the frame that is due."""
        self._held: dict[int, dict[int, memoryview]] = {}
        """By sender: frames that came before their turn."""
        self._known: set[int] = set()
        """Senders that the roster names."""
        self._gone: set[int] = set()
        """Senders that it named once: what they sent last and comes late is dropped, as resync expects."""
        self._early: dict[int, list[bytes]] = {}
        """By sender: frames that came before the roster."""
        self._admitted: list[bytes | memoryview] = []
        """Of these, what may be taken now."""
        self.oldest_ns = NEVER_NS
        """When the oldest frame of the last `take` was sent; NEVER_NS if it gave none that says so."""

    @property
    def descriptors(self) -> tuple[int, int]:
        """What an event loop watches: the datagram path's, and ZeroMQ's, for which it calls `zmq_spoke`. NB: ZeroMQ's
        falls silent when it is looked at, not when it is emptied: after each turn ask `pending`."""
        return self._datagrams.fileno(), self._zmq_descriptor

    def zmq_spoke(self) -> None:
        """Its descriptor is readable."""
        self._zmq_due = True

    def pending(self) -> bool:
        """Whether there may be more, of which no descriptor will tell again."""
        return self._zmq_due or bool(self._admitted)

    def heed(self, kind: str, is_heeded: bool) -> None:
        """Whether to be woken for frames of this deferrable kind from now on, and for those that are there already."""
        if is_heeded and kind not in self._heeded:
            self._heeded.add(kind)
            self._poll.register(self._deferred[kind].fileno(), select.EPOLLIN)
        elif not is_heeded and kind in self._heeded:
            self._heeded.discard(kind)
            self._poll.unregister(self._deferred[kind].fileno())

    def wait(self, timeout_s: float) -> None:
        """Until there may be something to take, or the time is over."""
        if not self._zmq_due and not self._admitted:
            for descriptor, _ in self._poll.poll(timeout_s):
                if descriptor == self._zmq_descriptor:
                    self._zmq_due = True

    def take(self, frames_max: int) -> list[bytes | memoryview]:
        """What has arrived, at most about frames_max frames."""
        taken, self._admitted = self._admitted, []
        self.oldest_ns = NEVER_NS
        receive, buffer = self._datagrams.recv_into, self._buffer
        try:
            while len(taken) < frames_max:
                size = receive(buffer)
                self._sort(bytes(buffer[:size]), taken)
        except BlockingIOError:
            pass
        if self._deferred:
            self._take_deferred(taken)
        if self._zmq_due:
            self._take_zmq(frames_max, taken)
        return taken

    def _take_deferred(self, taken: list[bytes | memoryview]) -> None:
        """NB: behind the others, so that whatever an earlier frame than one of theirs said is here by now."""
        if not self._deferred_poll.poll(0):
            return
        buffer, oldest_ns = self._buffer, self.oldest_ns
        for receiver in self._deferred.values():
            try:
                while True:
                    size = receiver.recv_into(buffer)
                    self._sort(bytes(buffer[:size]), taken)
            except BlockingIOError:
                pass
        self.oldest_ns = oldest_ns  # that they wait is no sign of a mailbox that is behind

    def _take_zmq(self, frames_max: int, taken: list[bytes | memoryview]) -> None:
        while len(taken) < frames_max:
            if not self._zmq.get(zmq.EVENTS) & _READABLE:  # type: ignore[operator]
                self._zmq_due = False
                return
            self._sort(self._zmq.recv(zmq.NOBLOCK), taken)

    def _sort(self, frame: bytes, taken: list[bytes | memoryview]) -> None:
        """Append frame to taken, and what waited for it; or let it wait for what it has overtaken."""
        if frame[0] != MARK:
            taken.append(frame)
            return
        _, sender, number, sent_ns = SEQUENCED.unpack_from(frame)
        if sent_ns < self.oldest_ns:
            self.oldest_ns = sent_ns
        if sender not in self._known:
            if sender not in self._gone:
                self._early.setdefault(sender, []).append(frame)
            return
        due = self._next.get(sender, 1)
        messages = memoryview(frame)[SEQUENCED.size :]
        if number != due:
            self._held.setdefault(sender, {})[number] = messages
            return
        taken.append(messages)
        due += 1
        held = self._held.get(sender)
        while held:
            waiting = held.pop(due, None)
            if waiting is None:
                break
            taken.append(waiting)
            due += 1
        self._next[sender] = due

    def admit(self, sender: int) -> None:
        """The roster names this incarnation: what it has sent may be taken."""
        self._known.add(sender)
        for frame in self._early.pop(sender, ()):
            self._sort(frame, self._admitted)

    def taken(self) -> dict[int, int]:
        """By sender: how many frames of its link were taken."""
        return {sender: due - 1 for sender, due in self._next.items()}

    def forget(self, sender: int) -> None:
        """The sender's process is gone."""
        self._known.discard(sender)
        self._gone.add(sender)
        self._next.pop(sender, None)
        self._held.pop(sender, None)

    def close(self) -> None:
        self._poll.close()
        self._deferred_poll.close()
        self._datagrams.close()
        for receiver in self._deferred.values():
            receiver.close()
        self._zmq.close(linger=0)


class Link:
    """The sending end of a link to one incarnation. Its ZeroMQ socket is made for the first frame that needs it: each
    connection takes some 20 KB in both processes, and a member at rest has no such frames."""

    __slots__ = ("_context", "_datagrams", "_deferred", "_endpoint", "_number", "_sender", "_zmq")

    def __init__(self, context: "zmq.Context[Any]", endpoint: str, sender: int) -> None:
        self._context = context
        self._zmq: zmq.Socket[bytes] | None = None
        self._sender = sender
        self._number = 0
        self._endpoint = endpoint
        self._datagrams = _sender(datagram_path(endpoint))
        self._deferred: dict[str, socket.socket | None] = {}
        """By kind."""

    def send(self, messages: bytes) -> None:
        """One frame; never blocks."""
        self._number += 1
        frame = SEQUENCED.pack(MARK, self._sender, self._number, time.monotonic_ns()) + messages
        if self._datagrams is not None and len(messages) <= DATAGRAM_BYTES_MAX:
            try:
                self._datagrams.send(frame)
                return
            except OSError:
                pass  # no room, or the receiver is gone: ZeroMQ takes both
        if self._zmq is None:
            self._zmq = self._connected()
        self._zmq.send(frame, zmq.NOBLOCK)

    def _connected(self) -> "zmq.Socket[bytes]":
        made: zmq.Socket[bytes] = self._context.socket(zmq.PUSH)
        # Internal pushes never block: what is in flight is bounded where calls are admitted, not here.
        made.setsockopt(zmq.SNDHWM, 0)
        made.setsockopt(zmq.LINGER, 0)
        made.connect(self._endpoint)
        return made

    def send_deferred(self, kind: str, messages: bytes) -> None:
        """One frame that its receiver is woken for only if it heeds this kind; never blocks."""
        if kind not in self._deferred:
            self._deferred[kind] = _sender(deferred_path(self._endpoint, kind))
        datagrams = self._deferred[kind]
        if datagrams is None or len(messages) > DATAGRAM_BYTES_MAX:
            self.send(messages)
            return
        try:
            datagrams.send(SEQUENCED.pack(MARK, self._sender, self._number + 1, time.monotonic_ns()) + messages)
            self._number += 1
        except OSError:
            self.send(messages)

    @property
    def sent(self) -> int:
        """Frames that were sent over this link."""
        return self._number

    def close(self, linger_ms: int) -> None:
        for datagrams in (self._datagrams, *self._deferred.values()):
            if datagrams is not None:
                datagrams.close()
        if self._zmq is not None:
            self._zmq.close(linger=linger_ms)
