"""URLs of members as etcd accepts them: "http://10.0.0.1:2379,http://10.0.0.2:2379".

    list      = url *("," url)                  sorted, spaces around each are dropped
    url       = ("http" / "https") "://" host ":" port
              / ("unix" / "unixs") "://" path-or-name

What Go's url.Parse refuses is refused with its words, because etcd shows them to the user.
Source: etcd 3.5 client/pkg/types, Go's net/url and net.SplitHostPort. unix URLs are as in etcd 3.6, where a path is
allowed; 3.5 wants "unix://name:port" there and makes a file "name:port" of it, which still works.
"""

import ipaddress
import re
from typing import Final, NamedTuple

from etcdz.config.literals import quote

SCHEMES: Final = ("http", "https", "unix", "unixs")
UNIX_SCHEMES: Final = ("unix", "unixs")

_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):", re.ASCII)
_PORT: Final = re.compile(r"(?::[0-9]*)?", re.ASCII)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9a-fA-F]{2})", re.ASCII)
_ESCAPED_ASCII: Final = re.compile(r"%(?!25)[0-7][0-9a-fA-F]", re.ASCII)
_NOT_IN_HOST: Final = re.compile(r"[^a-zA-Z0-9\-_.~!$&'()*+,;=:\[\]<>\"%\u0080-\U0010ffff]")
_NOT_IN_USERINFO: Final = re.compile(r"[^a-zA-Z0-9\-._:~!$&'()*+,;=%@]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class Url(NamedTuple):
    """One parsed URL. text is its normal form, by which etcd compares and sorts."""

    scheme: str
    host: str
    """Host and port as written, brackets included; empty in unix:///path."""
    path: str
    text: str

    @property
    def is_unix(self) -> bool:
        return self.scheme in UNIX_SCHEMES

    @property
    def is_secure(self) -> bool:
        return self.scheme in ("https", "unixs")

    @property
    def socket_path(self) -> str:
        """File of a unix URL."""
        return self.host + self.path

    @property
    def host_port(self) -> tuple[str, str]:
        """(host, port), either of which may be empty. raises ValueError: a unix URL, or no such pair"""
        return split_host_port(self.host)


def parse_urls(text: str) -> tuple[str, ...]:
    """A comma-separated list in normal form, sorted. raises ValueError: etcd's words."""
    return tuple(sorted(parse_member_url(part.strip()).text for part in text.split(",")))


def parse_member_url(text: str) -> Url:
    """A URL that a member can listen on or advertise. raises ValueError: etcd's words."""
    url = parse_url(text)
    if url.scheme not in SCHEMES:
        raise ValueError(f"URL scheme must be http, https, unix, or unixs: {text}")
    if url.is_unix and url.socket_path:
        return url
    try:
        split_host_port(url.host)
    except ValueError:
        raise ValueError(f'URL address does not have the form "host:port": {text}') from None
    if url.path:
        raise ValueError(f"URL must not contain a path: {text}")
    return url


def parse_url(text: str) -> Url:
    """Any URL, in Go's sense of it. raises ValueError: `parse "...": why`."""
    before, _, fragment = text.partition("#")
    try:
        url = _parse_without_fragment(before)
    except ValueError as error:
        raise ValueError(f"parse {quote(before)}: {error}") from None
    try:
        _check_escapes(fragment)
    except ValueError as error:
        raise ValueError(f"parse {quote(text)}: {error}") from None
    return url._replace(text=f"{url.text}#{fragment}") if fragment else url


def split_host_port(host_port: str) -> tuple[str, str]:
    """host:port or [v6]:port in two, brackets taken off. raises ValueError: Go's words."""

    def fail(why: str) -> ValueError:
        return ValueError(f"address {host_port}: {why}" if host_port else why)

    host, colon, port = host_port.rpartition(":")
    if not colon:
        raise fail("missing port in address")
    if not host_port.startswith("["):
        if ":" in host:
            raise fail("too many colons in address")
        if "[" in host_port or "]" in host_port:
            raise fail(f"unexpected '{'[' if '[' in host_port else ']'}' in address")
        return host, port
    end = host_port.find("]")
    if end < 0:
        raise fail("missing ']' in address")
    if end + 1 != len(host):
        raise fail("too many colons in address" if host_port[end + 1 : end + 2] == ":" else "missing port in address")
    if "[" in host_port[1:] or "]" in host_port[end + 1 :]:
        raise fail(f"unexpected '{'[' if '[' in host_port[1:] else ']'}' in address")
    return host_port[1:end], port


def bind_error(urls: tuple[str, ...]) -> str | None:
    """Why these cannot be listened on: only addresses, localhost and unix sockets can."""
    for text in urls:
        url = parse_url(text)
        if url.is_unix:
            continue
        host, _ = url.host_port
        if host != "localhost" and not is_ip(host):
            return f"expected IP in URL for binding ({text})"
    return None


def advertise_error(urls: tuple[str, ...]) -> str | None:
    """Why these cannot be told to others: they need a host and a port."""
    for text in urls:
        try:
            host, _ = parse_url(text).host_port
        except ValueError as error:
            return str(error)
        if not host:
            return f"unexpected empty host ({text})"
    return None


def is_ip(host: str) -> bool:
    """Whether it is an IPv4 or IPv6 address; one with a zone is not, as for Go's net.ParseIP."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def _parse_without_fragment(text: str) -> Url:
    if _CONTROL.search(text):
        raise ValueError("net/url: invalid control character in URL")
    if text.startswith(":"):
        raise ValueError("missing protocol scheme")
    match = _SCHEME.match(text)
    scheme = match[1].lower() if match else ""
    rest, mark, query = text[match.end() if match else 0 :].partition("?")
    tail = mark + query
    if not rest.startswith("/"):
        if scheme:  # "localhost:2379" is scheme and opaque part
            return Url(scheme, "", "", f"{scheme}:{rest}{tail}")
        if ":" in rest.partition("/")[0]:
            raise ValueError("first path segment in URL cannot contain colon")
    authority, path = "", rest
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, after = rest[2:].partition("/")
        path = slash + after
    host = _parse_authority(authority)
    _check_escapes(path)
    slashes = "//" if authority or path else ""
    return Url(scheme, host, path, f"{scheme}:{slashes}{authority}{path}{tail}" if scheme else text)


def _parse_authority(authority: str) -> str:
    userinfo, at, host = authority.rpartition("@")
    _check_host(host)
    if at:
        if _NOT_IN_USERINFO.search(userinfo):
            raise ValueError("net/url: invalid userinfo")
        _check_escapes(userinfo)
    return host


def _check_host(host: str) -> None:
    if host.startswith("["):
        end = host.rfind("]")
        if end < 0:
            raise ValueError("missing ']' in host")
        port = host[end + 1 :]
    else:
        colon = host.rfind(":")
        port = host[colon:] if colon >= 0 else ""
    if not _PORT.fullmatch(port):
        raise ValueError(f"invalid port {quote(port)} after host")
    _check_escapes(host)
    escaped = _ESCAPED_ASCII.search(host)
    if escaped:
        raise ValueError(f"invalid URL escape {quote(escaped[0])}")
    bad = _NOT_IN_HOST.search(host)
    if bad:
        raise ValueError(f"invalid character {quote(bad[0])} in host name")


def _check_escapes(text: str) -> None:
    bad = _BAD_ESCAPE.search(text)
    if bad:
        raise ValueError(f"invalid URL escape {quote(text[bad.start() : bad.start() + 3])}")
