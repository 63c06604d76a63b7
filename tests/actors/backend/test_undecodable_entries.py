"""A committed entry that cannot be applied ends the member, loudly, and nothing is applied after it."""

from collections.abc import Callable

import pytest

from actors.backend.actor import ENTRY_CONF_CHANGE, ENTRY_CONF_CHANGE_V2, ENTRY_NORMAL
from actors.runtime.loop import FatalError
from etcdz.cluster.membership import attributes_request, conf_change
from etcdz.ipc.messages import Apply, BackendHello
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import raftpb
from tests.actors.backend.started import RAFT, TERM, Entries, Started

Start = Callable[..., Started]
HEADER = pb.RequestHeader(ID=5)
ADD = raftpb.ConfChangeType.ConfChangeAddNode


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (ENTRY_NORMAL, b"\x08"),
        (ENTRY_NORMAL, b"\xff\xff"),
        (ENTRY_NORMAL, b"\x08\x09\x12\x03BAD"),
        (ENTRY_NORMAL, pb.InternalRaftRequest(header=HEADER).SerializeToString() + b"\xc2\x57\x00"),
        (ENTRY_NORMAL, attributes_request(1, 99, "a member that the cluster never had", [])),
        (ENTRY_NORMAL, pb.Request(ID=1, Method="PUT", Path="/0/members/9/attributes", Val="[1").SerializeToString()),
        (ENTRY_CONF_CHANGE, b"\xff\xff"),
        (ENTRY_CONF_CHANGE, conf_change(ADD, 7, b"no JSON")),
        (ENTRY_CONF_CHANGE, conf_change(ADD, 7, b"[]")),
        (ENTRY_CONF_CHANGE, conf_change(ADD, 7, b'{"id":8,"peerURLs":["http://a:1"]}')),
        (ENTRY_CONF_CHANGE_V2, b""),
    ],
)
def test_it_is_named_with_the_way_out_and_nothing_is_skipped(start: Start, kind: int, data: bytes) -> None:
    one, entries = start(), Entries()
    one.turn(BackendHello(RAFT))
    (_, before), (_, after) = entries.put(b"before"), entries.put(b"after")
    one.turn(Apply(RAFT, 1, TERM, [before], b""))
    kinds = bytes([ENTRY_NORMAL, kind, ENTRY_NORMAL])
    with pytest.raises(FatalError, match=r"cannot apply entry 3 of term 3, which is committed: .*snapshot restore"):
        one.hand(Apply(RAFT, 2, TERM, [before, data, after], kinds))
    again = start()
    assert again.actor.mvcc.state.consistent_index == 1, "the next process is handed it again"
