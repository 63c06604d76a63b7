"""How calls of etcd's Cluster service begin: who the members are, and changes of that.

add, remove, update   checked here -> Reconfigure -> raft ... backend judges -> Replies
promote               the leader does it: as above if that is this member, else it is asked over HTTP, and again until
                      it has decided, as in etcd

What a change of the membership could cost is judged by what is known here: who has started and who is connected
(etcdz/cluster/strict_reconfiguration.py). Whether a learner has caught up is known to the leader's raft alone.
"""

import json
import time
from collections.abc import Callable
from typing import Any, Final

from actors.listener.call import Begin, Call, Caller, FollowUp, ForClient, Routes
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code, EtcdError
from etcdz.api.methods import MEMBER_ADD, MEMBER_LIST, MEMBER_PROMOTE, MEMBER_REMOVE, MEMBER_UPDATE
from etcdz.cluster import membership, strict_reconfiguration
from etcdz.cluster.identity import added_member_id
from etcdz.cluster.membership import Member, Membership
from etcdz.config import MemberConfig
from etcdz.config.urls import parse_member_url
from etcdz.ipc.messages import Members, PeerAnswer, PeerState
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import raftpb
from etcdz.proto.text import decode_text

PROMOTE_PATH: Final = "/members/promote/"
HTTP_OK, HTTP_NOT_FOUND, HTTP_PRECONDITION_FAILED = 200, 404, 412
NOT_FOUND_TEXT: Final = "membership: ID not found"
NOT_LEARNER_TEXT: Final = "membership: can only promote a learner member"
NOT_READY_TEXT: Final = errors.LEARNER_NOT_READY.text
"""What /members/promote answers; the first two are etcd's words between members, which differ from its gRPC errors."""
AGAIN_S: Final = 0.1
"""A leader that cannot decide yet is asked again after so long. etcd asks again at once, all the time."""


class ClusterMembers:
    """The methods of Cluster.

    known       who the members are
    active      other members that are heard of -> since when, as unix time in s
    begin       by method: how its calls begin
    follow_ups  by method: what their replies are followed by
    """

    def __init__(self, routes: Routes, config: MemberConfig, call_leader: "CallLeader") -> None:
        self._routes = routes
        self._is_strict = config.strict_reconfig_check
        self._timeout_s = config.request_timeout_s
        self._call_leader = call_leader
        self._promotions: dict[int, _Promotion] = {}
        """That the leader is to decide, by the number of the call. Invariant: in the order in which they began."""
        self._numbers = 0
        self.known = Membership(0, 0)
        self.active: dict[int, float] = {}
        self.begin: dict[int, Begin] = {
            MEMBER_LIST: self._list,
            MEMBER_ADD: self._add,
            MEMBER_REMOVE: self._remove,
            MEMBER_UPDATE: self._update,
            MEMBER_PROMOTE: self._promote,
        }
        self.follow_ups: dict[int, FollowUp] = {MEMBER_ADD: _added}

    # ---- what is known ----

    def on_members(self, message: Members) -> None:
        """Whole, after each change."""
        self.known = Membership.of_message(message.member_id, message.cluster_id, message.members)
        self.known.version = message.cluster_version or None
        self.known.removed = set(message.removed)

    def on_peer_state(self, message: PeerState) -> None:
        """Whole, after each change."""
        self.active = dict(message.active)

    # ---- list, add, remove, update ----

    def _list(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        request = pb.MemberListRequest.FromString(body)
        self._routes.read(caller, stream_id, MEMBER_LIST, b"", request.linearizable, auth)
        return None

    def _add(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        request = pb.MemberAddRequest.FromString(body)
        urls = _peer_urls(request.peerURLs)
        if urls is None:
            return errors.MEMBER_BAD_URLS
        return self._routes.permit(
            caller,
            stream_id,
            MEMBER_ADD,
            body,
            auth,
            lambda who: self._add_permitted(caller, stream_id, urls, request.isLearner, who),
        )

    def _add_permitted(
        self, caller: Caller, stream_id: int, urls: list[str], is_learner: bool, auth: AuthInfo | None
    ) -> EtcdError | None:
        member = Member(added_member_id(urls, int(time.time())), urls, is_learner)
        if self._is_strict:
            error = strict_reconfiguration.check_add(self.known, self.active, member.is_learner, time.time())
            if error is not None:
                return error
        self._routes.reconfigure(caller, stream_id, MEMBER_ADD, lambda id_: membership.addition(member, id_), auth)
        return None

    def _remove(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        member_id = pb.MemberRemoveRequest.FromString(body).ID
        return self._routes.permit(
            caller,
            stream_id,
            MEMBER_REMOVE,
            body,
            auth,
            lambda who: self._remove_permitted(caller, stream_id, member_id, who),
        )

    def _remove_permitted(
        self, caller: Caller, stream_id: int, member_id: int, auth: AuthInfo | None
    ) -> EtcdError | None:
        if self._is_strict:
            error = strict_reconfiguration.check_remove(self.known, self.active, member_id, time.time())
            if error is not None:
                return error
        self._routes.reconfigure(caller, stream_id, MEMBER_REMOVE, lambda id_: membership.removal(member_id, id_), auth)
        return None

    def _update(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        """NB: etcd takes any URLs here, and members of it end over bad ones once they are applied."""
        request = pb.MemberUpdateRequest.FromString(body)
        urls = _peer_urls(request.peerURLs)
        if urls is None:
            return errors.MEMBER_BAD_URLS

        def go_on(auth: AuthInfo | None) -> None:
            self._routes.reconfigure(
                caller, stream_id, MEMBER_UPDATE, lambda id_: membership.update(request.ID, urls, id_), auth
            )

        return self._routes.permit(caller, stream_id, MEMBER_UPDATE, body, auth, go_on)

    # ---- promote ----

    def _promote(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        """NB: who asks is looked at here: the leader, if it is another, is asked by this member, not by the client."""
        member_id = pb.MemberPromoteRequest.FromString(body).ID

        def go_on(auth: AuthInfo | None) -> None:
            self._numbers += 1
            promotion = _Promotion(self, self._numbers, caller, stream_id, member_id, auth)
            self._promotions[self._numbers] = promotion
            self._decide(promotion)

        return self._routes.permit(caller, stream_id, MEMBER_PROMOTE, body, auth, go_on)

    def promote_here(self, caller: Caller, stream_id: int, member_id: int) -> EtcdError | None:
        """For another member: only if this one leads. return as Begin"""
        leader = self._routes.leadership().leader
        if not leader or leader != self.known.member_id:
            return errors.NOT_LEADER
        return self._propose_promotion(caller, stream_id, member_id, None)

    def _propose_promotion(
        self, caller: Caller, stream_id: int, member_id: int, auth: AuthInfo | None
    ) -> EtcdError | None:
        member = self.known.by_id.get(member_id)
        if self._is_strict and member is not None and member.is_learner:
            error = strict_reconfiguration.check_promote(self.known)
            if error is not None:
                return error
        self._routes.reconfigure(
            caller, stream_id, MEMBER_PROMOTE, lambda id_: membership.promotion(member_id, id_), auth
        )
        return None

    def _decide(self, promotion: "_Promotion") -> None:
        """Has the leader decide, or waits for one."""
        leader = self._routes.leadership().leader
        promotion.again_s = None
        if not leader:
            promotion.again_s = time.monotonic() + AGAIN_S
        elif leader == self.known.member_id:
            error = self._propose_promotion(promotion, 0, promotion.member_id, promotion.auth)
            if error is not None:
                promotion.reply(0, error.code, error.text.encode())
        else:
            self._call_leader(promotion.number, leader, f"{PROMOTE_PATH}{promotion.member_id}", self._timeout_s)

    def on_refused(self, promotion: "_Promotion") -> None:
        """This member does not lead any more: its successor is asked."""
        promotion.again_s = time.monotonic() + AGAIN_S

    def on_peer_answer(self, message: PeerAnswer) -> Caller | None:
        """The leader has decided, or could not. return whom that has answered"""
        promotion = self._promotions.get(message.id)
        if promotion is None:
            return None
        text = message.body.decode("utf-8", "replace").strip()
        if message.status == HTTP_OK and (body := self._promoted(message.body)) is not None:
            promotion.reply(0, Code.OK, body)
        elif message.status == HTTP_NOT_FOUND:
            promotion.fail(errors.MEMBER_NOT_FOUND)
        elif message.status == HTTP_PRECONDITION_FAILED and NOT_READY_TEXT in text:
            promotion.fail(errors.LEARNER_NOT_READY)
        elif message.status == HTTP_PRECONDITION_FAILED and NOT_LEARNER_TEXT in text:
            promotion.fail(errors.MEMBER_NOT_LEARNER)
        else:
            promotion.again_s = time.monotonic() + AGAIN_S
            return None
        return promotion.client

    def _promoted(self, answer: bytes) -> bytes | None:
        """The encoded response out of the leader's JSON; None: it is none."""
        try:
            members = [Member.from_json(json.dumps(each)).to_message() for each in json.loads(answer)]
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        term = self._routes.leadership().term
        header = pb.ResponseHeader(cluster_id=self.known.cluster_id, member_id=self.known.member_id, raft_term=term)
        return pb.MemberPromoteResponse(header=header, members=members).SerializeToString()

    def expire(self, now: float, answered: set[Caller]) -> None:
        """Asks again what the leader could not decide, and ends what has waited too long. answered: those are added"""
        for promotion in list(self._promotions.values()):
            if now - promotion.began_s >= self._timeout_s:
                promotion.fail(errors.TIMEOUT if self._routes.leadership().leader else errors.NO_LEADER)
                answered.add(promotion.client)
            elif promotion.again_s is not None and now >= promotion.again_s:
                self._decide(promotion)

    def end(self, promotion: "_Promotion") -> bool:
        """It is to be answered. return whether it was not yet"""
        return self._promotions.pop(promotion.number, None) is not None


class _Promotion(ForClient):
    """A client's call that is to be decided by the leader, whoever that is by then.

    again_s  when to ask (again), on the monotonic clock; None: an answer is on its way
    """

    __slots__ = ("_client", "_members", "_stream_id", "again_s", "auth", "began_s", "member_id", "number")

    def __init__(
        self,
        members: ClusterMembers,
        number: int,
        client: Caller,
        stream_id: int,
        member_id: int,
        auth: AuthInfo | None,
    ) -> None:
        self._members = members
        self._client = client
        self._stream_id = stream_id
        self.number = number
        self.member_id = member_id
        self.auth = auth
        self.began_s = time.monotonic()
        self.again_s: float | None = None

    @property
    def client(self) -> Caller:
        return self._client

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """NB: where the client has gone meanwhile, nothing comes of it."""
        if code == errors.NOT_LEADER.code and body == errors.NOT_LEADER.text.encode():
            self._members.on_refused(self)
            return
        if self._members.end(self):
            self._client.reply(self._stream_id, code, body)

    def fail(self, error: EtcdError) -> None:
        """Answers with an error."""
        self.reply(0, error.code, error.text.encode())

    def flush(self) -> None:
        self._client.flush()


CallLeader = Callable[[int, int, str, float], None]
"""(number that the answer carries, member, path, timeout in s): a POST without a body"""


def _peer_urls(given: Any) -> list[str] | None:
    """Sorted, in normal form. None: there is none, or a bad one among them, such as one that is not UTF-8"""
    try:
        urls = sorted(parse_member_url(decode_text(url).strip()).text for url in given)
        return urls if "".join(urls).encode() else None
    except ValueError:
        return None


def _added(request_id: int, call: Call, code: int, body: bytes) -> tuple[int, bytes]:
    """The backend has told all members: the new one is told apart."""
    if code:
        return code, body
    told = pb.MemberListResponse.FromString(body)
    added = raftpb.ConfChange.FromString(call.payload).node_id
    member = next((m for m in told.members if added == m.ID), None)
    response = pb.MemberAddResponse(header=told.header, member=member, members=told.members)
    return code, response.SerializeToString()
