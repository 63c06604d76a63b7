"""JSON -> request."""

import json
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdz.gateway.requests import BadJson, decode_request
from etcdz.gateway.routes import METHODS
from etcdz.proto import etcdserverpb as pb
from tests.examples import examples
from tests.gateway.messages import messages

REQUESTS = sorted({method.request for method in METHODS.values()}, key=lambda kind: kind.DESCRIPTOR.full_name)


@settings(max_examples=examples(60), deadline=None)
@given(st.data(), st.sampled_from(REQUESTS), st.booleans())
def test_what_json_format_prints_is_read_as_the_same_message(
    data: st.DataObject, kind: type[Message], keeps_names: bool
) -> None:
    message = data.draw(messages(kind))
    text = json_format.MessageToJson(message, preserving_proto_field_name=keeps_names).encode()
    assert kind.FromString(decode_request(text, kind)) == message


def _range(text: str) -> Any:
    return pb.RangeRequest.FromString(decode_request(text.encode(), pb.RangeRequest))


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ('{"key": "Zm9v"}', "key", b"foo"),
        ('{"key": "Zm9vYg"}', "key", b"foob"),
        ('{"key": "_-8="}', "key", b"\xff\xef"),
        ('{"key": "_-8"}', "key", b"\xff\xef"),
        ('{"key": "Zm\\n9v"}', "key", b"foo"),
        ('{"key": ""}', "key", b""),
        ('{"key": null}', "key", b""),
        ('{"limit": 5}', "limit", 5),
        ('{"limit": "5"}', "limit", 5),
        ('{"limit": "-5"}', "limit", -5),
        ('{"limit": 5.0}', "limit", 5),
        ('{"limit": 1e3}', "limit", 1000),
        ('{"limit": "1e3"}', "limit", 1000),
        ('{"limit": "9223372036854775807"}', "limit", (1 << 63) - 1),
        ('{"sort_order": "DESCEND"}', "sort_order", 2),
        ('{"sortOrder": 2}', "sort_order", 2),
        ('{"sort_order": "UPWARD"}', "sort_order", 0),
        ('{"sort_order": 77}', "sort_order", 77),
        ('{"count_only": true}', "count_only", True),
        ('{"nonsense": {"key": [1, {}]}, "limit": 1}', "limit", 1),
        ('{"limit": 1}{"limit": 2}', "limit", 1),
        ('{"limit": 1} nonsense', "limit", 1),
        (' \n\t{"limit": 1}', "limit", 1),
        ("", "limit", 0),
        (" ", "limit", 0),
        ("{}", "limit", 0),
    ],
)
def test_a_value_is_read_as_protojson_does(text: str, field: str, value: object) -> None:
    assert getattr(_range(text), field) == value


@pytest.mark.parametrize(
    "text",
    [
        "key=foo", '{"key":"Zm9v"', "[1]", "null", "5", '"x"', "\ufeff{}", "{'key': 1}",
        '{"key": "%%%"}', '{"key": "Zg=v"}', '{"key": "Z"}', '{"key": "Zg="}', '{"key": "===="}', '{"key": "+_8="}',
        '{"key": "é"}', '{"key": 5}', '{"key": []}', '{"key": {}}', '{"key": true}',
        '{"limit": 1.5}', '{"limit": "1.5"}', '{"limit": ""}', '{"limit": " 1"}', '{"limit": "1_0"}', '{"limit": "+1"}',
        '{"limit": "0x1"}', '{"limit": "01"}', '{"limit": true}', '{"limit": []}', '{"limit": 9223372036854775808}',
        '{"limit": -9223372036854775809}', '{"limit": 1e400}', '{"limit": NaN}', '{"limit": -Infinity}',
        '{"limit": "٣"}', '{"limit": %s}' % ("9" * 5000), '{"limit": "%s"}' % ("9" * 5000),
        '{"count_only": "true"}', '{"count_only": 1}', '{"sort_order": 2147483648}', '{"sort_order": 1.5}',
        '{"sort_order": true}', '{"limit": 1, "limit": 2}', '{"prev": 1, "sort_order": 1, "sortOrder": 1}',
        "[" * 100_000, '{"x":' * 100_000,
    ],
)  # fmt: skip
def test_what_is_not_the_requests_json_is_refused(text: str) -> None:
    with pytest.raises(BadJson):
        _range(text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (pb.TxnRequest, '{"success": [{"requestPut": {"key": "eA=="}, "requestRange": {"key": "eA=="}}]}'),
        (pb.TxnRequest, '{"success": [null]}'),
        (pb.TxnRequest, '{"success": {"requestPut": {}}}'),
        (pb.TxnRequest, '{"compare": [[]]}'),
        (pb.MemberAddRequest, '{"peerURLs": "http://a"}'),
        (pb.MemberAddRequest, '{"peerURLs": [null]}'),
        (pb.AuthUserAddRequest, '{"name": "\\ud800"}'),
        (pb.AuthUserAddRequest, '{"options": []}'),
        (pb.LeaseGrantRequest, '{"ID": {}}'),
    ],
)
def test_what_is_not_another_requests_json_is_refused(kind: type[Message], text: str) -> None:
    with pytest.raises(BadJson):
        decode_request(text.encode(), kind)


def test_bytes_that_are_no_utf8_are_refused() -> None:
    with pytest.raises(BadJson):
        decode_request(b'{"key": "\xff"}', pb.PutRequest)


def test_transactions_nested_beyond_all_use_are_refused() -> None:
    text = '{"success":[{"request_txn":' * 5_000 + "{}" + "}]}" * 5_000
    with pytest.raises(BadJson):
        decode_request(text.encode(), pb.TxnRequest)


def test_ids_have_the_names_that_the_schema_gives_them() -> None:
    body = json.dumps({"TTL": 77, "ID": "5", "ttl": 3, "id": 4}).encode()
    assert pb.LeaseGrantRequest.FromString(decode_request(body, pb.LeaseGrantRequest)) == pb.LeaseGrantRequest(
        TTL=77, ID=5
    )


def test_a_compared_zero_is_a_target_all_the_same() -> None:
    body = b'{"compare":[{"key":"eA==","createRevision":"0"}]}'
    compare = pb.TxnRequest.FromString(decode_request(body, pb.TxnRequest)).compare[0]
    assert compare.WhichOneof("target_union") == "create_revision"
