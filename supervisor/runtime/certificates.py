"""Both sides of a member under TLS before its tree starts: what is said of them, and the certificates that it makes.

What the flags name is checked before, by etcdz/config/bootstrap.py. Keys are read by the actors that serve, later.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from etcdz.config import MemberConfig
from etcdz.config.urls import parse_url
from etcdz.telemetry import logs
from etcdz.tls.settings import TlsSettings

log = logs.get("supervisor")


class CertificateError(Exception):
    """The member's own certificate cannot be made. side: etcd's word for whom it is for"""

    def __init__(self, side: str, text: str) -> None:
        super().__init__(text)
        self.side = side


def prepare(config: MemberConfig) -> MemberConfig:
    """With the certificates that this member makes for itself, if it shall. raises CertificateError"""
    _say_missing_ciphers(config.client_tls.cipher_suites)
    return replace(config, peer_tls=_peer_side(config), client_tls=_client_side(config))


def _say_missing_ciphers(names: tuple[str, ...]) -> None:
    if not names:
        return
    from etcdz.tls import cipher_suites  # loads ssl, which a member without TLS never needs

    if missing := cipher_suites.missing(names):
        log.warn("OpenSSL has no such cipher suites - ignoring", cipher_suites=list(missing))


def _peer_side(config: MemberConfig) -> TlsSettings:
    side = config.peer_tls
    if config.peer_auto_tls:
        side = _own(config, "peer", side, config.listen_peer_urls)
    _say_start("starting with peer TLS", side)
    for url in _plain(config.listen_peer_urls, ("http",)):
        if not side.is_empty:
            log.warn("scheme is HTTP while key and cert files are present; ignoring key and cert files", peer_url=url)
        if side.client_cert_auth:
            text = "scheme is HTTP while --peer-client-cert-auth is enabled; ignoring client cert auth for this URL"
            log.warn(text, peer_url=url)
    return side


def _client_side(config: MemberConfig) -> TlsSettings:
    side, urls = config.client_tls, (*config.listen_client_urls, *config.listen_client_http_urls)
    if config.client_auto_tls:
        side = _own(config, "client", side, urls)
    for url in _plain(urls, ("http", "unix")):
        if not side.is_empty:
            text = "scheme is http or unix while key and cert files are present; ignoring key and cert files"
            log.warn(text, client_url=url)
        if side.client_cert_auth:
            text = "scheme is http or unix while --client-cert-auth is enabled; ignoring client cert auth for this URL"
            log.warn(text, client_url=url)
    _say_start("starting with client TLS", side)
    return side


def _own(config: MemberConfig, name: str, side: TlsSettings, urls: tuple[str, ...]) -> TlsSettings:
    if not side.is_empty:
        log.warn(f"ignoring {name} auto TLS since certs given")
        return side
    from etcdz.tls import self_signed  # loads what makes keys: 10 MB that no other member needs

    directory = Path(config.data_dir) / "fixtures" / name
    try:
        return self_signed.with_own_certificate(side, directory, _hosts(urls), config.self_signed_cert_years, log)
    except self_signed.SelfSignedError as error:
        raise CertificateError(name, str(error)) from error


def _hosts(urls: tuple[str, ...]) -> list[str]:
    hosts: list[str] = []
    for text in urls:
        try:
            host, _ = parse_url(text).host_port
        except ValueError:  # the path of a unix socket
            continue
        hosts.append(host)
    return [host for host in dict.fromkeys(hosts) if host]


def _plain(urls: tuple[str, ...], schemes: tuple[str, ...]) -> list[str]:
    return [text for text in urls if parse_url(text).scheme in schemes]


def _say_start(text: str, side: TlsSettings) -> None:
    if not side.is_empty:
        log.info(text, tls_info=str(side), cipher_suites=list(side.cipher_suites))


def failed(error: CertificateError) -> None:
    """Why the member ends."""
    fields: dict[str, Any] = {"error": str(error)}
    log.fatal(f"failed to get {error.side} self-signed certs", **fields)
