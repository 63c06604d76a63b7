"""Certificates for tests: an authority, what it issues, and what it revokes.

ca = Authority()
server = ca.issue("server", sans=("localhost", "127.0.0.1")).write(tmp_path)
server.cert_file, server.key_file, ca.write(tmp_path)
"""

import functools
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HERE: Final = ("localhost", "127.0.0.1", "::1")
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
DAY: Final = timedelta(days=1)


@functools.cache
def rsa_key() -> rsa.RSAPrivateKey:
    """One for all tests of a process: making one takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Issued:
    """A certificate with its key. chain: PEM of what goes with it in the certificate file."""

    certificate: x509.Certificate
    key: Any
    chain: bytes = b""
    cert_file: str = ""
    """Where write() has put it."""
    key_file: str = ""

    @property
    def serial(self) -> int:
        return self.certificate.serial_number

    @property
    def cert_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM) + self.chain

    @property
    def key_pem(self) -> bytes:
        return bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def write(self, directory: Path, name: str = "") -> "Issued":
        """Write NAME.pem and NAME-key.pem; a second time over the first, as a rotation does."""
        stem = name or self._common_name() or f"{self.serial:x}"
        cert, key = directory / f"{stem}.pem", directory / f"{stem}-key.pem"
        cert.write_bytes(self.cert_pem)
        key.write_bytes(self.key_pem)
        self.cert_file, self.key_file = str(cert), str(key)
        return self

    def _common_name(self) -> str:
        names = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if names else ""


@dataclass
class Authority:
    """Signs with a key of its own. parent: the authority above an intermediate one."""

    name: str = "test CA"
    parent: "Authority | None" = None
    key: ec.EllipticCurvePrivateKey = field(default_factory=ec_key)
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        issuer = self.parent or self
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        issuer_name = self.parent.certificate.subject if self.parent else name
        builder = _builder(name, issuer_name, self.key, -DAY, 3650 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_usage(sign=True), critical=True)
        self.certificate = builder.sign(issuer.key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def write(self, directory: Path, name: str = "ca") -> str:
        """Path of NAME.pem."""
        path = directory / f"{name}.pem"
        path.write_bytes(self.pem)
        return str(path)

    def issue(
        self,
        cn: str = "",
        sans: Sequence[str] = HERE,
        ekus: Sequence[x509.ObjectIdentifier] = (SERVER, CLIENT),
        begins: timedelta = -DAY,
        ends: timedelta = 30 * DAY,
        key: Any = None,
    ) -> Issued:
        """A leaf. sans: host names and addresses; begins, ends: from now. An intermediate's is in its file."""
        key = key or ec_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)] if cn else [])
        builder = _builder(subject, self.certificate.subject, key, begins, ends)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if ekus:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(ekus)), critical=False)
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName([*map(_san, sans)]), critical=not cn)
        certificate = builder.sign(self.key, hashes.SHA256())
        return Issued(certificate, key, self.pem if self.parent else b"")

    def expired(self, cn: str = "", **more: Any) -> Issued:
        return self.issue(cn, begins=-3 * DAY, ends=-DAY, **more)

    def crl(self, *revoked: Issued | int, der: bool = True, ends: timedelta = 30 * DAY) -> bytes:
        """A list of these certificates, or serial numbers."""
        now = datetime.now(UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(now - 2 * DAY).next_update(now + ends)
        for one in revoked:
            serial = one if isinstance(one, int) else one.serial
            row = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - DAY).build()
            builder = builder.add_revoked_certificate(row)
        crl = builder.sign(self.key, hashes.SHA256())
        return crl.public_bytes(serialization.Encoding.DER if der else serialization.Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Any, begins: timedelta, ends: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now + begins).not_valid_after(now + ends)


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=sign, crl_sign=sign,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
