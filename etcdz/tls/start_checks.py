"""What keeps a side from being served, found before the member starts: etcd's checks in its order and words.

The files are loaded as they will be, and forgotten: a key is in this process for as long as that takes.
Source: etcd 3.5 transport.TLSInfo.ServerConfig.
"""

import json

from etcdz.tls import contexts
from etcdz.tls.contexts import TlsError
from etcdz.tls.settings import TlsSettings


def server_error(settings: TlsSettings) -> str | None:
    """Why connections cannot be accepted. Requires: a certificate or a key is given"""
    return _presence_error(settings) or _load_error(settings, is_server=True)


def client_error(settings: TlsSettings) -> str | None:
    """Why others cannot be dialled."""
    if not (settings.cert_file or settings.key_file):
        return None
    return _presence_error(settings) or _load_error(settings, is_server=False)


def _presence_error(settings: TlsSettings) -> str | None:
    cert, key = settings.cert_file, settings.key_file
    if not (cert and key):
        return f"KeyFile and CertFile must both be present[key: {key}, cert: {cert}]"
    return None


def _load_error(settings: TlsSettings, is_server: bool) -> str | None:
    try:
        contexts.check_pair(settings.cert_file, settings.key_file)
        if error := _client_pair_error(settings) or _names_error(settings):
            return error
        if is_server:
            contexts.server_context(settings, ())
        contexts.client_context(settings)
    except TlsError as error:
        return str(error)
    return None


def _client_pair_error(settings: TlsSettings) -> str | None:
    """raises TlsError"""
    cert, key = settings.client_cert_file, settings.client_key_file
    if bool(cert) != bool(key):
        return f"ClientKeyFile and ClientCertFile must both be present or both absent: key: {key}, cert: {cert}]"
    if cert:
        contexts.check_pair(cert, key)
    return None


def _names_error(settings: TlsSettings) -> str | None:
    cns, hostnames = settings.allowed_cns, settings.allowed_hostnames
    if not (cns and hostnames):
        return None
    return (
        f"AllowedCNs and AllowedHostnames are mutually exclusive (cns={_listed(cns)}, hostnames={_listed(hostnames)})"
    )


def _listed(words: tuple[str, ...]) -> str:
    return f"[{' '.join([json.dumps(word, ensure_ascii=False) for word in words])}]"
