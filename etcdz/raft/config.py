"""What one node is made of and how it behaves. Units are in the names; ticks are the caller's clock."""

from collections.abc import Callable
from dataclasses import dataclass, field

from etcdz.raft.entry import NO_LIMIT
from etcdz.raft.errors import ConfigError, Logger, SilentLogger
from etcdz.raft.messages import APPEND_THREAD, APPLY_THREAD, NO_NODE
from etcdz.raft.read_only import READ_LEASE_BASED, READ_SAFE
from etcdz.raft.storage import Storage


@dataclass(slots=True, kw_only=True)
class Config:
    """
    id                       this member, neither 0 nor a storage thread's
    election_tick            ticks without a leader before a campaign; the real timeout is random in [1, 2) times that
    heartbeat_tick           ticks between a leader's heartbeats
    storage                  see etcdz.raft.storage
    random                   n -> a number in [0, n); random.Random(seed).randrange is one
    applied                  what the application has already applied; 0 for nothing but the snapshot
    async_storage_writes     Ready carries MsgStorageAppend and MsgStorageApply, their responses take advance's place
    max_size_per_msg         bytes of entries in an append; 0 for one entry per append
    max_committed_size_per_ready  bytes of committed entries handed out and not yet applied; 0: as max_size_per_msg
    max_uncommitted_size     bytes of payloads in a leader's uncommitted tail, above which proposals are dropped; 0: any
    max_inflight_msgs, max_inflight_bytes  appends to one peer without an answer; bytes 0: any
    check_quorum             a leader that does not hear from a quorum steps down; voters ignore campaigns for so long
    pre_vote                 ask before raising the term (thesis 9.6)
    read_only                READ_SAFE, or READ_LEASE_BASED, which needs check_quorum
    disable_proposal_forwarding    a follower drops proposals
    disable_conf_change_validation accept changes that do not fit the active configuration: the application checks
    step_down_on_removal     a leader that is removed or becomes a learner steps down
    """

    id: int
    election_tick: int
    heartbeat_tick: int
    storage: Storage
    random: Callable[[int], int]
    applied: int = 0
    async_storage_writes: bool = False
    max_size_per_msg: int = NO_LIMIT
    max_committed_size_per_ready: int = 0
    max_uncommitted_size: int = 0
    max_inflight_msgs: int = 256
    max_inflight_bytes: int = 0
    check_quorum: bool = False
    pre_vote: bool = False
    read_only: int = READ_SAFE
    disable_proposal_forwarding: bool = False
    disable_conf_change_validation: bool = False
    step_down_on_removal: bool = False
    logger: Logger = field(default_factory=SilentLogger)

    def validate(self) -> None:
        """raises ConfigError with the first thing that is wrong."""
        too_few_bytes = 0 < self.max_inflight_bytes < self.max_size_per_msg
        lease_without_check = self.read_only == READ_LEASE_BASED and not self.check_quorum
        for wrong, text in (
            (self.id == NO_NODE, "cannot use none as id"),
            (self.id in (APPEND_THREAD, APPLY_THREAD), "cannot use local target as id"),
            (self.heartbeat_tick <= 0, "heartbeat tick must be greater than 0"),
            (self.election_tick <= self.heartbeat_tick, "election tick must be greater than heartbeat tick"),
            (self.max_inflight_msgs <= 0, "max inflight messages must be greater than 0"),
            (too_few_bytes, "max inflight bytes must be >= max message size"),
            (lease_without_check, "CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased"),
        ):
            if wrong:
                raise ConfigError(text)

    @property
    def applying_bytes_max(self) -> int:
        return self.max_committed_size_per_ready or self.max_size_per_msg or 1
