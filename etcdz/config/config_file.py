"""Settings from a configuration file: YAML with the names of the flags as keys.

    name: default
    log-outputs: [stderr]                 lists are YAML lists
    listen-client-urls: http://a,http://b URLs are one text, separated by commas
    grpc-keepalive-interval: 5000000000   durations are nanoseconds
    client-transport-security: {...}      TLS has sections of its own
    socket-options: {reuse-port: true}    as these have

Types are strict and a key's case does not matter, because etcd reads the file as JSON into typed fields. Its keys are
all taken; beyond them every flag of the table is a key. Unknown keys do nothing in etcd either; here they are warned
about. Source: etcd 3.5 embed.ConfigFromFile.
"""

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

from etcdz.config.flags import SETTINGS, Flag
from etcdz.config.kinds import LIST, Kind
from etcdz.config.literals import parse_int, parse_uint, parse_uint32
from etcdz.config.notes import Note

_SECTIONS: Final = {
    "client-transport-security": {
        "cert-file": "cert-file",
        "key-file": "key-file",
        "client-cert-file": "client-cert-file",
        "client-key-file": "client-key-file",
        "client-cert-auth": "client-cert-auth",
        "trusted-ca-file": "trusted-ca-file",
        "auto-tls": "auto-tls",
        "allowed-hostname": "client-cert-allowed-hostname",
    },
    "peer-transport-security": {
        "cert-file": "peer-cert-file",
        "key-file": "peer-key-file",
        "client-cert-file": "peer-client-cert-file",
        "client-key-file": "peer-client-key-file",
        "client-cert-auth": "peer-client-cert-auth",
        "trusted-ca-file": "peer-trusted-ca-file",
        "auto-tls": "peer-auto-tls",
        "allowed-cn": "peer-cert-allowed-cn",
        "allowed-hostname": "peer-cert-allowed-hostname",
    },
    "socket-options": {"reuse-port": "socket-reuse-port", "reuse-address": "socket-reuse-address"},
}
"""Section -> key -> flag."""
_SECTION_TYPES: Final = {"socket-options": ("transport.SocketOpts", "SocketOpts")}
_SECURITY_TYPE: Final = ("embed.securityConfig", "securityConfig")

_URL_FLAGS: Final = {
    "listen-peer-urls": "listen-peer-urls",
    "listen-client-urls": "listen-client-urls",
    "listen-client-http-urls": "listen-client-http-urls",
    "initial-advertise-peer-urls": "initial-advertise-peer-urls",
    "advertise-client-urls": "advertise-peer-urls",
    "listen-metrics-urls": "listen-metrics-urls",
}
"""URL flag -> what etcd calls it in its message; order of checking. NB: the fourth is etcd's slip, kept for parity."""

_INT, _FLOAT, _BOOL = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool"))
_MERGE, _VALUE, _TIMESTAMP = (f"tag:yaml.org,2002:{name}" for name in ("merge", "value", "timestamp"))
_WORDS: Final = {
    _INT: (r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]*|[1-9][0-9_]*)$", "-+0123456789"),
    _FLOAT: (
        r"[-+]?(?:(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$",
        "-+.0123456789",
    ),
    _BOOL: (r"(?:y|Y|n|N)$", "yYnN"),
}
"""What Go's YAML parser takes for numbers and (beside what PyYAML takes) for bools, and their first letters."""

_NUMBERS: Final = {"uint": parse_uint, "uint64": parse_uint, "uint32": parse_uint32}


class BadUrls(ValueError):
    """Bad URLs in a file: etcd prints these and exits at once, without a log line."""


class ConfigFile(NamedTuple):
    """values by flag name."""

    values: dict[str, Any]
    notes: list[Note]


def read(text: str, flags: Mapping[str, Flag] = SETTINGS) -> ConfigFile:
    """Take a file's text apart.

    raises  BadUrls: a URL is wrong
            ValueError: no YAML, or a value has another type than its flag
    """
    document = _load_yaml(text)
    if document is None:
        return ConfigFile({}, [])
    if not isinstance(document, dict):
        raise _mismatch(document, "value", "embed.configYAML")
    values: dict[str, Any] = {}
    notes: list[Note] = []
    for key, value in _sorted_items(document):
        name = str(key).lower()
        if value is None:
            continue
        if name in flags:
            values[name] = _typed(flags[name].kind, value, f"struct field configYAML.{name}")
        elif name in _SECTIONS:
            values.update(_read_section(name, value, flags))
        else:
            notes.append(Note("warn", "unknown key in the configuration file - ignoring", {"key": str(key)}))
    return ConfigFile(_with_parsed_texts(values, flags), notes)


def _sorted_items(mapping: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """By key, as etcd's way over JSON leaves them: this decides which of two errors is seen."""
    return sorted(mapping.items(), key=lambda item: str(item[0]))


def _read_section(name: str, section: Any, flags: Mapping[str, Flag]) -> dict[str, Any]:
    go_type, short = _SECTION_TYPES.get(name, _SECURITY_TYPE)
    if not isinstance(section, dict):
        raise _mismatch(section, f"struct field configYAML.{name}", go_type)
    values = {}
    for key, value in _sorted_items(section):
        flag = flags.get(_SECTIONS[name].get(str(key).lower(), ""))
        if flag is not None and value is not None:
            values[flag.name] = _typed(flag.kind, value, f"struct field {short}.{name}.{str(key).lower()}")
    return values


def _typed(kind: Kind, value: Any, where: str) -> Any:
    """Check a value against its flag's type, the way Go's encoding/json does."""
    go_type = kind.go_type
    if go_type == "string" and isinstance(value, str):
        return value
    if go_type == "bool" and isinstance(value, bool):
        return value
    if go_type == "[]string" and isinstance(value, list):
        for item in value:
            if not isinstance(item, str):
                raise _mismatch(item, where, "string")
        return tuple(value) if kind is LIST else tuple(sorted(set(value)))
    if go_type not in ("string", "bool", "[]string") and isinstance(value, int | float) and not isinstance(value, bool):
        return _number(go_type, value, where)
    raise _mismatch(value, where, go_type)


def _number(go_type: str, value: int | float, where: str) -> int:
    try:
        if isinstance(value, int) or value.is_integer():
            return _NUMBERS.get(go_type, parse_int)(str(int(value)))
    except (ValueError, OverflowError):
        pass
    shown = f"{float(value):.0f}" if isinstance(value, int) and abs(value) >= 2**64 else value  # a float by then
    raise ValueError(_words(f"number {shown}", where, go_type)) from None


def _mismatch(value: Any, where: str, go_type: str) -> ValueError:
    kinds: tuple[tuple[type, str], ...] = ((bool, "bool"), (str, "string"), (list, "array"), (dict, "object"))
    found = next((words for type_, words in kinds if isinstance(value, type_)), "number")
    return ValueError(_words(found, where, go_type))


def _words(found: str, where: str, go_type: str) -> str:
    return (
        "error unmarshaling JSON: while decoding JSON: "
        f"json: cannot unmarshal {found} into Go {where} of type {go_type}"
    )


def _with_parsed_texts(values: dict[str, Any], flags: Mapping[str, Flag]) -> dict[str, Any]:
    """Texts are in; now read what stands in them, URLs first and in etcd's order."""
    for name, label in _URL_FLAGS.items():
        if name in values:
            values[name] = _parse_urls(flags[name].kind, values[name], label)
    for name, value in values.items():
        if isinstance(value, str):
            with suppress(ValueError):  # a bad word stays as it is: the checks come to it in their order
                values[name] = flags[name].kind.parse(value)
    return values


def _parse_urls(kind: Kind, text: str, label: str) -> Any:
    try:
        return kind.parse(text)
    except ValueError as error:
        raise BadUrls(f"unexpected error setting up {label}: {error}") from None


def _load_yaml(text: str) -> Any:
    import yaml  # here, because actors import MemberConfig and never a file

    class Loader(yaml.SafeLoader):
        """YAML as Go's parser reads plain words: 1e2 is a number, 12:30 and 2021-10-15 are words."""

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_INT, _FLOAT, _TIMESTAMP)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for tag, (pattern, first_letters) in _WORDS.items():
        Loader.add_implicit_resolver(tag, re.compile(pattern, re.ASCII), list(first_letters))
    Loader.bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}
    Loader.add_constructor(_FLOAT, _construct_float)
    for tag in (_MERGE, _VALUE):  # "<<" and "=" where no key is expected
        Loader.add_constructor(tag, lambda loader, node: str(node.value))
    try:
        return next(yaml.load_all(text, Loader), None)  # later documents are not looked at, as in etcd
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or str(error)
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise ValueError(f"error converting YAML to JSON: yaml: {where}{problem}") from None


def _construct_float(loader: Any, node: Any) -> float:
    value = float(loader.construct_yaml_float(node))
    if not math.isfinite(value):
        word = "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
        raise ValueError(f"error converting YAML to JSON: json: unsupported value: {word}")
    return value
