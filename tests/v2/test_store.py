"""Rules of the v2 store that no recorded call shows, and its forms on disk, both of which give back what went in."""

import json
import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.v2 import errors, rows, snapshot
from etcdz.v2.errors import V2Error
from etcdz.v2.events import Event
from etcdz.v2.go_json import decode_time, encode_text, encode_time
from etcdz.v2.history import EVENTS_MAX
from etcdz.v2.key_request import parse
from etcdz.v2.listing import Listing
from etcdz.v2.store import V2Store
from etcdz.v2.watchers import QUEUE_MAX, Watcher

HEAD = rows.BUCKET + b"i"
NOW = 1_700_000_000_000_000_000
S = 1_000_000_000


class Rows:
    """A store in memory."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}

    def take(self, store: V2Store) -> None:
        for bucket, key, value in rows.take_rows(store):
            if value is None:
                self.kept.pop(bucket + key, None)
            else:
                self.kept[bucket + key] = value

    def get(self, key: bytes) -> bytes | None:
        return self.kept.get(key)

    def iterate(self, lo: bytes, hi: bytes) -> Iterable[tuple[bytes, bytes]]:
        return [(key, self.kept[key]) for key in sorted(self.kept) if lo <= key < hi]


def told(store: V2Store, path: str, since: int = 0, is_recursive: bool = True, is_stream: bool = True) -> list[Event]:
    """What a watcher is told from now on, up to the bound of its queue."""
    got: list[Event] = []

    def deliver(event: Event) -> bool:
        got.append(event)
        return len(got) < QUEUE_MAX

    assert store.watch(Watcher(path, is_recursive, is_stream, since, deliver)) is None
    return got


# ---- time ----


def test_what_expires_goes_in_the_order_of_its_time_and_not_before() -> None:
    store = V2Store()
    for name, ttl in (("c", 3), ("a", 1), ("b", 2)):
        store.set(f"/1/{name}", "v", NOW + ttl * S, NOW)
    got = told(store, "/1")
    store.expire(NOW + S - 1, NOW)
    assert got == []
    store.expire(NOW + 2 * S, NOW)
    assert [(event.action, event.node.key) for event in got] == [("expire", "/1/a"), ("expire", "/1/b")]


def test_a_ttl_that_was_renewed_or_taken_away_does_not_end_a_key() -> None:
    store = V2Store()
    for name in ("renewed", "permanent", "replaced", "gone"):
        store.set(f"/1/{name}", "v", NOW + S, NOW)
    store.update("/1/renewed", "", NOW + 9 * S, NOW, is_refresh=True)
    store.update("/1/permanent", "w", 0, NOW)
    store.set("/1/replaced", "w", 0, NOW)
    store.delete("/1/gone", False, False, NOW)
    index = store.index
    store.expire(NOW + 5 * S, NOW)
    assert store.index == index
    store.expire(NOW + 9 * S, NOW)
    assert store.index == index + 1


def test_with_a_directory_goes_what_is_in_it_and_who_watches_there_is_told_once_of_each() -> None:
    store = V2Store()
    store.create("/1/d", None, NOW + S, NOW)
    store.set("/1/d/x/y", "v", NOW + 5 * S, NOW)
    inner = told(store, "/1/d/x/y", is_stream=False)
    store.expire(NOW + S, NOW)
    assert [(event.action, event.node.key) for event in inner] == [("expire", "/1/d")]
    assert len(store.expiry) == 0
    assert isinstance(store.get("/1/d", False, False, NOW), V2Error)


def test_a_time_before_2000_is_none() -> None:
    store = V2Store()
    event = store.set("/1/a", "v", 1, NOW)
    assert isinstance(event, Event) and event.node.expires_ns == 0


# ---- watchers ----


def test_a_watcher_that_does_not_read_ends_when_its_queue_is_full() -> None:
    store = V2Store()
    got = told(store, "/1")
    for n in range(QUEUE_MAX + 5):
        store.set("/1/a", str(n), 0, NOW)
    assert len(got) == QUEUE_MAX
    assert store.hub.count == 0


def test_a_stream_that_begins_in_the_past_goes_on_into_the_present() -> None:
    store = V2Store()
    for n in range(3):
        store.set("/1/a", str(n), 0, NOW)
    got = told(store, "/1/a", since=2, is_recursive=False)
    store.set("/1/a", "3", 0, NOW)
    assert [event.node.value for event in got] == ["1", "2", "3"]


def test_what_is_hidden_from_above_is_not_hidden_from_who_names_it() -> None:
    store = V2Store()
    above, beside = told(store, "/1"), told(store, "/1/_h")
    store.set("/1/_h/x", "v", 0, NOW)
    assert above == []
    assert [event.node.key for event in beside] == ["/1/_h/x"]


def test_history_holds_a_thousand_events_and_says_where_it_begins() -> None:
    store = V2Store()
    for n in range(EVENTS_MAX + 10):
        store.set("/1/a", str(n), 0, NOW)
    error = store.watch(Watcher("/1/a", False, False, 10, lambda event: True))
    cause = "the requested history has been cleared [11/10]"
    assert error == V2Error(errors.EVENT_INDEX_CLEARED, cause, EVENTS_MAX + 10)
    assert told(store, "/1/a", since=11, is_stream=False)[0].node.value == "10"


# ---- forms on disk ----

PATHS = st.sampled_from(["/1/a", "/1/a/b", "/1/d", "/1/d/x", "/1/d/x/y", "/1/_h", "/1/ä<&>", "/2/users"])
VALUES = st.one_of(st.none(), st.sampled_from(["", "v", "w", 'a "b" \\ \u2028 \x00 ä']))
OPERATIONS = st.tuples(
    st.sampled_from(["set", "create", "in order", "update", "refresh", "swap", "delete", "compared", "expire"]),
    PATHS,
    VALUES,
    st.sampled_from([0, 1, 2, 5]),
)


def run(store: V2Store, kind: str, path: str, value: str | None, ttl: int) -> None:
    expires_ns = NOW + ttl * S if ttl else 0
    if kind == "set":
        store.set(path, value, expires_ns, NOW)
    elif kind in ("create", "in order"):
        store.create(path, value, expires_ns, NOW, is_in_order=kind == "in order")
    elif kind in ("update", "refresh"):
        store.update(path, value or "", expires_ns, NOW, is_refresh=kind == "refresh")
    elif kind == "swap":
        store.compare_and_swap(path, value or "", expires_ns, NOW, before_value="v", before_index=0)
    elif kind == "delete":
        store.delete(path, value is None, value == "", NOW)
    elif kind == "compared":
        store.compare_and_delete(path, value or "v", 0, NOW)
    else:
        store.expire(NOW + ttl * S, NOW)


def expected_ends(store: V2Store) -> list[tuple[int, str]]:
    nodes = [node for node in store.root.subtree() if node.expires_ns]
    return sorted((node.expires_ns, node.path) for node in nodes)


def written(store: V2Store) -> bytes:
    """As a snapshot, without its statistics: what has failed is counted, and no row is written for it."""
    return re.sub(rb'"Stats":{[^}]*}', b"", snapshot.encode(store))


@given(st.lists(OPERATIONS, max_size=40), st.integers(1, 5))
def test_rows_and_snapshots_give_the_same_store_back(ops: list[tuple[str, str, str | None, int]], every: int) -> None:
    store, kept = V2Store(), Rows()
    for number, operation in enumerate(ops):
        run(store, *operation)
        if number % every == 0:
            kept.take(store)
    kept.take(store)
    text = snapshot.encode(store)
    json.loads(text)
    loaded = rows.load(kept)
    assert loaded is not None
    again = snapshot.decode(text)
    for copy in (loaded, again):
        assert written(copy) == written(store)
        assert expected_ends(copy) == expected_ends(store)
        assert len(copy.expiry) == len(store.expiry)
    assert (loaded.changes, loaded.events) == ({}, [])
    filled = Rows()
    filled.take(again)
    filled.kept[HEAD] = kept.kept[HEAD]
    assert filled.kept == kept.kept, "a snapshot that was received gives the rows of who has sent it"


@pytest.mark.slow
def test_of_more_events_than_history_holds_the_rows_are_the_newest() -> None:
    store, kept = V2Store(), Rows()
    for n in range(EVENTS_MAX + 300):
        store.set("/1/a", str(n), 0, NOW)
        if n % 7 == 0:
            kept.take(store)
    kept.take(store)
    loaded = rows.load(kept)
    assert loaded is not None
    assert sum(key.startswith(rows.BUCKET + b"e") for key in kept.kept) == EVENTS_MAX
    assert snapshot.encode(loaded) == snapshot.encode(store) == snapshot.encode(snapshot.decode(snapshot.encode(store)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda s: s["Root"]["Children"].update({"a/b": s["Root"]["Children"]["1"]}),
        lambda s: s["Root"]["Children"]["1"].update({"CreatedIndex": "1"}),
        lambda s: s["Root"]["Children"]["1"].update({"ExpireTime": "soon"}),
        lambda s: s["Root"].update({"Children": None}),
        lambda s: s.update({"CurrentIndex": -1}),
        lambda s: s["WatcherHub"]["EventHistory"]["Queue"].update({"Size": 3}),
        lambda s: s.pop("WatcherHub"),
    ],
)
def test_what_is_no_v2_store_is_refused(damage: object) -> None:
    said = json.loads(snapshot.encode(V2Store()))
    damage(said)  # type: ignore[operator]
    with pytest.raises(ValueError):
        snapshot.decode(json.dumps(said).encode())


def test_directories_may_be_nested_deeper_than_calls() -> None:
    store = V2Store()
    store.set("/1" + "/d" * 5000, "v", 0, NOW)
    found = store.get("/1", True, True, NOW)
    assert isinstance(found, Listing)
    assert found.to_json().count('"dir":true') == 5000
    text = snapshot.encode(store)
    assert isinstance(store.delete("/1/d", True, True, NOW), Event)
    with pytest.raises(ValueError, match="no v2 store"):
        snapshot.decode(text)


# ---- texts and requests ----


@given(st.integers(0, (1 << 63) - 1))
def test_times_are_read_as_they_are_written(unix_ns: int) -> None:
    assert decode_time(encode_time(unix_ns)) == unix_ns


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    assert decode_time("2023-11-15T00:13:20.5+02:00") == NOW + S // 2
    assert encode_time(NOW + S // 2) == "2023-11-14T22:13:20.5Z"


@given(st.text())
def test_texts_are_json(text: str) -> None:
    assert json.loads(encode_text(text)) == text


@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]))
def test_any_request_is_checked_without_an_end(query: bytes, body: bytes, method: str) -> None:
    found = parse(method, "/v2/keys/a", query, "application/x-www-form-urlencoded", body, NOW)
    assert isinstance(found, V2Error) or found.entry(1)


def test_a_path_of_too_many_parts_is_refused() -> None:
    assert isinstance(parse("PUT", "/v2/keys" + "/a" * 300, b"", "", b"", NOW), V2Error)
