"""What the tools say of their version, as etcd's own do, so that scripts can read it."""

import sys

from etcdz import ETCD_VERSION, __version__


def show_version(program: str) -> int:
    """return the exit status."""
    api = ETCD_VERSION.rpartition(".")[0]
    sys.stdout.write(f"{program} version: {ETCD_VERSION}\nAPI version: {api}\netcdz version: {__version__}\n")
    return 0
