"""What the flags of `grpc-proxy start` come to, and what is wrong with them."""

from typing import Final, NamedTuple

from etcdz.cli.command_tree import Values
from etcdz.client.options import Tls
from etcdz.config.literals import parse_bool, parse_duration, parse_int, parse_uint, quote
from etcdz.tls.settings import TLS_VERSIONS, TlsSettings

_ORDER: Final = ("", *TLS_VERSIONS)


_ONE_OF: Final = "(must be one of: TLS1.2, TLS1.3)"
_PING_AFTER_S: Final = 10.0
"""Where the flag does not say: a member whose host is gone is noticed. etcd sends none then."""
_NOT_SUPPORTED: Final = ("experimental-leasing-prefix", "enable-pprof")


class SettingsError(Exception):
    """Why it cannot start, for people."""


class Settings(NamedTuple):
    """times in s; 0 of keepalive times and limits: etcd's meaning of 0"""

    listen_addr: str
    metrics_addr: str
    endpoints: tuple[str, ...]
    advertise_client_url: str
    resolver_prefix: str
    resolver_ttl: int
    namespace: str
    data_dir: str
    send_bytes_max: int
    receive_bytes_max: int
    keepalive_min_s: float
    keepalive_interval_s: float
    keepalive_timeout_s: float
    streams_max: int
    sync_s: float
    ping_after_s: float
    ping_timeout_s: float
    pings_idle: bool
    validity_years: int
    auto_tls: bool
    is_ordered: bool
    logs_calls: bool
    cluster_tls: Tls
    own_tls: TlsSettings

    @property
    def has_cluster_tls(self) -> bool:
        tls = self.cluster_tls
        return bool(tls.ca or tls.cert or tls.key or tls.skip_verify)


def check_arguments(values: Values) -> None:
    """In etcd's order and words. raises SettingsError"""
    prefix, ttl = values["resolver-prefix"], parse_int(values["resolver-ttl"])
    if prefix and ttl < 1:
        raise SettingsError(f"invalid resolver-ttl {ttl}")
    if not prefix and ttl > 0:
        raise SettingsError(f"invalid resolver-prefix {quote(prefix)}")
    if prefix and ttl > 0 and not values["advertise-client-url"]:
        raise SettingsError(f"invalid advertise-client-url {quote('')}")
    if parse_bool(values["auto-tls"]) and parse_int(values["self-signed-cert-validity"]) == 0:
        raise SettingsError("selfSignedCertValidity is invalid,it should be greater than 0")
    _check_versions(values)
    for name in _NOT_SUPPORTED:
        if values[name] not in ("", "false"):
            raise SettingsError(f"{name} is not supported by etcdz")


def _check_versions(values: Values) -> None:
    """As etcd 3.6"""
    lowest, highest = values["tls-min-version"], values["tls-max-version"]
    for name, version in (("min", lowest), ("max", highest)):
        if version not in _ORDER:
            raise SettingsError(f"tls-{name}-version is invalid: unexpected TLS version {quote(version)} {_ONE_OF}")
    if highest and _ORDER.index(lowest) > _ORDER.index(highest):
        raise SettingsError(f"min version ({lowest}) is greater than max version ({highest})")
    if lowest == "TLS1.3" and values["listen-cipher-suites"]:
        raise SettingsError("cipher suites cannot be configured when only TLS1.3 is enabled")


def settings_of(values: Values, endpoints: tuple[str, ...]) -> Settings:
    """Requires: check_arguments"""
    seconds = {name: parse_duration(values[name]) / 1e9 for name in DURATIONS}
    return Settings(
        listen_addr=values["listen-addr"],
        metrics_addr=values["metrics-addr"],
        endpoints=endpoints,
        advertise_client_url=values["advertise-client-url"],
        resolver_prefix=values["resolver-prefix"],
        resolver_ttl=parse_int(values["resolver-ttl"]),
        namespace=values["namespace"],
        data_dir=values["data-dir"],
        send_bytes_max=parse_int(values["max-send-bytes"]),
        receive_bytes_max=parse_int(values["max-recv-bytes"]),
        keepalive_min_s=seconds["grpc-keepalive-min-time"],
        keepalive_interval_s=seconds["grpc-keepalive-interval"],
        keepalive_timeout_s=seconds["grpc-keepalive-timeout"],
        streams_max=parse_int(values["max-concurrent-streams"]),
        sync_s=seconds["endpoints-auto-sync-interval"],
        ping_after_s=_ping_after_s(values, seconds["dial-keepalive-time"]),
        ping_timeout_s=seconds["dial-keepalive-timeout"],
        pings_idle=parse_bool(values["permit-without-stream"]),
        validity_years=parse_int(values["self-signed-cert-validity"]),
        auto_tls=parse_bool(values["auto-tls"]),
        is_ordered=parse_bool(values["experimental-serializable-ordering"]),
        logs_calls=parse_bool(values["experimental-enable-grpc-logging"]),
        cluster_tls=Tls(
            values["cacert"], values["cert"], values["key"], "", parse_bool(values["insecure-skip-tls-verify"])
        ),
        own_tls=_own_tls(values),
    )


def _ping_after_s(values: Values, given_s: float) -> float:
    if "dial-keepalive-time" not in values.given:
        return _PING_AFTER_S
    return given_s if given_s > 0 else float("inf")


def _own_tls(values: Values) -> TlsSettings:
    return TlsSettings(
        cert_file=values["cert-file"],
        key_file=values["key-file"],
        trusted_ca_file=values["trusted-ca-file"],
        crl_file=values["client-crl-file"],
        cipher_suites=tuple([name for name in values["listen-cipher-suites"].split(",") if name]),
        min_version=values["tls-min-version"] or "TLS1.2",
        max_version=values["tls-max-version"],
    )


DURATIONS: Final = (
    "endpoints-auto-sync-interval",
    "dial-keepalive-time",
    "dial-keepalive-timeout",
    "grpc-keepalive-min-time",
    "grpc-keepalive-interval",
    "grpc-keepalive-timeout",
)


def check_int(text: str) -> None:
    """raises ValueError, in Go's words"""
    _check_number(text, "ParseInt", parse_int)


def check_uint(text: str) -> None:
    """raises ValueError"""
    _check_number(text, "ParseUint", parse_uint)


def check_uint32(text: str) -> None:
    """raises ValueError"""
    _check_number(text, "ParseUint", lambda value: parse_uint(value, 32))


def _check_number(text: str, name: str, parse: object) -> None:
    assert callable(parse)
    try:
        parse(text)
    except ValueError as error:
        what = "value out of range" if "range" in str(error) else "invalid syntax"
        raise ValueError(f"strconv.{name}: parsing {quote(text)}: {what}") from None
