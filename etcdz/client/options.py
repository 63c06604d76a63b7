"""What a client is told when it is made."""

from typing import NamedTuple

from etcdz.client.endpoints import Endpoint


class Tls(NamedTuple):
    """Files in PEM. ca: whom the servers' certificates must come from; empty: whom this system trusts."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""
    skip_verify: bool = False


class Options(NamedTuple):
    """timeout_s: of a call that names none; 0: none. dial_timeout_s: of one connection. token: a JWT, never renewed.

    ping_after_s    silence while calls are under way after which a sign of life is asked for
    ping_timeout_s  without it, until the connection is given up
    pings_idle      also while nothing is under way
    sync_every_s    how often the endpoints that members advertise are taken; 0: never
    receive_bytes_max   of one message
    metadata        of all calls
    """

    endpoints: tuple[Endpoint, ...]
    tls: Tls = Tls()
    user: str = ""
    password: str = ""
    token: str = ""
    timeout_s: float = 10.0
    dial_timeout_s: float = 5.0
    ping_after_s: float = 2.0
    ping_timeout_s: float = 6.0
    pings_idle: bool = False
    sync_every_s: float = 0.0
    user_agent: str = "etcdz-client"
    receive_bytes_max: int = (1 << 31) - 1
    metadata: tuple[tuple[bytes, bytes], ...] = ()
