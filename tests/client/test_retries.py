"""What is sent again and what is not, as the table of etcdz.client.retries says."""

from itertools import pairwise
from typing import Any

import pytest

from etcdz.api import errors as api
from etcdz.client.errors import (
    BY_TEXT,
    ClientClosed,
    DeadlineExceeded,
    EtcdError,
    ServerTimeout,
    Unavailable,
    error_of,
)
from etcdz.client.methods import AUTHENTICATE, PUT, RANGE, Method
from etcdz.client.pending import Request
from etcdz.proto import etcdserverpb as pb
from tests.client.scripted import Server, World, fails, replies


def _lose(server: Server, stream_id: int, body: bytes) -> None:
    server.breaks = True


def _refuse(server: Server, stream_id: int, body: bytes) -> None:
    server.refuse(stream_id)


@pytest.mark.parametrize("method", [RANGE, PUT], ids=["read", "write"])
@pytest.mark.parametrize(
    ("end", "read_again", "write_again"),
    [
        (api.TIMEOUT, True, False),
        (api.LEADER_CHANGED, True, False),
        (api.STOPPED, True, False),
        (api.NO_LEADER, True, True),
        (api.NOT_SUPPORTED_FOR_LEARNER, True, True),
        (api.NO_SPACE, False, False),
        (api.REQUEST_TOO_MANY_REQUESTS, False, False),
        (api.INVALID_AUTH_TOKEN, False, False),
        (_lose, True, False),
        (_refuse, True, True),
    ],
    ids=lambda value: getattr(value, "__name__", getattr(value, "name", "")),
)
def test_what_is_sent_again(method: Method, end: Any, read_again: bool, write_again: bool) -> None:
    world = World("a:1")
    first = fails(end) if isinstance(end, api.EtcdError) else end

    def answer(server: Server, stream_id: int, body: bytes) -> None:
        (first if len(server.seen) == 1 else replies())(server, stream_id, body)

    world.server.answers[method.path] = answer
    call = world.call(method)
    world.advance(1)
    again = read_again if method is RANGE else write_again
    assert call.done and (call.error is None) is again
    assert len(world.server.seen) == (2 if again else 1)


@pytest.mark.parametrize(
    ("row", "maybe"),
    [(api.TIMEOUT, True), (api.STOPPED, True), (api.NO_SPACE, True), (api.CORRUPT, False), (api.EMPTY_KEY, False)],
)
def test_a_write_that_may_have_been_applied_says_so(row: api.EtcdError, maybe: bool) -> None:
    world = World("a:1")
    world.server.answers[PUT.path] = fails(row)
    error = world.call(PUT).error
    assert isinstance(error, EtcdError) and error.maybe_applied is maybe


def test_a_write_whose_connection_was_lost_names_the_endpoint() -> None:
    world = World("a:1")
    call = world.call(PUT)
    world.server.break_off()
    assert isinstance(call.error, Unavailable) and call.error.maybe_applied
    assert "a:1" in call.error.text and "reset by peer" in call.error.text


def test_a_read_that_fails_goes_to_the_next_endpoint() -> None:
    world = World("a:1", "b:1")
    world.call(RANGE, timeout_s=0.001)
    for server in world.servers.values():
        server.seen.clear()
        server.answers[RANGE.path] = fails(api.STOPPED, 1)
    call = world.call(RANGE)
    world.advance(0.1)
    assert call.error is None
    assert {name for name, server in world.servers.items() if server.seen} == {"a:1", "b:1"}


def test_calls_take_turns_over_the_endpoints() -> None:
    world = World("a:1", "b:1", "c:1")
    for server in world.servers.values():
        server.answers[PUT.path] = replies()
    for _ in range(9):
        assert world.call(PUT).error is None
    assert min([len(server.seen) for server in world.servers.values()]) >= 2


def test_one_endpoint_that_is_up_is_enough() -> None:
    world = World("a:1", "b:1", "c:1")
    world.servers["a:1"].is_down = world.servers["b:1"].is_down = True
    world.servers["c:1"].answers[PUT.path] = replies()
    call = world.call(PUT)
    assert call.done and call.error is None


def test_without_an_endpoint_a_call_fails_when_the_tries_of_etcds_client_would_be_over() -> None:
    world = World("a:1", "b:1", "c:1")
    for server in world.servers.values():
        server.is_down = True
    call = world.call(PUT)
    world.advance(1.24)
    assert not call.done
    world.advance(0.02)
    assert isinstance(call.error, Unavailable) and not call.error.maybe_applied
    assert all([name in call.error.text for name in world.servers]) and "refused" in call.error.text


def test_a_call_waits_for_an_endpoint_that_comes_up() -> None:
    world = World("a:1")
    world.server.is_down = True
    world.server.answers[PUT.path] = replies()
    call = world.call(PUT)
    world.advance(1)
    world.server.is_down = False
    world.advance(1.2)
    assert call.done and call.error is None


@pytest.mark.parametrize("is_down", [True, False])
def test_a_deadline_holds_whether_or_not_there_is_a_connection(is_down: bool) -> None:
    world = World("a:1")
    world.server.is_down = is_down
    call = world.call(PUT, timeout_s=0.5)
    world.advance(0.49)
    assert not call.done
    world.advance(0.02)
    assert isinstance(call.error, DeadlineExceeded) and isinstance(call.error, TimeoutError)
    assert call.error.maybe_applied is not is_down


def test_a_read_is_tried_a_hundred_times_and_no_more() -> None:
    world = World("a:1")
    world.server.answers[RANGE.path] = fails(api.TIMEOUT, 1_000)
    call = world.call(RANGE, timeout_s=60)
    world.advance(10)
    assert isinstance(call.error, ServerTimeout)
    assert len(world.server.seen) == 100


def test_a_server_that_is_silent_is_asked_for_a_sign_of_life_and_given_up() -> None:
    world = World("a:1", timeout_s=0)
    world.call(PUT)
    world.server.line = None  # it reads no more, and nobody says so
    call = world.core.call(PUT, b"", 0)
    world.advance(7.9)
    assert not call.done
    world.advance(0.2)
    assert isinstance(call.error, Unavailable)


def _silenced(world: World) -> str:
    """The endpoint that has the only call, and reads no more."""
    (name,) = [name for name, server in world.servers.items() if server.line is not None and server.line.calls]
    world.servers[name].line = None
    return name


def _connected(**options: Any) -> World:
    """Two endpoints, both up."""
    world = World("a:1", "b:1", timeout_s=0, **options)
    for server in world.servers.values():
        server.answers[RANGE.path] = replies(b"first")
    assert world.call(RANGE).done
    for server in world.servers.values():
        server.answers.clear()
    return world


def test_a_read_leaves_a_server_that_gives_no_sign_of_life_and_a_write_waits() -> None:
    world = _connected()
    read = world.call(RANGE)
    silent = _silenced(world)
    (other,) = [server for name, server in world.servers.items() if name != silent]
    other.answers |= {RANGE.path: replies(b"x"), PUT.path: replies(b"y")}
    world.advance(2.9)
    assert not read.done
    world.advance(0.2)
    assert read.value == b"x"
    for _ in range(4):
        assert world.call(PUT).value == b"y", "nothing new is sent there"


def test_a_write_waits_for_a_silent_server_until_it_is_given_up() -> None:
    world = _connected()
    write = world.call(PUT)
    _silenced(world)
    world.advance(7.9)
    assert not write.done
    world.advance(0.2)
    assert isinstance(write.error, Unavailable) and write.error.maybe_applied


def test_a_server_that_answers_late_is_trusted_again() -> None:
    world = _connected()
    write = world.call(PUT)
    (line,) = [server.line for server in world.servers.values() if server.line and server.line.calls]
    silent = world.servers[_silenced(world)]
    world.advance(4)
    assert line.is_suspect
    silent.line = line
    silent.answers[PUT.path] = replies(b"y")
    silent.conn.reply(next(iter(line.calls)), b"late")
    world.turn()
    assert write.value == b"late" and not line.is_suspect


def test_signs_of_life_are_not_asked_for_so_often_that_etcd_minds() -> None:
    world = World("a:1", timeout_s=0)
    call = world.call(PUT)
    asked: list[float] = []
    ping = world.server.line.grpc.ping  # type: ignore[union-attr]
    world.server.line.grpc.ping = lambda: asked.append(world.now) or ping()  # type: ignore
    world.advance(60)
    assert not call.done
    assert 8 <= len(asked) <= 10 and all(later - earlier >= 6 for earlier, later in pairwise(asked))


def test_a_server_that_does_not_greet_is_no_connection() -> None:
    world = World("a:1")
    world.core.call(PUT, b"", 0)
    (line,) = world.core.take_dials()
    world.core.connected(line)
    world.advance(6)
    assert line.is_ended


def test_close_fails_what_is_under_way_and_what_comes_after() -> None:
    world = World("a:1", "b:1")
    world.servers["b:1"].is_down = True
    calls = [world.call(PUT) for _ in range(3)]
    world.core.close()
    assert all([isinstance(call.error, ClientClosed) for call in calls])
    with pytest.raises(ClientClosed):
        world.core.call(PUT, b"")


def test_a_cancelled_call_is_cancelled_at_the_server() -> None:
    world = World("a:1")
    call = world.call(PUT)
    world.core.cancel(call)
    world.turn()
    assert call.error is not None and world.server.canceled
    assert world.core.next_deadline() is None or not world.server.line.calls


@pytest.mark.parametrize("row", list(api.BY_NAME.values()), ids=list(api.BY_NAME))
def test_each_error_of_etcd_is_a_class_of_its_own(row: api.EtcdError) -> None:
    error = error_of(row.code, row.text)
    assert type(error) is BY_TEXT[row.text]
    assert (error.code, error.text) == (row.code, row.text)
    assert error.retriable is (row.code == api.Code.UNAVAILABLE or row is api.REQUEST_TOO_MANY_REQUESTS)


def test_what_is_no_error_of_etcd_is_told_by_its_code() -> None:
    assert type(error_of(14, "no such thing")) is Unavailable
    assert type(error_of(4, "late")) is DeadlineExceeded
    assert type(error_of(2, "?")) is EtcdError


@pytest.mark.parametrize(
    ("code", "text", "maybe"),
    [
        (api.Code.INTERNAL, "stream terminated by RST_STREAM with error code: 2", True),
        (api.Code.UNKNOWN, "unexpected HTTP status code received from server: 500", True),
        (api.Code.RESOURCE_EXHAUSTED, "grpc: received message larger than max (5 vs. 4)", True),
        (api.Code.CANCELED, "context canceled", True),
        (api.Code.RESOURCE_EXHAUSTED, api.REQUEST_TOO_MANY_REQUESTS.text, False),
        (api.Code.INVALID_ARGUMENT, "grpc: what is not valid", False),
    ],
)
def test_only_etcd_itself_says_that_nothing_was_applied(code: int, text: str, maybe: bool) -> None:
    world = World("a:1")
    for method in (PUT, RANGE):
        world.server.answers[method.path] = lambda server, stream_id, body: server.conn.fail(stream_id, code, text)
    write, read = world.call(PUT).error, world.call(RANGE).error
    assert isinstance(write, EtcdError) and write.maybe_applied is maybe
    assert isinstance(read, EtcdError) and not read.maybe_applied


@pytest.mark.parametrize(("method", "maybe"), [(PUT, True), (RANGE, False)])
def test_an_answer_that_is_no_message_is_an_error(method: Method, maybe: bool) -> None:
    request = Request(method, b"", pb.PutResponse.FromString)
    with pytest.raises(EtcdError) as caught:
        request.result(b"\xff\xff")
    assert (caught.value.code, caught.value.maybe_applied) == (api.Code.INTERNAL, maybe)


def test_a_login_that_is_answered_by_no_message_fails_who_waits() -> None:
    world = World("a:1", user="u", password="p")
    world.server.answers[AUTHENTICATE.path] = replies(b"\xff\xff")
    call = world.call(PUT)
    assert isinstance(call.error, EtcdError) and call.error.code == api.Code.INTERNAL


@pytest.mark.parametrize("timeout_s", [float("inf"), float("nan")])
def test_a_timeout_without_an_end_is_none(timeout_s: float) -> None:
    world = World("a:1")
    world.server.answers[PUT.path] = replies()
    for _ in range(3):
        assert world.call(PUT, timeout_s=timeout_s).error is None
