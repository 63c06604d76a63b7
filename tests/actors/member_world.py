"""A member in one process: the real raft, wal and backend actors and the real table of calls, on files of their own.

What is not real are links, clock and deaths: frames lie in queues until a random choice delivers them, rosters reach
each actor when they like, and an actor may die at any time and lose what lies in its queue. The order of events comes
from one seed, so that what goes wrong goes wrong again.
"""

import random
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import zmq

from actors.backend.actor import BackendActor
from actors.listener.auth_news import AuthNews
from actors.listener.calls import Calls
from actors.raft.actor import RaftActor
from actors.runtime import link, loop
from actors.runtime.link import Peer
from actors.runtime.loop import Actor
from actors.wal.actor import WalActor
from etcdz.api.methods import PUT, RANGE
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import MESSAGES, Leadership, ReadStates, Refused, Replies
from etcdz.proto import etcdserverpb as pb

ORDER = ("backend", "wal", "raft", "listener-1", "listener-2")
MORTAL = ("backend", "wal", "raft")
STEP_S = 0.004


class Killed(Exception):
    """A process has died in the middle of a call."""


class Answer(NamedTuple):
    code: int
    body: bytes


class Client:
    """The caller of one call."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.answers: list[Answer] = []

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        self.answers.append(Answer(code, body))

    def flush(self) -> None:
        pass


class Listener(Actor):
    """The part of a listener that is not the network."""

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.auth_news = AuthNews()
        self.calls = Calls(self, MemberConfig.from_dict(boot.config))
        self.handlers |= {
            Replies: self.calls.on_replies,
            Refused: self.calls.on_refused,
            ReadStates: self.calls.on_read_states,
            Leadership: self.calls.on_leadership,
        }
        for kind in MESSAGES.values():
            self.handlers.setdefault(kind, lambda message: None)

    def flush_soon(self) -> None:
        pass

    def call_later(self, seconds: float, do: Callable[[], None]) -> None:
        raise NotImplementedError

    def call_soon_from_thread(self, do: Callable[[], None]) -> None:
        raise NotImplementedError

    def on_peer_up(self, peer: Peer) -> None:
        self.calls.on_peer_up(peer)

    def on_turn_end(self) -> None:
        self.calls.end_turn()


MAKE: dict[str, Callable[[Boot], Actor]] = {
    "backend": BackendActor,
    "wal": WalActor,
    "raft": RaftActor,
    "listener": Listener,
}


class NoSocket:
    """What ZeroMQ is asked for here: nothing that matters."""

    def __getattr__(self, name: str) -> Callable[..., "NoSocket"]:
        return lambda *args, **kwargs: NoSocket()


class Inbox:
    """In place of a Mailbox: `World` asks it whose frames may be delivered."""

    def __init__(self, context: Any, endpoint: str, deferrable: Sequence[str] = ()) -> None:
        self.known: set[int] = set()

    def admit(self, sender: int) -> None:
        self.known.add(sender)

    def forget(self, sender: int) -> None:
        self.known.discard(sender)

    def heed(self, kind: str, is_heeded: bool) -> None:
        """What is deferred is delivered at random as well."""


class Process:
    """One incarnation. frames: by sender, what is on its way here. rosters: what the supervisor has sent."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.frames: defaultdict[int, deque[bytes]] = defaultdict(deque)
        self.rosters: deque[list[Any]] = deque()


class World:
    """A member, its clients and what befalls them. `step` does one thing at random.

    peer_actor  makes the actor that carries messages to other members; without one it has none
    """

    def __init__(
        self,
        directory: Path,
        seed: int,
        patch: Any,
        config: MemberConfig | None = None,
        peer_actor: Callable[[Boot], Actor] | None = None,
    ) -> None:
        self.random = random.Random(seed)
        self.now = 1_000.0
        self.directory = directory
        self.config = (config or MemberConfig(data_dir=str(directory), listeners=2, snapshot_count=40)).to_dict()
        self.make = MAKE if peer_actor is None else MAKE | {"peer": peer_actor}
        self.mortal = MORTAL if peer_actor is None else (*MORTAL, "peer")
        self.alive: dict[str, Process] = {}
        self.endpoints: dict[str, Process] = {}
        self.down: list[str] = []
        self.founded: set[str] = set()
        """Names that were alive once in this life."""
        self.incarnations = iter(range(1 << 20, 1 << 21))
        self.clients: list[Client] = []
        self.deaths = 0
        self.stuck: set[tuple[int, str]] = set()
        """(sender, endpoint) of links on which nothing arrives for a while; "" as endpoint: rosters to that sender."""
        self.patch = patch
        self.enter()
        patch.setattr(loop, "Mailbox", Inbox)
        patch.setattr(Actor, "heartbeat", lambda self, now: None)  # there is no supervisor
        patch.setattr(zmq, "Context", NoSocket)
        patch.setattr("time.monotonic", lambda: self.now)
        try:
            for name in ORDER if peer_actor is None else (*ORDER, "peer"):
                self.start(name)
        except BaseException:
            self.close()
            raise

    def enter(self) -> None:
        """Links that are made from now on lead to actors of this member."""
        endpoints = self.endpoints

        class QueueLink:
            def __init__(self, context: Any, endpoint: str, sender: int) -> None:
                self.endpoint, self.sender = endpoint, sender

            def send(self, messages: bytes) -> None:
                if self.endpoint in endpoints:
                    endpoints[self.endpoint].frames[self.sender].append(messages)

            def send_deferred(self, kind: str, messages: bytes) -> None:
                self.send(messages)

            def close(self, linger_ms: int) -> None:
                pass

        self.patch.setattr(link, "Link", QueueLink)

    # ---- life and death ----

    def roster(self) -> list[Any]:
        return [
            (
                name,
                name.split("-")[0],
                process.actor.boot.slot,
                process.actor.boot.incarnation,
                process.actor.boot.endpoint,
            )
            for name, process in self.alive.items()
        ]

    def start(self, name: str) -> None:
        kind, _, number = name.partition("-")
        incarnation = next(self.incarnations)
        endpoint = f"{name}.{incarnation}"
        slot = int(number or 1) - 1
        memory = str(self.directory.parent / f"{name}.memory")
        boot = Boot(
            name, kind, slot, incarnation, "", endpoint, "supervisor", [], self.config, {},
            may_found=name not in self.founded, memory=memory,
        )  # fmt: skip
        actor = self.make[kind](boot)
        try:
            actor.on_start()
        except Killed:
            self.deaths += 1
            self.down.append(name)
            return
        self.founded.add(name)
        process = Process(actor)
        self.alive[name] = self.endpoints[endpoint] = process
        self._publish()

    def kill(self, name: str) -> None:
        process = self.alive.pop(name)
        del self.endpoints[process.actor.boot.endpoint]
        release(process.actor)
        self.deaths += 1
        self.down.append(name)
        self._publish()

    def leave(self, name: str) -> None:
        """It ends in good order, unless something that it does on its way out raises Killed."""
        process = self.alive.pop(name)
        del self.endpoints[process.actor.boot.endpoint]
        try:
            process.actor.on_stop()
        except Killed:
            self.deaths += 1
        release(process.actor)
        self.down.append(name)
        self._publish()

    def _publish(self) -> None:
        for process in self.alive.values():
            process.rosters.append(self.roster())

    def close(self) -> None:
        for process in self.alive.values():
            release(process.actor)

    # ---- what may happen ----

    def put(self) -> None:
        """A client writes a key that nobody else writes."""
        listener = self.random.choice([name for name in self.alive if name.startswith("listener")])
        client = Client(f"key/{self.config['name']}/{len(self.clients)}".encode())
        self.clients.append(client)
        body = pb.PutRequest(key=client.key, value=client.key).SerializeToString()
        actor: Any = self.alive[listener].actor
        actor.calls.begin(client, 1, PUT, body, None)
        self._end_turn(actor)

    def read(self, key: bytes) -> Client:
        """A client reads a key that was written, linearizably."""
        listener = self.random.choice([name for name in self.alive if name.startswith("listener")])
        client = Client(key)
        actor: Any = self.alive[listener].actor
        actor.calls.begin(client, 1, RANGE, pb.RangeRequest(key=key).SerializeToString(), None)
        self._end_turn(actor)
        return client

    def turn(self, name: str) -> bool:
        """One turn of an actor with some of what may be delivered; says whether there was anything."""
        process = self.alive[name]
        actor = process.actor
        busy = False
        own = actor.boot.incarnation
        if process.rosters and (own, "") not in self.stuck:
            actor.take_roster(process.rosters.popleft())
            busy = True
        inbox: Any = actor.mailbox
        for sender in self.random.sample(sorted(inbox.known), len(inbox.known)):
            frames = process.frames[sender]
            if (sender, actor.boot.endpoint) in self.stuck:
                continue
            for _ in range(self.random.randint(0, len(frames))):
                actor.handle_frame(frames.popleft(), 0)
                busy = True
        self._end_turn(actor)
        if actor.stopping:
            self.leave(name)
        return busy

    def _end_turn(self, actor: Actor) -> None:
        deadline = actor.next_deadline()
        if deadline is not None and self.now >= deadline:
            actor.on_deadline(self.now)
        actor.on_turn_end()
        actor.links.flush()

    def step(self, may_kill: bool, may_put: bool) -> None:
        chance = self.random.random()
        if may_kill and chance < 0.005:
            victims = [name for name in self.mortal if name in self.alive]
            if victims:
                self.kill(self.random.choice(victims))
        elif self.down and chance < 0.10:
            self.start(self.down.pop(self.random.randrange(len(self.down))))
        elif chance < 0.13:
            self._hold_up()
        elif may_put and chance < 0.35:
            self.put()
        else:
            self.now += STEP_S
            self.turn(self.random.choice(list(self.alive)))

    def _hold_up(self) -> None:
        """Nothing arrives on some links until the next time, or somebody does not hear who lives for longer still."""
        processes = list(self.alive.values())
        self.stuck = {one for one in self.stuck if one[1] == "" and self.random.random() < 0.85}
        for _ in range(self.random.choice((0, 0, 1, 2))):
            sender, target = self.random.choice(processes), self.random.choice(processes)
            endpoint = "" if self.random.random() < 0.3 else target.actor.boot.endpoint
            self.stuck.add((sender.actor.boot.incarnation, endpoint))

    def run_until(self, done: Callable[[], bool], steps_max: int) -> None:
        """Without further deaths and clients."""
        for _ in range(steps_max):
            if done():
                return
            self.step(may_kill=False, may_put=False)
        raise AssertionError(f"not done after {steps_max} steps: {self.describe()}")

    def unanswered(self) -> list[Client]:
        return [client for client in self.clients if not client.answers]

    def contents(self) -> dict[bytes, int]:
        """Version by key: of what was put once it is 1."""
        actor: Any = self.alive["backend"].actor
        request = pb.RangeRequest(key=b"key/", range_end=b"key0")
        _, _, body = actor.mvcc.range(request)
        return {kv.key: kv.version for kv in pb.RangeResponse.FromString(body).kvs}

    def describe(self) -> str:
        lines = [f"{len(self.unanswered())} of {len(self.clients)} calls unanswered, {self.deaths} deaths"]
        for name, process in self.alive.items():
            waiting = {sender: len(frames) for sender, frames in process.frames.items() if frames}
            lines.append(f"{name}: {process.actor.summary()}, waiting {waiting}")
        return "\n".join(lines)


def release(actor: Any) -> None:
    """Let go of the files, as the end of a process does."""
    if isinstance(actor, WalActor):
        actor.log_file.close()
    elif isinstance(actor, BackendActor):
        actor.store.close()
        actor.ring.close()
