"""Opens `member/snap/leveldb`, and says which member's it is. What a restart cannot mend raises FatalError."""

from pathlib import Path

import msgpack

from actors.runtime.founding import check_present
from actors.runtime.loop import FatalError
from etcdz.config import MemberConfig
from etcdz.ipc.boot import Boot
from etcdz.mvcc.loading import StoreCorrupt
from etcdz.store import buckets, checkpoint
from etcdz.store.ballast import Ballast
from etcdz.store.interface import Store
from etcdz.store.leveldb import SWITCH_BYTES, LevelStore

STORAGE_VERSION_MAX = (3, 8)
"""Nothing in it has changed from 3.6 to 3.8. Source: etcd main, storage schema changes."""
SWITCH_BYTES_MIN = 1 << 20


def open_store(config: MemberConfig, boot: Boot) -> tuple[LevelStore, Ballast]:
    """The member's store, and the file that holds disk space for it. raises FatalError: it cannot be opened or read

    The ballast is looked at first: on a full disk the store needs that space to open.
    """
    directory = Path(config.data_dir) / "member" / "snap"
    check_present(boot, "the store", directory / "leveldb", (directory / "leveldb" / "CURRENT").is_file())
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        ballast = Ballast(directory)
        ballast.check()
        checkpoint.remove_stale(directory)
        store = LevelStore(str(directory / "leveldb"), switch_bytes=switch_bytes(config.quota_bytes))
    except (StoreCorrupt, OSError) as error:
        raise FatalError(f"cannot open the backend in {directory}: {error}") from error
    check_format(store, directory)
    return store, ballast


def check_format(store: Store, directory: Path) -> None:
    """raises FatalError: the store is marked as one of a newer etcd; what its rows mean is not known here"""
    text = (store.get(buckets.STORAGE_VERSION) or b"").decode("ascii", "replace")
    numbers = tuple(int(part) if part.isdigit() else 1 << 31 for part in text.split(".")[:2] if text)
    if numbers > STORAGE_VERSION_MAX:
        known = ".".join(map(str, STORAGE_VERSION_MAX))
        raise FatalError(
            f"the backend in {directory} is of storage version {text}, newer than {known}, which this is for"
        )


def identity(store: Store, config: MemberConfig) -> tuple[int, int]:
    """(member id, cluster id): worked out of the flags once, at the first start, then kept in the store."""
    row = store.get(buckets.IDENTITY)
    if row is not None:
        member_id, cluster_id = msgpack.unpackb(row)
        return member_id, cluster_id
    member_id, cluster_id = config.member_id, config.cluster_id
    store.write({buckets.IDENTITY: msgpack.packb((member_id, cluster_id))}, sync=True)
    return member_id, cluster_id


def switch_bytes(quota_bytes: int) -> int:
    """How large LevelDB's log may get. What is overwritten counts until the log goes into tables: under a small quota
    that must not be much."""
    return min(SWITCH_BYTES, max(SWITCH_BYTES_MIN, quota_bytes // 8)) if quota_bytes else SWITCH_BYTES
