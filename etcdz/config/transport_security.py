"""The flags of TLS as settings of the two sides of a member, and of discovery.

Source: etcd 3.5 embed.Config.ClientTLSInfo and PeerTLSInfo; of v3 discovery, etcd 3.6 clientv3.SecureConfig.
"""

from collections.abc import Mapping
from typing import Any

from etcdz.tls.settings import TlsSettings


def sides(settings: Mapping[str, Any]) -> dict[str, TlsSettings | None]:
    """Fields of MemberConfig. settings: flag name -> value, complete"""
    return {
        "client_tls": _client_side(settings),
        "peer_tls": _peer_side(settings),
        "discovery_tls": _discovery(settings),
    }


def _client_side(settings: Mapping[str, Any]) -> TlsSettings:
    return TlsSettings(
        **_files(settings, ""),
        **_protocol(settings),
        client_cert_file=settings["client-cert-file"],
        client_key_file=settings["client-key-file"],
        client_cert_auth=settings["client-cert-auth"],
        crl_file=settings["client-crl-file"],
        allowed_hostnames=settings["client-cert-allowed-hostname"],
    )


def _peer_side(settings: Mapping[str, Any]) -> TlsSettings:
    skip = "peer-skip-client-san-verification"
    ca_file = settings["peer-trusted-ca-file"]
    return TlsSettings(
        **_files(settings, "peer-"),
        **_protocol(settings),
        client_cert_file=settings["peer-client-cert-file"],
        client_key_file=settings["peer-client-key-file"],
        client_cert_auth=settings["peer-client-cert-auth"],
        crl_file=settings["peer-crl-file"],
        allowed_cns=settings["peer-cert-allowed-cn"],
        allowed_hostnames=settings["peer-cert-allowed-hostname"],
        skip_client_san=settings[skip] or settings[f"experimental-{skip}"],
        server_name="" if ca_file else settings["discovery-srv"],
    )


def _discovery(settings: Mapping[str, Any]) -> TlsSettings | None:
    """None: without TLS, which is the default as long as no file is given."""
    cert, key, ca_file = (settings[f"discovery-{name}"] for name in ("cert", "key", "cacert"))
    if settings["discovery-insecure-transport"] and not (cert or key or ca_file):
        return None
    skip = settings["discovery-insecure-skip-tls-verify"]
    return TlsSettings(cert_file=cert, key_file=key, trusted_ca_file=ca_file, insecure_skip_verify=skip)


def _files(settings: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {
        "cert_file": settings[f"{prefix}cert-file"],
        "key_file": settings[f"{prefix}key-file"],
        "trusted_ca_file": settings[f"{prefix}trusted-ca-file"],
    }


def _protocol(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What both sides share."""
    return {
        "cipher_suites": settings["cipher-suites"],
        "min_version": settings["tls-min-version"],
        "max_version": settings["tls-max-version"],
    }
