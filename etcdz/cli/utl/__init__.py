"""`etcdzutl`: what can be done to files of a member that does not run, its own or etcd's.

etcdzutl snapshot status FILE        what is in a snapshot
etcdzutl snapshot restore FILE       a data directory out of a snapshot
etcdzutl migrate --data-dir DIR      a data directory of etcd becomes one of etcdz, or back
"""

import os
import sys
from collections.abc import Sequence

from etcdz.cli.utl.commands import main as run


def main(argv: Sequence[str] | None = None) -> int:
    """return the exit status."""
    umask = os.umask(0o077)  # what it makes of a member is for its own user alone, LevelDB's own files included
    try:
        return run(list(sys.argv[1:] if argv is None else argv))
    finally:
        os.umask(umask)
