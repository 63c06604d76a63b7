"""How the pages of docs/reference begin: what a command is for, the variables it reads, its exit statuses."""

from typing import Final

MEMBER: Final = """\
`etcdz [flags]` runs a member of a cluster, or a cluster of one. `etcdz --config-file FILE` takes the settings from a
file; `etcdz --version` and `etcdz --help` print and end. Some first words are commands of their own:
[actors](etcdz-actors.md), [monitor](etcdz-monitor.md), [bench](etcdz-bench.md), [gateway](etcdz-gateway.md),
[grpc-proxy](etcdz-grpc-proxy.md).

**Settings** have etcd's names. A flag is written `--name value` or `--name=value`. Each is also a variable of the
environment, as `ETCD_DATA_DIR` for `--data-dir`, which counts if the flag is not given; both at once are an error. In a
configuration file the flags' names are the keys, and flags and variables are not looked at then. Times are written
`5s`, `90m`, `2h` on the command line and are nanoseconds in a file, as in etcd. What is not as in etcd is listed in
[Settings](../../config/README.md).

**Signals**: SIGTERM and SIGINT stop the member in order. SIGQUIT writes the stacks of all its processes to the log and
ends it at once.

**Exit status**: 0 after `--help` and `--version`; 1 if the member could not start or has given up, with the reason in
the last line of the log; 2 for a wrong command line, and after SIGQUIT. A member that a signal has stopped ends by it.
"""

_TEXT: Final = """\
{what}

**Variables**: {variables}

**Exit status**: {statuses}
"""
_OF_CTL: Final = "those of `etcdzctl` for endpoints, TLS and login, such as `ETCDCTL_CACERT`."
_OF_A_MEMBER: Final = "`ETCD_DATA_DIR` and `ETCD_NAME`, which a member was perhaps started with, too."

HEADS: Final = {
    "etcdzctl": _TEXT.format(
        what="""\
Keys, watches, leases, locks, users and members of a cluster of etcdz or etcd, with the commands of etcdctl 3.5. A
command may be named by its first letters if no other begins with them. What is not as in etcdctl is listed in
[Settings](../../config/README.md).""",
        variables="""\
each flag that all commands have, as `ETCDCTL_ENDPOINTS` for `--endpoints`; a flag and its variable at once
are an error.""",
        statuses="""\
0; 1 if the command has failed; 2 for a login or a call about leases that has; 3 for bad input of `txn` and `watch`, and
a range in use of `check`; 4 for a load that `check` does not know; 5 for a watch that the member has ended; 128 for
wrong arguments.""",
    ),
    "etcdzutl": _TEXT.format(
        what="What can be done to the files of a member that does not run, etcdz's own or etcd's.",
        variables="none.",
        statuses="0; 1 if the command has failed, with the reason on stderr; 128 for wrong arguments.",
    ),
    "etcdz actors": _TEXT.format(
        what="""\
The processes of a member that runs on this machine: what they do, and orders to them. More in
[Looking into a running member](../actors.md).""",
        variables=_OF_A_MEMBER,
        statuses="0; 1 if no member runs there, or it does not answer, or it refuses; 2 for a wrong command line.",
    ),
    "etcdz monitor": _TEXT.format(
        what="""\
A member, or several side by side, in a terminal; `?` explains the keys. Where there is no terminal it prints.
More in [Looking into a running member](../actors.md).""",
        variables=f"{_OF_A_MEMBER[:-1]}; with `--endpoints` {_OF_CTL}",
        statuses="0; 1 if no member runs there; 2 for a wrong command line; 130 after an interrupt.",
    ),
    "etcdz bench": _TEXT.format(
        what="""\
Load on a cluster of etcdz or etcd, and how it answers, with the commands and flags of etcd's own `benchmark`.""",
        variables=_OF_CTL,
        statuses="""\
0 if all requests were made and one at least was answered; 1 if not, or nothing answers there; 2 for a
wrong command line; 130 after an interrupt, with a report of what was measured.""",
    ),
    "etcdz gateway": _TEXT.format(
        what="""\
One address for clients that know only one: a TCP proxy in front of a cluster, as `etcd gateway` is. It looks into
nothing that it carries, TLS least of all.""",
        variables="none.",
        statuses="1 if it could not start, with the reason; else it runs until a signal ends it.",
    ),
    "etcdz grpc-proxy": _TEXT.format(
        what="""\
One process between many clients and a cluster: it shares watches and keep-alives, and keeps answers. More in
[The gRPC proxy](../grpc-proxy.md).""",
        variables="none.",
        statuses="1 if it could not start, with the reason; else it runs until a signal ends it.",
    ),
}
"""Command -> the first paragraphs of its page."""
