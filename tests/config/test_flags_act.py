"""A flag either works or is refused; one that is accepted and then forgotten would be a lie."""

import re
from pathlib import Path

from etcdz.config.flags import SETTINGS

ROOT = Path(__file__).resolve().parents[2]


def readers() -> str:
    """All code but the tables that only hand the values on."""
    tables = {
        ROOT / "etcdz/config/flags.py",
        ROOT / "etcdz/config/reading.py",
        ROOT / "supervisor/runtime/announcements.py",
    }
    files = [path for part in ("actors", "etcdz", "supervisor") for path in (ROOT / part).rglob("*.py")]
    return "\n".join([path.read_text() for path in files if path not in tables])


def test_somebody_reads_what_every_working_flag_sets() -> None:
    code = readers()
    fields = {flag.field for flag in SETTINGS.values() if flag.field}
    unread = {name for name in fields if not re.search(rf"(\.|\"){name}\b", code)}
    assert unread == set()
