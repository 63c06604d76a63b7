"""Who asks, and who is refused before the backend is asked to judge."""

from typing import Any

import pytest

from actors.listener import auth_gate, identities
from actors.listener.auth_gate import AuthGate
from actors.listener.auth_news import AuthNews
from actors.listener.identities import NOBODY, Credentials, UnknownToken, credentials_of
from etcdz.api import errors
from etcdz.api.auth_info import AuthInfo
from etcdz.api.methods import AUTH_STATUS, DEFRAGMENT, MEMBER_LIST, PUT, RANGE, TXN
from etcdz.auth.questions import Owner
from etcdz.ipc.messages import AuthState, AuthTokens
from tests.actors.listener.host import make_gate

TOKEN = "abcdefghijklmnop.7"
REVISION = 5


def news_of(*admins: str, revision: int = REVISION, enabled: bool = True) -> AuthState:
    users = [("root", ["root"]), ("u", ["u"]), *((name, ["root"]) for name in admins)]
    return AuthState(1, 9, enabled, revision, users, [("u", [(0, b"foo", b"")])])


class Client:
    def __init__(self) -> None:
        self.answers: list[tuple[int, int, bytes]] = []

    def reply(self, stream_id: int, code: int, body: bytes) -> None:
        self.answers.append((stream_id, code, body))

    def flush(self) -> None:
        pass


class World:
    def __init__(self) -> None:
        self.news = AuthNews()
        self.asked: list[Any] = []
        self.taken_back: list[int] = []
        self.gate: AuthGate = make_gate(self.news, self.asked, self.taken_back)
        self.client = Client()
        self.gone_on: list[AuthInfo | None] = []
        self.tell(news_of())

    def tell(self, state: AuthState) -> None:
        self.news.on_state(state)
        self.gate.identities.on_news()

    def give(self, token: str, username: str) -> None:
        self.news.on_tokens(AuthTokens(1, 9, [], [(token, username)]))

    def who(self, common_name: str = "", **metadata: str) -> AuthInfo:
        given = {name.replace("_", "-").encode(): value.encode() for name, value in metadata.items()}
        return self.gate.identities.of_call(given, common_name)

    def permit(self, method: int, auth: AuthInfo | None, body: bytes = b"x", stream_id: int = 1) -> Any:
        return self.gate.permit(self.client, stream_id, method, body, auth, self.go_on)

    def go_on(self, auth: AuthInfo | None) -> None:
        self.gone_on.append(auth)

    def answer(self, username: str = "") -> None:
        """The backend's, to the question that was asked first."""
        held, _, _ = self.asked.pop(0)
        held.reply(0, 0, Owner(9, username).encode())


@pytest.fixture
def world() -> World:
    return World()


# ---- who asks ----


def test_a_token_is_its_user_at_this_revision(world: World) -> None:
    world.give(TOKEN, "u")
    expected = AuthInfo("u", REVISION)
    assert (
        world.who(token=TOKEN)
        == world.who(authorization=TOKEN)
        == world.who(authorization=f"Bearer {TOKEN}")
        == expected
    )
    assert world.who(token=f"{TOKEN},other") == expected
    world.tell(news_of(revision=6))
    assert world.who(token=TOKEN) == AuthInfo("u", 6)


def test_a_token_lives_on_by_its_use(world: World) -> None:
    world.give(TOKEN, "u")
    for _ in range(2):  # it is looked up, and then remembered
        world.who(token=TOKEN)
        used = world.news.take_used()
        assert used is not None and used.tokens == [TOKEN]
    assert world.news.take_used() is None


def test_a_token_that_is_gone_is_not_remembered(world: World) -> None:
    world.give(TOKEN, "u")
    world.who(token=TOKEN)
    world.news.on_tokens(AuthTokens(1, 10, [TOKEN], []))
    world.gate.identities.on_news()
    assert isinstance(world.who(token=TOKEN), UnknownToken)


@pytest.mark.parametrize(
    "token", ["", "a", ".7", "a.", "a.b", "a.7.7", "a.-7", "a.٣", f"a.{1 << 64}", "a." + "9" * 500, "Bearer", "é.7"]
)
def test_what_is_no_token_is_nobodys_whoever_is_asked(world: World, token: str) -> None:
    who = world.who("u", token=token)
    assert isinstance(who, UnknownToken) and who.token == ""
    world.permit(RANGE, who)
    assert world.client.answers == [(1, errors.INVALID_AUTH_TOKEN.code, errors.INVALID_AUTH_TOKEN.text.encode())]
    assert world.asked == []


def test_a_certificate_names_a_user_unless_there_is_a_token_or_a_gateway(world: World) -> None:
    assert world.who("u") == AuthInfo("u", REVISION)
    assert isinstance(world.who("u", token="unknown.7"), UnknownToken)
    assert world.who("u", grpcgateway_accept="json") is NOBODY


def test_no_token_and_no_name_are_nobody(world: World) -> None:
    assert world.who("") is NOBODY


def test_a_stream_keeps_its_credentials_and_is_asked_anew(world: World) -> None:
    class Call:
        credentials = credentials_of({b"token": TOKEN.encode(), b"other": b"x"})
        common_name = ""

    assert Call.credentials == Credentials(TOKEN.encode())
    assert isinstance(world.gate.identities.of_stream(Call()), UnknownToken)
    world.give(TOKEN, "u")
    assert world.gate.identities.of_stream(Call()) == AuthInfo("u", REVISION)
    world.tell(news_of(enabled=False))
    assert world.gate.identities.of_stream(Call()) is None


def test_tokens_that_are_remembered_are_few(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "REMEMBERED_MAX", 3)
    world.give(TOKEN, "u")
    for number in range(20):
        assert world.who(token=f"{TOKEN},{number}") == AuthInfo("u", REVISION)
    assert len(world.gate.identities._known) <= 3


# ---- who is refused ----


U, ROOT, OLD = AuthInfo("u", REVISION), AuthInfo("root", REVISION), AuthInfo("u", REVISION - 1)


@pytest.mark.parametrize(
    ("method", "body", "auth", "error"),
    [
        (PUT, b"x", U, None),
        (PUT, b"x", NOBODY, errors.USER_EMPTY),
        (PUT, b"x", OLD, errors.AUTH_OLD_REVISION),
        (TXN, b"", NOBODY, None),
        (DEFRAGMENT, b"", NOBODY, errors.USER_EMPTY),
        (DEFRAGMENT, b"", U, errors.PERMISSION_DENIED),
        (DEFRAGMENT, b"", ROOT, None),
        (MEMBER_LIST, b"", U, None),
        (MEMBER_LIST, b"", NOBODY, errors.USER_EMPTY),
        (AUTH_STATUS, b"", NOBODY, errors.USER_EMPTY),
    ],
)
def test_who_is_refused_is_refused_as_by_the_backend(
    world: World, method: int, body: bytes, auth: Any, error: Any
) -> None:
    assert world.permit(method, auth, body) is None
    if error is None:
        assert (world.gone_on, world.asked) == ([auth], [])
        return
    assert world.client.answers == [], "not before the backend has been asked"
    world.answer()
    assert world.client.answers == [(1, error.code, error.text.encode())]
    assert world.gone_on == []


def test_while_auth_is_off_nothing_is_asked(world: World) -> None:
    world.permit(DEFRAGMENT, None)
    assert (world.gone_on, world.asked) == ([None], [])


def test_a_role_that_was_granted_through_another_listener_counts(world: World) -> None:
    world.permit(DEFRAGMENT, U)
    world.tell(news_of("u"))
    world.answer()
    assert world.gone_on == [U] and world.client.answers == []


def test_a_token_of_an_entry_that_is_not_applied_yet_waits_for_it(world: World) -> None:
    world.permit(RANGE, world.who(token=TOKEN))
    [(_, token, index)] = world.asked
    assert (token, index) == (TOKEN.encode(), 7)
    world.answer("u")
    assert world.gone_on == [AuthInfo("u", REVISION)]


def test_a_token_that_the_backend_does_not_know_is_none(world: World) -> None:
    world.permit(RANGE, world.who("u", token=TOKEN))
    world.answer("")
    assert world.gone_on == []
    assert world.client.answers == [(1, errors.INVALID_AUTH_TOKEN.code, errors.INVALID_AUTH_TOKEN.text.encode())]


def test_no_answer_of_the_backend_is_none(world: World) -> None:
    world.permit(RANGE, world.who(token=TOKEN))
    held, _, _ = world.asked.pop()
    held.reply(0, errors.TIMEOUT.code, errors.TIMEOUT.text.encode())
    assert world.client.answers[0][1] == errors.INVALID_AUTH_TOKEN.code


def test_a_call_that_is_given_up_does_not_go_on(world: World) -> None:
    world.permit(RANGE, world.who(token=TOKEN), stream_id=1)
    world.permit(RANGE, world.who(token=TOKEN), stream_id=3)
    world.gate.cancel({world.client: {1}})
    world.answer("u")
    world.answer("u")
    assert world.gone_on == [AuthInfo("u", REVISION)]
    assert world.taken_back == [1], "its index may never come"


def test_tokens_with_indexes_that_never_come_do_not_keep_others_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth_gate, "HELD_MAX", 3)
    for stream_id in range(3):
        world.permit(RANGE, world.who(token=f"abcdefghijklmnop.{10**18 + stream_id}"), stream_id=stream_id)
    world.client, other = Client(), world.client
    world.permit(RANGE, world.who(token=TOKEN))
    assert other.answers == [(0, errors.INVALID_AUTH_TOKEN.code, errors.INVALID_AUTH_TOKEN.text.encode())]
    assert world.taken_back == [1], "who is held for longest"
    world.asked.pop(0)[0].reply(0, 0, Owner(9, "u").encode())
    assert (world.gone_on, len(other.answers)) == ([], 1), "refused once"
    world.asked.pop(-1)[0].reply(0, 0, Owner(9, "u").encode())
    assert world.gone_on == [AuthInfo("u", REVISION)]


def test_what_is_longer_than_any_token_is_none_and_is_not_kept(world: World) -> None:
    assert world.permit(RANGE, world.who(token="a" * 100 + ".7")) is None
    assert world.asked == [] and world.client.answers[0][1] == errors.INVALID_AUTH_TOKEN.code
    world.give(TOKEN, "u")
    assert world.who(authorization=f"Bearer {TOKEN},{'x' * 8000}") == AuthInfo("u", REVISION)
    assert not world.gate.identities._known


def test_what_is_held_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth_gate, "HELD_EACH", 3)
    for stream_id in range(5):
        world.permit(RANGE, world.who(token=TOKEN), stream_id=stream_id)
    assert len(world.asked) == 3
    assert [code for _, code, _ in world.client.answers] == [errors.INVALID_AUTH_TOKEN.code] * 2
    for _ in range(3):
        world.answer("u")
    world.permit(RANGE, world.who(token=TOKEN))
    assert len(world.asked) == 1, "there is room again"
