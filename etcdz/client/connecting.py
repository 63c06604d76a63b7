"""What `connect` is given, as Options: endpoints, TLS, a login; what is not given comes from etcdctl's variables."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence

from etcdz.client import srv
from etcdz.client.endpoints import parse_endpoints
from etcdz.client.options import Options, Tls

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_ENDPOINT = "127.0.0.1:2379"


def make_options(
    endpoints: str | Iterable[str] | None,
    *,
    ca: str = "",
    cert: tuple[str, str] | None = None,
    server_name: str = "",
    skip_verify: bool | None = None,
    user: str = "",
    password: str = "",
    token: str = "",
    environ: Mapping[str, str] = os.environ,
    timeout_s: float = 10.0,
    dial_timeout_s: float = 5.0,
    keepalive_s: float = 2.0,
    keepalive_timeout_s: float = 6.0,
    sync_every_s: float = 0.0,
    discovery_srv: str = "",
    discovery_srv_name: str = "",
    insecure_discovery: bool | None = None,
    look_up: Callable[[str], Sequence[tuple[str, int]]] = srv.look_up,
) -> Options:
    """endpoints None: ETCDCTL_ENDPOINTS and its like say everything that is not given here. raises ValueError

    discovery_srv   a domain whose SRV records say the endpoints. raises OSError: there are none
    """
    said = environ if endpoints is None else {}
    ca = ca or said.get("ETCDCTL_CACERT", "")
    cert_file, key_file = cert or (said.get("ETCDCTL_CERT", ""), said.get("ETCDCTL_KEY", ""))
    if bool(cert_file) != bool(key_file):
        raise ValueError(f"a certificate and its key are both wanted (certificate: {cert_file}, key: {key_file})")
    if not user:
        user, colon, word = said.get("ETCDCTL_USER", "").partition(":")
        password = password or (word if colon else said.get("ETCDCTL_PASSWORD", ""))
    if skip_verify is None:
        skip_verify = said.get("ETCDCTL_INSECURE_SKIP_TLS_VERIFY", "") in _TRUE
    is_secure = bool(ca or cert_file or skip_verify)
    given = endpoints if endpoints is not None else said.get("ETCDCTL_ENDPOINTS") or _ENDPOINT
    domain = discovery_srv or said.get("ETCDCTL_DISCOVERY_SRV", "")
    if domain:
        if insecure_discovery is None:
            insecure_discovery = said.get("ETCDCTL_INSECURE_DISCOVERY", "true") in _TRUE
        given = srv.discover(domain, discovery_srv_name or said.get("ETCDCTL_DISCOVERY_SRV_NAME", ""), look_up)
        if not insecure_discovery:
            given = [url for url in given if url.startswith("https:")]
            server_name = server_name or domain
    return Options(
        endpoints=parse_endpoints(given, is_secure),
        tls=Tls(ca, cert_file, key_file, server_name, skip_verify),
        user=user,
        password=password,
        token=token or said.get("ETCDCTL_AUTH_JWT_TOKEN", ""),
        timeout_s=timeout_s,
        dial_timeout_s=dial_timeout_s,
        ping_after_s=keepalive_s,
        ping_timeout_s=keepalive_timeout_s,
        sync_every_s=sync_every_s,
    )
