"""How late leases end: `python -m tests.bench.expiry`.

Many leases of one TTL, each with a key, are granted at once and left alone, on etcd and etcdz in turn. A watcher notes
when their keys are deleted: what is printed is how long after the end of its TTL, from the answer to its grant, each
lease's key was gone. Less than nothing would be too early. Nothing here asserts anything about time.
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import grpc

from etcdz.proto import etcdserverpb as pb
from tests.bench.rounds import in_turn
from tests.etcd_process import Etcdz, Member, RealEtcd

_PREFIX = b"expiry/"
_PATIENCE_S = 60.0


class _Watch:
    """Notes when keys below the prefix are deleted."""

    def __init__(self, channel: grpc.Channel, wanted: int) -> None:
        self.gone_s: dict[bytes, float] = {}
        self.done = threading.Event()
        self._created = threading.Event()
        self._wanted = wanted
        self._ended = threading.Event()
        self._answers = channel.stream_stream("/etcdserverpb.Watch/Watch")(self._requests())
        threading.Thread(target=self._read, daemon=True).start()
        assert self._created.wait(_PATIENCE_S)

    def _requests(self) -> Iterator[bytes]:
        create = pb.WatchCreateRequest(key=_PREFIX, range_end=b"expiry0", filters=[0])
        yield pb.WatchRequest(create_request=create).SerializeToString()
        self._ended.wait()

    def _read(self) -> None:
        try:
            for body in self._answers:
                now = time.monotonic()
                response = pb.WatchResponse.FromString(body)
                if response.created:
                    self._created.set()
                for event in response.events:
                    self.gone_s[event.kv.key] = now
                if len(self.gone_s) == self._wanted:
                    self.done.set()
        except grpc.RpcError:
            pass

    def close(self) -> None:
        self._ended.set()
        self._answers.cancel()


def measure(kind: type[Member], args: argparse.Namespace) -> list[float]:
    """Milliseconds late of each lease."""
    directory = Path(tempfile.mkdtemp(prefix="expiry-", dir=args.dir))
    try:
        with kind(directory) as member, grpc.insecure_channel(member.target) as channel:
            grpc.channel_ready_future(channel).result(timeout=20)
            watch = _Watch(channel, args.leases)
            ends_s = _grant_all(channel, args.leases, args.ttl)
            assert watch.done.wait(_PATIENCE_S), f"{len(watch.gone_s)} of {args.leases} leases have ended"
            watch.close()
            return [(watch.gone_s[key] - end_s) * 1e3 for key, end_s in ends_s.items()]
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _grant_all(channel: grpc.Channel, count: int, ttl_s: int) -> dict[bytes, float]:
    """By key: when its lease is to end."""
    ends_s: dict[bytes, float] = {}

    def granted(key: bytes, _call: grpc.Future) -> None:
        ends_s[key] = time.monotonic() + ttl_s

    grant, put = channel.unary_unary("/etcdserverpb.Lease/LeaseGrant"), channel.unary_unary("/etcdserverpb.KV/Put")
    keys = [_PREFIX + b"%06d" % number for number in range(count)]
    grants = []
    for number, key in enumerate(keys, 1):
        grants.append(grant.future(pb.LeaseGrantRequest(ID=number, TTL=ttl_s).SerializeToString()))
        grants[-1].add_done_callback(partial(granted, key))
    for call in grants:
        call.result()
    requests = [pb.PutRequest(key=key, lease=number).SerializeToString() for number, key in enumerate(keys, 1)]
    for call in [put.future(request) for request in requests]:
        call.result()
    return ends_s


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.expiry", description="How late leases end.")
    parser.add_argument("--leases", type=int, default=1_000)
    parser.add_argument("--ttl", type=int, default=5, help="seconds; long enough for all grants and puts")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", help="where the data directories go (default: the temporary directory)")
    args = parser.parse_args(argv)
    rounds: dict[str, list[list[float]]] = {RealEtcd.kind: [], Etcdz.kind: []}
    for number, kind in in_turn(args.rounds):
        rounds[kind.kind].append(measure(kind, args))
        print(f"round {number} {_line(kind.kind, rounds[kind.kind][-1:])}", file=sys.stderr)
    for name, samples in rounds.items():
        print(_line(name, samples))


def _line(name: str, samples: list[list[float]]) -> str:
    cuts = [quantiles(sample, n=100) for sample in samples]
    said = {"p50": [cut[49] for cut in cuts], "p99": [cut[98] for cut in cuts], "max": [max(each) for each in samples]}
    parts = [f"{what} {median(values):7.0f}" for what, values in said.items()]
    return f"{name:6} ms late: min {min(map(min, samples)):7.0f}  " + "  ".join(parts)


if __name__ == "__main__":
    main(sys.argv[1:])
