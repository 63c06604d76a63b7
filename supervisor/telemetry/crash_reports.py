"""What is known of an actor that died: one JSON file each, below `<data dir>/crash`, read by `actors postmortem`.

    {"name", "kind", "incarnation", "pid", "time", "uptime_s", "status", "ending", "reason", "stack", "messages",
     "summary", "statistics", "log"}

    time        when it ended, RFC 3339
    status      exit status, or minus the number of the signal
    stack       Python's: the traceback of the error that ended it, or where its threads were when it was last asked or
                got a signal like SIGSEGV; "" if it had no time for that, as after kill -9
    messages    headers of the last frames that it took, oldest first: {"ago_s", "types", "from", "size", "age_us"}
    summary     and statistics: of its last heartbeat
    log         its last lines

The newest REPORTS_MAX are kept. A report holds no values of users' keys: headers, summaries and log lines have none,
and the text of an error is kept only without literals (etcdz.flight.describe).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from etcdz.telemetry.flight import Header

DIRECTORY: Final = "crash"
REPORTS_MAX: Final = 32
MESSAGES_MAX: Final = 200
STACK_CHARS_MAX: Final = 32_768
LOG_CHARS_MAX: Final = 32_768
REPORT_BYTES_MAX: Final = 256 << 10
"""Of one file: follows from the bounds above and from heartbeats being small; a larger report loses its summary."""


class Death(NamedTuple):
    """A process that has ended, and what it left. time_s: since 1970; ended_ns: on the monotonic clock."""

    name: str
    kind: str
    incarnation: int
    pid: int
    time_s: float
    ended_ns: int
    uptime_s: float
    status: int
    ending: str
    reason: str
    stack: str
    headers: Sequence[Header]
    summary: Mapping[str, Any]
    statistics: Mapping[str, Any]
    log: str


def report(death: Death, name_of: Callable[[int], str]) -> dict[str, Any]:
    """As it is written. name_of: incarnation -> the actor's name"""
    return {
        "name": death.name,
        "kind": death.kind,
        "incarnation": death.incarnation,
        "pid": death.pid,
        "time": datetime.fromtimestamp(death.time_s, UTC).isoformat(timespec="milliseconds"),
        "uptime_s": round(death.uptime_s, 3),
        "status": death.status,
        "ending": death.ending,
        "reason": death.reason,
        "stack": death.stack[-STACK_CHARS_MAX:],
        "messages": [
            {"ago_s": round((death.ended_ns - header.handled_ns) / 1e9, 6), **show_header(header, name_of)}
            for header in death.headers[-MESSAGES_MAX:]
        ],
        "summary": dict(death.summary),
        "statistics": dict(death.statistics),
        "log": death.log[-LOG_CHARS_MAX:],
    }


def show_header(header: Header, name_of: Callable[[int], str]) -> dict[str, Any]:
    """A frame that an actor took: {"types", "messages", "from", "size", "age_us"}; age_us: None if unknown"""
    return {
        "types": list(header.types),
        "messages": header.messages,
        "from": name_of(header.sender),
        "size": header.size,
        "age_us": max(0, header.handled_ns - header.sent_ns) // 1000 if header.sent_ns else None,
    }


def write(data_dir: str, content: Mapping[str, Any]) -> Path:
    """Write a report and remove the oldest beyond the bound. return its path. raises OSError"""
    directory = Path(data_dir) / DIRECTORY
    directory.mkdir(mode=0o700, exist_ok=True)
    text = json.dumps(content, default=str, skipkeys=True)
    if len(text) > REPORT_BYTES_MAX:
        text = json.dumps({**content, "summary": {}, "statistics": {}}, default=str, skipkeys=True)
    stamp = str(content["time"]).replace(":", "").replace("-", "").partition("+")[0]
    path = directory / f"{stamp}-{content['name']}-{content['incarnation']}.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text + "\n")
    temporary.replace(path)
    for old in paths(data_dir)[:-REPORTS_MAX]:
        old.unlink(missing_ok=True)
    return path


def paths(data_dir: str) -> list[Path]:
    """Of all reports, oldest first: their names begin with their time."""
    return sorted((Path(data_dir) / DIRECTORY).glob("*.json"))


def read_all(data_dir: str, name: str = "") -> list[dict[str, Any]]:
    """Reports, of one actor or of all, oldest first; what cannot be read is passed over."""
    found = []
    for path in paths(data_dir):
        with suppress(OSError, ValueError):
            content = json.loads(path.read_text())
            if not name or content.get("name") == name:
                found.append({"path": str(path), **content})
    return found
