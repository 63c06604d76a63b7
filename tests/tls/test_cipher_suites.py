"""Go's names of cipher suites, and what OpenSSL makes of them."""

import re
import ssl

from etcdz.tls import cipher_suites, contexts
from etcdz.tls.settings import TlsSettings


def test_a_name_of_go_is_a_cipher_of_this_machine_or_missing() -> None:
    names = list(cipher_suites._OPENSSL)
    assert len(names) == 24  # 22 suites, and the names that etcd adds for two of them
    gone = cipher_suites.missing(names)
    assert all(re.search("RC4|3DES", name) for name in gone)
    for name in set(names) - set(gone):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers(cipher_suites.openssl_list([name]))
        assert [one["name"] for one in context.get_ciphers() if one["protocol"] != "TLSv1.3"] == [
            cipher_suites.openssl_list([name])
        ]


def test_unknown_names_are_found_and_those_of_tls_1_3_are_known() -> None:
    assert cipher_suites.unknown(["TLS_AES_128_GCM_SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA"]) is None
    assert cipher_suites.unknown(["TLS_RSA_WITH_AES_128_CBC_SHA", "AES128-SHA"]) == "AES128-SHA"
    assert cipher_suites.openssl_list(["TLS_AES_128_GCM_SHA256"]) == ""


def test_with_names_of_tls_1_3_alone_nothing_older_is_spoken() -> None:
    context = contexts.client_context(TlsSettings(cipher_suites=("TLS_AES_128_GCM_SHA256",)))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
