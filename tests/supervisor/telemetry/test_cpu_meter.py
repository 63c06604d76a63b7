"""What ps and the monitor say of CPU and memory is what /proc says."""

import os

import psutil
import pytest

from supervisor.processes import process_usage
from supervisor.telemetry.cpu_meter import WINDOW_S, CpuMeter


def test_cpu_time_and_memory_are_the_kernels() -> None:
    process = psutil.Process()
    before = sum(process.cpu_times()[:2])
    found = process_usage.cpu_s(os.getpid())
    assert found is not None and before - 0.02 <= found <= sum(process.cpu_times()[:2]) + 0.02
    assert process_usage.rss_bytes(os.getpid()) == pytest.approx(process.memory_info().rss, rel=0.05)
    pairs = ((process_usage.open_files(os.getpid()), process.num_fds()) for _ in range(1_000))
    assert any(ours == psutils for ours, psutils in pairs), "threads that other tests have left close files in between"


@pytest.mark.parametrize("share", [0.02, 0.35, 1.0, 2.5])
@pytest.mark.parametrize("every_s", [0.1, 0.5])
def test_the_percentage_is_within_five_per_cent_of_it(
    share: float, every_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a steady load, and soon after it has changed."""
    clock = {"s": 0.0, "cpu_s": 7.0}
    monkeypatch.setattr(process_usage, "cpu_s", lambda pid: clock["cpu_s"])
    meter = CpuMeter()

    def run(seconds: float, share: float) -> None:
        for _ in range(round(seconds / every_s)):
            clock["s"] += every_s
            clock["cpu_s"] += share * every_s
            meter.look({"wal": 5}, clock["s"], with_wait=False)

    run(5.0, 0.1)
    assert meter.cpu_percent(5, clock["s"]) == pytest.approx(10, rel=0.05)
    run(2 * WINDOW_S + 2 * every_s, share)
    assert meter.cpu_percent(5, clock["s"]) == pytest.approx(100 * share, rel=0.05)


def test_a_process_that_is_gone_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: dict[int, float | None] = {5: 1.0}
    monkeypatch.setattr(process_usage, "cpu_s", lambda pid: alive.get(pid))
    meter = CpuMeter()
    meter.look({"wal": 5}, 1.0, with_wait=False)
    assert "wal" in meter.look({"wal": 5}, 2.0, with_wait=False)
    alive.clear()
    assert meter.look({"wal": 5}, 3.0, with_wait=False) == {}
    assert meter.cpu_percent(5, 3.0) == 0.0
