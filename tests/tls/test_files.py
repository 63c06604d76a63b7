"""Contexts of a side: what they let in, what they refuse, and what becomes of them when their files change."""

import hashlib
import os
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from etcdz.testing.certificates import CLIENT, SERVER, Authority, Issued
from etcdz.tls import certificate, openssl
from etcdz.tls.files import TlsError, TlsFiles
from etcdz.tls.handshake_errors import handshake_error
from etcdz.tls.in_force import DAY_S
from etcdz.tls.settings import TlsSettings
from tests.tls.handshakes import shake


class Log:
    """Remembers (level, message, fields)."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, message: str, /, **fields: Any) -> None:
        self.lines.append(("info", message, fields))

    def warn(self, message: str, /, **fields: Any) -> None:
        self.lines.append(("warn", message, fields))

    def warnings(self) -> list[str]:
        return [f"{message}: {fields['error']}" for level, message, fields in self.lines if level == "warn"]


class Side:
    """Files of a side whose clock the test sets, an authority, and a client that it lets in."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.ca = Authority(directory, "ca")
        self.server = self.ca.issue("server", dns=["localhost"])
        self.client = self.ca.issue("client", dns=["localhost"], ips=["127.0.0.1", "::1"])
        self.log = Log()
        self.now = 0.0
        own = pair(self.server)
        self.settings = TlsSettings(**(own | settings))
        self.files = TlsFiles(self.settings, self.log, clock=lambda: self.now)

    def later(self) -> TlsFiles:
        """When the files are looked at again."""
        self.now += 1.5
        return self.files

    def as_client(self, shown: Issued | None = None) -> ssl.SSLContext:
        own = pair(shown) if shown else {}
        return TlsFiles(TlsSettings(trusted_ca_file=str(self.ca.ca), **own), self.log).client_context()


def pair(issued: Issued) -> dict[str, str]:
    return {"cert_file": str(issued.cert), "key_file": str(issued.key)}


def refusal(side: Side, client: ssl.SSLContext) -> str | None:
    """etcd's text for this client; None: it is let in."""
    try:
        ends = shake(side.files.server_context(), client)
    except ssl.SSLError as error:
        return handshake_error(error).text
    return side.files.check_certificate(ends.server)


def test_without_client_auth_anybody_may_come_and_is_nobody(tmp_path: Path) -> None:
    side = Side(tmp_path)
    ends = shake(side.files.server_context(), side.as_client(side.client))
    assert ends.server.selected_alpn_protocol() is None
    assert certificate.names_of(ends.server) == certificate.NOBODY
    assert side.files.check_certificate(ends.server) is None


@pytest.mark.parametrize("demand", [{"client_cert_auth": True}, {"client_cert_auth": False}])
def test_a_ca_alone_demands_certificates(tmp_path: Path, demand: dict[str, Any]) -> None:
    side = Side(tmp_path, trusted_ca_file=str(tmp_path / "ca.pem"), **demand)
    assert refusal(side, side.as_client()) == "tls: client didn't provide a certificate"
    ends = shake(side.files.server_context(), side.as_client(side.client))
    assert certificate.names_of(ends.server) == ("client", ("localhost",), ("127.0.0.1", "::1"))


def test_certificates_that_are_no_good_are_refused_in_gos_words(tmp_path: Path) -> None:
    side = Side(tmp_path, trusted_ca_file=str(tmp_path / "ca.pem"))
    cases = {
        "certificate has expired or is not yet valid": side.ca.issue("old", days=-1),
        "certificate specifies an incompatible key usage": side.ca.issue("server-only", usages=[SERVER]),
        "certificate signed by unknown authority": Authority(tmp_path, "other").issue("stranger"),
    }
    for why, shown in cases.items():
        text = refusal(side, side.as_client(shown))
        assert text == f"tls: failed to verify certificate: x509: {why}"


def test_an_intermediate_in_the_ca_file_is_trusted_by_itself_as_in_go(tmp_path: Path) -> None:
    middle = Authority(tmp_path, "middle", Authority(tmp_path, "root"))
    side = Side(tmp_path, trusted_ca_file=str(middle.ca))
    assert refusal(side, side.as_client(middle.issue("below", usages=[CLIENT]))) is None


def test_tls_1_3_is_spoken_unless_the_flags_say_otherwise(tmp_path: Path) -> None:
    side = Side(tmp_path)
    assert shake(side.files.server_context(), side.as_client()).server.version() == "TLSv1.3"
    older = Side(tmp_path, max_version="TLS1.2", cipher_suites=("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",))
    ends = shake(older.files.server_context(), older.as_client())
    assert ends.server.cipher() == ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2", 256)


@pytest.mark.parametrize("der", [True, False], ids=["DER", "PEM"])
def test_a_revoked_serial_is_refused_wherever_it_stands_in_the_chain(tmp_path: Path, der: bool) -> None:
    crl = tmp_path / "crl"
    side = Side(tmp_path, trusted_ca_file=str(tmp_path / "ca.pem"), crl_file=str(crl))
    side.ca.revoke(crl, [side.client.serial], der)
    text = f"transport: certificate serial {side.client.serial_hex} revoked"
    assert refusal(side, side.as_client(side.client)) == text
    assert refusal(side, side.as_client(side.ca.issue("other"))) is None
    middle = Authority(tmp_path, "middle", side.ca)
    below = middle.issue("below")
    assert refusal(side, side.as_client(below)) is None
    side.ca.revoke(crl, [middle.serial], der)
    side.later()
    assert "revoked" in str(refusal(side, side.as_client(below)))
    assert refusal(side, side.as_client(side.client)) is None


def test_of_several_lists_none_is_passed_over_when_the_file_is_cut_off_or_damaged(tmp_path: Path) -> None:
    crl = tmp_path / "crl"
    side = Side(tmp_path, trusted_ca_file=str(tmp_path / "ca.pem"), crl_file=str(crl))
    first, second = (side.ca.revoke(crl, [serial], der=False).read_bytes() for serial in (1, side.client.serial))
    crl.write_bytes(first + second)
    side.later()
    assert "revoked" in str(refusal(side, side.as_client(side.client)))
    for damaged in (first + second[:-40], first + second.replace(b"-----\nM", b"-----\n")):
        crl.write_bytes(damaged)
        side.later()
        assert "revoked" in str(refusal(side, side.as_client(side.client))), "by the lists that were whole"
        assert side.files.show()["file_errors"]
    crl.write_bytes(first)
    side.later()
    assert refusal(side, side.as_client(side.client)) is None


def test_a_crl_that_was_never_there_lets_nobody_in(tmp_path: Path) -> None:
    missing = str(tmp_path / "crl")
    side = Side(tmp_path, trusted_ca_file=str(tmp_path / "ca.pem"), crl_file=missing)
    assert refusal(side, side.as_client(side.client)) == f"open {missing}: no such file or directory"


def test_common_names_and_host_names_are_checked_on_the_verified_leaf(tmp_path: Path) -> None:
    ca = str(tmp_path / "ca.pem")
    side = Side(tmp_path, trusted_ca_file=ca, allowed_cns=("a", "client"))
    assert refusal(side, side.as_client(side.client)) is None
    assert refusal(side, side.as_client(side.ca.issue("other", cn="Client"))) == certificate.REFUSED
    side = Side(tmp_path, trusted_ca_file=ca, allowed_hostnames=("x.example.com", "10.0.0.1"))
    assert refusal(side, side.as_client(side.ca.issue("any", dns=["*.example.com"]))) is None
    assert refusal(side, side.as_client(side.ca.issue("ip", ips=["10.0.0.1"]))) is None
    wrong = side.ca.issue("x.example.com", dns=["example.com"], ips=["10.0.0.2"])
    assert refusal(side, side.as_client(wrong)) == certificate.REFUSED


def test_new_files_are_in_force_within_a_second(tmp_path: Path) -> None:
    side = Side(tmp_path, trusted_ca_file=str(tmp_path / "ca.pem"))
    before = side.files.server_context()
    other = Authority(tmp_path, "ca")
    other.issue("server", dns=["localhost"])
    assert side.files.server_context() is before
    side.later()
    assert refusal(side, side.as_client(other.issue("client"))) is None
    assert side.files.server_context() is not before


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda side: os.unlink(side.server.cert), "open {cert}: no such file or directory"),
        (lambda side: os.unlink(side.server.key), "open {key}: no such file or directory"),
        (
            lambda side: side.server.cert.write_text(""),
            "tls: failed to find any PEM data in certificate input",
        ),
        (
            lambda side: side.server.key.write_bytes(side.client.key.read_bytes()),
            "tls: private key does not match public key",
        ),
        (lambda side: side.ca.ca.write_text("nothing"), "no certificate in {ca}"),
    ],
)
def test_bad_files_leave_the_old_ones_in_force_with_one_warning(tmp_path: Path, damage: Any, why: str) -> None:
    side = Side(tmp_path, trusted_ca_file=str(tmp_path / "ca.pem"))
    client = side.as_client(side.client)
    before = side.files.server_context()
    whole = {path: path.read_bytes() for path in (side.server.cert, side.server.key, side.ca.ca)}
    damage(side)
    for _ in range(3):
        assert side.later().server_context() is before
    assert refusal(side, client) is None
    text = why.format(cert=side.server.cert, key=side.server.key, ca=side.ca.ca)
    assert [line.partition(": ")[2] for line in side.log.warnings()] == [text]
    for path, data in whole.items():
        path.write_bytes(data)
    assert side.later().server_context() is not before


def test_files_that_were_never_good_are_an_error(tmp_path: Path) -> None:
    missing = str(tmp_path / "no.pem")
    files = TlsFiles(TlsSettings(cert_file=missing, key_file=missing), Log())
    with pytest.raises(TlsError, match=f"open {missing}: no such file or directory"):
        files.server_context()


def test_a_side_can_be_asked_what_is_in_force(tmp_path: Path) -> None:
    side = Side(tmp_path, trusted_ca_file=str(tmp_path / "ca.pem"), crl_file=str(tmp_path / "crl"))
    side.ca.revoke(tmp_path / "crl", [1, 2, 3])
    der = ssl.PEM_cert_to_DER_cert(side.server.cert.read_text())
    shown = side.files.show()
    assert [one["use"] for one in shown["certificates"]] == ["server", "ca"]
    first = shown["certificates"][0]
    assert (first["path"], first["fingerprint"]) == (str(side.server.cert), hashlib.sha256(der).hexdigest())
    assert (shown["revoked_certificates"], shown["file_errors"]) == (3, [])
    assert side.files.figures("client")["certificates"][0] == [
        ["client", "server", str(side.server.cert)],
        ssl.cert_time_to_seconds(end_of(side.server)),
    ]
    (tmp_path / "crl").write_text("nothing")
    side.server.key.unlink()
    shown = side.later().show()
    assert (shown["certificates"][0], shown["revoked_certificates"]) == (first, 3)
    assert shown["file_errors"] == [f"open {side.server.key}: no such file or directory", "an element ends too soon"]


def test_nothing_of_a_key_is_told(tmp_path: Path) -> None:
    side = Side(tmp_path)
    side.files.server_context()
    secret = side.server.key.read_text().splitlines()[1]
    side.server.key.write_text("damaged " + side.server.key.read_text().replace("MII", "XII", 1)[:200])
    side.later().server_context()
    told = repr([side.files.show(), side.files.figures("client"), side.log.lines, side.settings, vars(side.files)])
    assert secret[:20] not in told


def end_of(issued: Issued) -> str:
    """As module ssl writes it."""
    certificate = x509.load_pem_x509_certificate(issued.cert.read_bytes())
    return certificate.not_valid_after_utc.strftime("%b %d %H:%M:%S %Y GMT")


def test_no_session_is_resumed(tmp_path: Path) -> None:
    for version in ("TLS1.2", "TLS1.3"):
        side = Side(tmp_path, trusted_ca_file=str(tmp_path / "ca.pem"), max_version=version)
        client = side.as_client(side.client)
        first = shake(side.files.server_context(), client)
        ends = shake(side.files.server_context(), client, session=first.client.session)
        assert not ends.server.session_reused
        assert side.files.server_context().session_stats()["number"] == 0


def test_where_openssl_cannot_be_told_a_session_is_not_resumed_past_its_certificates_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openssl, "library", lambda: None)
    side = Side(tmp_path, trusted_ca_file=str(tmp_path / "ca.pem"), max_version="TLS1.2")
    client = side.as_client(side.client)
    first = shake(side.files.server_context(), client)
    ends = shake(side.files.server_context(), client, session=first.client.session)
    assert ends.server.session_reused
    assert side.files.check_certificate(ends.server) is None
    later = TlsFiles(side.settings, side.log, wall_clock=lambda: time.time() + 91 * DAY_S)
    assert "certificate has expired" in str(later.check_certificate(ends.server))


def test_a_certificate_that_expires_is_warned_of_once_at_thirty_days_and_daily_at_seven(tmp_path: Path) -> None:
    side = Side(tmp_path)
    end_s = ssl.cert_time_to_seconds(end_of(side.server))
    now_s = end_s - 40 * DAY_S + 60
    files = TlsFiles(side.settings, side.log, clock=lambda: side.now, wall_clock=lambda: now_s)
    seen = []
    while now_s < end_s + 2 * DAY_S:
        side.now += 2
        files.refresh()
        seen += [(message, fields["days_left"]) for _, message, fields in side.log.lines]
        side.log.lines.clear()
        now_s += DAY_S / 4
    soon = [("certificate expires soon", days) for days in (29, 6, 5, 4, 3, 2, 1, 0)]
    assert seen == [*soon, ("certificate has expired", 0), ("certificate has expired", 0)]
