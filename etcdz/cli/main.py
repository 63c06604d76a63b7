"""`etcdz`: run a member, or one of the commands beside it.

    etcdz [flags]            a member
    etcdz actors ...         its processes
    etcdz monitor ...        the same, as a screen
    etcdz bench ...          a load generator
    etcdz gateway ...        a TCP proxy in front of a cluster
    etcdz grpc-proxy ...     one that knows gRPC

Commands are loaded when asked for, so that each costs only its own imports.
"""

import importlib
import importlib.util
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from etcdz.bootstrap import data_kind
from etcdz.bootstrap.errors import BootstrapError
from etcdz.config import MemberConfig, bootstrap, checks
from etcdz.config.notes import Note
from etcdz.config.reading import ExitRequest, Host, read
from etcdz.telemetry import logs

COMMANDS = {
    "actors": "etcdz.cli.actors",
    "bench": "etcdz.cli.bench",
    "gateway": "etcdz.cli.gateway",
    "grpc-proxy": "etcdz.cli.grpc_proxy",
    "monitor": "etcdz.cli.monitor",
}
"""First word -> module with main(argv) -> exit status."""

log = logs.get()


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run what the arguments ask for. argv starts with the program's name. return the exit status."""
    argv = sys.argv if argv is None else argv
    command = argv[1] if len(argv) > 1 else ""
    if command in COMMANDS:
        return int(importlib.import_module(COMMANDS[command]).main(list(argv[2:])))
    return run_member(argv, os.environ if environ is None else environ)


def _can_trace() -> bool:
    try:
        return importlib.util.find_spec("opentelemetry.exporter.otlp.proto.grpc") is not None
    except ModuleNotFoundError:  # a package above it is missing
        return False


def run_member(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Read the configuration, say how that went as etcd does, and run the member. return the exit status."""
    try:
        return _run_member(argv, environ)
    finally:
        logs.flush(logs.LAST_LINES_S)


def _run_member(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    reading = read(argv[1:], environ, Host(_read_file, len(os.sched_getaffinity(0)), _default_host, _can_trace))
    _write(reading.early)
    outcome = reading.outcome
    if isinstance(outcome, ExitRequest):
        return _exit(outcome, argv)
    try:
        outcome = data_kind.decide(outcome)
    except BootstrapError as problem:
        return _exit(ExitRequest(1, error=str(problem)), argv)
    is_proxy = outcome.proxy != data_kind.OFF
    if sink_error := _set_up_logging(outcome.to_dict()):
        return _exit(ExitRequest(1, error=sink_error), argv)
    # Forked before a line is logged, which starts a thread.
    first_zygote = None if is_proxy else importlib.import_module("supervisor.processes.first_zygote").fork()
    with first_zygote or nullcontext():
        log.info("Running: ", args=list(argv))
        _write(reading.late)
        if not is_proxy and (error := _start_error(outcome)):
            log.warn("failed to start etcd", error=error)
            log.fatal("discovery failed", error=error)
            return 1
        member = importlib.import_module("supervisor.member")
        return int(member.run(outcome, first_zygote=first_zygote))


def _exit(request: ExitRequest, argv: Sequence[str]) -> int:
    """Print or log why there is no member."""
    sys.stdout.write(request.stdout)
    sys.stdout.flush()
    sys.stderr.write(request.stderr)
    error = request.error
    if error:
        if request.logging:
            error = _set_up_logging(request.logging) or error
        log.info("Running: ", args=list(argv))
        log.warn("failed to verify flags", error=error)
        if error == checks.ADVERTISE_UNSET:
            log.warn("advertise client URLs are not set", error=error)
    return request.code


def _set_up_logging(settings: Mapping[str, object]) -> str:
    """Point the log where it shall go. return why that is impossible, "" if it worked."""
    try:
        logs.configure(settings)  # to see whether it can be written there
        logs.configure(settings, behind=True)
    except OSError as error:
        path = str(error.filename)
        return f'couldn\'t open sink "{path}": open {path}: {(error.strerror or str(error)).lower()}'
    return ""


def _start_error(config: MemberConfig) -> str | None:
    """What keeps the member from starting, as far as the configuration goes."""
    if error := bootstrap.listen_error(config):
        return error
    initialized = has_log(config)
    if initialized:
        fields = {"data-dir": config.data_dir, "dir-type": "member"}
        log.info("server has been already initialized", **fields)
    elif error := first_start_error(config, bootstrap.resolve):
        return error
    return bootstrap.retention_error(config)


def first_start_error(config: MemberConfig, resolve: bootstrap.Resolve) -> str | None:
    """What keeps a member without a log from founding its cluster, or from joining it, as far as the settings say."""
    if config.discovery_srv:
        return None  # name servers say who the members are
    if config.initial_cluster_state == "existing":
        return bootstrap.join_error(config)
    return bootstrap.cluster_error(config, resolve)


def has_log(config: MemberConfig) -> bool:
    """Whether this member has run before: then its log says which members there are, and the flags do not."""
    try:
        return any(entry.suffix == ".wal" for entry in Path(config.wal_path).iterdir())
    except OSError:
        return False


def _write(notes: Sequence[Note]) -> None:
    for note in notes:
        log.log(note.level, note.msg, **note.fields)


def _read_file(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


def _default_host() -> str:
    """Address that this machine would use to reach the world; a connected UDP socket knows it without sending."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # documentation address: nothing is sent to it
        return str(probe.getsockname()[0])


if __name__ == "__main__":
    sys.exit(main())
