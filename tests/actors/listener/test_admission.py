"""Places of calls in flight: what clients give up, and what one client piles up, refuses no call of another."""

from typing import Any

import pytest

from actors.listener.call import Client, ForClient
from actors.runtime.link import Peer
from etcdz import limits
from etcdz.api import errors
from etcdz.api.methods import PUT, RANGE
from etcdz.ipc.messages import Refused, Replies
from etcdz.proto import etcdserverpb as pb
from tests.actors.listener.host import make_calls

PUT_BODY = pb.PutRequest(key=b"k", value=b"v").SerializeToString()
RANGE_BODY = pb.RangeRequest(key=b"k", serializable=True).SerializeToString()
MAX = limits.CALLS_IN_FLIGHT_MAX
TOO_MANY = (errors.REQUEST_TOO_MANY_REQUESTS.code, errors.REQUEST_TOO_MANY_REQUESTS.text.encode())


class Connection(Client):
    """Stands for a connection: knows which of its streams are open, and keeps what was answered."""

    def __init__(self) -> None:
        self.streams: set[int] = set()
        self.answers: dict[int, tuple[int, bytes]] = {}

    @property
    def open_calls(self) -> int:
        return len(self.streams)

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        self.streams.discard(stream_id)
        self.answers[stream_id] = (code, body)

    def flush(self) -> None:
        pass


class Setup:
    """A listener's calls with two clients: one that floods, and one that must not notice."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.hostile, self.victim = Connection(), Connection()
        self.calls = make_calls(self.sent)

    def begin(self, client: Connection, stream_ids: Any, method: int = PUT, body: bytes = PUT_BODY) -> None:
        for stream_id in stream_ids:
            client.streams.add(stream_id)
            self.calls.begin(client, stream_id, method, body, None)

    def reset(self, client: Connection, stream_ids: Any) -> None:
        client.streams -= set(stream_ids)
        self.calls.cancel({client: set(stream_ids)})

    def turn(self) -> list[int]:
        """return the ids that left for the other actors, in order"""
        self.calls.end_turn()
        sent, self.sent[:] = list(self.sent), []
        return [item[0] for message in sent for item in message.items]

    def reply(self, ids: list[int]) -> None:
        self.calls.on_replies(Replies(1, 1, [(number, 0, b"done") for number in ids], 1))


@pytest.fixture
def setup() -> Setup:
    return Setup()


@pytest.mark.parametrize(("method", "body"), [(PUT, PUT_BODY), (RANGE, RANGE_BODY)])
def test_calls_that_are_reset_before_they_left_go_nowhere(setup: Setup, method: int, body: bytes) -> None:
    setup.begin(setup.hostile, range(10), method, body)
    setup.reset(setup.hostile, range(9))
    assert len(setup.turn()) == len(setup.calls) == 1


@pytest.mark.parametrize(("method", "body"), [(PUT, PUT_BODY), (RANGE, RANGE_BODY)])
def test_a_flood_of_resets_refuses_no_call_of_another_client(setup: Setup, method: int, body: bytes) -> None:
    first: list[int] = []
    for at in range(0, 4 * MAX, 100):
        setup.begin(setup.hostile, range(at, at + 100), method, body)
        first += setup.turn()
        setup.reset(setup.hostile, range(at, at + 100))
    setup.begin(setup.victim, [1])
    assert setup.victim.answers == {}
    assert len(first) <= MAX, "what is reset does not pile up on its way to the backend"
    setup.reply(first)
    setup.reply(setup.turn())
    assert setup.victim.answers == {1: (0, b"done")}
    assert set(setup.hostile.answers.values()) <= {TOO_MANY}, "nobody is told what became of a call that was reset"


def test_a_flood_of_connections_that_end_refuses_no_call_of_another_client(setup: Setup) -> None:
    first: list[int] = []
    for _ in range(2 * MAX // 50):
        gone = Connection()
        setup.begin(gone, range(50))
        first += setup.turn()
        setup.calls.lose(gone)
    setup.begin(setup.victim, [1])
    setup.reply(first)
    setup.reply(setup.turn())
    assert setup.victim.answers == {1: (0, b"done")}


def test_calls_that_one_client_piles_up_refuse_none_of_another(setup: Setup) -> None:
    setup.begin(setup.hostile, range(MAX + 10))
    assert set(setup.hostile.answers) == set(range(MAX, MAX + 10)), "the greedy client is told so"
    setup.begin(setup.victim, range(3))
    assert setup.victim.answers == {}
    ids = setup.turn()
    setup.reply(ids[:2])
    setup.begin(setup.hostile, [MAX + 20])
    assert MAX + 20 in setup.hostile.answers, "the places that are free are those of the clients that wait"
    setup.reply(setup.turn())
    assert set(setup.victim.answers) == {0, 1}


def test_what_a_lock_asks_for_its_client_waits_as_a_call_of_the_client_does(setup: Setup) -> None:
    """Else the lock would fail, or its key stay when the client has gone."""

    class Part(ForClient):
        def __init__(self, client: Connection) -> None:
            self.answers: list[tuple[int, int, bytes]] = []
            self._client = client

        @property
        def client(self) -> Connection:
            return self._client

        def reply(self, stream_id: int, code: int, body: bytes) -> None:
            self.answers.append((stream_id, code, body))

        def flush(self) -> None:
            pass

    setup.begin(setup.hostile, range(MAX))
    greedy, modest = Part(setup.hostile), Part(setup.victim)
    setup.calls.begin(greedy, 1, PUT, PUT_BODY, None)
    setup.calls.begin(modest, 1, PUT, PUT_BODY, None)
    assert (greedy.answers, modest.answers) == ([(1, *TOO_MANY)], [])
    setup.reply(setup.turn()[:1])
    setup.reply(setup.turn())
    assert modest.answers == [(1, 0, b"done")]


def test_waiting_calls_are_bounded_for_all_clients_together(setup: Setup) -> None:
    setup.begin(setup.hostile, range(MAX))
    others = [Connection() for _ in range(limits.CALLS_WAITING_MAX // 10 + 1)]
    for other in others:
        setup.begin(other, range(10))
    refused = sum(len(other.answers) for other in others)
    assert refused == 10 * len(others) - limits.CALLS_WAITING_MAX


def test_a_waiting_call_that_is_reset_never_begins(setup: Setup) -> None:
    setup.begin(setup.hostile, range(MAX))
    setup.begin(setup.victim, [1, 3])
    setup.reset(setup.victim, [1])
    setup.reply(setup.turn())
    assert len(setup.turn()) == 1


def test_a_call_that_has_waited_for_the_request_timeout_is_refused(setup: Setup) -> None:
    setup.begin(setup.hostile, range(MAX))
    setup.begin(setup.victim, [1])
    setup.calls.expire(now=1e12)
    assert setup.victim.answers == {1: TOO_MANY}


def test_places_of_abandoned_calls_are_free_again_when_raft_refuses_them(setup: Setup) -> None:
    setup.begin(setup.hostile, range(MAX))
    ids = setup.turn()
    setup.reset(setup.hostile, range(MAX))
    setup.calls.on_refused(Refused([(number, errors.REQUEST_TOO_MANY_REQUESTS.name) for number in ids]))
    setup.begin(setup.hostile, range(MAX, 2 * MAX))
    assert setup.hostile.answers == {}


@pytest.mark.parametrize("kind", ["raft", "wal", "backend"])
def test_what_was_abandoned_is_not_offered_again_and_holds_no_place(setup: Setup, kind: str) -> None:
    setup.begin(setup.hostile, range(MAX))
    setup.turn()
    setup.reset(setup.hostile, range(MAX))
    setup.calls.on_peer_up(Peer(kind, kind, 0, 2, ""))
    assert setup.turn() == []
    setup.begin(setup.hostile, range(MAX, 2 * MAX))
    assert setup.hostile.answers == {}
