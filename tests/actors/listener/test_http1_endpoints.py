"""What the client port answers over HTTP/1.1: paths, methods, health by the backend's answer, order, and the end."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from actors.listener.calls import Calls
from actors.listener.http1_exchanges import LINGER_BYTES_MAX, LINGER_S, Http1Exchanges
from actors.listener.http_access import HttpAccess
from actors.listener.http_endpoints import HttpEndpoints
from actors.listener.http_router import Router
from actors.listener.scrapes import Answer
from etcdz import CLUSTER_VERSION, ETCD_VERSION
from etcdz.config import MemberConfig
from etcdz.ipc.messages import Leadership, Members, Replies
from etcdz.wire.unfinished import UnfinishedRequests
from tests.actors.listener.host import make_host

BODY_BYTES_MAX = 100


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.closed = self.has_ended = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written += data

    def close(self) -> None:
        self.closed = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.has_ended = True

    def is_closing(self) -> bool:
        return self.closed


class Client:
    """A client on an HTTP/1.1 connection of a listener whose other actors answer when the test says so."""

    def __init__(self, has_leader: bool = True) -> None:
        self.sent: list[Any] = []
        self.scrapes: list[Answer] = []
        self.calls = Calls(make_host(lambda name, message: self.sent.append(message)), MemberConfig())
        self.calls.on_members(Members(9, 1, 2, [], [], CLUSTER_VERSION))
        if has_leader:
            self.calls.on_leadership(Leadership(1, 2, 9, 4, 7, 3, 0))
        self.transport = Transport()
        scrapes: Any = SimpleNamespace(begin=self.scrapes.append)
        self.unfinished = UnfinishedRequests(1 << 20)
        self.failures: list[Exception] = []
        self.later: list[tuple[float, Callable[[], None]]] = []
        connection: Any = SimpleNamespace(
            transport=self.transport,
            common_name="",
            is_secure=False,
            is_backed_up=False,
            call_soon=lambda do: do(),
            call_later=lambda seconds, do: self.later.append((seconds, do)),
            fail=self.failures.append,
        )
        router = Router(HttpEndpoints(self.calls, scrapes).routes(), HttpAccess())
        self.endpoints = Http1Exchanges(connection, router, BODY_BYTES_MAX, self.unfinished)

    def send(self, path: str, method: str = "GET", headers: str = "", body: str = "") -> None:
        self.endpoints.receive(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}".encode())

    def backend_answers(self, code: int, body: bytes) -> None:
        """To all reads that wait."""
        self.calls.end_turn()
        reads, self.sent = self.sent, []
        self.calls.on_replies(Replies(1, 0, [(item[0], code, body) for read in reads for item in read.items], 1))
        self.calls.end_turn()

    def answers(self) -> list[tuple[int, bytes]]:
        """(status, body) of each response since the last time."""
        found = []
        data, self.transport.written = self.transport.written, b""
        while data:
            head, _, rest = data.partition(b"\r\n\r\n")
            size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            found.append((int(head.split()[1]), rest[:size]))
            data = rest[size:]
        return found

    def only(self) -> tuple[int, Any]:
        [(status, body)] = self.answers()
        return status, json.loads(body)


def test_before_the_cluster_has_a_version_it_is_not_decided() -> None:
    client = Client()
    client.calls.on_members(Members(9, 1, 2, [], [], ""))
    client.send("/version")
    assert client.only() == (200, {"etcdserver": ETCD_VERSION, "etcdcluster": "not_decided"})


def test_version_says_which_etcd_it_is_like() -> None:
    client = Client()
    client.send("/version")
    assert client.only() == (200, {"etcdserver": ETCD_VERSION, "etcdcluster": CLUSTER_VERSION})


def test_other_paths_are_not_found_and_other_methods_not_allowed() -> None:
    client = Client()
    client.send("/v2/keys")
    client.send("/version", method="POST")
    assert client.answers() == [(404, b"404 page not found\n"), (405, b"Method Not Allowed\n")]
    assert not client.transport.closed


def test_a_member_is_healthy_once_the_backend_answers_a_linearizable_read() -> None:
    client = Client()
    client.send("/health")
    assert client.answers() == []
    client.calls.end_turn()
    assert client.sent[0].items[0][3] == 7, "the index that the read must see"
    client.backend_answers(0, b"")
    assert client.only() == (200, {"health": "true", "reason": ""})


def test_a_serializable_health_check_reads_what_the_member_has() -> None:
    client = Client()
    client.send("/health?serializable=true")
    client.calls.end_turn()
    assert client.sent[0].items[0][3] == 0


ALL_GOOD = "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n"


@pytest.mark.parametrize(
    ("path", "alarms", "status", "body"),
    [
        ("/livez", b"", 200, "ok\n"),
        ("/livez?verbose", b"NOSPACE", 200, "[+]serializable_read ok\nok\n"),
        ("/readyz", b"", 200, "ok\n"),
        ("/readyz?verbose", b"", 200, ALL_GOOD),
        ("/readyz/linearizable_read?verbose", b"", 200, "[+]linearizable_read ok\nok\n"),
        (
            "/readyz?exclude=linearizable_read&exclude=unknown",
            b"CORRUPT",
            503,
            "[-]data_corruption failed: alarm activated: CORRUPT\n"
            "[-]serializable_read failed: etcdserver: corrupt cluster\n[+]non_learner ok\n\n",
        ),
        ("/readyz/non_learner", b"", 200, "ok\n"),
        ("/livez/non_learner", b"", 404, "404 page not found\n"),
        ("/readyz/", b"", 404, "404 page not found\n"),
        ("/livezz", b"", 404, "404 page not found\n"),
    ],
)
def test_live_and_ready_say_what_each_check_has_found(path: str, alarms: bytes, status: int, body: str) -> None:
    client = Client()
    client.send(path)
    client.backend_answers(0, alarms)
    assert client.answers() == [(status, body.encode())]


def test_without_a_leader_it_lives_and_is_not_ready() -> None:
    client = Client(has_leader=False)
    client.send("/livez")
    client.backend_answers(0, b"")
    client.send("/readyz?exclude=data_corruption")
    client.backend_answers(0, b"")
    live, ready = client.answers()
    assert live == (200, b"ok\n")
    assert ready[0] == 503 and b"[-]linearizable_read failed: etcdserver: no leader\n" in ready[1]


def test_a_learner_lives_and_is_not_ready() -> None:
    client = Client()
    client.calls.on_members(Members(9, 1, 2, [(2, "", [], [], True)], [], CLUSTER_VERSION))
    client.send("/readyz/non_learner")
    assert client.answers() == [(503, b"[-]non_learner failed: not supported for learner\n\n")]


def test_without_a_leader_it_is_unhealthy_at_once() -> None:
    client = Client(has_leader=False)
    client.send("/health")
    assert client.answers() == [(503, b'{"health":"false","reason":"RAFT NO LEADER"}\n')], "etcd's own bytes"


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ("", 503, "ALARM NOSPACE"),
        ("?exclude=NOSPACE", 503, "ALARM CORRUPT"),
        ("?exclude=NOSPACE&exclude=CORRUPT", 200, ""),
    ],
)
def test_an_alarm_makes_it_unhealthy_unless_it_is_excluded(query: str, status: int, reason: str) -> None:
    client = Client()
    client.send(f"/health{query}")
    client.backend_answers(0, b"NOSPACE CORRUPT")
    found = client.only()
    assert (found[0], found[1]["reason"]) == (status, reason)


def test_pipelined_requests_are_answered_in_their_order() -> None:
    client = Client()
    one, two = (f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in ("/health", "/version"))
    client.endpoints.receive(one + two)
    assert client.answers() == [], "the second waits for the first"
    client.backend_answers(0, b"")
    assert [json.loads(body) for _, body in client.answers()] == [
        {"health": "true", "reason": ""},
        {"etcdserver": ETCD_VERSION, "etcdcluster": CLUSTER_VERSION},
    ]


def test_a_body_that_is_too_large_is_refused_and_ends_the_connection() -> None:
    client = Client()
    client.send("/version", headers=f"Content-Length: {BODY_BYTES_MAX + 1}\r\n", body="x")
    assert client.answers() == [(413, b"request body too large\n")]
    assert client.transport.has_ended and not client.transport.closed, "it may read that before it is cut off"
    client.endpoints.receive(b"x" * 1_000)
    assert client.answers() == []
    [(seconds, end)] = client.later
    end()
    assert seconds == LINGER_S and client.transport.closed


def test_of_what_a_refused_client_sends_on_so_much_is_dropped_and_not_more() -> None:
    client = Client()
    client.send("/version", headers=f"Content-Length: {1 << 30}\r\n")
    for _ in range(LINGER_BYTES_MAX >> 20):
        client.endpoints.receive(bytes(1 << 20))
        assert not client.transport.closed
    client.endpoints.receive(b"x")
    assert client.transport.closed


@pytest.mark.parametrize("end", ["receive_eof", "drain"])
def test_a_refused_client_that_has_sent_all_is_let_go(end: str) -> None:
    client = Client()
    client.send("/version", headers=f"Content-Length: {BODY_BYTES_MAX + 1}\r\n", body="x")
    assert not client.transport.closed
    getattr(client.endpoints, end)()
    assert client.transport.closed


def test_metrics_are_what_the_supervisor_gathers_or_unavailable() -> None:
    client = Client()
    client.send("/metrics")
    client.scrapes.pop()(b"figures")
    client.send("/metrics")
    client.scrapes.pop()(None)
    assert client.answers() == [(200, b"figures"), (503, b"no answer from the supervisor\n")]


def test_metrics_that_come_after_the_client_has_gone_are_dropped() -> None:
    client = Client()
    client.send("/metrics")
    client.transport.close()
    client.scrapes.pop()(b"figures")
    assert client.transport.written == b""


def test_draining_closes_the_connection_after_the_last_answer() -> None:
    client = Client()
    client.send("/health")
    client.endpoints.drain()
    assert not client.transport.closed
    client.backend_answers(0, b"")
    assert client.only()[0] == 200
    assert client.transport.closed


def test_a_client_that_has_closed_its_half_still_gets_its_answer() -> None:
    client = Client()
    client.send("/health")
    client.endpoints.receive_eof()
    assert not client.transport.closed
    client.calls.end_turn()
    client.backend_answers(0, b"")
    assert [status for status, _ in client.answers()] == [200] and client.transport.closed


def test_options_are_answered_everywhere_for_browsers_that_ask_first() -> None:
    client = Client()
    client.send("/version", method="OPTIONS")
    client.send("/nothing", method="OPTIONS")
    assert client.answers() == [(200, b""), (200, b"")]


def test_an_unfinished_request_counts_until_it_is_given_up() -> None:
    client = Client()
    client.endpoints.receive(b"PUT /version HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nxxxxx")
    assert client.unfinished.total > 5 and not client.endpoints.has_asked
    client.endpoints.give_up_unfinished()
    assert [status for status, _ in client.answers()] == [503]
    assert client.unfinished.total == 0 and client.transport.has_ended
