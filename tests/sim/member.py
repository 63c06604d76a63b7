"""One simulated member: the real core, driven as docs/raft.md says, with a slow disk and a slow application.

Writing and applying take time, one batch at a time and in order. What arrives for the disk meanwhile goes into the next
batch together, as in the wal actor. A crash forgets all but the disk.
"""

import zlib
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any, NamedTuple, Protocol

from etcdz.raft import AnyConfChange, Config, ConfState, Entry, Message, RaftError, RawNode, Snapshot
from etcdz.raft.codec import decode_conf_change
from etcdz.raft.describe import describe_message
from etcdz.raft.entry import ENTRY_NORMAL
from etcdz.raft.errors import ConfChangeError, StepPeerNotFound
from etcdz.raft.messages import APPEND_THREAD, APPLY_THREAD, LEADER, ReadState
from etcdz.raft.read_only import READ_LEASE_BASED, READ_SAFE
from tests.sim.disk import Loss, MemberDisk
from tests.sim.plan import TICK_MS
from tests.sim.world import Violation, World

ROUNDS_MAX = 100  # of work that comes of one input


class Watcher(Protocol):
    """Is told what a member did, right after it did it; raises Violation. See checker.py."""

    def on_start(self, member: "Member") -> None: ...
    def on_step(self, member: "Member") -> None: ...
    def on_write(self, member: "Member", m: Message) -> None: ...
    def on_send(self, member: "Member", m: Message) -> None: ...
    def on_apply(self, member: "Member", entry: Entry) -> None: ...
    def on_conf_state(self, member: "Member", index: int) -> None: ...
    def on_restored(self, member: "Member", index: int) -> None: ...
    def on_read(self, member: "Member", state: ReadState) -> None: ...
    def on_tick(self, member: "Member") -> None: ...


class Machine(NamedTuple):
    """The replicated state machine: what was applied, as a number that tells any two histories apart."""

    applied: int = 0
    digest: int = 0

    def after(self, entry: Entry) -> "Machine":
        return Machine(entry.index, zlib.crc32(entry.encoded, self.digest))

    def to_bytes(self) -> bytes:
        return self.applied.to_bytes(8, "big") + self.digest.to_bytes(4, "big")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Machine":
        return cls(int.from_bytes(data[:8], "big"), int.from_bytes(data[8:], "big"))


class Worker:
    """Does batches, one at a time: `work` is called when a batch is done."""

    def __init__(self, world: World, longest_ms: int, work: Callable[[list[Message]], None], batch_max: int) -> None:
        self.world = world
        self.longest_ms = longest_ms
        self.waiting: list[Message] = []
        self.under_way: list[Message] = []
        self._work = work
        self._batch_max = batch_max
        self._life = 0

    def add(self, m: Message) -> None:
        self.waiting.append(m)
        self._begin()

    def _begin(self) -> None:
        if self.waiting and not self.under_way:
            self.under_way = self.waiting[: self._batch_max]
            del self.waiting[: self._batch_max]
            self.world.after(self.world.up_to(self.longest_ms), self._done, self._life)

    def _done(self, life: int) -> None:
        if life == self._life:
            batch, self.under_way = self.under_way, []
            self._work(batch)
            self._begin()

    def stop(self) -> None:
        self.waiting, self.under_way = [], []
        self._life += 1


class Silent:
    """A logger that has no formatting to do."""

    def debug(self, text: str) -> None:
        pass

    info = warning = error = fatal = debug


class Traced:
    def __init__(self, world: World, node: int) -> None:
        self._world, self._node = world, node

    def debug(self, text: str) -> None:
        self._world.say(f"  {self._node} | {text}")

    info = warning = error = fatal = debug


class Member:
    """life: number of the present incarnation; what was put off by an earlier one does not happen."""

    def __init__(self, world: World, node: int, send: Callable[[Message], None], watcher: Watcher) -> None:
        plan = world.plan
        self.id = node
        self.world = world
        self.watcher = watcher
        self.raw: RawNode | None = None
        self.life = 0
        self.retired = False  # applied its own removal and stopped
        self.disk = MemberDisk(lambda: (self.machine.applied, self.conf_state, self.machine.to_bytes()))
        self.writer = Worker(world, plan.disk_ms, self._written, 1 << 30)
        self.applier = Worker(world, plan.apply_ms, self._applied, 1)
        self.tick_ms = self.pace()
        self.paused_until = 0
        self.ticks = 0
        self._send = send
        self._lazy = False
        self._forget()

    def pace(self) -> int:
        skew = self.world.plan.skew
        return TICK_MS + (self.world.random.randint(-skew, skew) if skew else 0)

    def _forget(self) -> None:
        self.machine = Machine()
        self.conf_state = ConfState()

    @property
    def up(self) -> bool:
        return self.raw is not None

    @property
    def leads(self) -> bool:
        return self.raw is not None and self.raw.raft.role == LEADER

    # Living

    def start(self, first_peers: list[int] = []) -> None:  # noqa: B006  # only read
        """Begin with what is on disk. first_peers: begin a new cluster's log with these."""
        self.life += 1
        base = Snapshot()
        if self.life > 1:
            base = self.disk.recover()
            self.machine = Machine.from_bytes(base.data)
            self.conf_state = base.conf_state
        self.raw = RawNode(self._config(base.index))
        if first_peers:
            self.raw.bootstrap([(peer, b"") for peer in first_peers])
        self.watcher.on_start(self)
        if first_peers:
            self._write_first()
        self.world.after(self.world.up_to(self.tick_ms), self._tick, self.life)
        self._follow()

    def _write_first(self) -> None:
        """What a first member promises by being configured is durable before time begins."""
        assert self.raw is not None
        for m in self.raw.ready().messages:
            if m.to == APPEND_THREAD:
                self.disk.write([m])
                self._answer(m)
            else:
                self._take(m)

    def _config(self, applied: int) -> Config:
        plan = self.world.plan
        options: dict[str, Any] = dict(plan.options)
        return Config(
            id=self.id,
            storage=self.disk.storage,
            random=Random(plan.seed * 1000 + self.id * 100 + self.life).randrange,
            applied=applied,
            async_storage_writes=True,
            read_only=READ_LEASE_BASED if plan.lease else READ_SAFE,
            logger=Traced(self.world, self.id) if self.world.traced else Silent(),
            **options,
        )

    def crash(self, power_loss: bool) -> Loss:
        if self.world.traced:
            self.world.say(f"{self.id} {'loses power' if power_loss else 'is killed'}")
        loss = self.disk.crash(self.world.random, self.writer.under_way, power_loss)
        waiting = sum(len(m.entries) for m in self.writer.waiting)
        self.raw = None
        self.writer.stop()
        self.applier.stop()
        self._forget()
        return loss._replace(entries=loss.entries + waiting)

    # Inputs

    def do(self, what: Callable[[RawNode], object]) -> bool:
        """Put something into the core and do the work that comes of it; False if the core refused, or there is none."""
        if self.raw is None:
            return False
        taken = True
        try:
            what(self.raw)
        except RaftError:
            taken = False
        self._stepped()
        return taken

    def _stepped(self) -> None:
        self.watcher.on_step(self)
        if self._lazy or self.world.chance(self.world.plan.lazy):
            if not self._lazy:
                self._lazy = True
                self.world.after(self.world.up_to(80), self._catch_up, self.life)
            return
        self._follow()

    def _catch_up(self, life: int) -> None:
        self._lazy = False
        if life == self.life and self.raw is not None:
            self._follow()

    def receive(self, m: Message) -> bool:
        if self.raw is None:
            return False
        if self.world.now < self.paused_until:
            self.world.after(self.paused_until - self.world.now, self._receive_later, m, self.life)
            return True
        if self.world.traced:
            self.world.say(f"{self.id} <- {describe_message(m)}")
        self.do(lambda raw: raw.step(m))
        return True

    def _receive_later(self, m: Message, life: int) -> None:
        if life == self.life and self.raw is not None:
            self.receive(m)

    def _tick(self, life: int) -> None:
        if life != self.life or self.raw is None:
            return
        self.world.after(self.tick_ms, self._tick, life)
        if self.world.now >= self.paused_until:
            self.ticks += 1
            self.raw.tick()
            self.watcher.on_tick(self)
            self._stepped()

    # Work

    def _follow(self) -> None:
        raw = self.raw
        assert raw is not None
        rounds = 0
        while raw.has_ready():
            rounds += 1
            if rounds > ROUNDS_MAX:
                raise Violation("liveness", f"{self.id} has work without end")
            ready = raw.ready()
            for state in ready.read_states:
                self.watcher.on_read(self, state)
            for m in ready.messages:
                self._take(m)

    def _take(self, m: Message) -> None:
        if m.to == APPEND_THREAD:
            self.watcher.on_write(self, m)
            self.writer.add(m)
        elif m.to == APPLY_THREAD:
            self.applier.add(m)
        else:
            self.watcher.on_send(self, m)
            self._send(m)

    def _written(self, batch: list[Message]) -> None:
        self.disk.write(batch)
        for m in batch:
            if m.snapshot is not None:
                self._restore(m.snapshot)
            self._answer(m)
        self._follow()

    def _answer(self, m: Message) -> None:
        """Deliver the responses of a storage message whose work is done."""
        assert self.raw is not None
        for response in m.responses:
            if response.to != self.id:
                self.watcher.on_send(self, response)
                self._send(response)
                continue
            self.watcher.on_send(self, response)
            # A leader that was removed meanwhile is no peer of its own any more.
            with suppress(StepPeerNotFound):
                self.raw.step(response)
            self.watcher.on_step(self)

    def _restore(self, snapshot: Snapshot) -> None:
        self.machine = Machine.from_bytes(snapshot.data)
        self.conf_state = snapshot.conf_state
        self.world.counts["snapshots installed"] += 1
        self.watcher.on_restored(self, snapshot.index)

    def _applied(self, batch: list[Message]) -> None:
        assert self.raw is not None
        for m in batch:
            for entry in m.entries:
                # NB: the core has taken the configuration of a snapshot already when it comes; what was handed out
                # before it must not change that one.
                if entry.index >= self.raw.raft.log.first_index():
                    self._apply(entry)
            for response in m.responses:
                self.raw.step(response)
                self.watcher.on_step(self)
        self._follow()
        if self.world.plan.leave_at_once and self._is_removed():
            self.retired = True
            self.crash(power_loss=False)

    def _apply(self, entry: Entry) -> None:
        self.watcher.on_apply(self, entry)
        self.machine = self.machine.after(entry)
        if entry.type != ENTRY_NORMAL:
            self._apply_change(entry.index, decode_conf_change(entry.type, entry.data))

    def _apply_change(self, index: int, change: AnyConfChange) -> None:
        assert self.raw is not None
        try:
            self.conf_state = self.raw.apply_conf_change(change)
        except ConfChangeError as error:
            # Every member refuses the same: the watcher compares what comes of it.
            self.world.counts["configuration changes refused"] += 1
            if self.world.traced:
                self.world.say(f"{self.id} refuses change at {index}: {error}")
        self.watcher.on_conf_state(self, index)
        self.watcher.on_step(self)

    def _is_removed(self) -> bool:
        state = self.conf_state
        known = (*state.voters, *state.learners, *state.voters_outgoing)
        return bool(state.voters) and self.id not in known

    def compact(self) -> bool:
        """Put what is applied into a snapshot and forget the log behind it."""
        index = self.machine.applied
        if self.raw is None or index < self.world.plan.voters or index < self.raw.raft.log.first_index():
            return False
        return self.disk.compact(index, self.conf_state, self.machine.to_bytes())
