"""Three members in one process: of each the real raft, wal and backend, and a network between them that loses messages.

What is not real beside what `member_world` leaves out is the peer actor: `Carrier` does for raft what it does, without
HTTP, and takes and receives snapshots as its processes do. A member that leads takes what others forward without a mark
as often as it comes, as one of etcd does: so a write that is forwarded twice is applied twice. Members of etcd are
those at `Network.like_etcd`: nothing is marked for them.
"""

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from actors.backend.opening import store_path
from actors.peer.snapshot_sender import taken_from
from actors.runtime.link import Peer
from actors.runtime.loop import Actor
from etcdz import limits
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    MESSAGES,
    PeerReports,
    PeerState,
    Received,
    Send,
    SnapshotArrived,
    SnapshotTaken,
    SnapshotWanted,
)
from etcdz.migration.received_snapshot import make_store
from etcdz.mvcc.bolt_rows import write_file
from etcdz.peer.outbox import message_type
from etcdz.raft import Message, codec
from etcdz.raft.entry import decode_entries
from etcdz.raft.messages import MSG_APP, MSG_SNAP
from etcdz.store import received
from etcdz.store.checkpoint import open_checkpoint
from tests.actors.member_world import STEP_S, Killed, World

NAMES = ("one", "two", "three")
CLUSTER = ",".join(f"{name}=http://10.0.0.{at}:2380" for at, name in enumerate(NAMES))


class Network:
    """queue: (sender, recipient, encoded raftpb.Message) that is on its way, of members by their place."""

    def __init__(self, chance: random.Random) -> None:
        self.random = chance
        self.queue: list[tuple[int, int, bytes]] = []
        self.cut: set[tuple[int, int]] = set()
        self.lost_of_thousand = 0
        self.carriers: dict[int, Carrier] = {}
        self.like_etcd: set[int] = set()
        """Places of members that do not say that they look for what is offered twice."""
        self.places: dict[int, int] = {}
        """Of members by id."""
        self.files: dict[bytes, bytes] = {}
        """By encoded MsgSnap: the database that goes with it."""

    def put(self, sender: int, to: int, encoded: bytes) -> bool:
        recipient = self.places.get(to)
        if recipient is None or (sender, recipient) in self.cut or self.random.random() * 1000 < self.lost_of_thousand:
            return False
        self.queue.append((sender, recipient, encoded))
        return True

    def break_streams(self, place: int) -> None:
        """All that this member has dialled for messages, with what is on its way in them."""
        self.queue = [one for one in self.queue if one[1] != place]
        for other, carrier in self.carriers.items():
            if other != place:
                carrier.lost.add(next(id_ for id_, at in self.places.items() if at == place))

    def deliver_some(self) -> None:
        """Messages of one pair may overtake each other, a little."""
        for _ in range(self.random.randint(0, len(self.queue))):
            at = min(self.random.randint(0, 3), len(self.queue) - 1)
            sender, recipient, encoded = self.queue.pop(at)
            carrier = self.carriers.get(recipient)
            if encoded in self.files:
                has_arrived = carrier is not None and carrier.receive(encoded, self.files.pop(encoded))
                self.carriers[sender].outcomes.append((self.member_at(recipient), has_arrived))
            elif carrier is not None:
                carrier.inbound.append(encoded)

    def member_at(self, place: int) -> int:
        return next(id_ for id_, at in self.places.items() if at == place)


class Carrier(Actor):
    """In place of the peer actor."""

    def __init__(self, network: Network, place: int, boot: Boot) -> None:
        super().__init__(boot)
        self.network, self.place = network, place
        self.inbound: list[bytes] = []
        self.forwarded: list[int] = []
        self.lost: set[int] = set()
        self.taken: dict[int, bytes] = {}
        """By member: the database of the snapshot that was taken for it."""
        self.outcomes: list[tuple[int, bool]] = []
        """Of snapshots that were sent."""
        self.config = MemberConfig.from_dict(boot.config)
        self.streams: Counter[int] = Counter()
        """By id: how many connections there were."""
        self.handlers[Send] = self.on_send
        self.handlers[SnapshotWanted] = self.on_wanted
        for kind in MESSAGES.values():
            self.handlers.setdefault(kind, lambda message: None)
        network.carriers[place] = self

    def on_peer_up(self, peer: Peer) -> None:
        if peer.kind == "raft":
            self._tell(self.forwarded[-limits.REQUEST_WINDOW :])

    def _tell(self, forwarded: list[int]) -> None:
        places = self.network.places
        streams = [(id_, self.streams[id_], place not in self.network.like_etcd) for id_, place in places.items()]
        self.links.send("raft", PeerState(self.boot.incarnation, [], forwarded, streams))

    def on_send(self, message: Send) -> None:
        self.forwarded += message.forwarded
        own = next(id_ for id_, place in self.network.places.items() if place == self.place)
        said = list(message.messages)
        for to, term, log_term, index, commit, entries in message.appends:
            append = Message(MSG_APP, to, own, term, log_term, index, decode_entries(entries), commit)
            said.append((to, codec.encode_message(append)))
        for to, encoded in said:
            if message_type(encoded) == MSG_SNAP:
                self._send_snapshot(to, encoded)
            elif not self.network.put(self.place, to, encoded):
                self.lost.add(to)

    def on_turn_end(self) -> None:
        if self.inbound:
            self.links.send("raft", Received(self.inbound))
            self.inbound = []
        if self.lost or self.outcomes:
            self.links.send("raft", PeerReports(sorted(self.lost), self.outcomes))
            self.streams.update(self.lost)
            self._tell([])
            self.lost, self.outcomes = set(), []

    # ---- snapshots: what two processes of the real one do ----

    def on_wanted(self, message: SnapshotWanted) -> None:
        pieces: list[bytes] = []
        with open_checkpoint(store_path(self.config)) as store:
            taken = taken_from(store)
            layout = write_file(store, None)
            pieces.append(layout.head())
            write_file(store, pieces.append)
        self.taken[message.to] = b"".join(pieces)
        self.links.send("raft", SnapshotTaken(message.to, *taken))

    def _send_snapshot(self, to: int, encoded: bytes) -> None:
        database = self.taken.pop(to, None)
        if database is not None and self.network.put(self.place, to, encoded):
            self.network.files[encoded] = database
        else:
            self.outcomes.append((to, False))

    def receive(self, encoded: bytes, database: bytes) -> bool:
        """return whether raft was told of it"""
        snapshot = codec.decode_message(encoded).snapshot
        assert snapshot is not None
        founding, store = self.config.first_founding, store_path(self.config)
        with tempfile.TemporaryDirectory(dir=store.parent) as folder:
            path = Path(folder) / "db"
            path.write_bytes(database)
            make_store(path, snapshot, founding.member_id, founding.cluster_id, Path(folder) / "made")
            try:
                kept = received.keep(Path(folder) / "made", store, snapshot.index)
            except Killed:
                return False
        self.links.send("raft", SnapshotArrived(snapshot.index, snapshot.term, str(kept), encoded))
        return bool(self.links.incarnation_of("raft"))


class ClusterWorld:
    """`step` does one thing at random in one of the members."""

    def __init__(
        self, directory: Path, seed: int, patch: Any, snapshot_count: int = 10_000, catch_up_entries: int = 5_000
    ) -> None:
        self.random = random.Random(seed)
        self.network = Network(self.random)
        self.now = 1_000.0
        patch.setattr("actors.raft.actor.random", SimpleNamespace(Random=lambda: random.Random(self.random.random())))
        self.members: list[World] = []
        for place, name in enumerate(NAMES):
            config = MemberConfig(
                name=name,
                data_dir=str(directory / name),
                listeners=2,
                snapshot_count=snapshot_count,
                catch_up_entries=catch_up_entries,
                initial_advertise_peer_urls=(f"http://10.0.0.{place}:2380",),
                initial_cluster_text=CLUSTER,
            )
            self.network.places[config.member_id] = place
            make: Callable[[Boot], Actor] = partial(Carrier, self.network, place)
            (directory / name).mkdir(parents=True)
            self.members.append(World(directory / name / "data", seed + place, patch, config, make))
        patch.setattr("time.monotonic", lambda: self.now)

    def step(self, may_kill: bool, may_put: bool) -> None:
        world = self.random.choice(self.members)
        world.now = self.now
        world.enter()
        world.step(may_kill, may_put)
        self.now = max(self.now, world.now - STEP_S + STEP_S / len(self.members))
        if self.random.random() < 0.5:
            self.network.deliver_some()

    def run_until(self, done: Callable[[], bool], steps_max: int) -> None:
        """Without further deaths and clients, in a network that works."""
        self.network.cut, self.network.lost_of_thousand = set(), 0
        for _ in range(steps_max):
            if done():
                return
            self.step(may_kill=False, may_put=False)
        texts = [world.describe() for world in self.members]
        raise AssertionError("\n\n".join([f"not done after {steps_max} steps", *texts]))

    def raft(self, place: int) -> Any:
        process = self.members[place].alive.get("raft")
        return process.actor if process is not None else None

    def leader(self) -> int | None:
        """Place of the one whose term is the highest."""
        leading = [
            (raft.node.raft.term, place)
            for place in range(len(NAMES))
            if (raft := self.raft(place)) is not None and raft.leadership.known.lead_index
        ]
        return max(leading)[1] if leading else None

    def is_settled(self) -> bool:
        """Everybody lives and knows it, follows one leader, has published itself, and has applied everything."""
        if any(world.down or any(one.rosters for one in world.alive.values()) for world in self.members):
            return False
        rafts = [self.raft(place) for place in range(len(NAMES))]
        known = [raft.leadership.known for raft in rafts]
        ends = {raft.node.raft.log.last_index() for raft in rafts if raft.node is not None}
        applied = {raft.applies.applied_index for raft in rafts}
        return (
            len({one.leader for one in known}) == 1
            and all(one.leader and one.ready_index for one in known)
            and len(ends) == 1
            and applied == ends
        )

    def close(self) -> None:
        for world in self.members:
            world.close()
