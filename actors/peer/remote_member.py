"""One other member, as this one is connected to it: two streams each way, POSTs, probes.

A *remote*, who is not in the membership, is only POSTed to.
"""

import time
from typing import Any, Final, Protocol

from actors.peer.exchanges import Exchanges, Failed
from actors.peer.host import Host as ConnectionsHost
from actors.peer.incoming_stream import IncomingStream
from actors.peer.outgoing_stream import OutgoingStream
from etcdz.limits import PEER_UNANSWERED_BYTES_MAX
from etcdz.peer.dialling import OK, REMOVED, judge_post
from etcdz.peer.outbox import MESSAGE, MSGAPP, Outbox
from etcdz.peer.probing import PATH, PROBE_S, ROUND_TRIPPER, Probes
from etcdz.peer.processes import Processes
from etcdz.peer.redial import Redial
from etcdz.peer.status import Status

POSTING_MAX: Final = 4
"""POSTs that are under way at a time."""
PROBE_TIMEOUT_S: Final = 5.0
POST_TIMEOUT_S: Final = 30.0
TELL_OF_TWO_EVERY_S: Final = 60.0
TWO: Final = "two processes run as one member, so writes may be lost: one of them has a copy of its data, stop that one"
_POSTS: Final = "posts"
_STREAM_NAMES: Final = {MESSAGE: "stream Message", MSGAPP: "stream MsgApp v2"}
"""In etcd's log."""
_LOST: Final = "lost TCP streaming connection with remote peer"


class Host(ConnectionsHost, Protocol):
    """What one needs of the actor besides."""

    def on_status(self) -> None:
        """One is heard of, or no more."""

    def on_posted(self, to: int, message: bytes, taken_s: float | None) -> None:
        """A message was POSTed to it. taken_s: None: it has not arrived"""

    def touch(self, remote: "RemoteMember") -> None:
        """Raft is to be told that something was lost."""


class RemoteMember:
    """outgoing         streams that it has dialled, by kind
    incoming         streams from it
    received_bytes   of streams
    unanswered_bytes  of appends that have come since raft last answered one of its appends
    attached         how many streams it has dialled so far
    bad_streams      how many of its streams have ended because they could not be read
    """

    def __init__(self, host: Host, id_: int, urls: list[str]) -> None:
        self._host = host
        self.id = id_
        self.urls = urls
        self.outbox = Outbox(host.directory.member_id, id_)
        self.status = Status()
        self.outgoing: dict[str, OutgoingStream] = {}
        self.incoming: dict[str, IncomingStream] = {}
        self.redials = {kind: Redial(urls) for kind in (MSGAPP, MESSAGE, _POSTS)}
        self.exchanges = Exchanges(host)
        self.probes = Probes(time.monotonic())
        self.received_bytes = 0
        self.bad_streams = 0
        self.attached = 0
        self.unanswered_bytes = 0
        self._processes = Processes()
        self._tell_of_two_at = 0.0
        self._overflows_told = 0
        self._read_from: set[str] = set()  # kinds of streams from it that are up
        self._posting = 0
        self._probe_at = 0.0
        self._is_probing = False

    def begin(self) -> None:
        """It is a member: dial it, and ask how far away it is."""
        if not self.incoming:
            self.incoming = {kind: IncomingStream(self._host, self, kind) for kind in (MESSAGE, MSGAPP)}
            self._probe_at = self._host.event_loop.time()
            self._host.clocked.add(self)

    def learn(self, urls: list[str]) -> None:
        """Where it is reached."""
        if urls == self.urls:
            return
        self.urls = urls
        for redial in self.redials.values():
            redial.learn(urls)
        for stream in self.incoming.values():
            stream.restart()
        self.exchanges.close()

    def close(self) -> None:
        """It is none any more, or this actor ends."""
        self._host.clocked.discard(self)
        for stream in self.incoming.values():
            stream.close()
        for outgoing in self.outgoing.values():
            outgoing.close()
        self.incoming, self.outgoing = {}, {}
        self.exchanges.close()

    # ---- its streams ----

    def on_dialled_by(self, process: bytes, address: str) -> None:
        """A stream comes from this process of it. NB: nobody is turned away: who of two is right cannot be seen."""
        now = self._host.event_loop.time()
        if self._processes.are_two(process) and now >= self._tell_of_two_at:
            self._tell_of_two_at = now + TELL_OF_TWO_EVERY_S
            self._host.log.error(TWO, remote_peer_id=f"{self.id:x}", address=address)

    def attach(self, stream: OutgoingStream) -> None:
        """It has dialled; what it had dialled before carries nothing more."""
        before = self.outgoing.get(stream.kind)
        if before is not None:
            before.close()
        self.outgoing[stream.kind] = stream
        self.outbox.attach(stream.kind)
        self.attached += 1
        self._activate()
        self._host.on_status()
        self._host.log.info(
            "set message encoder",
            **{"from": f"{self._host.directory.member_id:x}"},
            to=f"{self.id:x}",
            stream_type=_STREAM_NAMES[stream.kind],
        )

    def detach(self, stream: OutgoingStream) -> None:
        """Its connection has ended."""
        if self.outgoing.get(stream.kind) is stream:
            del self.outgoing[stream.kind]
            self.outbox.detach(stream.kind)
            self._host.touch(self)
            name = _STREAM_NAMES[stream.kind]
            self._host.log.warn(_LOST, stream_writer_type=name, **self._ids())
            self._deactivate(f"failed to write {self.id:x} on {name}")
            self._host.on_status()

    def on_stream_up(self, kind: str) -> None:
        self._read_from.add(kind)
        text = "established TCP streaming connection with remote peer"
        self._host.log.info(text, stream_reader_type=_STREAM_NAMES[kind], **self._ids())
        self._activate()

    def on_stream_down(self, kind: str, why: str) -> None:
        """It has ended, or could not be dialled."""
        name, was_up = _STREAM_NAMES[kind], kind in self._read_from
        self._read_from.discard(kind)
        if was_up:
            self._host.log.warn(_LOST, stream_reader_type=name, **self._ids(), error=why)
        self._deactivate(f"failed to {'read' if was_up else 'dial'} {self.id:x} on {name} ({why})")

    def _ids(self) -> dict[str, str]:
        """As etcd names the ends of a connection in its log."""
        return {"local_member_id": f"{self._host.directory.member_id:x}", "remote_peer_id": f"{self.id:x}"}

    def on_bad_bytes(self) -> None:
        self.bad_streams += 1

    def on_received(self, kind: str, size: int) -> None:
        """Appends that raft does not answer pile up before its disk: then no more of these are read."""
        self.received_bytes += size
        if kind == MSGAPP:
            self.unanswered_bytes += size
            if self.unanswered_bytes > PEER_UNANSWERED_BYTES_MAX:
                self._hold(True)

    def on_answered(self) -> None:
        """Raft has answered an append of it, or there is a new raft."""
        if self.unanswered_bytes > PEER_UNANSWERED_BYTES_MAX:
            self._hold(False)
        self.unanswered_bytes = 0

    def _hold(self, is_held: bool) -> None:
        stream = self.incoming.get(MSGAPP)
        if stream is not None and stream.connection is not None:
            stream.connection.hold(is_held)

    def flush(self) -> None:
        """Send what waits. Votes and heartbeats are not behind appends: they have a stream of their own."""
        for kind in (MESSAGE, MSGAPP):
            stream = self.outgoing.get(kind)
            if stream is not None:
                stream.flush()
        while self.outbox.has_post and self._posting < POSTING_MAX:
            self._posting += 1
            self._host.start_task(self._post())

    async def _post(self) -> None:
        try:
            while (message := self.outbox.next_post()) is not None:
                await self._post_one(message)
        finally:
            self._posting -= 1

    async def _post_one(self, message: bytes) -> None:
        redial, dialler, began = self.redials[_POSTS], self._host.dialler, time.monotonic()
        try:
            answer = await self.exchanges.ask(
                redial.url, lambda authority: dialler.message_request(authority, len(message)) + message, POST_TIMEOUT_S
            )
        except Failed as error:
            self._on_post_failed(message, str(error))
            return
        verdict = judge_post(answer.status, answer.body)
        if verdict.kind == OK:
            self._host.on_posted(self.id, message, time.monotonic() - began)
            self._activate()
            return
        if verdict.kind == REMOVED:
            self._host.on_removed()
        self._on_post_failed(message, verdict.text)

    def _on_post_failed(self, message: bytes, why: str) -> None:
        self._host.on_posted(self.id, message, None)
        self.redials[_POSTS].on_failure()
        self.outbox.on_post_failed()
        if not (self.outgoing or self._read_from):  # else the post is of before, and nothing would activate it again
            self._deactivate(f"failed to post to it: {why}")
        self._host.touch(self)

    def on_snapshot_sent(self, has_arrived: bool, why: str) -> None:
        if has_arrived:
            self._activate()
        else:
            self._deactivate(f"failed to send a snapshot to it: {why}")

    # ---- whether it is there ----

    def _activate(self) -> None:
        if self.status.activate(time.time()):
            self._host.log.info("peer became active", peer_id=f"{self.id:x}")
            self._host.on_status()

    def _deactivate(self, why: str) -> None:
        if self.status.deactivate(why):
            self._host.log.warn("peer became inactive (message send to peer failed)", peer_id=f"{self.id:x}", error=why)
            self._host.on_status()

    def check(self, now: float) -> None:
        """Probe it now and then, and say what is wrong with the way to it."""
        if self.outbox.overflowed > self._overflows_told:
            text = "dropped internal Raft message since sending buffer is full (overloaded network)"
            count, self._overflows_told = self.outbox.overflowed - self._overflows_told, self.outbox.overflowed
            self._host.log.warn(text, remote_peer_id=f"{self.id:x}", messages=count)
        if now >= self._probe_at and not self._is_probing:
            self._is_probing = True
            self._probe_at = now + PROBE_S
            self._host.start_task(self._probe())
        for text in self.probes.warnings(time.monotonic()):
            self._host.log.warn(
                text,
                round_tripper_name=ROUND_TRIPPER,
                remote_peer_id=f"{self.id:x}",
                rtt=f"{self.probes.round_trip_s:.6g}s",
                clock_drift=f"{self.probes.clock_ahead_s:.6g}s",
                error=self.probes.why,
            )

    async def _probe(self) -> None:
        dialler, began = self._host.dialler, time.monotonic()
        try:
            answer = await self.exchanges.ask(
                self.redials[_POSTS].url,
                lambda authority: dialler.call_request("GET", PATH, authority, b""),
                PROBE_TIMEOUT_S,
            )
        except Failed as error:
            self.probes.on_failure(str(error))
        else:
            self.probes.on_answer(time.monotonic() - began, time.time(), answer.body)
        finally:
            self._is_probing = False

    def summary(self) -> dict[str, Any]:
        """For `etcdz monitor`, with each heartbeat."""
        since, round_trip_s = self.status.active_since, self.probes.round_trip_s
        return {
            "id": f"{self.id:x}",
            "name": self._host.directory.name_of(self.id),
            "active_s": time.time() - since if since else None,
            "sent_bytes": self.outbox.sent_bytes,
            "received_bytes": self.received_bytes,
            "waiting_bytes": self.outbox.waiting_bytes(MESSAGE) + self.outbox.waiting_bytes(MSGAPP),
            "dropped": self.outbox.dropped,
            "round_trip_us": round(1e6 * round_trip_s) if round_trip_s else None,
            "inactive_because": self.status.why,
        }

    def details(self) -> dict[str, Any]:
        """For `etcdz actors inspect`."""
        reading = sum(stream.connection is not None for stream in self.incoming.values())
        found = self.summary()
        why = found.pop("inactive_because")
        return {
            **found,
            "clock_ahead_ms": round(1e3 * self.probes.clock_ahead_s) if self.probes.round_trip_s else None,
            "streams": f"{len(self.outgoing)} to, {reading} from",
            "bad_streams": self.bad_streams,
            "urls": ",".join(self.urls),
            "inactive_because": why,
        }
