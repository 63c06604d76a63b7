"""`etcdz grpc-proxy start`, with etcd's flags, words and exit codes."""

import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from etcdz.cli.command_tree import Command, Flag, Values, execute
from etcdz.cli.gateway.discovery import discover
from etcdz.cli.grpc_proxy import settings as s
from etcdz.cli.grpc_proxy.process import Process
from etcdz.cli.grpc_proxy.settings import Settings, SettingsError
from etcdz.client.endpoints import parse_endpoints
from etcdz.client.options import Options, Tls
from etcdz.config.literals import parse_bool, parse_duration, quote
from etcdz.telemetry import logs
from etcdz.tls import self_signed
from etcdz.tls.certificate import names_in
from etcdz.tls.contexts import TlsError, client_context
from etcdz.tls.files import TlsFiles
from etcdz.tls.pem import CERTIFICATE, blocks
from etcdz.tls.settings import TlsSettings

log = logs.get()

_BACKLOG: Final = 4_096
_NEVER_PINGS: Final = float("inf")


def main(argv: Sequence[str]) -> int:
    """argv: what follows `etcdz grpc-proxy`. return the exit status."""
    try:
        return execute(COMMAND, argv)
    finally:
        logs.flush(logs.LAST_LINES_S)


def start(arguments: list[str], values: Values) -> int:
    """Serves until a signal ends this process."""
    if parse_bool(values["debug"]):
        logs.set_level("debug")
    with ExitStack() as opened:
        try:
            run = _prepare(values, opened)
        except (SettingsError, TlsError, OSError, ValueError) as error:
            print(error, file=sys.stderr)
            return 1
        return run()


def _prepare(values: Values, opened: ExitStack) -> Callable[[], int]:
    """return what serves, and then has the exit status. opened: its sockets

    raises  SettingsError, TlsError, OSError, ValueError: it cannot start
    """
    s.check_arguments(values)
    settings = s.settings_of(values, ())
    own_tls = _own_tls(settings)
    listening = opened.enter_context(_listen(settings.listen_addr))
    log.info("listening for gRPC proxy client requests", address=settings.listen_addr)
    settings = settings._replace(endpoints=_endpoints(values))
    process = Process(settings, _cluster_options(settings), _own_options(settings, own_tls), _files(own_tls))
    metrics = _listen_metrics(settings.metrics_addr)
    if metrics is not None:
        opened.enter_context(metrics)
    is_secure = own_tls is not None and settings.metrics_addr.startswith("https:")
    return lambda: process.run(listening, metrics, is_secure)


# ---- TLS ----


def _own_tls(settings: Settings) -> TlsSettings | None:
    """What clients are shown; None: nothing. raises SettingsError, TlsError"""
    tls = settings.own_tls
    if not (tls.cert_file or tls.key_file or tls.trusted_ca_file):
        if not settings.auto_tls:
            return None
        directory = Path(settings.data_dir) / "fixtures" / "proxy"
        host = settings.listen_addr.rpartition(":")[0].strip("[]")
        hosts = [host] if host else []
        try:
            tls = self_signed.with_own_certificate(tls, directory, hosts, settings.validity_years, log)
        except self_signed.SelfSignedError as error:
            raise SettingsError(str(error)) from None
    log.info("gRPC proxy server TLS", tls_info=str(tls))
    return tls


def _files(own_tls: TlsSettings | None) -> TlsFiles | None:
    """raises TlsError"""
    if own_tls is None:
        return None
    files = TlsFiles(own_tls, log, alpn=("h2", "http/1.1"))
    files.server_context()
    return files


def _cluster_options(settings: Settings) -> Options:
    """raises SettingsError, OSError, ValueError"""
    tls = settings.cluster_tls
    if settings.has_cluster_tls:
        _check_common_name(tls.cert)
        shown = TlsSettings(
            cert_file=tls.cert,
            key_file=tls.key,
            trusted_ca_file=tls.ca,
            insecure_skip_verify=tls.skip_verify,
        )
        client_context(shown)
        if tls.skip_verify:
            log.warn(
                "--insecure-skip-tls-verify was given, this grpc proxy process skips authentication of etcd server TLS"
                " certificates. This option should be enabled only for testing purposes."
            )
        log.info("gRPC proxy client TLS", tls_info=str(shown))
    return Options(
        endpoints=parse_endpoints(settings.endpoints, settings.has_cluster_tls),
        tls=tls,
        receive_bytes_max=settings.receive_bytes_max or (1 << 31) - 1,
        ping_after_s=settings.ping_after_s,
        ping_timeout_s=settings.ping_timeout_s or _NEVER_PINGS,
        pings_idle=settings.pings_idle,
        user_agent="etcdz-grpc-proxy",
    )


def _check_common_name(cert_file: str) -> None:
    """With a name of its own the proxy would be who its clients are, for a cluster that knows users by certificates.
    raises SettingsError, OSError"""
    if not cert_file:
        return
    for der in blocks(Path(cert_file).read_bytes(), CERTIFICATE)[:1]:
        name = names_in(der).common_name
        if name:
            raise SettingsError(f"cert has non empty Common Name ({name}): {cert_file}")


def _own_options(settings: Settings, own_tls: TlsSettings | None) -> Options | None:
    """Of a client of this proxy, for its own health. raises ValueError"""
    if not settings.advertise_client_url:
        return None
    tls = Tls()
    if own_tls is not None:
        cert, key = own_tls.cert_file, own_tls.key_file
        tls = Tls(own_tls.trusted_ca_file, cert, key, skip_verify=own_tls.is_self_signed)
    options = Options(parse_endpoints(settings.advertise_client_url, own_tls is not None), tls)
    log.info("create proxy client", grpcProxyAdvertiseClientURL=settings.advertise_client_url)
    return options


# ---- addresses ----


def _endpoints(values: Values) -> tuple[str, ...]:
    """raises OSError: no answer of name servers"""
    found: list[Any] = []
    if values["discovery-srv"]:
        suffix, is_insecure = values["discovery-srv-name"], parse_bool(values["insecure-discovery"])
        found = discover(values["discovery-srv"], suffix, values["cacert"], is_insecure)
    return tuple([str(record) for record in found] or values["endpoints"].split(","))


def _listen(address: str) -> socket.socket:
    """raises SettingsError, OSError"""
    host, colon, port = address.rpartition(":")
    if not colon:
        raise SettingsError(f"listen tcp: address {address}: missing port in address")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) < 1 << 16):
        raise SettingsError(f"listen tcp: address {port}: invalid port")
    host = host.strip("[]")
    try:
        family = socket.getaddrinfo(host or None, int(port), type=socket.SOCK_STREAM)[0][0]
        made = socket.create_server((host, int(port)), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"listen tcp {address}: {_why(error)}") from None
    made.setblocking(False)
    return made


def _why(error: OSError | UnicodeError) -> str:
    text = getattr(error, "strerror", None) or str(error)
    syscall = "bind: " if isinstance(error, OSError) and not isinstance(error, socket.gaierror) else ""
    return syscall + text.split(" (")[0].lower()


def _listen_metrics(url: str) -> socket.socket | None:
    """raises SettingsError, OSError"""
    if not url:
        return None
    try:
        host = urlsplit(url).netloc
    except ValueError:
        raise SettingsError(f"cannot parse {quote(url)}") from None
    made = _listen(host)
    log.info("gRPC proxy listening for metrics", address=url)
    return made


# ---- flags ----


START: Final = Command(
    "start",
    "start the grpc proxy",
    run=start,
    flags=(
        Flag("listen-addr", "listen address", "127.0.0.1:23790"),
        Flag("discovery-srv", "domain name to query for SRV records describing cluster endpoints"),
        Flag("discovery-srv-name", "service name to query when using DNS discovery"),
        Flag("metrics-addr", "listen for endpoint /metrics requests on an additional interface"),
        Flag("insecure-discovery", "accept insecure SRV records", is_bool=True),
        Flag("endpoints", "comma separated etcd cluster endpoints", "127.0.0.1:2379", is_list=True),
        Flag(
            "endpoints-auto-sync-interval",
            "etcd endpoints auto sync interval (disabled by default)",
            "0s",
            check=parse_duration,
        ),
        Flag(
            "dial-keepalive-time",
            "time of silence before a member is asked for a sign of life (0 to disable)",
            "10s",
            check=parse_duration,
        ),
        Flag(
            "dial-keepalive-timeout",
            "time of silence after that before a member's connection is given up",
            "20s",
            check=parse_duration,
        ),
        Flag("permit-without-stream", "ask members for signs of life even with no active RPCs", is_bool=True),
        Flag("advertise-client-url", "advertise address to register (must be reachable by client)", "127.0.0.1:23790"),
        Flag("resolver-prefix", "prefix to use for registering proxy (must be shared with other grpc-proxy members)"),
        Flag("resolver-ttl", "specify TTL, in seconds, when registering proxy endpoints", "0", check=s.check_int),
        Flag("namespace", "string to prefix to all keys for namespacing requests"),
        Flag("enable-pprof", "not supported by etcdz", is_bool=True),
        Flag("data-dir", "Data directory for persistent data", "default.proxy"),
        Flag("max-send-bytes", "message send limits in bytes", "1572864", check=s.check_int),
        Flag("max-recv-bytes", "message receive limits in bytes", "2147483647", check=s.check_int),
        Flag(
            "grpc-keepalive-min-time",
            "Minimum interval duration that a client should wait before pinging proxy.",
            "5s",
            check=parse_duration,
        ),
        Flag(
            "grpc-keepalive-interval",
            "Frequency duration of server-to-client ping to check if a connection is alive (0 to disable).",
            "2h0m0s",
            check=parse_duration,
        ),
        Flag(
            "grpc-keepalive-timeout",
            "Additional duration of wait before closing a non-responsive connection (0 to disable).",
            "20s",
            check=parse_duration,
        ),
        Flag("cert", "identify secure connections with etcd servers using this TLS certificate file"),
        Flag("key", "identify secure connections with etcd servers using this TLS key file"),
        Flag("cacert", "verify certificates of TLS-enabled secure etcd servers using this CA bundle"),
        Flag(
            "insecure-skip-tls-verify",
            "skip authentication of etcd server TLS certificates (CAUTION: for testing purposes only)",
            is_bool=True,
        ),
        Flag("cert-file", "identify secure connections to the proxy using this TLS certificate file"),
        Flag("key-file", "identify secure connections to the proxy using this TLS key file"),
        Flag("trusted-ca-file", "verify certificates of TLS-enabled secure proxy using this CA bundle"),
        Flag("listen-cipher-suites", "comma separated TLS cipher suites between client and proxy", is_list=True),
        Flag("auto-tls", "proxy TLS using generated certificates", is_bool=True),
        Flag("client-crl-file", "proxy client certificate revocation list file."),
        Flag(
            "self-signed-cert-validity",
            "The validity period of the proxy certificates, unit is year",
            "1",
            check=s.check_uint,
        ),
        Flag("tls-min-version", "Minimum TLS version supported by grpc proxy: TLS1.2, TLS1.3.", "TLS1.2"),
        Flag("tls-max-version", "Maximum TLS version supported by grpc proxy: TLS1.2, TLS1.3, or empty."),
        Flag(
            "experimental-serializable-ordering",
            "Ensure serializable reads have monotonically increasing store revisions across endpoints.",
            is_bool=True,
        ),
        Flag("experimental-leasing-prefix", "not supported by etcdz"),
        Flag("experimental-enable-grpc-logging", "logging all grpc requests and responses", is_bool=True),
        Flag("debug", "Enable debug-level logging for grpc-proxy.", is_bool=True),
        Flag(
            "max-concurrent-streams",
            "Maximum concurrent streams that each client can open at a time.",
            "4294967295",
            check=s.check_uint32,
        ),
    ),
)
COMMAND: Final = Command("etcdz grpc-proxy", "grpc-proxy related command", children=(START,))
