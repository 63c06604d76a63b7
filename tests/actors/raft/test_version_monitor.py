"""The leader asks all, and sets what all understand: for its term, and once."""

import json
import time
from typing import Any

import pytest

from actors.raft.version_monitor import LOOK_S, VersionMonitor
from etcdz import CLUSTER_VERSION, ETCD_VERSION
from etcdz.ipc.messages import Leadership, Members, PeerAnswer, PeerCall, Propose
from etcdz.proto import etcdserverpb as pb
from etcdz.telemetry import logs
from tests.actors.raft.restarted import ME, RecordedLinks

A, B = 2, 3
TERM = 7


class Desk:
    """The host of a monitor, which leads."""

    def __init__(self, *others: int, version: str = "", downgrade: str = "") -> None:
        self.links: Any = RecordedLinks()
        self.log = logs.get("raft")
        self.boot: Any = self
        self.name = "raft"
        self.leadership: Any = self
        self.proposals: Any = self
        self.member_id = ME
        self.proposed: list[Propose] = []
        self.known = Leadership(1, TERM, ME, 9, None, 0, 9)
        rows = [(id_, "", [f"http://m{id_}:1"], [], False) for id_ in (ME, *others)]
        self.members: Members | None = Members(9, 1, ME, rows, [], version, downgrade)
        self.monitor = VersionMonitor(self, 5.0)

    def on_propose(self, message: Propose) -> None:
        self.proposed.append(message)

    def look(self, now: float = 0.0) -> list[PeerCall]:
        """return whom it asks"""
        self.links.sent.clear()
        self.monitor.look(now)
        return [message for _, message in self.links.sent]

    def answer(self, call: PeerCall, server: Any, cluster: Any = "not_decided") -> None:
        body = json.dumps({"etcdserver": server, "etcdcluster": cluster}).encode()
        self.monitor.on_peer_answer(PeerAnswer(call.id, 200, body))

    def versions(self) -> list[str]:
        """That were proposed."""
        return [pb.Request.FromString(data).Val for message in self.proposed for _, data in message.items]


def test_the_leader_sets_what_all_members_understand() -> None:
    desk = Desk(A, B)
    to_a, to_b = desk.look()
    assert (to_a.asker, to_a.to, to_b.to, to_a.path) == ("raft", A, B, "/version")
    desk.answer(to_a, ETCD_VERSION)
    assert desk.proposed == []
    desk.answer(to_b, "3.4.23")
    assert desk.versions() == ["3.4.0"]
    assert [message.only_term for message in desk.proposed] == [TERM]


@pytest.mark.parametrize(("version", "then"), [("", ["3.0.0"]), (CLUSTER_VERSION, []), ("3.0.0", [])])
def test_while_one_does_not_answer_only_the_first_version_is_set(version: str, then: list[str]) -> None:
    desk = Desk(A, B, version=version)
    to_a, to_b = desk.look()
    desk.answer(to_a, ETCD_VERSION)
    desk.monitor.on_peer_answer(PeerAnswer(to_b.id, 0, b"no answer"))
    assert desk.versions() == then


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"etcdserver":3,"etcdcluster":"x"}', b"[" * 100_000, b"\xff"])
def test_garbage_is_no_answer(body: bytes) -> None:
    desk = Desk(A, version="3.4.0")
    (to_a,) = desk.look()
    desk.monitor.on_peer_answer(PeerAnswer(to_a.id, 200, body))
    assert desk.proposed == []


def test_nothing_is_asked_between_two_looks_and_at_once_in_a_new_term() -> None:
    desk = Desk(A, version=CLUSTER_VERSION)
    assert len(desk.look(10.0)) == 1
    assert desk.look(10.0 + LOOK_S / 2) == []
    assert len(desk.look(10.0 + LOOK_S)) == 1
    desk.known = desk.known._replace(term=TERM + 1)
    assert len(desk.look(10.0 + LOOK_S)) == 1


def test_who_does_not_lead_asks_nobody_and_answers_of_another_look_do_not_count() -> None:
    desk = Desk(A, version="3.4.0")
    (old,) = desk.look(0.0)
    (_,) = desk.look(LOOK_S)
    desk.answer(old, ETCD_VERSION)
    assert desk.proposed == []
    desk.known = desk.known._replace(lead_index=0)
    assert desk.look(3 * LOOK_S) == []


def test_one_alone_has_published_its_version_and_looks_again_later() -> None:
    desk = Desk(version="3.4.0")
    assert desk.look(0.0) == [] and desk.proposed == []
    desk.look(LOOK_S)
    assert desk.versions() == [CLUSTER_VERSION]


def test_a_downgrade_is_over_when_all_say_its_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.raft.version_monitor.ETCD_VERSION", "3.4.9")
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    desk = Desk(A, version="3.4.0", downgrade="3.4.0")
    (to_a,) = desk.look(0.0)
    desk.answer(to_a, "3.4.9", "3.5.0")
    assert desk.proposed == []
    monkeypatch.setattr(time, "monotonic", lambda: 106.0)
    (to_a,) = desk.look(LOOK_S)
    desk.answer(to_a, "3.4.9", "3.4.0")
    ((_, data),) = desk.proposed[0].items
    change = pb.InternalRaftRequest.FromString(data)
    assert change.HasField("downgrade_info_set") and not change.downgrade_info_set.enabled
