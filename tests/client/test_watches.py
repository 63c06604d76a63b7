"""Where a watcher stands after everything that can come for it, and how streams are resumed."""

from typing import Any

import pytest

from etcdz.api import errors as api
from etcdz.client.errors import ClientClosed, Compacted, PermissionDenied, WatchCanceled
from etcdz.client.methods import AUTHENTICATE, RANGE, WATCH
from etcdz.client.pending import Ask
from etcdz.client.results import Event
from etcdz.client.watches import Watcher, WatchOptions
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from tests.client.scripted import Server, World


def _events(*revisions: int, fragment: bool = False) -> Any:
    events = [mvccpb.Event(kv=mvccpb.KeyValue(key=b"k", mod_revision=revision)) for revision in revisions]
    header = pb.ResponseHeader(revision=max(revisions))
    return pb.WatchResponse(header=header, watch_id=1, events=events, fragment=fragment)


def _said(revision: int, **fields: Any) -> Any:
    return pb.WatchResponse(header=pb.ResponseHeader(revision=revision), watch_id=1, **fields)


@pytest.mark.parametrize(
    ("start", "responses", "resumes_at", "told"),
    [
        (0, [], 0, []),
        (0, [_said(7, created=True)], 8, []),
        (5, [_said(7, created=True)], 5, []),
        (5, [_said(7, created=True), _events(6, 7)], 8, [6, 7]),
        (0, [_said(7, created=True), _events(9)], 10, [9]),
        (0, [_said(7, created=True), _said(20)], 21, []),
        (0, [_said(7, created=True), _said(20), _events(21)], 22, [21]),
        (0, [_said(7, created=True), _events(8, fragment=True)], 8, []),
        (0, [_said(7, created=True), _events(8, 8, fragment=True), _events(8)], 9, [8, 8, 8]),
        (9, [_said(7, created=True), _events(8, 9)], 10, [9]),
    ],
)
def test_where_it_stands(start: int, responses: list[Any], resumes_at: int, told: list[int]) -> None:
    watcher = Watcher(WatchOptions(b"k", start=start))
    for response in responses:
        assert watcher.on_response(response) == ""
    assert watcher.next_revision == resumes_at
    assert [event.revision for event in watcher.events] == told
    request = pb.WatchRequest.FromString(watcher.create_request()).create_request
    assert request.start_revision == resumes_at


def test_fragments_that_a_broken_stream_has_left_are_forgotten() -> None:
    watcher = Watcher(WatchOptions(b"k", start=8))
    watcher.on_response(_events(8, fragment=True))
    watcher.create_request()
    watcher.on_response(_events(8, 8))
    assert [event.revision for event in watcher.events] == [8, 8]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"compact_revision": 30}, Compacted),
        ({"cancel_reason": api.COMPACTED.text}, Compacted),
        (
            {"cancel_reason": f"rpc error: code = PermissionDenied desc = {api.PERMISSION_DENIED.text}"},
            PermissionDenied,
        ),
        ({"cancel_reason": "because"}, WatchCanceled),
    ],
)
def test_what_ends_it(fields: dict[str, Any], error: type[Exception]) -> None:
    watcher = Watcher(WatchOptions(b"k", start=5))
    watcher.on_response(_events(6))
    assert watcher.on_response(_said(40, canceled=True, **fields)) == ""
    assert watcher.take().value is not None, "what was told before can still be taken"
    found = watcher.take().error
    assert type(found) is error
    if isinstance(found, Compacted):
        assert found.compact_revision == fields.get("compact_revision", 0)


@pytest.mark.parametrize("row", [api.INVALID_AUTH_TOKEN, api.AUTH_OLD_REVISION, api.NO_LEADER])
def test_what_a_resumption_heals(row: api.EtcdError) -> None:
    watcher = Watcher(WatchOptions(b"k"))
    assert watcher.on_response(_said(1, canceled=True, cancel_reason=row.text)) == row.text
    assert not watcher.ended


# ---- streams ----


def _creates(server: Server) -> list[tuple[int, int]]:
    """(watch id, start revision) of all that were created so far."""
    requests = [pb.WatchRequest.FromString(body) for path, body in server.seen if path == WATCH.path]
    created = [each.create_request for each in requests if each.HasField("create_request")]
    return [(each.watch_id, each.start_revision) for each in created]


def _confirm(server: Server, stream_id: int, body: bytes) -> None:
    create = pb.WatchRequest.FromString(body).create_request
    if create.watch_id:
        header = pb.ResponseHeader(revision=7)
        response = pb.WatchResponse(header=header, watch_id=create.watch_id, created=True)
        server.conn.send_message(stream_id, response.SerializeToString())


def _tell(world: World, server: Server, response: Any) -> None:
    stream_id = next(iter(server.streams))
    server.conn.send_message(stream_id, response.SerializeToString())
    world.turn()


def _world(*names: str, **options: Any) -> World:
    world = World(*names, **options)
    for server in world.servers.values():
        server.answers[WATCH.path] = _confirm
    return world


def _add(world: World, **options: Any) -> Watcher:
    watcher = world.core.watches.add(WatchOptions(b"k", **options))
    world.turn()
    return watcher


def test_many_watchers_share_a_stream_but_for_those_that_require_a_leader() -> None:
    world = _world("a:1")
    watchers = [_add(world) for _ in range(3)] + [_add(world, requires_leader=True)]
    assert all([watcher.created.value == 7 for watcher in watchers])
    assert len(world.server.streams) == 2


def test_a_server_may_give_watches_its_own_numbers() -> None:
    world = World("a:1")
    asked: list[bytes] = []

    def note(server: Server, stream_id: int, body: bytes) -> None:
        asked.append(pb.WatchRequest.FromString(body).create_request.key)

    world.server.answers[WATCH.path] = note
    watchers = [world.core.watches.add(WatchOptions(key)) for key in (b"x", b"y", b"z")]
    world.turn()
    for number, watcher in enumerate(watchers):
        assert asked == [b"x", b"y", b"z"][: number + 1], "one after the other, until it is known whose numbers count"
        created = pb.WatchResponse(header=pb.ResponseHeader(revision=7), watch_id=number, created=True)
        _tell(world, world.server, created)
        assert watcher.created.value == 7
    for number in (2, 0, 1):
        kv = mvccpb.KeyValue(key=b"xyz"[number : number + 1], mod_revision=8 + number)
        header = pb.ResponseHeader(revision=8 + number)
        _tell(world, world.server, pb.WatchResponse(header=header, watch_id=number, events=[mvccpb.Event(kv=kv)]))
    assert [watcher.events[0].kv.key for watcher in watchers] == [b"x", b"y", b"z"]
    world.core.watches.remove(watchers[1])
    world.turn()
    last = pb.WatchRequest.FromString([body for path, body in world.server.seen if path == WATCH.path][-1])
    assert last.cancel_request.watch_id == 1


def test_a_watcher_that_was_given_up_before_it_was_made_is_given_up_there_too() -> None:
    world = World("a:1")
    world.server.answers[WATCH.path] = lambda server, stream_id, body: None
    first = world.core.watches.add(WatchOptions(b"x"))
    second = world.core.watches.add(WatchOptions(b"y"))
    world.turn()
    world.core.watches.remove(first)
    _tell(world, world.server, pb.WatchResponse(header=pb.ResponseHeader(revision=7), watch_id=40, created=True))
    requests = [pb.WatchRequest.FromString(body) for path, body in world.server.seen if path == WATCH.path]
    assert [request.cancel_request.watch_id for request in requests if request.HasField("cancel_request")][-1] == 40
    assert requests[-1].create_request.key == b"y" or requests[-2].create_request.key == b"y"
    _tell(world, world.server, pb.WatchResponse(header=pb.ResponseHeader(revision=9), watch_id=41, created=True))
    assert second.created.value == 9


def test_a_broken_stream_is_resumed_where_each_watcher_stood() -> None:
    world = _world("a:1")
    first, second = _add(world), _add(world, start=3)
    _tell(world, world.server, _events(9))
    world.server.seen.clear()
    world.server.break_off()
    world.advance(0.1)
    assert sorted(_creates(world.server)) == [(first.watch_id, 10), (second.watch_id, 3)]
    assert not first.ended and not second.ended


def test_it_is_resumed_on_another_endpoint() -> None:
    world = _world("a:1", "b:1")
    watcher = _add(world)
    used, other = sorted(world.servers.values(), key=lambda server: not server.streams)
    used.is_down = True
    used.break_off()
    world.advance(0.1)
    assert _creates(other) == [(watcher.watch_id, 8)]


def test_it_waits_for_an_endpoint_as_long_as_it_takes() -> None:
    world = _world("a:1")
    watcher = _add(world)
    world.server.is_down = True
    world.server.break_off()
    world.advance(600)
    world.server.is_down = False
    world.server.seen.clear()
    world.advance(2)
    assert _creates(world.server) == [(watcher.watch_id, 8)]
    assert not watcher.ended


def test_the_pause_before_a_resumption_grows_and_what_comes_makes_it_short_again() -> None:
    world = _world("a:1")
    _add(world)
    stream = world.core.watches._streams[False]
    pauses = []
    for _ in range(30):
        world.server.answers.pop(WATCH.path, None)
        pauses.append(stream._pause_s)
        world.server.conn.fail(next(iter(world.server.streams)), 14, "etcdserver: server stopped")
        world.server.streams.clear()
        world.turn()
        world.advance(0.2)
    assert pauses[0] == 0.001 and pauses == sorted(pauses) and pauses[-1] == 0.1


def test_a_token_that_is_not_taken_is_renewed_and_the_watch_goes_on() -> None:
    world = _world("a:1", user="u", password="p")

    def log_in(server: Server, stream_id: int, body: bytes) -> None:
        server.conn.reply(stream_id, pb.AuthenticateResponse(token="t").SerializeToString())

    world.server.answers[AUTHENTICATE.path] = log_in
    watcher = _add(world)
    world.server.seen.clear()
    _tell(world, world.server, _said(9, canceled=True, cancel_reason=api.INVALID_AUTH_TOKEN.text))
    world.advance(0.2)
    assert world.server.paths() == [AUTHENTICATE.path, WATCH.path]
    assert _creates(world.server) == [(watcher.watch_id, 8)]


def test_a_denial_is_believed_if_another_token_does_not_help() -> None:
    world = _world("a:1", user="u", password="p")

    def log_in(server: Server, stream_id: int, body: bytes) -> None:
        server.conn.reply(stream_id, pb.AuthenticateResponse(token="t").SerializeToString())

    def deny(server: Server, stream_id: int, body: bytes) -> None:
        reason = api.PERMISSION_DENIED.text
        response = _said(9, created=True, canceled=True, cancel_reason=reason)
        server.conn.send_message(stream_id, response.SerializeToString())

    world.server.answers |= {AUTHENTICATE.path: log_in, WATCH.path: deny}
    watcher = _add(world)
    world.advance(1)
    assert isinstance(watcher.error, PermissionDenied)
    assert world.server.paths().count(AUTHENTICATE.path) == 2


def test_removing_the_last_watcher_ends_the_stream() -> None:
    world = _world("a:1")
    first, second = _add(world), _add(world)
    world.core.watches.remove(first)
    world.turn()
    assert not world.server.canceled and first.take().value is None
    world.core.watches.remove(second)
    world.turn()
    assert world.server.canceled
    assert not world.core.watches.is_active


def test_who_waits_is_told_of_an_event_and_of_the_end() -> None:
    world = _world("a:1")
    watcher = _add(world)
    waiting = watcher.take()
    _tell(world, world.server, _events(9))
    assert isinstance(waiting.value, Event) and waiting.value.revision == 9
    waiting = watcher.take()
    world.core.close()
    assert isinstance(waiting.error, ClientClosed)


def test_two_that_wait_have_an_event_each_and_both_are_told_of_the_end() -> None:
    world = _world("a:1")
    watcher = _add(world)
    waiting = [watcher.take(), watcher.take(), watcher.take(), watcher.take()]
    _tell(world, world.server, _events(9, 10))
    assert [each.value.revision for each in waiting[:2] if each.value] == [9, 10]
    world.core.close()
    assert all(isinstance(each.error, ClientClosed) for each in waiting[2:])


@pytest.mark.parametrize("came_first", [False, True])
def test_an_event_for_who_has_given_up_waiting_goes_to_the_next(came_first: bool) -> None:
    world = _world("a:1")
    watcher = _add(world)
    step = Ask(lambda core: watcher.take(), None, watcher.put_back)
    given_up = step.begin(world.core)
    if came_first:
        _tell(world, world.server, _events(9, 10))
        step.give_up(world.core, given_up)
    else:
        step.give_up(world.core, given_up)
        _tell(world, world.server, _events(9, 10))
    taken = [watcher.take().value for _ in range(2)]
    assert [event.revision for event in taken if event] == [9, 10]


def test_what_is_no_message_ends_its_stream_alone() -> None:
    world = _world("a:1")
    watcher = _add(world)
    other = world.call(RANGE)
    world.server.conn.send_message(next(iter(world.server.streams)), b"\xff\xff")
    world.turn()
    assert not other.done and not watcher.ended
    world.advance(0.2)
    assert _creates(world.server)[-1] == (watcher.watch_id, 8)


def test_one_that_is_refused_whenever_it_is_created_is_not_created_at_once_again() -> None:
    world = _world("a:1")

    def refuse(server: Server, stream_id: int, body: bytes) -> None:
        _confirm(server, stream_id, body)
        response = _said(9, canceled=True, cancel_reason=api.NO_LEADER.text)
        server.conn.send_message(stream_id, response.SerializeToString())

    world.server.answers[WATCH.path] = refuse
    _add(world, requires_leader=True)
    world.advance(1)
    world.server.seen.clear()
    world.advance(10)
    assert 90 <= len(world.server.seen) <= 110
