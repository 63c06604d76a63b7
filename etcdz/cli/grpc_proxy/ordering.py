"""Reads that never go back (`--experimental-serializable-ordering`): one whose answer is older than what was answered
before is asked of another member. Source: etcd 3.5 client/v3/ordering.
"""

from typing import Final

from etcdz.proto import etcdserverpb as pb

TRIES_PER_MEMBER: Final = 5
PAUSE_S: Final = 0.01
TEXT: Final = "etcdclient: no cluster members have a revision higher than the previously received revision"


class Ordering:
    """revision: the highest that was answered."""

    def __init__(self) -> None:
        self.revision = 0

    def takes(self, answer: bytes) -> bool:
        """Whether it is not older. answer: any with a header"""
        revision = pb.CompactionResponse.FromString(answer).header.revision
        if revision < self.revision:
            return False
        self.revision = revision
        return True
