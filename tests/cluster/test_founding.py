"""Who a member is before its first start, against what etcd 3.5.1 gave itself with the same flags."""

import json

import msgpack
import pytest

from etcdz.cluster.founding import Founding, found

THREE = {f"m{n}": (f"http://127.0.0.1:1238{n}",) for n in range(3)}
"""Of tests/peer's capture: token tok, three members of etcd 3.5.1."""


def test_three_members_come_to_the_ids_of_etcd() -> None:
    each = [found(THREE, "tok", name) for name in THREE]
    assert [f.member_id for f in each] == [0xD622127685879B3C, 0x6F53DCAB74102002, 0x19EE3DB6A247CC80]
    assert {f.cluster_id for f in each} == {0xA176C1F62DFCA771}
    assert {f.members for f in each} == {each[0].members}


def test_every_first_member_begins_with_the_same_entries_in_the_order_of_ids() -> None:
    peers = found(THREE, "tok", "m0").bootstrap_peers()
    assert [id_ for id_, _ in peers] == [0x19EE3DB6A247CC80, 0x6F53DCAB74102002, 0xD622127685879B3C]
    assert json.loads(peers[0][1]) == {"id": 0x19EE3DB6A247CC80, "peerURLs": ["http://127.0.0.1:12382"], "name": "m2"}


@pytest.mark.parametrize("carry", [lambda v: msgpack.unpackb(msgpack.packb(v)), lambda v: json.loads(json.dumps(v))])
def test_a_founding_goes_over_a_link_and_into_a_file_and_back(carry: object) -> None:
    founding = found(THREE, "tok", "m1")
    assert Founding.from_dict(carry(founding.to_dict())) == founding  # type: ignore[operator]


def test_two_members_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="member exists with identical ID"):
        found({"a": ("http://x:1",), "b": ("http://x:1",)}, "tok", "a")
