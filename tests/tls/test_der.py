"""What is read of certificates and revocation lists by hand, against a library, and bytes that are neither."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from etcdz.testing.certificates import Authority
from etcdz.tls import der, pem
from etcdz.tls.certificate import NOBODY, names_in
from etcdz.tls.revocation import read_crl


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"), "ca")


def certificate(ca: Authority, **more: object) -> bytes:
    path = ca.issue("one", **more).cert  # type: ignore[arg-type]
    return x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)


@pytest.mark.parametrize("days", [-400, 1, 10_000, 20_000])
def test_a_certificate_is_read_as_a_library_reads_it(ca: Authority, days: int) -> None:
    """20,000 days lie beyond 2050, where times have another form."""
    data = certificate(ca, days=days, dns=["a"] * 300)
    theirs = x509.load_der_x509_certificate(data)
    times = theirs.not_valid_before_utc.timestamp(), theirs.not_valid_after_utc.timestamp()
    assert der.validity_of(data) == (theirs.serial_number, *times)
    assert der.serial_of(data) == theirs.serial_number


def test_a_list_is_read_as_a_library_reads_it(ca: Authority, tmp_path: Path) -> None:
    serials = [random.getrandbits(bits) | 1 for bits in range(1, 159, 7)]
    for is_der in (True, False):
        assert read_crl(str(ca.revoke(tmp_path / "crl", serials, der=is_der))) == frozenset(serials)
    assert read_crl(str(ca.revoke(tmp_path / "crl", []))) == frozenset()


def test_a_file_may_have_the_lists_of_several_authorities(ca: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    both = [
        ca.revoke(tmp_path / "1", [1, 2], der=False).read_bytes(),
        other.revoke(tmp_path / "2", [3], der=False).read_bytes(),
    ]
    (tmp_path / "crl").write_bytes(b"# two\n" + b"\n".join(both))
    assert read_crl(str(tmp_path / "crl")) == {1, 2, 3}


def test_a_list_of_a_hundred_thousand_is_read(ca: Authority, tmp_path: Path) -> None:
    row = b"\x30\x21\x02\x10%b\x17\x0d260101000000Z"
    rows = b"".join(row % (1 << 120 | number).to_bytes(16, "big") for number in range(100_000))
    head = bytes.fromhex("020101 3000 3000") + b"\x17\x0d260101000000Z"
    data = _sequence(_sequence(head + _sequence(rows)) + b"\x30\x00\x03\x01\x00")
    found = der.revoked_serials(data)
    assert len(found) == 100_000
    assert 1 << 120 in found


def _sequence(content: bytes) -> bytes:
    size = len(content).to_bytes(4, "big")
    return b"\x30\x84" + size + content


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (der.validity_of, der.serial_of, der.revoked_serials):
        try:
            read(data)
        except ValueError:
            pass


@given(st.data())
def test_damaged_bytes_are_read_or_refused(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([CERTIFICATE, LIST]))
    damaged = bytearray(whole[: data.draw(st.integers(1, len(whole)))])
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)), max_size=4)):
        damaged[at] = value
    for read in (der.validity_of, der.serial_of, der.revoked_serials):
        try:
            read(bytes(damaged))
        except ValueError:
            pass


@given(st.data())
def test_names_are_read_of_damaged_bytes_or_are_none(data: st.DataObject) -> None:
    damaged = bytearray(NAMED)
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)), max_size=6)):
        damaged[at] = value
    names_in(bytes(damaged))


def test_what_cannot_be_read_has_no_names() -> None:
    assert names_in(b"") == names_in(b"\x30\x00") == NOBODY
    assert names_in(NAMED).dns_names == ("a", "b")


def _samples() -> tuple[bytes, bytes, bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        ca = Authority(Path(name), "ca")
        named = certificate(ca, cn="c", dns=["a", "b"], ips=["10.0.0.1", "::1"])
        return certificate(ca), named, ca.revoke(Path(name) / "crl", [1, 1 << 100]).read_bytes()


CERTIFICATE, NAMED, LIST = _samples()


@given(st.binary(max_size=300))
def test_any_file_has_blocks_or_none(text: bytes) -> None:
    pem.blocks(text, pem.CERTIFICATE)
    wrapped = b"-----BEGIN CERTIFICATE-----\n" + text + b"\n-----END CERTIFICATE-----\n"
    pem.blocks(wrapped, pem.CERTIFICATE)
    pem.labels(text)


def test_a_block_that_never_ends_takes_no_time() -> None:
    began = datetime.now(UTC)
    assert pem.blocks(b"-----BEGIN CERTIFICATE-----\n" * 20_000, pem.CERTIFICATE) == []
    assert datetime.now(UTC) - began < timedelta(seconds=5)
