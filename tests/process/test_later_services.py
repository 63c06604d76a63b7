"""Services and answers of etcd 3.7 and later, as one of them gave them; requests that end an etcd are refused."""

from collections.abc import Iterator

import pytest

from etcdz.net.blocking_channel import BlockingStream, Channel, RpcError
from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Etcdz, Member
from tests.process.conftest import MemberMaker

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors")]

HEALTH = "/grpc.health.v1.Health"
SERVING, SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x03"
ANOTHER_SERVICE = b"\x0a\x01x"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    with Etcdz(tmp_path_factory.mktemp("shared")) as member:
        yield member


@pytest.fixture
def channel(shared: Member, request: pytest.FixtureRequest) -> Iterator[Channel]:
    request.node.members = [shared]
    with Channel(shared.target) as channel:
        yield channel


def _open(channel: Channel, path: str, body: bytes) -> BlockingStream:
    stream = channel.stream(path)
    stream.send(body)
    stream.close_send()
    return stream


def test_health_is_listed_and_watched(channel: Channel) -> None:
    assert channel.unary(f"{HEALTH}/List", b"") == b"\x0a\x06\x0a\x00\x12\x02" + SERVING
    for body, status in ((b"", SERVING), (ANOTHER_SERVICE, SERVICE_UNKNOWN)):
        stream = _open(channel, f"{HEALTH}/Watch", body)
        assert stream.recv(60) == status
        with pytest.raises(TimeoutError):
            stream.recv(0.2)


def test_a_health_watch_ends_with_its_member_so_that_clients_come_again(make_member: MemberMaker) -> None:
    member = make_member().start()
    with Channel(member.target) as channel:
        stream = _open(channel, f"{HEALTH}/Watch", b"")
        assert stream.recv(60) == SERVING
        member.stop()
        with pytest.raises(RpcError) as ended:
            stream.recv(60)
    assert ended.value.code == 14


@pytest.mark.parametrize(("action", "alarm"), [(1, 3), (1, 99), (1, -1), (3, 0), (3, 1), (-1, 0)])
def test_alarms_that_are_not_known_are_refused(action: int, alarm: int, channel: Channel) -> None:
    request = pb.AlarmRequest(action=action, memberID=1, alarm=alarm)
    with pytest.raises(RpcError, match=r"etcdserver: unknown alarm (type|action)") as refused:
        channel.unary("/etcdserverpb.Maintenance/Alarm", request.SerializeToString())
    assert refused.value.code == 3
    listed = channel.unary("/etcdserverpb.Maintenance/Alarm", b"")
    assert list(pb.AlarmResponse.FromString(listed).alarms) == []


def test_a_range_stream_with_a_target_alone_sorts_each_chunk_as_etcd_does(channel: Channel) -> None:
    """NB: keys come twice there, and some not at all."""
    for number, value in enumerate([7, 5, 9, 4, 8, 0, 1, 11, 3, 2, 10, 6]):
        put = pb.PutRequest(key=b"k%02d" % number, value=b"%02d" % value)
        channel.unary("/etcdserverpb.KV/Put", put.SerializeToString())
    request = pb.RangeRequest(key=b"k", range_end=b"l", sort_target=4).SerializeToString()
    stream = _open(channel, "/etcdserverpb.KV/RangeStream", request)
    chunks = []
    while (message := stream.recv(60)) is not None:
        chunks.append([int(kv.value) for kv in pb.RangeStreamResponse.FromString(message).range_response.kvs])
    # The first 11 keys by value, less the last of them (11); then what lies behind k10, whose value is 10.
    assert chunks == [[0, 1, 2, 3, 4, 5, 7, 8, 9, 10], [6]]
