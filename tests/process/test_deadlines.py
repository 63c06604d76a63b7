"""Deadlines of clients that say nothing more: the member looks after them, however idle it is."""

from collections.abc import Callable

import pytest

from etcdz.api.errors import Code
from etcdz.net.blocking_channel import Channel, RpcError
from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

WATCH = "/etcdserverpb.Watch/Watch"
DEADLINES_MS = (700, 7_000, 70_000)
"""The first within which a watch can be made on this machine."""
PATIENCE_S = 60.0


def test_a_stream_ends_with_its_deadline(make_member: Callable[..., Member]) -> None:
    member = make_member()
    member.start()
    create = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"a")).SerializeToString()
    with Channel(member.target) as channel:
        for deadline_ms in DEADLINES_MS:
            # As a field of its own: the client itself does not look after it.
            stream = channel.stream(WATCH, metadata=((b"grpc-timeout", b"%dm" % deadline_ms),))
            stream.send(create)
            responses = []
            with pytest.raises(RpcError) as caught:
                while True:
                    responses.append(pb.WatchResponse.FromString(stream.recv(PATIENCE_S + deadline_ms / 1000) or b""))
            if responses:
                break
    assert [response.created for response in responses] == [True]
    assert caught.value.code == Code.DEADLINE_EXCEEDED
