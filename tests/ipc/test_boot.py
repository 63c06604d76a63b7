"""What a new actor is told survives the way through versions that know more fields, or fewer."""

from typing import Any

import msgpack
import pytest

from etcdz.ipc.boot import Boot, boot_from

BOOT = Boot(
    name="listener-1",
    kind="listener",
    slot=3,
    incarnation=7,
    run_dir="/run",
    endpoint="ipc:///run/listener-1.7",
    supervisor="ipc:///run/supervisor.1",
    roster=[("wal", "wal", 0, 5, "ipc:///run/wal.5")],
    config={"name": "default"},
    options={"a": 1},
    flight="/proc/1/fd/9",
    listen_sockets=[("127.0.0.1:2379", 16)],
    may_found=False,
    memory="/proc/1/fd/10",
)


def travelled(fields: dict[str, Any]) -> dict[str, Any]:
    return dict(msgpack.unpackb(msgpack.packb(fields)))


def test_a_boot_arrives_as_it_was_sent_with_the_receivers_descriptors() -> None:
    boot = boot_from(travelled(BOOT._asdict()), [11, 12])
    assert boot == BOOT._replace(listen_sockets=[["127.0.0.1:2379", 16]], fds=[11, 12])
    assert type(boot.roster[0]) is tuple


def test_a_field_that_a_newer_sender_has_more_is_dropped() -> None:
    assert boot_from(travelled({**BOOT._asdict(), "tls": "cert.pem"}), []).name == "listener-1"


@pytest.mark.parametrize("missing", Boot._field_defaults)
def test_a_field_that_an_older_sender_does_not_have_gets_its_default(missing: str) -> None:
    fields = BOOT._asdict()
    del fields[missing]
    boot = boot_from(travelled(fields), [])
    # Descriptors are the receiver's own, whatever the sender says.
    assert getattr(boot, missing) == ([] if missing == "fds" else Boot._field_defaults[missing])


def test_a_field_without_a_default_must_be_there() -> None:
    fields = BOOT._asdict()
    del fields["slot"]
    with pytest.raises(TypeError, match="slot"):
        boot_from(travelled(fields), [])
