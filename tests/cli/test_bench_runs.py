"""Whole runs of `etcdz bench`: against small servers that do what a test says, and against a member."""

import json
import os
import pty
import shlex
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from etcdz.api.errors import Code
from etcdz.proto import etcdserverpb as pb
from etcdz.wire.server import ServerSettings
from tests.cli.kv_server import Answer, Call, KvServer
from tests.etcd_process import Etcdz

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]


def command(target: str, words: str) -> list[str]:
    program = [sys.executable, "-m", "etcdz.cli.main", "bench", f"--endpoints={target}", "--dial-timeout=100s"]
    return [*program, *shlex.split(words)]


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def bench(target: str, words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(target, words), env=ENVIRONMENT, capture_output=True, text=True, timeout=240)


def measured(target: str, words: str, status: int = 0) -> dict[str, Any]:
    """The JSON object of a run, which must be all that it prints."""
    ran = bench(target, f"--json {words}")
    assert (ran.returncode, ran.stderr) == (status, "")
    assert ran.stdout.count("\n") == 1
    return dict(json.loads(ran.stdout))


def each(number: int, otherwise: Answer, then: Answer) -> Answer:
    """then for each call whose number is a multiple of `number`, the first one excepted."""
    return lambda call: then(call) if call.number and call.number % number == 0 else otherwise(call)


def test_puts_arrive_as_asked_for() -> None:
    with KvServer() as server:
        said = measured(server.target, "put --conns=3 --clients=8 --total=500 --key-size=5 --val-size=100")
        assert (said["requests"], said["errors"], said["conns"], said["clients"]) == (500, 0, 3, 8)
        assert 0 < said["min_s"] <= said["p50_s"] <= said["p99_s"] <= said["max_s"] <= said["seconds"]
        assert said["requests_per_second"] == pytest.approx(500 / said["seconds"])
        assert said["mean_s"] * 500 <= 8 * said["seconds"] * 1.001, "8 callers, one request at a time"
        assert len(server.calls) == 500
        assert len(server.connections) == 3
        assert server.open_most <= 3, "8 callers on 3 connections"
        assert {call.path for call in server.calls} == {b"/etcdserverpb.KV/Put"}
        put = pb.PutRequest.FromString(server.calls[0].message)
        assert (put.key, len(put.value)) == (b"00000", 100)


def test_processes_share_the_work() -> None:
    words = "put --processes=2 --conns=4 --clients=20 --total=3000 --sequential-keys --key-space-size=3000"
    with KvServer() as server:
        said = measured(server.target, words)
        assert (said["requests"], said["processes"]) == (3000, 2)
        assert len(server.connections) == 4
        keys = [pb.PutRequest.FromString(call.message).key for call in server.calls]
        assert sorted(keys) == [b"%08d" % number for number in range(3000)]


def test_a_process_has_more_to_say_than_a_pipe_holds() -> None:
    with KvServer() as server:
        said = measured(server.target, "range k --clients=300 --total=40000")
        assert (said["requests"], sum(bucket["count"] for bucket in said["histogram"])) == (40_000, 40_000)


def test_more_connections_than_callers() -> None:
    with KvServer() as server:
        assert measured(server.target, "put --conns=4 --clients=1 --processes=2 --total=20")["requests"] == 20
        assert (len(server.connections), server.open_most) == (4, 1)


def test_range_and_transactions_arrive_as_asked_for() -> None:
    with KvServer() as server:
        measured(server.target, "range a b --consistency=s --total=3 --limit=2")
        asked = pb.RangeRequest.FromString(server.calls[0].message)
        assert asked == pb.RangeRequest(key=b"a", range_end=b"b", serializable=True, limit=2)
        measured(server.target, "txn-put --txn-ops=3 --total=3")
        assert len(pb.TxnRequest.FromString(server.calls[3].message).success) == 3
        said = measured(server.target, "txn-mixed k --total=200")
        assert sum(kind["answered"] for kind in said["kinds"].values()) == 200
        assert min(kind["answered"] for kind in said["kinds"].values()) > 0
        assert [len(server.calls), {call.path for call in server.calls[3:]}] == [206, {b"/etcdserverpb.KV/Txn"}]


def test_endpoints_are_taken_in_turn(tmp_path: Path) -> None:
    with KvServer() as one, KvServer(unix_path=str(tmp_path / "s")) as other:
        targets = f"http://{one.target},{other.target}"
        assert measured(targets, "put --conns=4 --clients=4 --total=100")["requests"] == 100
        assert [len(server.connections) for server in (one, other)] == [2, 2]


def test_errors_are_counted_by_their_text_and_shown() -> None:
    def refuse(call: Call) -> None:
        call.fail(Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests")

    def refuse_silently(call: Call) -> None:
        call.fail(Code.UNAVAILABLE, "")

    answer = each(10, each(25, Call.reply, refuse_silently), refuse)
    with KvServer(answer) as server:
        said = measured(server.target, "put --clients=5 --total=101")
        assert (said["requests"], said["errors"]) == (101, 12)
        assert said["errors_by_text"] == {"etcdserver: too many requests": 10, "UNAVAILABLE": 2}
        assert sum(bucket["count"] for bucket in said["histogram"]) == 89
    with KvServer(answer) as server:
        ran = bench(server.target, "put --clients=5 --total=101")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "Error distribution:\n  [10]\tetcdserver: too many requests\n  [2]\tUNAVAILABLE\n" in ran.stdout


def test_nothing_but_errors_is_a_failure() -> None:
    with KvServer(lambda call: call.fail(Code.UNAVAILABLE, "etcdserver: no leader")) as server:
        said = measured(server.target, "put --total=20", status=1)
        assert (said["requests"], said["errors"], said["p50_s"]) == (20, 20, None)


def test_a_limit_of_streams_makes_callers_wait() -> None:
    with KvServer(lambda call: call.reply_later(0.001), ServerSettings(max_concurrent_streams=3)) as server:
        for rate in (0, 100_000):
            assert measured(server.target, f"put --clients=20 --total=60 --rate={rate}")["errors"] == 0
        assert (len(server.calls), server.open_most) == (120, 3)


def test_large_messages_go_through_flow_control() -> None:
    with KvServer() as server:
        said = measured(server.target, "put --clients=3 --total=9 --val-size=300000")
        assert (said["requests"], said["errors"]) == (9, 0)
        assert {len(call.message) for call in server.calls} == {300_000 + 2 + 8 + 4}


@pytest.mark.parametrize("rate", [0, 100_000])
def test_a_lost_connection_comes_back(rate: int) -> None:
    with KvServer(each(50, Call.reply, Call.hang_up)) as server:
        said = measured(server.target, f"put --conns=2 --clients=4 --total=205 --rate={rate}")
        assert said["requests"] == 205
        assert said["errors"] == said["errors_by_text"]["transport is closing"] >= 4
        assert len(server.connections) >= 2 + 4


def test_a_server_that_drains_loses_nothing() -> None:
    def go_away(call: Call) -> None:
        call.go_away()
        call.reply_later(0.001)

    with KvServer(each(40, lambda call: call.reply_later(0.0005), go_away)) as server:
        said = measured(server.target, "put --conns=2 --clients=6 --total=200")
        assert (said["requests"], said["errors"]) == (200, 0)
        assert len(server.connections) > 2


def test_a_server_that_does_not_come_back() -> None:
    server = KvServer(each(30, Call.reply, lambda call: server.stop()))
    with server:
        said = measured(server.target, "put --total=100 --dial-timeout=2s", status=1)
    assert (said["total"], said["requests"], said["errors"]) == (100, 31, 1)
    assert said["notes"] == [f"Connections that were lost for good: 1; {server.target}: connection refused"]


def test_an_open_loop_counts_from_when_a_request_was_due() -> None:
    """One caller, and a server that stalls once: all requests that were due meanwhile have waited."""
    with KvServer(lambda call: call.reply_later(0.3) if call.number == 0 else call.reply()) as server:
        said = measured(server.target, "put --rate=1000 --total=50")
        assert said["requests"] == 50
        assert said["p10_s"] > 0.2
        said = measured(server.target, "put --rate=1000 --total=50 --processes=2 --conns=2 --clients=2")
        assert (said["requests"], said["seconds"] >= 0.049) == (50, True)


def test_nobody_there() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # and nobody listens
        target = f"127.0.0.1:{probe.getsockname()[1]}"
        ran = bench(target, "--json put --conns=3")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == f"etcdz bench put: cannot connect to {target}: connection refused\n"


def test_one_of_several_endpoints_is_not_there(tmp_path: Path) -> None:
    with KvServer() as server:
        ran = bench(f"{server.target},unix:{tmp_path}/s", "put --conns=2")
        assert (ran.returncode, len(server.calls)) == (1, 0)
        assert "no such file or directory" in ran.stderr


def test_somebody_else_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        target = f"127.0.0.1:{listener.getsockname()[1]}"

        def serve() -> None:
            with listener.accept()[0] as sock:
                sock.recv(1000)
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            listener.accept()[0].close()

        thread = threading.Thread(target=serve)
        thread.start()
        for reason in ("what answers there does not speak HTTP/2", "the connection was closed before a word was said"):
            ran = bench(target, "put")
            assert (ran.returncode, ran.stderr) == (1, f"etcdz bench put: cannot connect to {target}: {reason}\n")
        thread.join()
        ran = bench(target, "put --dial-timeout=100ms")
        assert (ran.returncode, ran.stderr) == (
            1,
            f"etcdz bench put: cannot connect to {target}: no answer within 0.1 s\n",
        )


@pytest.mark.parametrize("as_json", [True, False])
def test_ctrl_c_prints_what_was_measured_so_far(as_json: bool) -> None:
    """All get the signal, as at a terminal; 100 calls are answered, the others never."""
    silent = threading.Event()

    def answer(call: Call) -> None:
        if call.number < 100:
            call.reply()
        elif call.number == 103:
            silent.set()

    with KvServer(answer) as server:
        words = command(server.target, f"put --conns=4 --clients=4 --processes=2 {'--json' * as_json}")
        process = subprocess.Popen(
            words,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert silent.wait(240)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=240)
    assert (process.returncode, err) == (130, "")
    if as_json:
        said = json.loads(out)
        assert (said["requests"], said["errors"], said["interrupted"]) == (100, 0, True)
    else:
        assert "Summary of what was measured until the interruption:\n  Requests:\t100 of 10000, 0 failed.\n" in out


def test_no_process_outlives_a_killed_parent() -> None:
    """They end when their pipe closes, and their connections with them."""
    busy = threading.Event()
    with KvServer(lambda call: busy.set()) as server:
        words = command(server.target, "put --conns=2 --clients=2 --processes=2")
        process = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert busy.wait(240)
        process.kill()
        # Every process holds the write end of this pipe: it ends when the last one does.
        _, err = process.communicate(timeout=240)
        assert err == b""


def test_a_bar_on_a_terminal_and_the_result_alone_on_stdout() -> None:
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        """All of it: a terminal that nobody reads is full after some bars, and who draws them waits."""
        with suppress(OSError):  # its other end is closed
            while data := os.read(ours, 1 << 16):
                shown.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    with KvServer() as server:
        words = command(server.target, "--json put --total=300")
        ran = subprocess.run(
            words,
            env={**ENVIRONMENT, "TERM": "xterm", "COLUMNS": "120"},
            stdout=subprocess.PIPE,
            stderr=theirs,
            timeout=240,
        )
    os.close(theirs)
    reader.join()
    os.close(ours)
    assert "300/300" in b"".join(shown).decode()
    assert json.loads(ran.stdout)["requests"] == 300


# ---- a member ----


WATCH_LOADS = (
    ("watch --streams=3 --watch-per-stream=7 --put-total=50 --conns=2 --clients=4", 21 * 50),
    ("watch --streams=2 --watch-per-stream=2 --watched-key-total=3 --put-total=4 --prevkv", 2 + 1 + 1 + 2),
    ("watch-latency --streams=2 --watchers-per-stream=3 --put-total=20 --put-rate=500", 6 * 20),
    ("watch-get --watchers=30 --streams=3 --events=5", 30 * 5),
)


def test_a_member_under_each_load(tmp_path: Path) -> None:
    with Etcdz(tmp_path) as member:

        def revision() -> int:
            return int(measured(member.target, "put --total=1 --check-hashkv")["hash_kv"]["revision"])

        load = "--conns=4 --clients=40 --total=500"
        before = revision()
        assert measured(member.client_url, f"put {load} --key-space-size=50 --val-size=256")["errors"] == 0
        assert revision() == before + 500 + 1
        assert measured(member.target, f"txn-put {load} --txn-ops=4")["errors"] == 0
        assert revision() == before + 1000 + 2
        for consistency in "ls":
            assert measured(member.target, f"range 0 9 --consistency={consistency} {load}")["errors"] == 0
        said = measured(member.target, f"txn-mixed 0 9 {load}")
        assert (said["requests"], said["errors"]) == (500, 0)
        assert revision() == before + 1000 + 3 + said["kinds"]["write"]["answered"]
        for leases in (0, 3):
            said = measured(member.target, f"lease-keepalive {load} --leases={leases}")
            assert (said["requests"], said["errors"]) == (500, 0)
        for words, events in WATCH_LOADS:
            said = measured(member.target, words)
            assert (said["errors"], said["events"], said["events_expected"]) == (0, events, events)
            assert said["kinds"]["event"]["answered"] == events
            assert 0 < said["kinds"]["event"]["p50_s"] < said["seconds"] + 1
        said = measured(member.target, "range '' --total=2", status=1)
        assert said["errors_by_text"] == {"etcdserver: key is not provided": 2}


def test_a_member_is_compacted_meanwhile(tmp_path: Path) -> None:
    with Etcdz(tmp_path) as member:
        words = "put --rate=1000 --total=600 --clients=20 --compact-interval=100ms --compact-index-delta=10"
        said = measured(member.target, words)
        assert (said["requests"], said["errors"]) == (600, 0)
        assert said["compactions"] >= 1
        assert said["notes"] == [f"Compactions: {said['compactions']}"]
