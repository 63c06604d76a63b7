"""A cluster of etcdz members and real ones, in any mix, for tests and measurements.

    with Cluster(tmp_path, ["etcdz", "etcd", "old-etcd"]) as cluster:
        channel = grpc.insecure_channel(cluster["m1"].target)
        cluster.move_leader("m2")

Members are called m0, m1, ... in the order in which they came. With `proxied`, what they say to each other goes through
`cluster.network`, where links can be cut, frozen and slowed down.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import grpc

from etcdz.cluster.identity import cluster_id, member_id
from etcdz.embed import ports
from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Etcdz, Member, MemberFailed, OldEtcd, RealEtcd
from tests.peer_network import Network
from tests.process.load import open_channel, unary
from tests.secure_members import SecureMember

TOKEN: Final = "tok"
FAST: Final = ("--heartbeat-interval=50", "--election-timeout=500")
"""For tests in which leaders are lost and time would pass until there is another: half of the usual."""
STEADY: Final = ("--heartbeat-interval=100", "--election-timeout=3000")
"""For tests in which leaders stay or hand over: a member that gets no CPU for a second or two is not taken for dead."""
_LOOK_EVERY_S: Final = 0.02
_CALL_TIMEOUT_S: Final = 30.0
_STATUS_TIMEOUT_S: Final = 3.0
"""Where whoever does not answer is left out: it may be stopped."""
_PATIENCE_S: Final = 60.0
_HASH_TIMEOUT_S: Final = 120.0
"""A whole store is read for it, on a machine that may be slow."""
_RECONFIG_TIMEOUT_S: Final = 60.0
_DONE_BEFORE: Final = {
    "Cluster/MemberAdd": "Peer URLs already exists",
    "Cluster/MemberPromote": "can only promote a learner member",
    "Cluster/MemberRemove": "member not found",
}
"""What a change of the membership is refused with that has been made already."""
_TRANSIENT: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNKNOWN)


class ClusterMember(Member):
    """A member among others: with a name, a peer URL and an initial cluster of its own."""

    def __init__(self, tmp_dir: Path, name: str, *flags: str, peer_scheme: str = "http", **options: Any) -> None:
        super().__init__(tmp_dir / name, *flags, **options)
        self.name = name
        self._held = [ports.hold(), ports.hold()]
        self.client_port, self.peer_port = (held.getsockname()[1] for held in self._held)
        self.peer_scheme = peer_scheme
        self.peer_url = f"{peer_scheme}://127.0.0.1:{self.peer_port}"
        """The one that it advertises: with a network between them, not the one that it listens on."""
        self.initial_cluster = ""
        self.is_joining = False
        self.member_id = 0

    def _own_flags(self) -> list[str]:
        return [
            f"--name={self.name}",
            f"--data-dir={self.data_dir}",
            f"--listen-client-urls={self.client_url}",
            f"--advertise-client-urls={self.client_url}",
            f"--listen-peer-urls={self.peer_scheme}://127.0.0.1:{self.peer_port}",
            f"--initial-advertise-peer-urls={self.peer_url}",
            f"--initial-cluster={self.initial_cluster}",
            f"--initial-cluster-token={TOKEN}",
            f"--initial-cluster-state={'existing' if self.is_joining else 'new'}",
        ]

    def discard(self) -> None:
        super().discard()
        for held in self._held:
            held.close()

    # ---- single calls

    def call(self, path: str, request: Any, answer: Any, timeout_s: float = _CALL_TIMEOUT_S) -> Any:
        """One call over a connection of its own. path: "Service/Method". raises grpc.RpcError"""
        with open_channel(self.target, long_running=True) as channel:
            return unary(channel, path, answer)(request, timeout=timeout_s, wait_for_ready=True)

    def ask(self, path: str, request: Any, answer: Any) -> Any:
        """As `call`, of what may be done twice: again while an election is in its way. raises grpc.RpcError"""
        return patiently(lambda: self.call(path, request, answer))

    def status(self, timeout_s: float = _CALL_TIMEOUT_S) -> Any:
        return self.call("Maintenance/Status", pb.StatusRequest(), pb.StatusResponse, timeout_s)

    def revision(self) -> int:
        """Of its own store, which may be behind that of others."""
        request = pb.RangeRequest(key=b"\0", count_only=True, serializable=True)
        return int(self.call("KV/Range", request, pb.RangeResponse).header.revision)

    def put(self, key: bytes, value: bytes) -> Any:
        """NB: it may be done twice, as `ask` says."""
        return self.ask("KV/Put", pb.PutRequest(key=key, value=value), pb.PutResponse)

    def get(self, key: bytes, **fields: Any) -> Any:
        return self.ask("KV/Range", pb.RangeRequest(key=key, **fields), pb.RangeResponse)

    def hash_kv(self, revision: int = 0) -> tuple[int, int, int]:
        """(revision that it has, hash up to the asked one, compact revision)"""
        request = pb.HashKVRequest(revision=revision)
        found = self.call("Maintenance/HashKV", request, pb.HashKVResponse, _HASH_TIMEOUT_S)
        return found.header.revision, found.hash, found.compact_revision

    def member_list(self) -> Any:
        return self.ask("Cluster/MemberList", pb.MemberListRequest(linearizable=True), pb.MemberListResponse)


class ClusterEtcdz(ClusterMember, Etcdz):
    """etcdz of this checkout."""


class ClusterEtcd(ClusterMember, RealEtcd):
    """etcd 3.5.1."""


class ClusterOldEtcd(ClusterMember, OldEtcd):
    """etcd 3.4."""


class ClusterSecureEtcdz(SecureMember, ClusterEtcdz):
    """etcdz whose clients come by TLS."""


KINDS: Final[dict[str, type[ClusterMember]]] = {
    **{kind.kind: kind for kind in (ClusterEtcdz, ClusterEtcd, ClusterOldEtcd)},
    "secure-etcdz": ClusterSecureEtcdz,
}


def why_absent(kinds: Iterable[str]) -> str | None:
    """The reason to skip, or None if there is a program for each of these kinds."""
    return next(filter(None, (KINDS[kind].why_absent() for kind in kinds)), None)


class Cluster:
    """Members that form one cluster; a context manager."""

    def __init__(
        self,
        tmp_dir: Path,
        kinds: Sequence[str],
        *flags: str,
        proxied: bool = False,
        seed: int = 0,
        start_timeout_s: float = 120,
        peer_scheme: str = "http",
    ) -> None:
        """kinds of KINDS, one for each member; flags are for all of them"""
        self.tmp_dir = tmp_dir
        self.flags = flags
        self.members: dict[str, ClusterMember] = {}
        self.gone: list[ClusterMember] = []
        """What was removed or replaced: their data are still there."""
        self._count = 0
        self._start_timeout_s = start_timeout_s
        self._peer_scheme = peer_scheme
        self._network = Network(seed) if proxied else None
        founders = [self._new_member(kind) for kind in kinds]
        for member in founders:
            member.initial_cluster = self._initial_cluster(founders)
            member.member_id = member_id([member.peer_url], TOKEN)
        self.cluster_id = cluster_id([member.member_id for member in founders])

    def _new_member(self, kind: str, *flags: str) -> ClusterMember:
        name = f"m{self._count}"
        self._count += 1
        member = KINDS[kind](
            self.tmp_dir,
            name,
            *self.flags,
            *flags,
            peer_scheme=self._peer_scheme,
            start_timeout_s=self._start_timeout_s,
        )
        if self._network is not None:
            member.peer_url = f"{self._peer_scheme}://127.0.0.1:{self._network.add(name, member.peer_port)}"
        self.members[name] = member
        return member

    @staticmethod
    def _initial_cluster(members: Iterable[ClusterMember]) -> str:
        return ",".join(f"{member.name}={member.peer_url}" for member in members)

    def __getitem__(self, name: str) -> ClusterMember:
        return self.members[name]

    def __iter__(self) -> Iterator[ClusterMember]:
        return iter(list(self.members.values()))

    @property
    def network(self) -> Network:
        """Requires: proxied"""
        assert self._network is not None
        return self._network

    # ---- start and end

    def start(self, names: Iterable[str] | None = None) -> Self:
        """Launches these in this order (None: all that do not run) and waits until each of them serves clients."""
        wanted = [member for member in self if not member.running] if names is None else [self[name] for name in names]
        for member in wanted:
            self.launch(member.name)
        for member in wanted:
            member.wait_ready()
        return self

    def launch(self, name: str) -> ClusterMember:
        """Starts it without waiting for anything: without the others it may not be able to serve."""
        member = self[name].launch()
        if self._network is not None:
            self._network.set_sessions({each.name: each.pid for each in self if each.running})
        return member

    def restart(self, name: str) -> ClusterMember:
        self[name].stop()
        return self.launch(name).wait_ready()

    def stop_for(self, name: str, kind: str) -> ClusterMember:
        """Stops it. return one of another kind in its place, not started: of the same name, addresses and data"""
        old = self[name]
        old.stop()
        new = KINDS[kind](self.tmp_dir, name, *old.flags, start_timeout_s=self._start_timeout_s)
        for held in new._held:
            held.close()
        for kept in ("_held", "client_port", "peer_port", "peer_scheme", "peer_url", "data_dir", "member_id"):
            setattr(new, kept, getattr(old, kept))
        new.initial_cluster, new.is_joining = old.initial_cluster, old.is_joining
        self.members[name] = new
        return new

    def discard(self) -> None:
        """Nothing of it is needed any more but the data."""
        for member in [*self, *self.gone]:
            member.discard()
        if self._network is not None:
            self._network.close()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.discard()
            raise

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.discard()

    def log_tails(self, count: int = 40) -> str:
        return "\n".join(f"--- {member.name} ({member.kind})\n{member.log_tail(count)}" for member in self)

    # ---- who leads

    def running(self) -> list[ClusterMember]:
        return [member for member in self if member.running]

    def statuses(self, names: Iterable[str] | None = None) -> dict[str, Any]:
        """Of those that answer."""
        found = {}
        for member in self.running() if names is None else [self[name] for name in names]:
            try:
                found[member.name] = member.status(_STATUS_TIMEOUT_S)
            except grpc.RpcError:
                continue
        return found

    def leader(self, among: Iterable[str] | None = None, timeout_s: float = _PATIENCE_S) -> ClusterMember:
        """The one of these (None: of all that run) whom all of them take for leader in one term. raises TimeoutError"""
        names = [member.name for member in self.running()] if among is None else list(among)
        seen: dict[str, Any] = {}

        def agreed() -> ClusterMember | None:
            seen.clear()
            seen.update(self.statuses(names))
            views = {(status.leader, status.raftTerm) for status in seen.values()}
            if len(seen) < len(names) or len(views) != 1:
                return None
            leader, _ = views.pop()
            return next((self[name] for name in names if leader and self[name].member_id == leader), None)

        said = "no leader that all know"
        return until(agreed, timeout_s, lambda: f"{said}: { {name: _view(status) for name, status in seen.items()} }")

    def followers(self) -> list[ClusterMember]:
        leader = self.leader()
        return [member for member in self.running() if member is not leader]

    def term(self) -> int:
        """That all running members are in. raises TimeoutError"""
        return int(self.leader().status().raftTerm)

    def move_leader(self, name: str, timeout_s: float = _PATIENCE_S) -> None:
        """Returns once all running members take it for the leader."""
        target = self[name]
        give_up_at = time.monotonic() + timeout_s
        while (leader := self.leader(timeout_s=timeout_s)) is not target:
            request = pb.MoveLeaderRequest(targetID=target.member_id)
            try:
                leader.call("Maintenance/MoveLeader", request, pb.MoveLeaderResponse)
            except grpc.RpcError as error:
                # Leadership went elsewhere meanwhile, or the target is still behind.
                if error.code() not in (*_TRANSIENT, grpc.StatusCode.FAILED_PRECONDITION):
                    raise
            if time.monotonic() > give_up_at:
                raise TimeoutError(f"{name} does not become leader, {leader.name} stays it")

    # ---- membership

    def add(self, kind: str, *flags: str, is_learner: bool = False, via: str | None = None) -> ClusterMember:
        """A new member, added to the cluster and started on an empty directory; returns once it serves clients."""
        member = self.announce(kind, *flags, is_learner=is_learner, via=via)
        self.launch(member.name)
        # A learner has only what it is sent; it serves as soon as its own publication has reached it.
        return member.wait_ready()

    def announce(self, kind: str, *flags: str, is_learner: bool = False, via: str | None = None) -> ClusterMember:
        """A new member that the cluster knows and that is not started yet."""
        old = list(self)
        member = self._new_member(kind, *flags)
        request = pb.MemberAddRequest(peerURLs=[member.peer_url], isLearner=is_learner)
        self.reconfigure("Cluster/MemberAdd", request, pb.MemberAddResponse, via, without=member.name)
        asked = self[via] if via else next(each for each in self.running() if each is not member)
        found = asked.member_list().members
        (member.member_id,) = (each.ID for each in found if list(each.peerURLs) == [member.peer_url])
        known = {each.ID for each in found}
        member.initial_cluster = self._initial_cluster([each for each in [*old, member] if each.member_id in known])
        member.is_joining = True
        return member

    def promote(self, name: str, via: str | None = None) -> None:
        """Tries until the learner has caught up; returns once it knows itself that it is a voter."""
        request = pb.MemberPromoteRequest(ID=self[name].member_id)
        self.reconfigure("Cluster/MemberPromote", request, pb.MemberPromoteResponse, via, without=name)
        until(lambda: not self[name].status().isLearner, _RECONFIG_TIMEOUT_S, lambda: f"{name} is still a learner")

    def remove(self, name: str, via: str | None = None) -> ClusterMember:
        """It is a member no longer; its process is left alone (it stops by itself). return it"""
        request = pb.MemberRemoveRequest(ID=self[name].member_id)
        self.reconfigure("Cluster/MemberRemove", request, pb.MemberRemoveResponse, via, without=name)
        member = self.members.pop(name)
        self.gone.append(member)
        return member

    def replace(self, name: str, kind: str, is_learner: bool = True) -> ClusterMember:
        """By one of another kind: added first (as a learner, then promoted); then the old one leaves and is stopped."""
        new = self.add(kind, is_learner=is_learner)
        if is_learner:
            self.promote(new.name)
        if self.leader() is self[name]:
            self.move_leader(new.name)
        self.remove(name).discard()
        return new

    def reconfigure(self, path: str, request: Any, answer: Any, via: str | None, without: str = "") -> Any:
        """Asks again while the cluster says that it is not healthy enough yet.

        return  the answer; an empty one if an earlier attempt was done although its answer was an error
        raises  grpc.RpcError, TimeoutError
        """
        refused: list[grpc.RpcError] = []

        def done() -> Any:
            others = [member for member in self.running() if member.name != without] or self.running()
            try:
                return (self[via] if via else others[0]).call(path, request, answer)
            except grpc.RpcError as error:
                if any(map(_is_of_an_election, refused)) and str(error.details()).endswith(_DONE_BEFORE[path]):
                    return answer()
                if not _will_pass(error):
                    raise
                refused.append(error)
                return None

        return until(done, _RECONFIG_TIMEOUT_S, lambda: f"{path} is refused: {refused[-1].details()}", 0.2)

    # ---- what they hold

    def hashes(self, timeout_s: float = _PATIENCE_S) -> dict[str, tuple[int, int, int]]:
        """HashKV of all running members, once all have come to the revision of a linearizable read."""
        members = self.running()
        revision = members[0].get(b"\0", count_only=True).header.revision

        def all_there() -> bool:
            return all(member.revision() >= revision for member in members)

        until(all_there, timeout_s, lambda: f"not all have come to {revision}: {_revisions(members)}")
        return {member.name: (revision, *member.hash_kv(revision)[1:]) for member in members}

    def assert_equal_stores(self) -> int:
        """Of all running members; return the revision at which they were compared."""
        found = self.hashes()
        assert len(set(found.values())) == 1, f"(revision, hash, compact revision) differ: {found}"
        return next(iter(found.values()))[0]


def _revisions(members: Iterable[ClusterMember]) -> dict[str, int]:
    return {member.name: member.revision() for member in members}


def _view(status: Any) -> tuple[str, int]:
    return f"{status.leader:x}", status.raftTerm


def _is_of_an_election(error: grpc.RpcError) -> bool:
    """Whether the call came while the members had no leader, or another one; it may have been done all the same."""
    texts = ("leader changed", "timed out", "no leader", "not leader", "raft proposal dropped")
    return any(text in str(error.details()) for text in texts)


def _will_pass(error: grpc.RpcError) -> bool:
    """Whether the same request may succeed a little later."""
    texts = ("unhealthy cluster", "not enough started members", "in sync with leader")
    return _is_of_an_election(error) or any(text in str(error.details()) for text in texts)


def patiently(call: Callable[[], Any], timeout_s: float = _PATIENCE_S) -> Any:
    """What a call returns that may be made twice: on a busy machine leaders are lost and found at any moment.

    raises  what the call raises, but for what an election is to blame for; that as well when the time is over
    """
    give_up_at = time.monotonic() + timeout_s
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if not _is_of_an_election(error) or time.monotonic() > give_up_at:
                raise
        threading.Event().wait(_LOOK_EVERY_S)


def until(look: Callable[[], Any], timeout_s: float, problem: Callable[[], str], every_s: float = _LOOK_EVERY_S) -> Any:
    """What `look` returns, once that is true. For what a member tells nobody unasked. raises TimeoutError"""
    give_up_at = time.monotonic() + timeout_s
    while True:
        if found := look():
            return found
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"after {timeout_s:g} s: {problem()}")
        threading.Event().wait(every_s)


__all__ = ["Cluster", "ClusterMember", "MemberFailed", "patiently", "until", "why_absent"]
