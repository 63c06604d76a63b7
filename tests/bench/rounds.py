"""Which of the two is measured when: they take turns at going first, since a machine changes while one looks."""

from collections.abc import Iterator

from tests.etcd_process import Etcdz, Member, RealEtcd


def in_turn(rounds: int) -> Iterator[tuple[int, type[Member]]]:
    """(number of the round, from 1; whom to measure)"""
    for at in range(rounds):
        for kind in (RealEtcd, Etcdz) if at % 2 == 0 else (Etcdz, RealEtcd):
            yield at + 1, kind
