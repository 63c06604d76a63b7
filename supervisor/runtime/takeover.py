"""Before the tree starts: what lies in the data directory must be what etcdz starts from, or be made so.

The work is done by a process of its own (supervisor/processes/takeover.py); meanwhile the supervisor waits for it and
for signals alone. One that stops the member kills the process, at whatever it is: the next start begins anew, or goes
on.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from etcdz.config import MemberConfig
from etcdz.migration.errors import MigrationError
from etcdz.migration.inventory import BUILDING, Work, examine, has_log
from etcdz.telemetry import logs
from supervisor.runtime.data_dir import DataDir
from supervisor.runtime.signals import STOPPING, Signals

REASON_BYTES_MAX: Final = 4096
_LOG_SETTINGS: Final = ("log_level", "log_format", "log_outputs")

log = logs.get("supervisor")


def find_work(config: MemberConfig) -> Work:
    """What has to be done first. raises MigrationError: the member must not start"""
    try:
        return examine(Path(config.data_dir), Path(config.wal_path), config.takeover)
    except OSError as error:
        raise MigrationError(f"cannot look into the data directory: {error}") from None


def do_work(config: MemberConfig, data: DataDir, work: Work) -> int:
    """return the signal that told the member to stop meanwhile, 0: it may start.

    raises  MigrationError: it must not
    Requires: the main thread
    """
    if work is Work.NONE and not _is_forced(config):
        return 0
    signals = Signals()
    try:
        stop_signal = _run(config, data, signals)
    finally:
        signals.restore()
    if not stop_signal and find_work(config) is not Work.NONE:
        raise MigrationError(f"{data.path} is still not one of etcdz")
    return stop_signal


def _is_forced(config: MemberConfig) -> bool:
    """Whether the member is to be made a cluster of itself alone. Before its first start there is nothing to force."""
    return config.force_new_cluster and has_log(Path(config.wal_path))


def _run(config: MemberConfig, data: DataDir, signals: Signals) -> int:
    report, other = os.pipe()
    try:
        process = _start(config, data, other)
        os.close(other)
        stop_signal = _wait(process, signals)
        if stop_signal:
            shutil.rmtree(data.path / BUILDING, ignore_errors=True)
        elif process.returncode:
            reason = os.read(report, REASON_BYTES_MAX).decode("utf-8", "surrogateescape")
            raise MigrationError(reason or f"the takeover ended with status {process.returncode}")
        return stop_signal
    finally:
        os.close(report)


def _start(config: MemberConfig, data: DataDir, report: int) -> "subprocess.Popen[bytes]":
    settings = config.to_dict()
    order = {
        "data_dir": config.data_dir,
        "wal_dir": config.wal_path,
        "takeover": config.takeover,
        "force_new_cluster": _is_forced(config),
        "peer_urls": config.initial_advertise_peer_urls,
        "supervisor": os.getpid(),
        "report": report,
        **{name: settings[name] for name in _LOG_SETTINGS},
    }
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-m", "supervisor.processes.takeover", json.dumps(order)],
        stdin=subprocess.DEVNULL,
        pass_fds=(report, data.lock_fd),
        env={**os.environ, "PYTHONPATH": path},
        process_group=0,  # what a terminal sends to its group reaches only the supervisor
    )


def _wait(process: "subprocess.Popen[bytes]", signals: Signals) -> int:
    """Until it has ended. return the signal for which it was killed, or 0"""
    ended = os.pidfd_open(process.pid)
    try:
        while True:
            ready, _, _ = select.select([ended, signals.fileno()], [], [])
            if ended in ready:
                process.wait()
                return 0
            for signum in signals.received():
                if signum in STOPPING:
                    log.info("received signal; shutting down", signal=signal.Signals(signum).name)
                    process.kill()
                    process.wait()
                    return signum
    finally:
        os.close(ended)
