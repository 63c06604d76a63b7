"""What --help and --version print."""

import platform
import sys
from collections.abc import Iterator

from etcdz import ETCD_VERSION, __version__
from etcdz.config.flags import SECTIONS, SETTINGS, Flag, Status

USAGE = """Usage:

  etcdz [flags]
    Run a member.

  etcdz --version
    Print the versions and exit.

  etcdz -h | --help
    Print this help and exit.

  etcdz --config-file FILE
    Run a member with the settings of a file; other flags and environment variables are then not looked at.

  etcdz actors
    Look at the processes of a running member, and steer them.

  etcdz monitor
    The same as a screen that goes on; with --endpoints several members side by side.

  etcdz bench
    Measure how fast a member or a cluster answers.

  etcdz gateway start
    One address in front of a cluster: a TCP proxy.

  etcdz grpc-proxy start
    The same for gRPC: calls of many clients share its few connections and watches.
"""
"""Goes to stderr, as etcd's does."""

_MARKS = {Status.DEFAULT_ONLY: " [=]", Status.WITHOUT_EFFECT: " [~]", Status.WITHOUT_MEANING: " [-]"}
_UNSAFE_WARNING = "Flags under Unsafe may break the promises that a Raft cluster gives. Use them with care."


def help_text() -> str:
    """All flags by section, with their defaults."""
    return "\n".join(_lines()) + "\n"


def version_text() -> str:
    """Versions of the API, of etcdz and of what runs it."""
    return (
        f"etcd Version: {ETCD_VERSION}\n"
        f"etcdz Version: {__version__}\n"
        f"Python Version: {platform.python_version()}\n"
        f"Python OS/Arch: {sys.platform}/{platform.machine()}\n"
    )


def _lines() -> Iterator[str]:
    for section, rows in SECTIONS.items():
        yield f"{section}:"
        for row in rows:
            yield from _flag_lines(SETTINGS[row[0]])
        yield ""
    yield "Every flag can also be given as an environment variable: --some-flag as ETCD_SOME_FLAG."
    yield f"[=] marks a flag of which {Status.DEFAULT_ONLY.value}."
    yield f"[~] marks a flag that is {Status.WITHOUT_EFFECT.value}."
    yield f"[-] marks a flag that is {Status.WITHOUT_MEANING.value}."
    yield ""
    yield _UNSAFE_WARNING


def _flag_lines(flag: Flag) -> Iterator[str]:
    default = "${name}.etcd" if flag.name == "data-dir" else flag.default
    mark = _MARKS.get(flag.status, "")
    yield f"  --{flag.name} '{default}'{mark}"
    yield f"    {flag.help}"
