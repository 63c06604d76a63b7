"""A store that was received takes the place of the backend's, whole, whenever the process is killed."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from actors.backend.opening import store_path
from actors.runtime.loop import FatalError
from etcdz.cluster.membership import Member, Membership
from etcdz.ipc.messages import Apply, BackendHello, BackendState, Flush, Install
from etcdz.migration.files import fill, identity_row
from etcdz.proto import authpb
from etcdz.raft import ConfState, codec
from etcdz.store import buckets, received
from etcdz.store.leveldb import LevelStore
from tests.actors.backend.started import RAFT, TERM, Entries, Started

INDEX = 90


def add_received(one: Started, index: int = INDEX) -> Path:
    """What a leader has sent: a store of two members, of this index."""
    store, mvcc = store_path(one.actor.config), one.actor.mvcc
    made = store.with_name("made")
    level = LevelStore(made)
    membership = Membership(mvcc.member_id, mvcc.cluster_id)
    membership.by_id = {id_: Member(id_, [f"http://127.0.0.1:{id_}"]) for id_ in (1, 2)}
    rows = dict([identity_row(mvcc.member_id, mvcc.cluster_id)])
    rows |= {buckets.MEMBERS + b"%x" % m.id: m.to_json().encode() for m in membership.by_id.values()}
    rows |= {buckets.CONSISTENT_INDEX: index.to_bytes(8, "big"), buckets.TERM: (4).to_bytes(8, "big")}
    fill(level, rows.items())
    level.close()
    return received.keep(made, store, index)


def with_a_put(start: Callable[..., Started]) -> Started:
    one = start()
    one.turn(BackendHello(RAFT), Apply(RAFT, 1, TERM, [Entries().put(b"key")[1]], b""))
    return one


def state_of(one: Started) -> BackendState:
    (state,) = (message for _, message in one.turn(BackendHello(RAFT)) if isinstance(message, BackendState))
    return state


def stop(one: Started) -> None:
    """As the loop ends."""
    assert one.actor.stopping
    one.actor.on_stop()


def test_the_next_backend_serves_what_was_received(start: Callable[..., Started]) -> None:
    one = with_a_put(start)
    path = add_received(one)
    one.turn(Install(RAFT, INDEX))
    stop(one)
    one = start()
    state = state_of(one)
    assert (state.applied_index, state.applied_term) == (INDEX, 4)
    assert codec.decode_conf_state(state.conf_state) == ConfState((1, 2))
    assert [p.name for p in path.parent.iterdir() if p.name.startswith("leveldb")] == ["leveldb"]


def user_row(name: str, password: bytes) -> dict[bytes, bytes]:
    return {buckets.AUTH_USERS + name.encode(): authpb.User(name=name.encode(), password=password).SerializeToString()}


ON = {buckets.AUTH + b"authEnabled": b"\x01"}


@pytest.mark.parametrize(("is_on", "carried"), [(True, {"t.1": "same"}), (False, {})])
def test_who_has_logged_in_here_goes_on_unless_it_may_be_another(
    is_on: bool, carried: dict[str, str], start: Callable[..., Started]
) -> None:
    before = user_row("same", b"1") | user_row("changed", b"1") | user_row("gone", b"1")
    one = with_a_put(start)
    for row, name in enumerate(("same", "changed", "gone"), 1):
        one.actor.tokens.assign(f"t.{row}", name)
    one.actor.store.write(before | one.actor.tokens.take_rows())
    one.actor.on_stop()
    one = start()
    path = add_received(one)
    with closing(LevelStore(path)) as level:
        level.write(user_row("same", b"1") | user_row("changed", b"2") | (ON if is_on else {}))
    one.turn(BackendHello(RAFT), Install(RAFT, INDEX))
    stop(one)
    assert start().actor.tokens.owners == carried


def test_what_was_never_taken_up_goes_when_as_much_is_applied(start: Callable[..., Started]) -> None:
    one = with_a_put(start)
    path, later = add_received(one, 1), add_received(one, 2)
    one.turn(Flush(RAFT))
    assert not path.exists() and later.exists()
    one = start()
    assert later.exists() and state_of(one).applied_index == 1


def test_one_that_is_not_there_ends_the_member_and_changes_nothing(start: Callable[..., Started]) -> None:
    one = with_a_put(start)
    with pytest.raises(FatalError, match=r"begins after a snapshot of entry 90, and .*leveldb.000000000000005a"):
        one.turn(Install(RAFT, INDEX))
    assert not one.actor.stopping
    assert state_of(start()).applied_index == 1


def test_of_another_raft_or_one_that_is_applied_nothing_is_installed(start: Callable[..., Started]) -> None:
    one = with_a_put(start)
    add_received(one)
    one.turn(Install(RAFT - 1, INDEX))
    assert not one.actor.stopping
    (state,) = (message for _, message in one.turn(Install(RAFT, 1)) if isinstance(message, BackendState))
    assert state.applied_index == 1 and not one.actor.stopping


class Killed(Exception):
    """The process ends here."""


@pytest.mark.parametrize("moves", range(4))
def test_killed_between_any_two_steps_one_of_both_stores_is_there(
    moves: int, start: Callable[..., Started], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was begun is finished."""
    one = with_a_put(start)
    add_received(one)
    one.turn(Install(RAFT, INDEX))
    move, left = received._move, iter([*[False] * moves, True])

    def mortal(source: Path, target: Path) -> None:
        if next(left, True):
            raise Killed
        move(source, target)

    def remove(*args: Any, **kwargs: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(received, "_move", mortal)
        if moves == 3:
            patch.setattr(received.shutil, "rmtree", lambda path, ignore_errors: path.exists() and remove())
        with pytest.raises(Killed):
            one.actor.on_stop()
    one = start()
    assert state_of(one).applied_index == (1 if moves == 0 else INDEX)
    if moves == 0:
        one.turn(Install(RAFT, INDEX))
        stop(one)
        one = start()
        assert state_of(one).applied_index == INDEX
    names = [p.name for p in store_path(one.actor.config).parent.iterdir() if p.name.startswith("leveldb")]
    assert names == ["leveldb"]
