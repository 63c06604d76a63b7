"""From the command line, the environment and a file to one MemberConfig, or to the reason why not.

    flags on the command line          win over
    ETCD_* environment variables       win over
    defaults

With --config-file (or ETCD_CONFIG_FILE) the file alone counts; flags are still read, so that a misspelt one is seen.
The machine is asked through Host, so that reading is a function of its arguments. Source: etcd 3.5 etcdmain.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from etcdz.config import (
    checks,
    command_line,
    config_file,
    environment,
    feature_gates,
    help_text,
    transport_security,
)
from etcdz.config.flags import COMMAND_LINE, MISSED, SETTINGS
from etcdz.config.kinds import DURATION, URLS
from etcdz.config.member import (
    AUTH_TOKEN_TTL_DEFAULT_S,
    BCRYPT_COST_DEFAULT,
    BCRYPT_COST_MAX,
    BCRYPT_COST_MIN,
    MemberConfig,
)
from etcdz.config.notes import Note
from etcdz.config.urls import parse_url, split_host_port

LISTENERS_MAX: Final = 4
"""More listeners by default would only take cores from the actors behind them."""


def _no_file(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", path)


class Host(NamedTuple):
    """What reading may ask of the machine.

    read_file       path -> text; raises OSError
    default_host    -> the address that the default route leaves from; raises OSError
    can_trace       -> whether the packages are installed that export spans
    """

    read_file: Callable[[str], str] = _no_file
    cores: int = 1
    default_host: Callable[[], str] = lambda: ""
    can_trace: Callable[[], bool] = lambda: True


NO_HOST: Final = Host()
"""A machine without files, with one core."""


class ExitRequest(NamedTuple):
    """The process shall end.

    stdout, stderr  text to print as it is
    error           what "failed to verify flags"; its lines follow "Running: " in the log
    logging         settings for etcdz.logs.configure(), None if the log was not set up yet
    """

    code: int
    stdout: str = ""
    stderr: str = ""
    error: str = ""
    logging: dict[str, Any] | None = None


class Reading(NamedTuple):
    """early notes come before etcd's "Running: " and go to stderr; late ones follow it and go to the log."""

    outcome: MemberConfig | ExitRequest
    early: Sequence[Note] = ()
    late: Sequence[Note] = ()


class _Sources(NamedTuple):
    """What was given, by flag name, and where it was found."""

    given: dict[str, Any]
    early: Sequence[Note]
    config_path: str = ""


def parse(argv: Sequence[str], environ: Mapping[str, str], host: Host = NO_HOST) -> MemberConfig | ExitRequest:
    """The configuration that read() comes to."""
    return read(argv, environ, host).outcome


def read(argv: Sequence[str], environ: Mapping[str, str], host: Host = NO_HOST) -> Reading:
    """Read everything there is. argv is without the program's name."""
    try:
        line = command_line.split(argv, COMMAND_LINE)
    except command_line.HelpAsked:
        return Reading(ExitRequest(0, stdout=help_text.help_text(), stderr=help_text.USAGE))
    except ValueError as error:
        return Reading(_usage_error(str(error)))
    if line.words:
        return Reading(ExitRequest(1, error=f"'{line.words[0]}' is not a valid flag"))
    if line.values.get("version"):
        return Reading(ExitRequest(0, stdout=help_text.version_text()))
    path = line.values.get("config-file") or environ.get(environment.CONFIG_FILE_VARIABLE)
    if path:
        return _read_file(path, host)
    if refusal := checks.unsupported(line.values):
        return Reading(_usage_error(refusal))
    return _read_environment(line.values, environ, host)


def _usage_error(text: str) -> ExitRequest:
    """NB: the reason comes last, where people and tools look for it; etcd has it first."""
    return ExitRequest(2, stderr=f"{help_text.USAGE}\n{text}\n")


def _read_environment(given: dict[str, Any], environ: Mapping[str, str], host: Host) -> Reading:
    env = environment.take(environ, given, COMMAND_LINE)
    if env.conflict:
        text = (
            "conflicting environment variable is shadowed by corresponding command-line flag "
            "(either unset environment variable or disable flag))"
        )
        note = Note("fatal", text, {"environment-variable": env.conflict})
        return Reading(ExitRequest(1), [*env.notes, note])
    if env.error:
        return Reading(ExitRequest(1, error=env.error), env.notes)
    everything = {**given, **env.values}
    if "listen-client-urls" in everything and "advertise-client-urls" not in everything:
        everything["advertise-client-urls"] = None
    return _decide(_Sources(everything, env.notes), host)


def _read_file(path: str, host: Host) -> Reading:
    try:
        file = config_file.read(host.read_file(path))
    except config_file.BadUrls as error:
        return Reading(ExitRequest(1, stderr=f"{error}\n"))
    except UnicodeDecodeError:
        return Reading(ExitRequest(1, error="error converting YAML to JSON: yaml: invalid UTF-8"))
    except OSError as error:
        return Reading(ExitRequest(1, error=f"open {path}: {(error.strerror or str(error)).lower()}"))
    except ValueError as error:
        return Reading(ExitRequest(1, error=str(error)))
    return _decide(_Sources(file.values, file.notes, path), host)


def _decide(sources: _Sources, host: Host) -> Reading:
    """Check what was given, in etcd's order, and make a MemberConfig of it."""
    if refusal := checks.unsupported(sources.given) or feature_gates.conflict(sources.given):
        return Reading(ExitRequest(1, error=refusal), sources.early)
    sources = sources._replace(given={**sources.given, **feature_gates.as_flags(sources.given)})
    settings = _complete(sources.given)
    try:
        if error := checks.logging_error(settings):
            return Reading(ExitRequest(1, error=error), sources.early)
    except checks.BadLogLevel as why:
        return Reading(ExitRequest(2, stderr=f"{why}\n"), sources.early)
    if error := checks.member_error(settings) or _tracing_error(settings, host):
        # NB: with a file etcd has given up its logger by now and falls back to stderr.
        logging = None if sources.config_path else _logging_of(settings)
        return Reading(ExitRequest(1, error=error, logging=logging), sources.early)
    early = list(sources.early)
    if sources.config_path:
        text = (
            "loaded server configuration, other configuration command line flags "
            "and environment variables will be ignored if provided"
        )
        early.append(Note("info", text, {"path": sources.config_path}))
    late = _detect_default_host(settings, host)
    return Reading(_member_config(settings, sources.given, host, late), early, late)


def _tracing_error(settings: Mapping[str, Any], host: Host) -> str:
    if not checks.is_traced(settings) or host.can_trace():
        return ""
    return "distributed tracing is enabled and OpenTelemetry is not installed: install etcdz[tracing]"


def _complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """Given values over defaults. An empty list of URLs leaves the default; None takes it away."""
    settings = {name: flag.default_value for name, flag in SETTINGS.items()}
    for name, value in given.items():
        if name not in SETTINGS:
            continue
        if SETTINGS[name].kind is URLS and value == ():
            continue
        settings[name] = () if value is None else value
    settings["log-outputs"] = settings["log-outputs"] or ("default",)
    settings["initial-cluster-state"] = settings["initial-cluster-state"] or "new"
    is_found = any(
        settings[name] for name in ("discovery", "discovery-endpoints", "discovery-srv", "discovery-srv-name")
    )
    if is_found and "initial-cluster" not in given:
        settings["initial-cluster"] = ""
    return settings


def _logging_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "log_level": checks.level_of(settings),
        "log_format": settings["log-format"] or "json",
        "log_outputs": settings["log-outputs"],
    }


def _detect_default_host(settings: dict[str, Any], host: Host) -> list[Note]:
    """A member that listens on all addresses and advertises none is advertised at the one of the default route."""
    pairs = (("listen-peer-urls", "initial-advertise-peer-urls"), ("listen-client-urls", "advertise-client-urls"))
    detected = ""
    notes: list[Note] = []
    for listen, advertise in pairs:
        address, port = _first_address(settings[listen])
        default = SETTINGS[advertise].default_value
        if address != "0.0.0.0" or settings[advertise] != default:
            continue
        try:
            detected = detected or host.default_host()
        except OSError as error:
            return [Note("info", "failed to detect default host", {"error": str(error)})]
        if detected:
            settings[advertise] = (f"{parse_url(default[0]).scheme}://{detected}:{port}",)
            notes = [Note("info", "detected default host for advertise", {"host": detected})]
    return notes


def _first_address(urls: tuple[str, ...]) -> tuple[str, str]:
    url = parse_url(urls[0])
    return ("", "") if url.is_unix else split_host_port(url.host)


def _as_utf8(text: str) -> str:
    """Text that members and clients are told: U+FFFD for each byte that is none of UTF-8. Source: Go's encoding/json"""
    return "".join(["\ufffd" if "\udc80" <= char <= "\udcff" else char for char in text])


def _initial_cluster_text(settings: Mapping[str, Any]) -> str:
    """With only a name given, the cluster is this member at the URLs that it advertises."""
    text: str = settings["initial-cluster"]
    if settings["name"] == SETTINGS["name"].default or text != SETTINGS["initial-cluster"].default:
        return text
    name = settings["name"] or SETTINGS["name"].default
    return ",".join(f"{name}={url}" for url in settings["initial-advertise-peer-urls"])


def _member_config(settings: Mapping[str, Any], given: Mapping[str, Any], host: Host, late: list[Note]) -> MemberConfig:
    fields = {
        flag.field: settings[name] / 1e9 if flag.kind is DURATION else settings[name]
        for name, flag in SETTINGS.items()
        if flag.field
    }
    fields |= _logging_of(settings)
    for old, value in given.items():
        name = old.removeprefix("experimental-")
        if name != old and name in SETTINGS and SETTINGS[name].field:
            fields[SETTINGS[name].field] = value / 1e9 if SETTINGS[name].kind is DURATION else value
    if not settings["data-dir"]:
        fields["data_dir"] = f"{settings['name']}.etcd"
        late.append(Note("warn", "'data-dir' was empty; using default", {"data-dir": fields["data_dir"]}))
    if fields["lease_checkpoint"] and not fields["lease_checkpoint_persist"]:
        text = (
            "Detected that checkpointing is enabled without persistence. "
            "Consider enabling experimental-enable-lease-checkpoint-persist"
        )
        late.append(Note("warn", text, {}))
    late += _missed(given)
    late += _auth_defaults(fields)
    without_meaning = checks.without_meaning(given)
    if without_meaning:
        text = "flags that tune bbolt have no meaning for LevelDB - ignoring"
        late.append(Note("info", text, {"flag-names": list(without_meaning)}))
    fields |= transport_security.sides(settings)
    fields["name"] = _as_utf8(fields["name"])
    fields["initial_cluster_text"] = _as_utf8(_initial_cluster_text(settings))
    fields["listeners"] = settings["listeners"] or default_listeners(host.cores)
    return MemberConfig(**fields, without_meaning=without_meaning)


def _auth_defaults(fields: dict[str, Any]) -> list[Note]:
    """What is out of bounds becomes the default, in fields. Source: etcd 3.5 auth"""
    fields["auth_token_ttl_s"] = fields["auth_token_ttl_s"] or AUTH_TOKEN_TTL_DEFAULT_S
    cost = fields["bcrypt_cost"]
    if BCRYPT_COST_MIN <= cost <= BCRYPT_COST_MAX:
        return []
    fields["bcrypt_cost"] = BCRYPT_COST_DEFAULT
    bounds = {"min-cost": BCRYPT_COST_MIN, "max-cost": BCRYPT_COST_MAX, "default-cost": BCRYPT_COST_DEFAULT}
    return [Note("warn", "use default bcrypt cost instead of the invalid given cost", bounds | {"given-cost": cost})]


def _missed(given: Mapping[str, Any]) -> list[Note]:
    """What the user may expect of given settings, and does not get."""
    return [
        Note("warn", "a setting has no effect yet", {"flag": checks.as_text(name, given[name]), "missing": missing})
        for name, missing in MISSED.items()
        if name in given and given[name] != SETTINGS[name].default_value
    ]


def default_listeners(cores: int) -> int:
    """One on a small machine, where the actors behind it need the other core."""
    return 1 if cores <= 2 else min(LISTENERS_MAX, cores // 2)
