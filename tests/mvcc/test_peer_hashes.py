"""Which hashes of other members mean that data is wrong, and whose."""

import pytest

from etcdz.mvcc.hashes import KvHash
from etcdz.mvcc.peer_hashes import (
    NOBODY,
    PeerHash,
    compare_as_leader,
    compare_at_start,
    compare_compaction,
    compare_with_before,
    decode_answer,
    request_body,
)

ME = 11
OWN = KvHash(77, 3, 9)
"""Hash 77 up to revision 9, of which those up to 3 are compacted."""


def test_what_etcd_answers_is_understood() -> None:
    assert request_body(5) == b'{"revision":5}'
    body = b'{"header":{"revision":1},"hash":1084519789,"compact_revision":-1}'
    assert decode_answer(12, 200, body) == PeerHash(12, 1, 1084519789, -1)
    assert decode_answer(12, 200, b'{"header":{},"hash":0}\n') == PeerHash(12, 0, 0, 0), "Go leaves zeros out"


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (400, b"mvcc: required revision has been compacted\n", "mvcc: required revision has been compacted"),
        (0, b"connection refused", "connection refused"),
        (404, b"", "HTTP status 404"),
        (200, b"", "not a hash"),
        (200, b"[]", "not a hash"),
        (200, b'{"header":{"revision":1},"hash":"7","compact_revision":1}', "not a hash"),
        (200, b"[" * 100_000, "not a hash"),
    ],
)
def test_what_is_no_hash_says_why(status: int, body: bytes, why: str) -> None:
    assert decode_answer(12, status, body) == why


@pytest.mark.parametrize(
    ("answer", "text", "is_wrong"),
    [
        (PeerHash(12, 20, 77, 3), None, False),
        (PeerHash(12, 9, 78, 3), "found different hash values from remote peer", True),
        (PeerHash(12, 9, 78, 4), "found different compact revision values from remote peer", False),
        ("mvcc: required revision is a future revision", "cannot fetch hash from remote peer", False),
    ],
)
def test_at_a_start_another_hash_over_the_same_compaction_is_wrong(
    answer: PeerHash | str, text: str | None, is_wrong: bool
) -> None:
    findings = compare_at_start(ME, OWN, [answer])
    assert [finding.text for finding in findings] == ([text] if text else [])
    assert any(finding.blames is not None for finding in findings) is is_wrong


@pytest.mark.parametrize(
    ("peer", "texts"),
    [
        (PeerHash(12, 12, 77, 3), []),
        (PeerHash(12, 12, 1, 2), []),
        (PeerHash(12, 12, 78, 3), ["same compact revision then hashes must match"]),
        (PeerHash(12, 13, 77, 3), ["revision from follower must be less than or equal to leader's"]),
        (PeerHash(12, 12, 1, 5), []),
        (PeerHash(12, 12, 1, 6), ["compact revision from follower must be less than or equal to leader's"]),
    ],
)
def test_a_leader_blames_who_is_ahead_of_it_or_has_another_hash(peer: PeerHash, texts: list[str]) -> None:
    again = KvHash(80, 5, 12)
    findings = compare_as_leader(OWN, again, [peer])
    assert [finding.text for finding in findings] == texts
    assert {finding.blames for finding in findings} <= {12}


def test_a_member_that_finds_another_hash_of_the_same_is_wrong_itself() -> None:
    assert compare_with_before(OWN, OWN) is None
    assert compare_with_before(OWN, KvHash(78, 4, 9)) is None
    finding = compare_with_before(OWN, KvHash(78, 3, 9))
    assert finding is not None
    assert (finding.text, finding.fields["hash-1"], finding.fields["hash-2"]) == ("found hash mismatch", 77, 78)


@pytest.mark.parametrize(
    ("hashes", "members", "blamed"),
    [
        ({12: 77, 13: 77}, 3, []),
        ({12: 77, 13: 5}, 3, [13]),
        ({12: 5, 13: 5}, 3, [ME]),
        ({12: 5, 13: 6}, 3, [NOBODY]),
        ({12: 5}, 3, [NOBODY]),
        ({12: 77}, 3, []),
        ({12: 77, 13: 77, 14: 5, 15: 6}, 5, [14, 15]),
        ({12: 5}, 2, [NOBODY]),
    ],
)
def test_at_a_compaction_the_majority_is_right(hashes: dict[int, int], members: int, blamed: list[int]) -> None:
    peers = [PeerHash(member_id, 20, found, 3) for member_id, found in hashes.items()]
    assert [finding.blames for finding in compare_compaction(ME, OWN, peers, members)] == blamed
