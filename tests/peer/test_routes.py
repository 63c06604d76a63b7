"""What members and strangers may ask of the peer port: each check of each path, in order, as etcd 3.5.1 answers it."""

from typing import NamedTuple

import pytest

from etcdz.ipc.messages import Members
from etcdz.peer.answers import (
    Answer,
    accepted,
    asked_answer,
    http_date,
    members_answer,
    not_processed,
    probing_answer,
    stream_head,
    undecodable,
    version_answer,
)
from etcdz.peer.dialling import OK, REMOVED, RETRY, Dialler, judge_post, judge_stream
from etcdz.peer.directory import REMOTES_MAX, Directory, is_peer_url
from etcdz.peer.heads import Headers, RequestHead, decode_request, decode_response
from etcdz.peer.outbox import MESSAGE, MSGAPP
from etcdz.peer.routes import ASK, MEMBERS, PROBING, RAFT, SNAPSHOT, STREAM, VERSION, Accepted, body_bytes_max, check

ME, YOU, GONE, STRANGER, CLUSTER = 0x6F53DCAB74102002, 0xE28AE5FA3D49BB1, 0xBAD, 0x5, 0xA176C1F62DFCA771
FRIDAY = 1795797069.6
"""2026-11-27 16:31:09 UTC"""


def directory() -> Directory:
    known = Directory(0, 0, ["http://127.0.0.1:9"], "3.5.1")
    known.learn(
        Members(
            applied_index=9,
            cluster_id=CLUSTER,
            member_id=ME,
            members=[
                (YOU, "b", ["http://127.0.0.1:12382"], [], False),
                (ME, "a", ["http://127.0.0.1:12381"], ["http://127.0.0.1:12371"], False),
            ],
            removed=[GONE],
            cluster_version="3.5.0",
        )
    )
    return known


def request(method: str, path: str, **headers: str | None) -> RequestHead:
    """As another member writes it. headers: instead of its own, - as _; None: without it"""
    own: dict[str, str | None] = {
        "host": "a",
        "x_etcd_cluster_id": f"{CLUSTER:x}",
        "x_min_cluster_version": "3.0.0",
        "x_server_version": "3.5.1",
        "x_server_from": f"{YOU:x}",
        "x_peerurls": "http://127.0.0.1:12382",
        "x_raft_to": f"{ME:x}",
    }
    fields: Headers = {
        name.replace("_", "-").encode(): value.encode() for name, value in (own | headers).items() if value is not None
    }
    return RequestHead(method.encode(), path.encode(), fields, 0, True)


def stream(sender: int = YOU, kind: str = MSGAPP, **headers: str | None) -> RequestHead:
    return request("GET", f"/raft/stream/{kind}/{sender:x}", **headers)


class Refusal(NamedTuple):
    status: int
    text: str
    allow: str = ""
    has_cluster: bool = True
    has_version: bool = False


NOT_FOUND = Refusal(404, "404 page not found", has_cluster=False)


def wrong_method(allow: str) -> Refusal:
    return Refusal(405, "Method Not Allowed", allow, has_cluster=False)


def of_stream(status: int, text: str) -> Refusal:
    return Refusal(status, text, has_version=True)


REFUSED = [
    (request("POST", "/raft/stream/msgapp/1"), wrong_method("GET")),
    (stream(x_server_version=None), of_stream(412, "incompatible version")),
    (stream(x_server_version="2.3.8"), of_stream(412, "incompatible version")),
    (stream(x_server_version="3.5"), of_stream(412, "incompatible version")),
    (stream(x_min_cluster_version="3.6.0"), of_stream(412, "incompatible version")),
    (stream(x_etcd_cluster_id="1", kind="x"), of_stream(412, "cluster ID mismatch")),
    (stream(x_etcd_cluster_id=None), of_stream(412, "cluster ID mismatch")),
    (stream(kind="x"), of_stream(404, "invalid path")),
    (request("GET", "/raft/stream/"), of_stream(404, "invalid path")),
    (request("GET", "/raft/stream/a/b/c"), of_stream(404, "invalid path")),
    (request("GET", "/raft/stream/msgapp/xyz"), of_stream(404, "invalid from")),
    (request("GET", "/raft/stream/msgapp/0x5"), of_stream(404, "invalid from")),
    (request("GET", "/raft/stream/msgapp/" + "f" * 17), of_stream(404, "invalid from")),
    (stream(GONE, x_raft_to="1"), of_stream(410, "removed member")),
    (stream(STRANGER, x_raft_to="1"), of_stream(404, "error sender not found")),
    (stream(ME), of_stream(404, "error sender not found")),
    (stream(x_raft_to="1"), of_stream(412, "to field mismatch")),
    (stream(x_raft_to=None), of_stream(412, "to field mismatch")),
    (request("GET", "/raft"), wrong_method("POST")),
    (request("POST", "/raft", x_server_version="2.0.0"), Refusal(412, "incompatible version")),
    (request("POST", "/raft", x_etcd_cluster_id="1"), Refusal(412, "cluster ID mismatch")),
    (request("GET", "/raft/snapshot"), wrong_method("POST")),
    (request("POST", "/raft/snapshot", x_server_version=None), Refusal(412, "incompatible version")),
    (request("POST", "/raft/snapshot", x_etcd_cluster_id=""), Refusal(412, "cluster ID mismatch")),
    (request("POST", "/members"), wrong_method("GET")),
    (request("HEAD", "/members"), wrong_method("GET")),
    (request("POST", "/version"), wrong_method("GET")),
    (request("POST", "/members/hashkv"), wrong_method("GET")),
    (request("POST", "/downgrade/enabled"), wrong_method("GET")),
    (request("GET", "/members/promote/12"), wrong_method("POST")),
    (request("POST", "/members/promote/abc"), Refusal(404, "member abc not found in cluster")),
    (request("POST", "/members/promote/"), Refusal(404, "member  not found in cluster")),
    (request("POST", f"/members/promote/{1 << 64}"), Refusal(404, f"member {1 << 64} not found in cluster")),
    (request("GET", "/leases"), wrong_method("")),
    (request("GET", "/leases/internal"), wrong_method("")),
    *((request("GET", path), NOT_FOUND) for path in ("/", "/health", "/metrics", "/v2/keys", "/members/", "/raft/x")),
    *((request("POST", path), NOT_FOUND) for path in ("/raft/", "/raft/probing/", "/leases/", "*", "")),
]


@pytest.mark.parametrize("head, refusal", REFUSED, ids=[f"{head.target.decode()} {r.text}" for head, r in REFUSED])
def test_refusals(head: RequestHead, refusal: Refusal) -> None:
    answer = check(head, directory())
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body.decode()) == (refusal.status, refusal.text + "\n")
    headers = {
        b"Content-Type": b"text/plain; charset=utf-8",
        b"X-Content-Type-Options": b"nosniff",
    }
    if refusal.allow:
        headers[b"Allow"] = refusal.allow.encode()
    if refusal.has_cluster:
        headers[b"X-Etcd-Cluster-Id"] = b"%x" % CLUSTER
    if refusal.has_version:
        headers[b"X-Server-Version"] = b"3.5.1"
    assert dict(answer.headers) == headers


ACCEPTED = [
    (stream(), Accepted(STREAM, YOU, MSGAPP, 64 << 10)),
    (stream(kind=MESSAGE), Accepted(STREAM, YOU, MESSAGE, 64 << 10)),
    (stream(x_server_version="3.4.23", x_min_cluster_version=None), Accepted(STREAM, YOU, MSGAPP, 64 << 10)),
    (stream(x_server_version="3.7.1-rc.0+git"), Accepted(STREAM, YOU, MSGAPP, 64 << 10)),
    (request("POST", "/raft"), Accepted(RAFT, YOU, "", 64 << 20)),
    (request("POST", "/raft", x_server_from=None), Accepted(RAFT, 0, "", 64 << 20)),
    (request("POST", "/raft/snapshot"), Accepted(SNAPSHOT, YOU, "", None)),
    (request("PUT", "/raft/probing", x_etcd_cluster_id=None), Accepted(PROBING, YOU, "", 64 << 10)),
    (request("GET", "/members"), Accepted(MEMBERS, YOU, "", 64 << 10)),
    (request("GET", "/version?x=1", x_server_from="zz"), Accepted(VERSION, 0, "", 64 << 10)),
    (request("POST", "/members/promote/12"), Accepted(ASK, YOU, "", 64 << 10)),
    (request("GET", "/members/hashkv", x_etcd_cluster_id=None), Accepted(ASK, YOU, "", 64 << 10)),
    (request("POST", "/leases"), Accepted(ASK, YOU, "", 64 << 10)),
    (request("POST", "/leases/internal"), Accepted(ASK, YOU, "", 64 << 10)),
    (request("GET", "/downgrade/enabled"), Accepted(ASK, YOU, "", 64 << 10)),
]


@pytest.mark.parametrize("head, expected", ACCEPTED, ids=[head.target.decode() for head, _ in ACCEPTED])
def test_what_is_in_order(head: RequestHead, expected: Accepted) -> None:
    assert check(head, directory()) == expected
    assert body_bytes_max(head) == expected.body_bytes_max


def test_what_this_member_asks_is_in_order_there() -> None:
    """Its requests pass the checks of the member that they go to, if both know each other."""
    there = directory()
    here = directory()
    here.learn(Members(9, CLUSTER, YOU, [tuple(peer) for peer in there.members.values()], [GONE], "3.5.0"))  # type: ignore[misc]
    dialler = Dialler(here)
    for kind in (MSGAPP, MESSAGE):
        head = decode_request(dialler.stream_request(kind, "127.0.0.1:12381", ME)[:-4])
        assert check(head, there) == Accepted(STREAM, YOU, kind, 64 << 10)
    head = decode_request(dialler.message_request("127.0.0.1:12381", 77)[:-4])
    assert check(head, there) == Accepted(RAFT, YOU, "", 64 << 20)
    assert head.length == 77
    head = decode_request(dialler.snapshot_request("127.0.0.1:12381")[:-4])
    assert check(head, there) == Accepted(SNAPSHOT, YOU, "", None)
    for method, path, body in (("GET", "/members/hashkv", b'{"revision":0}'), ("POST", "/leases", b"\x08\x01")):
        request_bytes = dialler.call_request(method, path, "127.0.0.1:12381", body)
        first, _, sent_body = request_bytes.partition(b"\r\n\r\n")
        assert check(decode_request(first), there) == Accepted(ASK, YOU, "", 64 << 10)
        assert (sent_body, decode_request(first).length) == (body, len(body))


def test_the_head_of_a_stream_request() -> None:
    assert Dialler(directory()).stream_request(MESSAGE, "127.0.0.1:12382", YOU) == (
        b"GET /raft/stream/message/6f53dcab74102002 HTTP/1.1\r\n"
        b"Host: 127.0.0.1:12382\r\n"
        b"User-Agent: etcdz\r\n"
        b"X-Etcd-Cluster-Id: a176c1f62dfca771\r\n"
        b"X-Min-Cluster-Version: 3.0.0\r\n"
        b"X-Peerurls: http://127.0.0.1:12381\r\n"
        b"X-Server-From: 6f53dcab74102002\r\n"
        b"X-Server-Version: 3.5.1\r\n"
        b"X-Raft-To: e28ae5fa3d49bb1\r\n"
        b"X-Etcdz-Filters: repeated-proposals\r\n\r\n"
    )


# ---- remotes ----


def test_a_sender_that_is_not_known_becomes_a_remote() -> None:
    known = directory()
    check(request("POST", "/raft", x_server_from="5", x_peerurls="http://10.0.0.5:2380,https://h:1"), known)
    check(stream(6, x_peerurls="http://10.0.0.6:2380"), known)
    assert known.remotes == {5: ["http://10.0.0.5:2380", "https://h:1"], 6: ["http://10.0.0.6:2380"]}
    assert known.urls_of(6) == ["http://10.0.0.6:2380"]
    assert known.urls_of(YOU) == ["http://127.0.0.1:12382"]
    assert known.urls_of(7) == []
    known.learn(Members(10, CLUSTER, ME, [(5, "", ["http://x:1"], [], True)], [6], ""))
    assert known.remotes == {}
    assert known.urls_of(5) == ["http://x:1"]


@pytest.mark.parametrize("sender", [ME, YOU, GONE, 0])
def test_who_is_known_or_was_removed_becomes_no_remote(sender: int) -> None:
    known = directory()
    check(request("POST", "/raft", x_server_from=f"{sender:x}"), known)
    assert known.remotes == {}


def test_a_sender_of_another_cluster_becomes_no_remote() -> None:
    known = directory()
    check(request("POST", "/raft", x_server_from="5", x_etcd_cluster_id="1"), known)
    check(stream(5, x_etcd_cluster_id="1"), known)
    assert known.remotes == {}


def test_remotes_are_few() -> None:
    known = directory()
    for id_ in range(100, 200):
        known.meet(id_, ["http://a:1"])
    assert len(known.remotes) == REMOTES_MAX
    assert known.meet(100, ["http://b:1"])
    assert not known.meet(100, ["http://b:1"])


@pytest.mark.parametrize(
    "url, is_one",
    [
        ("http://127.0.0.1:2380", True),
        ("https://[::1]:2380", True),
        ("unix://localhost:2380", True),
        ("http://h", False),
        ("http://h:x", False),
        ("http://h:99999", False),
        ("http://[::1:2380", False),
        ("http://h:1/path", False),
        ("http://u@h:1", False),
        ("ftp://h:1", False),
        ("h:1", False),
        ("", False),
        ("http://:2380", False),
    ],
)
def test_what_is_a_peer_url(url: str, is_one: bool) -> None:
    assert is_peer_url(url) == is_one


# ---- answers ----


def test_answers_of_this_member() -> None:
    known = directory()
    assert stream_head(known, FRIDAY) == (
        b"HTTP/1.1 200 OK\r\nX-Etcd-Cluster-Id: a176c1f62dfca771\r\nX-Server-Version: 3.5.1\r\n"
        b"Date: Fri, 27 Nov 2026 16:31:09 GMT\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert accepted(known).encode(FRIDAY) == (
        b"HTTP/1.1 204 No Content\r\nX-Etcd-Cluster-Id: a176c1f62dfca771\r\nDate: Fri, 27 Nov 2026 16:31:09 GMT\r\n\r\n"
    )
    assert version_answer(known).encode(FRIDAY) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Fri, 27 Nov 2026 16:31:09 GMT\r\n"
        b'Content-Length: 44\r\n\r\n{"etcdserver":"3.5.1","etcdcluster":"3.5.0"}'
    )
    assert members_answer(known).body == (
        b'[{"id":1020257041393163185,"peerURLs":["http://127.0.0.1:12382"],"name":"b"},'
        b'{"id":8021997990221717506,"peerURLs":["http://127.0.0.1:12381"],"name":"a",'
        b'"clientURLs":["http://127.0.0.1:12371"]}]\n'
    )
    assert not_processed(known).status == 500
    assert undecodable(known).body == b"error unmarshalling raft message\n"
    closing = decode_response(members_answer(known).encode(FRIDAY, keeps_alive=False, is_head=True)[:-4])
    assert not closing.keeps_alive and closing.length == len(members_answer(known).body)


def test_before_there_is_anything_to_tell() -> None:
    new = Directory(ME, CLUSTER, ["http://127.0.0.1:9"], "3.5.1")
    assert version_answer(new).body == b'{"etcdserver":"3.5.1","etcdcluster":"not_decided"}'
    assert members_answer(new).body == b"[]\n"
    assert new.peer_urls == ["http://127.0.0.1:9"]


def test_a_learner_in_the_list() -> None:
    known = directory()
    known.learn(Members(1, CLUSTER, ME, [(5, "", ["http://x:1"], [], True)], [], ""))
    assert members_answer(known).body == b'[{"id":5,"peerURLs":["http://x:1"],"isLearner":true}]\n'


def test_the_answer_to_a_probe() -> None:
    answer = probing_answer(1795797096_472849556)
    assert answer.body == b'{"OK":true,"Now":"2026-11-27T16:31:36.472849556Z"}\n'
    assert probing_answer(1795797096_500000000).body == b'{"OK":true,"Now":"2026-11-27T16:31:36.5Z"}\n'
    assert probing_answer(1795797096_000000000).body == b'{"OK":true,"Now":"2026-11-27T16:31:36Z"}\n'


@pytest.mark.parametrize(
    "unix_s, text",
    [
        (0, b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (951_782_399, b"Mon, 28 Feb 2000 23:59:59 GMT"),
        (951_782_400, b"Tue, 29 Feb 2000 00:00:00 GMT"),
        (4_102_444_799, b"Thu, 31 Dec 2099 23:59:59 GMT"),
    ],
)
def test_dates(unix_s: int, text: bytes) -> None:
    assert http_date(unix_s) == text


def test_what_other_actors_answer() -> None:
    known = directory()
    found = asked_answer(known, b"/members/promote/5", 404, "", b"membership: ID not found")
    assert (found.status, found.body) == (404, b"membership: ID not found\n")
    assert (b"X-Etcd-Cluster-Id", b"a176c1f62dfca771") in found.headers
    unknown = asked_answer(known, b"/members/hashkv", 400, "text/plain; charset=utf-8", b"no\n")
    plain = ((b"Content-Type", b"text/plain; charset=utf-8"), (b"X-Content-Type-Options", b"nosniff"))
    assert unknown == Answer(400, plain, b"no\n"), "as etcd, which names the cluster only with a hash"
    lease = asked_answer(known, b"/leases", 200, "application/protobuf", b"\x10\x01")
    assert lease == Answer(200, ((b"Content-Type", b"application/protobuf"),), b"\x10\x01")


# ---- what answers of others mean ----


@pytest.mark.parametrize(
    "status, headers, body, kind, text",
    [
        (200, {b"x-server-version": b"3.5.1"}, b"", OK, ""),
        (200, {b"x-server-version": b"3.7.0"}, b"", OK, ""),
        (200, {b"x-server-version": b"2.3.0"}, b"", RETRY, "unsupported stream type"),
        (200, {}, b"", RETRY, "unsupported stream type"),
        (404, {}, b"error sender not found\n", RETRY, "peer failed to find local node"),
        (410, {}, b"removed member\n", REMOVED, "the member has been permanently removed from the cluster"),
        (412, {}, b"cluster ID mismatch\n", RETRY, "cluster ID mismatch"),
        (500, {}, b"x", RETRY, "unhandled http status 500"),
    ],
)
def test_answers_to_a_stream_request(status: int, headers: Headers, body: bytes, kind: str, text: str) -> None:
    assert judge_stream(status, headers, body, "3.5.1") == (kind, text)


@pytest.mark.parametrize(
    "status, kind", [(204, OK), (403, REMOVED), (410, RETRY), (412, RETRY), (500, RETRY), (200, RETRY)]
)
def test_answers_to_a_post(status: int, kind: str) -> None:
    assert judge_post(status, b"").kind == kind


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("//raft", "/raft"),
        ("/members/./..//version?a=//b", "/version?a=//b"),
        ("/raft/stream", "/raft/stream/"),
        ("/members//", "/members/"),
        ("/..", "/"),
    ],
)
def test_a_path_that_is_written_otherwise_is_named_to_who_asks_for_it(path: str, location: str) -> None:
    for method, page in (("GET", f'<a href="{location}">Moved Permanently</a>.\n\n'), ("POST", "")):
        answer = check(decode_request(f"{method} {path} HTTP/1.1\r\nHost: a".encode()), directory())
        assert isinstance(answer, Answer)
        assert (answer.status, answer.body.decode()) == (301, page)
        assert dict(answer.headers)[b"Location"] == location.encode()


@pytest.mark.parametrize("path", ["/raft", "/raft/stream/", "/members/promote/5", "*", "http://a/version"])
def test_a_path_that_is_clean_moves_nobody(path: str) -> None:
    answer = check(decode_request(f"PUT {path} HTTP/1.1\r\nHost: a".encode()), directory())
    assert isinstance(answer, Answer) and answer.status in (404, 405)
