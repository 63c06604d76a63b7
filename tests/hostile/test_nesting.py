"""Nested transactions, as deep as etcd takes them and deeper: each is answered as etcd answers it, and is applied."""

import pytest

from etcdz.net.blocking_channel import Channel, RpcError
from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member
from tests.hostile import nesting
from tests.hostile.siege import lasting

_DEPTHS = [1, 2, 3, 10, 24, 25, 31, 32, 33, *range(46, 53), 63, 64, 65, *range(95, 105), 120, 127, 128, 129, 200]
"""Those where etcd, the library or an entry ends, and their neighbours; --long has all."""


def _ask(member: Member, path: str, body: bytes) -> tuple[int, str, bytes]:
    with Channel(member.target) as channel:
        try:
            return 0, "", channel.unary(path, body, 30)
        except RpcError as error:
            return int(error.code), error.text, b""


def _version(member: Member) -> int:
    request = pb.RangeRequest(key=b"nested").SerializeToString()
    _, _, answer = _ask(member, "/etcdserverpb.KV/Range", request)
    kvs = pb.RangeResponse.FromString(answer).kvs
    return kvs[0].version if kvs else 0


@pytest.mark.parametrize("shape", list(nesting.TXNS))
def test_nested_transactions_are_answered_and_applied_as_etcd_does(
    shape: str, etcdz: Member, etcd: Member, is_long: bool
) -> None:
    before = lasting(etcdz)
    offset = _version(etcdz) - _version(etcd)
    for depth in range(1, 201) if is_long else _DEPTHS:
        body = nesting.TXNS[shape](depth)
        wanted = _ask(etcd, "/etcdserverpb.KV/Txn", body)
        found = _ask(etcdz, "/etcdserverpb.KV/Txn", body)
        assert (depth, found[:2]) == (depth, wanted[:2])
        assert _version(etcdz) - _version(etcd) == offset, depth
    assert before.keys() <= lasting(etcdz).keys(), "a process of the member has ended"


@pytest.mark.parametrize("depth", [1, 48, 49, 50, 98, 99, 100, 120, 1000])
def test_unknown_groups_are_passed_over_as_etcd_does(depth: int, etcdz: Member, etcd: Member) -> None:
    body = nesting.unknown_groups(depth)
    wanted = _ask(etcd, "/etcdserverpb.KV/Put", body)
    found = _ask(etcdz, "/etcdserverpb.KV/Put", body)
    assert found[0] == wanted[0]
    assert _ask(etcdz, "/etcdserverpb.KV/Put", pb.PutRequest(key=b"after").SerializeToString())[0] == 0
