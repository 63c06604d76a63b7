"""What is read piece by piece is that of one moment, whatever happens to the store meanwhile."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdz.v2 import frozen_tree, listing, snapshot
from etcdz.v2.listing import Listing
from etcdz.v2.store import V2Store
from tests.examples import examples

S = 1_000_000_000
NAMES = ["a", "b", "_h", "é", "\U0001f600", "\uffee", "10", "9"]


@pytest.fixture(scope="module", autouse=True)
def small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "STEP_NODES", 1)
        patch.setattr(snapshot, "_STEP_PARTS", 1)
        patch.setattr(frozen_tree, "_RUN_NAMES", 2)
        yield


def change(store: V2Store, rng: Random, now_ns: int) -> None:
    """Any one."""
    path = "/1" + "".join([f"/{rng.choice(NAMES)}" for _ in range(rng.randrange(1, 4))])
    expires_ns = now_ns + rng.randrange(1, 5) * S if rng.random() < 0.3 else 0
    roll = rng.random()
    if roll < 0.5:
        store.set(path, rng.choice(["x", "y", None]), expires_ns, now_ns)
    elif roll < 0.6:
        store.create(path, "z", expires_ns, now_ns, is_in_order=True)
    elif roll < 0.75:
        store.update(path, rng.choice(["", "u"]), expires_ns, now_ns)
    elif roll < 0.85:
        store.compare_and_swap(path, "s", expires_ns, now_ns, before_value="x", before_index=0)
    elif roll < 0.95:
        store.delete(path, True, rng.random() < 0.5, now_ns)
    else:
        store.expire(now_ns, now_ns)


def begun(store: V2Store, rng: Random, now_ns: int) -> tuple[str, Iterator[str]]:
    """What a read that begins now gives at once, and the pieces of another one."""
    if rng.random() < 0.3:
        return snapshot.encode(store).decode(), snapshot.pieces(store)
    path, is_recursive, is_sorted = rng.choice(["/", "/1", "/1/a"]), rng.random() < 0.8, rng.random() < 0.5
    found, same = (store.find(path, is_recursive, is_sorted, now_ns) for _ in range(2))
    if isinstance(found, Listing) and isinstance(same, Listing):
        return found.to_json(2), same.pieces(2)
    return "", iter(())


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(0, 1 << 32))
def test_reads_show_the_moment_at_which_they_have_begun(seed: int) -> None:
    rng, store, now_ns = Random(seed), V2Store(), 1_700_000_000 * S
    reads: list[tuple[str, Iterator[str], list[str]]] = []
    for _ in range(100):
        now_ns += S // 4
        change(store, rng, now_ns)
        if rng.random() < 0.15:
            reads.append((*begun(store, rng, now_ns), []))
        for read in list(reads):
            piece = next(read[1], None)
            if piece is not None:
                read[2].append(piece)
            else:
                assert "".join(read[2]) == read[0]
                reads.remove(read)
    for expected, pieces, before in reads:
        assert "".join([*before, *pieces]) == expected


def test_sorted_names_are_in_the_order_of_their_bytes() -> None:
    store = V2Store()
    for name in NAMES:
        store.set(f"/1/{name}", "v", 0, 0)
    found = store.find("/1", True, True, 0)
    assert isinstance(found, Listing)
    text = found.to_json(2)
    shown = sorted([name for name in NAMES if name[0] != "_"], key=str.encode)
    assert [text.index(f'"/{name}"') for name in shown] == sorted(text.index(f'"/{name}"') for name in shown)


def test_a_read_that_nobody_goes_on_with_keeps_nothing() -> None:
    store = V2Store()
    pieces = store.find("/", True, False, 0).pieces(0)  # type: ignore[union-attr]
    next(pieces)
    del pieces
    children = store.root.children
    store.set("/1/a", "v", 0, 0)
    store.set("/9", "v", 0, 0)
    assert store.root.children is children, "it was copied for nobody"
