"""A listener around its calls, with two clients."""

from types import SimpleNamespace
from typing import Any

from actors.listener.calls import Calls
from etcdz.config import MemberConfig


def make_calls(sent: list[Any]) -> Calls:
    """Messages for other actors are added to sent."""
    host: Any = SimpleNamespace(
        boot=SimpleNamespace(slot=2),
        links=SimpleNamespace(send=lambda name, message: sent.append(message)),
        log=None,
        flush_soon=lambda: None,
        clients=2,
    )
    return Calls(host, MemberConfig())
