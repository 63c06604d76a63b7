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
    receive_bytes_max: of one message. metadata: of all calls. pings_idle: also while nothing
    is under way."""

    endpoints: tuple[Endpoint, ...]
    tls: Tls = Tls()
    user: str = ""
    password: str = ""
    token: str = ""
    timeout_s: float = 10.0
    dial_timeout_s: float = 5.0
    ping_after_s: float = 10.0
    ping_timeout_s: float = 6.0
    pings_idle: bool = False
    user_agent: str = "etcdz-client"
    receive_bytes_max: int = (1 << 31) - 1
    metadata: tuple[tuple[bytes, bytes], ...] = ()
