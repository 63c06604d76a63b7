"""Actors come to their end in a cluster whose members and clients all speak TLS, and whose clients are users.

As in test_kill_actor.py nothing is lost or doubled, and clients hear nothing, or what etcd would say. Beside it,
strangers get in at no member and at no moment, and all users keep their tokens and permissions.
"""

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.cluster_process import Cluster, ClusterSecureEtcdz
from tests.clusters.conftest import ClusterMaker
from tests.clusters.test_kill_actor import LISTENER, RULES, End, end_each, end_one, table
from tests.clusters.test_peer_tls import HERE, peer_flags
from tests.clusters.trial import EXPECTED_TEXTS, ClusterLoad, ClusterTrial, unexpected
from tests.secure_users import WAYS, WRITER, Strangers, Users

pytestmark = [pytest.mark.process, pytest.mark.timeout(3_600)]

SHORT = ("backend", "peer", "raft")
ROUNDS_LONG = {signal.SIGKILL: 10, signal.SIGSTOP: 3}


class SecureClusterTrial(ClusterTrial):
    def __init__(self, cluster: Cluster, seed: int, users: Users) -> None:
        super().__init__(cluster, seed)
        self.users = users
        self.target_of = lambda member: users.target(member.target, WRITER)

    def load(self, names: Any = None, **options: Any) -> ClusterLoad:
        """NB: a handshake on a busy machine takes longer than the patience of the other loads."""
        return super().load(names, **{"long_running": True, **options})


@pytest.fixture(params=WAYS)
def trial(
    request: pytest.FixtureRequest, make_cluster: ClusterMaker, tmp_path: Path, is_long: bool
) -> Iterator[SecureClusterTrial]:
    if not is_long:
        pytest.skip("all ways of being known only with --long")
    users = Users(tmp_path / "pki", request.param)
    tls = peer_flags(users.authority, users.authority.issue("member", ips=HERE))
    kinds = ",".join(["secure-etcdz"] * 3)
    cluster = make_cluster(kinds, "--snapshot-count=1000", RULES, *users.flags, *tls, peer_scheme="https")
    members = [member for member in cluster if isinstance(member, ClusterSecureEtcdz)]
    for member in members:
        users.be_root_at(member)
    cluster.start()
    users.begin(cluster.leader().target)
    for member in members:
        users.be_root_at(member)
    yield SecureClusterTrial(cluster, 0, users)


def test_nobody_notices_and_nobody_gets_in(trial: SecureClusterTrial, is_long: bool) -> None:
    with ExitStack() as stack:
        strangers = [stack.enter_context(Strangers(trial.users, member.target)) for member in trial.cluster]
        for role, how in [(role, how) for role in ("leader", "follower") for how in ROUNDS_LONG] if is_long else []:
            check(trial, role, end_each(trial, role, how, ROUNDS_LONG[how]))
        if not is_long:
            with trial.load(clients=6) as load:
                ends = {actor: [end_one(trial, load, actor, "leader", signal.SIGKILL)] for actor in SHORT}
            check(trial, "leader", ends)
    for at_one in strangers:
        assert at_one.unexpected(EXPECTED_TEXTS, connection_lost=is_long) == []
        assert at_one.refused
    for member in trial.cluster:
        trial.users.check(member.target)


def check(trial: SecureClusterTrial, role: str, ends: dict[str, list[End]]) -> None:
    """NB: how many elections there are is asked in test_kill_actor.py."""
    for actor, found in ends.items():
        print(table(f"{trial.users.way} {actor} of {role}", found))
    print(trial.verify())
    for actor, found in ends.items():
        errors = [error for end in found for error in end.errors]
        assert not unexpected(errors, connection_lost=actor == LISTENER)
