"""The endpoints that members advertise, taken again and again, so that a client follows a cluster whose members change.

Learners are left out, and members that have not started yet have no URLs. If nobody answers, or nothing is left, the
endpoints stay as they are. Source: etcd 3.5 clientv3, autoSync.
"""

from typing import Any

from etcdz.client import methods
from etcdz.client.endpoints import Endpoint, parse_endpoint
from etcdz.client.host import Host
from etcdz.client.pending import Call


class MemberSync:
    """One client's. every_s: from an answer to the next question"""

    def __init__(self, core: Host, every_s: float) -> None:
        self._core = core
        self._every_s = every_s
        core.after(every_s, self._ask)

    def _ask(self) -> None:
        if self._core.closed:
            return
        call = self._core.call(methods.MEMBER_LIST, b"")
        call.tell = lambda: self._on_answer(call)
        if call.done:
            self._on_answer(call)

    def _on_answer(self, call: Call) -> None:
        if self._core.closed:
            return
        if call.error is None and call.value is not None:
            found = advertised(call.value)
            if found and set(found) != set(self._core.options.endpoints):
                self._core.set_endpoints(found)
        self._core.after(self._every_s, self._ask)


def advertised(message: bytes) -> tuple[Endpoint, ...]:
    """Of all members in a MemberListResponse. Nothing if it is none; URLs that are no good are left out."""
    from google.protobuf.message import DecodeError

    from etcdz.proto import etcdserverpb as pb

    try:
        members: Any = pb.MemberListResponse.FromString(message).members
    except DecodeError:
        return ()
    found: dict[Endpoint, None] = {}
    for url in [url for member in members if not member.isLearner for url in member.clientURLs]:
        try:
            found[parse_endpoint(url)] = None
        except ValueError:
            continue
    return tuple(found)
