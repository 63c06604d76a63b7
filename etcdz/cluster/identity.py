"""Ids that a bootstrapping member computes instead of asking for them: all members come to the same ones.

member id   first 8 bytes of sha1(its sorted peer URLs joined, then the cluster token), big-endian
            of a member that is added to a running cluster: then the decimal unix time in s, in place of the token
cluster id  first 8 bytes of sha1(the sorted member ids, 8 bytes big-endian each)
Source: etcd 3.5 membership; the default member is 8e9e05c52164694d in cluster cdf818194e3a8c32.
"""

import hashlib
from collections.abc import Iterable


def member_id(peer_urls: Iterable[str], token: str) -> int:
    """Id of the member with these peer URLs in the cluster of this token."""
    return _first_8_bytes("".join(sorted(peer_urls)).encode() + token.encode("utf-8", "surrogateescape"))


def added_member_id(peer_urls: Iterable[str], now_s: int) -> int:
    """Id of a member that joins a running cluster: the time sets it apart from one of these URLs that was removed."""
    return member_id(peer_urls, str(now_s))


def cluster_id(member_ids: Iterable[int]) -> int:
    """Id of the cluster that these members bootstrap."""
    return _first_8_bytes(b"".join(id_.to_bytes(8, "big") for id_ in sorted(member_ids)))


def _first_8_bytes(data: bytes) -> int:
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest()[:8], "big")
