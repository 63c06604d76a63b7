"""Which tests may be skipped in CI, and why: what is not in this table fails a run with --strict-skips.

A test is skipped for what it does not find. What `pip install -e '.[test]'` brings, the real etcd among it, and what
lies in the repository is there, or the run proves less than it says. What remains depends on the machine.
"""

import re
from typing import Final

ALLOWED: Final = {
    r"(h2load|nghttp) .*not installed": "a program of Debian's package nghttp2-client",
    r"no etcdctl 3\.4 here": "a program of Debian's package etcd-client",
    r"no etcd 3\.4 here": "a program of Debian's package etcd-server",
    r"only root can|no mkfs\.ext4 here|cannot mount ": "mounting a file system takes a privilege and a program",
    r"root may write anywhere": "file permissions stop anybody but root",
    r"only with --long": "part of the extended form",
    r"no newer etcd here": "etcd beyond 3.5 is in no package that the tests install",
    r"a real etcd has no actors|the subject is an etcd 3\.5\.1 too|etcd 3\.5\.1 has no RangeStream": "asked for: etcd",
    r"strace is not installed|strace may not trace here": "a program of Debian, and the right to trace",
    r"(prometheus|promtool) is not installed": "programs of Debian's package prometheus",
    r"systemd-analyze is not installed": "a program of Debian's package systemd",
    r"chromium is not installed": "a program of Debian's package chromium",
    r"runs are too few to say": "fewer seeds than usual were asked for",
}
"""Pattern found in the reason of a skip -> why it is no gap."""


def why_allowed(reason: str) -> str | None:
    """None: this skip is a failure in CI."""
    return next((why for pattern, why in ALLOWED.items() if re.search(pattern, reason)), None)
