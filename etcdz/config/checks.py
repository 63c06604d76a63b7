"""What must hold before a member may start: etcd's checks in etcd's order and words, and what is not built yet.

Settings come as flag name -> value, complete. Source: etcd 3.5 embed.Config.Validate; log-format
and compact-hash-check-time as etcd 3.6.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from etcdz.config import urls
from etcdz.config.flags import SETTINGS
from etcdz.config.kinds import BOOLEAN
from etcdz.config.literals import format_duration, quote
from etcdz.config.retention import PERIODIC, REVISION
from etcdz.telemetry.logs import LEVELS
from etcdz.telemetry.trace_context import SAMPLES_MAX
from etcdz.tls.settings import TLS_VERSIONS

ELECTION_MS_MAX: Final = 50_000
ADVERTISE_UNSET: Final = "--advertise-client-urls is required when --listen-client-urls is set explicitly"

_DISCOVERY_V3: Final = tuple(
    f"discovery-{name}" for name in ("token", "endpoints", "cert", "key", "cacert", "user", "password")
)

Settings = Mapping[str, Any]


class BadLogLevel(ValueError):
    """etcd panics over it, with exit status 2 and before it has a log."""


def unsupported(given: Mapping[str, Any]) -> str | None:
    """The first given setting that is known but not built yet. Silence would be a lie to the user."""
    for name, value in given.items():
        flag = SETTINGS.get(name)
        if flag is not None and not flag.is_supported(value):
            return f"{as_text(name, value)} is not supported yet"
    return None


def without_meaning(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Given settings that have nothing to act on here."""
    return tuple(name for name in given if name in SETTINGS and SETTINGS[name].status.name == "WITHOUT_MEANING")


def logging_error(settings: Settings) -> str | None:
    """Why no log can be written. raises BadLogLevel."""
    logger, outputs = settings["logger"], settings["log-outputs"]
    if logger == "capnslog":
        return "--logger=capnslog is removed in v3.5"
    if logger != "zap":
        return f"unknown logger option {quote(logger)}"
    if len(outputs) > 1 and "default" in outputs:
        return f"multi logoutput for {quote('default')} is not supported yet"
    level_of(settings)
    if settings["log-format"] not in ("json", "console", ""):
        return f"unknown log format: {settings['log-format']}, supported values json, console"
    return None


def level_of(settings: Settings) -> str:
    """The log level in small letters, info if empty. raises BadLogLevel."""
    text: str = settings["log-level"]
    if text.lower() in LEVELS:
        return text.lower()
    if text:
        raise BadLogLevel(f"unrecognized level: {quote(text)}")
    return "info"


def member_error(settings: Settings) -> str | None:
    """The first check that fails once logging is set up; None if all hold."""
    return next((error for check in _CHECKS if (error := check(settings))), None)


def _bind(settings: Settings) -> str | None:
    for name in ("listen-peer-urls", "listen-client-urls", "listen-client-http-urls", "listen-metrics-urls"):
        if error := urls.bind_error(settings[name]):
            return error
    return None


def _advertise(settings: Settings) -> str | None:
    for name in ("initial-advertise-peer-urls", "advertise-client-urls"):
        if error := urls.advertise_error(settings[name]):
            return f'--{name} {quote(",".join(settings[name]))} must be "host:port" ({error})'
    return None


def _cluster_state(settings: Settings) -> str | None:
    state = settings["initial-cluster-state"]
    return None if state in ("new", "existing") else f"unexpected clusterState {quote(state)}"


def _one_bootstrap(settings: Settings) -> str | None:
    """Members are named in one place. Source: for the v3 service, etcd 3.6"""
    places = ("initial-cluster", "discovery", "discovery-endpoints", "discovery-srv")
    if sum(bool(settings[name]) for name in places) > 1:
        choices = '"initial-cluster", "discovery", "discovery-endpoints" or "discovery-srv"'
        if not settings["discovery-endpoints"]:
            choices = '"initial-cluster", "discovery" or "discovery-srv"'
        return f"multiple discovery or bootstrap flags are set. Choose one of {choices}"
    if settings["discovery-proxy"] and any(settings[name] for name in _DISCOVERY_V3):
        return (
            "both v2 discovery settings (discovery, discovery-proxy) and v3 discovery settings (discovery-token, "
            "discovery-endpoints, discovery-cert, discovery-key, discovery-cacert, discovery-user, "
            "discovery-password) are set"
        )
    if bool(settings["discovery-token"]) != bool(settings["discovery-endpoints"]):
        return "both --discovery-token and --discovery-endpoints must be set"
    return None


def _ticks(settings: Settings) -> str | None:
    heartbeat, election = settings["heartbeat-interval"], settings["election-timeout"]
    if heartbeat == 0:
        return f"--heartbeat-interval must be >0 (set to {heartbeat}ms)"
    if election == 0:
        return f"--election-timeout must be >0 (set to {election}ms)"
    if 5 * heartbeat > election:
        return f"--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
    if election > ELECTION_MS_MAX:
        return f"--election-timeout[{election}ms] is too long, and should be set less than {ELECTION_MS_MAX}ms"
    return None


def _advertise_is_set(settings: Settings) -> str | None:
    return None if settings["advertise-client-urls"] else ADVERTISE_UNSET


def _lease_checkpoint(settings: Settings) -> str | None:
    enable = "experimental-enable-lease-checkpoint"
    if settings[f"{enable}-persist"] and not settings[enable]:
        return f"setting {enable}-persist requires {enable}"
    return None


def _compaction_mode(settings: Settings) -> str | None:
    mode = settings["auto-compaction-mode"]
    return None if mode in ("", PERIODIC, REVISION) else f"unknown auto-compaction-mode {quote(mode)}"


def _v2_deprecation(settings: Settings) -> str | None:
    """Of a file; a flag's words are looked at when it is read."""
    try:
        SETTINGS["v2-deprecation"].kind.parse(settings["v2-deprecation"])
    except ValueError as error:
        return str(error)
    stage = settings["v2-deprecation"]
    if settings["enable-v2"] and stage != "not-yet":
        return f"--enable-v2 and --v2-deprecation={stage} are mutually exclusive"
    return None


def _feature_gates(settings: Settings) -> str | None:
    """The same."""
    gates = settings["feature-gates"]
    if isinstance(gates, str):
        try:
            SETTINGS["feature-gates"].kind.parse(gates)
        except ValueError as error:
            return str(error)
    return None


def _compact_hash_check(settings: Settings) -> str | None:
    for name in ("experimental-compact-hash-check-time", "compact-hash-check-time"):
        if settings[name] <= 0:
            return f"--{name} must be >0 (set to {format_duration(settings[name])})"
    return None


def _tls_versions(settings: Settings) -> str | None:
    lowest, highest = settings["tls-min-version"], settings["tls-max-version"]
    for version in (lowest, highest):
        if version and version not in TLS_VERSIONS:
            return f"unexpected TLS version {quote(version)} (must be one of: {', '.join(TLS_VERSIONS)})"
    if highest and lowest > highest:
        return f"min version ({lowest}) is greater than max version ({highest})"
    if lowest == TLS_VERSIONS[-1] and settings["cipher-suites"]:
        return "cipher suites cannot be configured when only TLS1.3 is enabled"
    return None


def _tracing(settings: Settings) -> str | None:
    if not is_traced(settings):
        return None
    rate = settings["experimental-distributed-tracing-sampling-rate"] or settings["distributed-tracing-sampling-rate"]
    if rate < 0:
        return "tracing sampling rate must be positive"
    return f"tracing sampling rate must be less than {SAMPLES_MAX}" if rate > SAMPLES_MAX else None


def is_traced(settings: Settings) -> bool:
    """Whether spans of calls are to be exported."""
    names = ("experimental-enable-distributed-tracing", "enable-distributed-tracing")
    return any(settings[name] for name in names)


_CHECKS: Final[tuple[Callable[[Settings], str | None], ...]] = (
    _bind,
    _advertise,
    _cluster_state,
    _one_bootstrap,
    _ticks,
    _advertise_is_set,
    _lease_checkpoint,
    _v2_deprecation,
    _feature_gates,
    _compact_hash_check,
    _compaction_mode,
    _tls_versions,
    _tracing,
)


def as_text(name: str, value: Any) -> str:
    """A setting as the user would write it."""
    return f"--{name}={_value_text(name, value)}"


def _value_text(name: str, value: Any) -> str:
    kind = SETTINGS[name].kind
    if kind in BOOLEAN:
        return "true" if value else "false"
    if kind.go_type == "time.Duration":
        return format_duration(value)
    return ",".join(value) if isinstance(value, tuple) else str(value)
