"""What stands before all calls while this member is a learner: it may be far behind, and has no vote.

Status and serializable ranges are answered, and snapshots, as from any member; everything else is refused with an error
on which clients try another member. What other members ask over HTTP and what the listener asks itself goes past here.
Source: etcd 3.5 v3rpc interceptors.
"""

from collections.abc import Mapping
from typing import Final

from actors.listener.call import Begin, Caller
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import NOT_SUPPORTED_FOR_LEARNER, EtcdError
from etcdz.api.methods import RANGE, SNAPSHOT, STATUS
from etcdz.proto import etcdserverpb as pb

STREAMS_SERVED: Final = frozenset((SNAPSHOT,))


def behind_learner_gate(begin: Mapping[int, Begin]) -> dict[int, Begin]:
    """How unary calls begin at a learner. begin: how they do elsewhere, by method"""

    def begin_range(caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        if not pb.RangeRequest.FromString(body).serializable:
            return NOT_SUPPORTED_FOR_LEARNER
        return begin[RANGE](caller, stream_id, body, auth)

    return {**dict.fromkeys(begin, _refuse), STATUS: begin[STATUS], RANGE: begin_range}


def _refuse(caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
    return NOT_SUPPORTED_FOR_LEARNER
