"""/metrics after the same work: families, types and labels as etcd's, and the same numbers where they are no matter of
time.

What etcd has and a member does not is in LEFT_OUT, each with its reason; what only later versions of etcd have is in
LATER, and what is a member's own begins with "etcdz_".
"""

import json
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member, RealEtcd
from tests.process.load import open_channel, unary

LEFT_OUT: Final = {
    r"go_.*": "of Go's runtime",
    r"etcd_debugging_disk_backend_commit_(rebalance|spill|write)_duration_seconds": "parts of a commit of bbolt",
}
"""Pattern of a family's name -> why it is not served."""
LATER: Final = {
    "etcd_server_healthcheck",
    "etcd_server_healthchecks",
    "etcd_network_known_peers",
    "etcd_disk_wal_write_duration_seconds",
}
OWN_HELP: Final = {
    "etcd_server_go_version": "it says which Python runs",
}
"""Families whose help is not etcd's, and why."""
COUNTED: Final = (
    "grpc_server_started_total",
    "grpc_server_handled_total",
    "grpc_server_msg_received_total",
    "grpc_server_msg_sent_total",
    "etcd_mvcc_range_total",
    "etcd_mvcc_put_total",
    "etcd_mvcc_delete_total",
    "etcd_mvcc_txn_total",
    "etcd_debugging_mvcc_range_total",
    "etcd_debugging_mvcc_total_put_size_in_bytes",
    "etcd_debugging_mvcc_keys_total",
    "etcd_debugging_mvcc_current_revision",
    "etcd_debugging_mvcc_compact_revision",
    "etcd_debugging_mvcc_db_compaction_keys_total",
    "etcd_debugging_mvcc_watch_stream_total",
    "etcd_debugging_mvcc_watcher_total",
    "etcd_debugging_mvcc_events_total",
    "etcd_debugging_mvcc_pending_events_total",
    "etcd_debugging_store_writes_total",
    "etcd_debugging_store_expires_total",
    "etcd_debugging_store_watch_requests_total",
    "etcd_debugging_store_watchers",
    "etcd_http_received_total",
    "etcd_http_failed_total",
    "promhttp_metric_handler_requests_total",
    "promhttp_metric_handler_requests_in_flight",
    "etcd_debugging_lease_granted_total",
    "etcd_debugging_lease_revoked_total",
    "etcd_debugging_lease_renewed_total",
    "etcd_debugging_lease_ttl_total",
    "etcd_debugging_auth_revision",
    "etcd_server_proposals_failed_total",
    "etcd_server_proposals_pending",
    "etcd_server_read_indexes_failed_total",
    "etcd_server_client_requests_total",
    "etcd_server_is_leader",
    "etcd_server_has_leader",
    "etcd_server_quota_backend_bytes",
    "etcd_disk_defrag_inflight",
    "etcd_network_client_grpc_received_bytes_total",
)
"""Families whose numbers follow from what was asked."""

Scraped = dict[str, dict[tuple[tuple[str, str], ...], float]]


def scrape(member: Member) -> tuple[dict[str, str], Scraped, str]:
    """(family -> type, sample -> labels -> value, the text)"""
    with urllib.request.urlopen(f"{member.client_url}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    kinds: dict[str, str] = {}
    samples: Scraped = {}
    for family in text_string_to_metric_families(text):
        kinds[family.name] = family.type
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return kinds, samples, text


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, subject: type[Member]) -> list[tuple[dict[str, str], Scraped, str]]:
    """etcd's and the subject's, after the same work."""

    def run(kind: type[Member], directory: Path) -> tuple[dict[str, str], Scraped, str]:
        with kind(directory, "--metrics=extensive", "--enable-v2") as member:
            do_work(member)
            return scrape(member)

    kinds = (RealEtcd, subject)
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(run, kinds, [tmp_path_factory.mktemp("scraped") for _ in kinds]))


def do_work(member: Member) -> None:
    """One call after the other."""
    with open_channel(member.target) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
        _write(channel)
        _transactions(channel)
        _leases(channel)
        _watch(channel)
        _refused(channel)
    _over_json(member)
    _over_v2(member)


def _over_json(member: Member) -> None:
    """The gateway's calls count as those of any client."""
    key, value = {"key": "ag=="}, {"value": "aGVsbG8="}
    for path, body, status in (
        ("kv/put", key | value, 200),
        ("kv/put", value, 400),
        ("kv/range", key, 200),
        ("kv/txn", {"success": [{"request_put": key}]}, 200),
        ("kv/deleterange", key, 200),
        ("kv/range", {"key": 1}, 400),
        ("lease/leases", {}, 200),
        ("lease/revoke", {"ID": 5}, 404),
    ):
        asked = urllib.request.Request(f"{member.client_url}/v3/{path}", json.dumps(body).encode())
        try:
            answer = urllib.request.urlopen(asked, timeout=60)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            assert answer.status == status, (path, body, answer.read())


def _over_v2(member: Member) -> None:
    for method, path, status in (
        ("PUT", "a?value=1", 201),
        ("PUT", "a?value=2&prevExist=true", 200),
        ("PUT", "a?value=3&prevValue=9", 412),
        ("PUT", "a?value=3&prevExist=false", 412),
        ("PUT", "a/b?value=3&prevExist=false", 400),
        ("PUT", "a/b?value=3", 400),
        ("POST", "a?value=1", 400),
        ("POST", "queue?value=1", 201),
        ("GET", "a", 200),
        ("GET", "a?quorum=true", 200),
        ("GET", "none", 404),
        ("GET", "?recursive=true", 200),
        ("GET", "a?wait=true&waitIndex=1", 200),
        ("DELETE", "queue", 403),
        ("DELETE", "queue?recursive=true", 200),
        ("DELETE", "a?prevValue=7", 412),
        ("DELETE", "a?prevValue=2", 200),
    ):
        asked = urllib.request.Request(f"{member.client_url}/v2/keys/{path}", method=method)
        try:
            answer = urllib.request.urlopen(asked, timeout=60)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            assert answer.status == status, (method, path, answer.read())
    _watch_one_expire(member)


def _watch_one_expire(member: Member) -> None:
    asked = urllib.request.Request(f"{member.client_url}/v2/keys/gone?value=1&ttl=0", method="PUT")
    with urllib.request.urlopen(asked, timeout=60) as answer:
        index = json.load(answer)["node"]["createdIndex"]
    path = f"v2/keys/gone?wait=true&waitIndex={index + 1}"
    with urllib.request.urlopen(f"{member.client_url}/{path}", timeout=60) as answer:
        assert json.load(answer)["action"] == "expire"


def _call(channel: grpc.Channel, path: str, request: Any, answer: Any, **options: Any) -> Any:
    return unary(channel, path, answer)(request, timeout=60, **options)


def _write(channel: grpc.Channel) -> None:
    for number in range(12):
        _call(channel, "KV/Put", pb.PutRequest(key=b"k%d" % (number % 5), value=b"v" * (number * 40)), pb.PutResponse)
    version = (("client-api-version", "3.5.1"),)
    _call(channel, "KV/Put", pb.PutRequest(key=b"k1", prev_kv=True), pb.PutResponse, metadata=version)
    _call(channel, "KV/Put", pb.PutRequest(key=b"k1", ignore_value=True), pb.PutResponse)
    _call(channel, "KV/Range", pb.RangeRequest(key=b"k1"), pb.RangeResponse)
    _call(channel, "KV/Range", pb.RangeRequest(key=b"absent", serializable=True), pb.RangeResponse)
    _call(channel, "KV/Range", pb.RangeRequest(key=b"k", range_end=b"l", limit=2), pb.RangeResponse)
    _call(channel, "KV/DeleteRange", pb.DeleteRangeRequest(key=b"none"), pb.DeleteRangeResponse)
    _call(channel, "KV/DeleteRange", pb.DeleteRangeRequest(key=b"k4", prev_kv=True), pb.DeleteRangeResponse)
    _call(channel, "KV/Compact", pb.CompactionRequest(revision=8, physical=True), pb.CompactionResponse)
    _call(channel, "Maintenance/Status", pb.StatusRequest(), pb.StatusResponse)
    _call(channel, "Cluster/MemberList", pb.MemberListRequest(), pb.MemberListResponse)


def _transactions(channel: grpc.Channel) -> None:
    def op(**fields: Any) -> pb.RequestOp:
        return pb.RequestOp(**fields)

    put = op(request_put=pb.PutRequest(key=b"t1", value=b"a"))
    shown = op(request_put=pb.PutRequest(key=b"t2", value=b"bb", prev_kv=True))
    kept = op(request_put=pb.PutRequest(key=b"k2", ignore_value=True))
    look = op(request_range=pb.RangeRequest(key=b"t", range_end=b"u"))
    drop = op(request_delete_range=pb.DeleteRangeRequest(key=b"t1", prev_kv=True))
    holds = pb.Compare(key=b"k1", target=pb.Compare.CREATE, result=pb.Compare.GREATER, create_revision=0)
    fails = pb.Compare(key=b"k1", target=pb.Compare.CREATE, result=pb.Compare.EQUAL, create_revision=0)
    nested = op(request_txn=pb.TxnRequest(compare=[holds], success=[put, look]))
    for txn in (
        pb.TxnRequest(success=[put]),
        pb.TxnRequest(success=[put, shown]),
        pb.TxnRequest(compare=[holds], success=[put], failure=[look]),
        pb.TxnRequest(compare=[fails, holds], success=[put], failure=[look, look]),
        pb.TxnRequest(compare=[holds, holds, fails], success=[put], failure=[drop]),
        pb.TxnRequest(compare=[holds], success=[kept, look, drop]),
        pb.TxnRequest(compare=[holds], success=[look], failure=[look]),
        pb.TxnRequest(success=[look, look]),
        pb.TxnRequest(success=[look]),
        pb.TxnRequest(compare=[holds], success=[nested, op(request_put=pb.PutRequest(key=b"t3"))]),
    ):
        _call(channel, "KV/Txn", txn, pb.TxnResponse)
    for refused in (
        pb.TxnRequest(compare=[holds], success=[kept, op(request_put=pb.PutRequest(key=b"no", ignore_lease=True))]),
        pb.TxnRequest(compare=[holds], success=[put, op(request_range=pb.RangeRequest(key=b"k", revision=999))]),
    ):
        with suppress(grpc.RpcError):
            _call(channel, "KV/Txn", refused, pb.TxnResponse)


def _leases(channel: grpc.Channel) -> None:
    for lease_id, ttl_s in ((71, 60), (72, 3000), (73, 100)):
        _call(channel, "Lease/LeaseGrant", pb.LeaseGrantRequest(ID=lease_id, TTL=ttl_s), pb.LeaseGrantResponse)
    for number in range(3):
        _call(channel, "KV/Put", pb.PutRequest(key=b"l%d" % number, lease=71), pb.PutResponse)
    _call(channel, "KV/Put", pb.PutRequest(key=b"l4", lease=72), pb.PutResponse)
    keep = channel.stream_stream(
        "/etcdserverpb.Lease/LeaseKeepAlive",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=pb.LeaseKeepAliveResponse.FromString,
    )
    answers = list(keep(iter([pb.LeaseKeepAliveRequest(ID=71), pb.LeaseKeepAliveRequest(ID=72)]), timeout=60))
    assert [answer.TTL for answer in answers] == [60, 3000]
    for lease_id in (71, 73):
        _call(channel, "Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=lease_id), pb.LeaseRevokeResponse)
    _call(channel, "Lease/LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=72, keys=True), pb.LeaseTimeToLiveResponse)


def _watch(channel: grpc.Channel) -> None:
    """A stream with watchers of two keys and two of their range, and events for them; then the client gives it up."""
    watch = channel.stream_stream(
        "/etcdserverpb.Watch/Watch", lambda m: m.SerializeToString(), pb.WatchResponse.FromString
    )
    spans = (b"w1", b""), (b"w2", b""), (b"w", b"x"), (b"w", b"x")
    creates = [pb.WatchRequest(create_request=pb.WatchCreateRequest(key=lo, range_end=hi)) for lo, hi in spans]
    stream = watch(_then_wait(creates), timeout=60)
    assert all([next(stream).created for _ in creates])
    for key in (b"w1", b"w2", b"w1"):
        _call(channel, "KV/Put", pb.PutRequest(key=key), pb.PutResponse)
        assert [len(next(stream).events) for _ in range(3)] == [1, 1, 1]
    stream.cancel()


def _then_wait(requests: list[Any]) -> Iterator[Any]:
    """The client does not close its half."""
    yield from requests
    threading.Event().wait(120)


def _refused(channel: grpc.Channel) -> None:
    for path, request, answer in (
        ("KV/Put", pb.PutRequest(), pb.PutResponse),
        ("KV/Put", pb.PutRequest(key=b"x", lease=999), pb.PutResponse),
        ("KV/Put", pb.PutRequest(key=b"nothing", ignore_value=True), pb.PutResponse),
        ("KV/Range", pb.RangeRequest(key=b"k1", revision=2), pb.RangeResponse),
        ("KV/Range", pb.RangeRequest(key=b"k", range_end=b"l", revision=9999), pb.RangeResponse),
        ("Lease/LeaseRevoke", pb.LeaseRevokeRequest(ID=404), pb.LeaseRevokeResponse),
        ("Lease/LeaseGrant", pb.LeaseGrantRequest(ID=72, TTL=5), pb.LeaseGrantResponse),
        ("Auth/AuthEnable", pb.AuthEnableRequest(), pb.AuthEnableResponse),
        ("Auth/UserGet", pb.AuthUserGetRequest(name="nobody"), pb.AuthUserGetResponse),
    ):
        with suppress(grpc.RpcError):
            _call(channel, path, request, answer)


def test_families_are_those_of_etcd_or_left_out_for_a_reason(both: list[Any]) -> None:
    (theirs, _, _), (ours, _, _) = both
    missing = {name for name in theirs if name not in ours and not any(re.fullmatch(p, name) for p in LEFT_OUT)}
    assert missing == set()
    common = theirs.keys() & ours.keys()
    assert {name: ours[name] for name in common} == {name: theirs[name] for name in common}
    more = {name for name in ours if name not in theirs and not name.startswith("etcdz_")}
    assert more <= LATER


def test_what_is_left_out_is_not_served(both: list[Any]) -> None:
    (_, _, _), (ours, _, _) = both
    assert not [name for name in ours if any(re.fullmatch(pattern, name) for pattern in LEFT_OUT)]


def test_the_help_is_that_of_etcd(both: list[Any]) -> None:
    theirs, ours = [dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.M)) for _, _, text in both]
    assert {name for name in theirs.keys() & ours.keys() if theirs[name] != ours[name]} == OWN_HELP.keys()


def test_reads_of_the_v2_api_count_by_their_kind(both: list[Any]) -> None:
    """NB: etcd looks through its members when it starts, and reads for each request whether users are in force."""
    theirs, ours = [found["etcd_debugging_store_reads_total"] for _, found, _ in both]
    one, all_below = (("action", "get"),), (("action", "getRecursive"),)
    assert ours == {one: 3, all_below: theirs[all_below] - 1}


def test_requests_for_keys_of_the_v2_api_are_timed(both: list[Any]) -> None:
    counts, bounds = [
        [found[f"etcd_http_successful_duration_seconds_{what}"] for _, found, _ in both] for what in ("count", "bucket")
    ]
    assert counts[1] == counts[0]
    assert bounds[1].keys() == bounds[0].keys()


def test_requests_of_the_v2_api_are_timed(both: list[Any]) -> None:
    theirs, ours = [
        {
            key: count
            for key, count in found["etcd_server_apply_duration_seconds_count"].items()
            if ("version", "v2") in key
        }
        for _, found, _ in both
    ]
    syncs = {key for key in theirs.keys() | ours.keys() if ("op", "SYNC") in key}
    assert {key: count for key, count in ours.items() if key not in syncs} == {
        key: count for key, count in theirs.items() if key not in syncs
    }


def test_series_have_the_labels_of_etcd(both: list[Any]) -> None:
    (_, theirs, _), (_, ours, _) = both
    for name in theirs.keys() & ours.keys():
        names = [{tuple(key for key, _ in labels) for labels in found[name]} for found in (theirs, ours)]
        assert names[0] == names[1], name


def test_labels_of_calls_stand_in_etcds_order(both: list[Any]) -> None:
    found = [set(re.findall(r"^(grpc_server_\w+\{.*\}) ", text, re.M)) for _, _, text in both]
    assert found[0] <= found[1]


def test_each_call_that_has_ended_is_timed(both: list[Any]) -> None:
    (_, theirs, _), (_, ours, _) = both
    name = "grpc_server_handling_seconds"
    counts = [{labels: count for labels, count in found[f"{name}_count"].items() if count} for found in (theirs, ours)]
    assert counts[1] == counts[0]
    bounds = [{dict(labels)["le"] for labels in found[f"{name}_bucket"]} for found in (theirs, ours)]
    assert bounds[1] == bounds[0]


@pytest.mark.parametrize("family", COUNTED)
def test_the_same_work_gives_the_same_numbers(both: list[Any], family: str) -> None:
    (_, theirs, _), (_, ours, _) = both
    names = [name for name in theirs if name in (family, f"{family}_bucket", f"{family}_sum", f"{family}_count")]
    assert names
    for name in names:
        numbers = [{key: value for key, value in found.get(name, {}).items() if value} for found in (theirs, ours)]
        assert numbers[1] == numbers[0], name
