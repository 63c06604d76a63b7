"""/metrics of a real member, beside what it answers otherwise, and while one of its actors hangs."""

import os
import signal
import threading
import urllib.request
from collections.abc import Callable
from contextlib import suppress

import pytest
from prometheus_client.parser import text_string_to_metric_families

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member
from tests.process.load import open_channel, unary
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

KIND = "text/plain; version=0.0.4; charset=utf-8"


def scrape(member: Member) -> dict[str, float]:
    """Sample name, with its labels if it has some, -> value."""
    with urllib.request.urlopen(f"{member.client_url}/metrics", timeout=60) as answer:
        assert answer.headers["Content-Type"] == KIND
        families = text_string_to_metric_families(answer.read().decode())
        return {
            sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
            for family in families
            for sample in family.samples
        }


def test_metrics_say_what_the_member_says(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial()
    for number in range(20):
        trial.put(b"key%d" % (number % 5))
    with open_channel(trial.member.target) as channel:
        requests = [pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"key%d" % number)) for number in range(3)]
        asked = threading.Event()

        def ask():  # type: ignore[no-untyped-def]
            yield from requests
            asked.wait(60)

        watch = channel.stream_stream(
            "/etcdserverpb.Watch/Watch", lambda m: m.SerializeToString(), pb.WatchResponse.FromString
        )(ask(), wait_for_ready=True)
        assert [next(watch).created for _ in requests] == [True] * 3
        ask_status = unary(channel, "Maintenance/Status", pb.StatusResponse)
        status = None
        while status != (status := ask_status(pb.StatusRequest(), timeout=60)):  # the member has entries of its own
            found = scrape(trial.member)
        asked.set()
        watch.cancel()
    assert found["etcd_server_has_leader"] == found["etcd_server_is_leader"] == 1
    assert found[f"etcd_server_id {status.header.member_id:x}"] == 1
    assert found[f"etcd_server_version {status.version}"] == 1
    assert found["etcd_server_proposals_applied_total"] == status.raftAppliedIndex
    assert found["etcd_server_proposals_committed_total"] == status.raftIndex
    assert found["etcd_debugging_mvcc_current_revision"] == status.header.revision
    assert found["etcd_debugging_mvcc_keys_total"] == 5
    assert found["etcd_debugging_mvcc_watch_stream_total"] == 1
    assert found["etcd_debugging_mvcc_watcher_total"] == 3
    assert found["etcd_disk_wal_fsync_duration_seconds_count"] > 0
    assert found["process_resident_memory_bytes"] > 50 << 20
    assert not [name for name in found if name.startswith("grpc_server_handling")]  # only with --metrics=extensive


@pytest.mark.usefixtures("needs_actors")
def test_a_scrape_does_not_wait_long_for_an_actor_that_hangs(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial("--listeners=1", "--actor-rules=raft:halt=60s")  # or it would soon be replaced
    trial.put()
    before = scrape(trial.member)
    raft = trial.actors()["raft"]["pid"]
    os.kill(raft, signal.SIGSTOP)
    try:
        found = scrape(trial.member)
    finally:
        with suppress(ProcessLookupError):  # killed as hung meanwhile
            os.kill(raft, signal.SIGCONT)
    assert "etcd_server_has_leader" in before
    assert "etcd_server_has_leader" not in found
    assert found["etcd_mvcc_db_total_size_in_bytes"] > 0


@pytest.mark.usefixtures("needs_actors")
def test_many_scrapes_at_once_are_all_answered(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial("--listeners=1")
    trial.put()
    found: list[dict[str, float]] = []
    threads = [threading.Thread(target=lambda: found.append(scrape(trial.member))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 20
    assert all(each["etcd_server_has_leader"] == 1 for each in found)
    cpu = [each["process_cpu_seconds_total"] for each in (found[0], scrape(trial.member))]
    assert cpu[0] <= cpu[1]


@pytest.mark.usefixtures("needs_actors")
def test_cpu_time_does_not_go_back_when_an_actor_is_killed(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial("--listeners=1")
    for number in range(50):
        trial.put(b"%d" % number)
    before, actors = scrape(trial.member), trial.actors()
    os.kill(actors["backend"]["pid"], signal.SIGKILL)
    trial.wait_restarted(actors, "backend")
    assert scrape(trial.member)["process_cpu_seconds_total"] >= before["process_cpu_seconds_total"]


@pytest.mark.usefixtures("needs_actors")
def test_counters_do_not_go_back_when_listeners_and_the_backend_end(make_trial: Callable[..., Trial]) -> None:
    """One that ends in order tells its last figures; of one that is killed those of the last scrape stay."""
    trial = make_trial("--listeners=2")
    for number in range(50):
        trial.put(b"%d" % number)
    before, actors = scrape(trial.member), trial.actors()
    assert before["grpc_server_handled_total OK Put etcdserverpb.KV unary"] == before["etcd_mvcc_put_total"] == 50
    for number in range(20):
        trial.put(b"%d" % number)
    os.kill(actors["listener-1"]["pid"], signal.SIGTERM)
    trial.wait_restarted(actors, "listener-1")
    os.kill(actors["backend"]["pid"], signal.SIGKILL)
    trial.wait_restarted(actors, "backend")
    trial.put(b"last")
    after = scrape(trial.member)
    assert after["etcd_mvcc_put_total"] >= 51
    assert after["grpc_server_handled_total OK Put etcdserverpb.KV unary"] == 71
    assert all(after[name] >= value for name, value in before.items() if name.startswith("grpc_server_"))
