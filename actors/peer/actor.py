"""The peer actor: all traffic with the other members of the cluster, both ways.

It is dumb about raft: it knows who the members are and where (`Members`), carries what raft says to them (`Send`) and
what they say to raft (`Received`), and tells who is heard of (`PeerState`) and to whom something was lost
(`PeerReports`). Losing all of it is what a network does: so nothing is saved over its restart but the request ids that
raft has forwarded, which it keeps for the next raft. In a member that is alone it has nothing to do.

One event loop (uvloop) holds the connections; the mailbox is one more file descriptor in it. The sockets that listen
are the supervisor's, so that a restart refuses no connection. What was received in one turn of the event loop leaves
for raft as one frame, and what raft sends in one turn leaves as one write for each stream.
"""

import asyncio
import secrets
import socket
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from actors.peer.accepted import AcceptedConnection, Connected
from actors.peer.asks import Asks
from actors.peer.calls import Calls
from actors.peer.dialled import CannotDial, place_of
from actors.peer.figures import figures, snapshot_figures
from actors.peer.incoming_snapshots import IncomingSnapshots
from actors.peer.outgoing_snapshots import Outcome, OutgoingSnapshots, Target
from actors.peer.peer_tls import PeerTls
from actors.peer.remote_member import RemoteMember
from actors.peer.tls_accepted import TlsAccepted, Unwelcome
from actors.runtime.event_loop import EventLoopActor
from actors.runtime.link import Peer
from actors.runtime.loop import run_actor
from etcdz import ETCD_VERSION, limits
from etcdz.cluster.founding import Founding
from etcdz.config import MemberConfig
from etcdz.config.urls import parse_url
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    ACKNOWLEDGED,
    AppendFigures,
    AppendFiguresAsk,
    Members,
    PeerCall,
    PeerReply,
    PeerReports,
    PeerState,
    Received,
    Removed,
    Send,
    SnapshotWanted,
)
from etcdz.net.address import address_of
from etcdz.peer.answers import accepted, cluster_field, text_error
from etcdz.peer.appends import Append
from etcdz.peer.dialling import REMOVED, Dialler, judge_post
from etcdz.peer.directory import Directory
from etcdz.peer.heads import RequestHead
from etcdz.peer.outbox import MESSAGE, MSGAPP, message_type
from etcdz.peer.screen import Screen
from etcdz.raft.codec import is_acknowledgement
from etcdz.raft.messages import MSG_APP, MSG_APP_RESP, MSG_SNAP
from etcdz.tls.contexts import TlsError
from etcdz.v2.append_statistics import AppendStatistics

BACKLOG: Final = 512
LEAVE_S: Final = 1.0
"""From the removal of this member being applied to its stop, as in etcd: others hear of its last acknowledgements."""
CONNECTIONS_MAX: Final = 1024
"""Accepted ones; beyond, the one that has waited longest for a request is cut. A cluster of seven needs some sixty."""

ADDRESSES_MAX: Final = 64
"""That bad POSTs are counted by."""


class PeerActor(EventLoopActor):
    """One per member.

    remotes      by id: the other members, and who is not, or not yet, in the membership
    connections  accepted ones, the oldest first
    forwarded    ids of the latest proposals that have left for a leader
    """

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.config = MemberConfig.from_dict(boot.config)
        self.dial_s = self.config.election_ms / 1000
        self.tls = PeerTls(self.config.peer_tls, self.event_loop, self.log)
        self._sockets = [socket.socket(fileno=fd) for fd in boot.fds]
        self.directory = self._first_directory(self.config)
        self.dialler = Dialler(self.directory, secrets.token_hex(8))
        self.screen = Screen(self.directory.member_id)
        self.remotes: dict[int, RemoteMember] = {}
        self.touched: set[RemoteMember] = set()
        """Of these, the ones that this turn has something for, or from whose outbox something was lost."""
        self.connections: dict[Connected, None] = {}
        self.asks = Asks(self)
        self.calls = Calls(self)
        snap_dir = Path(self.config.snap_dir)
        self.outgoing_snapshots = OutgoingSnapshots(
            self, snap_dir / "leveldb", self._on_snapshot_sent, self.config.peer_tls
        )
        self.incoming_snapshots = IncomingSnapshots(
            self, snap_dir, self._identity, self._snapshot_answer, lambda sender: sender in self.directory.members
        )
        self.forwarded: deque[int] = deque(maxlen=limits.REQUEST_WINDOW)
        self.connection_errors = self.refused_handshakes = 0
        self.bad_posts: dict[str, int] = {}
        """By address of the sender: so many POSTs were no messages."""
        self.appends = AppendStatistics() if self.config.enable_v2 else None
        self._bodies_bytes = 0
        """Of requests that are not whole."""
        self._received: list[bytes] = []
        self._snapshots_sent: list[tuple[int, bool]] = []
        """What has become of some, that raft does not know of yet."""
        self.handlers |= {
            Members: self.on_members,
            Send: self.on_send,
            SnapshotWanted: self.outgoing_snapshots.on_wanted,
            PeerCall: self.calls.begin,
            PeerReply: self.asks.on_reply,
            AppendFiguresAsk: self.on_append_figures_ask,
        }

    def _first_directory(self, config: MemberConfig) -> Directory:
        """Until the backend has told: what was decided about this member before its first start."""
        try:
            founding = config.first_founding
        except ValueError:  # flags that a member with a log need not have right
            return Directory(0, 0, config.initial_advertise_peer_urls, ETCD_VERSION)
        directory = Directory(founding.member_id, founding.cluster_id, config.initial_advertise_peer_urls, ETCD_VERSION)
        if founding.is_join:
            for member in founding.members:
                directory.meet(member.id, member.peer_urls)
        else:
            directory.learn(_members_of(founding))
        return directory

    def on_start(self) -> dict[str, Any]:
        return {"addresses": [address for address, _ in self.boot.listen_sockets]}

    # ---- beginning, turns, end ----

    def open(self) -> None:
        """Accept connections, and dial the members that are known."""
        self.tls.begin()
        secure = {address_of(url).text for url in self.config.listen_peer_urls if parse_url(url).is_secure}
        for sock, (address, _) in zip(self._sockets, self.boot.listen_sockets, strict=True):
            self.start_task(self._listen(sock, self._accept_tls if address in secure else self._accept))
        self.meet_remotes()

    def _accept(self) -> AcceptedConnection:
        return AcceptedConnection(self)

    def _accept_tls(self) -> asyncio.Protocol:
        try:
            return TlsAccepted(self, self._accept)
        except TlsError as error:
            self.log.warn("cannot accept connections of other members", error=str(error))
            return Unwelcome()

    async def _listen(self, sock: socket.socket, make: Callable[[], asyncio.Protocol]) -> None:
        """NB: a server closes its socket when it ends, which is why it gets a duplicate."""
        loop = self.event_loop
        if sock.family == socket.AF_UNIX:
            await loop.create_unix_server(make, sock=sock.dup(), backlog=BACKLOG)
        else:
            await loop.create_server(make, sock=sock.dup(), backlog=BACKLOG)

    def on_turn_end(self) -> None:
        """All that this turn has brought: to other members first, so that no disk or process is waited for."""
        unreachable = []
        if self.touched:
            touched, self.touched = self.touched, set()
            for remote in touched:
                remote.flush()
                if remote.outbox.take_unreachable():
                    unreachable.append(remote.id)
            if self.appends is not None:
                self.appends.on_written(time.monotonic())
        if self._received:
            self._pass_on(self._received)
            self._received = []
        if unreachable or self._snapshots_sent:
            self._tell_raft(PeerReports(unreachable, self._snapshots_sent))
            self._snapshots_sent = []

    def _pass_on(self, messages: list[bytes]) -> None:
        """To raft, which need not be woken for acknowledgements that it does not wait for."""
        if not all(map(is_acknowledgement, messages)):
            self._tell_raft(Received(messages))
        elif self.links.incarnation_of("raft"):
            self.links.send_deferred("raft", ACKNOWLEDGED, Received(messages))

    def _tell_raft(self, message: Any) -> None:
        """Nothing waits for a raft that is not there: the next one would find it old."""
        if self.links.incarnation_of("raft"):
            self.links.send("raft", message)

    def touch(self, remote: RemoteMember) -> None:
        """Something waits for it, or to it was lost."""
        self.touched.add(remote)
        self.flush_soon()

    async def close_connections(self) -> None:
        self.outgoing_snapshots.close()
        self.incoming_snapshots.close()
        for remote in self.remotes.values():
            remote.close()
        await asyncio.sleep(0)
        self.tls.close()

    # ---- connections ----

    def on_connected(self, connection: Connected) -> None:
        self.connections[connection] = None
        self.start_clock()
        if len(self.connections) > CONNECTIONS_MAX:
            idle = next((one for one in self.connections if not one.is_stream), connection)
            idle.cut()

    def on_lost_connection(self, connection: Connected) -> None:
        self.connections.pop(connection, None)

    def on_body(self, connection: AcceptedConnection, size: int) -> None:
        self._bodies_bytes += size
        if self._bodies_bytes > limits.PEER_BODIES_BYTES_MAX and size > 0:
            max(self.connections, key=lambda one: one.body_bytes).cut()

    def on_connection_error(self, what: str, error: Exception) -> None:
        self.connection_errors += 1
        text = "".join(traceback.format_exception(error))
        self.log.error("a defect ended a connection", connection=what, error=repr(error), stack=text)

    def deliver(self, messages: Sequence[bytes]) -> None:
        self._received += messages
        if self.appends is not None:
            now = time.monotonic()
            for message in messages:
                if message_type(message) == MSG_APP:
                    self.appends.received.count(len(message), now)
        self.flush_soon()

    def take_to_raft(self, message: bytes) -> bool:
        if not self.links.incarnation_of("raft"):
            return False
        self.deliver([message])
        return True

    def on_bad_post(self, address: str) -> None:
        known = address in self.bad_posts or len(self.bad_posts) < ADDRESSES_MAX
        address = address if known else "others"
        self.bad_posts[address] = self.bad_posts.get(address, 0) + 1

    def ask(self, connection: AcceptedConnection, request: RequestHead, body: bytes) -> None:
        self.asks.begin(connection, request, body)

    def on_removed(self) -> None:
        reason = "the member has been permanently removed from the cluster"
        self.links.tell_supervisor(Removed(self.boot.name, self.boot.incarnation, reason))

    # ---- other members ----

    def on_members(self, message: Members) -> None:
        """Who the members are, and who is none any more. Before a cluster's first entries are applied nobody is known
        to the backend, but to this actor."""
        if not message.members and not message.removed:
            return
        if (message.member_id, message.cluster_id) != (self.directory.member_id, self.directory.cluster_id):
            self._become(message.member_id, message.cluster_id)
        self.directory.learn(message)
        self.screen.removed = self.directory.removed
        self.meet_remotes()
        if self.directory.is_removed:
            self.event_loop.call_later(LEAVE_S, self.on_removed)

    def _become(self, member_id: int, cluster_id: int) -> None:
        """What this member has on disk says that it is another one than its flags do."""
        for remote in self.remotes.values():
            self._part_with(remote)
        self.remotes.clear()
        self.directory.member_id, self.directory.cluster_id = member_id, cluster_id
        self.screen.local_id = member_id

    def meet_remotes(self) -> None:
        """The directory may have changed."""
        directory, remotes = self.directory, self.remotes
        peers = {} if directory.is_removed else directory.peers
        if self.appends is not None:
            self.appends.meet(set(peers))
        for id_ in [id_ for id_ in remotes if id_ not in peers and id_ not in directory.remotes]:
            self._part_with(remotes.pop(id_))
            self.on_status()
        for id_ in (*peers, *directory.remotes):
            self._meet(id_, directory.urls_of(id_), id_ in peers)

    def _meet(self, id_: int, urls: list[str], is_member: bool) -> None:
        remote = self.remotes.get(id_)
        if remote is None:
            remote = self.remotes[id_] = RemoteMember(self, id_, urls)
        remote.learn(urls)
        if is_member:
            remote.begin()
            self.start_clock()

    def _part_with(self, remote: RemoteMember) -> None:
        remote.close()
        self.touched.discard(remote)

    def on_status(self) -> None:
        """Somebody is heard of, or no more."""
        state = self._state()
        for peer in self.links.peers.values():
            if peer.kind in ("raft", "listener"):
                self.links.send(peer.name, state)
        self.flush_soon()

    def _state(self, forwarded: Sequence[int] = ()) -> PeerState:
        active = [(remote.id, remote.status.active_since) for remote in self.remotes.values()]
        streams = [
            (remote.id, remote.attached, stream.filters)
            for remote in self.remotes.values()
            if (stream := remote.outgoing.get(MESSAGE)) is not None
        ]
        return PeerState(self.boot.incarnation, [pair for pair in active if pair[1]], forwarded, streams)

    # ---- messages ----

    def on_peer_up(self, peer: Peer) -> None:
        if peer.kind == "raft":
            for remote in self.remotes.values():
                remote.on_answered()
            self.links.send(peer.name, self._state(tuple(self.forwarded)))
        elif peer.kind == "listener":
            self.links.send(peer.name, self._state())

    def on_send(self, message: Send) -> None:
        """What raft has to say to others. It leaves at the end of the turn."""
        remotes = self.remotes
        self.forwarded.extend(message.forwarded)
        for to, encoded in message.messages:
            remote, kind = remotes.get(to), message_type(encoded)
            if kind == MSG_SNAP:
                self._send_snapshot(to, encoded)
            elif remote is not None:
                self.touched.add(remote)
                remote.outbox.send(encoded)
                if kind == MSG_APP_RESP:
                    remote.on_answered()
        for to, *append in message.appends:
            remote = remotes.get(to)
            if remote is not None:
                self.touched.add(remote)
                remote.outbox.append(Append._make(append))
                if self.appends is not None:
                    self._count_append(remote, append)

    def _count_append(self, remote: RemoteMember, append: list[Any]) -> None:
        assert self.appends is not None
        size = sum(map(len, Append._make(append).entries))
        self.appends.on_append(remote.id, size, remote.outbox.is_attached(MSGAPP), time.monotonic())

    def on_posted(self, to: int, message: bytes, taken_s: float | None) -> None:
        if self.appends is not None and message_type(message) == MSG_APP:
            self.appends.on_posted(to, taken_s)

    def on_append_figures_ask(self, message: AppendFiguresAsk) -> None:
        """For clients of the v2 API."""
        appends, now = self.appends or AppendStatistics(), time.monotonic()
        followers = [(id_, follower.figures) for id_, follower in appends.followers.items()]
        sent, received = appends.sent.figure(now), appends.received.figure(now)
        self.links.send(message.asker, AppendFigures(message.id, sent, received, followers))

    # ---- snapshots ----

    def _send_snapshot(self, to: int, message: bytes) -> None:
        targets = []
        for url in self.directory.urls_of(to):
            with suppress(CannotDial):
                place = place_of(url)
                address = place.path or (place.host, place.port)
                server_name = (place.host or place.authority) if place.is_secure else ""
                targets.append(Target(address, self.dialler.snapshot_request(place.authority), server_name))
        self.outgoing_snapshots.send(to, message, targets)

    def _on_snapshot_sent(self, outcome: Outcome) -> None:
        if outcome.status and judge_post(outcome.status, outcome.text.encode()).kind == REMOVED:
            self.on_removed()
        remote = self.remotes.get(outcome.to)
        if remote is not None:
            remote.on_snapshot_sent(outcome.has_arrived, outcome.text)
        self._snapshots_sent.append((outcome.to, outcome.has_arrived))
        self.flush_soon()

    def _identity(self) -> tuple[int, int]:
        return self.directory.member_id, self.directory.cluster_id

    def _snapshot_answer(self, status: int, text: str) -> bytes:
        answer = (
            accepted(self.directory) if status == 204 else text_error(status, text, [cluster_field(self.directory)])
        )
        return answer.encode(time.time(), keeps_alive=False)

    def take_snapshot(self, connection: socket.socket, sender: int, length: int, begin: bytes) -> None:
        self.incoming_snapshots.take(connection, sender, length, begin)

    # ---- what can be asked ----

    def summary(self) -> dict[str, Any]:
        active = sum(remote.status.is_active for remote in self.remotes.values())
        peers = [remote.summary() | {"snapshot": self._snapshot(remote.id)} for remote in self.remotes.values()]
        return {"members": len(self.directory.members), "active": active, "peers": peers}

    def _snapshot(self, id_: int) -> str:
        """That is under way to or from this member: "to 45%", "from", or nothing."""
        progress = self.outgoing_snapshots.progress(id_)
        if progress is not None:
            return f"to {progress:.0%}"
        received = self.incoming_snapshots.tally.by_member.get(id_)
        return "from" if received is not None and received.under_way else ""

    def details(self) -> dict[str, Any]:
        return {
            "member_id": f"{self.directory.member_id:x}",
            "cluster_id": f"{self.directory.cluster_id:x}",
            "peers": [remote.details() | {"snapshot": self._snapshot(remote.id)} for remote in self.remotes.values()],
            "connections": len(self.connections),
            "connection_errors": self.connection_errors,
            "refused_handshakes": self.refused_handshakes,
            "refused_messages": self.screen.refused,
            "calls": len(self.calls),
            "asks": len(self.asks),
            **self.tls.show(),
        }

    def metrics(self) -> dict[str, Any]:
        members = self.directory.members
        of_members = figures(
            self.directory.member_id,
            [remote for remote in self.remotes.values() if remote.id in members],
            self.bad_posts,
        )
        of_snapshots = snapshot_figures(self.outgoing_snapshots.tally, self.incoming_snapshots.tally)
        stores = {
            "received_stores": self.incoming_snapshots.tally.durations(),
            "received_store_syncs": self.incoming_snapshots.syncs.figure(),
        }
        return of_members | of_snapshots | stores | self.tls.figures()


def _members_of(founding: Founding) -> Members:
    members: list[tuple[int, str, list[str], list[str], bool]] = [
        (m.id, m.name, list(m.peer_urls), [], m.is_learner) for m in founding.members
    ]
    return Members(0, founding.cluster_id, founding.member_id, members, [], "")


def run(boot: Boot) -> int:
    return run_actor(PeerActor, boot)
