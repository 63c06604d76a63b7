"""What single watchers are told, case by case."""

from typing import Any

import pytest

from etcdz.api import errors
from etcdz.proto import etcdserverpb as pb
from etcdz.watch.hub import CHANGES, CHANGES_AND_PREV_KV, NOTHING, SERVED_AT_ONCE
from tests.watch.world import CLUSTER_ID, MEMBER_ID, TERM, Client, World


def start(**fields: Any) -> tuple[World, Client]:
    """A world with one watcher on `a` and everything behind it."""
    world = World(fields.pop("fragment_bytes", 1 << 20))
    client = Client(world)
    client.create(b"a", range_end=b"\0", **fields)
    world.settle()
    return world, client


def revisions(responses: list[Any]) -> list[int]:
    return [event.kv.mod_revision for response in responses for event in response.events]


def test_ids_are_given_in_turn_and_pass_over_those_that_clients_have_chosen() -> None:
    world, client = start()
    client.create(b"b", watch_id=1)
    client.create(b"b")
    client.create(b"b", watch_id=1)
    client.create(b"b", watch_id=-5)
    client.cancel(0)
    client.cancel(0)
    client.create(b"b", watch_id=7)
    world.settle()
    shown = [(each.watch_id, each.created, each.canceled, each.cancel_reason) for each in client.responses]
    assert shown == [
        (0, True, False, ""),
        (1, True, False, ""),
        (2, True, False, ""),
        (-1, True, True, "mvcc: duplicate watch ID provided on the WatchStream"),
        (-5, True, False, ""),
        (0, False, True, ""),
        (7, True, False, ""),
    ]


def test_headers_name_cluster_member_revision_and_term() -> None:
    world, client = start()
    header = client.responses[0].header
    assert (header.cluster_id, header.member_id, header.raft_term) == (CLUSTER_ID, MEMBER_ID, TERM)
    assert header.revision == 1
    world.put(b"b")
    world.settle()
    assert client.responses[1].header.revision == 2


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"key": b"b", "range_end": b"b"}, "mvcc: watcher range is empty"),
        ({"key": b"b", "range_end": b"a"}, "mvcc: watcher range is empty"),
        ({"key": b"b", "start_revision": -1}, errors.COMPACTED.text),
        ({"key": b"b", "range_end": b"a", "start_revision": -1}, errors.COMPACTED.text),
        ({"key": b"forbidden"}, errors.PERMISSION_DENIED.text),
    ],
)
def test_a_watch_that_is_refused_is_created_and_canceled_at_once(fields: dict[str, Any], reason: str) -> None:
    world, client = start()
    world.hub.permit = lambda stream, request: errors.PERMISSION_DENIED if request.key == b"forbidden" else None
    client.create(**fields)
    world.settle()
    last = client.responses[-1]
    assert (last.watch_id, last.created, last.canceled, last.cancel_reason) == (-1, True, True, reason)
    assert list(client.stream.watchers) == [0]


def test_an_empty_key_is_the_smallest_one() -> None:
    world = World()
    client = Client(world)
    client.create(b"", range_end=b"\0")
    client.create(b"")
    world.settle()
    world.put(b"x")
    world.put(b"\0")
    world.settle()
    assert revisions(client.of(0)) == [2, 3]
    assert revisions(client.of(1)) == [3]


def test_a_compacted_start_is_told_with_the_revision_and_the_id_stays_taken_until_it_is_cancelled() -> None:
    world, client = start()
    for _ in range(5):
        world.put(b"a")
    world.compact(4)
    client.create(b"a", watch_id=9, start_revision=3)
    client.create(b"a", watch_id=9)
    client.cancel(9)
    client.create(b"a", watch_id=9, start_revision=4)
    world.settle()
    shown = [(r.created, r.canceled, r.compact_revision, r.cancel_reason) for r in client.of(9)]
    assert shown[0] == (True, False, 0, "")
    assert (False, True, 4, "") in shown or (False, True, 0, "") in shown
    assert shown[-2:] == [(True, False, 0, ""), (False, False, 0, "")]
    assert revisions(client.of(9)[-1:]) == [4, 5, 6]


def test_what_was_before_a_compaction_is_not_shown() -> None:
    world, client = start()
    for value in (b"1", b"2", b"3", b"4"):
        world.put(b"a", value)
    world.compact(3)
    client.create(b"a", watch_id=9, start_revision=3, prev_kv=True)
    world.settle()
    events = client.of(9)[-1].events
    assert [(event.kv.value, event.prev_kv.value) for event in events] == [(b"2", b""), (b"3", b"2"), (b"4", b"3")]


@pytest.mark.parametrize(("room", "sizes"), [(1 << 20, [6]), (10, [1] * 6), (200, [4, 2])])
def test_fragments_hold_as_many_events_as_fit_and_all_but_the_last_say_so(room: int, sizes: list[int]) -> None:
    world, client = start(fragment=True, fragment_bytes=room)
    client.create(b"a", range_end=b"\0")
    world.settle()
    client.take()
    world.txn([b"k%d" % i for i in range(6)], b"x" * 29)
    world.settle()
    cut, whole = client.of(0), client.of(1)
    assert [len(response.events) for response in cut] == sizes
    assert [response.fragment for response in cut] == [True] * (len(sizes) - 1) + [False]
    assert all(len(response.SerializeToString()) < room for response in cut if len(response.events) > 1)
    assert [len(response.events) for response in whole] == [6]


def test_filters() -> None:
    world = World()
    client = Client(world)
    for filters in ([0], [1], [0, 1], [5]):
        client.create(b"a", filters=filters)
    world.settle()
    world.put(b"a")
    world.delete(b"a")
    world.settle()
    assert [revisions(client.of(watch_id)) for watch_id in range(4)] == [[3], [2], [], [2, 3]]


def test_nobody_who_watches_costs_no_frame() -> None:
    world, client = start()
    assert world.publisher.wants == {0: CHANGES}
    client.cancel(0)
    world.settle()
    assert world.publisher.wants == {}
    world.put(b"a")
    world.commit()
    assert not world.to_listener
    client.create(b"a", prev_kv=True)
    world.settle()
    assert world.publisher.wants == {0: CHANGES_AND_PREV_KV}
    world.hub.close(client.stream)
    world.settle()
    assert world.publisher.wants == {}
    assert world.hub._wants() == NOTHING


def test_a_stalled_client_is_sent_nothing_and_asked_for_nothing_until_it_reads_on() -> None:
    world, client = start(prev_kv=True)
    client.stop_reading()
    for number in range(50):
        world.put(b"a", b"%d" % number)
        world.settle()
    assert len(client.responses) == 1
    assert world.publisher.wants == {}, "and the backend does nothing for it"
    client.read_on()
    world.settle()
    assert revisions(client.responses) == list(range(2, 52))
    assert client.responses[-1].events[-1].prev_kv.value == b"48"


def test_one_stalled_client_does_not_hold_up_the_others() -> None:
    world, stalled = start()
    other = Client(world)
    other.create(b"a", range_end=b"\0")
    world.settle()
    stalled.stop_reading()
    for _ in range(10):
        world.put(b"a")
        world.settle()
    assert revisions(other.responses) == list(range(2, 12))
    assert revisions(stalled.responses) == []


def test_watchers_far_behind_do_not_wait_for_one_another() -> None:
    world, client = start()
    for _ in range(3_000):
        world.put(b"x")
    world.settle()
    client.take()
    client.create(b"a", range_end=b"\0", start_revision=2)
    client.create(b"a", range_end=b"\0", start_revision=2_990)
    world.settle()
    order = [response.watch_id for response in client.responses if response.events]
    assert order.index(2) < len(order) - 1 - order[::-1].index(1), (
        "the near one is served before the far one is through"
    )
    assert revisions(client.of(1)) == list(range(2, 3_002))
    assert revisions(client.of(2)) == list(range(2_990, 3_002))


def test_progress_is_told_to_quiet_watchers_and_not_to_those_that_had_events() -> None:
    world = World()
    client = Client(world)
    client.create(b"a", progress_notify=True)
    client.create(b"b", progress_notify=True)
    client.create(b"c")
    client.create(b"d", progress_notify=True, start_revision=100)
    world.settle()
    world.put(b"b")
    world.settle()
    client.take()
    world.hub.notify(9.9)
    assert client.take() == []
    world.hub.notify(10.0)
    assert [(each.watch_id, each.header.revision, len(each.events)) for each in client.take()] == [(0, 2, 0)]
    world.hub.notify(20.0)
    assert [each.watch_id for each in client.take()] == [0, 1]


def test_a_progress_request_is_answered_for_all_watchers_at_once() -> None:
    world, client = start()
    world.put(b"a")
    client.ask_progress()
    world.settle()
    assert [(each.watch_id, each.header.revision) for each in client.responses[-2:]] == [(0, 2), (-1, 2)]


def test_a_progress_request_waits_until_nobody_is_behind() -> None:
    world, client = start()
    for _ in range(2_000):
        world.put(b"a")
    client.create(b"a", start_revision=2)
    client.ask_progress()
    world.settle()
    assert [each.watch_id for each in client.responses].index(-1) == len(client.responses) - 1
    assert client.responses[-1].header.revision == 2_001


@pytest.mark.parametrize("fields", [{"start_revision": 50}, None])
def test_no_progress_without_watchers_or_before_a_start_in_the_future(fields: dict[str, Any] | None) -> None:
    world = World()
    client = Client(world)
    if fields is not None:
        client.create(b"a", **fields)
    client.ask_progress()
    world.settle()
    assert [each.watch_id for each in client.responses if not each.created] == []


def test_a_flood_of_requests_is_served_in_order_and_in_portions() -> None:
    world, client = start()
    other = Client(world)
    client.take()
    count = 3 * SERVED_AT_ONCE
    for _ in range(count):
        client.create(b"b")
    other.create(b"b")
    most = 0
    while not other.responses:
        before = len(client.responses)
        world.hub.end_turn()
        world.put(b"b")
        world.backend_turn()
        world.listener_turn()
        most = max(most, sum(each.created for each in client.responses[before:]))
    assert most == SERVED_AT_ONCE
    created = [each for each in client.responses if each.created]
    assert [each.watch_id for each in created] == list(range(1, count + 1))
    seen = revisions(client.of(1))
    assert seen == list(range(seen[0], seen[-1] + 1)), "no event is lost while others are still to be created"
    assert client.stream.pending == 0


class _Unwalked(dict[int, Any]):
    """A dict whose entries nobody goes through one by one."""

    def values(self) -> Any:
        raise AssertionError("a message of the client has led over all its watchers")

    __iter__ = items = values


@pytest.mark.parametrize("start_revision", [0, 50, 2], ids=["synced", "in the future", "behind"])
def test_no_request_of_a_client_walks_over_its_watchers(start_revision: int) -> None:
    """A stream may have a hundred thousand of them, and its client may ask as often as it likes."""
    world, client = start()
    for _ in range(3):
        world.put(b"a")
    world.settle()
    client.stream.watchers = _Unwalked(client.stream.watchers)
    for number in range(3):
        client.create(b"a", start_revision=start_revision)
        client.ask_progress()
        client.cancel(number)
    client.ask_progress()
    world.settle()


def test_a_start_in_the_future_holds_progress_back_until_it_has_come_or_is_cancelled() -> None:
    world, client = start()
    client.create(b"a", start_revision=3)
    client.create(b"a", start_revision=99)
    client.ask_progress()
    client.cancel(2)
    client.ask_progress()
    world.settle()
    assert -1 not in [each.watch_id for each in client.take()]
    world.put(b"a")
    world.put(b"a")
    world.settle()
    client.ask_progress()
    world.settle()
    assert client.take()[-1].watch_id == -1


def test_a_request_that_asks_for_nothing_gets_nothing() -> None:
    world, client = start()
    client.take()
    client.request()
    world.settle()
    assert client.responses == []


# ---- many watchers of one stream ----


@pytest.mark.parametrize("size", [1, 500, 1_000, 5_000, 20_000], ids=lambda size: f"{size} bytes")
def test_watchers_of_a_stream_each_get_their_own_response_however_they_are_sent(size: int) -> None:
    """300 of them, so that ids are of one byte and of two, and together they are more than a frame holds."""
    world = World()
    client = Client(world)
    for number in range(300):
        client.create(b"k", prev_kv=number % 3 == 0, filters=[0] if number % 50 == 0 else [])
    world.settle()
    client.take()
    for value in (b"1" * size, b"2" * size):
        world.put(b"k", value)
    world.settle()
    wanted = [number for number in range(300) if number % 50]
    assert sorted({each.watch_id for each in client.responses}) == wanted
    for number in wanted:
        events = [event for each in client.of(number) for event in each.events]
        assert [(event.kv.mod_revision, event.kv.value[:1]) for event in events] == [(2, b"1"), (3, b"2")]
        assert [event.prev_kv.value[:1] for event in events] == [b"", b"1" if number % 3 == 0 else b""]


def test_a_stream_that_stops_reading_among_its_watchers_loses_nothing() -> None:
    """It clogs after some of them were told: the others are told when it reads on, each of every change once."""
    world = World()
    client = Clogging(world, after=2)
    for _ in range(100):
        client.create(b"k")
    world.settle()
    client.take()
    for _ in range(3):
        world.put(b"k", b"x" * 1_500)
        world.settle()
        assert len(client.responses) < 300
    client.after = 1 << 30
    while client.waits:
        client.read_on()
        world.settle()
    for number in range(100):
        assert revisions(client.of(number)) == [2, 3, 4], number


class Clogging(Client):
    """Stops reading after so many pieces."""

    def __init__(self, world: World, after: int) -> None:
        super().__init__(world)
        self.after = after

    def send_joined(self, messages: bytes, count: int) -> None:
        super().send_joined(messages, count)
        self.after -= 1
        self.reads = self.reads and self.after > 0


def test_a_watcher_that_starts_in_the_future_is_not_told_with_the_others() -> None:
    world = World()
    client = Client(world)
    for start_revision in (0, 4, 0, 3, 4):
        client.create(b"k", start_revision=start_revision)
    for _ in range(4):
        world.put(b"k")
        world.settle()
    first = revisions(client.of(0))[0]
    told = [revisions(client.of(number)) for number in range(5)]
    assert told == [list(range(lo, 6)) for lo in (first, 4, first, 3, 4)]


def test_an_event_counts_as_often_as_it_is_sent() -> None:
    world = World()
    client, other = Client(world), Client(world)
    for _ in range(3):  # alike: their messages leave together
        client.create(b"a", range_end=b"\0")
    client.create(b"a", range_end=b"\0", filters=[pb.WatchCreateRequest.NOPUT])
    other.create(b"b")
    world.settle()
    world.put(b"b")
    world.put(b"c")
    world.settle()
    other.create(b"b", start_revision=1)
    world.settle()
    sent = [event for one in (client, other) for response in one.responses for event in response.events]
    assert len(sent) == world.hub.events_sent == 3 * 2 + 1 + 1
