"""What is asked for, as it goes onto the wire, and what users may write."""

import subprocess
import sys
from typing import Any

import pytest

from etcdz.client import delete, get, key, put, txn
from etcdz.client.connecting import make_options
from etcdz.client.endpoints import parse_endpoint, parse_endpoints
from etcdz.client.keys import prefix_end, span
from etcdz.client.pages import FIRST_KEYS, PAGE_BYTES, Pages
from etcdz.client.requests import page
from etcdz.client.requests import put as put_request
from etcdz.client.results import KeyValue, RangeResult, txn_result
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb


@pytest.mark.parametrize(
    ("text", "host", "port", "path", "is_secure"),
    [
        ("a", "a", 2379, "", False),
        ("a:1", "a", 1, "", False),
        ("http://a:1/", "a", 1, "", False),
        ("https://a", "a", 2379, "", True),
        ("https://[::1]:7", "::1", 7, "", True),
        ("[::1]", "::1", 2379, "", False),
        ("unix:/run/x", "", 0, "/run/x", False),
        ("unix:///run/x", "", 0, "/run/x", False),
        ("unixs:/run/x", "", 0, "/run/x", True),
    ],
)
def test_endpoints(text: str, host: str, port: int, path: str, is_secure: bool) -> None:
    assert parse_endpoint(text) == (text, host, port, path, is_secure)


@pytest.mark.parametrize("text", ["", " , ", "ftp://a:1", "a:b", "a:0", "a:70000", "unix:", "::1", "https://"])
def test_endpoints_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_endpoints(text, False)


def test_an_endpoint_without_a_scheme_is_secure_if_a_ca_is_given() -> None:
    assert [each.is_secure for each in make_options("a,http://b,https://c", ca="x").endpoints] == [True, False, True]


def test_variables_say_what_is_not_given() -> None:
    environ = {"ETCDCTL_ENDPOINTS": "a:1,b:1", "ETCDCTL_USER": "u:p:q", "ETCDCTL_CACERT": "ca"}
    options = make_options(None, environ=environ)
    assert [each.text for each in options.endpoints] == ["a:1", "b:1"]
    assert (options.user, options.password, options.tls.ca) == ("u", "p:q", "ca")
    options = make_options("c:1", environ=environ)
    assert (options.user, options.tls.ca, options.endpoints[0].host) == ("", "", "c")


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(ValueError):
        make_options("a", cert=("c.pem", ""))


@pytest.mark.parametrize(
    ("prefix", "end"), [(b"a", b"b"), (b"a\xff", b"b"), (b"\xff\xff", b"\0"), (b"", b"\0"), (b"ab", b"ac")]
)
def test_the_end_of_a_prefix(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end


def test_ways_to_name_keys() -> None:
    assert span("k", None, None) == (b"k", b"")
    assert span(b"a", "c", None) == (b"a", b"c")
    assert span(None, None, "é") == ("é".encode(), b"\xc3\xaa")
    assert span(None, None, "") == (b"\0", b"\0")
    for wrong in [(None, None, None), ("a", None, "b"), (None, "b", "a")]:
        with pytest.raises(ValueError):
            span(*wrong)


def test_a_put() -> None:
    class Lease:
        id = 7

    body = pb.PutRequest.FromString(put_request("k", "v", lease=Lease(), prev=True).body)
    assert body == pb.PutRequest(key=b"k", value=b"v", lease=7, prev_kv=True)


def test_a_range_sorted_by_what_is_no_word() -> None:
    with pytest.raises(ValueError):
        page(prefix="a", sort="size")


def test_a_transaction() -> None:
    built = (
        txn(key("a").version == 0, key("b").value != b"1", key(prefix="c").mod_revision < 9, key("d").lease > 3)
        .then(put("a", "1"), delete(prefix="x"))
        .then(txn(key("q").create_revision == 2).then(get("q")))
        .otherwise(get("b", limit=1))
    )
    body = pb.TxnRequest.FromString(built.request().body)
    compares = [(each.key, each.range_end, each.target, each.result) for each in body.compare]
    assert compares == [(b"a", b"", 0, 0), (b"b", b"", 3, 3), (b"c", b"d", 2, 2), (b"d", b"", 4, 1)]
    assert [op.WhichOneof("request") for op in body.success] == ["request_put", "request_delete_range", "request_txn"]
    assert [op.WhichOneof("request") for op in body.failure] == ["request_range"]
    assert body.compare[0].WhichOneof("target_union") == "version", "a zero that is compared with is sent"


@pytest.mark.parametrize(
    ("built", "repeatable"),
    [
        (txn().then(get("a")), True),
        (txn().then(get("a")).otherwise(put("a")), False),
        (txn().then(txn().then(delete("a"))), False),
        (txn().then(txn().then(get("a"))), True),
        (txn(), True),
    ],
)
def test_only_a_transaction_that_writes_nothing_is_sent_again(built: Any, repeatable: bool) -> None:
    assert built.request().method.repeatable is repeatable


def test_results_are_read_back_in_order() -> None:
    inner = pb.TxnResponse(succeeded=False, responses=[pb.ResponseOp(response_put=pb.PutResponse())])
    answer = pb.TxnResponse(
        header=pb.ResponseHeader(revision=9),
        succeeded=True,
        responses=[
            pb.ResponseOp(response_range=pb.RangeResponse(kvs=[mvccpb.KeyValue(key=b"k", value=b"v")], count=4)),
            pb.ResponseOp(response_delete_range=pb.DeleteRangeResponse(deleted=3)),
            pb.ResponseOp(response_txn=inner),
        ],
    )
    found: Any = txn_result(answer)
    assert (found.revision, found.succeeded) == (9, True)
    assert (found.results[0].kvs[0].text, found.results[0].total) == ("v", 4)
    assert found.results[1].deleted == 3 and found.results[2].succeeded is False


# ---- pages ----


def _read(pages: Pages, keys: list[bytes], size: int) -> tuple[list[bytes], list[int]]:
    """(keys that were told, how many each page asked for)"""
    told, asked = [], []
    while not pages.done:
        request = pb.RangeRequest.FromString(pages.request(None).body)
        asked.append(request.limit)
        left = [each for each in keys if request.key <= each < request.range_end]
        kvs = tuple([KeyValue(each, b"x" * size, 1, 1, 1, 0) for each in left[: request.limit]])
        told += [kv.key for kv in pages.take(RangeResult(50, kvs, len(left), len(left) > request.limit))]
        assert request.revision in (0, 50) and (request.revision or len(asked) == 1)
    return told, asked


@pytest.mark.parametrize("count", [0, 1, FIRST_KEYS, FIRST_KEYS + 1, 1_000])
@pytest.mark.parametrize("size", [0, 100, 500_000])
def test_pages_bring_each_key_once_and_stay_small(count: int, size: int) -> None:
    keys = [b"k%04d" % number for number in range(min(count, 200 if size > 100 else count))]
    told, asked = _read(Pages(b"k", b"l", 0, 0, False, False), keys, size)
    assert told == keys
    assert all([limit * size <= PAGE_BYTES or limit == 1 for limit in asked[1:]])


def test_pages_end_at_their_limit() -> None:
    keys = [b"k%04d" % number for number in range(500)]
    told, asked = _read(Pages(b"k", b"l", 70, 0, False, False), keys, 10)
    assert told == keys[:70] and asked == [64, 6]


# ---- what is loaded ----


def test_the_client_needs_protobuf_alone_and_no_package_to_be_imported() -> None:
    code = """if 1:
        import sys
        class Refuse:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in ("zmq", "msgpack", "plyvel", "psutil", "uvloop", "wsproto", "httptools",
                        "sortedcontainers", "google_crc32c", "hpack", "yaml", "dns", "bcrypt", "jwt", "cryptography",
                        "rich"):
                    raise ImportError(name)
        sys.meta_path.insert(0, Refuse())
        import etcdz.client
        assert "google.protobuf" not in sys.modules and "etcdz.client.core" not in sys.modules
        from etcdz.client import aio, connect
        import etcdz
        assert etcdz.connect is connect
        connect("a:1").close()
        """
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
