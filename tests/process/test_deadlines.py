"""Deadlines of clients that say nothing more: the member looks after them, however idle it is."""

from collections.abc import Callable

import pytest

from etcdz.api.errors import Code
from etcdz.net.blocking_channel import Channel, RpcError
from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

WATCH = "/etcdserverpb.Watch/Watch"
IN_A_MOMENT = ((b"grpc-timeout", b"700m"),)  # as a field of its own: the client itself does not look after it
PATIENCE_S = 60.0


def test_a_stream_ends_with_its_deadline(make_member: Callable[..., Member]) -> None:
    member = make_member()
    member.start()
    create = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"a")).SerializeToString()
    with Channel(member.target) as channel:
        stream = channel.stream(WATCH, metadata=IN_A_MOMENT)
        stream.send(create)
        assert pb.WatchResponse.FromString(stream.recv(PATIENCE_S) or b"").created
        with pytest.raises(RpcError) as caught:
            stream.recv(PATIENCE_S)
    assert caught.value.code == Code.DEADLINE_EXCEEDED
