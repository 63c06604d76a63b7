"""Messages of the zygote's channel survive versions that know more fields, or fewer."""

import msgpack
import pytest

from etcdz.ipc import compatibility
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import MESSAGES
from supervisor.processes import zygote
from supervisor.processes.zygote import MESSAGE_BYTES_MAX, PROTOCOL, Failed, Spawned, SpawnRequest, Up


def of_newer(type_name: str, **fields: object) -> bytes:
    return bytes(msgpack.packb([type_name, fields]))


@pytest.mark.parametrize(
    "message",
    [
        Up({"a": "b"}, {}),
        Spawned("wal", 7, 4711),
        Failed("wal", 7, "no memory"),
        SpawnRequest("wal", 7, "actors.wal", {"nice": 1}, {"name": "wal"}),
    ],
)
def test_a_message_comes_back_as_it_went_in(message: Up | Spawned | Failed | SpawnRequest) -> None:
    assert zygote.unpack(zygote.pack(message)) == message


def test_a_field_that_a_newer_sender_has_more_is_dropped() -> None:
    assert zygote.unpack(of_newer("Spawned", name="wal", pid=4711, incarnation=7, new=1)) == Spawned("wal", 7, 4711)


@pytest.mark.parametrize("packet", [of_newer("Novel", name="wal"), of_newer("Spawned", name="wal"), b"\xc0", b""])
def test_what_is_no_message_is_an_error(packet: bytes) -> None:
    with pytest.raises((ValueError, TypeError)):
        zygote.unpack(packet)


def test_the_protocol_describes_all_that_travels_and_fits_a_packet() -> None:
    types = {kind for kind, _ in PROTOCOL.values()}
    assert {kind.__name__ for kind in MESSAGES.values()} < types
    assert {"Boot", "Caps", "SpawnRequest", "Up", "Spawned", "Failed"} < types
    assert [name for name, _, _ in PROTOCOL["Boot"][1]] == list(Boot._fields)
    packet = zygote.pack(Up({}, PROTOCOL))
    assert len(packet) < MESSAGE_BYTES_MAX / 4
    assert compatibility.received(zygote.unpack(packet).protocol) == PROTOCOL
    assert compatibility.objection(PROTOCOL, PROTOCOL, [PROTOCOL]) == ""


def test_modules_that_cannot_be_imported_are_told_with_the_error() -> None:
    failed = zygote.preimport(["json", "nowhere_at_all"])
    assert failed == {"nowhere_at_all": "ModuleNotFoundError: No module named 'nowhere_at_all'"}
