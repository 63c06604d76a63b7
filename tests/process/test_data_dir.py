"""Data directories that must not be used: damaged, in use, read-only, of a newer format."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import plyvel
import psutil
import pytest

from tests.etcd_process import Member, MemberFailed
from tests.process import damage
from tests.process.disks import ReadOnly, why_no_mounts
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(300)]

MemberMaker = Callable[..., Member]


def refused(member: Member) -> str:
    """Starts a member that must not start. return its log"""
    with pytest.raises(MemberFailed) as caught:
        member.start()
    text = str(caught.value)
    assert "exit code" in text and "exit code 0)" not in text, text
    assert processes_of(member) == []
    return text


def processes_of(member: Member) -> list[psutil.Process]:
    """Processes that have anything to do with its data directory."""
    where = str(member.data_dir)
    return [
        process
        for process in psutil.process_iter(["cmdline", "status"])
        if any(where in word for word in process.info["cmdline"] or [])
        and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def test_one_flipped_byte_in_the_middle_of_the_log_is_refused(make_trial: Callable[..., Trial], is_long: bool) -> None:
    trial = make_trial()
    with trial.load() as load:
        load.wait_acknowledged(500)
    trial.member.kill9()
    segment = damage.segments(trial.member.data_dir)[-1]
    whole = segment.read_bytes()
    walk = damage.frames(whole)
    rng = random.Random(trial.seed)
    for frame in rng.sample(walk[5 : len(walk) * 3 // 4], 20 if is_long else 1):
        at = rng.randrange(frame.record_lo, frame.record_hi)
        spoilt = bytearray(whole)
        spoilt[at] ^= 1 << rng.randrange(8)
        segment.write_bytes(spoilt)
        said = refused(trial.member)
        assert segment.name in said, "the file"
        assert any(str(place.lo) in said for place in walk if abs(place.lo - frame.lo) < 4096), "the offset"
    segment.write_bytes(whole)
    trial.member.start()
    print(trial.verify())


def test_a_directory_in_use_is_refused_and_the_first_member_goes_on(
    make_member: MemberMaker, make_trial: Callable[..., Trial]
) -> None:
    trial = make_trial()
    second = make_member()
    with pytest.raises(MemberFailed, match=r"exit code [1-9](?s:.*)in use"):
        second.start()
    with trial.load() as load:
        load.wait_acknowledged(200)
    print(trial.verify())


def test_a_read_only_directory_is_refused(make_member: MemberMaker, tmp_path: Path) -> None:
    member = make_member()
    member.start()
    member.stop()
    if os.geteuid() != 0:
        member.data_dir.chmod(0o500)
        said = refused(member)
        member.data_dir.chmod(0o700)
    elif why := why_no_mounts(ReadOnly, tmp_path):
        pytest.skip(why)
    else:
        with ReadOnly(tmp_path / "ro", member.data_dir) as view:
            said = refused(make_member(data_dir=view.path))
    assert any(word in said.lower() for word in ("read-only", "permission denied", "not writable")), said
    member.start()


def test_a_newer_format_is_refused(make_member: MemberMaker) -> None:
    """etcd writes its storage version from 3.6 on; one beyond what we know may mean anything."""
    member = make_member()
    member.start()
    member.stop()
    set_storage_version(member, b"9.9.0")
    said = refused(member)
    assert "9.9.0" in said and "newer" in said.lower(), said
    set_storage_version(member, None)
    member.start()


def set_storage_version(member: Member, version: bytes | None) -> None:
    store = plyvel.DB(str(damage.leveldb_dir(member.data_dir)))
    key = b"meta\0storageVersion"
    if version is None:
        store.delete(key)
    else:
        store.put(key, version)
    store.close()
