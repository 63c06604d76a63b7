"""URLs beyond those that the cases compare with etcd."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.config import urls


def test_lists_are_sorted_and_in_normal_form() -> None:
    assert urls.parse_urls("http://b:1, HTTPS://a:1 ") == ("http://b:1", "https://a:1")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("unix:///run/etcdz/client.sock", "/run/etcdz/client.sock"),
        ("unix:/run/client.sock", "/run/client.sock"),
        ("unix://localhost:2379", "localhost:2379"),
        ("unixs://a/b", "a/b"),
    ],
)
def test_unix_urls_name_a_file(text: str, path: str) -> None:
    url = urls.parse_member_url(text)
    assert (url.is_unix, url.socket_path) == (True, path)
    assert urls.parse_member_url(url.text).socket_path == path
    assert urls.bind_error((url.text,)) is None


@pytest.mark.parametrize("text", ["unix:", "unix://", "unix:a.sock"])
def test_unix_urls_without_a_file_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        urls.parse_member_url(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a:1", ("a", "1")),
        ("[::1]:2", ("::1", "2")),
        (":", ("", "")),
        ("", "missing port in address"),
        ("a", "address a: missing port in address"),
        ("a:b:c", "address a:b:c: too many colons in address"),
        ("[::1", "address [::1: missing ']' in address"),
        ("[::1]", "address [::1]: missing port in address"),
        ("[::1]x:1", "address [::1]x:1: missing port in address"),
        ("a]:1", "address a]:1: unexpected ']' in address"),
    ],
)
def test_host_and_port(text: str, parts: tuple[str, str] | str) -> None:
    if isinstance(parts, tuple):
        assert urls.split_host_port(text) == parts
    else:
        with pytest.raises(ValueError) as raised:
            urls.split_host_port(text)
        assert str(raised.value) == parts


@given(st.text(alphabet="htpsunix:/@[]%?#.a1 \x01é", max_size=24))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        urls.parse_urls(text)
    except ValueError as error:
        assert str(error)
