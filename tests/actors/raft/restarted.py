"""A raft actor that is started alone: wal, backend and the other members are answers of the test."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from actors.raft.actor import RaftActor
from actors.runtime.link import Peer
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Append, Appended, Applied, BackendState, Delegate, Send, WalState
from etcdz.proto import etcdserverpb as pb
from etcdz.raft import ConfState, HardState, Message, codec, make_entry
from etcdz.raft.messages import MSG_VOTE_RESP

Kind = TypeVar("Kind")

ME = 1
METADATA = pb.Metadata(NodeID=ME, ClusterID=2).SerializeToString()


class RecordedLinks:
    """Where the actor's messages end."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.peers: list[Peer] = []

    def send(self, name: str, message: Any) -> None:
        self.sent.append((name, message))

    def send_now(self, name: str, message: Any) -> None:
        self.send(name, message)

    def send_deferred(self, name: str, kind: str, message: Any) -> None:
        self.send(name, message)

    def send_all(self, name: str, messages: Iterable[Any]) -> None:
        self.sent += [(name, message) for message in messages]

    def flush(self) -> None:
        pass

    def incarnation_of(self, name: str) -> int:
        return next((peer.incarnation for peer in self.peers if peer.name == name), 0)

    def of_kind(self, kind: str) -> list[Peer]:
        return [peer for peer in self.peers if peer.kind == kind]

    def listener(self, slot: int) -> str:
        return f"listener-{slot + 1}"

    def of_type(self, kind: type[Kind]) -> list[Kind]:
        """Messages of this type, in the order in which they were sent."""
        return [message for _, message in self.sent if isinstance(message, kind)]


class Restarted:
    def __init__(self, folder: Path, voters: tuple[int, ...]) -> None:
        config = MemberConfig(name="one", data_dir=str(folder / "data"))
        boot = Boot(
            "raft",
            "raft",
            0,
            7,
            str(folder),
            f"ipc://{folder}/raft.7",
            f"ipc://{folder}/supervisor",
            [],
            config.to_dict(),
            {},
        )
        self.actor = RaftActor(boot)
        self.links = RecordedLinks()
        self.actor.links.close(0)
        self.actor.links = self.links
        self.voters = voters

    def greet(self, leader: int, term: int = 3, last: bytes = b"") -> None:
        """Wal and backend answer; the log ends with an entry of term 3, or with last (encoded, at index 2)."""
        entries = [make_entry(0, 3, index, b"") for index in (1, 2)]
        conf_state = codec.encode_conf_state(ConfState(self.voters))
        hard_state = codec.encode_hard_state(HardState(3, leader or 2, 2))
        encoded = [entries[0].encoded, last or entries[1].encoded]
        self.actor.on_backend_state(BackendState(7, ME, 2, 2, 3, 2, conf_state, "3.5.0"))
        self.actor.on_wal_state(WalState(7, METADATA, False, hard_state, 0, 0, 1, encoded, 2, term, leader, True))

    @property
    def role(self) -> int:
        assert self.actor.node is not None
        return self.actor.node.raft.role

    def make_durable(self) -> None:
        """Turn after turn, until nothing waits for the wal."""
        for _ in range(4):
            self.actor.on_turn_end()
            appends = self.links.of_type(Append)
            if appends:
                self.actor.appends.on_appended(Appended(7, appends[-1].seq, ""))
        self.actor.on_turn_end()

    def delegate(self) -> Delegate:
        """Until the end of the log is the wal's. Requires: it is the only voter, and was greeted as the leader."""
        for _ in range(4):
            self.make_durable()
            self.actor.on_applied(Applied(self.actor.applies.handed_index, 0))
        (delegate,) = self.links.of_type(Delegate)
        return delegate


def said(one: Restarted) -> list[Message]:
    """To other members, in order, but appends."""
    return [codec.decode_message(encoded) for send in one.links.of_type(Send) for _, encoded in send.messages]


PEER = Peer("peer", "peer", 0, 5, "")


def lead(one: Restarted) -> None:
    """One of several voters, which leads by the vote of member 2 and has handed its first entry to the wal."""
    one.greet(leader=ME)
    one.make_durable()
    node = one.actor.node
    assert node is not None
    node.step(Message(MSG_VOTE_RESP, to=ME, from_=2, term=node.raft.term))
    for _ in range(2):
        one.actor.on_turn_end()
    one.links.sent.clear()


def listener(slot: int) -> Peer:
    return Peer(f"listener-{slot + 1}", "listener", slot, 100 + slot, "")


One = TypeVar("One", bound=Restarted)


@contextmanager
def restarted_with(voters: tuple[int, ...], make: type[One] = Restarted) -> Iterator[One]:
    """An actor in a directory of its own, with these voters in its log, until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="etcdz-") as folder:  # the path of a unix socket must be short
        one = make(Path(folder), voters)
        try:
            yield one
        finally:
            one.actor.mailbox.close()
            one.actor.context.term()
