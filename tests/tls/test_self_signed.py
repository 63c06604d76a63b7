"""The certificate that a member makes for itself: what is in it, where it lies, and when it is made anew."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from etcdz.tls.files import TlsFiles
from etcdz.tls.self_signed import SelfSignedError, with_own_certificate
from etcdz.tls.settings import NO_TLS, TlsSettings
from tests.tls.handshakes import shake
from tests.tls.test_files import Log

HOSTS = ("127.0.0.1", "localhost", "::1")


def make(directory: Path, log: Log, years: int = 1, now: datetime | None = None) -> TlsSettings:
    return with_own_certificate(NO_TLS, directory, HOSTS, years, log, now)


def test_it_is_etcds_and_nobody_else_can_read_the_key(tmp_path: Path) -> None:
    log = Log()
    side = make(tmp_path / "fixtures" / "client", log, years=2)
    assert side.is_self_signed
    assert (side.client_cert_file, side.client_key_file) == (side.cert_file, side.key_file)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "fixtures").rglob("*")}
    assert modes == {"client": 0o700, "cert.pem": 0o644, "key.pem": 0o600}
    made = x509.load_pem_x509_certificate(Path(side.cert_file).read_bytes())
    assert made.subject.rfc4514_string() == made.issuer.rfc4514_string() == "O=etcd"
    assert isinstance(made.public_key(), ec.EllipticCurvePublicKey)
    assert made.not_valid_after_utc - made.not_valid_before_utc == timedelta(days=730)
    sans = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in sans] == list(HOSTS)
    assert Path(side.key_file).read_text().startswith("-----BEGIN EC PRIVATE KEY-----")
    assert [message for _, message, _ in log.lines] == [
        "automatically generate certificates", "created cert file", "created key file",
    ]  # fmt: skip


def test_two_members_with_such_certificates_trust_each_other(tmp_path: Path) -> None:
    one, other = (make(tmp_path / name, Log()) for name in ("a", "b"))
    shake(TlsFiles(one, Log()).server_context(), TlsFiles(other, Log()).client_context(), "10.9.9.9")


def test_it_is_used_again_until_it_expires_or_is_damaged(tmp_path: Path) -> None:
    first = Path(make(tmp_path, Log()).cert_file).read_bytes()
    log = Log()
    assert Path(make(tmp_path, log).cert_file).read_bytes() == first
    assert log.lines == []
    (tmp_path / "key.pem").write_text("damaged")
    assert Path(make(tmp_path, log).cert_file).read_bytes() != first
    second = (tmp_path / "cert.pem").read_bytes()
    make(tmp_path, log, now=datetime.now(UTC) + timedelta(days=330))
    assert (tmp_path / "cert.pem").read_bytes() == second
    make(tmp_path, log, now=datetime.now(UTC) + timedelta(days=340))
    third = (tmp_path / "cert.pem").read_bytes()
    assert third != second
    make(tmp_path, log, now=datetime.now(UTC) + timedelta(days=800))
    assert (tmp_path / "cert.pem").read_bytes() != third
    replaced = [message for _, message, _ in log.lines if message.startswith("replacing")]
    assert replaced == [
        "replacing a self-signed certificate that cannot be used",
        "replacing a self-signed certificate that expires soon",
        "replacing a self-signed certificate that has expired",
    ]


def test_no_years_and_no_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SelfSignedError, match="selfSignedCertValidity is invalid,it should be greater than 0"):
        make(tmp_path, Log(), years=0)
    (tmp_path / "file").touch()
    with pytest.raises(SelfSignedError):
        make(tmp_path / "file" / "client", Log())
