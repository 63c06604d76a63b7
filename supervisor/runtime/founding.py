"""Who the member is and whom it begins with, settled before the tree starts.

The decision is kept in `<data-dir>/member/founding.json` before anything else is made there, and read again at every
start: a log without entries does not tell a member that was to found a cluster from one that was to join it. Once the
log has entries the file says nothing any more.
"""

import json
import os
from pathlib import Path
from typing import Final

from etcdz.cluster.founding import Founding
from etcdz.config import MemberConfig
from etcdz.migration.inventory import has_log

NAME: Final = "founding.json"


class FoundingError(Exception):
    """The member must not start; the text is for the user."""


def settle(config: MemberConfig) -> Founding | None:
    """The decision, made now or at an earlier start; None: by a start that kept none. raises FoundingError"""
    path = Path(config.member_dir) / NAME
    try:
        if has_log(Path(config.wal_path)):
            return _load(path)
        founding = config.first_founding
        _save(path, founding)
    except OSError as error:
        raise FoundingError(f"cannot keep what is decided about this member: {error}") from error
    return founding


def _load(path: Path) -> Founding | None:
    """raises FoundingError: it is damaged"""
    try:
        return Founding.from_dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        raise FoundingError(
            f"{path} is damaged. If this member has been part of its cluster before, remove the file, "
            f"else remove {path.parent}"
        ) from None


def _save(path: Path, founding: Founding) -> None:
    """So that it is there after power loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("w") as file:
        json.dump(founding.to_dict(), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    for directory in (path.parent, path.parent.parent):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
