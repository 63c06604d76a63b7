"""A leader's snapshot in an Append: its .snap, marker and hard state are durable before it is acknowledged."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.wal.actor import WalActor
from etcdz.ipc.messages import Append, Appended, WalHello, WalState
from etcdz.proto import raftpb
from etcdz.raft import ConfState, HardState, codec, make_entry
from etcdz.wal import snap
from etcdz.wal.files import WalFull
from tests.actors.wal.test_delegated import RAFT_INCARNATION, One

CONF_STATE = codec.encode_conf_state(ConfState((1, 2)))


@pytest.fixture
def one() -> Iterator[One]:
    with tempfile.TemporaryDirectory(prefix="etcdz-") as folder:  # the path of a unix socket must be short
        started = One(Path(folder))
        try:
            yield started
        finally:
            started.close()


def snapshot(index: int, term: int) -> bytes:
    metadata = raftpb.SnapshotMetadata(index=index, term=term)
    metadata.conf_state.ParseFromString(CONF_STATE)
    encoded: bytes = raftpb.Snapshot(data=b"{}", metadata=metadata).SerializeToString()
    return encoded


def received(seq: int, index: int, *entries: int) -> Append:
    encoded = [make_entry(0, 5, at, b"").encoded for at in entries]
    hard_state = codec.encode_hard_state(HardState(5, 2, index))
    return Append(RAFT_INCARNATION, seq, index + 1, encoded, hard_state, True, snapshot(index, 4))


def state_of(actor: WalActor, links: Any) -> WalState:
    actor.on_hello(WalHello(RAFT_INCARNATION, 1))
    states: list[WalState] = links.of_type(WalState)
    return states[-1]


def test_it_takes_the_place_of_the_log(one: One) -> None:
    one.append(1, 2, 3)
    assert one.turn(received(20, 50, 51, 52)) == [Appended(RAFT_INCARNATION, 20, "")]
    state = state_of(one.actor, one.links)
    assert (state.snapshot_index, state.snapshot_term, state.first_index, state.last_index) == (50, 4, 51, 52)
    assert codec.decode_hard_state(state.hard_state) == HardState(5, 2, 50)
    (name,) = snap.list_snaps(one.actor.disk, one.actor.snap_dir)
    saved = snap.load(one.actor.disk, f"{one.actor.snap_dir}/{name}")
    assert (saved.index, saved.term, saved.data) == (50, 4, b"{}")
    assert codec.decode_conf_state(saved.conf_state) == ConfState((1, 2))


def test_appends_around_it_in_one_turn_keep_their_order(one: One) -> None:
    before = Append(RAFT_INCARNATION, 1, 1, [make_entry(0, 3, 1, b"").encoded], b"", True)
    after = Append(RAFT_INCARNATION, 3, 51, [make_entry(0, 5, 51, b"").encoded], b"", True)
    assert one.turn(before, received(2, 50), after) == [Appended(RAFT_INCARNATION, 3, "")]
    state = state_of(one.actor, one.links)
    assert (state.first_index, state.last_index) == (51, 51)


@pytest.mark.parametrize("fails", ["the .snap", "the marker", "the entries"])
def test_on_a_full_disk_it_is_tried_again(one: One, fails: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries in front of it are not written again: they would cut off what it began."""

    def full(*args: Any, **kwargs: Any) -> Any:
        raise WalFull("no space")

    log = one.actor.log_file
    before = Append(RAFT_INCARNATION, 1, 1, [make_entry(0, 3, 1, b"").encoded], b"", True)
    with monkeypatch.context() as patch:
        if fails == "the .snap":
            patch.setattr(snap, "save", full)
        elif fails == "the marker":
            patch.setattr(type(log), "save_received_marker", full)
        else:
            sync, calls = type(log).sync, iter(range(9))
            patch.setattr(type(log), "sync", lambda self: sync(self) if next(calls) < 2 else full())
        assert [message.error for message in one.turn(before, received(2, 50, 51))] == ["NoSpace"]
    assert one.actor.retry_at is not None
    one.actor.on_deadline(one.actor.retry_at + 1)
    assert one.links.of_type(Appended)[-1].seq == 2
    state = state_of(one.actor, one.links)
    assert (state.snapshot_index, state.first_index, state.last_index) == (50, 51, 51)
