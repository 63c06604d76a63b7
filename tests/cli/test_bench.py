"""`etcdz bench`: its workloads, who asks what, its figures and its command line."""

import json
import os
import random
import shlex
import statistics
import struct
from collections import Counter
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.cli.bench import main
from etcdz.cli.bench.command import exit_status
from etcdz.cli.bench.options import WATCH_COMMANDS, Options, parse
from etcdz.cli.bench.report import PERCENTILES, Outcome, figures, to_json, to_text
from etcdz.cli.bench.supply import Schedule, Supply, piece_of
from etcdz.cli.bench.watchers import parse_response, split_response
from etcdz.cli.bench.workload import Puts, Ranges, TxnMixed, TxnPuts, pool_bytes, range_body
from etcdz.cli.endpoints import parse_endpoint, parse_endpoints
from etcdz.proto import etcdserverpb as pb


def pool(val_size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(pool_bytes(val_size))


def puts_of(requests: list[tuple[int, bytes]]) -> list[Any]:
    return [pb.PutRequest.FromString(body) for _, body in requests]


# ---- workloads ----


@given(
    key_size=st.integers(1, 300),
    val_size=st.integers(0, 40_000),
    key_space=st.integers(1, 1 << 20),
    lo=st.integers(0, 1 << 40),
)
def test_a_put_has_a_key_and_a_value_of_the_sizes_asked_for(
    key_size: int, val_size: int, key_space: int, lo: int
) -> None:
    key_space = min(key_space, 1 << 8 * key_size)
    puts = puts_of(Puts(key_size, bytes(pool_bytes(val_size)), key_space, True, random.random).requests(lo, lo + 2))
    assert puts == [puts[0], puts[1]]
    for put in puts:
        assert (len(put.key), len(put.value)) == (key_size, val_size)
        assert put == pb.PutRequest(key=put.key, value=put.value)


@pytest.mark.parametrize("size", [37, 37 * 128])  # encoded as "%" and as more than one byte of length
def test_sizes_that_are_special_characters_of_a_format(size: int) -> None:
    values = pool(size)
    (put,) = puts_of(Puts(size, values, 1, True, random.random).requests(5, 6))
    assert (len(put.key), len(put.value)) == (size, size)
    (_, body) = TxnPuts(size, values, 2, 2).requests(0, 1)[0]
    assert [len(op.request_put.value) for op in pb.TxnRequest.FromString(body).success] == [size, size]


def test_sequential_keys_come_in_order_and_begin_again() -> None:
    puts = puts_of(Puts(8, pool(8), 3, True, random.random).requests(7, 12))
    assert [put.key for put in puts] == [b"00000001", b"00000002", b"00000000", b"00000001", b"00000002"]


def test_random_keys_are_all_keys_of_the_space() -> None:
    puts = puts_of(Puts(2, pool(8), 100, False, random.Random(1).random).requests(0, 3000))
    assert {put.key for put in puts} == {b"%02d" % number for number in range(100)}


def test_keys_too_short_for_decimals_are_binary_and_as_many() -> None:
    puts = puts_of(Puts(1, pool(8), 256, True, random.random).requests(0, 256))
    assert {put.key for put in puts} == {bytes([number]) for number in range(256)}


def test_values_differ_and_do_not_overlap_soon() -> None:
    values = [put.value for put in puts_of(Puts(8, pool(256), 1, True, random.random).requests(1000, 1100))]
    assert len({value[at : at + 16] for value in values for at in range(0, 256, 16)}) == 100 * 16
    assert not any(value[:16] in other for value in values for other in values if other is not value)


@given(ops=st.integers(1, 40), space=st.integers(1, 200), at=st.integers(0, 1 << 30), size=st.integers(3, 200))
def test_a_transaction_puts_no_key_twice(ops: int, space: int, at: int, size: int) -> None:
    space = max(ops, space)
    ((kind, body),) = TxnPuts(size, bytes(pool_bytes(9)), space, ops).requests(at, at + 1)
    txn = pb.TxnRequest.FromString(body)
    keys = [op.request_put.key for op in txn.success]
    assert kind == 0
    assert (len(keys), len(set(keys)), {len(key) for key in keys}) == (ops, ops, {size})
    assert not txn.compare
    assert not txn.failure


def test_transactions_take_keys_one_after_the_other() -> None:
    bodies = [body for _, body in TxnPuts(2, pool(1), 5, 2).requests(0, 3)]
    keys = [[op.request_put.key for op in pb.TxnRequest.FromString(body).success] for body in bodies]
    assert keys == [[b"00", b"01"], [b"02", b"03"], [b"04", b"00"]]


def test_a_mix_has_its_share_of_reads() -> None:
    asked = range_body(b"a", b"b", limit=7, serializable=True)
    mixed = TxnMixed(asked, TxnPuts(8, pool(5), 10, 1), 0.25, random.Random(1).random)
    requests = mixed.requests(0, 4000)
    kinds = Counter(mixed.kinds[kind] for kind, _ in requests)
    assert 900 < kinds["read"] < 1100
    for kind, body in requests[:200]:
        (op,) = pb.TxnRequest.FromString(body).success
        assert op.WhichOneof("request") == ("request_put" if kind else "request_range")
        if not kind:
            assert op.request_range == pb.RangeRequest(key=b"a", range_end=b"b", limit=7, serializable=True)
    assert {kind for kind, _ in TxnMixed(asked, TxnPuts(8, pool(5), 1, 1), 1.0, random.random).requests(0, 50)} == {0}
    assert {kind for kind, _ in TxnMixed(asked, TxnPuts(8, pool(5), 1, 1), 0.0, random.random).requests(0, 50)} == {1}


def test_a_range_is_the_same_question_again_and_again() -> None:
    body = range_body(b"k", keys_only=True, count_only=True)
    assert Ranges(body).requests(3, 6) == [(0, body)] * 3
    assert pb.RangeRequest.FromString(body) == pb.RangeRequest(key=b"k", keys_only=True, count_only=True)


# ---- who asks what, and when ----


class Numbers:
    """A workload whose bodies are their numbers."""

    path = b""
    kinds: tuple[str, ...] = ("",)

    def requests(self, lo: int, hi: int) -> list[tuple[int, bytes]]:
        return [(0, b"%d" % number) for number in range(lo, hi)]


class Counters:
    """The shared counter."""

    def __init__(self, total: int) -> None:
        self.next, self.total = 0, total

    def draw(self, count: int) -> tuple[int, int]:
        lo, self.next = self.next, min(self.next + count, self.total)
        return lo, self.next


@given(
    total=st.integers(0, 300),
    piece=st.integers(1, 50),
    takes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40)), min_size=0, max_size=40),
)
def test_each_number_is_asked_once_whoever_takes_it(total: int, piece: int, takes: list[tuple[int, int]]) -> None:
    counters = Counters(total)
    supplies = [Supply(Numbers(), counters.draw, piece) for _ in range(3)]
    taken = []
    for who, count in [*takes, (0, 1000), (1, 1000), (2, 1000)]:
        got = supplies[who].take(count)
        assert len(got) == count or supplies[who].exhausted
        taken += got
    assert sorted(int(body) for _, body in taken) == list(range(total))


def test_a_supply_knows_the_number_of_what_it_gives_next() -> None:
    supply = Supply(Numbers(), Counters(2).draw, 1)
    assert [supply.next_number(), supply.take(1), supply.next_number()] == [0, [(0, b"0")], 1]
    assert not supply.exhausted
    assert [supply.take(5), supply.next_number(), supply.exhausted] == [[(0, b"1")], None, True]


def test_a_schedule_gives_each_request_when_it_is_due() -> None:
    schedule = Schedule(Supply(Numbers(), Counters(3).draw, 1), start=100.0, rate=4.0)
    assert schedule.take_due(99.9) is None
    assert schedule.take_due(100.0) == (100.0, (0, b"0"))
    assert (schedule.next_due(), schedule.take_due(100.2)) == (100.25, None)
    assert [schedule.take_due(101.0), schedule.take_due(101.0)] == [(100.25, (0, b"1")), (100.5, (0, b"2"))]
    assert (schedule.next_due(), schedule.take_due(200.0)) == (None, None)


def test_pieces_are_small_where_processes_share() -> None:
    assert piece_of(1_000_000, 1, paced=True) == 1_000_000
    assert piece_of(1_000_000, 4, paced=True) == 1
    assert piece_of(10, 4, paced=False) == 1
    assert piece_of(1_000_000, 4, paced=False) == 256


# ---- figures ----


def outcome(**changed: Any) -> Outcome:
    latencies = {"": [0.004, 0.001, 0.002, 0.003]}
    made = Outcome("put", 5, 2, 3, 1, 2.0, latencies, {"etcdserver: too many requests": 1}, cpu_s=0.5)
    return made._replace(**changed)


@given(st.lists(st.floats(1e-6, 100), min_size=1, max_size=300))
def test_figures_are_those_of_the_slow_way(latencies: list[float]) -> None:
    got = figures(latencies)
    assert got is not None
    ordered = sorted(latencies)
    assert (got.calls, got.min_s, got.max_s) == (len(ordered), ordered[0], ordered[-1])
    assert got.mean_s == pytest.approx(statistics.fmean(ordered))
    assert got.stddev_s == pytest.approx(statistics.pstdev(ordered), abs=1e-9)
    for percent, value in zip(PERCENTILES, got.percentiles, strict=True):
        rank = ceil(percent * len(ordered) / 100)
        assert value == ordered[max(1, rank) - 1]
    bounds = [bound for bound, _ in got.histogram]
    for at, (bound, count) in enumerate(got.histogram):
        above = bounds[at - 1] if at else -1.0
        assert count == sum(above < latency <= bound for latency in ordered)
    assert sum(count for _, count in got.histogram) == len(ordered)


def test_the_json_object_has_the_figures() -> None:
    text = to_json(outcome(extras={"compactions": 3}))
    assert text.count("\n") == 1
    said = json.loads(text)
    assert {name: said[name] for name in ("command", "total", "requests", "errors", "seconds")} == {
        "command": "put",
        "total": 5,
        "requests": 5,
        "errors": 1,
        "seconds": 2.0,
    }
    assert said["requests_per_second"] == 2.0  # of those that were answered
    assert (said["mean_s"], said["min_s"], said["max_s"]) == (pytest.approx(0.0025), 0.001, 0.004)
    assert (said["p50_s"], said["p99_s"], said["p999_s"]) == (0.002, 0.004, 0.004)
    assert said["errors_by_text"] == {"etcdserver: too many requests": 1}
    assert said["compactions"] == 3
    assert "kinds" not in said


def test_the_json_object_of_nothing_has_no_times() -> None:
    said = json.loads(to_json(outcome(latencies={"": []}, errors={}, seconds=0.0)))
    assert (said["requests"], said["requests_per_second"], said["mean_s"], said["p99_s"]) == (0, 0.0, None, None)


def test_kinds_are_reported_apart_and_together() -> None:
    both = outcome(latencies={"read": [0.001], "write": [0.003, 0.003]})
    said = json.loads(to_json(both))
    assert (said["requests"], said["max_s"]) == (4, 0.003)
    assert {kind: some["answered"] for kind, some in said["kinds"].items()} == {"read": 1, "write": 2}
    assert "Of these read: 1," in to_text(both)
    assert "Of these write: 2," in to_text(both)
    assert "Of these write: 0\n" in to_text(both._replace(latencies={"read": [0.001], "write": []}))


def test_precise_figures_have_all_their_digits() -> None:
    done = outcome()
    found = figures([latency for some in done.latencies.values() for latency in some])
    assert found is not None
    assert f"  Average:\t{found.mean_s} secs." in to_text(done, precise=True)
    assert f"  Average:\t{found.mean_s:.4f} secs." in to_text(done)


def test_the_report_has_the_sections_of_etcds_tool() -> None:
    text = to_text(outcome(notes=("A note.",)))
    order = ["Summary:", "Requests/sec:", "Response time histogram:", "Latency distribution:", "Error distribution:"]
    assert sorted(order, key=text.index) == order
    assert "5 of 5, 1 failed" in text
    assert "  50% in 2.000 ms.\n" in text
    assert "  [1]\tetcdserver: too many requests\n" in text
    assert text.endswith("\nA note.\n")
    assert "until the interruption" in to_text(outcome(interrupted=True))


def test_a_busy_generator_says_so() -> None:
    assert "more --processes" not in to_text(outcome(cpu_s=1.7))
    assert "more --processes" in to_text(outcome(cpu_s=1.9))
    assert "more --processes" not in to_text(outcome(cpu_s=1.9, processes=2))


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, 0),
        ({"interrupted": True}, 130),
        ({"asked": 6}, 1),
        ({"latencies": {"": []}, "asked": 1}, 1),
    ],
)
def test_exit_status(changed: dict[str, Any], status: int) -> None:
    assert exit_status(outcome(**changed)) == status


# ---- the command line ----


@given(
    watch_id=st.integers(-1, 1 << 40), revision=st.integers(0, 1 << 62), moments=st.lists(st.floats(0, 1e9), max_size=3)
)
def test_a_watch_response_is_taken_apart_as_protobuf_does(watch_id: int, revision: int, moments: list[float]) -> None:
    response = pb.WatchResponse(watch_id=watch_id, created=not moments, canceled=watch_id == -1)
    response.header.revision = revision
    response.header.cluster_id = 1 << 63
    response.header.member_id = 1 << 63
    for moment in moments:
        response.events.add().kv.value = struct.pack(">d", moment) + b"filler"
    rest = split_response(response.SerializeToString())
    others = pb.WatchResponse.FromString(rest)
    assert (others.HasField("header"), others.watch_id) == (False, 0)
    assert parse_response(rest) == (not moments, "canceled" if watch_id == -1 else "", tuple(moments))


def test_defaults_are_those_of_etcds_tool() -> None:
    put = parse(["put"])
    endpoint = parse_endpoint("127.0.0.1:2379")._replace(is_secure=False)
    assert put == Options("put", (endpoint,), 1, 1, 1, 5.0, put.access, False, 10_000, 0.0)
    assert (put.key_size, put.val_size, put.key_space, put.compact_delta) == (8, 8, 1, 1000)
    assert [parse(["lease-keepalive", f"--clients={n}"]).leases for n in (1, 7)] == [1, 7]
    watch, latency, get = (parse([command]) for command in WATCH_COMMANDS)
    assert [(each.streams, each.watchers_per_stream) for each in (watch, latency, get)] == [
        (10, 100),
        (10, 10),
        (1, 10_000),
    ]
    assert [(each.total, each.rate) for each in (watch, latency, get)] == [(1000, 0.0), (1000, 100.0), (8, 0.0)]
    assert parse(["watch-get", "--watchers=10", "--streams=4"]).watchers_per_stream == 3
    assert parse(["watch-latency", "--total=5"]).total == 5
    words = ["watch", "--watched-key-total=9", "--sequential-keys"]
    assert [parse([*words, *more]).watched_keys for more in ([], ["--key-space-size=4"], ["--key-space-size=10"])] == [
        9,
        4,
        9,
    ]
    mixed = parse(["txn-mixed"])
    assert (mixed.key, mixed.end, mixed.limit, mixed.read_share) == (b"\0", b"\0", 1000, 0.5)


def test_shared_flags_stand_before_or_after_the_command() -> None:
    words = ["--endpoints=a:1,b:2", "--conns=3", "--clients", "7", "--json"]
    before, after = parse([*words, "range", "k"]), parse(["range", "k", *words])
    assert before == after
    assert (before.conns, before.clients, before.json, len(before.endpoints)) == (3, 7, True, 2)


def test_what_each_command_takes() -> None:
    put = parse(shlex.split("put --sequential-keys --key-space-size=9 --compact-interval=1m30s --check-hashkv=true"))
    assert (put.sequential, put.key_space, put.compact_interval_s, put.check_hashkv) == (True, 9, 90.0, True)
    assert not parse(["put", "--sequential-keys=false"]).sequential
    asked = parse(shlex.split("range a b --consistency=s --limit=5 --rate=10.5"))
    assert (asked.key, asked.end, asked.serializable, asked.limit, asked.rate) == (b"a", b"b", True, 5, 10.5)
    assert parse(["txn-put", "--txn-ops=4"]).key_space == 4
    assert parse(["txn-put", "--txn-ops=4", "--key-space-size=100"]).key_space == 100
    mixed = parse(shlex.split("txn-mixed a --end-key=c --rw-ratio=3"))
    assert (mixed.key, mixed.end, mixed.read_share) == (b"a", b"c", 0.75)


def test_one_process_for_few_clients_and_never_more_than_connections() -> None:
    assert parse(["put", "--clients=24", "--conns=24"]).processes == 1
    assert parse(["put", "--clients=1000"]).processes == 1
    assert 1 <= parse(["put", "--clients=1000", "--conns=100"]).processes <= max(1, (os.cpu_count() or 1) // 2)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("", "COMMAND"),
        ("watches", "invalid choice: 'watches'"),
        ("watch --val-size=7", "--val-size: must be at least 8"),
        ("put --nonsense", "--nonsense"),
        ("put key", "unrecognized arguments: key"),
        ("put --conns=0", "--conns: must be at least 1"),
        ("put --clients=x", "--clients: 'x' is not a whole number"),
        ("put --total=-1", "--total: -1 is less than 0"),
        ("put --rate=fast", "--rate: 'fast' is not a number"),
        ("put --rate=nan", "--rate: nan is out of range"),
        ("put --key-size=0", "--key-size: must be at least 1"),
        ("put --val-size=999999999", "--val-size: 999999999 is more than"),
        ("put --key-space-size=0", "--key-space-size: must be at least 1"),
        ("put --key-size=1 --key-space-size=257", "more than there are keys of --key-size 1: 256"),
        ("put --compact-interval=5", "--compact-interval: '5' is not a time"),
        ("put --check-hashkv=maybe", "--check-hashkv"),
        ("put --dial-timeout=0", "--dial-timeout: must be more than 0"),
        ("put --processes=3 --conns=2", "--processes 3 is more than --conns 2"),
        ("range", "KEY"),
        ("range a b c", "unrecognized arguments: c"),
        ("range a --consistency=x", "--consistency: invalid choice: 'x'"),
        ("txn-put --txn-ops=3 --key-space-size=2", "--txn-ops 3 is more than --key-space-size 2"),
        ("txn-mixed --rw-ratio=-1", "--rw-ratio"),
        ("put --cert=c.pem", "KeyFile and CertFile must both be present[key: , cert: c.pem]"),
        ("put --cert=/none --key=/none --endpoints=a:1", "open /none: no such file or directory"),
        ("put --cacert=/none --endpoints=https://a:1", "open /none: no such file or directory"),
        ("put --password=x", "--password without --user"),
        ("put --user=:x", "user name is empty"),
        ("put --insecure-transport=perhaps", "'perhaps' is neither true nor false"),
        ("put --endpoints=localhost", "an endpoint is host:port"),
        ("put --endpoints=127.0.0.1:2379,", "an endpoint is host:port"),
        ("put --endpoints=unix:", "the path of the socket is missing"),
        ("put --endpoints=ftp://a:1", "only http://, https://, unix: and unixs: work"),
        ("put --endpoints=a:65536", "an endpoint is host:port"),
    ],
)
def test_bad_input_gets_a_reason_and_status_2(words: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert reason in said.err.splitlines()[-1]


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["put", "--help"]) == 0
    assert "--compact-interval" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "host", "port", "path", "is_secure", "authority"),
    [
        ("127.0.0.1:2379", "127.0.0.1", 2379, "", None, b"127.0.0.1:2379"),
        ("http://localhost:1/", "localhost", 1, "", False, b"localhost:1"),
        ("https://[::1]:2379", "::1", 2379, "", True, b"[::1]:2379"),
        ("unix:/run/e.sock", "", 0, "/run/e.sock", None, b"localhost"),
        ("unixs://e.sock:0", "", 0, "e.sock:0", True, b"localhost"),
    ],
)
def test_endpoints(text: str, host: str, port: int, path: str, is_secure: bool | None, authority: bytes) -> None:
    endpoint = parse_endpoint(text)
    assert endpoint[:5] == (text, host, port, path, is_secure)
    assert endpoint.authority == authority
    assert parse_endpoints(f" {text} ,{text}") == (endpoint, endpoint)
