"""What other members ask of this one over HTTP and only a listener can answer: it is run like a client's call.

    POST /members/promote/<decimal id>   MemberPromote, if this member leads
    GET  /members/hashkv                 HashKV at the revision that the body names: {"revision":5}
    GET  /downgrade/enabled              whether a downgrade is under way, as of now

Learners answer these as well. Source: etcd 3.5 etcdhttp, read off a running 3.5.1.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from actors.listener.call import Begin, Routes
from actors.listener.members import (
    HTTP_NOT_FOUND,
    HTTP_OK,
    HTTP_PRECONDITION_FAILED,
    NOT_FOUND_TEXT,
    NOT_LEARNER_TEXT,
    NOT_READY_TEXT,
    PROMOTE_PATH,
    ClusterMembers,
)
from actors.runtime.link import Links
from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.api.methods import HASH_KV, STATUS
from etcdz.cluster.membership import Member, encode_json
from etcdz.ipc.messages import PeerAsk, PeerReply
from etcdz.proto import etcdserverpb as pb

HASH_KV_PATH: Final = "/members/hashkv"
DOWNGRADE_PATH: Final = "/downgrade/enabled"
_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_BAD_REQUEST, _INTERNAL = 400, 500
_UINT64_MAX: Final = (1 << 64) - 1
_INT64_MAX: Final = (1 << 63) - 1

_PROMOTION_REFUSED: Final = {
    errors.MEMBER_NOT_FOUND.text: (HTTP_NOT_FOUND, NOT_FOUND_TEXT),
    errors.MEMBER_NOT_LEARNER.text: (HTTP_PRECONDITION_FAILED, NOT_LEARNER_TEXT),
    errors.LEARNER_NOT_READY.text: (HTTP_PRECONDITION_FAILED, NOT_READY_TEXT),
}
"""Text of the gRPC error -> (HTTP status, text). What is not here is no decision: the other member asks again."""

Answer = tuple[int, str, bytes]
"""(HTTP status, content type, body)"""


class PeerRequests:
    """Answers PeerAsk."""

    def __init__(self, routes: Routes, begin: Mapping[int, Begin], members: ClusterMembers, links: Links) -> None:
        """begin: how calls begin, by method, whoever may call them"""
        self._routes = routes
        self._hash_kv = begin[HASH_KV]
        self._members = members
        self._links = links

    def on_ask(self, ask: PeerAsk) -> None:
        """NB: what the path may be and by which method is checked before it comes here."""
        if ask.path.startswith(PROMOTE_PATH):
            self._promote(ask)
        elif ask.path == HASH_KV_PATH:
            self._hash(ask)
        elif ask.path == DOWNGRADE_PATH:
            self._routes.read(_Asker(self, ask.id, _downgrade_answer), 0, STATUS, b"", True, None)
        else:
            self.answer(ask.id, _text(HTTP_NOT_FOUND, "404 page not found"))

    def answer(self, id_: int, answer: Answer) -> None:
        """To the member that has asked."""
        self._links.send("peer", PeerReply(id_, *answer))

    def _promote(self, ask: PeerAsk) -> None:
        number = ask.path.removeprefix(PROMOTE_PATH)
        if not (number.isascii() and number.isdigit()) or int(number) > _UINT64_MAX:
            self.answer(ask.id, _text(HTTP_NOT_FOUND, f"member {number} not found in cluster"))
            return
        asker = _Asker(self, ask.id, _promotion_answer)
        asker.refuse(self._members.promote_here(asker, 0, int(number)))

    def _hash(self, ask: PeerAsk) -> None:
        revision = _revision(ask.body)
        if revision is None:
            self.answer(ask.id, _text(_BAD_REQUEST, "error unmarshalling request"))
            return
        asker = _Asker(self, ask.id, _hash_answer)
        asker.refuse(self._hash_kv(asker, 0, pb.HashKVRequest(revision=revision).SerializeToString(), None))


class _Asker:
    """The caller of a call that another member has asked for. make: its answer, of gRPC code and body"""

    __slots__ = ("_id", "_make", "_requests")

    def __init__(self, requests: PeerRequests, id_: int, make: Callable[[int, bytes], Answer]) -> None:
        self._requests = requests
        self._id = id_
        self._make = make

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        self._requests.answer(self._id, self._make(code, body))

    def refuse(self, error: EtcdError | None) -> None:
        """None: its call is on its way."""
        if error is not None:
            self.reply(0, error.code, error.text.encode())

    def flush(self) -> None:
        pass


def _text(status: int, text: str) -> Answer:
    return status, _TEXT, f"{text}\n".encode()


def _promotion_answer(code: int, body: bytes) -> Answer:
    if code:
        refused = _PROMOTION_REFUSED.get(body.decode())
        return _text(*refused) if refused else (_INTERNAL, _JSON, b'{"message":"Internal Server Error"}')
    members = pb.MemberPromoteResponse.FromString(body).members
    told = [Member(m.ID, m.peerURLs, m.isLearner, m.name, m.clientURLs).to_json() for m in members]
    return HTTP_OK, _JSON, f"[{','.join(told)}]\n".encode()


def _hash_answer(code: int, body: bytes) -> Answer:
    if code:
        text = body.decode().removeprefix("etcdserver: ")
        is_expected = text.startswith("mvcc: ")
        return _text(_BAD_REQUEST if is_expected else _INTERNAL, text)
    hashed = pb.HashKVResponse.FromString(body)
    told = {"header": {"revision": hashed.header.revision}, "hash": hashed.hash}
    return HTTP_OK, _JSON, encode_json(told | {"compact_revision": hashed.compact_revision}).encode()


def _downgrade_answer(code: int, body: bytes) -> Answer:
    if code:
        return _text(_INTERNAL, body.decode())
    enabled = pb.StatusResponse.FromString(body).downgradeInfo.enabled
    return HTTP_OK, "text/plain", b"true" if enabled else b"false"


def _revision(body: bytes) -> int | None:
    """Of a HashKVRequest as JSON; None: it is none."""
    try:
        request: Any = json.loads(body)
        revision = request.get("revision", 0)
    except (ValueError, AttributeError, RecursionError):
        return None
    return revision if type(revision) is int and -_INT64_MAX <= revision <= _INT64_MAX else None
