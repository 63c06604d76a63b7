"""Users and roles of the v2 API on a store without a log: every step of a flow is done at once."""

from collections.abc import Callable, Generator
from types import SimpleNamespace
from typing import Any

from etcdz.proto import etcdserverpb as pb
from etcdz.v2 import applying
from etcdz.v2.answers import HttpAnswer, Position, decode_result, encode_result
from etcdz.v2.auth_access import READS, AuthAccess, Credentials
from etcdz.v2.auth_requests import AuthRequest, AuthRequests
from etcdz.v2.auth_store import AuthStore, Check, Get, Hash, Step
from etcdz.v2.store import AUTH, V2Store

SILENT = SimpleNamespace(info=lambda msg, **fields: None, warn=lambda msg, **fields: None)


class AuthCore:
    """steps: of all flows, in order. found_in, request_of: of the listener"""

    def __init__(self, store: V2Store, request_of: Callable[[int, Step], Any], found_in: Callable[[Any], Any]) -> None:
        self.store = store
        self.steps: list[Step] = []
        self._request_of = request_of
        self._found_in = found_in
        auth_store = AuthStore(SILENT)
        self.access = AuthAccess(auth_store, SILENT)
        self._requests = AuthRequests(auth_store, self.access)

    def run(self, flow: Generator[Step, Any, Any]) -> Any:
        told: Any = None
        while True:
            try:
                step = flow.send(told)
            except StopIteration as end:
                return end.value
            self.steps.append(step)
            told = self._do(step)

    def _do(self, step: Step) -> Any:
        if isinstance(step, Hash):
            return f"<{step.password}>"
        if isinstance(step, Check):
            return step.hashed == f"<{step.password.decode()}>"
        request = self._request_of(1, step)
        request = pb.Request.FromString(request.SerializeToString())
        if isinstance(step, Get) and not step.is_quorum:
            found: Any = self.store.get(request.Path, request.Recursive, request.Sorted, 0)
        else:
            found = applying.apply(self.store, request, 0)
        return self._found_in(decode_result(encode_result(found, Position(1, 2), AUTH)))

    def ask(self, method: str, target: str, body: str = "", authorization: str = "", cn: str = "") -> HttpAnswer:
        """As over HTTP."""
        path, _, query = target.partition("?")
        by = Credentials(authorization.encode(), cn)
        answer: HttpAnswer = self.run(
            self._requests.answer(AuthRequest(method, path, query.encode(), body.encode(), by))
        )
        return answer

    def may(self, method: str, key: str, authorization: str = "", cn: str = "", is_recursive: bool = False) -> bool:
        by = Credentials(authorization.encode(), cn)
        return bool(self.run(self.access.may_use(by, key, method not in READS, is_recursive)))
