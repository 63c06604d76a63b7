"""A login: hash, check, entry; and again when the password may be another by then."""

from types import SimpleNamespace
from typing import Any

import pytest

from actors.listener.auth_news import AuthNews
from actors.listener.logins import NO_PASSWORD_USER, Logins
from actors.listener.password_worker import hash_password
from actors.listener.tokens import Tokens
from etcdz.api import errors
from etcdz.api.methods import AUTHENTICATE, PASSWORD_HASH
from etcdz.auth.questions import HASHED, NO_PASSWORD, UNKNOWN, PasswordHash
from etcdz.ipc.messages import AuthState
from etcdz.proto import etcdserverpb as pb

HASH = hash_password(b"right", 4)


class Worker:
    """Works at once, when told to."""

    def __init__(self) -> None:
        self.jobs: list[Any] = []
        self.is_full = False
        self.backoff = SimpleNamespace(note_wrong=lambda name, now: None, note_right=lambda name: None)

    def submit(self, job: Any) -> bool:
        self.jobs.append(job)
        return not self.is_full

    def work(self) -> None:
        job = self.jobs.pop(0)
        job.on_worked(job.work())


class World:
    def __init__(self, tokens: Tokens = Tokens(has_simple=True)) -> None:  # noqa: B008
        self.news = AuthNews()
        self.read: list[Any] = []
        self.proposed: list[Any] = []
        self.answers: list[tuple[int, bytes]] = []
        self.told: list[str] = []
        self.warnings: list[str] = []
        self.worker = Worker()
        routes: Any = SimpleNamespace(
            read=lambda caller, _, method, body, linearizable, auth: self.read.append(
                (caller, method, body, linearizable)
            ),
            propose=lambda caller, _, method, body, auth: self.proposed.append((caller, method, body)),
        )
        log = SimpleNamespace(
            info=lambda msg, **fields: self.told.append(f"{msg} {fields}"),
            warn=lambda msg, **fields: self.warnings.append(f"{msg} {fields}"),
        )
        self.logins = Logins(routes, self.worker, self.news, tokens, 4, log)  # type: ignore[arg-type]
        self.at_revision(5)

    def at_revision(self, revision: int) -> None:
        self.news.on_state(AuthState(1, 9, True, revision, [], []))

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        self.answers.append((code, body))

    def flush(self) -> None:
        pass

    def log_in(self, password: str = "right") -> None:
        request = pb.AuthenticateRequest(name="u", password=password)
        assert self.logins.begin[AUTHENTICATE](self, 1, request.SerializeToString(), None) is None

    def tell_hash(self, kind: int = HASHED, revision: int = 5) -> None:
        caller, method, body, linearizable = self.read.pop()
        assert (method, body, linearizable) == (PASSWORD_HASH, b"u", True)
        caller.reply(0, 0, PasswordHash(revision, kind, HASH if kind == HASHED else b"").encode())

    def apply(self, token: str = "") -> pb.InternalAuthenticateRequest:
        caller, method, body = self.proposed.pop()
        assert method == AUTHENTICATE
        request = pb.InternalAuthenticateRequest.FromString(body)
        caller.reply(0, 0, pb.AuthenticateResponse(token=token or f"{request.simple_token}.9").SerializeToString())
        return request


def refused(error: Any) -> list[tuple[int, bytes]]:
    return [(error.code, error.text.encode())]


def test_the_entry_has_a_prefix_and_no_password() -> None:
    world = World()
    world.log_in()
    world.tell_hash()
    world.worker.work()
    request = world.apply()
    assert (request.name, request.password) == ("u", "") and len(request.simple_token) == 16
    [(code, body)] = world.answers
    assert code == 0 and pb.AuthenticateResponse.FromString(body).token == f"{request.simple_token}.9"


def test_a_change_of_users_meanwhile_has_the_password_checked_again() -> None:
    world = World()
    world.log_in()
    world.tell_hash()
    world.worker.work()
    world.at_revision(6)
    world.apply()
    assert world.answers == []
    world.tell_hash(revision=6)
    world.worker.work()
    world.apply()
    assert [code for code, _ in world.answers] == [0]


def test_a_wrong_password_and_an_unknown_user_are_one_error_and_take_a_check_each() -> None:
    for kind, password in ((HASHED, "wrong"), (UNKNOWN, "right")):
        world = World()
        world.log_in(password)
        world.tell_hash(kind)
        assert len(world.worker.jobs) == 1
        world.worker.work()
        assert world.answers == refused(errors.AUTH_FAILED) and world.proposed == []
        assert password not in world.warnings[0]
        assert world.told == (["invalid password {'user_name': 'u'}"] if kind == HASHED else [])


def test_a_user_without_a_password_has_none_that_is_right() -> None:
    world = World()
    world.log_in()
    world.tell_hash(NO_PASSWORD)
    assert world.answers == [(errors.Code.UNKNOWN, NO_PASSWORD_USER.encode())]
    assert NO_PASSWORD_USER in world.warnings[0]


def test_while_too_many_wait_more_are_refused() -> None:
    world = World()
    world.worker.is_full = True
    world.log_in()
    world.tell_hash()
    assert world.answers == refused(errors.REQUEST_TOO_MANY_REQUESTS)


def test_for_a_client_that_has_gone_nothing_is_checked_or_proposed() -> None:
    world = World()
    world.log_in()
    world.tell_hash()
    world.logins.cancel({world: {1}})  # type: ignore[dict-item]
    assert not world.worker.jobs[0].is_wanted
    world.worker.work()
    assert (world.proposed, world.answers) == ([], [])


def test_an_error_of_the_backend_is_the_clients() -> None:
    world = World()
    world.log_in()
    world.read.pop()[0].reply(0, errors.AUTH_NOT_ENABLED.code, errors.AUTH_NOT_ENABLED.text.encode())
    assert world.answers == refused(errors.AUTH_NOT_ENABLED)


class Signed:
    def sign(self, username: str, revision: int, now_s: float) -> str:
        return f"{username} at {revision}"

    def verify(self, token: bytes, now_s: float) -> Any:
        raise NotImplementedError


class VerifyOnly(Signed):
    def sign(self, username: str, revision: int, now_s: float) -> str:
        raise ValueError("auth: token signing attempted with verify-only key")


def test_a_signed_token_is_of_the_revision_of_the_check() -> None:
    world = World(Tokens(False, Signed()))
    world.log_in()
    world.tell_hash()
    world.worker.work()
    assert world.apply("what the entry gives").simple_token == ""
    assert pb.AuthenticateResponse.FromString(world.answers[0][1]).token == "u at 5"


@pytest.mark.parametrize(
    ("tokens", "answer"),
    [
        (Tokens(False, VerifyOnly()), (errors.Code.UNKNOWN, b"auth: token signing attempted with verify-only key")),
        (Tokens(False), refused(errors.AUTH_FAILED)[0]),
    ],
)
def test_without_a_way_to_give_tokens_nobody_logs_in(tokens: Tokens, answer: tuple[int, bytes]) -> None:
    world = World(tokens)
    world.log_in()
    world.tell_hash()
    world.worker.work()
    assert world.answers == [answer] and world.proposed == []
