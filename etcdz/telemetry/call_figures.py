"""The figures of a listener's gRPC calls, for /metrics: what its tally has counted, by the names of methods."""

from collections.abc import Iterable
from typing import Any

from etcdz.api.errors import Code
from etcdz.api.grpc_methods import CODE_NAMES, METHODS, UNARY
from etcdz.wire.call_tally import CallTally
from etcdz.wire.call_times import CallTimes
from etcdz.wire.frames import GRPC_PREFIX_BYTES
from etcdz.wire.server import GrpcServerConnection


def call_figures(tally: CallTally, living: Iterable[GrpcServerConnection]) -> dict[str, Any]:
    """By the names in etcdz.telemetry.families; methods that were not called are left out.

    living  the connections whose bytes the tally does not have yet
    """
    received = {
        tag: tally.started[tag] if kind == UNARY and not tally.received[tag] else tally.received[tag]
        for tag, (_, _, kind) in METHODS.items()
    }
    sent = {tag: tally.sent[tag] + tally.answered[tag] for tag in METHODS}
    handled = [[[CODE_NAMES[Code.OK], *METHODS[tag]], tally.answered[tag]] for tag in METHODS if tally.answered[tag]]
    ended = [[[CODE_NAMES.get(code, str(code)), *METHODS[tag]], count] for (tag, code), count in tally.ended.items()]
    times = {} if tally.times is None else {"grpc_times": _times(tally.times)}
    return {
        **times,
        "grpc_started": _series({tag: tally.started[tag] for tag in METHODS}),
        "grpc_msg_received": _series(received),
        "grpc_msg_sent": _series(sent),
        "grpc_handled": _joined([*handled, *ended]),
        "client_requests": _requests(tally),
        **_bytes(tally, list(living), sum(received.values()), sum(sent.values())),
    }


def _series(counts: dict[int, int]) -> list[Any]:
    return [[METHODS[tag], count] for tag, count in counts.items() if count]


def _times(times: CallTimes) -> list[Any]:
    return [[METHODS[tag], (counts, times.total_s[tag])] for tag, counts in times.counts.items() if tag in METHODS]


def _joined(series: list[Any]) -> list[Any]:
    """Those of equal labels added up: a stream may end well with a message, or without one."""
    found: dict[tuple[str, ...], int] = {}
    for labels, count in series:
        found[tuple(labels)] = found.get(tuple(labels), 0) + count
    return list(found.items())


def _requests(tally: CallTally) -> list[Any]:
    found = []
    for version, place in tally.versions.items():
        name = version.decode("utf-8", "replace")
        for kind, counts in (("unary", tally.unary), ("stream", tally.streams)):
            if counts[place]:
                found.append([[name, kind], counts[place]])
    return found


def _bytes(tally: CallTally, living: list[GrpcServerConnection], received: int, sent: int) -> dict[str, int]:
    """What was read and written without the prefixes of messages, which etcd does not count.

    NB: taken off the windows of flow control, which count it anyhow. While a message has come in part, its part counts
    and so may some of its prefix; so that a sum never goes back, the largest told is kept.
    """
    data_received = tally.data_received + sum(grpc.data_received for grpc in living)
    data_sent = tally.data_sent + sum(grpc.data_sent for grpc in living)
    tally.bytes_received = max(tally.bytes_received, data_received - GRPC_PREFIX_BYTES * received)
    tally.bytes_sent = max(tally.bytes_sent, data_sent - GRPC_PREFIX_BYTES * sent)
    return {"grpc_received": tally.bytes_received, "grpc_sent": tally.bytes_sent}
