"""Users in the backend: reads are judged, changes are told before they are answered, tokens outlive the process."""

from collections.abc import Callable
from typing import Any

import pytest

from actors.runtime.link import Peer
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.methods import LEASE_KEYS, LEASE_LEASES, PASSWORD_HASH, RANGE, TOKEN_OWNER, TXN
from etcdz.auth.questions import HASHED, UNKNOWN, Owner, PasswordHash, decode_revision, lease_question
from etcdz.ipc.messages import (
    Apply,
    AuthHeard,
    AuthState,
    AuthTokens,
    BackendHello,
    CancelReads,
    Read,
    Replies,
    TokensUsed,
)
from etcdz.ipc.request_ids import RequestIds
from etcdz.proto import authpb
from etcdz.proto import etcdserverpb as pb
from tests.actors.backend.started import MEMBER_ID, RAFT, TERM, Started

Start = Callable[..., Started]
LISTENER = Peer("listener-1", "listener", 1, 7, "e")
U_READS = authpb.Permission(permType=0, key=b"foo")


class World:
    """A backend with auth on: `u` may read foo, of which a lease has `secret`."""

    def __init__(self, one: Started) -> None:
        self.one = one
        self.ids = RequestIds(MEMBER_ID, 1, 1)
        self.index = one.actor.raft.applied_index
        one.links.peers = [LISTENER]
        one.turn(BackendHello(RAFT))

    def begin(self) -> "World":
        for name in ("root", "u"):
            self.apply(auth_user_add=pb.AuthUserAddRequest(name=name, hashedPassword="aGFzaA=="))
            self.apply(auth_role_add=pb.AuthRoleAddRequest(name=name))
            self.apply(auth_user_grant_role=pb.AuthUserGrantRoleRequest(user=name, role=name))
        self.apply(auth_role_grant_permission=pb.AuthRoleGrantPermissionRequest(name="u", perm=U_READS))
        self.apply(lease_grant=pb.LeaseGrantRequest(ID=5, TTL=600))
        self.apply(put=pb.PutRequest(key=b"secret", lease=5))
        self.apply(auth_enable=pb.AuthEnableRequest())
        return self

    @property
    def revision(self) -> int:
        return self.one.actor.auth.access.revision

    def apply(self, **request: Any) -> list[Any]:
        """By root. return what the listener was sent, in order"""
        header = pb.RequestHeader(ID=self.ids.next(), username="root", auth_revision=self.revision)
        self.index += 1
        entry = pb.InternalRaftRequest(header=header, **request).SerializeToString()
        sent = self.one.turn(Apply(RAFT, self.index, TERM, [entry], b""))
        return [message for name, message in sent if name == "listener-1"]

    def read(self, method: int, body: bytes, auth: AuthInfo | None) -> Any:
        """The answer to a read, or the text of its error, whichever way it is said who asks."""
        request_id = self.ids.next()
        items = [(request_id, method, body, 0)]
        of_each = self._answer(Read(1, items, [] if auth is None else [(request_id, *auth)]))
        assert auth is None or self._answer(Read(1, items, (), auth)) == of_each
        return of_each

    def _answer(self, read: Read) -> Any:
        sent = self.one.turn(read)
        [reply] = [message for _, message in sent if isinstance(message, Replies)]
        [(_, code, answer)] = reply.items
        return answer.decode() if code else answer

    def now(self, user: str) -> AuthInfo:
        return AuthInfo(user, self.revision)


@pytest.fixture
def world(start: Start) -> World:
    return World(start()).begin()


def test_a_change_is_told_before_it_is_answered(world: World) -> None:
    state, replies = world.apply(auth_role_add=pb.AuthRoleAddRequest(name="s"))
    assert isinstance(state, AuthState) and isinstance(replies, Replies)
    assert (state.enabled, state.revision, state.applied_index) == (True, world.revision, world.index)
    assert ("u", ["u"]) in state.users and ("u", [(0, b"foo", b"")]) in state.roles
    assert [type(message) for message in world.apply(put=pb.PutRequest(key=b"k"))] == [Replies]


def test_while_it_is_off_nothing_of_users_is_told(world: World) -> None:
    state = world.apply(auth_disable=pb.AuthDisableRequest())[0]
    assert (state.enabled, state.users, state.roles) == (False, [], [])
    assert world.read(RANGE, pb.RangeRequest(key=b"secret").SerializeToString(), None)


@pytest.mark.parametrize("method", [RANGE, TXN])
@pytest.mark.parametrize("end", [b"", b"t"])
def test_reads_are_judged_whatever_their_way(world: World, method: int, end: bytes) -> None:
    asked = pb.RangeRequest(key=b"secret", range_end=end)
    request = asked if method == RANGE else pb.TxnRequest(success=[pb.RequestOp(request_range=asked)])
    body = request.SerializeToString()
    assert world.read(method, body, world.now("u")) == errors.PERMISSION_DENIED.text
    assert world.read(method, body, None) == errors.USER_EMPTY.text
    assert world.read(method, body, AuthInfo("root", world.revision - 1)) == errors.AUTH_OLD_REVISION.text
    assert b"secret" in world.read(method, body, world.now("root"))


def lone(key: bytes, *, serializable: bool = False) -> bytes:
    return pb.RangeRequest(key=key, serializable=serializable).SerializeToString()


def test_one_asker_of_many_reads_is_judged_for_each_and_anew_when_users_change(world: World) -> None:
    def answers(auth: AuthInfo) -> list[bool]:
        keys = [lone(b"foo"), lone(b"secret"), lone(b"foo", serializable=True), lone(b"fo"), lone(b"foo")]
        items = [(world.ids.next(), RANGE, key, 0) for key in keys]
        sent = world.one.turn(Read(1, items, (), auth))
        codes = {reply[0]: reply[1] for _, message in sent if isinstance(message, Replies) for reply in message.items}
        return [codes[request_id] == 0 for request_id, *_ in items]

    assert answers(world.now("u")) == [True, False, True, False, True]
    assert answers(world.now("root")) == [True] * 5
    before = world.now("u")
    world.apply(auth_user_revoke_role=pb.AuthUserRevokeRoleRequest(name="u", role="u"))
    assert answers(before) == answers(world.now("u")) == [False] * 5
    assert answers(AuthInfo("root", world.revision + 1)) == [False] * 5


def test_a_read_behind_a_revocation_in_the_same_turn_is_judged_by_it(world: World) -> None:
    before, request_ids = world.now("u"), [world.ids.next(), world.ids.next()]
    header = pb.RequestHeader(ID=world.ids.next(), username="root", auth_revision=world.revision)
    revoke = pb.AuthUserRevokeRoleRequest(name="u", role="u")
    entry = pb.InternalRaftRequest(header=header, auth_user_revoke_role=revoke).SerializeToString()
    reads = [Read(1, [(request_id, RANGE, lone(b"foo"), 0)], (), before) for request_id in request_ids]
    sent = world.one.turn(reads[0], Apply(RAFT, world.index + 1, TERM, [entry], b""), reads[1])
    codes = {reply[0]: reply[1:] for _, message in sent if isinstance(message, Replies) for reply in message.items}
    assert codes[request_ids[0]][0] == 0
    assert codes[request_ids[1]][1].decode() == errors.AUTH_OLD_REVISION.text


def test_keys_of_leases_are_judged(world: World) -> None:
    for wants_write in (False, True):
        question = lease_question(5, wants_write)
        assert world.read(LEASE_KEYS, question, world.now("u")) == errors.PERMISSION_DENIED.text
        assert decode_revision(world.read(LEASE_KEYS, question, world.now("root"))) == world.revision
        assert decode_revision(world.read(LEASE_KEYS, lease_question(6, wants_write), world.now("u")))
    assert world.read(LEASE_LEASES, b"", world.now("u")) == errors.PERMISSION_DENIED.text
    assert world.read(LEASE_LEASES, b"", None) == errors.USER_EMPTY.text


def test_what_a_password_is_checked_against(world: World) -> None:
    assert PasswordHash.decode(world.read(PASSWORD_HASH, b"u", None)) == (world.revision, HASHED, b"hash")
    assert PasswordHash.decode(world.read(PASSWORD_HASH, b"ghost", None)) == (world.revision, UNKNOWN, b"")
    world.apply(auth_disable=pb.AuthDisableRequest())
    assert world.read(PASSWORD_HASH, b"u", None) == errors.AUTH_NOT_ENABLED.text


def test_tokens_are_told_and_outlive_the_process(world: World, start: Start) -> None:
    sent = world.apply(authenticate=pb.InternalAuthenticateRequest(name="u", simple_token="prefix"))
    token = f"prefix.{world.index}"
    assert [type(message) for message in sent] == [AuthTokens, Replies]
    assert sent[0] == AuthTokens(7, world.index, [], [(token, "u")])
    world.one.turn(TokensUsed([token, "unknown"]))
    assert Owner.decode(world.read(TOKEN_OWNER, token.encode(), None)) == (world.index, "u")
    world.one.close()
    again = World(start())
    again.one.actor.on_peer_up(LISTENER)
    greeted = [message for _, message in again.one.links.take()]
    assert AuthTokens(again.one.actor.boot.incarnation, world.index, None, [(token, "u")]) in greeted
    assert Owner.decode(again.read(TOKEN_OWNER, token.encode(), None)).username == "u"
    sent = again.apply(auth_user_delete=pb.AuthUserDeleteRequest(name="u"))
    assert [type(message) for message in sent] == [AuthState, AuthTokens, Replies]
    assert sent[1].dropped == [token]


def test_a_question_about_a_token_that_never_comes_is_forgotten_with_who_asks(world: World) -> None:
    ask = Read(1, [(request_id, TOKEN_OWNER, b"prefix.999", 10**18) for request_id in (1, 2, 3)], [])
    world.one.turn(ask)
    assert len(world.one.actor.reads.parked) == 3
    world.one.turn(CancelReads(1, [1, 3]))
    assert [read[1] for read in world.one.actor.reads.parked] == [2]
    world.one.actor.on_peer_down(LISTENER)
    assert world.one.actor.reads.parked == []


def test_a_revocation_is_answered_when_all_listeners_have_taken_it(world: World) -> None:
    other = Peer("listener-2", "listener", 2, 8, "e")
    world.one.links.peers = [LISTENER, other]
    for peer in (LISTENER, other):
        world.one.turn(AuthHeard(peer.incarnation, world.index))
    sent = world.apply(auth_user_revoke_role=pb.AuthUserRevokeRoleRequest(name="u", role="u"))
    assert [type(message) for message in sent] == [AuthState]
    world.one.turn(AuthHeard(LISTENER.incarnation, world.index))
    [(name, reply)] = world.one.turn(AuthHeard(other.incarnation, world.index))
    assert (name, type(reply)) == ("listener-1", Replies)
    sent = world.apply(put=pb.PutRequest(key=b"k"))
    assert [type(message) for message in sent] == [Replies], "what changes nothing of them waits for nobody"
