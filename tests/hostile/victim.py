"""An ordinary client that must not notice what others do: `python -m tests.hostile.victim host:port`.

Prints "ready" when its watch and its lease stand. A line on its stdin sends it to work, the next one lets it rest and
print one JSON line; when its stdin ends it looks at its lease and prints a last one.

    {"puts": {"count", "p50_ms", "p99_ms", "max_ms"}, "gets": the same,
     "events": seen by the watch, "events_missing", "event_lag_ms_max", "renewals", "errors": [text],
     "longest": {"puts": [from, to], "gets": the same, "events": the same}: waits, on the monotonic clock}
"""

import json
import select
import sys
import threading
import time
from typing import Any, Final

from etcdz.net.blocking_channel import Channel, RpcError
from etcdz.proto import etcdserverpb as pb

PREFIX: Final = b"victim/"
_PAUSE_S: Final = 0.002
"""Between two rounds: a client that is not itself a load."""
_CALL_S: Final = 60.0
_EVENTS_S: Final = 60.0
"""How long the watch may lag behind the last put."""
_LEASE_TTL_S: Final = 20
_RENEW_S: Final = 0.5
_KEYS: Final = 50
_ERRORS_KEPT: Final = 10
_LINE_BYTES: Final = 3
"""Of a line on stdin: "go" or "ok", and its end."""


Wait = tuple[float, float]
"""From when to when, on the monotonic clock."""


def _seconds(wait: Wait) -> float:
    return wait[1] - wait[0]


def summarize(waits: list[Wait]) -> dict[str, float]:
    """count and the percentiles in ms; zeros for nothing."""
    if not waits:
        return {"count": 0, "p50_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0}
    found = sorted(map(_seconds, waits))
    last = len(found) - 1
    points = {"p50_ms": found[last // 2], "p99_ms": found[last * 99 // 100], "max_ms": found[last]}
    return {"count": len(found), **{name: round(value * 1e3, 2) for name, value in points.items()}}


class Victim:
    """One client with a channel for its calls, one for its watch and one for its lease."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.errors: list[str] = []
        self.puts: list[Wait] = []
        self.gets: list[Wait] = []
        self.put_at: dict[int, float] = {}  # by revision
        self.seen_at: dict[int, float] = {}
        self.renewals = 0
        self.rounds = 0
        self.lease = 0
        self.ends = threading.Event()
        self.watches = threading.Event()

    def fail(self, what: str, error: Exception) -> None:
        if len(self.errors) < _ERRORS_KEPT:
            self.errors.append(f"{what}: {type(error).__name__}: {error}")

    def run(self) -> dict[str, Any]:
        with Channel(self.target) as channel:
            self._grant(channel)
            threads = [threading.Thread(target=task, daemon=True) for task in (self._watch, self._renew)]
            for thread in threads:
                thread.start()
            self.watches.wait(_CALL_S)
            print("ready", flush=True)
            while sys.stdin.buffer.raw.read(_LINE_BYTES):  # type: ignore[attr-defined]  # unbuffered: select must see it
                self._round(channel)
                while not select.select([sys.stdin], [], [], _PAUSE_S)[0]:
                    self._round(channel)
                if not sys.stdin.buffer.raw.read(_LINE_BYTES):  # type: ignore[attr-defined]
                    break
                self._await_events(threads[0])
                print(json.dumps(self._result()), flush=True)
            self._check_lease(channel)
        return self._result()

    def _grant(self, channel: Channel) -> None:
        request = pb.LeaseGrantRequest(TTL=_LEASE_TTL_S)
        answer = channel.unary("/etcdserverpb.Lease/LeaseGrant", request.SerializeToString(), _CALL_S)
        self.lease = pb.LeaseGrantResponse.FromString(answer).ID

    def _round(self, channel: Channel) -> None:
        number = self.rounds
        self.rounds += 1
        key, value = PREFIX + b"%d" % (number % _KEYS), b"%d" % number * 8
        put = pb.PutRequest(key=key, value=value, lease=self.lease).SerializeToString()
        get = pb.RangeRequest(key=key).SerializeToString()
        try:
            began = time.monotonic()
            answer = channel.unary("/etcdserverpb.KV/Put", put, _CALL_S)
            ended = time.monotonic()
            self.puts.append((began, ended))
            self.put_at[pb.PutResponse.FromString(answer).header.revision] = ended
            answer = channel.unary("/etcdserverpb.KV/Range", get, _CALL_S)
            self.gets.append((ended, time.monotonic()))
            # NB: an attack may delete all keys between put and get; what it cannot do is to write another value.
            if any(kv.value != value for kv in pb.RangeResponse.FromString(answer).kvs):
                raise ValueError(f"{key!r} has another value than was put")
        except Exception as error:
            self.fail("call", error)
            time.sleep(0.05)

    def _watch(self) -> None:
        create = pb.WatchCreateRequest(key=PREFIX, range_end=b"victim0")
        try:
            with Channel(self.target) as channel:
                stream = channel.stream("/etcdserverpb.Watch/Watch")
                stream.send(pb.WatchRequest(create_request=create).SerializeToString())
                while (message := stream.recv()) is not None:
                    self._see(pb.WatchResponse.FromString(message))
                raise ConnectionError("the watch ended")
        except Exception as error:
            self.fail("watch", error)
            self.watches.set()

    def _see(self, response: Any) -> None:
        now = time.monotonic()
        self.watches.set()
        for event in response.events:
            self.seen_at.setdefault(event.kv.mod_revision, now)

    def _renew(self) -> None:
        request = pb.LeaseKeepAliveRequest(ID=self.lease).SerializeToString()
        try:
            with Channel(self.target) as channel:
                stream = channel.stream("/etcdserverpb.Lease/LeaseKeepAlive")
                while not self.ends.wait(_RENEW_S):
                    stream.send(request)
                    answer = stream.recv(_CALL_S)
                    if answer is None or pb.LeaseKeepAliveResponse.FromString(answer).TTL <= 0:
                        raise ValueError("the lease is gone")
                    self.renewals += 1
        except Exception as error:
            self.fail("lease", error)

    def _check_lease(self, channel: Channel) -> None:
        self.ends.set()
        request = pb.LeaseTimeToLiveRequest(ID=self.lease).SerializeToString()
        try:
            answer = channel.unary("/etcdserverpb.Lease/LeaseTimeToLive", request, _CALL_S)
            if pb.LeaseTimeToLiveResponse.FromString(answer).TTL <= 0:
                raise ValueError("the lease has run out")
            revoke = pb.LeaseRevokeRequest(ID=self.lease).SerializeToString()
            channel.unary("/etcdserverpb.Lease/LeaseRevoke", revoke, _CALL_S)
        except (RpcError, ValueError) as error:
            self.fail("lease", error)

    def _missing(self) -> set[int]:
        return self.put_at.keys() - self.seen_at.keys()

    def _await_events(self, watch: threading.Thread) -> None:
        until = time.monotonic() + _EVENTS_S
        while self._missing() and watch.is_alive() and time.monotonic() < until:
            watch.join(0.01)

    def _result(self) -> dict[str, Any]:
        """Of what has happened since the last one."""
        lags = [(at, self.seen_at[revision]) for revision, at in self.put_at.items() if revision in self.seen_at]
        waits = {"puts": self.puts, "gets": self.gets, "events": lags}
        found = {
            "puts": summarize(self.puts),
            "gets": summarize(self.gets),
            "events": len(lags),
            "events_missing": len(self._missing()),
            "event_lag_ms_max": round(max(map(_seconds, lags), default=0.0) * 1e3, 2),
            "renewals": self.renewals,
            "errors": self.errors,
            "longest": {what: max(each, key=_seconds) for what, each in waits.items() if each},
        }
        self.errors, self.puts, self.gets = [], [], []
        self.put_at, self.seen_at = {}, {}
        return found


if __name__ == "__main__":
    print(json.dumps(Victim(sys.argv[1]).run()), flush=True)
