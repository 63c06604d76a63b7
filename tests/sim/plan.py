"""What a run is made of: everything that is decided before it begins, drawn from its seed.

Each seed switches a part of the faults on and the others off. A run with all of them at once makes little progress, and
what it does is always the same; runs with a few at a time reach more states together.
Source: Groce et al., "Swarm Testing", ISSTA 2012. Times are milliseconds of the run's own clock.
"""

from dataclasses import dataclass, field
from random import Random

TICK_MS = 100
# What may happen beside reads and writes, and how often compared with one another.
ACTIONS = {
    "isolate_leader": 3,
    "isolate_one": 2,
    "split": 2,
    "cut_one_way": 3,
    "reconnect": 4,
    "power_loss": 3,
    "kill": 2,
    "restart": 5,
    "kill_all": 1,
    "slow_disk": 2,
    "change_members": 6,
    "change_many_members": 3,
    "transfer": 3,
    "campaign": 2,
    "forget_leader": 1,
    "snapshot": 5,
    "change_pace": 1,
    "stall": 2,
    "burst": 2,
    "unreachable": 1,
}
_ALWAYS = ("reconnect", "restart")


@dataclass(slots=True, kw_only=True)
class Plan:
    """
    size             members there can be, ids 1 to size; the first `voters` of them are the first configuration
    actions          those of ACTIONS that this run has; one every action_ms on average
    drop, duplicate, late   how many of a thousand messages are lost, come twice, come seconds later
    delay_ms         longest way of a message that is not late; messages overtake one another
    disk_ms, apply_ms       longest write, longest application of a batch
    lazy             how many of a thousand inputs are not followed at once by the work they make: it gathers
    skew             members' clocks run up to so many percent slower or faster
    as_bytes         messages travel encoded
    as_streams       they travel on streams that break, and are not dropped, doubled or late one by one
    lease            reads trust the clock
    leave_at_once    a member that applies its own removal stops
    """

    seed: int
    size: int
    voters: int
    actions: list[str]
    action_ms: int
    faults_ms: int
    drop: int
    duplicate: int
    late: int
    delay_ms: int
    disk_ms: int
    apply_ms: int
    lazy: int
    skew: int
    write_ms: int
    read_ms: int
    as_bytes: bool
    as_streams: bool
    lease: bool
    leave_at_once: bool
    options: dict[str, object] = field(default_factory=dict)

    @property
    def election_ticks(self) -> int:
        return int(str(self.options["election_tick"]))


def plan_for(seed: int) -> Plan:
    random = Random(seed)
    chance = random.random
    size = random.choice((3, 3, 3, 4, 5, 5, 6, 7))
    lease = chance() < 0.2
    check_quorum = lease or chance() < 0.6
    return Plan(
        seed=seed,
        size=size,
        voters=random.choice((3, 3, 3, min(size, 5), size)) if chance() < 0.85 else random.choice((1, 2)),
        actions=[*_ALWAYS, *(name for name in ACTIONS if name not in _ALWAYS and chance() < 0.6)],
        action_ms=random.choice((150, 250, 400)),
        faults_ms=random.choice((4_000, 6_000)),
        drop=random.choice((0, 0, 10, 50, 150)),
        duplicate=random.choice((0, 0, 20, 100)),
        late=random.choice((0, 0, 10, 40)),
        delay_ms=random.choice((5, 40, 40, 150)),
        disk_ms=random.choice((2, 20, 20, 100)),
        apply_ms=random.choice((1, 10, 10, 150)),
        lazy=random.choice((0, 0, 100, 400)),
        skew=random.choice((0, 10, 40)),
        write_ms=random.choice((40, 80, 120)),
        read_ms=random.choice((100, 150)),
        as_bytes=chance() < 0.15,
        as_streams=Random(seed + 0.5).random() < 0.25,  # of its own, so that older seeds stay what they are
        lease=lease,
        leave_at_once=chance() < 0.7,
        options={
            "election_tick": random.choice((5, 6, 8)),
            "heartbeat_tick": random.choice((1, 2)),
            "pre_vote": chance() < 0.5,
            "check_quorum": check_quorum,
            "step_down_on_removal": chance() < 0.5,
            "max_size_per_msg": random.choice((0, 200, 1000, 1 << 20)),
            "max_committed_size_per_ready": random.choice((0, 200, 1 << 20)),
            "max_inflight_msgs": random.choice((1, 2, 5, 256)),
            "max_uncommitted_size": random.choice((0, 0, 600)),
            "disable_proposal_forwarding": chance() < 0.2,
        },
    )
