"""A process that makes a data directory fit to start from, before the tree starts: one of etcd becomes one of etcdz
(etcdz/migration/takeover.py), one of several members that of a member alone (etcdz/migration/forced_cluster.py).

It is a process of its own so that the supervisor can stop it at any moment, and so that the memory it takes goes with
it. It ends with the supervisor, and holds the lock of the data directory as long as it lives. Its argument is JSON:

    {"data_dir", "wal_dir", "takeover": bool, "force_new_cluster": bool, "peer_urls", "supervisor": pid,
     "report": file descriptor, and the settings of the log}

Exit status 0: done. Else the reason is written to the descriptor.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from etcdz.bbolt import BoltCorrupt
from etcdz.migration import forced_cluster
from etcdz.migration.errors import MigrationError
from etcdz.migration.takeover import take_over
from etcdz.store.leveldb import StoreBroken
from etcdz.telemetry import logs
from etcdz.wal.files import WalCorrupt, WalInUse, WalMismatch
from supervisor.processes import linux


def main(argv: Sequence[str]) -> int:
    """argv: see the top of this file. return the exit status."""
    order = json.loads(argv[0])
    if not linux.die_with_parent(order["supervisor"], signal.SIGKILL):
        return 1
    linux.set_name("etcdz:takeover")
    logs.configure(order)
    top, wal_dir, is_forced = Path(order["data_dir"]), Path(order["wal_dir"]), order["force_new_cluster"]
    try:
        take_over(top, wal_dir, order["takeover"])
        if is_forced:
            forced_cluster.force(top, wal_dir, tuple(order["peer_urls"]))
    except (MigrationError, BoltCorrupt, StoreBroken, WalCorrupt, WalInUse, WalMismatch, ValueError, OSError) as error:
        os.write(order["report"], str(error).encode("utf-8", "surrogateescape"))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
