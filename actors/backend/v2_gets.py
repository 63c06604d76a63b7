"""Gets of the v2 API: of a file at once, of a directory step by step, of the tree as it is when the get begins.

What a member reads by itself is begun by `Reads` as ranges are. A quorum get is an entry of the log: its moment is the
one at which it is applied, and what cannot be written at once is left for the slices between the turns.
"""

import time
from typing import Final

from actors.backend.auth_reads import BeginRead, Reader
from actors.backend.raft_link import RaftLink
from actors.backend.reads import SHORT_BYTES_MAX, SHORT_S
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code, EtcdError
from etcdz.api.methods import V2_GET
from etcdz.mvcc.answer import Answer
from etcdz.mvcc.mvcc import Reading
from etcdz.mvcc.steps import Steps
from etcdz.proto import etcdserverpb as pb
from etcdz.v2.answers import Found, Position, encode_head, encode_result
from etcdz.v2.applying import text
from etcdz.v2.errors import V2Error
from etcdz.v2.listing import Listing
from etcdz.v2.store import KEYS, V2Store

_NAMESPACE: Final = len(KEYS)
_NO_PIN: Final = 1 << 63
"""Above all revisions: no compaction takes anything from these."""
_END: Final = object()


class V2Gets:
    """Of one store."""

    def __init__(self, store: V2Store, raft: RaftLink, answer_bytes_max: int) -> None:
        self._store = store
        self._raft = raft
        self._bytes_max = answer_bytes_max

    def readers(self) -> dict[int, Reader]:
        """Method tag -> what answers it at once."""
        return {V2_GET: self._get}

    def begin(self) -> dict[int, BeginRead]:
        """Method tag -> how it begins otherwise."""
        return {V2_GET: self._begin}

    def answer(self, found: Found, request: pb.Request) -> bytes | Reading:
        """What has come of an entry. return its answer, or what is left to be read of it"""
        if not isinstance(found, Listing) or not found.node.is_dir:
            return self._encode(found, request)
        reading = self._reading(found, request, is_counted=True)
        until = time.monotonic() + SHORT_S
        while time.monotonic() < until and reading.answer.size <= SHORT_BYTES_MAX:
            if next(reading.steps, _END) is _END:
                return reading.answer.join()
        return reading

    def _encode(self, found: Found, request: pb.Request) -> bytes:
        return encode_result(found, self._position(), text(request.Path)[:_NAMESPACE])

    def _position(self) -> Position:
        return Position(self._raft.applied_index, self._raft.applied_term)

    def _get(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes] | None:
        """body: encoded etcdserverpb.Request"""
        request = pb.Request.FromString(body)
        found = self._find(request)
        if isinstance(found, Listing) and found.node.is_dir:
            return None
        self._count(request, found)
        return Code.OK, self._encode(found, request)

    def _begin(self, body: bytes, auth: AuthInfo | None) -> Reading | EtcdError:
        """NB: counted when it is at its end, as what turns out to be long is begun again."""
        request = pb.Request.FromString(body)
        return self._reading(self._find(request), request, is_counted=False)

    def _find(self, request: pb.Request) -> Listing | V2Error:
        return self._store.find(request.Path, request.Recursive, request.Sorted, time.time_ns())

    def _count(self, request: pb.Request, found: Listing | V2Error) -> None:
        self._store.statistics.count_get(request.Recursive, isinstance(found, Listing))

    def _reading(self, found: Listing | V2Error, request: pb.Request, is_counted: bool) -> Reading:
        answer = Answer(self._bytes_max)
        steps = self._steps(found, request, self._position(), answer, is_counted)
        return Reading(steps, answer, _NO_PIN, streams=False)

    def _steps(
        self, found: Listing | V2Error, request: pb.Request, position: Position, answer: Answer, is_counted: bool
    ) -> Steps[EtcdError | None]:
        if isinstance(found, Listing):
            yield from _write(found, position, answer)
        else:
            answer.add(self._encode(found, request))
        if not is_counted:
            self._count(request, found)
        return None


def _write(found: Listing, position: Position, answer: Answer) -> Steps[None]:
    """As encode_result, whose head says how long the body is."""
    place = answer.open()
    for piece in found.pieces(_NAMESPACE):
        answer.add(piece.encode())
        yield
    answer.add(b"\n")
    answer.fill(place, encode_head(200, found.store_index, position, answer.size - place[1]))
