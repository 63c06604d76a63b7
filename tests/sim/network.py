"""Messages between members: they get lost, come late, twice, or in another order; directions of links can be cut.

In some runs they go by the streams and POSTs of etcdz.peer instead, see streams.py.
"""

from collections.abc import Callable

from etcdz.raft.codec import decode_message, encode_message
from etcdz.raft.messages import MESSAGE_NAMES, MSG_SNAP, Message
from tests.sim.streams import Link
from tests.sim.world import World

LATE_MS = 4000


class Network:
    """
    deliver      (message) -> whether there was anybody to take it
    snapshot_done  (sender, its life, peer, failed): a snapshot's fate, which a transport tells its member
    unreachable    (sender, its life, peer): something was lost, which it tells as well
    """

    def __init__(
        self,
        world: World,
        deliver: Callable[[Message], bool],
        life_of: Callable[[int], int],
        snapshot_done: Callable[[int, int, int, bool], None],
        unreachable: Callable[[int, int, int], None],
    ) -> None:
        self.world = world
        self.cut: set[tuple[int, int]] = set()  # (from, to)
        self.calm = False
        self._deliver = deliver
        self._life_of = life_of
        self._snapshot_done = snapshot_done
        self._unreachable = unreachable
        self._links: dict[tuple[int, int], tuple[int, Link]] = {}  # with the life of the sender

    def send(self, m: Message) -> None:
        world, plan = self.world, self.world.plan
        life = self._life_of(m.from_)
        if plan.as_streams and m.type != MSG_SNAP:
            self._send_by_link(m, life)
            return
        if not self.calm and ((m.from_, m.to) in self.cut or world.chance(plan.drop)):
            self._lose(m, life)
            return
        self._send_once(m, life)
        if not self.calm and world.chance(plan.duplicate):
            world.counts["messages twice"] += 1
            self._send_once(m, life)

    def _send_by_link(self, m: Message, life: int) -> None:
        """NB: what a follower passes on for another member goes by that one's link: links differ in nothing else."""
        ends = (m.from_, m.to)
        known, link = self._links.get(ends, (0, None))
        if link is None or known != life:
            link = self._link(ends, life)
            self._links[ends] = (life, link)
        if not self.calm and self.world.chance(self.world.plan.drop):
            link.break_one()
        link.send(m)

    def _link(self, ends: tuple[int, int], life: int) -> Link:
        return Link(
            self.world,
            ends,
            self._deliver,
            lambda: not self.calm and ends in self.cut,
            self._delay_ms,
            self._life_of,
            lambda: self.world.after(1, self._unreachable, ends[0], life, ends[1]),
        )

    def _delay_ms(self) -> int:
        return self.world.up_to(5 if self.calm else self.world.plan.delay_ms)

    def _send_once(self, m: Message, life: int) -> None:
        world, plan = self.world, self.world.plan
        delay = self._delay_ms()
        if not self.calm and world.chance(plan.late):
            world.counts["messages late"] += 1
            delay += world.up_to(LATE_MS)
        world.after(delay, self._arrive, encode_message(m) if plan.as_bytes else m, life)

    def _arrive(self, sent: Message | bytes, life: int) -> None:
        m = decode_message(sent) if isinstance(sent, bytes) else sent
        if (not self.calm and (m.from_, m.to) in self.cut) or not self._deliver(m):
            self._lose(m, life)
        elif m.type == MSG_SNAP:
            self._snapshot_done(m.from_, life, m.to, False)

    def _lose(self, m: Message, life: int) -> None:
        self.world.counts["messages lost"] += 1
        if self.world.traced:
            self.world.say(f"lost {MESSAGE_NAMES[m.type]} {m.from_}->{m.to}")
        if m.type == MSG_SNAP:
            self.world.after(self.world.up_to(50), self._snapshot_done, m.from_, life, m.to, True)
