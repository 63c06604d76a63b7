"""Alarms as applied state: which member has raised which. Rows of the bucket `alarm`: encoded AlarmMember -> empty."""

from etcdz.proto import etcdserverpb as pb
from etcdz.store import buckets
from etcdz.store.interface import Store

NONE, NOSPACE, CORRUPT = 0, 1, 2
NAMES = {NONE: "NONE", NOSPACE: "NOSPACE", CORRUPT: "CORRUPT"}


def name_of(alarm: int) -> str:
    """As etcd prints it."""
    return NAMES.get(alarm, str(alarm))


class AlarmTable:
    """Raised alarms as (alarm type, member id)."""

    __slots__ = ("raised",)

    def __init__(self, store: Store) -> None:
        self.raised: set[tuple[int, int]] = set()
        for name, _ in store.iterate(buckets.ALARM, buckets.bucket_end(buckets.ALARM)):
            member = pb.AlarmMember.FromString(name[len(buckets.ALARM) :])
            self.raised.add((member.alarm, member.memberID))

    def has(self, alarm: int) -> bool:
        return any(kind == alarm for kind, _ in self.raised)

    def listed(self, alarm: int) -> list[tuple[int, int]]:
        """Those of one type, or all for NONE."""
        return sorted(pair for pair in self.raised if alarm in (NONE, pair[0]))

    def activate(self, alarm: int, member_id: int) -> bool:
        """Whether it was not raised before."""
        if (alarm, member_id) in self.raised:
            return False
        self.raised.add((alarm, member_id))
        return True

    def deactivate(self, alarm: int, member_id: int) -> bool:
        """Whether it was raised."""
        if (alarm, member_id) not in self.raised:
            return False
        self.raised.remove((alarm, member_id))
        return True


def encode_member(alarm: int, member_id: int) -> bytes:
    return pb.AlarmMember(memberID=member_id, alarm=alarm).SerializeToString()
