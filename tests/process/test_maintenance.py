"""Compaction, quota and defragmentation of a real member: what a kill may not stop, what a full store still does."""

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member
from tests.process.load import open_channel, unary
from tests.process.trial import Trial, wait_gone

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

NO_SPACE = "etcdserver: mvcc: database space exceeded"
EVERYTHING = pb.RangeRequest(key=b"\0", range_end=b"\0")
ANSWERS = {
    "KV/Put": pb.PutResponse,
    "KV/Txn": pb.TxnResponse,
    "KV/Range": pb.RangeResponse,
    "KV/DeleteRange": pb.DeleteRangeResponse,
    "KV/Compact": pb.CompactionResponse,
    "Lease/LeaseGrant": pb.LeaseGrantResponse,
    "Maintenance/Alarm": pb.AlarmResponse,
    "Maintenance/Defragment": pb.DefragmentResponse,
    "Maintenance/HashKV": pb.HashKVResponse,
    "Maintenance/Status": pb.StatusResponse,
}


class Client:
    """Calls by path; wait for the member, as a client does.

    NB: behind the end of the member, another one: grpcio may begin a call on a connection of whose end it knows not.
    """

    def __init__(self, member: Member) -> None:
        self._channel = open_channel(member.target)

    def begin(self, path: str, request: Any) -> Any:
        return unary(self._channel, path, ANSWERS[path]).future(request, timeout=120, wait_for_ready=True)

    def __call__(self, path: str, request: Any) -> Any:
        return self.begin(path, request).result()

    def refused(self, path: str, request: Any) -> str:
        with pytest.raises(grpc.RpcError) as told:
            self(path, request)
        return str(told.value.details())

    def close(self) -> None:
        self._channel.close()


@pytest.fixture
def make_client() -> Iterator[Callable[[Member], Client]]:
    made: list[Client] = []

    def make(member: Member) -> Client:
        made.append(Client(member))
        return made[-1]

    yield make
    for client in made:
        client.close()


def fill(client: Client, revisions: int, size: int = 10) -> int:
    """So many changes of a hundred keys, a hundred to a revision and call. return the last revision"""
    revision = 0
    for number in range(revisions):
        puts = [pb.PutRequest(key=b"%02d" % key, value=b"%d|" % number + os.urandom(size)) for key in range(100)]
        request = pb.TxnRequest(success=[pb.RequestOp(request_put=put) for put in puts])
        revision = client("KV/Txn", request).header.revision
    return revision


@pytest.mark.usefixtures("needs_actors")
@pytest.mark.parametrize("victim", ["compactor", "backend", "member"])
def test_a_compaction_goes_on_after_a_kill(
    victim: str, make_trial: Callable[..., Trial], make_client: Callable[[Member], Client]
) -> None:
    # 8,000 records in batches with 10 ms between: there is time to kill in the middle of it. What is to be found under
    # way would take 16 s, of which the next start makes less.
    trial = make_trial(f"--compaction-batch-limit={5 if victim == 'member' else 50}", "--listeners=1")
    client = make_client(trial.member)
    revision = fill(client, 80)
    before = client("KV/Range", EVERYTHING)
    physical = client.begin("KV/Compact", pb.CompactionRequest(revision=revision, physical=True))
    client("KV/Put", pb.PutRequest(key=b"meanwhile"))
    if victim == "member":
        family = {process.pid for process in trial.member.processes()}
        trial.member.kill9()
        assert wait_gone(family, timeout_s=60) == set()
        trial.member.flags = ("--listeners=1",)
        trial.member.start()
        trial.member.wait_for_log("a compaction goes on", timeout_s=60)
        client = make_client(trial.member)
        physical = client.begin("KV/Compact", pb.CompactionRequest(revision=revision + 1, physical=True))
    else:
        actors = trial.actors()
        os.kill(actors[victim]["pid"], signal.SIGKILL)
        trial.wait_restarted(actors, victim)
    assert physical.result(timeout=120).header.revision > revision
    status = client("Maintenance/Status", pb.StatusRequest())
    assert status.dbSize - status.dbSizeInUse > 8_000 * 40, "keys and values of what was taken out"
    after = client("KV/Range", EVERYTHING)
    assert [kv for kv in after.kvs if kv.key != b"meanwhile"] == list(before.kvs)
    at_rest = client("Maintenance/HashKV", pb.HashKVRequest()).hash
    client("Maintenance/Defragment", pb.DefragmentRequest())
    assert client("Maintenance/HashKV", pb.HashKVRequest()).hash == at_rest
    status = client("Maintenance/Status", pb.StatusRequest())
    assert status.dbSize < 1_000_000


def test_a_member_compacts_by_itself(
    make_member: Callable[..., Member], make_client: Callable[[Member], Client]
) -> None:
    member = make_member("--auto-compaction-retention=2s").start()
    client = make_client(member)
    revision = fill(client, 3)
    member.wait_for_log("completed auto periodic compaction")
    lines = [json.loads(line) for line in member.log_tail(200).splitlines() if "auto periodic compaction" in line]
    assert [line["msg"].split()[0] for line in lines[:2]] == ["starting", "completed"]
    assert (lines[0]["revision"], lines[1]["compact-period"]) == (1, "2s")
    while client("Maintenance/HashKV", pb.HashKVRequest()).compact_revision < revision:
        client("KV/Put", pb.PutRequest(key=b"on"))
    assert "has been compacted" in client.refused("KV/Range", pb.RangeRequest(key=b"00", revision=revision - 1))


def health(member: Member, query: str = "") -> tuple[int, dict[str, str]]:
    try:
        with urllib.request.urlopen(f"{member.client_url}/health{query}", timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_full_store_takes_writes_again_after_compaction_defragmentation_and_disarming(
    make_member: Callable[..., Member], make_client: Callable[[Member], Client]
) -> None:
    member = make_member("--quota-backend-bytes=16777216").start()
    client = make_client(member)
    applied, told = 0, ""
    while not told:
        request = pb.PutRequest(key=b"%d" % (applied % 10), value=os.urandom(100_000))
        future = client.begin("KV/Put", request)
        told = future.exception().details() if future.exception() is not None else ""
        applied += not told
    assert told == NO_SPACE
    assert 50 < applied < 200
    [alarm] = client("Maintenance/Alarm", pb.AlarmRequest()).alarms
    assert alarm.alarm == 1
    assert list(client("Maintenance/Status", pb.StatusRequest()).errors) == [
        f"memberID:{alarm.memberID} alarm:NOSPACE "
    ]
    assert health(member) == (503, {"health": "false", "reason": "ALARM NOSPACE"})
    assert health(member, "?exclude=NOSPACE") == (200, {"health": "true", "reason": ""})
    small = pb.PutRequest(key=b"small")
    grown: list[tuple[str, Any]] = [("KV/Put", small), ("Lease/LeaseGrant", pb.LeaseGrantRequest(TTL=60))]
    grown += [("KV/Txn", pb.TxnRequest(success=[pb.RequestOp(request_put=small)]))]
    member.kill9()
    member.start()
    client = make_client(member)
    for path, request in grown:
        assert client.refused(path, request) == NO_SPACE
    client("KV/Range", EVERYTHING)
    revision = client("KV/DeleteRange", pb.DeleteRangeRequest(key=b"1")).header.revision
    client("KV/Compact", pb.CompactionRequest(revision=revision, physical=True))
    client("Maintenance/Defragment", pb.DefragmentRequest())
    assert client.refused("KV/Put", small) == NO_SPACE, "until the alarm is disarmed"
    client("Maintenance/Alarm", pb.AlarmRequest(action=2, memberID=alarm.memberID, alarm=1))
    for path, request in grown:
        client(path, request)
    status = client("Maintenance/Status", pb.StatusRequest())
    assert status.dbSize < 4_000_000
    assert list(status.errors) == []
    assert health(member) == (200, {"health": "true", "reason": ""})
