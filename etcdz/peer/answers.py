"""Answers to requests of other members, whole, with etcd's headers and texts."""

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from etcdz.peer.directory import Directory, Peer
from etcdz.peer.heads import Field, encode_response

_DAYS: Final = (b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed")  # 1970 began on a Thursday
_MONTHS: Final = (
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
)  # fmt: skip
_TEXT: Final = b"text/plain; charset=utf-8"
_HTML: Final = b"text/html; charset=utf-8"
_JSON: Final = b"application/json"


class Answer(NamedTuple):
    """headers: all but the length, the date and what is said of the connection."""

    status: int
    headers: tuple[Field, ...]
    body: bytes

    def encode(self, unix_s: float, keeps_alive: bool = True, is_head: bool = False) -> bytes:
        """is_head: the request's method was HEAD, so the body stays away"""
        headers = [*self.headers, (b"Date", http_date(unix_s))]
        if self.status != 204:
            headers.append((b"Content-Length", b"%d" % len(self.body)))
        if not keeps_alive:
            headers.append((b"Connection", b"close"))
        return encode_response(self.status, headers) + (b"" if is_head else self.body)


def http_date(unix_s: float) -> bytes:
    """ "Fri, 27 Nov 2026 16:31:36 GMT"."""
    days, second = divmod(int(unix_s), 86_400)
    year, month, day = _civil(days)
    time = b"%02d:%02d:%02d" % (second // 3600, second // 60 % 60, second % 60)
    return b"%b, %02d %b %04d %b GMT" % (_DAYS[days % 7], day, _MONTHS[month - 1], year, time)


def _civil(days: int) -> tuple[int, int, int]:
    """(year, month, day) of a day since 1970-01-01, in the Gregorian calendar; years are taken from March on."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1


def text_error(status: int, text: str, headers: Iterable[Field] = ()) -> Answer:
    """As Go writes an error: the text and a line end."""
    fixed = ((b"Content-Type", _TEXT), (b"X-Content-Type-Options", b"nosniff"))
    return Answer(status, (*headers, *fixed), text.encode() + b"\n")


def moved(location: bytes, has_body: bool) -> Answer:
    """To a path that is written otherwise. has_body: the method was GET or HEAD"""
    path, mark, query = location.partition(b"?")
    url = quote(path, safe="$&+,/:;=@%").encode() + mark + query
    if not has_body:
        return Answer(301, ((b"Location", url),), b"")
    page = b'<a href="%b">Moved Permanently</a>.\n\n' % url.decode("latin-1").translate(_HTML_ESCAPES).encode("latin-1")
    return Answer(301, ((b"Content-Type", _HTML), (b"Location", url)), page)


def cluster_field(directory: Directory) -> Field:
    return (b"X-Etcd-Cluster-Id", b"%x" % directory.cluster_id)


def stream_fields(directory: Directory) -> tuple[Field, Field]:
    """In every answer of a stream's path: a dialer takes a missing version for one that it cannot talk to."""
    return cluster_field(directory), (b"X-Server-Version", directory.server_version.encode())


def stream_head(directory: Directory, unix_s: float) -> bytes:
    """To be written at once; chunks follow."""
    fields = (*stream_fields(directory), (b"Date", http_date(unix_s)), (b"Transfer-Encoding", b"chunked"))
    return encode_response(200, fields)


def accepted(directory: Directory) -> Answer:
    """The message, or the snapshot, has been handed to raft."""
    return Answer(204, (cluster_field(directory),), b"")


def not_processed(directory: Directory) -> Answer:
    """A message that is not to be stepped. NB: etcd's senders stop their own member when they are told 403."""
    return text_error(500, "error processing raft message", [cluster_field(directory)])


def undecodable(directory: Directory) -> Answer:
    return text_error(400, "error unmarshalling raft message", [cluster_field(directory)])


def members_answer(directory: Directory) -> Answer:
    headers = ((b"Content-Type", _JSON), cluster_field(directory))
    return Answer(200, headers, members_json(directory.members.values()) + b"\n")


def members_json(members: Iterable[Peer]) -> bytes:
    """Members in ascending order of ids, as the peer URL /members gives them."""
    return _encode_json([_member(peer) for peer in sorted(members)])


def _member(peer: Peer) -> dict[str, Any]:
    member: dict[str, Any] = {"id": peer.id, "peerURLs": peer.peer_urls}
    if peer.is_learner:
        member["isLearner"] = True
    if peer.name:
        member["name"] = peer.name
    if peer.client_urls:
        member["clientURLs"] = peer.client_urls
    return member


def _encode_json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_GO_ESCAPES).encode()


_HTML_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"})
_GO_ESCAPES: Final = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def version_answer(directory: Directory) -> Answer:
    cluster = directory.cluster_version or "not_decided"
    body = _encode_json({"etcdserver": directory.server_version, "etcdcluster": cluster})
    return Answer(200, ((b"Content-Type", _JSON),), body)


def probing_answer(unix_ns: int) -> Answer:
    """unix_ns: the clock of this member, which the prober compares with its own"""
    second, ns = divmod(unix_ns, 1_000_000_000)
    days, second_of_day = divmod(second, 86_400)
    year, month, day = _civil(days)
    time = f"{second_of_day // 3600:02}:{second_of_day // 60 % 60:02}:{second_of_day % 60:02}"
    fraction = f".{ns:09}".rstrip("0").rstrip(".")
    body = f'{{"OK":true,"Now":"{year:04}-{month:02}-{day:02}T{time}{fraction}Z"}}\n'
    return Answer(200, ((b"Content-Type", _TEXT),), body.encode())


def asked_answer(directory: Directory, path: bytes, status: int, content_type: str, body: bytes) -> Answer:
    """What another actor has answered to a PeerAsk for this path. content_type: "" for the text of an error"""
    is_error = status >= 400 and content_type in ("", _TEXT.decode())
    text = body if body.endswith(b"\n") or not is_error else body + b"\n"
    headers = [(b"Content-Type", content_type.encode() or _TEXT)]
    if is_error:
        headers.append((b"X-Content-Type-Options", b"nosniff"))
    if not (path.startswith(b"/leases") or (is_error and path == b"/members/hashkv")):
        headers.append(cluster_field(directory))
    return Answer(status, tuple(headers), text)
