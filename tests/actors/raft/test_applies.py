"""What the backend is handed, and what the core hears of it."""

from types import SimpleNamespace
from typing import Any

import pytest

from actors.raft.applies import Applies
from etcdz.ipc.messages import Applied, Apply
from etcdz.raft import ConfState, MemoryStorage, Message, codec, make_entry
from etcdz.raft.entry import ENTRY_CONF_CHANGE, ENTRY_NORMAL, Entry
from etcdz.raft.messages import APPLY_THREAD, MSG_STORAGE_APPLY
from etcdz.raft.tracker import TrackedConfig
from tests.actors.raft.restarted import RecordedLinks

CONF_STATE = codec.encode_conf_state(ConfState((1, 2)))


class Host(SimpleNamespace):
    def __init__(self) -> None:
        self.boot = SimpleNamespace(incarnation=7)
        self.links = RecordedLinks()
        self.storage = MemoryStorage()


class Core:
    """What a RawNode is told."""

    def __init__(self) -> None:
        self.stepped: list[int] = []
        self.changes: list[Any] = []
        self.raft = SimpleNamespace(tracker=SimpleNamespace(config=TrackedConfig(voters=frozenset((1,)))))

    def step(self, response: Message) -> None:
        self.stepped.append(response.index)

    def apply_conf_change(self, change: Any) -> None:
        self.changes.append((change.type, change.node_id))


@pytest.fixture
def applies() -> Applies:
    made = Applies(Host())
    made.begin(10, configured_index=10)
    return made


def entry(index: int, term: int = 3, kind: int = ENTRY_NORMAL) -> Entry:
    return make_entry(kind, term, index, b"%d" % index)


def work(*entries: Entry) -> Message:
    response = Message(0, index=entries[-1].index)
    return Message(MSG_STORAGE_APPLY, to=APPLY_THREAD, entries=entries, responses=(response,))


def handed(applies: Applies) -> list[Apply]:
    host: Any = applies._host
    found: list[Apply] = host.links.of_type(Apply)
    return found


def test_entries_go_out_in_one_message_for_each_run_of_a_term(applies: Applies) -> None:
    applies.put(work(entry(11, 3), entry(12, 3), entry(13, 4)))
    assert handed(applies) == [Apply(7, 11, 3, [b"11", b"12"], b""), Apply(7, 13, 4, [b"13"], b"")]
    assert (applies.handed_index, applies.lag) == (13, 3)


def test_what_the_wal_has_handed_over_is_not_handed_over_again(applies: Applies) -> None:
    applies.handed_by_wal(12)
    applies.put(work(entry(11), entry(12)))
    assert handed(applies) == []
    applies.put(work(entry(12), entry(13)))
    assert handed(applies) == [Apply(7, 13, 3, [b"13"], b"")]


def test_the_core_hears_that_entries_are_applied_once_the_backend_says_so(applies: Applies) -> None:
    core: Any = Core()
    applies.put(work(entry(11)))
    applies.put(work(entry(12)))
    assert applies.on_applied(core, Applied(11, 0)) is False
    assert (core.stepped, applies.lag, len(applies)) == ([11], 1, 1)
    applies.on_applied(core, Applied(12, 0))
    applies.on_applied(core, Applied(11, 0))  # an older word, come late
    assert (core.stepped, applies.applied_index) == ([11, 12], 12)


def test_a_configuration_change_waits_until_the_backend_says_who_the_members_are(applies: Applies) -> None:
    core: Any = Core()
    applies.put(work(entry(11, kind=ENTRY_CONF_CHANGE)))
    assert handed(applies)[0].kinds == bytes([ENTRY_CONF_CHANGE])
    assert applies.on_applied(core, Applied(11, 0)) is False and core.stepped == []
    assert applies.on_applied(core, Applied(11, 0, CONF_STATE)) is True
    assert core.stepped == [11] and [member for _, member in core.changes] == [2]


def test_a_refused_change_becomes_a_change_of_no_member(applies: Applies) -> None:
    core: Any = Core()
    applies.put(work(entry(11, kind=ENTRY_CONF_CHANGE)))
    assert applies.on_applied(core, Applied(11, 0, codec.encode_conf_state(ConfState((1,))))) is True
    assert [member for _, member in core.changes] == [0]


def test_a_new_backend_is_handed_what_it_has_not_applied(applies: Applies) -> None:
    host: Any = applies._host
    host.storage.append([entry(index) for index in range(1, 16)])
    applies.put(work(*[entry(index) for index in range(11, 16)]))
    host.links.sent.clear()
    applies.begin_again(applied_index=12, applying=15)
    assert [apply.first_index for apply in handed(applies)] == [13] and applies.handed_index == 15
    applies.begin_again(applied_index=16, applying=15)  # ahead, by what the wal appends
    assert len(handed(applies)) == 1 and applies.handed_index == 16
