"""What the core hands out goes somewhere; what goes nowhere yet is counted and told."""

from types import SimpleNamespace
from typing import Any

from actors.raft.ready import Readies
from etcdz.raft import Message
from etcdz.raft.messages import APPEND_THREAD, APPLY_THREAD, MSG_HEARTBEAT
from tests.actors.raft.restarted import ME, restarted_with


class Core:
    """Hands out one Ready after the other, each with these messages."""

    def __init__(self, *turns: list[Message]) -> None:
        self.turns = list(turns)

    def has_ready(self) -> bool:
        return bool(self.turns)

    def ready(self) -> Any:
        return SimpleNamespace(soft_state=None, read_states=(), messages=self.turns.pop(0))


class Host(SimpleNamespace):
    """done: (who got it, message). lines: what was logged."""

    def __init__(self) -> None:
        self.done: list[tuple[str, Message]] = []
        self.lines: list[dict[str, str]] = []
        self.appends = SimpleNamespace(
            put=lambda message: self.done.append(("put", message)),
            adopt=lambda message: self.done.append(("adopt", message)),
        )
        self.applies = SimpleNamespace(put=lambda message: self.done.append(("apply", message)))
        self.leadership = SimpleNamespace(is_complete=True)
        self.log = SimpleNamespace(warn=lambda text, **fields: self.lines.append(fields))


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


def test_messages_to_other_members_are_counted_and_told_once_for_each() -> None:
    host = Host()
    readies = Readies(host)
    core: Any = Core([to(2), to(3)], [to(2)])
    readies.do(core)
    assert host.done == [] and readies.unsent == {2: 2, 3: 1}
    assert host.lines == [{"to": "2"}, {"to": "3"}]


def test_whoever_inspects_raft_sees_how_many_were_dropped() -> None:
    with restarted_with((1, 2, 3)) as one:
        one.greet(leader=ME)
        one.make_durable()
        assert one.actor.details()["messages_unsent"] == {"2": 1, "3": 1}, "it asked both for their votes"
