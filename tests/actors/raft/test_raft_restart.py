"""A raft that is restarted alone, with wal and backend that live on, and the other members as answers of the test."""

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.raft.actor import RaftActor
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Append, Appended, BackendState, WalState
from etcdz.proto import etcdserverpb as pb
from etcdz.raft import ConfState, HardState, Message, codec, make_entry
from etcdz.raft.messages import CANDIDATE, FOLLOWER, LEADER, MSG_VOTE, MSG_VOTE_RESP

ME = 1
METADATA = pb.Metadata(NodeID=ME, ClusterID=2).SerializeToString()


class RecordedLinks:
    """Where the actor's messages end."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []

    def send(self, name: str, message: Any) -> None:
        self.sent.append((name, message))

    def send_all(self, name: str, messages: Iterable[Any]) -> None:
        self.sent += [(name, message) for message in messages]

    def incarnation_of(self, name: str) -> int:
        return 0

    def of_kind(self, kind: str) -> list[Any]:
        return []


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
        self.actor.links = self.links  # type: ignore[assignment]
        self.voters = voters

    def greet(self, leader: int, term: int = 3) -> None:
        """Wal and backend answer; the log ends with an entry of term 3."""
        entries = [make_entry(0, 3, index, b"") for index in (1, 2)]
        conf_state = codec.encode_conf_state(ConfState(self.voters))
        hard_state = codec.encode_hard_state(HardState(3, leader or 2, 2))
        encoded = [entry.encoded for entry in entries]
        self.actor.on_backend_state(BackendState(7, ME, 2, 2, 3, 2, conf_state, "3.5.0"))
        self.actor.on_wal_state(WalState(7, METADATA, False, hard_state, 0, 0, 1, encoded, 2, term, leader))

    @property
    def role(self) -> int:
        assert self.actor.node is not None
        return self.actor.node.raft.role

    def make_durable(self) -> None:
        """Turn after turn, until nothing waits for the wal."""
        for _ in range(4):
            self.actor.on_turn_end()
            appends = [message for _, message in self.links.sent if isinstance(message, Append)]
            if appends:
                self.actor.appends.on_appended(Appended(7, appends[-1].seq, ""))
        self.actor.on_turn_end()


@pytest.fixture
def restarted() -> Iterator[Restarted]:
    # The path of a unix socket must be short.
    with tempfile.TemporaryDirectory(prefix="etcdz-") as folder:
        one = Restarted(Path(folder), (1, 2, 3))
        yield one
        one.actor.mailbox.close()
        one.actor.context.term()


def test_who_led_campaigns_at_once_and_leads_with_one_vote(restarted: Restarted) -> None:
    restarted.greet(leader=ME)
    assert restarted.role == CANDIDATE
    node = restarted.actor.node
    assert node is not None
    asked = [m for m in node.raft.messages if m.type == MSG_VOTE]
    # Their lease is this member's own: they are told so, and need not wait for its end.
    assert [(m.to, m.term, m.context) for m in asked] == [(2, 4, b"CampaignTransfer"), (3, 4, b"CampaignTransfer")]
    restarted.make_durable()
    assert restarted.role == CANDIDATE
    node.step(Message(MSG_VOTE_RESP, to=ME, from_=2, term=4))
    assert restarted.role == LEADER


@pytest.mark.parametrize(("leader", "term"), [(2, 3), (0, 3), (ME, 2)], ids=["followed", "stepped-down", "long-ago"])
def test_who_did_not_lead_waits_for_its_election_timeout(restarted: Restarted, leader: int, term: int) -> None:
    restarted.greet(leader, term)
    restarted.make_durable()
    assert restarted.role == FOLLOWER
    node = restarted.actor.node
    assert node is not None and node.raft.term == 3
