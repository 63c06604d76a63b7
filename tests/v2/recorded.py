"""Requests to the v2 API and what etcd 3.5.1 answered, in order, on a fresh member; 3.4.23 where it differs.

Recorded for this project. A time is "<time>" there, headers of CORS are left out. What another client did while a
request waited is in MEANWHILE.
"""

import json
import re
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "testdata" / "etcd-3.5.1.jsonl"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_EXPIRATION = re.compile(r'"expiration":"[^"]+"')

Call = tuple[str, str, str]
"""method, path, body; or ("SYNC", "", "")"""
MEANWHILE: dict[str, list[Call]] = {
    "wait then change": [("SYNC", "", ""), ("PUT", "/v2/keys/w1", "value=now")],
    "wait delete": [("DELETE", "/v2/keys/w1", "")],
    "wait recursive then create": [("PUT", "/v2/keys/wd/c", "value=now")],
    "wait stream: two events": [
        ("PUT", "/v2/keys/wd/c", "value=1"),
        ("PUT", "/v2/keys/wd/_hidden", "value=1"),
        ("PUT", "/v2/keys/wd/d", "value=2"),
        ("DELETE", "/v2/keys/wd?recursive=true", ""),
    ],
    "wait for expiry": [("SYNC", "", "")],
    "set ttl, refresh while waiting, no event": [("PUT", "/v2/keys/rf", "refresh=true&ttl=50&prevExist=true")],
}
BEFORE: dict[str, list[Call]] = {
    "wait for expiry": [("PUT", "/v2/keys/ex", "value=1&ttl=1")],
    "set ttl, refresh while waiting, no event": [("PUT", "/v2/keys/rf", "value=1&ttl=50")],
}


def rows() -> list[dict[str, Any]]:
    with PATH.open() as lines:
        return [row for row in map(json.loads, lines) if "request" in row]


def masked(body: str) -> str:
    """Without what a clock says."""
    return re.sub(r',"ttl":-?\d+', "", _EXPIRATION.sub('"expiration":"<time>"', body))


def timeless(body: str) -> str:
    """Statistics of a member without what a clock says."""
    return re.sub(r'"uptime":"[^"]+"', '"uptime":"<d>"', re.sub(r'"startTime":"[^"]+"', '"startTime":"<time>"', body))


def in_order(body: str) -> Any:
    """Parsed, with nodes by key: a directory lists them in any order."""

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            if "nodes" in node:
                node["nodes"].sort(key=lambda child: str(child["key"]))
            return {name: walk(value) for name, value in node.items()}
        return [walk(value) for value in node] if isinstance(node, list) else node

    return walk(json.loads(body))
