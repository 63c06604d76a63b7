"""A listener around its calls, with two clients."""

from itertools import count
from types import SimpleNamespace
from typing import Any

from actors.listener.auth_gate import AuthGate
from actors.listener.auth_news import AuthNews
from actors.listener.calls import Calls
from actors.listener.identities import Identities
from actors.listener.tokens import Tokens
from etcdz.config import MemberConfig


def make_host(send: Any, log: Any = None, **more: Any) -> Any:
    """send: (name, message) for another actor. more: what else it has"""
    return SimpleNamespace(
        **{
            "boot": SimpleNamespace(slot=2),
            "links": SimpleNamespace(send=send),
            "log": log,
            "auth_news": AuthNews(),
            "flush_soon": lambda: None,
            "call_later": lambda seconds, do: None,
            "call_soon_from_thread": lambda do: None,
            "clients": 2,
            **more,
        }
    )


def make_calls(sent: list[Any]) -> Calls:
    """Messages for other actors are added to sent."""
    return Calls(make_host(lambda name, message: sent.append(message)), MemberConfig())


def make_gate(
    news: AuthNews | None = None, asked: list[Any] | None = None, taken_back: list[int] | None = None
) -> AuthGate:
    """What it asks the backend is added to asked: (caller, token, index), with 1, 2, ... as request ids; those that it
    takes back, to taken_back. news: auth is off"""
    news = news or AuthNews()
    identities = Identities(news, Tokens(has_simple=True), SimpleNamespace(warn=lambda msg, **fields: None))
    ids = count(1)

    def ask(*question: Any) -> int:
        if asked is not None:
            asked.append(question)
        return next(ids)

    return AuthGate(news, identities, ask, (lambda _: None) if taken_back is None else taken_back.append)
