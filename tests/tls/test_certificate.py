"""Names of certificates, odd ones among them: what is read, and whom they may stand for."""

import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from etcdz.testing.certificates import Authority, Issued
from etcdz.tls import certificate, contexts
from etcdz.tls.certificate import PeerNames, is_allowed, is_valid_for
from etcdz.tls.settings import TlsSettings
from tests.tls.handshakes import Ends, shake

HOSTS = [  # pattern in the certificate, host name, whether they match: as Go's VerifyHostname has it
    ("a.example.com", "a.example.com", True),
    ("a.example.com", "A.Example.COM", True),
    ("A.EXAMPLE.COM", "a.example.com", True),
    ("a.example.com", "a.example.com.", True),
    ("a.example.com", "example.com", False),
    ("*.example.com", "a.example.com", True),
    ("*.example.com", "a.b.example.com", False),
    ("*.example.com", "example.com", False),
    ("*.example.com", ".example.com", False),
    ("*.example.com", "*.example.com", True),
    ("a*.example.com", "ab.example.com", False),
    ("*", "localhost", False),
    ("a.*.com", "a.b.com", False),
    ("under_score", "under_score", True),
    ("a..b", "a..b", True),
    ("", "", False),
    (".", ".", False),
    ("10.0.0.1", "10.0.0.1", False),
    ("k\u212ab", "kkb", False),
]


@pytest.mark.parametrize(("pattern", "host", "expected"), HOSTS)
def test_host_names_match_as_in_go(pattern: str, host: str, expected: bool) -> None:
    assert is_valid_for(PeerNames("cn", (pattern,)), host) is expected


def test_addresses_match_addresses_and_common_names_nothing() -> None:
    names = PeerNames("a", (), ("10.0.0.1", "fd00::1"))
    for host in ("10.0.0.1", "fd00:0::0:1", "[fd00::1]", "::ffff:10.0.0.1"):
        assert is_valid_for(names, host), host
    for host in ("a", "10.0.0.2", "[10.0.0.2]", ""):
        assert not is_valid_for(names, host), host


def test_a_certificate_without_names_is_nobodys_but_where_all_may_come() -> None:
    assert is_allowed(certificate.NOBODY, (), ())
    assert not is_allowed(certificate.NOBODY, ("a",), ())
    assert not is_allowed(certificate.NOBODY, (), ("a",))


@pytest.mark.slow
@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_matches_or_not(pattern: str, host: str) -> None:
    is_valid_for(PeerNames("", (pattern,), (pattern,)), host)


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "ca")


def shown(ca: Authority, client: Issued) -> Ends:
    """A handshake in which the server sees this client."""
    server = ca.issue("server", dns=["localhost"])
    side = TlsSettings(cert_file=str(server.cert), key_file=str(server.key), trusted_ca_file=str(ca.ca))
    theirs = TlsSettings(cert_file=str(client.cert), key_file=str(client.key), trusted_ca_file=str(ca.ca))
    return shake(contexts.server_context(side, ()), contexts.client_context(theirs))


def odd(ca: Authority, subject: x509.Name, *extensions: x509.ExtensionType) -> Issued:
    """A client's certificate with such a subject, and further extensions."""
    made = ca.issue("odd")
    before = x509.load_pem_x509_certificate(made.cert.read_bytes())
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(before.issuer).public_key(before.public_key())
    builder = builder.serial_number(made.serial).not_valid_before(before.not_valid_before_utc)
    builder = builder.not_valid_after(before.not_valid_after_utc)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    signed = builder.sign(ca._key, hashes.SHA256())
    made.cert.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return made


ENCODINGS = (
    (_ASN1Type.UTF8String, "J\u00f6rg \u4e2d"),
    (_ASN1Type.BMPString, "J\u00f6rg \u4e2d"),
    (_ASN1Type.T61String, "user"),
    (_ASN1Type.PrintableString, "user"),
    (_ASN1Type.IA5String, "user"),
    (_ASN1Type.UniversalString, "J\u00f6rg"),
)


@pytest.mark.parametrize(("encoding", "text"), ENCODINGS, ids=lambda value: getattr(value, "name", ""))
def test_a_common_name_is_read_in_each_encoding(ca: Authority, encoding: _ASN1Type, text: str) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text, encoding)])
    assert certificate.names_of(shown(ca, odd(ca, subject)).server).common_name == text


def test_of_several_common_names_the_last_counts_and_none_is_nobody(ca: Authority) -> None:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, name) for name in ("root", "user")]
    assert certificate.names_of(shown(ca, odd(ca, x509.Name(names))).server).common_name == "user"
    assert certificate.names_of(shown(ca, odd(ca, x509.Name([]))).server).common_name == ""


def test_a_name_with_a_nul_is_not_the_name_before_it(ca: Authority) -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root\0.evil")])
    names = certificate.names_of(shown(ca, odd(ca, subject)).server)
    assert names.common_name != "root"
    assert not is_allowed(names, ("root",), ())


def test_other_kinds_of_alternative_names_are_left_out(ca: Authority) -> None:
    alternatives = x509.SubjectAlternativeName(
        [
            x509.RFC822Name("a@example.com"), x509.UniformResourceIdentifier("spiffe://a/b"), x509.DNSName("b"),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3")), x509.DirectoryName(x509.Name([])),
            x509.OtherName(x509.ObjectIdentifier("1.2.3.4"), b"\x0c\x01a"),
        ]
    )  # fmt: skip
    names = certificate.names_of(shown(ca, odd(ca, x509.Name([]), alternatives)).server)
    assert names == ("", ("b",), ())


@pytest.mark.slow
def test_two_thousand_names_take_no_time_to_speak_of(ca: Authority) -> None:
    client = ca.issue("many", dns=[f"host-{number}.example.com" for number in range(2_000)])
    ends = shown(ca, client)
    began = time.thread_time()
    names = certificate.names_of(ends.server)
    assert len(names.dns_names) == 2_000
    assert not is_allowed(names, (), ("none.example.com",))
    certificate.sent_serials(ends.server)
    assert time.thread_time() - began < 1.0


def test_a_certificate_that_is_too_large_is_refused_by_the_handshake(ca: Authority) -> None:
    """OpenSSL takes 100 KiB of certificates; nobody can have a listener read megabytes."""
    big = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(200_000))
    with pytest.raises(ssl.SSLError):
        shown(ca, odd(ca, x509.Name([]), big))


def test_a_certificate_file_of_any_size_and_kind_is_loaded_or_refused(ca: Authority, tmp_path: Path) -> None:
    client = ca.issue("client")
    chain = client.cert.read_bytes() + ca.ca.read_bytes() * 200
    for number, text in enumerate((chain, b"\xff\xfe" + chain, chain[:-100], bytes(1 << 20), b"-----BEGIN " * 10_000)):
        path = tmp_path / f"{number}.pem"
        path.write_bytes(text)
        settings = TlsSettings(cert_file=str(path), key_file=str(client.key), trusted_ca_file=str(path))
        try:
            contexts.server_context(settings, ())
        except contexts.TlsError:
            assert number > 0


def test_a_key_that_is_too_small_is_not_called_unreadable(ca: Authority, tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    made = x509.load_pem_x509_certificate(ca.issue("small").cert.read_bytes())
    builder = x509.CertificateBuilder().subject_name(made.subject).issuer_name(made.issuer).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(made.not_valid_before_utc)
    signed = builder.not_valid_after(made.not_valid_after_utc).sign(ca._key, hashes.SHA256())
    (tmp_path / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    with pytest.raises(contexts.TlsError, match=r"certificate cannot be used .ee key too small."):
        contexts.check_pair(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))


def test_a_key_of_another_kind_is_loaded(ca: Authority, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(
        b"-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n" + text
    )
    made = x509.load_pem_x509_certificate(ca.issue("p384").cert.read_bytes())
    builder = x509.CertificateBuilder().subject_name(made.subject).issuer_name(made.issuer).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(made.not_valid_before_utc)
    signed = builder.not_valid_after(made.not_valid_after_utc).sign(ca._key, hashes.SHA256())
    (tmp_path / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    contexts.check_pair(str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
