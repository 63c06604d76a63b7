"""Deleting, compacting and defragmenting, on etcd and etcdz in turn: `python -m tests.bench.space`.

    deletes      one delete of a range of many keys, then a physical compaction of what is left of them: seconds each
    compaction   a store of many revisions; puts at a steady rate before, during a physical compaction of all of it, and
                 during a defragmentation: their latencies

Nothing here asserts anything about time: it is for people to read.
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import grpc

from etcdz.proto import etcdserverpb as pb
from tests.bench.steady_puts import SteadyPuts
from tests.etcd_process import Etcdz, Member, RealEtcd

_PUTS_PER_TXN = 100
_PREFIX, _PREFIX_END = b"/space/", b"/space0"
_KINDS: dict[str, type[Member]] = {"etcd": RealEtcd, "etcdz": Etcdz}


class _Client:
    """Calls one after the other; what they do may take minutes."""

    def __init__(self, member: Member) -> None:
        options = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", 1 << 30)]
        self._channel = grpc.insecure_channel(member.target, options=options)

    def call(self, path: str, request: object, answer: type) -> object:
        body = request.SerializeToString()  # type: ignore[attr-defined]
        return answer.FromString(self._channel.unary_unary(path)(body, timeout=600, wait_for_ready=True))  # type: ignore[attr-defined]

    def fill(self, keys: int, rounds: int, value_bytes: int) -> int:
        """Puts each key so many times. return the revision"""
        revision = 0
        for number in range(rounds):
            value = (b"%06d" % number).ljust(value_bytes, b"v")
            for first in range(0, keys, _PUTS_PER_TXN):
                txn = pb.TxnRequest()
                for at in range(first, min(keys, first + _PUTS_PER_TXN)):
                    txn.success.add().request_put.CopyFrom(pb.PutRequest(key=_PREFIX + b"%08d" % at, value=value))
                said = self.call("/etcdserverpb.KV/Txn", txn, pb.TxnResponse)
                revision = said.header.revision  # type: ignore[attr-defined]
        return revision

    def delete_all(self) -> pb.DeleteRangeResponse:
        request = pb.DeleteRangeRequest(key=_PREFIX, range_end=_PREFIX_END)
        return self.call("/etcdserverpb.KV/DeleteRange", request, pb.DeleteRangeResponse)

    def compact(self, revision: int) -> None:
        request = pb.CompactionRequest(revision=revision, physical=True)
        self.call("/etcdserverpb.KV/Compact", request, pb.CompactionResponse)

    def defragment(self) -> None:
        self.call("/etcdserverpb.Maintenance/Defragment", pb.DefragmentRequest(), pb.DefragmentResponse)


def _timed(act: Callable[[], object]) -> tuple[float, object]:
    began = time.monotonic()
    result = act()
    return time.monotonic() - began, result


def measure_deletes(kind: type[Member], args: argparse.Namespace) -> list[float]:
    with _fresh(kind, args) as member:
        client = _Client(member)
        client.fill(args.keys, 1, args.value_bytes)
        delete_s, said = _timed(client.delete_all)
        assert said.deleted == args.keys, said  # type: ignore[attr-defined]
        compact_s, _ = _timed(lambda: client.compact(said.header.revision))  # type: ignore[attr-defined]
        return [delete_s, compact_s]


def measure_compaction(kind: type[Member], args: argparse.Namespace) -> list[float]:
    """Prints a line for each phase. return p99s: before, compaction, defragmentation; then how long these took."""
    with _fresh(kind, args) as member:
        client = _Client(member)
        fill_s, revision = _timed(lambda: client.fill(args.keys, args.revisions // args.keys, args.value_bytes))
        print(f"{kind.kind:6} filled in {fill_s:.1f} s", file=sys.stderr)
        p99s, took = [], []
        with SteadyPuts(member.client_port, args.rate) as puts:
            threading.Event().wait(1.0)
            for name, act in (
                ("before", lambda: threading.Event().wait(args.seconds)),
                ("compaction", lambda: client.compact(revision)),  # type: ignore[arg-type]
                ("defrag", client.defragment),
                ("after", lambda: threading.Event().wait(args.seconds)),
            ):
                began = time.monotonic()
                act()
                ended = time.monotonic()
                threading.Event().wait(1.0)
                said = puts.between(began, ended)
                print(
                    f"{kind.kind:6} {name:10} {ended - began:6.2f} s  {said.puts:6} puts  {said.line}", file=sys.stderr
                )
                p99s.append(said.p99_ms)
                took.append(ended - began)
        return [*p99s[:3], *took[1:3]]


class _fresh:
    """A member of its own for one measurement."""

    def __init__(self, kind: type[Member], args: argparse.Namespace) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="space-", dir=args.dir))
        self._member = kind(self._directory, "--quota-backend-bytes=8589934592", *args.flag)

    def __enter__(self) -> Member:
        return self._member.start()

    def __exit__(self, *_: object) -> None:
        self._member.stop()
        shutil.rmtree(self._directory, ignore_errors=True)


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.space", description="Deletes, compaction, defragmentation.")
    parser.add_argument("what", choices=("deletes", "compaction"))
    parser.add_argument("--keys", type=int, help="default: 50000; for compaction 10000")
    parser.add_argument("--revisions", type=int, default=1_000_000, help="compaction: put in transactions of 100")
    parser.add_argument("--value-bytes", type=int, help="default: 1024; for compaction 128")
    parser.add_argument("--rate", type=int, default=1_000, help="compaction: puts a second beside it")
    parser.add_argument("--seconds", type=float, default=5.0, help="compaction: the phase before it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", default="etcd,etcdz")
    parser.add_argument("--flag", action="append", default=[], metavar="--X=Y", help="for both servers; repeatable")
    parser.add_argument("--dir", help="where the data directories go (default: the temporary directory)")
    args = parser.parse_args(argv)
    deletes = args.what == "deletes"
    args.keys = args.keys or (50_000 if deletes else 10_000)
    args.value_bytes = args.value_bytes or (1_024 if deletes else 128)
    names = ["delete s", "compaction s"]
    if not deletes:
        names = ["p99 before ms", "p99 compaction ms", "p99 defrag ms", "compaction s", "defrag s"]
    measure = measure_deletes if deletes else measure_compaction
    sides = args.sides.split(",")
    rounds: dict[str, list[list[float]]] = {side: [] for side in sides}
    for at in range(args.rounds):
        for side in sides if at % 2 == 0 else sides[::-1]:
            rounds[side].append(measure(_KINDS[side], args))
            print(f"round {at + 1} {_line(side, names, rounds[side][-1:])}", file=sys.stderr)
    for side, samples in rounds.items():
        print(_line(side, names, samples))


def _line(side: str, names: list[str], samples: list[list[float]]) -> str:
    middles = [median(values) for values in zip(*samples, strict=True)]
    return f"{side:6} " + "   ".join(f"{name} {value:8.3f}" for name, value in zip(names, middles, strict=True))


if __name__ == "__main__":
    main(sys.argv[1:])
