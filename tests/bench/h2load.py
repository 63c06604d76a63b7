"""Load from `h2load` (Debian's nghttp2-client): the generator that takes the least CPU from the servers it measures.

A gRPC call is a POST whose body is 5 bytes (compressed flag, length) and the message, so h2load can send it, over and
over the same. What follows from that, for whoever reads the numbers:

- All requests of a run carry one body: a put always overwrites the same key (its history grows, the index does not).
- h2load reads HTTP statuses, which gRPC always sets to 200, and not grpc-status. A failed call is told by what it
  leaves undone: a write by the revision, which must have grown by exactly one a request; a read by the bytes that came
  back, which must be exactly the first answer's times the requests. `compare.py` does the one, `run` the other.
- Latency is from h2load's per-request log: from the moment a stream is opened to its end. With every stream of every
  connection busy (closed loop), latency is concurrency / throughput and says nothing that throughput does not; what p99
  adds is how evenly the server treats its clients.
"""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

_DATA_BYTES = re.compile(r"traffic:.*headers.*, .*\((\d+)\) data")
_TIMEOUT_S = 600


class LoadFailed(Exception):
    """The load generator itself failed, or said something that cannot be read."""


class Load(NamedTuple):
    """How a row asks: `connections` x `streams` calls are under way at any time."""

    connections: int
    streams: int
    requests: int


class Measured(NamedTuple):
    """One run, however it was generated. Seconds are from the first request sent to the last answer's end."""

    requests: int
    errors: int
    seconds: float
    per_second: float
    mean_ms: float
    p50_ms: float
    p99_ms: float


def find_h2load() -> str | None:
    return shutil.which("h2load")


def version(program: str) -> str:
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()


def grpc_body(message: bytes) -> bytes:
    """An uncompressed message as it stands in a gRPC body."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def run(
    program: str,
    url: str,
    path: str,
    message: bytes,
    load: Load,
    work_dir: Path,
    answer_bytes: int,
    headers: Iterable[str] = (),
) -> Measured:
    """Sends `message` to path below url. NB: of https it checks no certificate

    answer_bytes    length of one good answer's message; 0 (bytes are not checked) where they differ in length
    headers         further ones, as "name: value"
    raises          LoadFailed
    """
    body, log = work_dir / "h2load.body", work_dir / "h2load.log"
    body.write_bytes(grpc_body(message))
    log.unlink(missing_ok=True)
    command = [program, "-n", load.requests, "-c", load.connections, "-m", load.streams, "-t", 1, "-d", body]
    command += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    command += [word for header in headers for word in ("-H", header)]
    command += [f"--log-file={log}", f"{url}{path}"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=_TIMEOUT_S)
    if done.returncode != 0 or not log.exists():
        raise LoadFailed(f"{command}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    measured = read_log(log, load.requests)
    if answer_bytes:
        measured = measured._replace(errors=max(measured.errors, _missing(done.stdout, load.requests, answer_bytes)))
    return measured


def read_log(log: Path, requests: int) -> Measured:
    """The per-request log: start in us since the epoch, HTTP status (-1: stream failed), us until the answer's end."""
    started: list[int] = []
    took: list[int] = []
    with log.open() as lines:
        for line in lines:
            start, status, duration = line.split("\t")[:3]
            if status == "200":
                started.append(int(start))
                took.append(int(duration))
    if not took:
        raise LoadFailed(f"h2load got no answer at all to {requests} requests")
    seconds = (max(map(int.__add__, started, took)) - min(started)) / 1e6
    took.sort()
    return Measured(
        requests=requests,
        errors=requests - len(took),
        seconds=seconds,
        per_second=len(took) / seconds,
        mean_ms=fmean(took) / 1e3,
        p50_ms=_percentile(took, 50) / 1e3,
        p99_ms=_percentile(took, 99) / 1e3,
    )


def _percentile(ordered: list[int], percent: int) -> int:
    """Nearest rank: the smallest value that at least `percent` of all do not exceed."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _missing(output: str, requests: int, answer_bytes: int) -> int:
    """How many answers at least were not the good one, by the bytes of all DATA frames together."""
    found = _DATA_BYTES.search(output)
    if found is None:
        raise LoadFailed(f"h2load's summary has no traffic line:\n{output[-2000:]}")
    whole = len(grpc_body(b"")) + answer_bytes
    return -(-abs(requests * whole - int(found.group(1))) // whole)
