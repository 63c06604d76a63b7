"""The worked examples of docs/formats: what the code makes of their bytes is what the pages say."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.backend.reply_ring import decode_record, encode_record, record_bytes
from etcdz.cluster.founding import Founding, bootstrap_peers
from etcdz.cluster.membership import Membership, bootstrap_entries
from etcdz.ipc.messages import decode_frame
from etcdz.peer.message_stream import MessageDecoder
from etcdz.peer.msgapp_stream import MsgappDecoder
from etcdz.peer.screen import Screen
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb, raftpb
from etcdz.raft.codec import decode_message
from etcdz.raft.messages import MESSAGE_NAMES
from etcdz.store import buckets
from etcdz.store.leveldb import LevelStore
from etcdz.store.log_tail import sound_bytes
from etcdz.store.manifest import Version, read_manifest
from etcdz.telemetry import flight
from etcdz.v2 import snapshot
from etcdz.v2.cluster_nodes import store_of
from etcdz.wal import record as rec
from etcdz.wal.resume_point import decode_resume_point, encode_resume_point
from etcdz.wal.scan import Scan
from etcdz.wal.snap import decode_snap, encode_snap

PAGES = Path(__file__).parents[1] / "docs" / "formats"
_BYTES = re.compile(r"[0-9a-f]{2}(?: [0-9a-f]{2})*(?=  |$)")
KINDS = {
    rec.CRC: "crc",
    rec.METADATA: "metadata",
    rec.SNAPSHOT: "snapshot",
    rec.ENTRY: "entry",
    rec.HARD_STATE: "hard state",
}


def blocks(page: str, kind: str) -> list[str]:
    """The fenced blocks of a kind on a page, in order."""
    return re.findall(rf"^```{kind}\n(.*?)\n```$", (PAGES / page).read_text(), re.M | re.S)


def examples(page: str) -> list[bytes]:
    """The bytes of each hex block; every line begins with some."""
    found = []
    for block in blocks(page, "hex"):
        lines = [_BYTES.match(line) for line in block.splitlines()]
        assert all(lines), block
        found.append(bytes.fromhex("".join(line[0] for line in lines if line)))
    return found


def decoded(page: str) -> list[str]:
    (block,) = blocks(page, "decoded")
    return block.splitlines()


def frames(segment: bytes) -> Iterator[str]:
    at = 0
    while segment[at : at + 8] != bytes(8):
        frame = rec.decode_frame(segment, at)
        text = meaning(frame.kind, segment[frame.start : frame.stop])
        yield f"{at:3} {KINDS[frame.kind]:10} {frame.crc:08x} {text}".rstrip()
        at = frame.after
    yield f"{at:3} end"


def meaning(kind: int, data: bytes) -> str:
    """Of a record's data."""
    if kind == rec.METADATA:
        metadata = pb.Metadata.FromString(data)
        return f"member {metadata.NodeID:x}, cluster {metadata.ClusterID:x}"
    if kind == rec.SNAPSHOT:
        return "index {}, term {}".format(*rec.decode_marker(data))
    if kind == rec.ENTRY:
        return "term {}, index {}".format(*rec.decode_position(data))
    if kind == rec.HARD_STATE:
        return "term {}, vote {}, commit {}".format(*rec.decode_hard_state(data))
    return ""


def test_wal() -> None:
    (segment,) = examples("wal.md")
    assert list(frames(segment)) == decoded("wal.md")
    scan = Scan(0)
    scan.feed(segment, "example", 0, is_last=True)
    assert (scan.torn, scan.last_index, scan.last_term, scan.commit) == (None, 1, 2, 1)


def test_snap() -> None:
    (file,) = examples("snap.md")
    snap = decode_snap(file)
    assert encode_snap(snap) == file
    (voter,) = raftpb.ConfState.FromString(snap.conf_state).voters
    assert decoded("snap.md") == [
        f"name   {snap.name}",
        f"voters {voter:x}",
        f"index  {snap.index}, term {snap.term}",
        f"data   {snap.data.decode()}",
    ]


def test_v2_store() -> None:
    (text,) = blocks("snap.md", "json")
    membership = Membership(0x8E9E05C52164694D, 1)
    for data in bootstrap_entries(bootstrap_peers({"default": ["http://localhost:2380"]}, "etcd-cluster")):
        membership.apply_conf_change(raftpb.Entry.FromString(data).Data)
    store = json.loads(snapshot.encode(store_of(membership)))
    queue = store["WatcherHub"]["EventHistory"]["Queue"]
    assert queue["Events"] == [None] * queue["Capacity"]
    queue["Events"] = []
    assert json.loads(text) == store


def test_founding() -> None:
    (file,) = examples("founding.md")
    founding = Founding.from_dict(json.loads(file))
    assert json.dumps(founding.to_dict()).encode() == file
    what = "joins" if founding.is_join else "founds"
    assert decoded("founding.md") == [
        f"member {founding.member_id:x} {what} cluster {founding.cluster_id:x} with",
        *(f"{member.id:x} {member.name} {', '.join(member.peer_urls)}" for member in founding.members),
    ]


def rows(store: LevelStore) -> Iterator[str]:
    for key, value in store.iterate(b"", b"\xff"):
        if key.startswith(buckets.KEY):
            main, sub, _ = buckets.decode_store_key(key)
            kv = mvccpb.KeyValue.FromString(value)
            yield (
                f"key   revision {main}, sub {sub}: {kv.key.decode()} = {kv.value.decode()}, "
                f"created {kv.create_revision}, changed {kv.mod_revision}, version {kv.version}"
            )
        else:
            bucket, _, name = key.decode().partition("\0")
            yield f"{bucket}  {name} {int.from_bytes(value, 'big')}"


def test_leveldb(tmp_path: Path) -> None:
    *edits, log = examples("leveldb.md")
    manifest = b"".join(edits)
    assert read_manifest(manifest) == Version({}, 4, 3)
    assert sound_bytes(log) == len(log)
    (tmp_path / "MANIFEST-000002").write_bytes(manifest)
    (tmp_path / "CURRENT").write_text("MANIFEST-000002\n")
    (tmp_path / "000003.log").write_bytes(log)
    store = LevelStore(tmp_path)
    assert list(rows(store)) == decoded("leveldb.md")
    store.close()


def _text(value: object) -> str:
    """Of a field, as the page of the resume point has it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return ", ".join(str(tuple(one) if isinstance(one, tuple) else one) for one in value)
    return str(value)


def test_resume_point() -> None:
    (file,) = examples("resume-point.md")
    found = decode_resume_point(file)
    assert found is not None
    assert [f"{name} {_text(value)}" for name, value in found._asdict().items()] == decoded("resume-point.md")
    assert encode_resume_point(found) == file


def test_reply_ring() -> None:
    (record,) = examples("reply-ring.md")
    found = decode_record(record)
    assert found is not None and record_bytes(record) == len(record)
    index, frames = found
    lines = [f"slot {slot}: {decode_frame(frame)[0]}" for slot, frame in frames.items()]
    assert [f"applied index {index}", *lines] == decoded("reply-ring.md")
    assert b"".join(encode_record(index, frames)) == record


def test_peer_streams() -> None:
    messages, appends = examples("peer-streams.md")
    screen = Screen(2)
    found = [("message", one) for one in MessageDecoder(screen).receive(messages)]
    found += [("msgapp", one) for one in MsgappDecoder(screen, 1).receive(appends)]
    shown = []
    for stream, encoded in found:
        m = decode_message(encoded)
        log = f"term {m.term} log {m.log_term}/{m.index} commit {m.commit}"
        entries = " ".join(str(entry.index) for entry in m.entries)
        line = f"{stream} {MESSAGE_NAMES[m.type]} {m.from_}->{m.to} {log}"
        shown.append(f"{line} entries {entries}" if entries else line)
    assert shown == decoded("peer-streams.md")


def test_flight_recorder() -> None:
    page, record = examples("flight-recorder.md")
    assert page == flight.MAGIC + (17).to_bytes(8, "little")
    assert len(record) == flight.RECORD_BYTES
    (header,) = flight.decode_headers(record)
    assert decoded("flight-recorder.md") == [
        f"seq {header.seq}, handled at {header.handled_ns} ns, frame {header.number} of incarnation {header.sender}, "
        f"sent at {header.sent_ns} ns, {header.size} bytes, {header.messages} messages: {', '.join(header.types)}"
    ]


@pytest.mark.parametrize("page", sorted(path.name for path in PAGES.glob("*.md") if path.name != "README.md"))
def test_every_page_has_a_worked_example_and_is_in_the_list(page: str) -> None:
    assert examples(page)
    assert decoded(page)
    assert f"({page})" in (PAGES / "README.md").read_text()
