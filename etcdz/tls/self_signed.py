"""The certificate that a member makes for itself at its start (--auto-tls, --peer-auto-tls), as etcd does.

    DATA-DIR/fixtures/client/cert.pem, key.pem     and fixtures/peer/

Both are used again by later starts, also by etcd, unless the certificate ends in RENEW_S. A member that runs on until
then is warned (in_force.py). Nobody else has signed it: a
member with such a certificate verifies no other as its client. Source: etcd 3.5 transport.SelfCert.
"""

import ipaddress
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from etcdz.tls import contexts, in_force
from etcdz.tls.settings import TlsSettings

INVALID_YEARS: Final = "selfSignedCertValidity is invalid,it should be greater than 0"
RENEW_S: Final = in_force.WARN_DAYS[0] * in_force.DAY_S
"""Before its end: from then on a running member warns of it, and a start makes another. Nobody trusts it for what it
is, so that another one is as good."""
_YEAR: Final = timedelta(days=365)
_DIRECTORY_MODE: Final = 0o700
_CERT_MODE: Final = 0o644
_KEY_MODE: Final = 0o600


class SelfSignedError(Exception):
    """No certificate can be made, in etcd's words."""


def with_own_certificate(
    side: TlsSettings, directory: Path, hosts: Sequence[str], years: int, log: Any, now: datetime | None = None
) -> TlsSettings:
    """The side with a certificate in this directory, made if there is none that is valid.

    hosts   names and addresses that it is for
    years   of 365 days
    log     logger
    now     with a time zone; None: the present
    raises  SelfSignedError
    """
    if years < 1:
        log.warn("cannot generate cert", error=INVALID_YEARS)
        raise SelfSignedError(INVALID_YEARS)
    cert, key = directory.absolute() / "cert.pem", directory.absolute() / "key.pem"
    now = now or datetime.now(UTC)
    try:
        _make_directory(directory)
        if not _is_usable(cert, key, now, log):
            _make(cert, key, hosts, now, now + years * _YEAR, log)
    except OSError as error:
        log.warn("cannot create cert directory", error=str(error))
        raise SelfSignedError(str(error)) from error
    own = replace(side, cert_file=str(cert), key_file=str(key), is_self_signed=True)
    return replace(own, client_cert_file=str(cert), client_key_file=str(key))


def _make_directory(directory: Path) -> None:
    for path in (directory.parent, directory):
        with suppress(FileExistsError):
            path.mkdir(_DIRECTORY_MODE, parents=True)


def _is_usable(cert: Path, key: Path, now: datetime, log: Any) -> bool:
    if not (cert.exists() and key.exists()):
        return False
    try:
        not_after_s = in_force.first_in(str(cert)).not_after_s
        contexts.check_pair(str(cert), str(key))
    except ValueError as error:
        log.warn("replacing a self-signed certificate that cannot be used", path=str(cert), error=str(error))
        return False
    left_s = not_after_s - now.timestamp()
    if left_s < RENEW_S:
        what = "has expired" if left_s <= 0 else "expires soon"
        log.warn(f"replacing a self-signed certificate that {what}", path=str(cert))
        return False
    return True


def _make(cert: Path, key: Path, hosts: Sequence[str], now: datetime, until: datetime, log: Any) -> None:
    """raises OSError"""
    bound = until.strftime("%Y-%m-%dT%H:%M:%S.") + f"{until.microsecond // 1000:03d}Z"
    log.warn("automatically generate certificates", certificate_validity_bound_not_after=bound)
    private = ec.generate_private_key(ec.SECP521R1())
    signed = _certificate(private, hosts, now, until)
    _write(cert, signed.public_bytes(serialization.Encoding.PEM), _CERT_MODE)
    log.info("created cert file", path=str(cert))
    text = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    _write(key, text, _KEY_MODE)
    log.info("created key file", path=str(key))


def _certificate(
    private: ec.EllipticCurvePrivateKey, hosts: Sequence[str], begins: datetime, ends: datetime
) -> x509.Certificate:
    """NB: for clients as well, so that a member can show it to another one that demands a certificate."""
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "etcd")])
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
    builder = builder.add_extension(_KEY_USAGE, critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([*map(_name, hosts)]), critical=False)
    return builder.sign(private, hashes.SHA512())


_KEY_USAGE: Final = x509.KeyUsage(
    digital_signature=True, key_encipherment=True,
    content_commitment=False, data_encipherment=False, key_agreement=False, key_cert_sign=False, crl_sign=False,
    encipher_only=False, decipher_only=False,
)  # fmt: skip


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(path: Path, data: bytes, mode: int) -> None:
    """NB: never a moment with a key that others can read, or with half of one under its name."""
    part = path.with_suffix(".tmp")
    with suppress(FileNotFoundError):
        part.unlink()
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _KEY_MODE)
    with open(fd, "wb") as file:
        os.fchmod(fd, mode)
        file.write(data)
        file.flush()
        os.fsync(fd)
    os.replace(part, path)
