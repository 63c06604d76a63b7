"""/v2/auth, and what stands before the other requests of the v2 API while its users are in force.

They have nothing to do with those of gRPC: their records are keys of the v2 store (etcdz/v2/auth_records.py), and a
client gives name and password with each request. While the backend says that they are not in force nothing is asked of
it; while it has said nothing, and whenever it is another, it is asked for each request.
"""

from collections.abc import Callable, Generator
from typing import Any, Final

from actors.listener.calls import Calls
from actors.listener.exchange import Exchange
from actors.listener.http_router import ANY, Route
from actors.listener.v2_call import cluster_id_header, give
from actors.listener.v2_flow import CheckedPasswords, Failure, V2Flow
from etcdz.ipc.messages import V2Guard
from etcdz.v2 import errors
from etcdz.v2.answers import HttpAnswer, error_answer, message_answer
from etcdz.v2.auth_access import READS, AuthAccess, Credentials
from etcdz.v2.auth_requests import ENABLE, PREFIX, AuthRequest, AuthRequests, no_auth
from etcdz.v2.auth_store import AuthStore, NodeRefused, Step
from etcdz.v2.errors import V2Error
from etcdz.v2.key_request import PREFIX as KEYS_PREFIX

_PATH: Final = PREFIX.encode()
_NOT_CAPABLE: Final = "Not capable of accessing auth feature during rolling upgrades."
_INTERNAL: Final = 500
_WITHOUT_CLUSTER_ID: Final = (401, 405)

GoOn = Callable[[], None]


class V2Auth:
    """Of one listener. log: its own"""

    def __init__(self, calls: Calls, log: Any) -> None:
        self._calls = calls
        self._checked = CheckedPasswords()
        self._is_guarded = True
        """Whether anybody may have to say who asks."""
        store = AuthStore(log)
        self._access = AuthAccess(store, log)
        self._requests = AuthRequests(store, self._access)

    def on_guard(self, message: V2Guard) -> None:
        self._is_guarded = message.is_on

    def on_backend_gone(self) -> None:
        """The next one may have installed another's state."""
        self._is_guarded = True

    def routes(self) -> list[Route]:
        """What is served here."""
        return [
            Route(_PATH + b"/users", self._serve, methods=ANY),
            Route(_PATH + b"/users/", self._serve, methods=ANY, is_prefix=True),
            Route(_PATH + b"/roles", self._serve, methods=ANY),
            Route(_PATH + b"/roles/", self._serve, methods=ANY, is_prefix=True),
            Route(_PATH + ENABLE.encode(), self._serve, methods=ANY),
        ]

    def _serve(self, exchange: Exchange) -> None:
        if not self._calls.members.known.version:
            give(exchange, message_answer(_INTERNAL, _NOT_CAPABLE))
            return
        asked = exchange.request
        request = AuthRequest(
            asked.method.decode("latin-1"),
            asked.path.decode("utf-8", "replace"),
            asked.query,
            asked.body,
            _credentials_of(exchange),
        )

        def end(outcome: HttpAnswer | Failure) -> None:
            if isinstance(outcome, Failure):
                outcome = message_answer(_INTERNAL, "Internal Server Error")
            more = () if outcome.status in _WITHOUT_CLUSTER_ID else (cluster_id_header(self._calls),)
            give(exchange, outcome, *more)

        self._run(exchange, self._requests.answer(request), end)

    def permit_key(self, exchange: Exchange, is_recursive: bool, go_on: GoOn) -> None:
        """go_on(): now or later, or the request for a key is answered."""
        if not self._is_guarded:
            go_on()
            return
        method = exchange.request.method.decode("latin-1")
        key = exchange.request.path.decode("utf-8", "replace")[len(KEYS_PREFIX) :]

        def end(outcome: bool | NodeRefused | Failure) -> None:
            if outcome is True:
                go_on()
            elif isinstance(outcome, Failure):
                self._refuse_key(exchange, V2Error(errors.RAFT_INTERNAL, outcome.text))
            elif isinstance(outcome, NodeRefused):
                self._refuse_key(exchange, outcome.error)
            else:
                self._refuse_key(exchange, V2Error(errors.UNAUTHORIZED, "Insufficient credentials"))

        may = self._access.may_use(_credentials_of(exchange), key, method not in READS, is_recursive)
        self._run(exchange, _guarded(may), end)

    def permit_root(self, exchange: Exchange, go_on: GoOn) -> None:
        """The same for what changes anything but keys."""
        if not self._is_guarded:
            go_on()
            return

        def end(outcome: bool | NodeRefused | Failure) -> None:
            if outcome is True:
                go_on()
            elif outcome is False:
                give(exchange, no_auth())
            else:
                give(exchange, message_answer(_INTERNAL, "Internal Server Error"))

        self._run(exchange, _guarded(self._access.is_root(_credentials_of(exchange))), end)

    def _run(self, exchange: Exchange, flow: Generator[Step, Any, Any], on_end: Callable[[Any], None]) -> None:
        V2Flow(exchange, self._calls, self._checked, flow, on_end).begin()

    def _refuse_key(self, exchange: Exchange, error: V2Error) -> None:
        give(exchange, error_answer(error), cluster_id_header(self._calls))


def _credentials_of(exchange: Exchange) -> Credentials:
    return Credentials(exchange.request.headers.get(b"authorization", b""), exchange.common_name)


def _guarded(flow: Generator[Step, Any, bool]) -> Generator[Step, Any, bool | NodeRefused]:
    """What the store refuses is no permission."""
    try:
        return (yield from flow)
    except NodeRefused as refused:
        return refused
