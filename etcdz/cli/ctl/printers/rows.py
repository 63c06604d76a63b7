"""Rows of what has columns: of the table, and of the lines of simple, which have the same."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from etcdz.cli.ctl.printers.printer import Health
from etcdz.cli.sizes import human_size
from etcdz.proto.text import decode_text

if TYPE_CHECKING:
    from etcdz.proto import etcdserverpb as pb

MEMBERS: Final = ("ID", "Status", "Name", "Peer Addrs", "Client Addrs", "Is Learner")
HEALTHS: Final = ("endpoint", "health", "took", "error")
HASHES: Final = ("endpoint", "hash")
STATUSES: Final = (
    "endpoint", "ID", "version", "db size", "is leader", "is learner", "raft term", "raft index", "raft applied index",
    "errors",
)  # fmt: skip


def go_bool(value: bool) -> str:
    return "true" if value else "false"


def member_rows(answer: "pb.MemberListResponse") -> list[list[str]]:
    return [
        [
            f"{member.ID:x}",
            "started" if member.name else "unstarted",
            decode_text(member.name),
            ",".join(map(decode_text, member.peerURLs)),
            ",".join(map(decode_text, member.clientURLs)),
            go_bool(member.isLearner),
        ]
        for member in answer.members
    ]


def health_rows(found: Sequence[Health]) -> list[list[str]]:
    return [[each.endpoint, go_bool(each.is_healthy), each.took, each.error] for each in found]


def hash_rows(found: "Sequence[tuple[str, pb.HashKVResponse]]") -> list[list[str]]:
    return [[endpoint, str(answer.hash)] for endpoint, answer in found]


def status_rows(found: "Sequence[tuple[str, pb.StatusResponse]]") -> list[list[str]]:
    return [
        [
            endpoint,
            f"{answer.header.member_id:x}",
            answer.version,
            human_size(answer.dbSize),
            go_bool(answer.leader == answer.header.member_id),
            go_bool(answer.isLearner),
            str(answer.raftTerm),
            str(answer.raftIndex),
            str(answer.raftAppliedIndex),
            ", ".join(map(decode_text, answer.errors)),
        ]
        for endpoint, answer in found
    ]
