"""What the core hands out goes where it belongs."""

from types import SimpleNamespace
from typing import Any

from actors.raft.ready import Readies
from etcdz.raft import Message
from etcdz.raft.messages import APPEND_THREAD, APPLY_THREAD, MSG_HEARTBEAT


class Core:
    """Hands out one Ready after the other, each with these messages."""

    def __init__(self, *turns: list[Message]) -> None:
        self.turns = list(turns)
        self.raft = None

    def has_ready(self) -> bool:
        return bool(self.turns)

    def ready(self) -> Any:
        return SimpleNamespace(soft_state=None, read_states=(), messages=self.turns.pop(0))


class Host(SimpleNamespace):
    """done: (who got it, message)."""

    def __init__(self) -> None:
        self.done: list[tuple[str, Message]] = []
        self.appends = SimpleNamespace(
            put=lambda message: self.done.append(("put", message)),
            adopt=lambda message: self.done.append(("adopt", message)),
        )
        self.applies = SimpleNamespace(put=lambda message: self.done.append(("apply", message)))
        self.leadership = SimpleNamespace(is_settled=lambda raft: True)
        self.outgoing = SimpleNamespace(put=lambda message: self.done.append(("out", message)))
        self.publish = SimpleNamespace(index=1)


def to(member: int) -> Message:
    return Message(MSG_HEARTBEAT, to=member)


def test_all_readies_are_done_one_after_the_other_and_each_message_where_it_belongs() -> None:
    host = Host()
    core: Any = Core([to(APPEND_THREAD)], [to(APPLY_THREAD), to(APPEND_THREAD)])
    Readies(host).do(core)
    assert [(who, message.to) for who, message in host.done] == [
        ("put", APPEND_THREAD),
        ("apply", APPLY_THREAD),
        ("put", APPEND_THREAD),
    ]


def test_what_the_wal_has_written_is_adopted() -> None:
    host = Host()
    core: Any = Core([to(APPEND_THREAD)])
    Readies(host).adopt(core)
    assert [who for who, _ in host.done] == ["adopt"]


def test_what_is_for_other_members_leaves_for_them() -> None:
    host = Host()
    core: Any = Core([to(2), to(3)])
    Readies(host).do(core)
    assert host.done == [("out", to(2)), ("out", to(3))]
