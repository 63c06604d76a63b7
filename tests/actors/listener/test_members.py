"""A listener's calls about members: what is proposed, what is refused, and how promotions find the leader."""

import json
import time
from typing import Any

import pytest

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.api.methods import MEMBER_ADD, MEMBER_LIST, MEMBER_PROMOTE, MEMBER_REMOVE, MEMBER_UPDATE
from etcdz.cluster.identity import added_member_id
from etcdz.ipc.messages import (
    Leadership,
    Members,
    PeerAnswer,
    PeerCall,
    PeerState,
    Reconfigure,
    Refused,
    Replies,
)
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import raftpb
from tests.actors.listener.test_calls import RAFT, Setup, error_of, is_error

ME, OTHER, THIRD, LEARNER = 1, 2, 3, 4
KINDS = raftpb.ConfChangeType
LONG_AGO = 1.0


def promote_body(id_: int = LEARNER) -> bytes:
    return pb.MemberPromoteRequest(ID=id_).SerializeToString()


def add_body(*urls: str, is_learner: bool = False) -> bytes:
    return pb.MemberAddRequest(peerURLs=urls, isLearner=is_learner).SerializeToString()


@pytest.fixture
def setup() -> Setup:
    made = Setup()
    rows = [(id_, f"m{id_}", [f"http://m{id_}:1"], [f"http://m{id_}:2"], id_ == LEARNER) for id_ in (1, 2, 3, 4)]
    made.calls.on_members(Members(9, 77, ME, rows, [], "3.5.0"))
    made.calls.members.on_peer_state(PeerState(1, [(OTHER, LONG_AGO), (THIRD, LONG_AGO), (LEARNER, LONG_AGO)]))
    lead(made, ME)
    return made


def lead(setup: Setup, leader: int, term: int = 5) -> None:
    setup.calls.on_leadership(Leadership(1, term, leader, 4, None, 3, 4 if leader == ME else 0))


def proposed(setup: Setup) -> tuple[int, Any]:
    """(request id, change) of the only message of this turn."""
    [(name, message)] = setup.turn()
    assert (name, type(message)) == ("raft", Reconfigure)
    [(request_id, data)] = message.items
    change = raftpb.ConfChange.FromString(data)
    assert change.id == request_id
    return request_id, change


def reply(setup: Setup, request_id: int, *ids: int, error: EtcdError | None = None) -> None:
    """The backend's, with these members."""
    header = pb.ResponseHeader(cluster_id=77, member_id=ME, raft_term=5)
    members = [pb.Member(ID=id_, peerURLs=[f"http://m{id_}:1"]) for id_ in ids]
    body = pb.MemberListResponse(header=header, members=members).SerializeToString()
    item = (request_id, 0, body) if error is None else (request_id, error.code, error.text.encode())
    setup.calls.on_replies(Replies(1, 10, [item], 1))


# ---- add, remove, update ----


def test_an_added_member_has_the_id_of_its_urls_and_the_time(setup: Setup) -> None:
    before = int(time.time())
    setup.begin(1, MEMBER_ADD, add_body("http://m5:2", " http://m5:1", is_learner=True))
    request_id, change = proposed(setup)
    urls = ["http://m5:1", "http://m5:2"]
    assert change.node_id in [added_member_id(urls, at) for at in range(before, int(time.time()) + 1)]
    assert change.type == KINDS.ConfChangeAddLearnerNode
    assert json.loads(change.context) == {"id": change.node_id, "peerURLs": urls, "isLearner": True}
    reply(setup, request_id, 1, 2, change.node_id)
    code, body = error_of(setup, 1)
    answer = pb.MemberAddResponse.FromString(body)
    assert (code, answer.member.ID, [m.ID for m in answer.members]) == (0, change.node_id, [1, 2, change.node_id])
    assert answer.header.cluster_id == 77


def test_a_removal_has_no_context_and_its_answer_is_who_is_left(setup: Setup) -> None:
    setup.begin(1, MEMBER_REMOVE, pb.MemberRemoveRequest(ID=THIRD).SerializeToString())
    request_id, change = proposed(setup)
    assert (change.type, change.node_id, change.context) == (KINDS.ConfChangeRemoveNode, THIRD, b"")
    reply(setup, request_id, 1, 2)
    assert [m.ID for m in pb.MemberRemoveResponse.FromString(error_of(setup, 1)[1]).members] == [1, 2]


def test_an_update_says_nothing_but_urls(setup: Setup) -> None:
    request = pb.MemberUpdateRequest(ID=LEARNER, peerURLs=["http://moved:1"])
    setup.begin(1, MEMBER_UPDATE, request.SerializeToString())
    _, change = proposed(setup)
    assert change.type == KINDS.ConfChangeUpdateNode
    assert json.loads(change.context) == {"id": LEARNER, "peerURLs": ["http://moved:1"]}


@pytest.mark.parametrize("urls", [[], ["m5:1"], ["ftp://m5:1"], ["http://m5:1/path"], ["http://m5"]])
@pytest.mark.parametrize("method", [MEMBER_ADD, MEMBER_UPDATE])
def test_bad_urls_are_refused(setup: Setup, method: int, urls: list[str]) -> None:
    """Also in an update: a real member ends over them."""
    request: Any = pb.MemberAddRequest(peerURLs=urls)
    if method == MEMBER_UPDATE:
        request = pb.MemberUpdateRequest(ID=OTHER, peerURLs=urls)
    setup.begin(1, method, request.SerializeToString())
    assert is_error(error_of(setup, 1), errors.MEMBER_BAD_URLS)


def test_urls_that_are_not_utf8_are_refused(setup: Setup) -> None:
    setup.begin(1, MEMBER_ADD, b"\x0a\x0bhttp://a\xff:1")
    assert is_error(error_of(setup, 1), errors.MEMBER_BAD_URLS)


def test_what_is_judged_by_all_members_comes_back_as_they_have_judged(setup: Setup) -> None:
    setup.begin(1, MEMBER_ADD, add_body("http://m2:1"))
    request_id, _ = proposed(setup)
    reply(setup, request_id, error=errors.PEER_URLEXIST)
    assert is_error(error_of(setup, 1), errors.PEER_URLEXIST)


def test_without_a_connected_quorum_nothing_is_proposed(setup: Setup) -> None:
    setup.calls.members.on_peer_state(PeerState(1, [(OTHER, LONG_AGO), (THIRD, time.time())]))
    setup.begin(1, MEMBER_ADD, add_body("http://m5:1"))
    setup.begin(3, MEMBER_REMOVE, pb.MemberRemoveRequest(ID=OTHER).SerializeToString())
    assert is_error(error_of(setup, 1), errors.UNHEALTHY)
    assert is_error(error_of(setup, 3), errors.UNHEALTHY)
    assert setup.turn() == []


def test_changes_are_offered_to_a_new_raft_under_the_same_ids(setup: Setup) -> None:
    setup.begin(1, MEMBER_ADD, add_body("http://m5:1"))
    ((_, before),) = setup.turn()
    setup.calls.on_peer_up(RAFT)
    assert setup.turn() == [("raft", before._replace(since_peer=0))], "no peer actor has seen it leave"


def test_the_list_is_linearizable_if_it_is_asked_to_be(setup: Setup) -> None:
    for stream_id, linearizable in ((1, True), (3, False)):
        setup.begin(stream_id, MEMBER_LIST, pb.MemberListRequest(linearizable=linearizable).SerializeToString())
    assert sorted(name for name, _ in setup.turn()) == ["backend", "raft"]


# ---- promote ----


def called(setup: Setup, to: int) -> PeerCall:
    [(name, message)] = setup.turn()
    assert (name, message.to, message.method) == ("peer", to, "POST")
    assert message.path == f"/members/promote/{LEARNER}"
    return message  # type: ignore[no-any-return]


def test_a_leader_promotes_itself_what_its_raft_says_has_caught_up(setup: Setup) -> None:
    setup.begin(1, MEMBER_PROMOTE, promote_body())
    request_id, change = proposed(setup)
    assert (change.type, json.loads(change.context)["isPromote"]) == (KINDS.ConfChangeAddNode, True)
    setup.calls.on_refused(Refused([(request_id, "LearnerNotReady")]))
    assert is_error(error_of(setup, 1), errors.LEARNER_NOT_READY)


def test_a_follower_has_the_leader_promote(setup: Setup) -> None:
    lead(setup, OTHER)
    setup.begin(1, MEMBER_PROMOTE, promote_body())
    call = called(setup, OTHER)
    members = b'[{"id":1,"peerURLs":["http://m1:1"],"name":"m1"},{"id":4,"peerURLs":["http://m4:1"]}]\n'
    setup.calls.on_peer_answer(PeerAnswer(call.id, 200, members))
    code, body = error_of(setup, 1)
    answer = pb.MemberPromoteResponse.FromString(body)
    assert (code, [(m.ID, m.name) for m in answer.members]) == (0, [(1, "m1"), (4, "")])
    assert (answer.header.cluster_id, answer.header.member_id, answer.header.raft_term) == (77, ME, 5)


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (404, b"membership: ID not found\n", errors.MEMBER_NOT_FOUND),
        (412, b"membership: can only promote a learner member\n", errors.MEMBER_NOT_LEARNER),
        (
            412,
            b"etcdserver: can only promote a learner member which is in sync with leader\n",
            errors.LEARNER_NOT_READY,
        ),
    ],
)
def test_the_leaders_refusal_is_the_clients(setup: Setup, status: int, text: bytes, error: EtcdError) -> None:
    lead(setup, OTHER)
    setup.begin(1, MEMBER_PROMOTE, promote_body())
    setup.calls.on_peer_answer(PeerAnswer(called(setup, OTHER).id, status, text))
    assert is_error(error_of(setup, 1), error)


@pytest.mark.parametrize(
    ("status", "body"), [(500, b'{"message":"Internal Server Error"}'), (0, b"refused"), (200, b"[7]"), (412, b"?")]
)
def test_a_leader_that_cannot_decide_is_asked_again_whoever_it_is_by_then(
    setup: Setup, status: int, body: bytes
) -> None:
    lead(setup, OTHER)
    setup.begin(1, MEMBER_PROMOTE, promote_body())
    setup.calls.on_peer_answer(PeerAnswer(called(setup, OTHER).id, status, body))
    lead(setup, THIRD, term=6)
    setup.calls.expire(time.monotonic() + 0.2)
    called(setup, THIRD)
    assert setup.client.answers == {}
    setup.calls.expire(time.monotonic() + 60)
    assert is_error(error_of(setup, 1), errors.TIMEOUT)


def test_a_leader_that_was_deposed_meanwhile_asks_its_successor(setup: Setup) -> None:
    setup.begin(1, MEMBER_PROMOTE, promote_body())
    request_id, _ = proposed(setup)
    setup.calls.on_refused(Refused([(request_id, "NotLeader")]))
    lead(setup, OTHER, term=6)
    setup.calls.expire(time.monotonic() + 0.2)
    called(setup, OTHER)
    assert setup.client.answers == {}


def test_without_a_leader_a_promotion_waits_for_one(setup: Setup) -> None:
    lead(setup, 0)
    for stream_id in (1, 3):
        setup.begin(stream_id, MEMBER_PROMOTE, promote_body())
        setup.calls.expire(time.monotonic() + 0.5)
        assert setup.client.answers == {} and setup.turn() == []
    setup.calls.expire(time.monotonic() + 7.1)
    assert is_error(error_of(setup, 1), errors.NO_LEADER)


def test_a_leader_that_comes_is_asked_for_what_has_waited(setup: Setup) -> None:
    lead(setup, 0)
    setup.begin(1, MEMBER_PROMOTE, promote_body())
    lead(setup, OTHER, term=6)
    setup.calls.expire(time.monotonic() + 0.2)
    called(setup, OTHER)


def test_an_answer_that_comes_late_answers_nobody_twice(setup: Setup) -> None:
    lead(setup, OTHER)
    setup.begin(1, MEMBER_PROMOTE, promote_body())
    call = called(setup, OTHER)
    setup.calls.expire(time.monotonic() + 60)
    setup.calls.on_peer_answer(PeerAnswer(call.id, 404, b""))
    assert is_error(error_of(setup, 1), errors.TIMEOUT)
