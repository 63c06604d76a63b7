"""What goes wrong with members and the links between them, at random: one fault at a time, each for a while.

    for fault in plan(trial, seed_of_the_order, count):
        fault.begin(); ...; fault.end()

A fault's `end` leaves all members running and all links whole; that they have recovered by then is not said.
"""

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NamedTuple

import grpc
import psutil

from etcdz.proto import etcdserverpb as pb
from tests.cluster_process import Cluster, MemberFailed, until
from tests.clusters.trial import ClusterTrial
from tests.etcd_process import Etcdz
from tests.process.damage import flip_in_file
from tests.process.injected import can_inject, injected

ACTORS: Final = ("raft", "wal", "backend", "peer", "lessor", "compactor", "listener-1")
PAUSABLE: Final = ("raft", "peer", "wal", "backend")
LEFT_BYTES: Final = (0, 0, 8 << 20)
"""On a full disk: nothing, or less than the reserve."""
_LOOK_TIMEOUT_S: Final = 10.0
"""Of a read at a member that may end meanwhile, and is started again then."""
SLOW: Final = {"delay_s": 0.035, "jitter_s": 0.03}


class Fault(NamedTuple):
    """name: for people. begin and end: each once, in this order"""

    name: str
    begin: Callable[[], None]
    end: Callable[[], None]


def _nothing() -> None:
    return None


def kill_member(trial: ClusterTrial, name: str) -> Fault:
    cluster = trial.cluster

    def restart() -> None:
        cluster.launch(name).wait_ready()

    return Fault(f"kill -9 {name}", cluster[name].kill9, restart)


def stop_member(trial: ClusterTrial, name: str) -> Fault:
    """SIGTERM, and a start afterwards."""
    cluster = trial.cluster

    def restart() -> None:
        cluster.launch(name).wait_ready()

    return Fault(f"stop {name}", lambda: void(cluster[name].stop()), restart)


def pause_member(trial: ClusterTrial, name: str) -> Fault:
    member = trial.cluster[name]
    family: list[psutil.Process] = []

    def begin() -> None:
        family.extend(member.processes())
        _signal(family, signal.SIGSTOP)

    return Fault(f"pause {name}", begin, lambda: _signal(family, signal.SIGCONT))


def _signal(processes: list[psutil.Process], how: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(how)


def kill_actor(trial: ClusterTrial, name: str, actor: str) -> Fault:
    before: dict[str, dict[str, object]] = {}
    return Fault(
        f"kill -9 {actor} of {name}",
        lambda: before.update(trial.signal_actor(name, actor, signal.SIGKILL)),
        lambda: trial.wait_restarted(name, before, actor),
    )


def pause_actor(trial: ClusterTrial, name: str, actor: str) -> Fault:
    """If it is away for longer than its supervisor allows, another takes its place meanwhile."""
    pids: list[int] = []

    def begin() -> None:
        pids.append(int(trial.actors(name)[actor]["pid"]))
        os.kill(pids[0], signal.SIGSTOP)

    def end() -> None:
        with suppress(ProcessLookupError):
            os.kill(pids[0], signal.SIGCONT)

    return Fault(f"pause {actor} of {name}", begin, end)


def fill_disk(trial: ClusterTrial, name: str, leave_bytes: int = 0) -> Fault:
    """It takes no more writes of its own clients; if its disk is needed, it ends."""
    assert trial.machines is not None
    disk = trial.machines.disks[name]

    def end() -> None:
        disk.relieve()
        recover(trial, name)

    return Fault(f"fill the disk of {name} but for {leave_bytes} bytes", lambda: disk.fill(leave_bytes), end)


def set_clock(trial: ClusterTrial, name: str, by_s: float) -> Fault:
    """The wall clock of one member jumps, and is not set right again. An actor that begins then reads it anew."""
    assert trial.machines is not None
    clock = trial.machines.clocks[name]
    actor = trial.random.choice(ACTORS)
    killed = kill_actor(trial, name, actor)

    def begin() -> None:
        clock.jump(by_s)
        killed.begin()

    return Fault(f"set the clock of {name} by {by_s:.1f} s and kill its {actor}", begin, killed.end)


def fail_sync(trial: ClusterTrial, name: str) -> Fault:
    """What the log writes is not synced: the member ends with its next write."""
    injecting = ExitStack()

    def begin() -> None:
        pid = int(trial.actors(name)["wal"]["pid"])
        injecting.enter_context(injected(pid, "fdatasync", "error=EIO"))

    def end() -> None:
        injecting.close()
        recover(trial, name)

    return Fault(f"fail the log's sync of {name}", begin, end)


def flip_bit(trial: ClusterTrial, name: str) -> Fault:
    """In a file of a member that was killed. It starts again and has what the others have, or it refuses and says why:
    then its files are what they were before."""
    member = trial.cluster[name]
    kept = Path(f"{member.tmp_dir}.kept")

    def begin() -> None:
        member.kill9()
        shutil.copytree(member.data_dir, kept)
        print(f"        {flip_in_file(member.data_dir, trial.random)}", flush=True)

    def end() -> None:
        trial.cluster.launch(name)
        try:
            member.wait_ready()
        except MemberFailed:
            assert member.wait() not in (0, -signal.SIGKILL)
            assert "Traceback" not in member.log_tail(40), member.log_tail(40)
            print(f"        refused: {member.log_tail(1).strip()}", flush=True)
            shutil.rmtree(member.data_dir)
            shutil.copytree(kept, member.data_dir)
        shutil.rmtree(kept)
        recover(trial, name)
        assert_equal_stores(trial, name)

    return Fault(f"flip a bit of {name}", begin, end)


def assert_equal_stores(trial: ClusterTrial, name: str) -> None:
    """All data are read for that: what this member finds damaged only then ends it, and its next start mends it."""
    try:
        trial.cluster.assert_equal_stores()
    except grpc.RpcError:
        recover(trial, name)
        trial.cluster.assert_equal_stores()


def recover(trial: ClusterTrial, name: str) -> None:
    """Returns once it answers a linearizable read; it is started again if it has ended. raises TimeoutError"""
    member = trial.cluster[name]

    def answers() -> bool:
        if not member.running:
            member.stop()  # what is left of it
            trial.cluster.launch(name)
        try:
            member.call("KV/Range", pb.RangeRequest(key=b"\0", count_only=True), pb.RangeResponse, _LOOK_TIMEOUT_S)
        except grpc.RpcError:
            return False
        return True

    until(answers, 120, lambda: f"{name} does not answer: {member.log_tail(5)}", 0.1)


def links(trial: ClusterTrial, name: str, order: Callable[[], None]) -> Fault:
    return Fault(name, order, trial.cluster.network.heal)


def void(_result: object) -> None:
    """For calls whose result is not wanted."""


# ---- at random


def plan(trial: ClusterTrial, kinds: tuple[str, ...] = ()) -> Iterator[Fault]:
    """Without end. kinds: only faults of these functions' names in KINDS; (): of all that the cluster allows"""
    rng = trial.random
    possible = {name: make for name, make in KINDS.items() if not kinds or name in kinds}
    while True:
        fault = possible[rng.choice(list(possible))](trial, rng)
        if fault is not None:
            yield fault


def _any(cluster: Cluster, rng: random.Random) -> str:
    return rng.choice([member.name for member in cluster])


def _victim(cluster: Cluster, rng: random.Random) -> str:
    """The leader as often as all others together."""
    with suppress(TimeoutError):
        if rng.random() < 0.5:
            return cluster.leader(timeout_s=5).name
    return _any(cluster, rng)


def _an_etcdz(cluster: Cluster, rng: random.Random) -> str | None:
    name = _victim(cluster, rng)
    return name if isinstance(cluster[name], Etcdz) else None


def _random_actor(
    make: Callable[[ClusterTrial, str, str], Fault], actors: tuple[str, ...]
) -> Callable[[ClusterTrial, random.Random], Fault | None]:
    def fault(trial: ClusterTrial, rng: random.Random) -> Fault | None:
        name = _an_etcdz(trial.cluster, rng)
        return make(trial, name, rng.choice(actors)) if name else None

    return fault


def _random_member(
    make: Callable[[ClusterTrial, str], Fault],
) -> Callable[[ClusterTrial, random.Random], Fault | None]:
    return lambda trial, rng: make(trial, _victim(trial.cluster, rng))


def _random_isolation(trial: ClusterTrial, rng: random.Random) -> Fault:
    name = _victim(trial.cluster, rng)
    return links(trial, f"isolate {name}", lambda: trial.cluster.network.isolate(name))


def _random_mute(trial: ClusterTrial, rng: random.Random) -> Fault:
    name = _victim(trial.cluster, rng)
    return links(trial, f"mute {name}", lambda: trial.cluster.network.mute(name))


def _random_deafness(trial: ClusterTrial, rng: random.Random) -> Fault:
    name = _victim(trial.cluster, rng)
    return links(trial, f"deafen {name}", lambda: trial.cluster.network.deafen(name))


def _random_cut(trial: ClusterTrial, rng: random.Random) -> Fault:
    """One pair: with three members, a chain is left."""
    one, other = rng.sample([member.name for member in trial.cluster], 2)
    return links(trial, f"cut {one}-{other}", lambda: trial.cluster.network.cut(one, other))


def _random_halves(trial: ClusterTrial, rng: random.Random) -> Fault:
    names = [member.name for member in trial.cluster]
    rng.shuffle(names)
    half = names[: len(names) // 2]
    return links(trial, f"part {half}", lambda: trial.cluster.network.partition(half))


def _random_full_disk(trial: ClusterTrial, rng: random.Random) -> Fault | None:
    if trial.machines is None or not trial.machines.disks:
        return None
    return fill_disk(trial, _victim(trial.cluster, rng), rng.choice(LEFT_BYTES))


def _random_clock(trial: ClusterTrial, rng: random.Random) -> Fault | None:
    name = _an_etcdz(trial.cluster, rng)
    if trial.machines is None or name is None:
        return None
    return set_clock(trial, name, rng.choice((-1, 1)) * 10 ** rng.uniform(-1, 4))


def _random_failed_sync(trial: ClusterTrial, rng: random.Random) -> Fault | None:
    name = _an_etcdz(trial.cluster, rng)
    return fail_sync(trial, name) if name and can_inject() else None


def _random_flip(trial: ClusterTrial, rng: random.Random) -> Fault | None:
    name = _an_etcdz(trial.cluster, rng)
    return flip_bit(trial, name) if name else None


def _random_slowness(trial: ClusterTrial, rng: random.Random) -> Fault:
    names = [member.name for member in trial.cluster]

    def order() -> None:
        for at, one in enumerate(names):
            for other in names[:at]:
                trial.cluster.network.slow(one, other, **SLOW)

    return links(trial, "slow links", order)


KINDS: Final[dict[str, Callable[[ClusterTrial, random.Random], Fault | None]]] = {
    "kill_actor": _random_actor(kill_actor, ACTORS),
    "pause_actor": _random_actor(pause_actor, PAUSABLE),
    "kill_member": _random_member(kill_member),
    "stop_member": _random_member(stop_member),
    "pause_member": _random_member(pause_member),
    "isolate": _random_isolation,
    "mute": _random_mute,
    "deafen": _random_deafness,
    "cut": _random_cut,
    "halves": _random_halves,
    "slow": _random_slowness,
    "full_disk": _random_full_disk,
    "clock": _random_clock,
    "failed_sync": _random_failed_sync,
    "flip": _random_flip,
}
