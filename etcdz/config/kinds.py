"""Kinds of flag values: how each is read from text, and what a configuration file must hold for it."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from etcdz.config import literals, urls


class Kind(NamedTuple):
    """parse turns a flag's text into its value or raises ValueError with etcd's words.

    go_type is the type of etcd's field, which its messages about configuration files name.
    """

    parse: Callable[[str], Any]
    go_type: str


def choice(*allowed: str) -> Kind:
    """One of a few words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError("invalid value")
        return text

    return Kind(parse, "string")


def choices(*allowed: str) -> Kind:
    """Some of a few words, separated by commas."""

    def parse(text: str) -> str:
        for word in text.split(","):
            if word not in allowed:
                raise ValueError(f"invalid value {literals.quote(word)}")
        return ",".join(sorted(text.split(",")))

    return Kind(parse, "string")


def _parse_words(text: str) -> tuple[str, ...]:
    return tuple(sorted(set(text.split(",")))) if text else ()


def _parse_list(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _parse_urls(text: str) -> tuple[str, ...]:
    return urls.parse_urls(text) if text else ()


def _parse_hosts(text: str) -> tuple[str, ...]:
    """NB: an empty text is the empty name, and no other host is one, as in etcd."""
    return tuple(sorted(set(text.split(","))))


def _parse_origins(text: str) -> tuple[str, ...]:
    return (text,) if text == "*" else urls.parse_urls(text)


STRING: Final = Kind(str, "string")
BOOL: Final = Kind(literals.parse_bool, "bool")
UINT: Final = Kind(literals.parse_uint, "uint")
UINT64: Final = Kind(literals.parse_uint, "uint64")
UINT32: Final = Kind(literals.parse_uint32, "uint32")
INT: Final = Kind(literals.parse_int, "int")
INT64: Final = Kind(literals.parse_int, "int64")
DURATION: Final = Kind(literals.parse_duration, "time.Duration")
"""Nanoseconds. NB: a configuration file holds them as a number, as etcd's does, and not as "5s"."""
URLS: Final = Kind(_parse_urls, "string")
"""Sorted URLs; an empty text leaves the default alone, as in etcd."""
ORIGINS: Final = Kind(_parse_origins, "string")
HOSTS: Final = Kind(_parse_hosts, "string")
WORDS: Final = Kind(_parse_words, "[]string")
"""Words separated by commas, sorted, each once."""
LIST: Final = Kind(_parse_list, "[]string")
"""Words separated by commas, as they are given."""
IGNORED: Final = Kind(str, "bool")
"""A flag of old that takes any value, also none, and does nothing."""

BOOLEAN: Final = (BOOL, IGNORED)
"""Kinds that stand alone: `--flag` means true, and a following word is not theirs."""
