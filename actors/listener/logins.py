"""Logins: Authenticate from the client's password to its token.

    PASSWORD_HASH -> backend     linearizable: no login by a password that was changed before
    password against it          in a thread (password_worker.py), with the JWT signed beside
    AUTHENTICATE  -> log         without the password; where it is applied a simple token gets its member-wide row
    again from the start         if users or roles have changed since the hash was read: the password may be another

No password is kept after it was checked, logged, or sent to another process.
Source: etcd 3.5.33 Authenticate, texts included.
"""

import secrets
import string
import time
from collections.abc import Container, Mapping
from typing import Any, Final

from actors.listener.auth_news import AuthNews
from actors.listener.call import Begin, Caller, ForClient, Routes, asker_of
from actors.listener.password_worker import PasswordWorker, is_password, nobodys_hash
from actors.listener.tokens import Tokens
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code, EtcdError
from etcdz.api.methods import AUTHENTICATE, PASSWORD_HASH
from etcdz.auth.questions import HASHED, NO_PASSWORD, PasswordHash
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import bytes_field
from etcdz.proto.tags import AUTHENTICATE_NAME, AUTHENTICATE_SIMPLE_TOKEN
from etcdz.proto.text import decode_text, encode_text

NO_PASSWORD_USER: Final = "auth: authentication failed, password was given for no password user"
_WRONG: Final = "auth: authentication failed, invalid user ID or password"
"""As it is logged; clients are told etcd's text for them."""
_LETTERS: Final = string.ascii_letters
_PREFIX_LETTERS: Final = 16


class Logins:
    """All of one listener. begin: by method: how its calls begin"""

    def __init__(
        self, routes: Routes, worker: PasswordWorker, news: AuthNews, tokens: Tokens, cost: int, log: Any
    ) -> None:
        """cost: of --bcrypt-cost"""
        self.routes = routes
        self.worker = worker
        self.news = news
        self.tokens = tokens
        self.nobodys_hash = nobodys_hash(cost)
        self.log = log
        self._under_way: dict[Caller, set[Login]] = {}
        """By client."""
        self.begin: dict[int, Begin] = {AUTHENTICATE: self._authenticate}

    def _authenticate(self, caller: Caller, stream_id: int, body: bytes, auth: AuthInfo | None) -> EtcdError | None:
        """NB: whoever logs in need not be anybody yet, so that a token that comes along is not looked at."""
        request = pb.AuthenticateRequest.FromString(body)
        password = encode_text(decode_text(request.password))
        login = Login(self, caller, stream_id, decode_text(request.name), password)
        self._under_way.setdefault(login.client, set()).add(login)
        login.read_hash()
        return None

    def note_refused(self, username: str, error: str) -> None:
        """One that was asked for in this name."""
        self.log.warn("invalid authentication was requested", user=username, error=error)

    def forget(self, login: "Login") -> None:
        """It is answered."""
        own = self._under_way.get(login.client)
        if own is not None:
            own.discard(login)
            if not own:
                del self._under_way[login.client]

    def cancel(self, given_up: Mapping[Caller, Container[int]]) -> None:
        """Clients have given up these calls, by stream: no password is checked for them."""
        for caller, stream_ids in given_up.items():
            for login in list(self._under_way.get(asker_of(caller), ())):
                if login.caller is caller and login.stream_id in stream_ids:
                    login.give_up()


class Login(ForClient):
    """One that is under way: the Caller of what it asks, and the Job of its password."""

    __slots__ = ("_checked", "_logins", "_password", "_signed", "_step", "caller", "is_wanted", "stream_id", "username")

    def __init__(self, logins: Logins, caller: Caller, stream_id: int, username: str, password: bytes) -> None:
        self._logins = logins
        self.caller = caller
        self.stream_id = stream_id
        self.username = username
        self._password = password
        self._checked: PasswordHash | None = None
        self._signed = ""
        self._step = PASSWORD_HASH
        self.is_wanted = True

    @property
    def client(self) -> Caller:
        return asker_of(self.caller)

    def give_up(self) -> None:
        """Nobody waits for it any more."""
        self.is_wanted = False
        self._end()

    def flush(self) -> None:
        self.caller.flush()

    def read_hash(self) -> None:
        """The first step, and again the first one if the auth store has changed meanwhile."""
        self._step = PASSWORD_HASH
        self._logins.routes.read(self, 0, PASSWORD_HASH, encode_text(self.username), True, None)

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        """The answer to what it has asked."""
        if not self.is_wanted:
            return
        if code:
            self._answer(code, body)
        elif self._step == PASSWORD_HASH:
            self._check(PasswordHash.decode(body))
        else:
            self._on_applied(body)

    def _check(self, found: PasswordHash) -> None:
        self._checked = found
        if found.kind == NO_PASSWORD:
            self._logins.note_refused(self.username, NO_PASSWORD_USER)
            self._answer(Code.UNKNOWN, NO_PASSWORD_USER.encode())
        elif not self._logins.worker.submit(self):
            self._refuse(errors.REQUEST_TOO_MANY_REQUESTS)

    # ---- the job ----

    def work(self) -> str | EtcdError | None:
        """The JWT, or "" if the token is made where it is applied; an error; None: the password is wrong."""
        found = self._checked
        assert found is not None
        is_right = is_password(self._password, found.hash if found.kind == HASHED else self._logins.nobodys_hash)
        if not is_right or found.kind != HASHED:
            return None
        tokens = self._logins.tokens
        if tokens.signed is None:
            return "" if tokens.has_simple else errors.AUTH_FAILED
        try:
            return tokens.signed.sign(self.username, found.revision, time.time())
        except Exception as error:
            return EtcdError("SigningFailed", Code.UNKNOWN, str(error))

    def on_worked(self, result: str | EtcdError | None) -> None:
        logins, now = self._logins, time.monotonic()
        if result is None:
            logins.worker.backoff.note_wrong(self.username, now)
            if self._checked is not None and self._checked.kind == HASHED:
                logins.log.info("invalid password", user_name=self.username)
            logins.note_refused(self.username, _WRONG)
            self._refuse(errors.AUTH_FAILED)
        elif isinstance(result, EtcdError):
            self._refuse(result)
        elif self.is_wanted:
            logins.worker.backoff.note_right(self.username)
            self._propose(result)
        self.flush()

    def give_place(self) -> None:
        self._refuse(errors.REQUEST_TOO_MANY_REQUESTS)
        self.flush()

    # ---- the token ----

    def _propose(self, signed: str) -> None:
        self._step = AUTHENTICATE
        self._signed = signed
        prefix = "" if signed else "".join([secrets.choice(_LETTERS) for _ in range(_PREFIX_LETTERS)])
        request = bytes_field(AUTHENTICATE_NAME, encode_text(self.username))
        request += bytes_field(AUTHENTICATE_SIMPLE_TOKEN, prefix.encode())
        error = self._logins.routes.propose(self, 0, AUTHENTICATE, request, None)
        if error is not None:
            self._refuse(error)

    def _on_applied(self, body: bytes) -> None:
        """NB: news of users and roles come before the replies of the entries that have changed them."""
        assert self._checked is not None
        if self._checked.revision != self._logins.news.access.revision:
            self.read_hash()
            return
        if self._signed:
            response = pb.AuthenticateResponse.FromString(body)
            response.token = self._signed
            body = response.SerializeToString()
        self._answer(Code.OK, body)

    # ---- the answer ----

    def _refuse(self, error: EtcdError) -> None:
        self._answer(error.code, error.text.encode())

    def _answer(self, code: int, body: bytes) -> None:
        if self.is_wanted:
            self.is_wanted = False
            self._end()
            self.caller.reply(self.stream_id, code, body)

    def _end(self) -> None:
        self._password = b""
        self._logins.forget(self)
