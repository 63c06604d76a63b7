"""A flight recorder outlives the actor that writes it, and no incarnation has two."""

import pytest

from etcdz.telemetry import flight
from etcdz.telemetry.flight import Recorder
from supervisor.telemetry import recorders
from supervisor.telemetry.recorders import Recorders
from tests.descriptors import open_links


def test_what_an_actor_wrote_can_be_read_until_the_recorder_is_closed() -> None:
    kept = Recorders()
    Recorder(kept.open("wal", 7)).log(b"a line\n")
    box = kept.box(7)
    assert box is not None and box.log()[1] == b"a line\n"
    kept.close(7)
    kept.close(7)
    assert kept.box(7) is None


def test_opening_again_and_closing_all_leave_no_descriptor_behind() -> None:
    kept = Recorders()
    for incarnation in (7, 7, 8):
        kept.open("counted", incarnation)
    assert boxes("counted") == 2
    kept.close_all()
    assert boxes("counted") == 0


def boxes(name: str) -> int:
    """How many of this name are open."""
    return open_links().count(f"/memfd:etcdz:{name} (deleted)")


def test_without_memory_an_actor_runs_without_a_recorder(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(name: str) -> flight.Box:
        raise OSError("no memory")

    monkeypatch.setattr(recorders, "Box", no_memory)
    kept = Recorders()
    assert (kept.open("wal", 7), kept.box(7)) == ("", None)
