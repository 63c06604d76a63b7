"""The table in etcdz.ipc.messages is the protocol: it is held against the types and the handlers of the actors."""

import ast
import re
from pathlib import Path
from typing import Any

import msgpack
import pytest

from etcdz.ipc import messages

ROOT = Path(__file__).resolve().parents[2]
ACTORS = ("listener", "raft", "wal", "backend", "lessor", "compactor", "peer", "proxy")


NAMES = {kind.__name__ for kind in messages.TAGS}
RUNTIME = "runtime"


def table() -> dict[str, tuple[set[str], set[str]]]:
    """message -> (senders, receivers) of the table in the module's docstring. What all send, actors/runtime sends."""
    rows = re.findall(r"^\| (\w+) +\| ([\w, ]+) -> ([\w, ]+?) +\|", messages.__doc__ or "", re.M)
    everyone = {*ACTORS, "supervisor"}
    rows = [row for row in rows if row[0] != "message"]
    return {
        name: (
            {RUNTIME} if source == "all" else set(source.split(", ")),
            everyone - {"supervisor"} if target == "all" else set(target.split(", ")),
        )
        for name, source, target in rows
    }


def handled_by(actor: str) -> set[str]:
    """Message types that stand as keys in the `handlers` of an actor or of the base."""
    names: set[str] = set()
    for file in (f"{actor}/actor.py", "runtime/loop.py"):
        for node in ast.walk(ast.parse((ROOT / "actors" / file).read_text())):
            if isinstance(node, ast.Dict):
                names |= {key.id for key in node.keys if isinstance(key, ast.Name)}
    return names & NAMES


def made_in(folder: str) -> set[str]:
    """Message types that are called, so made, in the files of a folder."""
    names: set[str] = set()
    for file in (ROOT / folder).rglob("*.py"):
        text = file.read_text()
        if messages.__name__ not in text:
            continue
        imported: set[str] = set()
        called: set[str] = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.module == messages.__name__:
                imported |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                called.add(node.func.id)
        names |= imported & called
    return names & NAMES


def test_every_type_has_a_row_and_every_row_a_type() -> None:
    assert set(table()) == {kind.__name__ for kind in messages.MESSAGES.values()}


@pytest.mark.parametrize("actor", ACTORS)
def test_an_actor_handles_what_the_table_sends_it_and_nothing_else(actor: str) -> None:
    expected = {name for name, (_, targets) in table().items() if actor in targets}
    assert handled_by(actor) == expected


@pytest.mark.parametrize("sender", [*ACTORS, RUNTIME, "supervisor"])
def test_a_process_makes_what_the_table_has_it_send_and_nothing_else(sender: str) -> None:
    """What an actor makes of a type that it receives, it makes for itself."""
    made = made_in(sender if sender == "supervisor" else f"actors/{sender}")
    received = {name for name, (_, targets) in table().items() if sender in targets}
    sent = {name for name, (sources, _) in table().items() if sender in sources}
    assert made - received == sent


def test_a_frame_comes_back_as_it_went_in() -> None:
    batch = [
        messages.Propose(3, [(1 << 63, b"a"), (2, b"")]),
        messages.Leadership(1, 2, 3, 4, None, 0, 0),
        messages.Replies(7, 9, [(5, 0, b"x" * 300)], 4),
    ]
    back = messages.decode_frame(messages.encode_frame(batch))
    assert [type(message) for message in back] == [type(message) for message in batch]
    assert back[0].items == [[1 << 63, b"a"], [2, b""]]
    assert back[1:2] == batch[1:2]


def test_text_that_is_not_utf_8_comes_back_as_it_went_in() -> None:
    """A path, in the reason of a fault: it must not end who reports it."""
    batch = [messages.Fault("wal", 1, True, "cannot open /data/a\udcff"), messages.Stop(1.0)]
    assert messages.decode_frame(messages.encode_frame(batch)) == batch
    assert messages.decode_frame(messages.encode_frame(batch[1:])) == batch[1:]


# ---- frames of other versions ----

TYPES = sorted(messages.TAGS.items(), key=lambda pair: pair[1])


def frame(*batch: tuple[int, list[object]]) -> bytes:
    return bytes(msgpack.packb(batch))


def sample(kind: type[Any]) -> list[object]:
    """Fields that no type would have by default."""
    return [f"{name} of {kind.__name__}" for name in kind._fields]


@pytest.mark.parametrize(("kind", "tag"), TYPES)
def test_a_field_that_a_newer_sender_has_more_is_dropped(kind: type[Any], tag: int) -> None:
    (message,) = messages.decode_frame(frame((tag, [*sample(kind), "new"])))
    assert type(message) is kind and list(message) == sample(kind)


@pytest.mark.parametrize(("kind", "tag"), TYPES)
def test_fields_that_an_older_sender_does_not_have_get_their_defaults(kind: type[Any], tag: int) -> None:
    needed = len(kind._fields) - len(kind._field_defaults)
    for known in range(needed, len(kind._fields) + 1):
        (message,) = messages.decode_frame(frame((tag, sample(kind)[:known])))
        assert list(message) == [*sample(kind)[:known], *list(kind._field_defaults.values())[known - needed :]]


@pytest.mark.parametrize(("kind", "tag"), TYPES)
def test_a_message_without_a_field_that_it_needs_is_an_error(kind: type[Any], tag: int) -> None:
    needed = len(kind._fields) - len(kind._field_defaults)
    with pytest.raises(ValueError, match="missing"):
        messages.decode_frame(frame((tag, sample(kind)[: needed - 1])))


def test_a_message_of_an_unknown_type_is_skipped_and_the_others_of_its_frame_are_read() -> None:
    known = messages.TAGS[messages.Flush]
    unknown = max(messages.MESSAGES) + 1
    assert messages.decode_frame(frame((known, [1]), (unknown, ["a", 2]), (known, [3, "new"]))) == [
        messages.Flush(1),
        messages.Unknown(unknown),
        messages.Flush(3),
    ]


@pytest.mark.parametrize(
    "garbage", [b"", b"\x01", b"\x91\x01", b"\x91\x92\x22\x01", b"\x91\x92\x90\x90", b"\xc1", b"\x91\x93"]
)
def test_what_is_no_frame_is_an_error(garbage: bytes) -> None:
    with pytest.raises(ValueError):
        messages.decode_frame(garbage)


def test_an_unknown_message_is_never_sent() -> None:
    with pytest.raises(KeyError):
        messages.encode_frame([messages.Unknown(1)])
