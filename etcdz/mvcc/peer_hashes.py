"""What members find when they compare the hashes of their data, and whom they blame.

A member asks the others over HTTP, `GET /members/hashkv` with the body {"revision":5}, and is answered by

    200 {"header":{"revision":9},"hash":1084519789,"compact_revision":3}    9: the latest that the other has
    400 mvcc: required revision is a future revision                        or: has been compacted

Hashes say something about each other only if both were made over the same compaction. Who cannot be asked, or is too
far behind or ahead, is passed over. Source: etcd 3.5 corrupt.go (order of checks, texts of the log)
"""

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from etcdz.mvcc.hashes import KvHash

PATH: Final = "/members/hashkv"
NOBODY: Final = 0
"""As the member that an alarm is raised for: it is not known whose data is wrong."""
_OK = 200


class PeerHash(NamedTuple):
    """What a member has answered. revision: the latest that it has; hash, compact_revision: as in KvHash"""

    member_id: int
    revision: int
    hash: int
    compact_revision: int


class Finding(NamedTuple):
    """A line for the log. blames: for whom the alarm CORRUPT is to be raised, or None: that is no proof"""

    text: str
    fields: dict[str, Any]
    blames: int | None


def request_body(revision: int) -> bytes:
    return b'{"revision":%d}' % revision


def decode_answer(member_id: int, status: int, body: bytes) -> PeerHash | str:
    """return the hash, or why there is none"""
    if status != _OK:
        return body.decode(errors="replace").strip() or f"HTTP status {status}"
    try:
        told = json.loads(body)
        numbers: tuple[Any, ...] = (
            told["header"].get("revision", 0),
            told.get("hash", 0),
            told.get("compact_revision", 0),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        numbers = ()
    if len(numbers) != 3 or not all(type(number) is int for number in numbers):
        return "not a hash"
    return PeerHash(member_id, *numbers)


def compare_at_start(member_id: int, own: KvHash, answers: Iterable[PeerHash | str]) -> list[Finding]:
    """Before a member serves. Any blame means that it must not."""
    findings = []
    local = {
        "local-member-id": f"{member_id:x}",
        "local-member-revision": own.revision,
        "local-member-compact-revision": own.compact_revision,
        "local-member-hash": own.hash,
    }
    for peer in answers:
        if isinstance(peer, str):
            findings.append(Finding("cannot fetch hash from remote peer", local | {"error": peer}, None))
        elif peer.hash != own.hash:
            fields = local | {
                "remote-peer-id": f"{peer.member_id:x}",
                "remote-peer-revision": peer.revision,
                "remote-peer-compact-revision": peer.compact_revision,
                "remote-peer-hash": peer.hash,
            }
            if peer.compact_revision == own.compact_revision:
                findings.append(Finding("found different hash values from remote peer", fields, member_id))
            else:
                findings.append(Finding("found different compact revision values from remote peer", fields, None))
    return findings


def compare_as_leader(own: KvHash, again: KvHash, peers: Iterable[PeerHash]) -> list[Finding]:
    """own: of the leader, whose revision the others were asked for; again: after a linearizable read. Blames name the
    others; what the leader says against itself is `compare_with_before`'s."""
    findings = []
    for peer in peers:
        follower = {"follower-peer-id": f"{peer.member_id:x}"}
        if peer.revision > again.revision:
            text = "revision from follower must be less than or equal to leader's"
            fields = {"leader-revision": again.revision, "follower-revision": peer.revision}
            findings.append(Finding(text, fields | follower, peer.member_id))
        if peer.compact_revision > again.compact_revision:
            text = "compact revision from follower must be less than or equal to leader's"
            fields = {"leader-compact-revision": again.compact_revision}
            fields |= {"follower-compact-revision": peer.compact_revision}
            findings.append(Finding(text, fields | follower, peer.member_id))
        if peer.compact_revision == own.compact_revision and peer.hash != own.hash:
            fields = {"leader-compact-revision": again.compact_revision, "leader-hash": own.hash}
            fields |= {"follower-compact-revision": peer.compact_revision, "follower-hash": peer.hash}
            findings.append(Finding("same compact revision then hashes must match", fields | follower, peer.member_id))
    return findings


def compare_with_before(known: KvHash, found: KvHash) -> Finding | None:
    """Two hashes of one member up to the same revision. The finding blames nobody by id: it is who looks."""
    if found.hash == known.hash or found[1:] != known[1:]:
        return None
    fields: dict[str, Any] = {}
    for number, each in enumerate((known, found), 1):
        fields |= {f"revision-{number}": each.revision, f"compact-revision-{number}": each.compact_revision}
        fields |= {f"hash-{number}": each.hash}
    return Finding("found hash mismatch", fields, NOBODY)


def compare_compaction(leader: int, own: KvHash, peers: Iterable[PeerHash], members: int) -> list[Finding]:
    """own: of the leader at a compaction, at which the others were asked. peers: those whose hash is over the same
    compaction. members: how many there are. If a majority of them has the same hash, the others are blamed; else
    somebody is wrong, and it is not known who."""
    hashes = {peer.member_id: peer.hash for peer in peers}
    hashes[leader] = own.hash
    most, count = Counter(hashes.values()).most_common(1)[0]
    if count == len(hashes):
        return []
    fields = {"compaction-revision": own.revision, "compact-revision": own.compact_revision}
    fields |= {f"hash-of-{member_id:x}": found for member_id, found in sorted(hashes.items())}
    if count <= members // 2:
        return [
            Finding("detected compaction hash mismatch but could not identify the corrupted members", fields, NOBODY)
        ]
    wrong = [member_id for member_id, found in sorted(hashes.items()) if found != most]
    return [Finding("detected compaction hash mismatch", fields, member_id) for member_id in wrong]
