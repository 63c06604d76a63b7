"""Requests that other members may make, and what is checked of them before anything is done, in etcd's order.

Each route is a path, the checks, and what is to be done. A check says what is wrong, as an answer, or None. Requests
that break no rule of HTTP and have no route are answered 404.

Source: etcd 3.5's handlers of peer URLs; texts and orders were compared with a running 3.5.1.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from etcdz.peer.answers import Answer, cluster_field, moved, stream_fields, text_error
from etcdz.peer.directory import Directory
from etcdz.peer.heads import Field, RequestHead
from etcdz.peer.outbox import MESSAGE, MSGAPP
from etcdz.peer.versions import are_compatible
from etcdz.wire.request_target import clean_path

STREAM: Final = "stream"
RAFT: Final = "raft"
SNAPSHOT: Final = "snapshot"
PROBING: Final = "probing"
MEMBERS: Final = "members"
VERSION: Final = "version"
ASK: Final = "ask"

RAFT_BODY_BYTES_MAX: Final = 64 << 20
ASK_BODY_BYTES_MAX: Final = 64 << 10

_STREAM_PREFIX: Final = b"/raft/stream/"
_STREAM_KINDS: Final = {b"msgapp": MSGAPP, b"message": MESSAGE}
_HEX_ID: Final = re.compile(rb"[0-9A-Fa-f]+")
_NUMBER: Final = re.compile(rb"[0-9]{1,20}")
_ID_MAX: Final = (1 << 64) - 1


class Accepted(NamedTuple):
    """A request that passed its checks.

    what        STREAM, RAFT, SNAPSHOT, PROBING, MEMBERS, VERSION, or ASK: one that another actor answers
    remote_id   who asks, where it has said so, else 0
    stream      MSGAPP or MESSAGE, of a STREAM
    body_bytes_max  None: it has no bound, and is not for this process: RequestReader.hand_over
    """

    what: str
    remote_id: int
    stream: str
    body_bytes_max: int | None


_Check = Callable[[RequestHead, Directory], Answer | None]


def check(head: RequestHead, directory: Directory) -> Accepted | Answer:
    """What is to be done, or the answer that refuses it. A sender that is not known, and tells where it is reached, is
    kept in directory.remotes."""
    route = _find(head.path)
    location = _location(head.path)
    if location != head.path:
        return moved(location + head.target[len(head.path) :], head.method in (b"GET", b"HEAD"))
    if route is None:
        return text_error(404, "404 page not found")
    for one in route.checks:
        refusal = one(head, directory)
        if refusal is not None:
            return refusal
    is_stream = route.what == STREAM
    remote_id = _stream_sender(head) if is_stream else _hex_id(head.headers.get(b"x-server-from", b""))
    kind = _STREAM_KINDS[_stream_parts(head)[0]] if is_stream else ""
    return Accepted(route.what, remote_id or 0, kind, route.body_bytes_max)


def body_bytes_max(head: RequestHead) -> int | None:
    """Of the body of this request, whether it will be accepted or not; None: it has no bound. For RequestReader"""
    route = _find(head.path)
    return ASK_BODY_BYTES_MAX if route is None else route.body_bytes_max


# ---- checks ----


def _get_only(head: RequestHead, directory: Directory) -> Answer | None:
    return None if head.method == b"GET" else _wrong_method([(b"Allow", b"GET")])


def _post_only(head: RequestHead, directory: Directory) -> Answer | None:
    return None if head.method == b"POST" else _wrong_method([(b"Allow", b"POST")])


def _post_only_silent(head: RequestHead, directory: Directory) -> Answer | None:
    return None if head.method == b"POST" else _wrong_method([])


def _wrong_method(headers: list[Field]) -> Answer:
    return text_error(405, "Method Not Allowed", headers)


def _version_fits(head: RequestHead, directory: Directory) -> Answer | None:
    if are_compatible(head.headers, directory.server_version):
        return None
    return text_error(412, "incompatible version", _fields(head, directory))


def _cluster_fits(head: RequestHead, directory: Directory) -> Answer | None:
    if head.headers.get(b"x-etcd-cluster-id") == b"%x" % directory.cluster_id:
        return None
    return text_error(412, "cluster ID mismatch", _fields(head, directory))


def _meet_sender(head: RequestHead, directory: Directory) -> Answer | None:
    _meet(head, directory, _hex_id(head.headers.get(b"x-server-from", b"")))
    return None


def _is_stream_path(head: RequestHead, directory: Directory) -> Answer | None:
    parts = _stream_parts(head)
    if len(parts) == 2 and parts[0] in _STREAM_KINDS:
        return None
    return text_error(404, "invalid path", stream_fields(directory))


def _has_stream_sender(head: RequestHead, directory: Directory) -> Answer | None:
    return None if _stream_sender(head) is not None else text_error(404, "invalid from", stream_fields(directory))


def _is_not_removed(head: RequestHead, directory: Directory) -> Answer | None:
    if _stream_sender(head) not in directory.removed:
        return None
    return text_error(410, "removed member", stream_fields(directory))


def _is_member(head: RequestHead, directory: Directory) -> Answer | None:
    sender = _stream_sender(head)
    if sender in directory.members and sender != directory.member_id:
        return None
    _meet(head, directory, sender)
    return text_error(404, "error sender not found", stream_fields(directory))


def _means_this_member(head: RequestHead, directory: Directory) -> Answer | None:
    if head.headers.get(b"x-raft-to") == b"%x" % directory.member_id:
        return None
    return text_error(412, "to field mismatch", stream_fields(directory))


def _names_a_member(head: RequestHead, directory: Directory) -> Answer | None:
    name = head.path.rpartition(b"/")[2]
    if _NUMBER.fullmatch(name) and int(name) <= _ID_MAX:
        return None
    return text_error(404, f"member {name.decode('latin-1')} not found in cluster", [cluster_field(directory)])


# ---- what checks look at ----


def _fields(head: RequestHead, directory: Directory) -> tuple[Field, ...]:
    is_stream = head.path.startswith(_STREAM_PREFIX)
    return stream_fields(directory) if is_stream else (cluster_field(directory),)


def _stream_parts(head: RequestHead) -> list[bytes]:
    return head.path[len(_STREAM_PREFIX) :].split(b"/")


def _stream_sender(head: RequestHead) -> int | None:
    return _hex_id(_stream_parts(head)[-1])


def _hex_id(text: bytes) -> int | None:
    if _HEX_ID.fullmatch(text) is None:
        return None
    id_ = int(text, 16)
    return id_ if id_ <= _ID_MAX else None


def _meet(head: RequestHead, directory: Directory, sender: int | None) -> None:
    urls = head.headers.get(b"x-peerurls", b"").decode("latin-1")
    if sender is not None and urls:
        directory.meet(sender, urls.split(","))


# ---- the table ----


class _Route(NamedTuple):
    """path: one that ends in a slash stands for all below it."""

    path: bytes
    what: str
    checks: tuple[_Check, ...]
    body_bytes_max: int | None = ASK_BODY_BYTES_MAX


_FROM_MEMBER: Final = (_post_only, _version_fits, _cluster_fits, _meet_sender)
_STREAM_CHECKS: Final = (
    _get_only,
    _version_fits,
    _cluster_fits,
    _is_stream_path,
    _has_stream_sender,
    _is_not_removed,
    _is_member,
    _means_this_member,
)
_ROUTES: Final = (
    _Route(b"/raft", RAFT, _FROM_MEMBER, RAFT_BODY_BYTES_MAX),
    _Route(b"/raft/snapshot", SNAPSHOT, _FROM_MEMBER, None),
    _Route(_STREAM_PREFIX, STREAM, _STREAM_CHECKS),
    _Route(b"/raft/probing", PROBING, ()),
    _Route(b"/members", MEMBERS, (_get_only,)),
    _Route(b"/members/promote/", ASK, (_post_only, _names_a_member)),
    _Route(b"/members/hashkv", ASK, (_get_only,)),
    _Route(b"/version", VERSION, (_get_only,)),
    _Route(b"/leases", ASK, (_post_only_silent,)),
    _Route(b"/leases/internal", ASK, (_post_only_silent,)),
    _Route(b"/downgrade/enabled", ASK, (_get_only,)),
)
_BY_PATH: Final = {route.path: route for route in _ROUTES}
_PREFIXES: Final = tuple(route for route in _ROUTES if route.path.endswith(b"/"))


def _location(path: bytes) -> bytes:
    """Where Go's server sends a client that has asked for this path: without empty parts and dots, and with a slash
    where the path stands for all below it. A path that is none (`*`, a whole URL) stays."""
    if not path.startswith(b"/"):
        return path
    clean = clean_path(path)
    return clean + b"/" if clean not in _BY_PATH and clean + b"/" in _BY_PATH else clean


def _find(path: bytes) -> _Route | None:
    return _BY_PATH.get(path) or next(_below(path), None)


def _below(path: bytes) -> Iterator[_Route]:
    return (route for route in _PREFIXES if path.startswith(route.path))
