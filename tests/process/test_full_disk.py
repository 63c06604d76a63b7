"""A full disk: writes are refused, reads go on, nothing acknowledged is lost, and space is all it takes to go on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from tests.process.disks import SmallDisk, why_no_mounts
from tests.process.load import Load, Op
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(300)]

NO_SPACE = "etcdserver: mvcc: database space exceeded"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    if why := why_no_mounts(SmallDisk, tmp_path):
        pytest.skip(why)
    with SmallDisk(tmp_path, 220 << 20) as disk:
        yield disk


@pytest.mark.parametrize(
    "leave_bytes",
    [pytest.param(8 << 20, id="below the reserve", marks=pytest.mark.long), pytest.param(0, id="to the last byte")],
)
def test_a_full_disk_refuses_writes_and_recovers_with_space(
    leave_bytes: int, small_disk: SmallDisk, make_trial: Callable[..., Trial]
) -> None:
    trial = make_trial("--snapshot-count=2000", data_dir=small_disk.path / "data")
    with trial.load() as load:
        load.wait_acknowledged(1_000)
        small_disk.fill(leave_bytes)
        wait_refused(load, 200)
        assert trial.get(b"counter/0").kvs, "reads go on"
        acknowledged = load.acknowledged
        small_disk.relieve()
        load.wait_acknowledged(acknowledged + 1_000)
    errors = {(op.code, op.text) for op in load.ops() if op.code is not None}
    print(f"errors: {errors}, longest stall {load.longest_stall_s():.3f} s")
    assert errors == {(grpc.StatusCode.RESOURCE_EXHAUSTED, NO_SPACE)}
    print("space again:", trial.verify())
    with trial.load() as load:
        small_disk.fill(leave_bytes)
        wait_refused(load, 200)
        trial.crash(load)
    trial.member.start()
    print("killed while full:", trial.verify())
    with trial.load() as load:
        wait_refused(load, 100)
        small_disk.relieve()
        load.wait_acknowledged(load.acknowledged + 200)
    print("started while full, and space again:", trial.verify())
    trial.member.kill9()


def wait_refused(load: Load, count: int) -> None:
    """Until so many calls were refused for want of space."""

    def is_no_space(op: Op) -> bool:
        return op.text == NO_SPACE

    load.wait_errors(count, is_no_space)
