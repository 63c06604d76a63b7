"""What the members of a cluster stand on, and a test can spoil: each one's disk, and its wall clock.

    with Machines(cluster, tmp_path) as machines:      # before the members are started
        machines.disks["m0"].fill(0)                   # where file systems can be mounted
        machines.clocks["m1"].jump(-3600)

The clock is `time.time` of all processes of that member (customized/sitecustomize.py); what counts how long something
takes reads another clock, as on a machine whose wall clock is set.
"""

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.cluster_process import Cluster
from tests.etcd_process import Etcdz
from tests.process.disks import SmallDisk, why_no_mounts

DISK_BYTES: Final = 400 << 20
_CUSTOMIZED: Final = Path(__file__).parent / "customized"
_ROOT: Final = Path(__file__).parents[2]


class Clock:
    """Offset of one member's wall clock, in a file that its processes map."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.offset_s = 0.0
        path.write_bytes(bytes(8))

    def jump(self, by_s: float) -> None:
        """Forwards, or backwards if it is negative; it stays there. NB: in place, as the file is mapped."""
        self.offset_s += by_s
        with self._path.open("r+b") as file:
            file.write(int(self.offset_s * 1e9).to_bytes(8, "little", signed=True))

    def environment(self) -> dict[str, str]:
        """Of the member's processes."""
        return customized(CLOCK_OFFSET_FILE=str(self._path))


def customized(**what: str) -> dict[str, str]:
    """Environment of a member of which something is otherwise: what customized/sitecustomize.py knows."""
    path = os.pathsep.join(filter(None, [str(_CUSTOMIZED), str(_ROOT), os.environ.get("PYTHONPATH")]))
    return {"PYTHONPATH": path, **what}


class Machines:
    """disks    by name of the member; empty where nothing can be mounted
    clocks      by name, of members of etcdz
    """

    def __init__(self, cluster: Cluster, parent: Path) -> None:
        """Requires: no member has been started."""
        self.disks: dict[str, SmallDisk] = {}
        self.clocks: dict[str, Clock] = {}
        self._stack = ExitStack()
        parent.mkdir(parents=True, exist_ok=True)
        can_mount = why_no_mounts(SmallDisk, parent) is None
        for member in cluster:
            if isinstance(member, Etcdz):
                clock = self.clocks[member.name] = Clock(parent / f"{member.name}.clock")
                member.env = clock.environment()
            if can_mount:
                disk = self.disks[member.name] = SmallDisk(parent / member.name, DISK_BYTES)
                member.data_dir = disk.path / "data"

    def __enter__(self) -> Self:
        for disk in self.disks.values():
            self._stack.enter_context(disk)
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(type_, error, trace)
