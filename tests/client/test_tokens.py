"""Logins: made when first needed, renewed once for all calls, never for a token that was given."""

from typing import Any

import pytest

from etcdz.api import errors as api
from etcdz.client.errors import AuthFailed, DeadlineExceeded, InvalidAuthToken
from etcdz.client.methods import AUTHENTICATE, PUT, RANGE
from etcdz.proto import etcdserverpb as pb
from tests.client.scripted import Server, World, fails, replies

LOGIN = AUTHENTICATE.path


def _world(*, valid: str = "t1", **options: Any) -> World:
    """Its server gives the tokens t1, t2, ... and takes that of `world.valid` alone."""
    world = World("a:1", **({"user": "u", "password": "p"} | options))
    given = [0]
    state = {"valid": valid}

    def log_in(server: Server, stream_id: int, body: bytes) -> None:
        given[0] += 1
        server.conn.reply(stream_id, pb.AuthenticateResponse(token=f"t{given[0]}").SerializeToString())

    def put(server: Server, stream_id: int, body: bytes) -> None:
        if server.tokens[-1].decode() == state["valid"]:
            server.conn.reply(stream_id, b"")
        else:
            server.conn.fail(stream_id, api.INVALID_AUTH_TOKEN.code, api.INVALID_AUTH_TOKEN.text)

    world.server.answers |= {LOGIN: log_in, PUT.path: put}
    world.valid = state  # type: ignore[attr-defined]
    return world


def test_the_first_call_logs_in_and_others_wait_for_that() -> None:
    world = _world()
    calls = [world.core.call(PUT, b"") for _ in range(5)]
    world.turn()
    assert [call.error for call in calls] == [None] * 5
    assert world.server.paths().count(LOGIN) == 1
    assert set(world.server.tokens[1:]) == {b"t1"}


def test_one_renewal_is_for_all_calls_that_the_old_token_has_failed() -> None:
    world = _world()
    world.call(PUT)
    world.valid["valid"] = "t2"  # type: ignore[attr-defined]
    calls = [world.core.call(PUT, b"") for _ in range(7)]
    world.turn()
    assert [call.error for call in calls] == [None] * 7
    assert world.server.paths().count(LOGIN) == 2


@pytest.mark.parametrize("row", [api.INVALID_AUTH_TOKEN, api.AUTH_OLD_REVISION, api.USER_EMPTY])
def test_a_write_goes_out_again_with_another_token(row: api.EtcdError) -> None:
    world = _world()
    world.server.answers[PUT.path] = fails(row, 1, replies())
    assert world.call(PUT).error is None
    assert world.server.paths() == [LOGIN, PUT.path, LOGIN, PUT.path]


def test_a_call_that_no_token_helps_fails_in_the_end() -> None:
    world = _world(valid="none")
    assert isinstance(world.call(PUT).error, InvalidAuthToken)
    assert world.server.paths().count(LOGIN) == 4


def test_a_token_that_was_given_is_not_renewed() -> None:
    world = _world(user="", password="", token="jwt")
    assert isinstance(world.call(PUT).error, InvalidAuthToken)
    assert LOGIN not in world.server.paths()
    assert world.server.tokens == [b"jwt"]


def test_a_login_that_fails_fails_the_calls_that_wait_and_the_next_call_tries_anew() -> None:
    world = _world()
    log_in = world.server.answers[LOGIN]
    world.server.answers[LOGIN] = fails(api.AUTH_FAILED)
    calls = [world.core.call(RANGE, b"") for _ in range(2)]
    world.turn()
    assert all([isinstance(call.error, AuthFailed) for call in calls])
    world.server.answers[LOGIN] = log_in
    assert world.call(PUT).error is None


def test_a_call_that_waits_for_a_login_has_its_own_deadline() -> None:
    world = _world()
    del world.server.answers[LOGIN]
    call = world.call(PUT, timeout_s=0.5)
    world.advance(0.4)
    assert not call.done
    world.advance(0.2)
    assert isinstance(call.error, DeadlineExceeded) and not call.error.maybe_applied


def test_without_authentication_calls_go_without_a_token_until_it_is_enabled() -> None:
    world = _world()
    log_in = world.server.answers[LOGIN]
    put = world.server.answers[PUT.path]
    world.server.answers |= {LOGIN: fails(api.AUTH_NOT_ENABLED), PUT.path: replies()}
    assert [world.call(PUT).error for _ in range(2)] == [None, None]
    assert world.server.paths().count(LOGIN) == 1
    world.server.answers |= {LOGIN: log_in, PUT.path: put}
    assert world.call(PUT).error is None
