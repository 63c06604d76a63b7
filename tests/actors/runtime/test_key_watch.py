"""Which messages are noted, with which of their keys, and that values are not."""

import pytest

from actors.runtime.key_watch import KEY_BYTES_MAX, KEYS_MAX, KeyWatch
from etcdz.api.methods import RANGE
from etcdz.ipc.messages import Append, Apply, Delegate, DelegatedAppends, Durable, Propose, Read, Write, encode_frame
from etcdz.proto import etcdserverpb as pb
from etcdz.raft import make_entry


def put(key: bytes) -> bytes:
    return pb.InternalRaftRequest(put=pb.PutRequest(key=key, value=b"secret")).SerializeToString()


ENTRY = put(b"foo/1")


@pytest.mark.parametrize(
    "message",
    [
        Propose(0, [(1, ENTRY)]),
        Write(0, 7, [(1, ENTRY)]),
        Apply(7, 1, 3, [ENTRY], b""),
        Append(7, 1, 1, [make_entry(0, 3, 1, ENTRY).encoded], b"", True),
        Durable(7, 1, 3, [ENTRY]),
        DelegatedAppends(7, 1, [1], [ENTRY]),
    ],
    ids=lambda message: type(message).__name__,
)
def test_every_message_that_carries_entries_is_noted_by_its_keys(message: object) -> None:
    watch = KeyWatch(b"foo/", rate=10)
    watch.look(encode_frame([message]))
    (note,) = watch.noted(0)["notes"]
    assert (note["type"], note["keys"]) == (type(message).__name__, [["put", "foo/1", ""]])
    assert "secret" not in str(note)


def test_other_keys_other_messages_and_frames_that_cannot_be_decoded_leave_no_note() -> None:
    watch = KeyWatch(b"bar/", rate=10)
    watch.look(encode_frame([Propose(0, [(1, ENTRY)]), Delegate(7, 1, 3, 9, 5)]))
    watch.look(b"\xc1 no frame")
    assert watch.noted(0) == {"notes": [], "dropped": 0}


def test_a_range_that_covers_the_prefix_is_noted_with_its_end() -> None:
    watch = KeyWatch(b"foo/", rate=10)
    body = pb.RangeRequest(key=b"a", range_end=b"z").SerializeToString()
    watch.look(encode_frame([Read(0, [(1, RANGE, body, 0)])]))
    assert watch.noted(0)["notes"][0]["keys"] == [["range", "a", "z"]]


def test_of_one_message_so_many_keys_are_named_and_the_others_counted() -> None:
    watch = KeyWatch(b"", rate=10)
    watch.look(encode_frame([Propose(0, [(n, put(b"k%d" % n)) for n in range(KEYS_MAX + 3)])]))
    (note,) = watch.noted(0)["notes"]
    assert (len(note["keys"]), note["more"]) == (KEYS_MAX, 3)


def test_a_long_key_is_cut_and_one_that_is_no_text_is_escaped() -> None:
    watch = KeyWatch(b"", rate=10)
    watch.look(encode_frame([Propose(0, [(1, put(b"k" * 1_000)), (2, put(b"\xff"))])]))
    (note,) = watch.noted(0)["notes"]
    assert [key for _, key, _ in note["keys"]] == ["k" * KEY_BYTES_MAX, "\\xff"]


def test_what_is_beyond_the_rate_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 5.0)
    watch = KeyWatch(b"", rate=2)
    watch.look(encode_frame([Propose(0, [(n, put(b"k"))]) for n in range(5)]))
    found = watch.noted(0)
    assert (len(found["notes"]), found["dropped"]) == (2, 3)
    monkeypatch.setattr("time.monotonic", lambda: 6.0)
    watch.look(encode_frame([Propose(0, [(9, put(b"k"))])]))
    assert [note["seq"] for note in watch.noted(found["notes"][-1]["seq"])["notes"]] == [3]
