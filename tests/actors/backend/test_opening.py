"""Opening the store at start."""

from collections.abc import Callable
from pathlib import Path

import pytest

from actors.backend.opening import check_format, identity, switch_bytes
from actors.runtime.loop import FatalError
from etcdz.config import MemberConfig
from etcdz.store import buckets
from etcdz.store.interface import MemoryStore
from etcdz.store.leveldb import SWITCH_BYTES
from tests.actors.backend.started import Started


@pytest.mark.parametrize("version", ["", "3.5.0", "3.6.0", "3.6.1"])
def test_stores_of_known_versions_open(version: str) -> None:
    rows = [(buckets.STORAGE_VERSION, version.encode())] if version else []
    check_format(MemoryStore(rows), Path("/data"))


@pytest.mark.parametrize("version", ["3.9.0", "4.0.0", "next"])
def test_a_store_of_a_newer_version_stops_the_member(version: str) -> None:
    store = MemoryStore([(buckets.STORAGE_VERSION, version.encode())])
    with pytest.raises(FatalError, match=rf"/data is of storage version {version}, newer than 3\.8"):
        check_format(store, Path("/data"))


def test_the_identity_is_worked_out_once_and_stays_when_flags_change() -> None:
    store = MemoryStore()
    first = identity(store, MemberConfig(initial_cluster_token="one"))
    assert identity(store, MemberConfig(initial_cluster_token="two")) == first
    assert identity(MemoryStore(), MemberConfig(initial_cluster_token="two")) != first
    assert buckets.IDENTITY in store.durable, "what is told to others must survive power loss"


def test_a_small_quota_makes_the_log_switch_early_and_not_too_early() -> None:
    assert switch_bytes(0) == SWITCH_BYTES
    assert switch_bytes(8 << 30) == SWITCH_BYTES
    assert switch_bytes(16 << 20) == 2 << 20
    assert switch_bytes(1 << 20) == 1 << 20


def test_a_store_that_another_process_has_open_stops_the_member(start: Callable[..., Started], tmp_path: Path) -> None:
    one = start()
    folder = Path(one.actor.config.data_dir).parent
    with pytest.raises(FatalError, match="cannot open the backend in"):
        Started(folder, 99)
