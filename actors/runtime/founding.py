"""What a member has had it must not found anew while it runs: an empty log or store in its place is an empty cluster.

A file system that goes away, or a directory that is removed, is seen only when a process opens its files again.
"""

from pathlib import Path

from actors.runtime.loop import FatalError
from etcdz.ipc.boot import Boot


def check_present(boot: Boot, what: str, path: Path, is_there: bool) -> None:
    """raises FatalError: it is gone, and this is not the process that may found it"""
    if not is_there and not boot.may_found:
        raise FatalError(
            f"{what} is gone: {path} was there when this member started, and a new one in its place would be empty. "
            "Look whether its file system is mounted; then start the member again"
        )
