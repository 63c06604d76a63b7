"""The Raft core: pure and deterministic. Start reading at node.py; docs/raft.md says what is where."""

from etcdz.raft.config import Config
from etcdz.raft.entry import Entry, decode_entry, encode_entry, make_entry
from etcdz.raft.errors import (
    ConfChangeError,
    ConfigError,
    InvariantBroken,
    Logger,
    ProposalDropped,
    RaftError,
    StepLocalMessage,
    StepPeerNotFound,
)
from etcdz.raft.messages import (
    AnyConfChange,
    ConfChange,
    ConfChangeSingle,
    ConfChangeV2,
    ConfState,
    HardState,
    Message,
    ReadState,
    Snapshot,
    SoftState,
)
from etcdz.raft.node import BasicStatus, RawNode, Ready, Status
from etcdz.raft.storage import MemoryStorage, Storage

__all__ = [
    "AnyConfChange",
    "BasicStatus",
    "ConfChange",
    "ConfChangeError",
    "ConfChangeSingle",
    "ConfChangeV2",
    "ConfState",
    "Config",
    "ConfigError",
    "Entry",
    "HardState",
    "InvariantBroken",
    "Logger",
    "MemoryStorage",
    "Message",
    "ProposalDropped",
    "RaftError",
    "RawNode",
    "ReadState",
    "Ready",
    "Snapshot",
    "SoftState",
    "Status",
    "StepLocalMessage",
    "StepPeerNotFound",
    "Storage",
    "decode_entry",
    "encode_entry",
    "make_entry",
]
