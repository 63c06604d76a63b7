"""Changes of the membership: what a member that is alone takes and refuses, beside etcd's answers.

The members that are added are addresses at which nobody is. A promotion of somebody who never was is left out: etcd
3.5.1 does not answer that, later ones say that there is none, as here.
"""

import time
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from etcdz.cluster.identity import added_member_id
from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import MEMBER_ID, Member, RealEtcd
from tests.parity.pair import Pair, make_pair
from tests.process.load import open_channel, unary

ADD, REMOVE, UPDATE, PROMOTE, LIST = "Add", "Remove", "Update", "Promote", "List"
PEER_URL = "http://localhost:2380"
STRANGER = 12345
CALL_TIMEOUT_S = 60
"""The member itself gives some of the calls up sooner."""
LEARNER = -1
"""Stands for the id that the last added member was given."""

STEPS: list[tuple[str, dict[str, Any]]] = [
    (LIST, {"linearizable": True}),
    # what is no URL of a member
    (ADD, {"peerURLs": []}),
    (ADD, {"peerURLs": [""]}),
    (ADD, {"peerURLs": ["nowhere:1"]}),
    (ADD, {"peerURLs": ["ftp://nowhere:1"]}),
    (ADD, {"peerURLs": ["http://nowhere"]}),
    (ADD, {"peerURLs": ["http://nowhere:1/path"]}),
    (ADD, {"peerURLs": ["http://nowhere:1", "nowhere"], "isLearner": True}),
    # who is not there, and who must stay
    (REMOVE, {"ID": STRANGER}),
    (REMOVE, {"ID": 0}),
    (REMOVE, {"ID": MEMBER_ID}),
    (UPDATE, {"ID": STRANGER, "peerURLs": ["http://nowhere:1"]}),
    (PROMOTE, {"ID": MEMBER_ID}),
    (ADD, {"peerURLs": [PEER_URL]}),
    (ADD, {"peerURLs": ["http://nowhere:1", PEER_URL], "isLearner": True}),
    # a learner, which nobody starts
    (ADD, {"peerURLs": ["http://nowhere:2", " http://nowhere:1 "], "isLearner": True}),
    (LIST, {}),
    (ADD, {"peerURLs": ["http://nowhere:3"], "isLearner": True}),
    (ADD, {"peerURLs": ["http://nowhere:1"]}),
    (UPDATE, {"ID": MEMBER_ID, "peerURLs": ["http://nowhere:1"]}),
    (UPDATE, {"ID": MEMBER_ID, "peerURLs": ["http://localhost:2381"]}),
    (UPDATE, {"ID": MEMBER_ID, "peerURLs": [PEER_URL]}),
    (PROMOTE, {"ID": LEARNER}),
    (REMOVE, {"ID": LEARNER}),
    (REMOVE, {"ID": LEARNER}),
    (UPDATE, {"ID": LEARNER, "peerURLs": ["http://nowhere:1"]}),
    (PROMOTE, {"ID": LEARNER}),
    # a voter, which nobody starts: from here on there is no quorum
    (ADD, {"peerURLs": ["http://nowhere:4"]}),
    (ADD, {"peerURLs": ["http://nowhere:5"]}),
    (REMOVE, {"ID": MEMBER_ID}),
    (LIST, {}),
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, subject: type[Member]) -> Iterator[Pair]:
    made = make_pair(tmp_path_factory.mktemp("pair"), RealEtcd, subject)
    try:
        made.start()
        yield made
    finally:
        made.close()


class Asked:
    """One of the two members, and what it calls the member that was added last."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.added: Any = None

    def ask(self, kind: str, fields: dict[str, Any]) -> tuple[Any, ...]:
        """What can be compared of the answer: an error's code and text, or the members, whose ids are made equal."""
        if fields.get("ID") == LEARNER:
            fields = {**fields, "ID": self.added.ID}
        request = getattr(pb, f"Member{kind}Request")(**fields)
        with open_channel(self.member.target) as channel:
            try:
                answer = unary(channel, f"Cluster/Member{kind}", getattr(pb, f"Member{kind}Response"))(
                    request, timeout=CALL_TIMEOUT_S, wait_for_ready=True
                )
            except grpc.RpcError as error:
                return error.code().name, error.details()
        if kind == ADD:
            self.added = answer.member
        return answer.header.revision, self._told(answer.members), self._told([answer.member]) if kind == ADD else None

    def _told(self, members: Any) -> list[tuple[Any, ...]]:
        """NB: client URLs differ, as the ports do."""
        told = []
        for each in members:
            id_ = LEARNER if self.added is not None and each.ID == self.added.ID else each.ID
            told.append((id_, each.name, list(each.peerURLs), bool(each.clientURLs), each.isLearner))
        return sorted(told)


def test_changes_are_taken_and_refused_as_by_etcd(pair: Pair) -> None:
    """NB: a step may change what the next one finds."""
    began = int(time.time())
    real, subject = (Asked(side.member) for side in pair.sides)
    differences = []
    for number, (kind, fields) in enumerate(STEPS):
        expected, got = real.ask(kind, fields), subject.ask(kind, fields)
        if got != expected:
            differences.append(f"{number} Member{kind} {fields}\n  etcd  {expected}\n  here  {got}")
    assert not differences, "\n".join(differences)
    for asked in (real, subject):
        ids = [added_member_id(asked.added.peerURLs, at) for at in range(began, int(time.time()) + 1)]
        assert asked.added.ID in ids
