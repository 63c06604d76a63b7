"""A whole cluster: members, network, and what goes wrong with them (faults) and is asked of them (clients)."""

from collections.abc import Callable
from itertools import count

from etcdz.raft import ConfChange, ConfChangeSingle, ConfChangeV2, ConfState, Message, RawNode
from etcdz.raft.describe import describe_conf_change
from etcdz.raft.messages import (
    CONF_CHANGE_ADD_LEARNER_NODE,
    CONF_CHANGE_ADD_NODE,
    CONF_CHANGE_REMOVE_NODE,
    TRANSITION_AUTO,
    TRANSITION_JOINT_EXPLICIT,
    TRANSITION_JOINT_IMPLICIT,
    AnyConfChange,
)
from tests.sim.checker import Checker, has_quorum
from tests.sim.member import Member
from tests.sim.network import Network
from tests.sim.plan import ACTIONS, TICK_MS
from tests.sim.world import World


class Cluster:
    def __init__(self, world: World) -> None:
        plan = world.plan
        self.world = world
        self.members: dict[int, Member] = {}
        self.checker = Checker(world, self.members)
        self.network = Network(
            world, self._deliver, lambda node: self.members[node].life, self._snapshot_done, self._unreachable
        )
        self.numbers = count(1)
        first = list(range(1, plan.voters + 1))
        for node in range(1, plan.size + 1):
            self.members[node] = Member(world, node, self.network.send, self.checker)
        for node in first:
            self.members[node].start(first)

    def _deliver(self, m: Message) -> bool:
        member = self.members[m.to]
        if not member.up:
            return False
        self.checker.on_receive(member, m)
        taken = member.receive(m)
        self.checker.on_received(member, m)
        return taken

    def _snapshot_done(self, sender: int, life: int, peer: int, failed: bool) -> None:
        member = self.members[sender]
        if member.life == life:
            member.do(lambda raw: raw.report_snapshot(peer, failed=failed))

    def _unreachable(self, sender: int, life: int, peer: int) -> None:
        member = self.members[sender]
        if member.life == life:
            member.do(lambda raw: raw.report_unreachable(peer))

    # Who is there

    def up(self) -> list[Member]:
        return [member for member in self.members.values() if member.up]

    def any_up(self) -> Member | None:
        up = self.up()
        return self.world.random.choice(up) if up else None

    def leader(self) -> Member | None:
        """The one of the highest term."""
        leaders = [member for member in self.up() if member.leads]
        return max(leaders, key=lambda member: member.raw.raft.term if member.raw else 0, default=None)

    def newest(self) -> Member:
        """Who has applied most."""
        return max(self.members.values(), key=lambda member: member.machine.applied)

    def conf_state(self) -> ConfState:
        """The newest configuration that anybody has applied."""
        index = max(self.checker.conf_states, default=0)
        if index:
            return self.checker.conf_states[index]
        return ConfState(tuple(range(1, self.world.plan.voters + 1)))

    # Clients

    def write(self, member: Member) -> bytes | None:
        """Propose some entries at member; the last of them if it took them."""
        random = self.world.random
        sizes = [random.choice((0, 0, 30, 200)) for _ in range(random.choice((1, 1, 2, 4)))]
        payloads = [b"%d-%d " % (member.id, next(self.numbers)) + bytes(size) for size in sizes]
        taken = member.do(lambda raw: raw.propose_batch(payloads))
        self.world.counts["writes"] += taken
        return payloads[-1] if taken else None

    def read(self, member: Member) -> bytes:
        context = b"read %d" % next(self.numbers)
        self.checker.begin_read(context)
        member.do(lambda raw: raw.read_index(context))
        return context

    def clients_write(self, until_ms: int) -> None:
        member = (self.leader() if self.world.chance(700) else None) or self.any_up()
        if member is not None:
            self.write(member)
        if self.world.now < until_ms:
            self.world.after(self.world.random.randint(1, 2 * self.world.plan.write_ms), self.clients_write, until_ms)

    def clients_read(self, until_ms: int) -> None:
        """From every member that takes itself for the leader, and from anybody."""
        random = self.world.random
        for member in self.up():
            if member.leads and random.random() < 0.7:
                self.read(member)
        member = self.any_up()
        if member is not None:
            self.read(member)
        if self.world.now < until_ms:
            self.world.after(random.randint(1, 2 * self.world.plan.read_ms), self.clients_read, until_ms)

    # Membership

    def change_members(self, change: AnyConfChange, member: Member) -> None:
        """Propose change at member, and start whoever it brings in."""
        for one in change.as_v2().changes:
            target = self.members[one.node_id]
            if one.type != CONF_CHANGE_REMOVE_NODE and not target.up and not target.life:
                target.start()
        if self.world.traced:
            self.world.say(f"change at {member.id}: {describe_conf_change(change.as_v2())}")
        taken = member.do(lambda raw: raw.propose_conf_change(change))
        self.world.counts["configuration changes proposed"] += taken


class Faults:
    """Does one of the plan's actions now and then. Each action is the method of its name."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self.network = cluster.network
        self.random = cluster.world.random
        self._actions: list[Callable[[], None]] = [getattr(self, name) for name in cluster.world.plan.actions]
        self._weights = [ACTIONS[name] for name in cluster.world.plan.actions]

    def act(self, until_ms: int) -> None:
        if self.world.now >= until_ms:
            return
        action = self.random.choices(self._actions, self._weights)[0]
        if self.world.traced:
            self.world.say(f"-- {action.__name__}")
        action()
        self.world.after(self.random.randint(1, 2 * self.world.plan.action_ms), self.act, until_ms)

    def _target(self) -> Member | None:
        """Mostly the leader: that is where it hurts."""
        return (self.cluster.leader() if self.random.random() < 0.5 else None) or self.cluster.any_up()

    # Links

    def _cut(self, ones: list[int], others: list[int], both_ways: bool = True) -> None:
        self.world.counts["partitions"] += 1
        if self.world.traced:
            self.world.say(f"cut {ones} {'|' if both_ways else '>'} {others}")
        for one in ones:
            for other in others:
                self.network.cut.add((one, other))
                if both_ways:
                    self.network.cut.add((other, one))

    def _others(self, node: int) -> list[int]:
        return [other for other in self.cluster.members if other != node]

    def isolate_leader(self) -> None:
        leader = self.cluster.leader()
        if leader is not None:
            self._cut([leader.id], self._others(leader.id))

    def isolate_one(self) -> None:
        node = self.random.choice(list(self.cluster.members))
        self._cut([node], self._others(node))

    def split(self) -> None:
        nodes = list(self.cluster.members)
        self.random.shuffle(nodes)
        at = self.random.randint(1, len(nodes) - 1)
        self.network.cut.clear()
        self._cut(nodes[:at], nodes[at:])

    def cut_one_way(self) -> None:
        self.world.counts["partitions one way"] += 1
        target = self._target()
        if target is None:
            return
        others = self.random.sample(self._others(target.id), self.random.randint(1, len(self.cluster.members) - 1))
        if self.random.random() < 0.5:
            self._cut([target.id], others, both_ways=False)
        else:
            self._cut(others, [target.id], both_ways=False)

    def reconnect(self) -> None:
        self.network.cut.clear()

    # Members

    def _crash(self, member: Member | None, power_loss: bool) -> None:
        if member is None:
            return
        loss = member.crash(power_loss)
        self.world.counts["power losses" if power_loss else "kills"] += 1
        if loss.entries:
            self.world.counts["crashes with entries lost"] += 1
        if loss.torn:
            self.world.counts["crashes in a write"] += 1

    def power_loss(self) -> None:
        self._crash(self._target(), power_loss=True)

    def kill(self) -> None:
        member = self._target()
        self._crash(member, power_loss=False)
        if member is not None and self.random.random() < 0.5:
            member.start()

    def kill_all(self) -> None:
        for member in self.cluster.up():
            self._crash(member, power_loss=self.random.random() < 0.5)
            if self.random.random() < 0.5:
                member.start()

    def restart(self) -> None:
        down = [m for m in self.cluster.members.values() if m.life and not m.up and not m.retired]
        for member in down:
            if self.random.random() < 0.6:
                member.start()

    def slow_disk(self) -> None:
        for member in self.cluster.members.values():
            member.writer.longest_ms = self.world.plan.disk_ms
        member = self._target()
        if member is not None:
            member.writer.longest_ms = self.random.choice((200, 800))

    def stall(self) -> None:
        """The process stands still, as in a long pause; then it gets all that came meanwhile."""
        member = self._target()
        if member is not None:
            member.paused_until = self.world.now + self.random.randint(100, 2500)

    def change_pace(self) -> None:
        member = self._target()
        if member is not None:
            member.tick_ms = member.pace()

    def snapshot(self) -> None:
        for member in self.cluster.up():
            if self.random.random() < 0.6:
                self.world.counts["logs compacted"] += member.compact()

    # Leadership

    def transfer(self) -> None:
        member = self.cluster.leader() or self.cluster.any_up()
        if member is None:
            return
        target = self.random.choice(list(self.cluster.members))
        self.world.counts["transfers"] += 1
        for leader in self.cluster.up():
            if leader.leads:
                self.cluster.checker.on_transfer(leader)
        if self.world.traced:
            self.world.say(f"transfer from {member.id} to {target}")
        member.do(lambda raw: raw.transfer_leader(target))

    def campaign(self) -> None:
        member = self.cluster.any_up()
        if member is not None:
            member.do(RawNode.campaign)

    def forget_leader(self) -> None:
        member = self.cluster.any_up()
        if member is not None:
            member.do(RawNode.forget_leader)

    def unreachable(self) -> None:
        member = self._target()
        if member is not None:
            peer = self.random.choice(list(self.cluster.members))
            member.do(lambda raw: raw.report_unreachable(peer))

    def burst(self) -> None:
        member = self.cluster.leader()
        for _ in range(10 if member is not None else 0):
            self.cluster.write(member)

    # Configuration

    def _change_of(self, node: int, state: ConfState) -> ConfChangeSingle:
        if node in state.voters:
            kind = self.random.choice((CONF_CHANGE_REMOVE_NODE, CONF_CHANGE_REMOVE_NODE, CONF_CHANGE_ADD_LEARNER_NODE))
        elif node in state.learners:
            kind = self.random.choice((CONF_CHANGE_ADD_NODE, CONF_CHANGE_ADD_NODE, CONF_CHANGE_REMOVE_NODE))
        else:
            kind = self.random.choice((CONF_CHANGE_ADD_NODE, CONF_CHANGE_ADD_NODE, CONF_CHANGE_ADD_LEARNER_NODE))
        return ConfChangeSingle(kind, node)

    def change_members(self) -> None:
        """One member, as ConfChange or ConfChangeV2, simple or by way of a joint configuration."""
        member = self._target()
        if member is None:
            return
        random = self.random
        one = self._change_of(random.choice(list(self.cluster.members)), self.cluster.conf_state())
        if random.random() < 0.4:
            change: AnyConfChange = ConfChange(one.type, one.node_id)
        else:
            kinds = (TRANSITION_AUTO, TRANSITION_JOINT_IMPLICIT, TRANSITION_JOINT_EXPLICIT)
            change = ConfChangeV2(random.choice(kinds), (one,))
        if self.cluster.conf_state().voters_outgoing and random.random() < 0.6:
            change = ConfChangeV2()
        self.cluster.change_members(change, member)
        if random.random() < 0.3:
            # At once another: one of the two has to wait.
            self.cluster.change_members(ConfChange(one.type, one.node_id), member)

    def change_many_members(self) -> None:
        member = self._target()
        if member is None:
            return
        random, state = self.random, self.cluster.conf_state()
        nodes = random.sample(list(self.cluster.members), random.randint(1, len(self.cluster.members)))
        changes = tuple(self._change_of(node, state) for node in nodes)
        if state.voters_outgoing and random.random() < 0.6:
            changes = ()
        transitions = (TRANSITION_AUTO, TRANSITION_JOINT_IMPLICIT, TRANSITION_JOINT_EXPLICIT)
        self.cluster.change_members(
            ConfChangeV2(random.choice(transitions) if changes else TRANSITION_AUTO, changes), member
        )


class Healing:
    """Everything works again: then there must be one leader, new writes and reads, and everybody equal."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.world = cluster.world
        self._probe: bytes | None = None
        self._read: bytes | None = None
        self.complaint = "nothing was tried"
        self._begun = 0

    def begin(self) -> None:
        cluster, world = self.cluster, self.world
        world.say("-- healing")
        self._begun = world.now
        cluster.network.calm = True
        world.plan.lazy = 0
        for member in cluster.members.values():
            member.writer.longest_ms, member.applier.longest_ms = 3, 2
            member.paused_until = 0
            member.tick_ms = TICK_MS
            if member.life and not member.up:
                member.retired = False
                member.start()
        world.plan.leave_at_once = False

    def _configured(self) -> list[Member]:
        state = self.cluster.conf_state()
        nodes = {*state.voters, *state.learners, *state.voters_outgoing}
        return [self.cluster.members[node] for node in sorted(nodes)]

    def _stop_outsiders(self, members: list[Member]) -> None:
        """As an operator does, once all who are in know who is out; before that an outsider's vote may be needed."""
        index = max(self.cluster.checker.conf_states, default=0)
        if all(member.machine.applied >= index for member in members):
            for member in self.cluster.up():
                if member not in members:
                    member.crash(power_loss=False)

    def is_done(self) -> bool:
        """To be asked now and then; tries what is still missing."""
        members = self._configured()
        for member in members:
            if not member.up:
                member.start()
        self._stop_outsiders(members)
        leader = self.cluster.leader()
        self.complaint = self._why_not(leader, members)
        if self.complaint and self.world.now - self._begun >= 20 * self.world.plan.election_ticks * TICK_MS:
            return self._is_known_to_last(leader, members)
        return not self.complaint

    def _is_known_to_last(self, leader: Member | None, members: list[Member]) -> bool:
        """Whether this is one of the two states that the algorithm itself never leaves, as docs/raft.md says."""
        if leader is None and self._is_stalemate():
            self.world.counts["stalemates"] += 1
            return True
        if leader is not None and self._serves() and self._is_deaf_to(leader, self._behind(members)):
            self.world.counts["deaf members"] += 1
            return True
        return False

    def _is_stalemate(self) -> bool:
        """Nobody can win an election: whoever counts a removed member's vote has a shorter log than it, and whoever
        does not has a shorter log than one of those. So it may be when a leader has applied its own removal and ends
        before the others have heard that it is committed: their configurations still have it. Etcd-io/raft has this
        as well; it comes of a change that takes effect when it is applied, and not as in thesis 4.1 when it is
        appended, and goes away if a leader hands over before it removes itself (4.2.2).
        """
        return not any(self._may_win(member) for member in self.cluster.up())

    def _may_win(self, member: Member) -> bool:
        assert member.raw is not None
        config = member.raw.raft.tracker.config
        voting = {other.id for other in self.cluster.up() if other.raw and _log_end(other.raw) <= _log_end(member.raw)}
        return member.id in config.all_voters and has_quorum(config, voting)

    def _is_deaf_to(self, leader: Member, behind: list[Member]) -> bool:
        """Those behind are in a higher term than the leader, which hears of that from nobody. A campaign of somebody
        who does not know yet that it was removed may leave a learner so, which never campaigns itself. Without
        check-quorum and pre-vote nobody answers a leader of an older term, in etcd-io/raft as here: higher terms come
        to it by campaigns alone, and nobody who has heard of the higher term campaigns where the leader is.
        """
        assert leader.raw is not None
        raft = leader.raw.raft
        if raft.check_quorum or raft.pre_vote:
            return False
        above = {member.id for member in self.cluster.up() if member.raw and member.raw.raft.term > raft.term}
        if not behind or not above.issuperset(member.id for member in behind):
            return False
        return leader.id not in self._asked_for_votes_by(above)

    def _asked_for_votes_by(self, nodes: set[int]) -> set[int]:
        """nodes, whom they may campaign with, whom those may campaign with in the term that they hear of, and so on."""
        heard: set[int] = set()
        while nodes - heard:
            member = self.cluster.members[min(nodes - heard)]
            heard.add(member.id)
            if member.raw is not None and member.raw.raft.promotable:
                nodes = nodes | member.raw.raft.tracker.config.all_voters
        return nodes

    def _serves(self) -> bool:
        checker = self.cluster.checker
        return self._probe in checker.acked and self._read in checker.answered

    def _behind(self, members: list[Member]) -> list[Member]:
        return [member for member in members if member.machine.applied < len(self.cluster.checker.committed)]

    def _why_not(self, leader: Member | None, members: list[Member]) -> str:
        checker = self.cluster.checker
        if leader is None or leader not in members:
            return f"no leader in the configuration {self.cluster.conf_state()}"
        if self._probe is None or self._probe not in checker.acked:
            self._probe = self.cluster.write(leader) or self._probe
            return f"leader {leader.id} does not get a write through"
        if self._read is None or self._read not in checker.answered:
            self._read = self.cluster.read(leader)
            return f"leader {leader.id} does not answer a read"
        behind = self._behind(members)
        if behind:
            return f"{[m.id for m in behind]} have not applied all {len(checker.committed)} entries"
        if leader.raw is not None and leader.raw.raft.log.last_index() > len(checker.committed):
            return "entries of the leader are not committed"
        return ""


def _log_end(raw: RawNode) -> tuple[int, int]:
    return raw.raft.log.last_term(), raw.raft.log.last_index()
