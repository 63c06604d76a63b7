"""How many gRPC calls began and ended on the connections of a listener, and how many messages they carried.

Lists by the method's tag rather than a dictionary by path: an increment of one costs 30 ns, and there are two for each
call. What a listener refuses before it would have begun (no leader, a learner, no such method) is not counted, as in
etcd, whose interceptors refuse these before the one that counts.
"""

from collections import Counter
from typing import Final

from etcdz.wire.call_times import CallTimes
from etcdz.wire.frames import GRPC_PREFIX_BYTES
from etcdz.wire.request_head import Metadata

TAGS_MAX: Final = 128
"""Tags of methods are below this."""
VERSIONS_MAX: Final = 64
"""Versions of clients that are told apart. The next ones are one: a client could think up any number."""
OTHER_VERSIONS: Final = b"other"
VERSION_FIELD: Final = b"client-api-version"
NO_VERSION: Final = b"unknown"


class CallTally:
    """See the module. Lists are by the method's tag.

    started     calls and streams
    received    messages of streams; a call has one
    sent        messages to streams, but for those that were sent with the end
    answered    calls and streams that ended well with a message
    ended       (tag, gRPC code) of those that ended otherwise
    unary, streams  by version: calls and streams that came with it
    versions    what clients say of their version -> where it stands in these lists
    data_received, data_sent    bytes of DATA on connections that are gone, and of messages over HTTP
    bytes_received, bytes_sent  the most that was told of messages' bytes
    times       how long calls and streams took; None: that is not asked for
    """

    __slots__ = (
        "answered",
        "bytes_received",
        "bytes_sent",
        "data_received",
        "data_sent",
        "ended",
        "received",
        "sent",
        "started",
        "streams",
        "times",
        "unary",
        "versions",
    )

    def __init__(self, times: CallTimes | None = None) -> None:
        self.times = times
        self.started = [0] * TAGS_MAX
        self.received = [0] * TAGS_MAX
        self.sent = [0] * TAGS_MAX
        self.answered = [0] * TAGS_MAX
        self.ended: Counter[tuple[int, int]] = Counter()
        self.versions: dict[bytes, int] = {NO_VERSION: 0}
        self.unary = [0]
        self.streams = [0]
        self.data_received = 0
        self.data_sent = 0
        self.bytes_received = self.bytes_sent = 0

    def place_of(self, version: bytes) -> int:
        """Where a version that is not in `versions` stands from now on."""
        if len(self.versions) >= VERSIONS_MAX:
            version = OTHER_VERSIONS
        place = self.versions.get(version)
        if place is None:
            place = self.versions[version] = len(self.unary)
            self.unary.append(0)
            self.streams.append(0)
        return place

    # ---- over HTTP ----
    # NB: there are no prefixes of messages there, which are taken off what was received and sent.

    def count_call(self, tag: int, metadata: Metadata, size: int) -> None:
        """A call has begun. size: of its message"""
        self.started[tag] += 1
        self.data_received += size + GRPC_PREFIX_BYTES
        version = metadata.get(VERSION_FIELD, NO_VERSION)
        place = self.versions.get(version)
        self.unary[self.place_of(version) if place is None else place] += 1

    def count_answer(self, tag: int, size: int) -> None:
        """A call has ended well with a message of this size."""
        self.answered[tag] += 1
        self.data_sent += size + GRPC_PREFIX_BYTES

    def count_time(self, tag: int, took_s: float) -> None:
        """A call or stream that took so long has ended, well or not."""
        if self.times is not None:
            self.times.add(tag, took_s)

    def count_received(self, tag: int, size: int) -> None:
        """A message of a stream has come."""
        self.received[tag] += 1
        self.data_received += size + GRPC_PREFIX_BYTES

    def count_sent(self, tag: int, size: int) -> None:
        """A message was sent to a stream."""
        self.sent[tag] += 1
        self.data_sent += size + GRPC_PREFIX_BYTES

    # ---- over gRPC ----

    def count_stream(self, tag: int, metadata: Metadata) -> None:
        """A stream has begun. NB: gRPC's calls are counted in the loop of Connection, without a call of their own."""
        self.started[tag] += 1
        version = metadata.get(VERSION_FIELD, NO_VERSION)
        place = self.versions.get(version)
        self.streams[self.place_of(version) if place is None else place] += 1
