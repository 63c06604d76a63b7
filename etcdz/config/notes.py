"""Log lines that the reading of a configuration wants written; it has no log to write them to."""

from typing import Any, NamedTuple


class Note(NamedTuple):
    """One line: level as in etcdz.logs, fields under etcd's keys."""

    level: str
    msg: str
    fields: dict[str, Any]
