"""A disk that fails: the member ends with the reason, as etcd does, or goes on where nothing is lost by it."""

from collections.abc import Callable

import grpc
import pytest

from tests.process.injected import injected, needs_strace
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(120), needs_strace]


@pytest.mark.parametrize(
    ("actor", "reason"),
    [("wal", "failed to save Raft hard state and entries"), ("backend", "failed to commit to the backend")],
)
def test_a_sync_that_fails_ends_the_member_and_nothing_is_lost(
    actor: str, reason: str, make_trial: Callable[..., Trial]
) -> None:
    """The wal syncs for each write, and what it could not sync is not acknowledged; the backend now and then."""
    trial = make_trial("--snapshot-count=10")
    member = trial.member
    trial.put(b"before")
    acknowledged = 0
    with injected(int(trial.actors()[actor]["pid"]), "fdatasync", "error=EIO"):
        with pytest.raises(grpc.RpcError):
            for number in range(1000):
                trial.put(b"%d" % number)
                acknowledged += 1
        assert member.wait(timeout_s=60) == 1
    last = member.log_tail(1)
    assert reason in last and "Input/output error" in last
    assert actor == "backend" or acknowledged == 0
    member.start()
    for key in (b"before", *(b"%d" % number for number in range(acknowledged))):
        assert trial.get(key).count == 1


def test_a_snap_that_cannot_be_written_is_told_and_the_log_keeps_what_it_stands_for(
    make_trial: Callable[..., Trial],
) -> None:
    trial = make_trial("--snapshot-count=10")
    with injected(int(trial.actors()["wal"]["pid"]), "rename,renameat,renameat2", "error=EIO"):
        for number in range(30):
            trial.put(b"%d" % number)
        trial.member.wait_for_log("failed to save a snapshot")
        trial.put(b"after")
    trial.member.kill9()
    trial.member.start()
    for key in (b"0", b"29", b"after"):
        assert trial.get(key).count == 1
