"""Certificates for tests: an authority in memory, and what it issues as files."""

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
_DAY = datetime.timedelta(days=1)


class Issued(NamedTuple):
    """Files in PEM, and the serial number."""

    cert: Path
    key: Path
    serial: int

    @property
    def serial_hex(self) -> str:
        """In whole bytes, as etcd writes it."""
        return self.serial.to_bytes((self.serial.bit_length() + 7) // 8, "big").hex()


class Authority:
    """Issues certificates of P-256 keys into a directory. ca: its own certificate, in PEM; serial: of that

    parent  the authority above one in the middle, whose own certificate goes into the files of what it issues
    """

    def __init__(self, directory: Path, name: str = "test authority", parent: "Authority | None" = None) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.serial = x509.random_serial_number()
        above, now = parent or self, _now()
        self._certificate = (
            _builder(self._name, above._name, self._key.public_key(), self.serial, now - _DAY, now + 365 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(above._key, hashes.SHA256())
        )
        directory.mkdir(parents=True, exist_ok=True)
        self.ca = directory / f"{name.replace(' ', '-')}.pem"
        self.ca.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        self._chain = self.ca.read_bytes() if parent else b""

    def issue(
        self,
        name: str,
        *,
        cn: str | None = None,
        dns: Sequence[str] = (),
        ips: Sequence[str] = (),
        usages: Sequence[x509.ObjectIdentifier] = (SERVER, CLIENT),
        days: float = 90,
    ) -> Issued:
        """name: of the files. cn: of the subject, name if None, none if "". days: until it expires; negative: since"""
        key = ec.generate_private_key(ec.SECP256R1())
        cn = name if cn is None else cn
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)] if cn else [])
        begin = _now() - _DAY * (1 - min(0, days) * 2)
        serial = x509.random_serial_number()
        builder = _builder(subject, self._name, key.public_key(), serial, begin, _now() + days * _DAY)
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        names = [x509.DNSName(host) for host in dns] + [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not cn)
        cert = builder.sign(self._key, hashes.SHA256())
        files = Issued(self._directory / f"{name}.pem", self._directory / f"{name}-key.pem", serial)
        files.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM) + self._chain)
        files.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        return files

    def revoke(self, path: Path, serials: Sequence[int], der: bool = True) -> Path:
        """Writes a revocation list that names these. return path"""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name)
        builder = builder.last_update(_now() - _DAY).next_update(_now() + 30 * _DAY)
        for serial in serials:
            revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(_now() - _DAY).build()
            builder = builder.add_revoked_certificate(revoked)
        encoding = serialization.Encoding.DER if der else serialization.Encoding.PEM
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(encoding))
        return path


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    serial: int,
    begin: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return builder.serial_number(serial).not_valid_before(begin).not_valid_after(end)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
