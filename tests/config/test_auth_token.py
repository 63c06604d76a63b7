"""What --auth-token says, and what is none."""

from pathlib import Path

import pytest

from etcdz.config import MemberConfig
from etcdz.config.auth_token import JWT, NONE, SIMPLE, AuthToken, AuthTokenError, parse
from etcdz.config.reading import read

MEANS = {
    "simple": AuthToken(SIMPLE),
    "simple,a=b": AuthToken(SIMPLE),
    "": AuthToken(NONE),
    "jwt,sign-method=RS256,pub-key=p,priv-key=q,ttl=90s": AuthToken(JWT, "RS256", "p", "q", 90.0),
    "jwt,sign-method=EdDSA": AuthToken(JWT, "EdDSA"),
    "jwt,sign-method=HS512,priv-key=q,size=3,a=": AuthToken(JWT, "HS512", "", "q", 300.0, ("a", "size")),
    "jwt,ttl=,sign-method=ES384": AuthToken(JWT, "ES384"),
}
IS_NONE = {
    "sipmle": "unknown token type",
    "jwt,sign-method": "invalid token option",
    "jwt,sign-method=RS256=RS256": "invalid token option",
    "jwt,sign-method=RS256,sign-method=RS256": "invalid token option",
    "simple,": "invalid token option",
    "jwt": "problem loading JWT options",
    "jwt,sign-method=none": "problem loading JWT options",
    "jwt,sign-method=rs256": "problem loading JWT options",
    "jwt,sign-method=RS256,ttl=5": "problem loading JWT options",
}


@pytest.mark.parametrize(("text", "meaning"), MEANS.items())
def test_what_it_means(text: str, meaning: AuthToken) -> None:
    assert parse(text) == meaning


@pytest.mark.parametrize(("text", "logged"), IS_NONE.items())
def test_what_is_none_has_etcds_words(text: str, logged: str) -> None:
    with pytest.raises(AuthTokenError, match="auth: invalid auth options") as refused:
        parse(text)
    assert refused.value.note.msg == logged


def test_keys_are_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"secret")
    assert parse(f"jwt,sign-method=HS256,priv-key={tmp_path / 'key'}").read_keys() == (b"", b"secret")
    with pytest.raises(OSError):
        parse(f"jwt,sign-method=HS256,priv-key={tmp_path / 'none'}").read_keys()


def config_of(*argv: str) -> tuple[MemberConfig, list[str]]:
    reading = read([*argv, "--data-dir=d"], {})
    assert isinstance(reading.outcome, MemberConfig)
    return reading.outcome, [note.msg for note in reading.late]


@pytest.mark.parametrize(("given", "used"), [(3, 10), (4, 4), (31, 31), (32, 10)])
def test_a_bcrypt_cost_out_of_bounds_is_the_default_and_said_so(given: int, used: int) -> None:
    config, notes = config_of(f"--bcrypt-cost={given}")
    assert config.bcrypt_cost == used
    assert ("use default bcrypt cost instead of the invalid given cost" in notes) == (given != used)


def test_no_time_to_live_is_the_default() -> None:
    assert config_of("--auth-token-ttl=0")[0].auth_token_ttl_s == 300
    assert config_of("--auth-token-ttl=7")[0].auth_token_ttl_s == 7
