"""A snapshot from member to member: one process takes and sends it, another makes a store of it.

etcd-3.5.1-snapshot.gz is the body of a request by etcd 3.5.1 (Apache License 2.0), recorded when it sent its snapshot
to a learner that had just joined.
"""

import asyncio
import gzip
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from actors.peer import snapshot_receiver, snapshot_sender
from actors.peer.incoming_snapshots import IncomingSnapshots
from actors.peer.outgoing_snapshots import Outcome, OutgoingSnapshots, Target, is_snapshot
from actors.peer.snapshot_receiver import Body, Refused, receive
from etcdz.cluster.membership import Member, Membership
from etcdz.ipc.messages import SnapshotArrived, SnapshotTaken, SnapshotWanted
from etcdz.migration.files import fill, identity_row
from etcdz.mvcc.bolt_rows import write_file
from etcdz.raft import ConfState, Message, Snapshot
from etcdz.raft.codec import decode_conf_state, decode_message, encode_message
from etcdz.raft.messages import MSG_APP, MSG_SNAP
from etcdz.store import ballast, buckets, received
from etcdz.store.leveldb import LevelStore
from etcdz.tls.settings import NO_TLS
from etcdz.v2.rows import BUCKET
from tests.actors.recorded_links import RecordedLinks
from tests.etcd_process import free_port

SENDER, LEARNER, CLUSTER = 1, 2, 7
INDEX, TERM = 40, 3
FROM_ETCD = Path(__file__).with_name("etcd-3.5.1-snapshot.gz")
ETCDS_LEARNER = 0x764EC28664B3AD9D
PATIENCE_S = 240.0


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, text: str, **fields: Any) -> None:
        self.lines.append(f"{text} {fields}")


class Host:
    """A peer actor, as far as snapshots know it."""

    def __init__(self) -> None:
        self.event_loop = asyncio.new_event_loop()
        self.links: Any = RecordedLinks()
        self.log = Log()
        self.failure: Exception | None = None

    def fail(self, error: Exception) -> None:
        self.failure = error

    def run_until(self, done: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not done():
            self.event_loop.call_later(0.02, self.event_loop.stop)
            self.event_loop.run_forever()
            assert self.failure is None
            assert time.monotonic() < deadline, self.log.lines


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    yield made
    made.event_loop.close()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store that a member has closed: of two members, one of them a learner."""
    path = tmp_path / "snap" / "leveldb"
    path.parent.mkdir()
    made = LevelStore(path)
    membership = Membership(SENDER, CLUSTER)
    membership.by_id = {
        SENDER: Member(SENDER, ["http://127.0.0.1:1"], name="a", client_urls=["http://127.0.0.1:2"]),
        LEARNER: Member(LEARNER, ["http://127.0.0.1:3"], is_learner=True),
    }
    rows = dict([identity_row(SENDER, CLUSTER)])
    rows |= {buckets.MEMBERS + b"%x" % m.id: m.to_json().encode() for m in membership.by_id.values()}
    rows[buckets.CONSISTENT_INDEX], rows[buckets.TERM] = INDEX.to_bytes(8, "big"), TERM.to_bytes(8, "big")
    rows[buckets.MEMBERS_REMOVED + b"9"] = b"removed"
    rows |= {buckets.put_key(main, 0): b"record %d" % main * 50 for main in range(2, 3000)}
    fill(made, rows.items())
    made.close()
    return path


class Receiver:
    """The other member: its directory, and a socket to which the snapshot is sent."""

    def __init__(self, host: Host, directory: Path, member_id: int = LEARNER, cluster_id: int = CLUSTER) -> None:
        directory.mkdir()
        self.host = host
        self.directory = directory
        self.incoming = IncomingSnapshots(
            host, directory, lambda: (member_id, cluster_id), answer, lambda sender: sender == SENDER
        )
        self.listening = socket.create_server(("127.0.0.1", 0))
        host.event_loop.add_reader(self.listening, self._accept)

    @property
    def target(self) -> Target:
        address: tuple[str, int] = self.listening.getsockname()
        return Target(address, b"POST /raft/snapshot HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")

    def _accept(self) -> None:
        connection, _ = self.listening.accept()
        connection.settimeout(PATIENCE_S)
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(4096)
        self.incoming.take(connection, SENDER, -1, data.partition(b"\r\n\r\n")[2])

    def close(self) -> None:
        self.host.event_loop.remove_reader(self.listening)
        self.listening.close()


def answer(status: int, text: str) -> bytes:
    body = text.encode()
    return b"HTTP/1.1 %d x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(body), body)


def take(host: Host, outgoing: OutgoingSnapshots) -> SnapshotTaken:
    outgoing.on_wanted(SnapshotWanted(1, LEARNER))
    host.run_until(lambda: host.links.sent)
    ((name, taken),) = host.links.take()
    assert name == "raft" and isinstance(taken, SnapshotTaken)
    return taken


def message_of(taken: SnapshotTaken, to: int = LEARNER) -> bytes:
    conf_state = decode_conf_state(taken.conf_state)
    snapshot = Snapshot(taken.snapshot_index, taken.snapshot_term, conf_state, taken.data)
    return encode_message(Message(MSG_SNAP, to=to, from_=SENDER, term=TERM, snapshot=snapshot))


def rows_of(path: Path) -> dict[bytes, bytes]:
    store = LevelStore(path)
    try:
        return dict(store.iterate(b"\0", b"\xff"))
    finally:
        store.close()


def test_what_arrives_is_the_senders_state_with_the_receivers_identity(host: Host, store: Path, tmp_path: Path) -> None:
    outcomes: list[Outcome] = []
    outgoing = OutgoingSnapshots(host, store, outcomes.append, NO_TLS)
    taken = take(host, outgoing)
    assert (taken.to, taken.snapshot_index, taken.snapshot_term) == (LEARNER, INDEX, TERM)
    assert decode_conf_state(taken.conf_state) == ConfState((SENDER,), (LEARNER,))
    receiver = Receiver(host, tmp_path / "received")
    outgoing.send(LEARNER, message_of(taken), [receiver.target])
    host.run_until(lambda: outcomes)
    assert outcomes == [Outcome(LEARNER, True, 204, "")]
    ((name, arrived),) = host.links.take()
    assert name == "raft" and arrived == SnapshotArrived(INDEX, TERM, arrived.path, message_of(taken))
    sent, received = rows_of(store), rows_of(Path(arrived.path))
    assert received.pop(buckets.META + b"confState")
    assert received.pop(buckets.IDENTITY) == identity_row(LEARNER, CLUSTER)[1] and sent.pop(buckets.IDENTITY)
    planted = [row for row in received if row.startswith(BUCKET)]  # out of the membership: this sender has none
    assert planted and {row: value for row, value in received.items() if row not in planted} == sent
    host.run_until(lambda: not list(receiver.directory.glob("receiving-*")) and not len(outgoing))
    assert sorted(path.name for path in store.parent.iterdir()) == ["leveldb"], "the checkpoint is gone"
    receiver.close()


def test_one_that_etcd_has_sent_becomes_a_store(host: Host, tmp_path: Path) -> None:
    body = gzip.decompress(FROM_ETCD.read_bytes())
    size = int.from_bytes(body[:8], "big")
    message = decode_message(body[8 : 8 + size])
    assert message.snapshot is not None
    ours, its = socket.socketpair()
    directory = tmp_path / "received"
    directory.mkdir()
    incoming = IncomingSnapshots(
        host, directory, lambda: (message.to, CLUSTER), answer, lambda sender: sender == SENDER
    )
    incoming.take(its, message.from_, len(body), body[:100])
    ours.sendall(body[100:])
    host.run_until(lambda: host.links.sent)
    (arrived,) = host.links.of(SnapshotArrived)
    assert (arrived.snapshot_index, arrived.snapshot_term) == (message.snapshot.index, message.snapshot.term)
    store = LevelStore(arrived.path)
    membership = Membership.load(store, message.to, CLUSTER)
    assert decode_conf_state(membership.conf_state()) == message.snapshot.conf_state
    assert membership.version == "3.5.0"
    assert store.get(buckets.CONSISTENT_INDEX) == message.snapshot.index.to_bytes(8, "big")
    assert next(store.iterate(buckets.KEY, buckets.bucket_end(buckets.KEY)))
    store.close()
    ours.settimeout(PATIENCE_S)
    host.run_until(lambda: bool(select.select([ours], [], [], 0)[0]))
    assert ours.recv(100).startswith(b"HTTP/1.1 204")
    ours.close()


def sent_body(message: bytes, file: bytes = b"") -> bytes:
    return struct.pack(">Q", len(message)) + message + file


def snap_to(member: int) -> bytes:
    snapshot = Snapshot(INDEX, TERM, ConfState((SENDER, member)), b"{}")
    return encode_message(Message(MSG_SNAP, to=member, from_=SENDER, term=TERM, snapshot=snapshot))


HOSTILE = [
    (b"\0\0\0", 400, "failed to decode raft message (unexpected EOF)"),
    (struct.pack(">Q", 5) + b"abc", 400, "failed to decode raft message (unexpected EOF)"),
    (struct.pack(">Q", 1 << 62), 400, "failed to decode raft message (message of"),
    (sent_body(b"\xff" * 40), 400, "failed to decode raft message ("),
    (sent_body(encode_message(Message(MSG_APP, to=LEARNER, from_=SENDER))), 400, "wrong raft message type"),
    (sent_body(snap_to(99)), 500, "error processing raft message"),
    (sent_body(snap_to(LEARNER)), 500, "failed to save KV snapshot (invalid database"),
    (sent_body(snap_to(LEARNER), b"\xed\xda\x0c\xed" * 4096), 500, "failed to save KV snapshot (invalid database"),
]


@pytest.mark.parametrize(("body", "status", "text"), HOSTILE)
def test_what_is_no_snapshot_is_refused_and_leaves_nothing(body: bytes, status: int, text: str, tmp_path: Path) -> None:
    ours, its = socket.socketpair()
    ours.sendall(body[10:])
    ours.close()
    with its, pytest.raises(Refused) as refused:
        receive(Body(its, body[:10], len(body)), tmp_path, LEARNER, CLUSTER)
    assert refused.value.status == status and refused.value.text.startswith(text)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", [0, 3, 8, 20, 6000, 34_000])
def test_a_body_that_ends_early_leaves_nothing(cut: int, tmp_path: Path) -> None:
    body = gzip.decompress(FROM_ETCD.read_bytes())
    ours, its = socket.socketpair()
    ours.sendall(body[:cut])
    ours.close()
    with its, pytest.raises(ConnectionError):
        receive(Body(its, b"", len(body)), tmp_path, ETCDS_LEARNER, CLUSTER)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("at", range(9_990, 34_565, 1_707))
def test_a_flipped_bit_in_the_database_is_refused_or_does_not_matter(at: int, tmp_path: Path) -> None:
    body = bytearray(gzip.decompress(FROM_ETCD.read_bytes()))
    body[at] ^= 0x10
    ours, its = socket.socketpair()
    ours.close()
    with its, suppress(Refused):
        path = receive(Body(its, bytes(body), len(body)), tmp_path, ETCDS_LEARNER, CLUSTER)["arrived"][2]
        assert Path(path).is_dir()
    assert list(tmp_path.glob("receiving-*")) == []


def test_a_disk_without_room_for_a_store_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ballast, "free_bytes", lambda directory: 1 << 20)
    monkeypatch.setattr(snapshot_receiver, "SPACE_CHECK_BYTES", 1)
    body = gzip.decompress(FROM_ETCD.read_bytes())
    ours, its = socket.socketpair()
    with ours, its, pytest.raises(Refused, match="no space left on device"):
        receive(Body(its, body, len(body)), tmp_path, ETCDS_LEARNER, CLUSTER)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_sender_is_answered(host: Host, tmp_path: Path) -> None:
    incoming = IncomingSnapshots(host, tmp_path, lambda: (LEARNER, CLUSTER), answer, lambda sender: sender == SENDER)
    ours, its = socket.socketpair()
    incoming.take(its, SENDER, 8, bytes(8))
    host.run_until(lambda: host.log.lines)
    ours.settimeout(PATIENCE_S)
    host.run_until(lambda: bool(select.select([ours], [], [], 0)[0]))
    assert ours.recv(4096).startswith(b"HTTP/1.1 400")
    ours.close()


def test_that_of_another_sender_is_refused_meanwhile(host: Host, tmp_path: Path) -> None:
    directory = tmp_path / "received"
    directory.mkdir()
    incoming = IncomingSnapshots(host, directory, lambda: (LEARNER, CLUSTER), answer, lambda sender: sender == SENDER)
    ours, its = socket.socketpair()
    incoming.take(its, SENDER, 1 << 30, sent_body(snap_to(LEARNER)))
    other, its = socket.socketpair()
    incoming.take(its, SENDER + 8, 8, bytes(8))
    other.settimeout(PATIENCE_S)
    assert other.recv(4096).startswith(b"HTTP/1.1 500")
    ours.close()
    host.run_until(lambda: any("failed to receive" in line for line in host.log.lines))
    other.close()


def test_that_of_a_stranger_gives_way_to_a_members(host: Host, tmp_path: Path) -> None:
    directory = tmp_path / "received"
    directory.mkdir()
    incoming = IncomingSnapshots(host, directory, lambda: (LEARNER, CLUSTER), answer, lambda sender: sender == SENDER)
    stranger, its = socket.socketpair()
    incoming.take(its, SENDER + 8, 1 << 30, sent_body(snap_to(LEARNER)))
    ours, its = socket.socketpair()
    incoming.take(its, SENDER, 8, bytes(8))
    stranger.settimeout(PATIENCE_S)
    assert stranger.recv(1) == b"", "its connection is closed"
    host.run_until(lambda: any("refused" in line for line in host.log.lines))
    host.run_until(lambda: not list(directory.iterdir()))
    ours.close()
    stranger.close()


def test_one_that_trickles_in_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10_000, 3))
    monkeypatch.setattr(snapshot_receiver, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for _ in range(40):
        ours.send(b"x")
    with ours, its, pytest.raises(ConnectionError, match="less than 1048576 bytes have come in 30 s"):
        receive(Body(its, sent_body(snap_to(LEARNER)), 1 << 30), tmp_path, LEARNER, CLUSTER)
    assert list(tmp_path.iterdir()) == []


def test_those_that_raft_never_takes_do_not_pile_up(tmp_path: Path) -> None:
    for number in range(1, 9):
        (tmp_path / "made").mkdir()
        received.keep(tmp_path / "made", tmp_path / "leveldb", number)
        os.utime(received.whole(tmp_path / "leveldb", number), (number, number))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"leveldb.{number:016x}" for number in range(5, 9)]


def test_a_receiver_that_never_answers_is_given_up(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its machine may have lost its power: then nothing more comes, and raft would wait for the outcome for ever."""
    monkeypatch.setattr(snapshot_sender, "ANSWER_S", 0.01)
    opened = LevelStore(store)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = list(silent.getsockname())
        layout = write_file(opened, None)
        with snapshot_sender._connect(address) as connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == snapshot_sender.KEEPALIVE_S
        no_tls: Any = None
        targets = [(address, b"POST", "")]
        outcome = snapshot_sender.send_to_first(opened, layout, b"message", targets, no_tls, lambda sent: None)
    opened.close()
    assert outcome == (False, 0, f"{address}: timed out")


def test_a_newer_one_ends_the_one_that_is_being_received(host: Host, tmp_path: Path) -> None:
    directory = tmp_path / "received"
    directory.mkdir()
    incoming = IncomingSnapshots(host, directory, lambda: (LEARNER, CLUSTER), answer, lambda sender: sender == SENDER)
    stalled, its = socket.socketpair()
    incoming.take(its, SENDER, 1 << 30, sent_body(snap_to(LEARNER)))
    host.run_until(lambda: list(directory.glob("receiving-*/db")))
    again, its = socket.socketpair()
    incoming.take(its, SENDER, 8, bytes(8))
    stalled.settimeout(PATIENCE_S)
    assert stalled.recv(1) == b"", "its connection is closed"
    host.run_until(lambda: any("refused" in line for line in host.log.lines))
    host.run_until(lambda: not list(directory.iterdir()))
    stalled.close()
    again.close()


def test_nothing_is_sent_that_was_not_taken(host: Host, store: Path) -> None:
    outcomes: list[Outcome] = []
    outgoing = OutgoingSnapshots(host, store, outcomes.append, NO_TLS)
    outgoing.send(LEARNER, snap_to(LEARNER), [])
    assert [(outcome.to, outcome.has_arrived) for outcome in outcomes] == [(LEARNER, False)]


def test_an_unreachable_member_is_reported_and_where_no_store_is_none_is_taken(host: Host, store: Path) -> None:
    outcomes: list[Outcome] = []
    outgoing = OutgoingSnapshots(host, store, outcomes.append, NO_TLS)
    taken = take(host, outgoing)
    outgoing.send(LEARNER, message_of(taken), [Target(("127.0.0.1", free_port()), b"")])
    host.run_until(lambda: outcomes)
    assert not outcomes[0].has_arrived and "refused" in outcomes[0].text.lower()
    nowhere = OutgoingSnapshots(host, store.parent / "nothing", outcomes.append, NO_TLS)
    assert take(host, nowhere).snapshot_index == 0


@pytest.mark.slow
def test_a_sender_that_is_killed_is_reported_and_the_next_one_begins_anew(
    host: Host, store: Path, tmp_path: Path
) -> None:
    outcomes: list[Outcome] = []
    outgoing = OutgoingSnapshots(host, store, outcomes.append, NO_TLS)
    taken = take(host, outgoing)
    silent = socket.create_server(("127.0.0.1", 0))
    outgoing.send(LEARNER, message_of(taken), [Target(silent.getsockname(), b"POST / HTTP/1.1\r\n\r\n")])
    accepted: list[socket.socket] = []
    host.event_loop.add_reader(silent, lambda: accepted.append(silent.accept()[0]))
    host.run_until(lambda: accepted)
    host.event_loop.remove_reader(silent)
    sender = max(psutil.Process().children(), key=lambda child: child.create_time())
    sender.kill()
    host.run_until(lambda: outcomes)
    for one in (silent, *accepted):
        one.close()
    assert not outcomes[0].has_arrived and "status -9" in outcomes[0].text
    receiver = Receiver(host, tmp_path / "received")
    outgoing.send(LEARNER, message_of(take(host, outgoing)), [receiver.target])
    host.run_until(lambda: len(outcomes) == 2)
    assert outcomes[1].has_arrived
    host.run_until(lambda: not len(outgoing))
    assert [path.name for path in store.parent.iterdir()] == ["leveldb"], "the killed one's checkpoint is gone as well"
    receiver.close()


def test_only_messages_with_a_snapshot_are_taken_for_one() -> None:
    assert is_snapshot(snap_to(LEARNER))
    assert not is_snapshot(encode_message(Message(MSG_APP, to=LEARNER, from_=SENDER)))
    assert decode_message(snap_to(LEARNER)).type == MSG_SNAP
