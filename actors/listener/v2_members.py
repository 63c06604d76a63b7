"""/v2/members: who the members are, and changes of that, by the calls that gRPC clients make.

    GET    /v2/members, /v2/members/leader
    POST   /v2/members        -> MemberAdd
    PUT    /v2/members/<id>   -> MemberUpdate
    DELETE /v2/members/<id>   -> MemberRemove

Source: etcd 3.5 v2http client (membersHandler)
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from actors.listener.calls import Calls
from actors.listener.exchange import Exchange
from actors.listener.http_router import ANY, NO_SNIFF, PLAIN_TEXT, Route
from actors.listener.v2_auth import V2Auth
from actors.listener.v2_call import Encode, V2Call, cluster_id_header, give
from etcdz.api import errors
from etcdz.api.methods import MEMBER_ADD, MEMBER_REMOVE, MEMBER_UPDATE
from etcdz.cluster.membership import Member, encode_json
from etcdz.config.urls import parse_member_url
from etcdz.proto import etcdserverpb as pb
from etcdz.v2.answers import JSON, HttpAnswer, message_answer
from etcdz.v2.member_request import Refused, member_id_of, peer_urls_of

_PATH: Final = b"/v2/members"
_NOT_ALLOWED: Final = b"Method Not Allowed\n"
_ALLOW: Final = (b"allow", b"GET,POST,DELETE,PUT")
_NOTHING: Final = HttpAnswer(204, [("Content-Type", "")], b"")
_CONFLICTS: Final = {
    errors.MEMBER_EXIST.text: "membership: ID exists",
    errors.PEER_URLEXIST.text: "membership: peerURL exists",
}
"""What gRPC's clients are told -> what HTTP's are."""


class V2Members:
    """Of one listener."""

    def __init__(self, calls: Calls, auth: V2Auth) -> None:
        self._calls = calls
        self._auth = auth
        self._serve_by_method: dict[bytes, Callable[[Exchange, str], None]] = {
            b"GET": self._tell,
            b"POST": self._add,
            b"PUT": self._update,
            b"DELETE": self._remove,
        }

    def routes(self) -> list[Route]:
        """What is served here."""
        return [
            Route(_PATH, self._serve, methods=ANY),
            Route(_PATH + b"/", self._serve, methods=ANY, is_prefix=True),
        ]

    def _serve(self, exchange: Exchange) -> None:
        request = exchange.request
        serve = self._serve_by_method.get(request.method)
        if serve is None:
            exchange.answer(405, _NOT_ALLOWED, PLAIN_TEXT, NO_SNIFF, _ALLOW)
        elif request.method == b"GET":
            self._do(serve, exchange)
        else:
            self._auth.permit_root(exchange, partial(self._do, serve, exchange))

    def _do(self, serve: Callable[[Exchange, str], None], exchange: Exchange) -> None:
        below = exchange.request.path[len(_PATH) :].removeprefix(b"/").decode("utf-8", "replace")
        try:
            serve(exchange, below)
        except Refused as refused:
            give(exchange, message_answer(refused.status, str(refused)), cluster_id_header(self._calls))

    # ---- who they are ----

    def _tell(self, exchange: Exchange, below: str) -> None:
        known = self._calls.members.known
        if not below:
            listed = {"members": [_described(member) for member in known.sorted_members()]}
            give(exchange, _json_answer(200, listed), cluster_id_header(self._calls))
        elif below == "leader":
            leader = known.by_id.get(self._calls.leader)
            if leader is None:
                raise Refused(503, "During election")
            give(exchange, _json_answer(200, _described(leader)), cluster_id_header(self._calls))
        else:
            raise Refused(404, "Not found")

    # ---- changes ----

    def _add(self, exchange: Exchange, below: str) -> None:
        """NB: below is not looked at, as in etcd."""
        request = pb.MemberAddRequest(peerURLs=_urls_in(exchange))

        def added(code: int, body: bytes) -> HttpAnswer:
            if code:
                return self._refusal(body.decode(), None)
            member = pb.MemberAddResponse.FromString(body).member
            return _json_answer(201, _described(Member(member.ID, list(member.peerURLs))))

        self._call(exchange, MEMBER_ADD, request, added)

    def _update(self, exchange: Exchange, below: str) -> None:
        if not below:
            _refuse_without_id(exchange)
            return
        id_ = member_id_of(below)
        request = pb.MemberUpdateRequest(ID=id_, peerURLs=_urls_in(exchange))
        self._call(exchange, MEMBER_UPDATE, request, lambda code, body: self._changed(code, body, id_))

    def _remove(self, exchange: Exchange, below: str) -> None:
        if not below:
            _refuse_without_id(exchange)
            return
        id_ = member_id_of(below)
        request = pb.MemberRemoveRequest(ID=id_)
        self._call(exchange, MEMBER_REMOVE, request, lambda code, body: self._changed(code, body, id_))

    def _call(self, exchange: Exchange, method: int, request: Any, encode: Encode) -> None:
        calls = self._calls
        nobody = calls.identities.of_call({}, "") if calls.identities.enabled else None
        waiting = V2Call(exchange, calls, encode, cluster_id_header(calls))
        waiting.begin(None)
        calls.begin(waiting, 0, method, request.SerializeToString(), nobody)

    def _changed(self, code: int, body: bytes, id_: int) -> HttpAnswer:
        return self._refusal(body.decode(), id_) if code else _NOTHING

    def _refusal(self, text: str, id_: int | None) -> HttpAnswer:
        """text: as gRPC's clients read it. id_: of the member that was to be changed"""
        known = self._calls.members.known
        if text in _CONFLICTS:
            return message_answer(409, _CONFLICTS[text])
        if id_ in known.removed:
            return message_answer(410, f"Member permanently removed: {id_:x}")
        if id_ is not None and id_ not in known.by_id:
            return message_answer(404, f"No such member: {id_:x}")
        return message_answer(500, "Internal Server Error")


def _urls_in(exchange: Exchange) -> list[str]:
    """Sorted, in normal form. raises Refused"""
    request = exchange.request
    urls = peer_urls_of(request.headers.get(b"content-type", b"").decode("latin-1"), request.body)
    try:
        return sorted(parse_member_url(url).text for url in urls)
    except ValueError as error:
        raise Refused(400, str(error)) from None


def _refuse_without_id(exchange: Exchange) -> None:
    exchange.answer(405, _NOT_ALLOWED, PLAIN_TEXT, NO_SNIFF)


def _json_answer(status: int, value: Any) -> HttpAnswer:
    return HttpAnswer(status, [("Content-Type", JSON)], (encode_json(value) + "\n").encode())


def _described(member: Member) -> dict[str, Any]:
    return {
        "id": f"{member.id:x}",
        "name": member.name,
        "peerURLs": member.peer_urls,
        "clientURLs": member.client_urls,
    }
