"""A cluster, everything that clients wrote to its members, and whether the stores hold exactly that.

trial = ClusterTrial(cluster, seed)
with trial.load(clients=8) as load:          # eight at each member
    load.wait_more(200)
    cluster["m1"].kill9()
trial.verify()
"""

import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Final, Self

import grpc

from tests.cluster_process import Cluster, ClusterMember, until
from tests.clusters.machines import Machines
from tests.etcd_process import Etcdz
from tests.process import checker
from tests.process.checker import Summary
from tests.process.load import Load, Op, Record, open_channel
from tests.process.trial import actors_of

EXPECTED_TEXTS: Final = (
    "etcdserver: request timed out",  # and both of its "possibly due to"
    "etcdserver: leader changed",
    "etcdserver: no leader",
    "etcdserver: not leader",
    "etcdserver: server stopped",
    "etcdserver: too many requests",
    "context deadline exceeded",
    "raft proposal dropped",  # etcd, while leadership is being handed over
)
"""What a client may be told while members come and go."""
NO_SPACE: Final = "etcdserver: mvcc: database space exceeded"
CONNECTION_TEXTS: Final = (
    "failed to connect to all addresses", "Connection refused", "Connection reset", "Socket closed", "recvmsg",
    "Broken pipe", "GOAWAY", "transport is closing", "error reading from server", "Stream removed", "sendmsg",
    "the client connection is closing", "Deadline Exceeded", "tcp handshaker shutdown", "Cancelling all calls",
)  # fmt: skip
"""What grpcio says of a connection that is gone; only where a listener or a whole member dies."""


class ClusterTrial:
    """A cluster under test, over all that happens to it."""

    def __init__(self, cluster: Cluster, seed: int, machines: Machines | None = None) -> None:
        """machines: what the members stand on, if that may be spoilt"""
        self.cluster = cluster
        self.machines = machines
        self.seed = seed
        self.random = random.Random(seed)
        self.record = Record()
        self.target_of: Callable[[ClusterMember], str] = lambda member: member.target
        """What clients dial."""

    def load(self, names: Iterable[str] | None = None, **options: Any) -> "ClusterLoad":
        """Clients at each of these members (None: all that run). options: of Load, for each member"""
        members = self.cluster.running() if names is None else [self.cluster[name] for name in names]
        return ClusterLoad(self, [member.name for member in members], options)

    def verify(self) -> Summary:
        """Holds one member's store against the record, and all members' against each other. raises CheckFailed"""
        leader = self.cluster.leader()
        self.cluster.assert_equal_stores()
        with open_channel(leader.target) as channel:
            grpc.channel_ready_future(channel).result(timeout=30)
            contents = checker.read_all(channel, self.random)
        return checker.check(self.record, contents)

    def wait(self, length_s: tuple[float, float]) -> None:
        """For some time between these; the length of a fault, never a synchronisation."""
        threading.Event().wait(self.random.uniform(*length_s))

    # ---- processes

    def actors(self, name: str) -> dict[str, dict[str, Any]]:
        """What `etcdz actors ps --json` says of this member, by name; empty for a real etcd. raises Refused"""
        member = self.cluster[name]
        if not isinstance(member, Etcdz):
            return {}
        return actors_of(member.data_dir)

    def signal_actor(self, name: str, actor: str, how: int) -> dict[str, dict[str, Any]]:
        """return the member's actors as they were before"""
        before = self.actors(name)
        os.kill(before[actor]["pid"], how)
        return before

    def wait_restarted(self, name: str, before: dict[str, dict[str, Any]], actor: str, timeout_s: float = 60) -> None:
        def is_back() -> bool:
            now = self.actors(name)[actor]
            return now["state"] == "ready" and now["pid"] != before[actor]["pid"]

        until(is_back, timeout_s, lambda: f"{actor} of {name} is not back")


class ClusterLoad:
    """A Load at each of several members, all in one record; a context manager."""

    def __init__(self, trial: ClusterTrial, names: list[str], options: dict[str, Any]) -> None:
        self._trial = trial
        self._options = {"clients": 8, "channels": 2, "reads": True, **options}
        self._stack = ExitStack()
        self.names = names
        self.at: dict[str, Load] = {}

    def __enter__(self) -> Self:
        for name in self.names:
            target = self._trial.target_of(self._trial.cluster[name])
            load = Load(target, self._trial.record, self._trial.seed, **self._options)
            self.at[name] = self._stack.enter_context(load)
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(type_, error, trace)

    def wait_more(self, count: int, names: Iterable[str] | None = None, timeout_s: float = 60) -> None:
        """Returns once each of these members (None: all) has acknowledged so many more calls. raises TimeoutError"""
        loads = [self.at[name] for name in (names if names is not None else self.at)]
        wanted = [(load, load.acknowledged + count) for load in loads]
        for load, acknowledged in wanted:
            load.wait_acknowledged(acknowledged, timeout_s)

    def random_moment(self, more: tuple[int, int] = (20, 200)) -> None:
        """Some moment under load. The wait is no synchronisation: it takes the moment off the beat of the answers."""
        self.wait_more(self._trial.random.randint(*more))
        threading.Event().wait(self._trial.random.uniform(0, 0.02))

    def errors(self, name: str | None = None) -> list[Op]:
        """As they came so far, at this member (None: at all)."""
        loads = self.at.values() if name is None else [self.at[name]]
        return [op for load in loads for op in load.errors]

    def stalls_ms(self, since_s: float) -> dict[str, int]:
        """The longest time without an answer since then, at each member."""
        return {name: round(1000 * load.longest_stall_s(since_s)) for name, load in self.at.items()}


def texts(errors: Iterable[Op]) -> Counter[str]:
    """For people, and for failures: what errors said, and how often."""
    return Counter(f"{op.code.name if op.code else None}: {op.text[:80]}" for op in errors)


def unexpected(errors: Iterable[Op], connection_lost: bool = False, disk_full: bool = False) -> Counter[str]:
    """Errors that an etcd in trouble would not give. connection_lost: a listener has died, so those of grpcio count.
    disk_full: a member has been without space"""
    allowed = EXPECTED_TEXTS + (CONNECTION_TEXTS if connection_lost else ()) + ((NO_SPACE,) if disk_full else ())
    return texts(op for op in errors if not any(text in op.text for text in allowed))
