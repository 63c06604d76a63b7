"""Tells the service manager how far this process is (systemd's Type=notify).

The datagram socket that NOTIFY_SOCKET names takes lines of KEY=value: READY=1 once the member serves clients,
STOPPING=1 when its end begins. "@name" is an abstract socket. Source: sd_notify(3).
"""

import os
import socket

from etcdz.telemetry import logs

log = logs.get("supervisor")

READY = "READY=1"
STOPPING = "STOPPING=1"


def notify(state: str) -> None:
    """Send READY or STOPPING to the service manager, if there is one. Never waits; a failure is only logged.

    Requires: the process that the service manager started, since it takes no word from another one.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(state.encode(), address)
    except (OSError, ValueError) as error:
        log.error("failed to notify systemd", state=state, error=str(error))
