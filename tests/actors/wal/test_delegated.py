"""The wal's side of the delegation: which writes it appends, to whom it says so, and what it gives back."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.wal.actor import WalActor
from etcdz import limits
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    RAFT,
    Append,
    Appended,
    Delegate,
    DelegatedAppends,
    DelegationReturned,
    Durable,
    Leadership,
    RecallDelegation,
    Refused,
    SaveSnapshot,
    Send,
    WalHello,
    WalState,
    Write,
)
from etcdz.raft import ConfState, HardState, codec, make_entry
from etcdz.wal import snap
from etcdz.wal.files import WalFull
from tests.actors.raft.restarted import RecordedLinks

RAFT_INCARNATION, BACKEND, TERM = 7, 5, 3
FIRST = 70
"""Number of the first delegation."""


class Links(RecordedLinks):
    def incarnation_of(self, name: str) -> int:
        return BACKEND


class One:
    """A wal actor on a directory of its own, greeted by raft."""

    def __init__(self, folder: Path) -> None:
        config = MemberConfig(data_dir=str(folder / "data")).to_dict()
        ipc = f"ipc://{folder}/"
        self.actor = WalActor(Boot("wal", "wal", 0, 9, str(folder), f"{ipc}wal.9", f"{ipc}supervisor", [], config, {}))
        self.actor.links.close(0)
        self.links = Links()
        self.actor.links = self.links  # type: ignore[assignment]
        self.actor.on_start()
        self.turn(WalHello(RAFT_INCARNATION, 1))

    def turn(self, *messages: Any) -> list[Any]:
        """return what this turn has sent."""
        before = len(self.links.sent)
        for message in messages:
            self.actor.handlers[type(message)](message)
        self.actor.on_turn_end()
        return [message for _, message in self.links.sent[before:]]

    def append(self, *indexes: int) -> list[Any]:
        entries = [make_entry(0, TERM, index, b"") for index in indexes]
        encoded = [entry.encoded for entry in entries]
        hard_state = codec.encode_hard_state(HardState(TERM, 1, indexes[0] - 1))
        return self.turn(Append(RAFT_INCARNATION, indexes[-1], indexes[0], encoded, hard_state, True))

    def delegate(self, number: int = FIRST, backend: int = BACKEND) -> list[Any]:
        last = self.actor.log_file.last_index
        return self.turn(Delegate(RAFT_INCARNATION, number, TERM, last, backend))

    def close(self) -> None:
        self.actor.log_file.close()
        self.actor.mailbox.close()
        self.actor.context.term()


@pytest.fixture
def one() -> Iterator[One]:
    with tempfile.TemporaryDirectory(prefix="etcdz-") as folder:  # the path of a unix socket must be short
        made = One(Path(folder))
        yield made
        made.close()


def write(*ids: int, delegation: int = FIRST, slot: int = 0) -> Write:
    return Write(slot, delegation, [(one, b"%d" % one) for one in ids])


def test_rafts_entries_are_acknowledged_when_they_are_durable_and_an_older_rafts_are_ignored(one: One) -> None:
    assert one.append(1, 2) == [Appended(RAFT_INCARNATION, 2, "")]
    old = Append(RAFT_INCARNATION - 1, 9, 3, [make_entry(0, 2, 3, b"").encoded], b"", True)
    assert one.turn(old) == [] and one.actor.log_file.last_index == 2


def test_acknowledgements_are_said_when_they_are_true_and_the_newest_to_each_member_alone(one: One) -> None:
    old, new, other = ((2, 5, 1, b"old"), (2, 5, 2, b"new"), (3, 4, 2, b"other"))
    appends = [
        Append(RAFT_INCARNATION, at, at, [make_entry(0, TERM, at, b"").encoded], b"", True, b"", acknowledgements)
        for at, acknowledgements in ((1, [old]), (2, [new, other]))
    ]
    sent = one.turn(*appends)
    assert sent == [Send(RAFT_INCARNATION, [(2, b"new"), (3, b"other")], []), Appended(RAFT_INCARNATION, 2, "")]


def test_writes_get_their_index_from_the_wal_and_go_to_the_backend_at_once_and_to_raft_later(one: One) -> None:
    one.append(1)
    one.delegate()
    sent = one.turn(write(11, 12), write(13, slot=1))
    assert sent == [Durable(RAFT_INCARNATION, 2, TERM, [b"11", b"12"]), Durable(RAFT_INCARNATION, 4, TERM, [b"13"])]
    one.actor.on_deadline(time.monotonic() + limits.LAZY_ACK_S)
    assert one.links.sent[-1] == ("raft", DelegatedAppends(FIRST, 2, [11, 12, 13], [b"11", b"12", b"13"]))
    one.actor.on_deadline(time.monotonic() + 1)
    assert len(one.links.of_type(DelegatedAppends)) == 1


def test_raft_is_told_at_once_of_many_bytes(one: One) -> None:
    one.delegate()
    sent = one.turn(Write(0, FIRST, [(11, b"x" * limits.LAZY_ACK_BYTES)]))
    assert [type(message) for message in sent] == [Durable, DelegatedAppends]


def test_a_recall_tells_raft_everything_before_it_gives_back(one: One) -> None:
    one.delegate()
    sent = one.turn(write(11), RecallDelegation(FIRST))
    assert [type(message) for message in sent] == [Durable, DelegatedAppends, DelegationReturned]
    assert one.turn(write(12)) == [], "it is raft's again"
    assert one.turn(RecallDelegation(FIRST)) == []


def test_writes_that_come_before_their_delegation_wait_for_it(one: One) -> None:
    assert one.turn(write(11)) == []
    one.delegate()
    assert one.links.of_type(Durable) == [Durable(RAFT_INCARNATION, 1, TERM, [b"11"])]
    one.turn(RecallDelegation(FIRST))
    one.turn(write(12, delegation=FIRST + 2), write(13, delegation=FIRST + 1))
    one.delegate(FIRST + 1)
    assert one.links.of_type(Durable)[1:] == [Durable(RAFT_INCARNATION, 2, TERM, [b"13"])]


def test_a_wal_that_knows_another_backend_gives_the_delegation_back(one: One) -> None:
    one.turn(write(11))
    assert one.delegate(backend=BACKEND + 1) == [DelegationReturned(FIRST)]
    assert one.turn(write(12)) == [] and one.actor.log_file.last_index == 0


def test_a_delegation_behind_another_end_of_the_log_ends_the_process(one: One) -> None:
    with pytest.raises(RuntimeError, match="the log ends at 0"):
        one.turn(Delegate(RAFT_INCARNATION, FIRST, TERM, 4, BACKEND))


def test_a_new_raft_hears_what_is_on_disk_and_the_delegation_of_the_old_one_is_void(one: One) -> None:
    one.turn(Leadership(RAFT_INCARNATION, TERM, 1, 0, None, 0, 0))
    one.delegate()
    one.turn(write(11))
    (state,) = one.turn(WalHello(RAFT_INCARNATION + 1, 1))
    assert isinstance(state, WalState)
    assert (state.raft_incarnation, state.last_index, len(state.entries)) == (RAFT_INCARNATION + 1, 1, 1)
    assert (state.term, state.leader) == (TERM, 1), "a hint for who led"
    assert one.turn(write(12)) == [] and one.actor.log_file.last_index == 1
    assert one.links.of_type(DelegatedAppends) == []


class FullDisk:
    """Takes the place of a log's sync until it is freed."""

    def __init__(self, actor: WalActor, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch
        patch.setattr(type(actor.log_file), "sync", self.sync)
        patch.setattr("etcdz.store.ballast.free_bytes", lambda directory: 0)

    def sync(self) -> None:
        raise WalFull("no space left")

    def free(self) -> None:
        self.patch.undo()


def test_a_full_disk_keeps_what_was_taken_and_refuses_listeners_until_there_is_space(
    one: One, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.delegate()
    disk = FullDisk(one.actor, monkeypatch)
    assert one.turn(write(11)) == [Appended(RAFT_INCARNATION, 0, "NoSpace")]
    assert one.turn(write(12)) == [Refused([(12, "NoSpace")])]
    assert one.turn(write(13, slot=RAFT)) == [], "raft's own are taken and wait"
    assert one.turn(RecallDelegation(FIRST)) == [Appended(RAFT_INCARNATION, 0, "NoSpace")]
    disk.free()
    before = len(one.links.sent)
    one.actor.on_deadline(time.monotonic() + 2)
    sent = [message for _, message in one.links.sent[before:]]
    assert [type(message) for message in sent] == [Appended, Durable, Durable, DelegatedAppends, DelegationReturned]
    assert sent[3].ids == [11, 13]


def test_a_full_disk_is_tried_with_the_first_that_waits_however_much_there_is(
    one: One, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(one.actor, monkeypatch)
    appends = [Append(RAFT_INCARNATION, n, n, [make_entry(0, TERM, n, b"").encoded], b"", True) for n in range(1, 6)]
    for append in appends:
        one.turn(append)
    tried: list[int] = []
    append_to = type(one.actor.log_file).append
    monkeypatch.setattr(
        type(one.actor.log_file),
        "append",
        lambda self, entries, first, *rest: tried.append(first) or append_to(self, entries, first, *rest),
    )
    assert one.actor.retry_at is not None
    one.actor.on_deadline(one.actor.retry_at + 1)
    assert tried == [1]
    disk.free()
    one.actor.on_deadline(one.actor.retry_at + 1)
    assert [message.seq for message in one.links.of_type(Appended) if message.seq] == [1, 5]
    assert one.actor.log_file.last_index == 5


def test_a_snapshot_is_on_disk_with_its_marker_and_a_successor_begins_behind_it(one: One) -> None:
    one.append(1, 2, 3)
    conf_state = codec.encode_conf_state(ConfState((1,)))
    one.turn(SaveSnapshot(RAFT_INCARNATION, 2, TERM, conf_state, b"v2", keep_index=2))
    assert one.actor.details()["snapshot_index"] == 2
    (path,) = Path(one.actor.snap_dir).glob("*.snap")
    assert snap.load(one.actor.disk, str(path)).data == b"v2"
    (state,) = one.turn(WalHello(RAFT_INCARNATION, 1))
    assert (state.snapshot_index, state.snapshot_term, state.last_index) == (2, TERM, 3)
