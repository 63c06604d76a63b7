"""What ps makes of the last two heartbeats of an actor."""

from typing import Any

from etcdz import limits
from etcdz.ipc.messages import Heartbeat
from supervisor.children.child import Child
from supervisor.telemetry.heartbeats import Heartbeats
from supervisor.tree import ChildSpec


def child(name: str, incarnation: int, heard_at: float) -> Child:
    found = Child(ChildSpec(name=name, kind=f"actors.{name}", stage=1), name, 0)
    found.incarnation, found.heard_at = incarnation, heard_at
    return found


def beat(name: str, incarnation: int, batches: int = 0, **statistics: Any) -> Heartbeat:
    return Heartbeat(name, incarnation, 0, batches, 0, 0, {}, statistics)


def test_rates_are_differences_of_two_heartbeats_over_their_distance() -> None:
    heartbeats, wal = Heartbeats(), child("wal", 7, 10.0)
    heartbeats.record(beat("wal", 7, 100, received={"Append": 10}, sent={}), 10.0)
    first = heartbeats.shown(wal, 10.0)
    assert (first["received_per_s"], first["turns_per_s"]) == (None, None), "one alone has no distance"
    heartbeats.record(beat("wal", 7, 110, received={"Append": 15, "Roster": 1}, sent={}), 10.5)
    second = heartbeats.shown(wal, 10.5)
    assert second["received_per_s"] == {"Append": 10.0, "Roster": 2.0}
    assert (second["sent_per_s"], second["turns_per_s"]) == ({}, 20.0)


def test_of_an_incarnation_that_has_ended_nothing_is_shown() -> None:
    heartbeats, wal = Heartbeats(), child("wal", 7, 10.0)
    heartbeats.record(beat("wal", 7, mailbox_depth=3), 10.0)
    last = heartbeats.last(7)
    assert last is not None and heartbeats.remove(7) == last
    assert heartbeats.last(7) is None and heartbeats.remove(7) is None
    assert set(heartbeats.shown(wal, 10.0).values()) == {None}


def test_the_mailbox_of_a_silent_actor_is_known_by_what_others_have_sent_it() -> None:
    heartbeats, wal = Heartbeats(), child("wal", 7, 10.0)
    heartbeats.record(beat("wal", 7, mailbox_depth=1, oldest_us=50, frames_in={8: 100}), 10.0)
    heartbeats.record(beat("raft", 8, frames_out={"wal": 140, "backend": 9}), 12.0)
    shown = heartbeats.shown(wal, 10.5)
    assert (shown["mailbox_depth"], shown["oldest_us"]) == (1, 50), "it has spoken lately: its own words count"
    shown = heartbeats.shown(wal, 14.0)
    assert shown["mailbox_depth"] == 40
    assert shown["oldest_us"] == round((4.0 - limits.HEARTBEAT_S) * 1e6)


def test_a_silent_actor_that_nothing_was_sent_to_shows_its_own_last_words() -> None:
    heartbeats, wal = Heartbeats(), child("wal", 7, 10.0)
    heartbeats.record(beat("wal", 7, mailbox_depth=1, oldest_us=50, frames_in={8: 140}), 10.0)
    heartbeats.record(beat("raft", 8, frames_out={"wal": 140}), 12.0)
    shown = heartbeats.shown(wal, 60.0)
    assert (shown["mailbox_depth"], shown["oldest_us"]) == (1, 50)
