"""What an actor can be asked while it lives, and how it counts what it does."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from actors.runtime.loop import Actor
from actors.runtime.mailbox import Link
from etcdz.api.methods import RANGE
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Applied, Flush, Heartbeat, Propose, Query, QueryReply, Read, decode_frame, encode_frame
from etcdz.proto import etcdserverpb as pb
from etcdz.telemetry import logs

PEER = 5


class Echo(Actor):
    """Sends back what it gets."""

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.handlers |= dict.fromkeys((Applied, Propose, Read), lambda message: self.links.send("peer", message))

    def summary(self) -> dict[str, Any]:
        return {"state": "of the heartbeat"}

    def details(self) -> dict[str, Any]:
        return {"more": "on request"}


class Bench:
    """One actor, its supervisor and one peer, in this process: nothing happens but by its turns."""

    def __init__(self, directory: Path) -> None:
        self.context: zmq.Context[Any] = zmq.Context()
        self.supervisor = self.context.socket(zmq.PULL)
        self.supervisor.bind(f"ipc://{directory}/supervisor")
        boot = Boot("echo", "echo", 0, 7, "", f"ipc://{directory}/echo.7", f"ipc://{directory}/supervisor", [], {}, {})
        self.actor = Echo(boot)
        self.peer = self.context.socket(zmq.PULL)
        self.peer.bind(f"ipc://{directory}/peer")
        self.actor.take_roster([("peer", "peer", 0, PEER, f"ipc://{directory}/peer")])
        self.link = Link(self.context, boot.endpoint, PEER)
        self.ids = 0

    def turn(self, *messages: Any) -> None:
        """The actor takes these, as one frame."""
        before = sum(self.actor.statistics.received.values())
        self.link.send(encode_frame(messages))
        while sum(self.actor.statistics.received.values()) < before + len(messages):
            self.actor.turn()

    def ask(self, verb: str, **args: Any) -> QueryReply:
        self.ids += 1
        self.turn(Query(self.ids, verb, args))
        return self.hear(lambda told: isinstance(told, QueryReply) and told.id == self.ids)

    def beat(self) -> Heartbeat:
        """A heartbeat of now. One that a turn has sent may be on its way still: it knows of fewer turns."""
        self.actor.heartbeat_now()
        return self.hear(lambda beat: isinstance(beat, Heartbeat) and beat.batches == self.actor.batches)

    def hear(self, wanted: Callable[[Any], bool]) -> Any:
        while True:
            assert self.supervisor.poll(60_000)
            for message in decode_frame(self.supervisor.recv()):
                if wanted(message):
                    return message

    def close(self) -> None:
        self.link.close(0)
        self.actor.close(0)
        self.context.destroy(linger=0)


@pytest.fixture
def bench() -> Iterator[Bench]:
    directory = Path(tempfile.mkdtemp(prefix="etcdz-ask-"))
    found = Bench(directory)
    level = logs.level()
    yield found
    logs.set_level(level)
    found.close()
    shutil.rmtree(directory)


def test_inspect_tells_state_links_and_statistics(bench: Bench) -> None:
    bench.turn(Applied(1, 1))
    told = bench.ask("inspect")
    assert (told.name, told.incarnation, told.ok) == ("echo", 7, True)
    assert told.result["summary"] == {"state": "of the heartbeat"}
    assert told.result["details"] == {"more": "on request"}
    assert told.result["links"] == [{"name": "peer", "incarnation": PEER, "frames_sent": 1, "frames_taken": 2}]


@pytest.mark.parametrize(
    ("verb", "args", "why"),
    [
        ("dance", {}, "unknown question 'dance'"),
        ("loglevel", {}, "level"),
        ("loglevel", {"level": "loud"}, "unknown level 'loud'"),
        ("loglevel", {"level": "info", "for_s": -1}, "must not be negative"),
        ("delay", {"ms": 1e9}, "between 0 and"),
        ("delay", {"ms": "x"}, "could not convert"),
        ("watched", {}, "nothing is watched"),
    ],
)
def test_a_wrong_question_is_refused_and_ends_nothing(bench: Bench, verb: str, args: dict[str, Any], why: str) -> None:
    told = bench.ask(verb, **args)
    assert not told.ok and why in told.result
    assert bench.ask("inspect").ok


def test_a_log_level_for_a_time_ends_with_it(bench: Bench) -> None:
    began = time.monotonic()
    assert bench.ask("loglevel", level="debug", for_s=60).result == {"before": "info", "level": "debug"}
    assert logs.level() == "debug"
    bench.actor.queries.expire(began + 59)
    assert logs.level() == "debug"
    bench.actor.queries.expire(time.monotonic() + 61)
    assert logs.level() == "info"


def test_a_delay_shows_in_the_age_of_messages_and_goes_away_without_a_trace(bench: Bench) -> None:
    assert bench.ask("delay", ms=40).ok
    bench.turn(Applied(1, 1))
    statistics = bench.beat().statistics
    assert statistics["oldest_us"] >= 40_000
    assert statistics["turn_us"]["max"] >= 40_000
    assert bench.ask("delay", ms=0).ok
    assert bench.actor.taps == ()


def test_a_delay_for_a_time_ends_with_it(bench: Bench) -> None:
    assert bench.ask("delay", ms=1, for_s=60).ok
    bench.actor.queries.expire(time.monotonic() + 61)
    assert bench.actor.taps == ()


def test_watched_keys_come_without_values_and_only_with_the_prefix(bench: Bench) -> None:
    assert bench.ask("watch", key_prefix="foo/", rate=100).ok
    put = pb.InternalRaftRequest(put=pb.PutRequest(key=b"foo/1", value=b"secret"))
    other = pb.InternalRaftRequest(put=pb.PutRequest(key=b"bar", value=b"secret"))
    ranged = pb.RangeRequest(key=b"a", range_end=b"z")
    bench.turn(
        Propose(0, [(1, put.SerializeToString()), (2, other.SerializeToString())]),
        Read(0, [(3, RANGE, ranged.SerializeToString(), 0)]),
        Propose(0, [(2, other.SerializeToString())]),
    )
    result = bench.ask("watched").result
    assert [(note["type"], note["keys"]) for note in result["notes"]] == [
        ("Propose", [["put", "foo/1", ""]]),
        ("Read", [["range", "a", "z"]]),
    ]
    assert bench.ask("watched", after=result["notes"][0]["seq"]).result["notes"] == result["notes"][1:]
    bench.actor.queries.expire(time.monotonic() + 3600)
    assert bench.actor.taps == (), "a watch that is not read ends"


def test_a_watch_notes_no_more_than_its_rate(bench: Bench) -> None:
    assert bench.ask("watch", key_prefix="", rate=3).ok
    put = pb.InternalRaftRequest(put=pb.PutRequest(key=b"k")).SerializeToString()
    bench.turn(*[Propose(0, [(1, put)])] * 50)
    result = bench.ask("watched").result
    assert len(result["notes"]) + result["dropped"] == 50
    assert 3 <= len(result["notes"]) <= 6, "fifty turns of a machine may fall into two seconds"


def test_a_heartbeat_counts_messages_by_type_and_frames_by_link(bench: Bench) -> None:
    bench.turn(Applied(1, 1), Applied(2, 2))
    bench.turn(Applied(3, 3))
    beat = bench.beat()
    statistics = beat.statistics
    assert statistics["received"] == {"Applied": 3} and statistics["sent"] == {"Applied": 3}
    assert beat.handled == 3
    assert statistics["frames_in"] == {PEER: 2} and statistics["frames_out"] == {"peer": 2}
    assert statistics["turn_us"]["count"] == 2, "a turn without frames is none"
    assert 0 < statistics["turn_us"]["p50"] <= statistics["turn_us"]["p99"] <= statistics["turn_us"]["max"]


def test_depth_and_age_are_the_maximum_of_the_last_intervals(bench: Bench) -> None:
    for _ in range(3):
        bench.link.send(encode_frame([Applied(1, 1)]))
    bench.turn(Applied(1, 1))
    beats = [bench.beat().statistics for _ in range(5)]
    depths = [beat["mailbox_depth"] for beat in beats]
    assert depths in ([4, 4, 4, 4, 0], [4, 4, 4, 0, 0]), "the turn itself may have sent a heartbeat that was due"
    assert beats[0]["oldest_us"] > 0 and beats[-1]["oldest_us"] == 0


def test_the_last_error_of_the_log_is_told(bench: Bench) -> None:
    bench.actor.log.error("the disk is gone")
    assert bench.beat().statistics["last_error"]["msg"] == "the disk is gone"


def test_a_message_that_kills_is_in_the_recorder_before_it_is_handled(bench: Bench) -> None:
    with pytest.raises(KeyError):
        bench.turn(Flush(1))
    assert bench.actor.recorder.last_tag() == 34
