"""Long metadata of one call: as etcd takes them, and what is too long costs no other call its connection."""

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member

_UNLIMITED = [("grpc.max_metadata_size", 32 << 20), ("grpc.absolute_max_metadata_size", 32 << 20)]


def _call_beside_a_watch(member: Member, size: int) -> tuple[int, int]:
    """A range with so many bytes of metadata, then a put, on one connection. return the range's status, and how many
    events a watch on that connection has seen"""
    with grpc.insecure_channel(member.target, _UNLIMITED) as channel:
        watch = channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=pb.WatchResponse.FromString,
        )
        create = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"metadata"))
        events = watch(iter([create]), timeout=60)
        assert next(events).created
        code = 0
        try:
            ask = channel.unary_unary("/etcdserverpb.KV/Range")
            ask(pb.RangeRequest(key=b"a").SerializeToString(), metadata=[("x", "t" * size)], timeout=60)
        except grpc.RpcError as error:
            code = error.code().value[0]
        put = channel.unary_unary("/etcdserverpb.KV/Put")
        put(pb.PutRequest(key=b"metadata").SerializeToString(), timeout=60)
        seen = len(next(events).events)
        events.cancel()
    return code, seen


@pytest.mark.parametrize("size", [8_000, 60_000, 70_000, 1_000_000])
def test_metadata_are_taken_as_etcd_takes_them(size: int, etcdz: Member, etcd: Member) -> None:
    assert _call_beside_a_watch(etcdz, size) == _call_beside_a_watch(etcd, size) == (0, 1)


@pytest.mark.parametrize("size", [2_200_000, 5_000_000])
def test_too_long_metadata_end_their_call_alone(size: int, etcdz: Member) -> None:
    assert _call_beside_a_watch(etcdz, size) == (grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], 1)
