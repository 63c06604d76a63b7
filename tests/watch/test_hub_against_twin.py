"""Whatever happens between clients, hub and backend: each watcher gets its part of history, once and in order."""

import itertools
from random import Random
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from etcdz.watch import history, hub
from tests.examples import examples
from tests.watch.world import Client, Event, World

KEYS = [b"a", b"b", b"c", b"aa", b"ab"]
SPANS = [b"", b"", b"\0", b"b", b"c", b"d"]
WEIGHTS = {
    "put": 16, "txn": 4, "delete": 4, "delete range": 2, "commit": 6, "backend": 12, "listener": 16, "create": 6,
    "cancel": 1, "progress": 3, "stop reading": 5, "read on": 5, "kill": 1, "compact": 1, "compaction slice": 2,
}  # fmt: skip


class Expectation:
    """One watcher that was created: what it asked for, and when."""

    def __init__(self, request: Any, revision: int) -> None:
        self.request = request
        self.first = request.start_revision or revision + 1

    def wants(self, event: Event) -> bool:
        lo, hi = self.request.key, self.request.range_end
        inside = event.key == lo if not hi else lo <= event.key and (hi == b"\0" or event.key < hi)
        return inside and event.main >= self.first and (1 if event.is_delete else 0) not in self.request.filters


class Play:
    """A random run of one world."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.world = World(fragment_bytes=self.random.choice([40, 120, 1 << 20]))
        self.clients = [Client(self.world) for _ in range(3)]

    def step(self) -> None:
        world, random = self.world, self.random
        action = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        client = random.choice(self.clients)
        match action:
            case "put":
                world.put(random.choice(KEYS), bytes([random.randrange(97, 123)]) * random.randrange(9))
            case "txn":
                world.txn(random.sample(KEYS, 3), b"t")
            case "delete":
                world.delete(random.choice(KEYS))
            case "delete range":
                world.delete(random.choice(KEYS), random.choice(SPANS))
            case "commit":
                world.commit()
            case "create":
                self.create(client)
            case "cancel":
                client.cancel(random.randrange(9))
            case "progress":
                client.ask_progress()
            case "backend":
                world.backend_turn()
            case "listener":
                world.listener_turn(random.randrange(4))
            case "compact":
                world.compact(random.randrange(1, random.randrange(1, world.mvcc.state.revision + 1) + 1))
            case "compaction slice":
                world.compact_slice(random.randrange(1, 9))
            case "kill":
                world.kill_backend()
            case "stop reading":
                client.stop_reading()
            case "read on":
                client.read_on()

    def create(self, client: Client) -> None:
        random = self.random
        revision = self.world.mvcc.state.revision
        start = random.choice([0, 0, random.randrange(1, revision + 1), revision, revision + random.randrange(4), -1])
        fields: dict[str, Any] = {
            "key": random.choice(KEYS),
            "range_end": random.choice(SPANS + [b"\0"] * 3),
            "start_revision": start,
            "prev_kv": random.random() < 0.5,
            "fragment": random.random() < 0.5,
            "watch_id": random.choice([0, 0, 0, random.randrange(9)]),
            "filters": random.choice([[], [], [0], [1]]),
        }
        client.create(**fields)

    def finish(self) -> None:
        for client in self.clients:
            client.read_on()
        self.world.settle()


def split_by_watcher(client: Client) -> list[tuple[Expectation, list[Any], bool]]:
    """(what was asked, its responses with events, whether it is still there and not compacted) of each watcher.

    Responses to creations come in the order of the requests.
    """
    todo = iter(client.asked)
    alive: dict[int, tuple[Expectation, list[Any]]] = {}
    ended = []
    for response in client.responses:
        if response.created:
            request = next(todo)
            if not response.canceled:
                alive[response.watch_id] = Expectation(request, response.header.revision), []
        elif response.canceled and not response.compact_revision:
            found = alive.pop(response.watch_id, None)
            if found:
                ended.append((*found, False))
        elif response.canceled:
            assert not response.cancel_reason
            found = alive.pop(response.watch_id)
            assert response.compact_revision > found[0].first
            ended.append((*found, False))
        elif response.events:
            alive[response.watch_id][1].append(response)
    assert next(todo, None) is None, "every request is answered"
    return ended + [(*found, True) for found in alive.values()]


def check_events(world: World, expected: Expectation, responses: list[Any], is_alive: bool) -> None:
    wanted = [event for event in world.log if expected.wants(event)]
    got = [event for response in responses for event in response.events]
    assert [(e.kv.mod_revision, e.kv.key, e.type, e.kv.value) for e in got] == [
        (e.main, e.key, int(e.is_delete), e.value) for e in wanted[: len(got)]
    ]
    if is_alive:
        assert len(got) == len(wanted), "nothing is missing in the end"
    elif len(got) < len(wanted):
        assert not got or got[-1].kv.mod_revision < wanted[len(got)].main, "no revision is cut in two"
    for sent, event in zip(got, wanted, strict=False):
        before = sent.prev_kv.SerializeToString()
        if not expected.request.prev_kv or before == b"":
            assert not sent.HasField("prev_kv")
            assert (
                not expected.request.prev_kv or not event.before or event.main - 1 < world.mvcc.state.compact_revision
            )
        else:
            assert before == event.before
    check_pieces(expected, responses)


def check_pieces(expected: Expectation, responses: list[Any]) -> None:
    """All of a revision comes in one response, or in pieces of one that was cut."""
    for earlier, later in itertools.pairwise(responses):
        assert expected.request.fragment or not earlier.fragment
        if not earlier.fragment:
            assert earlier.events[-1].kv.mod_revision < later.events[0].kv.mod_revision
    if responses:
        assert not responses[-1].fragment
    for response in responses:
        assert response.header.revision >= response.events[-1].kv.mod_revision


def check_progress(client: Client) -> None:
    """Behind an answer to a progress request nothing comes that is not newer, but for watchers created later."""
    told = 0
    young: set[int] = set()
    for response in client.responses:
        if response.created:
            young.add(response.watch_id)
        elif response.watch_id == -1:
            told = max(told, response.header.revision)
            young.clear()
        elif response.events and response.watch_id not in young:
            assert response.events[0].kv.mod_revision > told


@settings(max_examples=examples(60), deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.integers(0, 1 << 32), st.integers(50, 250))
def test_each_watcher_gets_its_part_of_history(seed: int, steps: int) -> None:
    play = Play(seed)
    rows_max, bytes_max, together = history.ROWS_MAX, history.CHUNK_BYTES, hub.CATCH_UP_MAX
    history.ROWS_MAX = play.random.choice([1, 3, 500])
    history.CHUNK_BYTES = play.random.choice([1, 100, 1 << 20])
    hub.CATCH_UP_MAX = play.random.choice([1, 2, 512])
    try:
        for _ in range(steps):
            play.step()
        play.finish()
    finally:
        history.ROWS_MAX, history.CHUNK_BYTES, hub.CATCH_UP_MAX = rows_max, bytes_max, together
    for client in play.clients:
        check_progress(client)
        for expected, responses, is_alive in split_by_watcher(client):
            check_events(play.world, expected, responses, is_alive)
