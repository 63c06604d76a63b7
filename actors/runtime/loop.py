"""The one actor loop: drain the mailbox, work, send one frame per destination.

Everything an actor does happens between two polls of its mailbox; it never waits elsewhere. Under load a turn holds
many messages, at rest one; there is no timer that collects. An exception that a handler does not expect ends the
process: `run_actor` reports it and exits. (The listener's event loop hands such exceptions on to it.)
"""

import gc
import signal
import time
import traceback
from collections.abc import Callable
from typing import Any, ClassVar, Final

import zmq

from actors.runtime.link import Links, Peer
from actors.runtime.mailbox import Mailbox
from actors.runtime.queries import Queries
from actors.runtime.statistics import Statistics
from actors.runtime.tap import Tap
from etcdz import limits
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import (
    LAST_FIGURES,
    Fault,
    Heartbeat,
    Query,
    QueryReply,
    Ready,
    Roster,
    Stop,
    Unknown,
    decode_frame,
    encode_frame,
)
from etcdz.telemetry import logs
from etcdz.telemetry.flight import Recorder, describe, last_words

LAST_LINES_S: Final = 1.0
"""How long the end of an actor waits for the outputs of its log; the flight recorder has its lines all the same."""


class FatalError(Exception):
    """A restart cannot help (corrupt file, newer format, wrong permissions): the member stops with this reason."""


class Actor:
    """Base of all actors: mailbox, links, heartbeat. Subclasses fill `handlers` and override the `on_` hooks."""

    fatal_errors: ClassVar[dict[type[Exception], str]] = {}
    """Errors that no restart can make good, wherever they are raised -> what was being done. They end the member, as
    FatalError does."""

    deferrable: ClassVar[tuple[str, ...]] = ()
    """Kinds of frames that it need not always be woken for; see actors/runtime/mailbox.py."""

    @classmethod
    def fatal_reason(cls, error: Exception) -> str | None:
        """Why the member must end because of this error; None: a new incarnation may go on."""
        if isinstance(error, FatalError):
            return str(error)
        failed = next((what for kind, what in cls.fatal_errors.items() if isinstance(error, kind)), None)
        return None if failed is None else f"{failed}: {error}"

    def __init__(self, boot: Boot) -> None:
        self.boot = boot
        self.log = logs.get(boot.name)
        self.context: zmq.Context[Any] = zmq.Context()
        self.mailbox = Mailbox(self.context, boot.endpoint, self.deferrable)
        self.links = Links(self.context, boot.incarnation, boot.supervisor)
        self.handlers: dict[type[Any], Callable[[Any], None]] = {
            Roster: self._on_roster,
            Stop: self._on_stop,
            Query: self._on_ask,
            Unknown: self._on_unknown,
        }
        self.recorder = Recorder(boot.flight)
        self.statistics = Statistics()
        self.taps: tuple[Tap, ...] = ()
        """What looks on; see actors/runtime/tap.py."""
        self.queries = Queries(self)
        self.batches = 0
        self.busy_ns = 0
        self._next_heartbeat = 0.0
        self._received_before = 0
        self._unknown: set[int] = set()
        """Tags of messages that were skipped."""
        self.stopping = False
        """Set by Stop and by SIGTERM; the turn under way is finished, then `on_stop` runs."""

    # ---- hooks ----

    def gives_up(self, error: Exception) -> bool:
        """Whether this error comes of work that is given up when it has ended some processes."""
        return False

    def on_start(self) -> dict[str, Any]:
        """Open files, load state. return what Ready tells the supervisor."""
        return {}

    def on_peer_up(self, peer: Peer) -> None:
        """A new incarnation is alive: resync with it."""

    def on_peer_down(self, peer: Peer) -> None:
        """An incarnation is gone."""

    def on_turn_end(self) -> None:
        """All messages of this turn are handled: do what was batched, before links are flushed."""

    def next_deadline(self) -> float | None:
        """When `on_deadline` wants to run, on the monotonic clock in seconds."""
        return None

    def on_deadline(self, now: float) -> None:
        """The deadline has come."""

    def on_stop(self) -> None:
        """Last work before a graceful end."""

    def summary(self) -> dict[str, Any]:
        """State that every heartbeat carries and the monitor shows; small and cheap."""
        return {}

    def details(self) -> dict[str, Any]:
        """State for `inspect`, as large as it is useful. NB: no values of users' keys."""
        return {}

    def metrics(self) -> dict[str, Any]:
        """Its share of /metrics, by the names of figures in etcdz.telemetry.families; asked for once per scrape."""
        return {}

    def tell_last_figures(self) -> None:
        """So that what it has counted stays in the member's sums when it is gone."""
        try:
            figures = self.metrics()
        except Exception as error:
            self.log.error("the last figures could not be told", error=repr(error))
            return
        self.links.tell_supervisor(QueryReply(self.boot.name, self.boot.incarnation, LAST_FIGURES, True, figures))

    # ---- supervision ----

    def _on_roster(self, roster: Roster) -> None:
        self.take_roster(roster.children)

    def take_roster(self, children: list[tuple[str, str, int, int, str]]) -> None:
        """Connect to the incarnations that are new, let go of those that are gone. children: as in Roster"""
        new, gone = self.links.update(children, self.boot.name)
        for peer in gone:
            self.mailbox.forget(peer.incarnation)
            self.on_peer_down(peer)
        for peer in new:
            self.on_peer_up(peer)
            self.mailbox.admit(peer.incarnation)

    def _on_stop(self, stop: Stop) -> None:
        self.stopping = True

    def _on_ask(self, ask: Query) -> None:
        ok, result = self.queries.answer(ask.verb, ask.args)
        self.links.tell_supervisor(QueryReply(self.boot.name, self.boot.incarnation, ask.id, ok, result))

    def _on_unknown(self, message: Unknown) -> None:
        """Newer code has a message more: skipped, counted by the statistics, and logged once."""
        if message.tag not in self._unknown:
            self._unknown.add(message.tag)
            self.log.error("skipping messages with an unknown tag: the sender's code is newer", tag=message.tag)

    def ready(self, info: dict[str, Any]) -> None:
        """Tell the supervisor that init has succeeded."""
        self.links.tell_supervisor(Ready(self.boot.name, self.boot.incarnation, info))

    def heartbeat(self, now: float) -> None:
        """Send a heartbeat if one is due. Called from inside the loop, so that it vouches for the loop."""
        if now >= self._next_heartbeat:
            received = sum(self.statistics.received.values())
            is_idle = received == self._received_before
            # NB: those of all idle actors at once, so that the supervisor wakes up for all of them together.
            idle_s = limits.HEARTBEAT_IDLE_S
            self._next_heartbeat = (now // idle_s + 1) * idle_s if is_idle else now + limits.HEARTBEAT_S
            self._received_before = received
            self.queries.expire(now)
            beat = Heartbeat(
                self.boot.name,
                self.boot.incarnation,
                received,
                self.batches,
                self.busy_ns // 1000,
                self.recorder.last_tag(),
                self.summary(),
                self.statistics.show(self.mailbox, self.links),
            )
            self.links.tell_supervisor(beat)
            self.statistics.begin_interval(now)

    def heartbeat_now(self) -> None:
        """One that is not due yet, because the supervisor should know."""
        self._next_heartbeat = 0.0
        self.heartbeat(time.monotonic())

    def handle_frame(self, frame: bytes | memoryview, now_ns: int) -> None:
        """Run the handlers of all messages of a frame."""
        try:
            messages = decode_frame(frame)
        except Exception:
            self.recorder.note(frame, [], now_ns)
            raise
        self.recorder.note(frame, messages, now_ns)
        handlers, received = self.handlers, self.statistics.received
        for message in messages:
            kind = type(message)
            received[kind] += 1
            handlers[kind](message)

    def drain(self, now_ns: int) -> int:
        """Handle what lies in the mailbox, at most a turn's worth. return how many frames that was.

        now_ns    on the monotonic clock, from which the age of frames counts
        """
        taps = self.taps
        if taps:
            for tap in taps:
                tap.before_take()
            now_ns = time.monotonic_ns()
        frames = self.mailbox.take(limits.FRAMES_PER_TURN)
        if not frames:
            return 0
        if taps:
            for tap in taps:
                tap.on_frames(frames)
        statistics = self.statistics
        if len(frames) > statistics.depth_max:
            statistics.depth_max = len(frames)
        age_ns = now_ns - self.mailbox.oldest_ns
        if age_ns > statistics.oldest_ns_max:
            statistics.oldest_ns_max = age_ns
        handle = self.handle_frame
        for frame in frames:
            handle(frame, now_ns)
        return len(frames)

    # ---- the loop ----

    def turn(self) -> None:
        """Wait for messages or a deadline, then one turn."""
        wake = self._next_heartbeat
        deadline = self.next_deadline()
        if deadline is not None and deadline < wake:
            wake = deadline
        self.mailbox.wait(max(0.0, wake - time.monotonic()))
        began = time.monotonic_ns()
        frames = self.drain(began)
        now = began / 1e9
        if deadline is not None and now >= deadline:
            self.on_deadline(now)
        self.on_turn_end()
        if now >= self._next_heartbeat:
            self.heartbeat(now)
        self.links.flush()
        self.count_turn(frames, time.monotonic_ns() - began)

    def count_turn(self, frames: int, took_ns: int) -> None:
        """A turn is over. One without frames says nothing about how long messages take."""
        self.batches += 1
        self.busy_ns += took_ns
        if frames:
            self.statistics.turns.add(took_ns)

    def loop(self) -> None:
        """Until told to stop."""
        while not self.stopping:
            self.turn()

    def start(self) -> None:
        """From a fresh process to Ready."""
        info = self.on_start()
        settle_garbage_collector()
        self.ready(info)
        self.take_roster(self.boot.roster)

    def close(self, linger_ms: int) -> None:
        """Send what waits, and let go of all sockets, giving it linger_ms to leave."""
        self.links.flush()
        self.links.close(linger_ms)
        self.mailbox.close()
        self.context.term()


def settle_garbage_collector() -> None:
    """What is allocated by now stays for good: keep it out of collections, and collect seldom."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def run_actor(make: Callable[[Boot], Actor], boot: Boot) -> int:
    """Run an actor to its end. return the exit status of the process."""
    logs.configure(boot.config, behind=True)
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal's ^C goes to the whole group: the supervisor orders the end
    actor = make(boot)
    logs.tap(actor.recorder.log)

    def stop(signum: int, frame: Any) -> None:
        actor.stopping = True

    signal.signal(signal.SIGTERM, stop)
    try:
        actor.start()
        actor.loop()
        actor.tell_last_figures()
        actor.on_stop()
        actor.close(linger_ms=1000)
    except Exception as error:
        reason = actor.fatal_reason(error)
        if reason is not None:
            _report(actor, fatal=True, reason=reason)
            return 1
        logs.to_stderr(traceback.format_exc())
        actor.recorder.text(last_words(error))
        _report(actor, fatal=False, reason=describe(error), given_up=actor.gives_up(error))
        return 1
    finally:
        logs.flush(LAST_LINES_S)
    return 0


def _report(actor: Actor, fatal: bool, reason: str, given_up: bool = False) -> None:
    """Tell the supervisor why this process ends. What waited for other actors is not sent: it may be half done."""
    actor.log.error("actor failed", actor=actor.boot.name, fatal=fatal, error=reason)
    supervisor = actor.context.socket(zmq.PUSH)
    supervisor.connect(actor.boot.supervisor)
    supervisor.send(encode_frame([Fault(actor.boot.name, actor.boot.incarnation, fatal, reason, given_up)]))
    supervisor.close(linger=500)
    actor.links.close(linger_ms=0)
    actor.mailbox.close()
    actor.context.term()
