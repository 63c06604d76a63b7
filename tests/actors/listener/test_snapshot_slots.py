"""Who has a slot, who waits, and who gives way."""

from actors.listener.snapshot_slots import SnapshotSlots


def slots() -> SnapshotSlots[str]:
    return SnapshotSlots(2, 3, 5.0)


def test_further_ones_wait_in_line_and_then_are_refused() -> None:
    found = slots()
    assert [found.ask(name) for name in "abcdef"] == [True, True, False, False, False, None]
    found.leave("b")
    assert found.release() == "c"
    found.leave("d")
    found.leave("a")
    assert found.release() == "e"
    assert not found.has_waiting


def test_a_slot_is_free_only_once_its_process_is_gone() -> None:
    found = slots()
    assert found.ask("a") and found.ask("b")
    found.leave("a")
    assert found.ask("c") is False
    assert found.release() == "c"
    found.leave("b")
    assert found.release() is None
    assert found.ask("d") is True


def test_who_does_not_read_gives_way_to_who_waits_the_longest_stalled_first() -> None:
    found = slots()
    found.ask("a")
    found.ask("b")
    found.note_stalled("b", 1.0)
    found.note_stalled("a", 2.0)
    found.note_stalled("a", 6.0)
    assert found.find_stalled(100.0) == [], "nobody waits"
    found.ask("c")
    assert found.find_stalled(5.9) == []
    assert found.find_stalled(6.0) == ["b"]
    found.ask("d")
    assert found.find_stalled(7.0) == ["b", "a"]
    found.leave("b")
    assert found.find_stalled(7.0) == ["a"], "one slot is on its way already"


def test_who_reads_keeps_its_slot() -> None:
    found = slots()
    found.ask("a")
    found.ask("b")
    found.note_stalled("a", 1.0)
    found.note_reading("a")
    found.ask("c")
    assert found.find_stalled(100.0) == []
    found.note_stalled("a", 98.0)
    assert found.find_stalled(100.0) == []
