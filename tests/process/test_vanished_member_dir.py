"""`member/` goes away under a running member: it stops with the reason, and never serves an empty cluster instead."""

import os
import shutil
import signal
from collections.abc import Callable

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.process.load import open_channel, unary
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(120)]


def revisions_until_it_ends(trial: Trial) -> list[int]:
    """What a client is told as long as anybody answers."""
    found: list[int] = []
    with open_channel(trial.member.target) as channel:
        ask = unary(channel, "KV/Range", pb.RangeResponse)
        while trial.member.running:
            try:
                found.append(ask(pb.RangeRequest(key=b"a"), timeout=1).header.revision)
            except grpc.RpcError:
                continue
    return found


@pytest.mark.parametrize(
    "killed",
    [
        ["wal"],
        ["backend"],
        pytest.param(["backend", "wal", "raft"], marks=pytest.mark.long),
        pytest.param(["raft", "wal"], marks=pytest.mark.long),
    ],
    ids="+".join,
)
def test_it_stops_and_says_what_is_gone(killed: list[str], make_trial: Callable[..., Trial]) -> None:
    trial = make_trial()
    revision = [trial.put(b"a", b"%d" % number) for number in range(5)][-1].header.revision
    pids = {name: int(actor["pid"]) for name, actor in trial.actors().items()}
    gone = (trial.member.data_dir / "member").rename(trial.member.data_dir.with_name("gone"))
    shutil.rmtree(gone)  # under another name nobody adds a file to it meanwhile
    for name in killed:
        os.kill(pids[name], signal.SIGKILL)
    assert set(revisions_until_it_ends(trial)) <= {revision}
    assert trial.member.wait() == 1
    last = trial.member.log_tail(1)
    assert "is gone: " in last and "was there when this member started" in last, last
    assert not (trial.member.data_dir / "member").exists()
