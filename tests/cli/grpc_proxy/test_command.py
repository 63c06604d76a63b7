"""Flags that are refused, in etcd's words."""

import pytest

from etcdz.cli.grpc_proxy import main
from etcdz.testing.certificates import Authority

CASES = [
    (["--resolver-prefix=p"], "invalid resolver-ttl 0\n"),
    (["--resolver-ttl=3"], 'invalid resolver-prefix ""\n'),
    (
        ["--resolver-prefix=p", "--resolver-ttl=3", "--advertise-client-url="],
        'invalid advertise-client-url ""\n',
    ),
    (
        ["--auto-tls", "--self-signed-cert-validity=0"],
        "selfSignedCertValidity is invalid,it should be greater than 0\n",
    ),
    (["--listen-addr=127.0.0.1:99999999"], "listen tcp: address 99999999: invalid port\n"),
    (
        ["--tls-min-version=TLS1.1"],
        'tls-min-version is invalid: unexpected TLS version "TLS1.1" (must be one of: TLS1.2, TLS1.3)\n',
    ),
    (
        ["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"],
        "min version (TLS1.3) is greater than max version (TLS1.2)\n",
    ),
    (
        ["--tls-min-version=TLS1.3", "--listen-cipher-suites=TLS_RSA_WITH_AES_128_CBC_SHA"],
        "cipher suites cannot be configured when only TLS1.3 is enabled\n",
    ),
    (["--experimental-leasing-prefix=p"], "experimental-leasing-prefix is not supported by etcdz\n"),
    (["--enable-pprof"], "enable-pprof is not supported by etcdz\n"),
]


@pytest.mark.parametrize(("flags", "text"), CASES, ids=[" ".join(flags) for flags, _ in CASES])
def test_flags_that_contradict_each_other(flags: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", *flags]) == 1
    assert capsys.readouterr().err == text


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (
            ["--max-send-bytes=x"],
            'invalid argument "x" for "--max-send-bytes" flag: strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            ["--self-signed-cert-validity=-1"],
            'for "--self-signed-cert-validity" flag: strconv.ParseUint: parsing "-1": invalid syntax',
        ),
        (["--nope"], "unknown flag: --nope"),
    ],
)
def test_values_that_are_none(flags: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", *flags]) == 1
    assert text in capsys.readouterr().err


def test_files_that_are_not_there(tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]) -> None:
    listen = "--listen-addr=127.0.0.1:0"
    assert main(["start", listen, "--cert-file=/nowhere/c.pem", "--key-file=/nowhere/k.pem"]) == 1
    assert "open /nowhere/c.pem: no such file or directory" in capsys.readouterr().err
    authority = Authority(tmp_path_factory.mktemp("pki"))
    assert main(["start", listen, "--cert=/nowhere/c.pem", f"--cacert={authority.ca}"]) == 1
    assert "/nowhere/c.pem" in capsys.readouterr().err
