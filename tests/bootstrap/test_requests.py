"""No answer, however it comes or does not come, holds up a start for longer than it may."""

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from etcdz.bootstrap import requests
from etcdz.bootstrap.requests import RequestFailed, request
from etcdz.net.tls_socket import TlsDialler
from etcdz.tls.files import TlsFiles
from etcdz.tls.settings import TlsSettings
from tests.bootstrap.other_member import OtherMember


def test_an_answer_comes_with_status_headers_and_body() -> None:
    with OtherMember() as other:
        other.says("/x", b"abc", headers="X-Etcd-Cluster-Id: 77\r\n", status="412 Precondition Failed")
        assert request(other.url, "/x", 60.0) == (412, {"x-etcd-cluster-id": "77", "content-length": "3"}, b"abc")


def test_a_chunked_answer_is_joined() -> None:
    with OtherMember(
        {"/": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"}
    ) as other:
        assert request(other.url, "/", 60.0).body == b"abc"


def test_a_redirect_is_not_followed() -> None:
    with OtherMember() as other:
        other.says("/x", b"", headers="Location: /y\r\n", status="307 Temporary Redirect")
        assert request(other.url, "/x", 60.0).status == 307
        assert other.asked == ["/x"]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "remote end closed connection without response"),
        (b"garbage\r\n\r\n", "garbage"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "unexpected eof"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", "incompleteread"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000 + b"\r\n\r\n", "got more than 65536 bytes"),
    ],
)
def test_what_is_no_answer_is_none(answer: bytes, why: str) -> None:
    with OtherMember({"/": answer}) as other, pytest.raises(RequestFailed, match=f"(?i){why}"):
        request(other.url, "/", 60.0)


def test_one_who_is_silent_and_one_who_sends_bit_by_bit_are_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(RequestFailed, match="no answer in time"):
            request(url, "/", 0.1)
        listener.accept()[0].close()
        threading.Thread(target=_dribble, args=(listener,), daemon=True).start()
        with pytest.raises(RequestFailed, match="no answer in time"):
            request(url, "/", 0.2)
        assert time.monotonic() - began < 30.0, "what it has is the sum of two times of a tenth of a second"


def _dribble(listener: socket.socket) -> None:
    sock, _ = listener.accept()
    with sock, suppress(OSError):
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sock.sendall(b"x")
            time.sleep(0.01)  # the rate at which it sends is what is tested


def test_an_endless_answer_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_BYTES_MAX", 10)
    with OtherMember() as other:
        other.says("/", b"x" * 11)
        with pytest.raises(RequestFailed, match="more than 10 bytes"):
            request(other.url, "/", 60.0)


def test_nobody_there_and_urls_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(RequestFailed, match="connection refused"):
        request("http://127.0.0.1:1", "/", 60.0)
    with pytest.raises(RequestFailed, match="no such file"):
        request(f"unix://{tmp_path}/none", "/", 60.0)
    with pytest.raises(RequestFailed, match="connection refused"):
        request("https://127.0.0.1:1", "/", 60.0, tls=TlsDialler(TlsFiles(TlsSettings(), None)))


def test_a_unix_url_leads_to_its_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        threading.Thread(target=_answer, args=(listener, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")).start()
        assert request(f"unix://{tmp_path}/s", "/", 60.0).body == b"ok"


def _answer(listener: socket.socket, answer: bytes) -> None:
    sock, _ = listener.accept()
    with sock:
        sock.recv(65536)
        sock.sendall(answer)
