"""What each method allows, used to excess: streams, leases, locks, transactions and upkeep. Each returns counts."""

import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from random import Random
from typing import Final

from etcdz.net.blocking_channel import Channel
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import v3electionpb as election
from etcdz.proto import v3lockpb as lock
from tests.hostile.raw_client import RawClient, encode_headers, encode_message, head_fields
from tests.hostile.stalls import load
from tests.hostile.storm import Request, Storm

_PUT: Final = b"/etcdserverpb.KV/Put"
_TXN: Final = b"/etcdserverpb.KV/Txn"
_RANGE: Final = b"/etcdserverpb.KV/Range"
_DELETE: Final = b"/etcdserverpb.KV/DeleteRange"
_COMPACT: Final = b"/etcdserverpb.KV/Compact"
_WATCH: Final = b"/etcdserverpb.Watch/Watch"
_GRANT: Final = b"/etcdserverpb.Lease/LeaseGrant"
_REVOKE: Final = b"/etcdserverpb.Lease/LeaseRevoke"
_TIME_TO_LIVE: Final = b"/etcdserverpb.Lease/LeaseTimeToLive"
_KEEP_ALIVE: Final = b"/etcdserverpb.Lease/LeaseKeepAlive"
_LOCK: Final = b"/v3lockpb.Lock/Lock"
_CAMPAIGN: Final = b"/v3electionpb.Election/Campaign"
_SNAPSHOT: Final = b"/etcdserverpb.Maintenance/Snapshot"


def _until(seconds: float, request: Request) -> Iterator[Request]:
    """The same request for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield request


def pile_up_puts(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """More puts at a time than a member admits, over some connections."""
    body = pb.PutRequest(key=b"pile", value=b"v").SerializeToString()
    return Storm(target, _until(seconds, Request(_PUT, (body,))), connections=6, streams=1500).run()


def pile_up_large_puts(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Puts of 1 MB, hundreds at a time (in the short form of 200 KB)."""
    size = 1_000_000 if seconds > 1 else 200_000
    body = pb.PutRequest(key=b"pile", value=rng.randbytes(size)).SerializeToString()
    return Storm(target, _until(seconds, Request(_PUT, (body,))), connections=8, streams=60).run()


def drop_connections_with_puts(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Connections that make a hundred puts and go away before any is answered."""
    end = time.monotonic() + seconds
    connections = 0
    body = pb.PutRequest(key=b"dropped", value=b"v").SerializeToString()
    while time.monotonic() < end:
        with suppress(OSError), RawClient(target) as client:
            ids = [client.next_id() for _ in range(100)]
            client.send(b"".join(encode_headers(n, head_fields(_PUT)) + encode_message(n, body) for n in ids))
        connections += 1
    return {"connections": connections}


def watch_long_keys(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Watchers of keys of 100 KB, one stream for all of them."""
    watchers = 300 if seconds <= 1 else 1000
    created = 0
    with Channel(target) as channel:
        stream = channel.stream(_WATCH.decode())
        for number in range(watchers):
            create = pb.WatchCreateRequest(key=b"%06d" % number * 17_000, prev_kv=True, fragment=True)
            stream.send(pb.WatchRequest(create_request=create).SerializeToString())
            answer = stream.recv(60)
            created += answer is not None and pb.WatchResponse.FromString(answer).created
    return {"watchers": created}


def flood_progress(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Requests for progress, thousands at a time, on a stream that watches everything."""
    create = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"\0", range_end=b"\0"))
    progress = pb.WatchRequest(progress_request=pb.WatchProgressRequest()).SerializeToString()
    end = time.monotonic() + seconds
    sent = 0
    with suppress(OSError), RawClient(target, grant=1 << 28) as client:
        stream_id = client.next_id()
        client.send(encode_headers(stream_id, head_fields(_WATCH)))
        client.send(encode_message(stream_id, create.SerializeToString(), 0))
        unit = encode_message(stream_id, progress, 0) * 500
        while time.monotonic() < end:
            client.send(unit)
            sent += 500
            for _ in client.frames(0.005):
                pass
    return {"progress": sent}


def flood_unread(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """The same, and no answer is ever read; and watchers that nothing will ever reach, 20,000 of them before it."""
    create = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"unread", start_revision=0))
    progress = pb.WatchRequest(progress_request=pb.WatchProgressRequest()).SerializeToString()
    end = time.monotonic() + seconds
    sent = 0
    while time.monotonic() < end:
        with suppress(OSError), RawClient(target, window=0) as client:
            stream_id = client.next_id()
            client.send(encode_headers(stream_id, head_fields(_WATCH)))
            client.socket.settimeout(0.5)
            client.socket.sendall(encode_message(stream_id, create.SerializeToString(), 0) * 20_000)
            unit = encode_message(stream_id, progress, 0) * 500
            while time.monotonic() < end:
                client.socket.sendall(unit)
                sent += 500
    return {"progress": sent}


def flood_keep_alives(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Keep-alives of leases that are not there, and of one that is, as fast as they go, answers unread."""
    end = time.monotonic() + seconds
    sent = 0
    with Channel(target) as channel:
        grant = channel.unary(_GRANT.decode(), pb.LeaseGrantRequest(TTL=1000).SerializeToString(), 30)
    lease = pb.LeaseGrantResponse.FromString(grant).ID
    while time.monotonic() < end:
        with suppress(OSError), RawClient(target) as client:
            stream_id = client.next_id()
            client.send(encode_headers(stream_id, head_fields(_KEEP_ALIVE)))
            ids = [lease, -1, 1 << 62, rng.randrange(1 << 40)]
            unit = b"".join(
                encode_message(stream_id, pb.LeaseKeepAliveRequest(ID=n).SerializeToString(), 0) for n in ids * 100
            )
            client.socket.settimeout(0.5)
            while time.monotonic() < end:
                client.socket.sendall(unit)
                sent += 400
    return {"keep_alives": sent}


def wait_for_locks(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """A line of clients for one lock and one election: all but the first wait; then all go away at once."""
    waiters = 300 if seconds <= 1 else 2000

    def requests() -> Iterator[Request]:
        for number in range(waiters):
            if number % 2:
                yield Request(_LOCK, (lock.LockRequest(name=b"line").SerializeToString(),), 2 * seconds)
            else:
                body = election.CampaignRequest(name=b"vote", value=b"v" * 1000).SerializeToString()
                yield Request(_CAMPAIGN, (body,), 2 * seconds)

    return Storm(target, requests(), connections=2, streams=waiters).run()


def compare_ranges(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Transactions that compare hundreds of keys (--long: thousands) 128 times before they write one."""
    load(target, b"compare/", 3000 if seconds > 1 else 400, 10)
    compare = pb.Compare(result=1, target=1, create_revision=0, key=b"compare/", range_end=b"compare0")
    put = pb.RequestOp(request_put=pb.PutRequest(key=b"compared", value=b"v"))
    body = pb.TxnRequest(compare=[compare] * 128, success=[put]).SerializeToString()
    return Storm(target, _until(seconds, Request(_TXN, (body,))), connections=1, streams=4).run()


def put_many_at_once(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Transactions of transactions: as many puts as a request holds."""
    number = count()
    end = time.monotonic() + seconds

    def ops(size: int) -> list[pb.RequestOp]:
        keys = (b"m%07d" % next(number) for _ in range(size))
        return [pb.RequestOp(request_put=pb.PutRequest(key=key)) for key in keys]

    def requests() -> Iterator[Request]:
        while time.monotonic() < end:
            inner = [pb.RequestOp(request_txn=pb.TxnRequest(success=ops(128))) for _ in range(128)]
            outer = [pb.RequestOp(request_txn=pb.TxnRequest(success=inner)) for _ in range(4)]
            yield Request(_TXN, (pb.TxnRequest(success=outer).SerializeToString(),))

    return Storm(target, requests(), connections=1, streams=2).run()


def delete_and_put_much(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Thousands of keys with previous values, deleted at once and written again, with a watcher that wants all."""
    create = pb.WatchCreateRequest(key=b"mass/", range_end=b"mass0", prev_kv=True, fragment=True)
    delete = pb.DeleteRangeRequest(key=b"mass/", range_end=b"mass0", prev_kv=True).SerializeToString()
    end = time.monotonic() + seconds
    rounds = 0
    with RawClient(target, window=0) as watcher, Channel(target) as channel:
        stream_id = watcher.next_id()
        message = pb.WatchRequest(create_request=create).SerializeToString()
        watcher.send(encode_headers(stream_id, head_fields(_WATCH)) + encode_message(stream_id, message, 0))
        while time.monotonic() < end or not rounds:
            load(target, b"mass/", 5000, 100)
            channel.unary(_DELETE.decode(), delete, 60)
            rounds += 1
    return {"rounds": rounds}


def crowd_a_lease(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """A lease with thousands of keys: asked for them again and again, then revoked."""
    keys = 5000 if seconds <= 1 else 50_000
    with Channel(target) as channel:
        grant = channel.unary(_GRANT.decode(), pb.LeaseGrantRequest(TTL=1000).SerializeToString(), 30)
        lease = pb.LeaseGrantResponse.FromString(grant).ID
        for at in range(0, keys, 100):
            puts = [pb.PutRequest(key=b"crowd/%08d" % n, lease=lease) for n in range(at, at + 100)]
            txn = pb.TxnRequest(success=[pb.RequestOp(request_put=put) for put in puts])
            channel.unary(_TXN.decode(), txn.SerializeToString(), 60)
        ask = pb.LeaseTimeToLiveRequest(ID=lease, keys=True).SerializeToString()
        said = Storm(target, _until(seconds, Request(_TIME_TO_LIVE, (ask,))), connections=2, streams=20).run()
        channel.unary(_REVOKE.decode(), pb.LeaseRevokeRequest(ID=lease).SerializeToString(), 60)
    return said


def storm_upkeep(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Compactions, hashes, defragmentations, status and member lists by the hundred."""
    paths = [b"Maintenance/Defragment", b"Maintenance/Hash", b"Maintenance/HashKV", b"Maintenance/Status"]
    end = time.monotonic() + seconds

    def requests() -> Iterator[Request]:
        with Channel(target) as channel:
            while time.monotonic() < end:
                for _ in range(10):
                    yield Request(b"/etcdserverpb." + rng.choice(paths), (b"",))
                asked = channel.unary(_RANGE.decode(), pb.RangeRequest(key=b"a").SerializeToString(), 60)
                revision = pb.RangeResponse.FromString(asked).header.revision
                body = pb.CompactionRequest(revision=revision, physical=rng.random() < 0.5).SerializeToString()
                yield Request(_COMPACT, (body,))

    return Storm(target, requests(), connections=2, streams=20).run()


def flood_snapshots(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Snapshots that are asked for and given up, over and over."""
    requests = _until(seconds, Request(_SNAPSHOT, (b"",), 0.05))
    return Storm(target, requests, connections=2, streams=4).run()


def odd_numbers(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """Leases, revisions and limits at the ends of their types."""
    ends = [0, -1, 1, (1 << 63) - 1, -(1 << 63), 1 << 62]
    until = time.monotonic() + seconds

    def requests() -> Iterator[Request]:
        while time.monotonic() < until:
            a, b = rng.choice(ends), rng.choice(ends)
            yield Request(_GRANT, (pb.LeaseGrantRequest(TTL=a, ID=b).SerializeToString(),))
            yield Request(_REVOKE, (pb.LeaseRevokeRequest(ID=a).SerializeToString(),))
            yield Request(_TIME_TO_LIVE, (pb.LeaseTimeToLiveRequest(ID=a, keys=True).SerializeToString(),))
            yield Request(_PUT, (pb.PutRequest(key=b"odd", lease=a).SerializeToString(),))
            yield Request(_RANGE, (pb.RangeRequest(key=b"odd", revision=a, limit=b).SerializeToString(),))
            yield Request(_RANGE, (pb.RangeRequest(key=b"odd", min_mod_revision=a, limit=b).SerializeToString(),))
            create = pb.WatchCreateRequest(key=b"odd", start_revision=a, watch_id=b)
            yield Request(_WATCH, (pb.WatchRequest(create_request=create).SerializeToString(),), 0.05, False)

    return Storm(target, requests()).run()
