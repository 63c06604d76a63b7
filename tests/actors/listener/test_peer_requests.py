"""What other members ask over HTTP: status, content type and body are those of etcd 3.5."""

import json

import pytest

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.ipc.messages import Leadership, Members, PeerAsk, PeerReply, ReadStates, Reconfigure, Refused, Replies
from etcdz.proto import etcdserverpb as pb
from tests.actors.listener.test_calls import Setup

ME, LEARNER = 1, 4
TEXT = "text/plain; charset=utf-8"


@pytest.fixture
def setup() -> Setup:
    made = Setup()
    rows = [(id_, f"m{id_}", [f"http://m{id_}:1"], [], id_ == LEARNER) for id_ in (ME, 2, LEARNER)]
    made.calls.on_members(Members(9, 77, ME, rows, [], "3.5.0"))
    made.calls.on_leadership(Leadership(1, 5, ME, 4, None, 3, 4))
    return made


def ask(setup: Setup, path: str, body: bytes = b"") -> None:
    setup.calls.peer_requests.on_ask(PeerAsk(17, "ANY", path, body))


def replied(setup: Setup) -> PeerReply:
    [(name, reply)] = setup.turn()
    assert (name, type(reply), reply.id) == ("peer", PeerReply, 17)
    return reply  # type: ignore[no-any-return]


def asked(setup: Setup, kind: type) -> int:
    """Request id of the only message of this turn."""
    [(_, message)] = setup.turn()
    assert type(message) is kind
    item = message.ids[0] if hasattr(message, "ids") else message.items[0][0]
    return int(item)


def backend_says(setup: Setup, request_id: int, code: int, body: bytes) -> PeerReply:
    setup.calls.on_replies(Replies(1, 0, [(request_id, code, body)], 1))
    return replied(setup)


# ---- promote ----


def test_a_promotion_is_answered_with_the_members(setup: Setup) -> None:
    ask(setup, "/members/promote/4")
    members = [pb.Member(ID=1, peerURLs=["http://m1:1"], name="m1", clientURLs=["http://m1:2"])]
    members.append(pb.Member(ID=4, peerURLs=["http://m4:1"], isLearner=True))
    body = pb.MemberListResponse(members=members).SerializeToString()
    reply = backend_says(setup, asked(setup, Reconfigure), 0, body)
    assert (reply.status, reply.content_type) == (200, "application/json")
    assert reply.body == (
        b'[{"id":1,"peerURLs":["http://m1:1"],"name":"m1","clientURLs":["http://m1:2"]},'
        b'{"id":4,"peerURLs":["http://m4:1"],"isLearner":true}]\n'
    )


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (errors.MEMBER_NOT_FOUND, 404, "membership: ID not found"),
        (errors.MEMBER_NOT_LEARNER, 412, "membership: can only promote a learner member"),
        (errors.LEARNER_NOT_READY, 412, "etcdserver: can only promote a learner member which is in sync with leader"),
        (errors.NOT_LEADER, 500, None),
        (errors.TIMEOUT, 500, None),
    ],
)
def test_a_refused_promotion_says_why_only_if_that_is_a_decision(
    setup: Setup, error: EtcdError, status: int, text: str | None
) -> None:
    ask(setup, "/members/promote/4")
    setup.calls.on_refused(Refused([(asked(setup, Reconfigure), error.name)]))
    expected = (TEXT, f"{text}\n".encode()) if text else ("application/json", b'{"message":"Internal Server Error"}')
    assert replied(setup)[1:] == (status, *expected)


def test_a_member_that_does_not_lead_promotes_nobody_and_forwards_nothing(setup: Setup) -> None:
    setup.calls.on_leadership(Leadership(1, 6, 2, 4, None, 3, 0))
    ask(setup, "/members/promote/4")
    assert replied(setup).status == 500


@pytest.mark.parametrize("number", ["x", "", "-1", "18446744073709551616", "1e3"])
def test_what_is_no_id_is_not_found(setup: Setup, number: str) -> None:
    ask(setup, f"/members/promote/{number}")
    assert replied(setup)[1:] == (404, TEXT, f"member {number} not found in cluster\n".encode())


# ---- hashkv ----


def test_a_hash_is_told_as_json(setup: Setup) -> None:
    ask(setup, "/members/hashkv", b'{"revision":5}')
    [(name, message)] = setup.turn()
    [(request_id, _, body, _)] = message.items
    assert (name, pb.HashKVRequest.FromString(body).revision) == ("backend", 5)
    header = pb.ResponseHeader(cluster_id=77, member_id=1, revision=9)
    response = pb.HashKVResponse(header=header, hash=1084519789, compact_revision=-1)
    reply = backend_says(setup, request_id, 0, response.SerializeToString())
    assert reply[1:] == (
        200,
        "application/json",
        b'{"header":{"revision":9},"hash":1084519789,"compact_revision":-1}',
    )


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (errors.FUTURE_REV, 400, "mvcc: required revision is a future revision"),
        (errors.COMPACTED, 400, "mvcc: required revision has been compacted"),
        (errors.TIMEOUT, 500, "request timed out"),
    ],
)
def test_a_hash_that_cannot_be_told(setup: Setup, error: EtcdError, status: int, text: str) -> None:
    ask(setup, "/members/hashkv", b'{"revision":5}')
    [(_, message)] = setup.turn()
    reply = backend_says(setup, message.items[0][0], error.code, error.text.encode())
    assert reply[1:] == (status, TEXT, f"{text}\n".encode())


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"5", b'{"revision":"5"}', b'{"revision":true}', b'{"revision":9223372036854775808}', b"[" * 9999],
)
def test_what_is_no_request_for_a_hash_is_refused(setup: Setup, body: bytes) -> None:
    ask(setup, "/members/hashkv", body)
    assert replied(setup)[1:] == (400, TEXT, b"error unmarshalling request\n")


# ---- downgrade ----


@pytest.mark.parametrize("enabled", [True, False])
def test_a_downgrade_is_told_after_a_linearizable_read(setup: Setup, enabled: bool) -> None:
    ask(setup, "/downgrade/enabled")
    [(name, read_index)] = setup.turn()
    assert name == "raft"
    setup.calls.on_read_states(ReadStates(17, read_index.ids))
    setup.turn()
    response = pb.StatusResponse(downgradeInfo=pb.DowngradeInfo(enabled=enabled))
    reply = backend_says(setup, read_index.ids[0], 0, response.SerializeToString())
    assert reply[1:] == (200, "text/plain", json.dumps(enabled).encode())
