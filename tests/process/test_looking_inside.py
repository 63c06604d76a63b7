"""The commands that look into a running member, and what they say of actors that are slow, hung or dead."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from etcdz.cli.actors import main
from etcdz.cli.monitor import main as monitor
from supervisor.telemetry import crash_reports
from tests.cluster_process import until
from tests.etcd_process import Etcdz, Member, MemberFailed
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(300)]

KEY, VALUE = b"users-key", b"users-value"
WAIT_S = 60


class Console:
    """`etcdz actors ... --json` in this process."""

    def __init__(self, trial: Trial, capsys: pytest.CaptureFixture[str]) -> None:
        self.trial = trial
        self._capsys = capsys
        self.directory = str(trial.member.data_dir)

    def run(self, *words: str) -> tuple[int, str, str]:
        """(exit status, stdout, stderr)"""
        self._capsys.readouterr()
        status = main([*words, "--data-dir", self.directory])
        return status, *self._capsys.readouterr()

    def ask(self, *words: str) -> Any:
        """Again, if an actor gets no CPU time, or sleeps. NB: not for what ends one, which may come to it later."""
        give_up_at = time.monotonic() + WAIT_S
        while True:
            status, out, error = self.run(*words, "--json")
            if status == 0:
                return json.loads(out)
            assert "did not answer within" in error and time.monotonic() < give_up_at, error

    def row(self, name: str) -> dict[str, Any]:
        return next(row for row in self.ask("ps") if row["name"] == name)

    def wait_row(self, name: str, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Each look takes a while by itself: no pause needed."""
        give_up_at = time.monotonic() + WAIT_S
        while not wanted(row := self.row(name)):
            assert time.monotonic() < give_up_at, row
        return row


# One that is stopped by a signal would soon be killed as hung.
RULES = "--actor-rules=wal:halt=60s"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    with Etcdz(tmp_path_factory.mktemp("shared"), RULES) as member:
        yield Trial(member, 0)


@pytest.fixture
def console(shared: Trial, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Console:
    """Of a member that belongs to several tests: none ends one of its actors."""
    request.node.members = [shared.member]
    return Console(shared, capsys)


@pytest.fixture
def own(make_trial: Callable[..., Trial], capsys: pytest.CaptureFixture[str]) -> Console:
    """Of a member of this test alone."""
    return Console(make_trial(RULES), capsys)


def test_ps_tells_what_the_kernel_says_and_what_the_actors_say(console: Console) -> None:
    for _ in range(20):
        console.trial.put(KEY, VALUE)
    process = psutil.Process(console.row("raft")["pid"])

    def is_told(row: dict[str, Any]) -> bool:
        console.trial.put(KEY, VALUE)  # the figures are those of the last seconds
        return bool(row["turn_us"] and row["turn_us"]["count"] and row["received_per_s"])

    def is_as_the_kernel_says(row: dict[str, Any]) -> bool:
        rss = pytest.approx(process.memory_info().rss, rel=0.05)
        return is_told(row) and row["rss_bytes"] == rss and row["fds"] == process.num_fds()

    raft = console.wait_row("raft", is_as_the_kernel_says)
    counted = console.wait_row("wal", lambda row: _counted(row, "received", "Write") >= 20)
    assert 0 < raft["turn_us"]["p50"] <= raft["turn_us"]["p99"] <= raft["turn_us"]["max"]
    assert _counted(counted, "sent", "Durable") >= 20

    def is_told_of_syncs(row: dict[str, Any]) -> bool:
        return is_told(row) and all(row[what] and row[what]["count"] for what in ("fsync_us", "batch"))

    console.wait_row("wal", is_told_of_syncs)
    assert raft["last_error"] is None and raft["last_exit"] is None and raft["log_level"] == "info"
    assert main(["ps", "--data-dir", console.directory]) == 0


def _counted(row: dict[str, Any], way: str, kind: str) -> int:
    return int((row["heartbeat"] or {"statistics": {way: {}}})["statistics"][way].get(kind, 0))


def test_inspect_logs_and_loglevel(console: Console) -> None:
    console.trial.put(KEY, VALUE)
    found = console.ask("inspect", "backend")
    assert found["answered"] and found["actor"]["name"] == "backend"
    assert found["inside"]["summary"]["revision"] >= 2
    assert {link["name"] for link in found["inside"]["links"]} >= {"raft", "wal", "listener-1"}
    assert any("Durable" in frame["types"] and frame["from"] == "wal" for frame in found["messages"])
    lines = console.run("logs", "raft")[1]
    assert "became leader" in lines
    told = console.ask("loglevel", "raft", "debug", "--for", "5m", "--dry-run")
    assert told["dry_run"] and console.row("raft")["log_level"] == "info"
    console.ask("loglevel", "raft", "debug", "--for", "5m")
    console.wait_row("raft", lambda row: row["log_level"] == "debug")
    console.ask("loglevel", "raft", "debug", "--for", "1s")
    console.wait_row("raft", lambda row: row["log_level"] == "info")
    assert "no actor 'nobody'" in console.run("inspect", "nobody")[2]
    assert "no level 'loud'" in console.run("loglevel", "raft", "loud")[2]


def test_a_slow_actor_shows_in_its_own_mailbox_and_a_delay_ends(console: Console) -> None:
    assert console.ask("chaos", "delay", "wal", "50ms", "--dry-run")["dry_run"]
    console.ask("chaos", "delay", "wal", "50ms")
    began = time.monotonic()
    for _ in range(3):
        console.trial.put(KEY, VALUE)
    assert time.monotonic() - began >= 0.15, "each put waits for the wal"

    def is_slow(row: dict[str, Any]) -> bool:
        console.trial.put(KEY, VALUE)  # the figures are those of the last seconds
        return bool(row["oldest_us"] >= 50_000 and row["turn_us"]["max"] >= 50_000)

    console.wait_row("wal", is_slow)
    for name in ("raft", "backend", "listener-1"):
        other = console.wait_row(name, lambda row: is_slow(console.row("wal")) and row["turn_us"])
        assert other["turn_us"]["p50"] < 50_000, name
    console.ask("chaos", "delay", "wal", "0ms")
    console.wait_row("wal", lambda row: row["oldest_us"] < 50_000)


def test_a_hung_actor_tells_where_it_is_and_what_waits_for_it(console: Console) -> None:
    wal = console.row("wal")
    console.ask("chaos", "delay", "wal", "4s")  # before each of its turns: it is asleep nearly all the time
    try:
        with Puts(console.trial):
            console.wait_row("wal", lambda row: row["heartbeat_age_s"] > 1.2 and row["oldest_us"])
            found = until(lambda: in_its_sleep(console.ask("stack", "wal")), WAIT_S, lambda: "it does not sleep")
            assert found["pid"] == wal["pid"]
    finally:
        console.ask("chaos", "delay", "wal", "0ms")
    os.kill(wal["pid"], signal.SIGSTOP)
    try:
        inside = console.ask("inspect", "wal")
        status, out, _ = console.run("stack", "wal")
    finally:
        os.kill(wal["pid"], signal.SIGCONT)
    assert not inside["answered"] and "did not answer" in inside["why_not"]
    assert status == 1 and "stopped" in out


def in_its_sleep(found: dict[str, Any]) -> dict[str, Any]:
    return found if "actors/runtime/chaos.py" in found["stack"] else {}


def test_a_death_leaves_a_report_without_users_keys_or_values(own: Console) -> None:
    for _ in range(5):
        own.trial.put(KEY, VALUE)
    before = own.trial.actors()
    assert own.ask("chaos", "kill", "backend", "--dry-run")["pid"] == before["backend"]["pid"]
    own.ask("chaos", "kill", "backend")
    own.trial.wait_restarted(before, "backend")
    (report,) = own.ask("postmortem", "backend")
    assert (report["status"], report["pid"], report["name"]) == (-9, before["backend"]["pid"], "backend")
    assert [frame for frame in report["messages"] if "Durable" in frame["types"]]
    assert own.row("backend")["last_exit"]["reason"] == "was killed by signal 9"
    os.kill(own.row("raft")["pid"], signal.SIGSEGV)
    own.trial.wait_restarted(before, "raft")
    (crash,) = own.ask("postmortem", "raft")
    assert "Segmentation fault" in crash["stack"] and "became leader" in crash["log"]
    own.trial.member.kill9()
    assert [report["name"] for report in own.ask("postmortem")] == ["backend", "raft"], "without the member, too"
    for path in crash_reports.paths(own.directory):
        assert KEY not in path.read_bytes() and VALUE not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0


def test_an_ordered_stop_leaves_no_report(own: Console) -> None:
    own.trial.member.stop()
    assert "no report" in own.run("postmortem")[2]


# ---- trace ----


@pytest.fixture
def follow(console: Console) -> Iterator[Callable[..., "Followed"]]:
    """follow(words): a command that goes on, in a process of its own."""
    started: list[Followed] = []

    def start(*words: str) -> Followed:
        started.append(Followed([*words, "--json", "--data-dir", console.directory]))
        return started[-1]

    yield start
    for one in started:
        one.close()


class Followed:
    """The JSON lines of a command that follows."""

    def __init__(self, words: list[str]) -> None:
        command = [sys.executable, "-m", "etcdz.cli.main", "actors", *words]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def until(self, wanted: Callable[[dict[str, Any]], Any]) -> list[dict[str, Any]]:
        """Its lines up to one that is wanted. The test's timeout ends the wait for one that never comes."""
        assert self._process.stdout is not None
        lines: list[dict[str, Any]] = []
        for text in self._process.stdout:
            lines.append(json.loads(text))
            if wanted(lines[-1]):
                return lines
        raise AssertionError(f"it ended: {lines}")

    def close(self) -> None:
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait(WAIT_S) == 130
        if self._process.stdout is not None:
            self._process.stdout.close()


class Puts:
    """Puts one after the other as long as it is open: whoever follows sees them from some moment on."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._put)

    def _put(self) -> None:
        while not self._ended.is_set():
            self._trial.put(KEY, VALUE)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()


def test_a_trace_shows_each_hop_of_a_put_and_no_values(console: Console, follow: Callable[..., Followed]) -> None:
    trace = follow("trace", "--rate", "10000")
    missing = {("Write", "listener-1", "wal"), ("Durable", "wal", "backend"), ("Replies", "backend", "listener-1")}

    def is_whole(frame: dict[str, Any]) -> bool:
        """All hops of the fast path, which is that of the only voter, were seen."""
        missing.difference_update((kind, frame["from"], frame["to"]) for kind in frame["types"])
        return not missing

    with Puts(console.trial):
        lines = trace.until(is_whole)
    assert all(line["size"] > 0 and line["age_us"] >= 0 for line in lines if line["from"] != "supervisor")
    assert VALUE.decode() not in json.dumps(lines) and KEY.decode() not in json.dumps(lines)


def test_a_trace_of_one_type_to_one_actor_shows_nothing_else(console: Console, follow: Callable[..., Followed]) -> None:
    trace = follow("trace", "--actor", "wal", "--type", "Write")
    with Puts(console.trial):
        (line,) = trace.until(lambda frame: True)
    assert line["types"] == ["Write"] and line["to"] == "wal"
    assert "no message" in console.run("trace", "--type", "Nonsense")[2]


def test_a_trace_of_keys_shows_keys_and_never_values(console: Console, follow: Callable[..., Followed]) -> None:
    trace = follow("trace", "--key-prefix", "users-")
    with Puts(console.trial):
        lines = trace.until(lambda frame: frame["to"] == "backend")
    assert all(key == ["put", KEY.decode(), ""] for line in lines for key in line["keys"])
    assert VALUE.decode() not in json.dumps(lines)


def test_the_monitor_shows_the_flow_and_all_actors(own: Console, capsys: pytest.CaptureFixture[str]) -> None:
    def flowing() -> dict[str, Any]:
        """The view, once puts have gone all the way: the figures are those of the last heartbeats."""
        assert monitor(["--once", "--json", "--data-dir", own.directory]) == 0
        view: dict[str, Any] = json.loads(capsys.readouterr().out)
        flow = {(edge["source"], edge["target"]): edge["per_s"] for edge in view["flow"]}
        way = (("listener", "wal"), ("wal", "backend"), ("backend", "listener"))
        return view if all(flow[hop] > 0 for hop in way) else {}

    with Puts(own.trial):
        view = until(flowing, WAIT_S, lambda: "nothing flows")
        assert monitor(["--once", "--data-dir", own.directory]) == 0
    assert {actor["name"] for actor in view["actors"]} >= {"supervisor", "raft", "wal", "backend", "listener-1"}
    assert "clients ─▶ listener" in capsys.readouterr().out
    own.trial.member.kill9()
    assert monitor(["--once", "--data-dir", own.directory]) == 1


# ---- chaos that ends an actor ----


def test_an_exception_on_order_leaves_its_traceback(own: Console) -> None:
    before = own.trial.actors()
    assert own.ask("chaos", "fail", "compactor", "--dry-run")["dry_run"]
    status, out, error = own.run("chaos", "fail", "compactor", "--json")
    if status == 0:
        assert json.loads(out)["pid"] == before["compactor"]["pid"]
    else:
        assert "did not answer within" in error, "it gets no CPU time: the order comes to it all the same"
    own.trial.wait_restarted(before, "compactor")
    (report,) = own.ask("postmortem", "compactor")
    assert report["status"] == 1 and "an exception on order" in report["stack"]
    assert own.row("compactor")["last_exit"]["reason"].startswith("Chaos")


def test_memory_is_only_used_up_where_a_rule_limits_it(console: Console) -> None:
    status, _, error = console.run("chaos", "exhaust", "raft")
    assert status == 1 and "its memory has no limit; memory-max of --actor-rules sets one" in error
    assert console.row("raft")["restarts"] == 0


def test_orders_that_would_end_the_member_or_serve_nobody_need_force(
    make_trial: Callable[..., Trial], capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(make_trial("--listeners=1", "--actor-rules=wal:intensity=0/1s"), capsys)
    for words, why in {
        ("stop", "backend"): "without backend the member would serve no client",
        ("stop", "listener-1"): "without listener-1 the member would serve no client",
        ("drain", "listener-1"): "without listener-1 the member would serve no client",
        ("kill", "-9", "wal"): "one more restart of wal would stop the member",
        ("chaos", "kill", "wal"): "one more restart of wal would stop the member",
        ("chaos", "fail", "wal"): "one more restart of wal would stop the member",
    }.items():
        status, out, error = console.run(*words)
        assert (status, out) == (1, "") and f"{why}; --force does it all the same" in error
    before = console.trial.actors()
    assert {actor["state"] for actor in before.values()} == {"ready"}
    assert (
        console.ask("stop", "listener-1", "--force", "--dry-run")["plan"]
        and console.trial.actors().keys() == before.keys()
    )
    console.ask("stop", "listener-1", "--force")
    assert console.row("listener-1")["state"] == "stopped"
    console.ask("start", "listener-1")
    console.ask("restart", "wal")
    console.trial.put(KEY, VALUE)
    assert console.run("chaos", "kill", "wal", "--force")[0] == 0
    assert console.trial.member.wait() == 1
    assert "wal: more than 0 restarts within 1 s needed" in console.trial.member.log_tail(1)


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("walrus:nice=1", "no actors are called 'walrus'"),
        pytest.param("wal:nice=30", "row wal: nice=30 is not between -20 and 19", marks=pytest.mark.long),
    ],
)
def test_a_member_with_rules_that_cannot_be_says_so_and_does_not_start(
    rules: str, said: str, make_member: Callable[..., Member]
) -> None:
    member = make_member(f"--actor-rules={rules}")
    with pytest.raises(MemberFailed, match="exit code 1") as failed:
        member.start()
    assert said in str(failed.value)
    assert not member.data_dir.exists()
