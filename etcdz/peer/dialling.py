"""Requests to other members, and what their answers mean."""

from typing import Final, NamedTuple

from etcdz.peer.directory import Directory
from etcdz.peer.heads import Field, Headers, encode_request
from etcdz.peer.versions import are_compatible

OK: Final = "ok"
RETRY: Final = "retry"
"""Not now, or not there: dial again, the next of its URLs."""
REMOVED: Final = "removed"
"""This member is none any more: it stops itself."""

FILTERS: Final = (b"X-Etcdz-Filters", b"repeated-proposals")
"""A stream is dialled with this by who takes no proposal twice that is marked as actors/raft/forwarding.py says."""
PROCESS: Final = b"X-Etcdz-Process"
"""A stream is dialled with this by whom (etcdz/peer/processes.py)."""
_RAFT_TYPE: Final = (b"Content-Type", b"application/protobuf")
_SNAPSHOT_TYPE: Final = (b"Content-Type", b"application/octet-stream")


class Verdict(NamedTuple):
    """What an answer means. text: of the trouble, for the log"""

    kind: str
    text: str = ""


class Dialler:
    """Heads of requests of one member. authority: host and port of the URL that is dialled"""

    def __init__(self, directory: Directory, process: str = "") -> None:
        """process: a number that no other process has; "": not said"""
        self._directory = directory
        self._process = [(PROCESS, process.encode())] if process else []

    def stream_request(self, kind: str, authority: str, remote_id: int) -> bytes:
        """For the stream of this kind from the other member to this one."""
        target = f"/raft/stream/{kind}/{self._directory.member_id:x}"
        return self._request("GET", target, authority, [(b"X-Raft-To", b"%x" % remote_id), FILTERS, *self._process])

    def message_request(self, authority: str, size: int) -> bytes:
        """The head of a POST of one encoded message of so many bytes, which follows."""
        return self._request("POST", "/raft", authority, [_RAFT_TYPE, _length(size)])

    def snapshot_request(self, authority: str) -> bytes:
        """The head of a POST whose body follows in chunks: a frame with MsgSnap, then the database's file."""
        return self._request("POST", "/raft/snapshot", authority, [_SNAPSHOT_TYPE, (b"Transfer-Encoding", b"chunked")])

    def call_request(self, method: str, path: str, authority: str, body: bytes) -> bytes:
        """A whole request of another kind."""
        fields = [_RAFT_TYPE] if path.startswith("/leases") else []
        if body or method == "POST":
            fields.append(_length(len(body)))
        return self._request(method, path, authority, fields) + body

    def _request(self, method: str, target: str, authority: str, fields: list[Field]) -> bytes:
        directory = self._directory
        common = [
            (b"Host", authority.encode()),
            (b"User-Agent", b"etcdz"),
            (b"X-Etcd-Cluster-Id", b"%x" % directory.cluster_id),
            (b"X-Min-Cluster-Version", directory.min_cluster_version.encode()),
            (b"X-Peerurls", ",".join(directory.peer_urls).encode()),
            (b"X-Server-From", b"%x" % directory.member_id),
            (b"X-Server-Version", directory.server_version.encode()),
        ]
        return encode_request(method.encode(), target.encode(), [*common, *fields])


def _length(size: int) -> Field:
    return (b"Content-Length", b"%d" % size)


def judge_stream(status: int, headers: Headers, body: bytes, server_version: str) -> Verdict:
    """The answer to stream_request: OK, and the stream follows, or something else.

    body            of an answer that is not 200
    server_version  of this member
    """
    if status == 410:
        return Verdict(REMOVED, "the member has been permanently removed from the cluster")
    if status == 404:
        return Verdict(RETRY, "peer failed to find local node")
    if status == 412:
        return Verdict(RETRY, _text(body))
    if status != 200:
        return Verdict(RETRY, f"unhandled http status {status}")
    if not are_compatible({**headers, b"x-min-cluster-version": b"0.0.0"}, server_version):
        return Verdict(RETRY, "unsupported stream type")
    return Verdict(OK)


def judge_post(status: int, body: bytes) -> Verdict:
    """The answer to message_request or to a snapshot."""
    if status == 204:
        return Verdict(OK)
    if status == 403:
        return Verdict(REMOVED, "the member has been permanently removed from the cluster")
    if status == 412:
        return Verdict(RETRY, _text(body))
    return Verdict(RETRY, f"unexpected http status {status}: {_text(body)}")


def _text(body: bytes) -> str:
    return body[:200].decode("latin-1").strip()
