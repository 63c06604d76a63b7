"""Leases that run out: watchers of both members are told the same deletes, in the same order, of the same revisions.

Times are not compared: the leases of one test end so far apart that a busy machine does not
change their order.
"""

import time
from random import Random

import pytest

from etcdz.proto import etcdserverpb as pb
from tests.parity.calls import Call
from tests.parity.pair import Difference, Pair
from tests.parity.test_watches import HeldUp, Listening, unless_held_up

pytestmark = pytest.mark.timeout(600)

SHORT_S, LONG_S = 3, 6


def grant(lease_id: int, ttl_s: int) -> Call:
    return Call("LeaseGrant", pb.LeaseGrantRequest(ID=lease_id, TTL=ttl_s))


def put(key: bytes, lease_id: int = 0, ignore_lease: bool = False) -> Call:
    return Call("Put", pb.PutRequest(key=key, value=b"v", lease=lease_id, ignore_lease=ignore_lease))


WRITES = [
    grant(2, SHORT_S),
    put(b"z", 2),
    put(b"y", 2),
    grant(1, LONG_S),
    grant(3, SHORT_S),  # of no key: its end is no revision
    grant(4, 600),
    put(b"b", 1),
    put(b"a", 1),
    put(b"aa", 1),
    put(b"c", 4),
    put(b"c", 1),  # moves over
    put(b"d", 1),
    put(b"d"),  # is let go
    put(b"e", 1),
    put(b"e", ignore_lease=True),
    put(b"f", 4),
]
ENDS = 2 + 5
"""Deletes: of lease 2, then of lease 1."""
AFTER = [
    Call("LeaseLeases", pb.LeaseLeasesRequest()),
    *[Call("LeaseTimeToLive", pb.LeaseTimeToLiveRequest(ID=lease_id, keys=True)) for lease_id in (1, 2, 3, 4)],
    *[Call("LeaseKeepAlive", pb.LeaseKeepAliveRequest(ID=lease_id)) for lease_id in (1, 3)],
    Call("LeaseRevoke", pb.LeaseRevokeRequest(ID=2)),
    put(b"late", 1),
    grant(1, 600),
    put(b"late", 1),
    Call("Range", pb.RangeRequest(key=b"\0", range_end=b"\0")),
    Call("HashKV", pb.HashKVRequest()),
]


def test_watchers_see_leases_end_in_the_same_order(pair: Pair) -> None:
    unless_held_up(lambda: watch_leases_end(pair))


def write(listening: Listening) -> None:
    """raises HeldUp: a lease may have run out before the last of it"""
    began = time.monotonic()
    try:
        for call in WRITES:
            listening.pair.compare(call, listening.base, listening.done)
            listening.done.append(call)
    except Difference:
        if time.monotonic() - began < SHORT_S:
            raise
        raise HeldUp from None
    if time.monotonic() - began >= SHORT_S:
        raise HeldUp


def watch_leases_end(pair: Pair) -> None:
    listening = Listening(pair, Random(1))
    try:
        for key, end, prev_kv in ((b"\0", b"\0", False), (b"\0", b"\0", True), (b"a", b"", True), (b"y", b"", False)):
            create = pb.WatchCreateRequest(key=key, range_end=end, prev_kv=prev_kv)
            listening.say(pb.WatchRequest(create_request=create))
        write(listening)
        for ear in listening.ears:
            assert ear.wait(lambda ear=ear: str(ear.events).count("type: DELETE") >= 2 * ENDS + 2), listening.story()
            first = next(text for text in ear.heard()[0] if "type: DELETE" in text)
            if 'key: "y"' not in first and 'key: "z"' not in first:
                raise HeldUp  # both leases were over when the member came to look: they end in any order
        listening.agree()
        for call in AFTER:
            listening.pair.compare(call, listening.base, listening.done)
    finally:
        for ear in listening.ears:
            ear.close()
