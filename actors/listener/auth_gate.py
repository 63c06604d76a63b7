"""What stands before calls while auth is on: who is known to be refused is refused here, as the backend would do it.

    go on      admins, and whoever is judged by keys: that is the backend's, with the auth store as of its turn
    refused    nobody; a token that is none; one that is older than the auth store; who must be an admin and is not

What is known here may be a moment old: a role may have been granted through another listener, a token given by another
member. So before anybody is refused the backend is asked once (TOKEN_OWNER), and all that it had to say of users and
tokens comes before its answer. For a token it answers when it has applied the entry that gave it. What is held
meanwhile is bounded, and who is held for longest is refused for whoever comes beyond that: an answer is there in
milliseconds, unless the index in a token was made up.
"""

from collections.abc import Callable, Container, Mapping
from typing import Final, Protocol

from actors.listener.auth_news import AuthNews
from actors.listener.call import Caller, ForClient, GoOn, asker_of
from actors.listener.identities import Identities, UnknownToken
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code, EtcdError
from etcdz.api.methods import DELETE_RANGE, PUT, RANGE, RANGE_CHUNK, TXN
from etcdz.auth.calls import refusal
from etcdz.auth.questions import Owner

HELD_MAX: Final = 1_024
HELD_EACH: Final = 128
"""Of one client. Beyond it, who would be held is refused."""

_OF_KEYS: Final = frozenset((PUT, DELETE_RANGE, TXN, RANGE, RANGE_CHUNK))
"""Judged by the keys they touch."""

_READS: Final = frozenset((RANGE, RANGE_CHUNK))
"""Judged by the backend alone, behind the read index: auth may have been disabled at another member by then."""

Ask = Callable[[Caller, bytes, int], int]
"""(who is answered, token or nothing, index): asks the backend whose token that is, once it has applied index. return
the question's request id"""


class AuthGate:
    """Of one listener."""

    def __init__(
        self, news: AuthNews, identities: Identities, ask: Ask, take_back: Callable[[int], None] = lambda _: None
    ) -> None:
        """take_back: nobody waits any more for the answer to the question with this request id"""
        self._news = news
        self.identities = identities
        self._ask = ask
        self._take_back = take_back
        self._held: dict[Caller, set[_Held]] = {}
        """By client."""
        self._questions: dict[_Held, int] = {}
        """Request ids. Invariant: of all that are held, who is held for longest first."""

    def is_admin(self, auth: AuthInfo) -> bool:
        """As far as is known here."""
        return self._news.access.check_admin(auth) is None

    def judge(self, method: int, body: bytes, auth: AuthInfo) -> EtcdError | None:
        """Why a call would be refused. auth: of Identities"""
        if type(auth) is UnknownToken:
            return errors.INVALID_AUTH_TOKEN
        if method in _READS:
            return None
        access = self._news.access
        if method not in _OF_KEYS:
            return refusal(access, method, body, auth)
        if auth.revision >= access.revision or not access.enabled or not body:
            return None  # NB: a transaction of nothing touches no key
        return errors.AUTH_OLD_REVISION if auth.revision else errors.USER_EMPTY

    def permit(
        self, caller: Caller, stream_id: int, method: int, body: bytes, auth: AuthInfo | None, go_on: GoOn
    ) -> EtcdError | None:
        """Goes on at once, or when the backend has been asked, or answers the caller. return as Begin"""
        if auth is not None and self.holds(caller, stream_id, method, body, auth, go_on):
            return None
        return go_on(auth)

    def holds(self, caller: Caller, stream_id: int, method: int, body: bytes, auth: AuthInfo, go_on: GoOn) -> bool:
        """Whether a call is refused as far as is known here: then it goes on, or is answered, when the backend has been
        asked."""
        if self.judge(method, body, auth) is None:
            return False
        self.hold(caller, stream_id, method, body, auth, go_on)
        return True

    def hold(self, caller: Caller, stream_id: int, method: int, body: bytes, auth: AuthInfo, go_on: GoOn) -> None:
        """For a call that `judge` has refused: refused as well by what the backend knows, or goes on."""
        held = _Held(self, caller, stream_id, method, body, auth, go_on)
        token, index = (auth.token, auth.raft_index) if isinstance(auth, UnknownToken) else ("", 0)
        own = self._held.get(held.client, ())
        if len(own) >= HELD_EACH or (isinstance(auth, UnknownToken) and not token):
            self._refuse(held)
            return
        if len(self._questions) >= HELD_MAX:
            self._give_up(longest := next(iter(self._questions)))
            self._refuse(longest)
            longest.flush()
        self._held.setdefault(held.client, set()).add(held)
        self._questions[held] = self._ask(held, token.encode(), index)

    def _refuse(self, held: "_Held") -> None:
        """By what is known here."""
        held.refuse(self.judge(held.method, held.body, held.auth) or errors.REQUEST_TOO_MANY_REQUESTS)

    def release(self, held: "_Held") -> bool:
        """The backend has answered. return whether it is held: else nobody waits for it"""
        if self._questions.pop(held, None) is None:
            return False
        own = self._held[held.client]
        own.discard(held)
        if not own:
            del self._held[held.client]
        return True

    def cancel(self, given_up: Mapping[Caller, Container[int]]) -> None:
        """Clients have given up these calls, by stream: none goes on."""
        for caller, stream_ids in given_up.items():
            for held in list(self._held.get(asker_of(caller), ())):
                if held.caller is caller and held.stream_id in stream_ids:
                    self._give_up(held)

    def _give_up(self, held: "_Held") -> None:
        question = self._questions[held]
        self.release(held)
        self._take_back(question)


class StreamCall(Protocol):
    """What the gate needs of a streaming call."""

    @property
    def connection(self) -> Caller: ...
    def finish(self, code: int = 0, text: str = "") -> None: ...
    def flush(self) -> None: ...


class StreamCaller(ForClient):
    """A streaming call as a caller: it ends when it is refused."""

    __slots__ = ("_call",)

    def __init__(self, call: StreamCall) -> None:
        self._call = call

    @property
    def client(self) -> Caller:
        return self._call.connection

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        self._call.finish(code, body.decode())

    def flush(self) -> None:
        self._call.flush()


class _Held(ForClient):
    """A call that waits for what the backend says of who asks. Invariant: released once, by its answer."""

    __slots__ = ("_gate", "_go_on", "auth", "body", "caller", "method", "stream_id")

    def __init__(
        self,
        gate: AuthGate,
        caller: Caller,
        stream_id: int,
        method: int,
        body: bytes,
        auth: AuthInfo,
        go_on: GoOn,
    ) -> None:
        self._gate = gate
        self.caller = caller
        self.stream_id = stream_id
        self.method = method
        self.body = body
        self.auth = auth
        self._go_on = go_on

    @property
    def client(self) -> Caller:
        return asker_of(self.caller)

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """Whose token it is; an error if the backend has not answered in time."""
        if not self._gate.release(self):
            return
        auth = self.auth
        if isinstance(auth, UnknownToken):
            owner = Owner.decode(body).username if code == Code.OK else ""
            auth = self._gate.identities.owner(owner) if owner else self._gate.identities.refuse(auth.token.encode())
        error = self._gate.judge(self.method, self.body, auth)
        if error is None:
            error = self._go_on(auth)
        if error is not None:
            self.refuse(error)

    def refuse(self, error: EtcdError) -> None:
        self.caller.reply(self.stream_id, error.code, error.text.encode())

    def flush(self) -> None:
        self.caller.flush()
