"""One line of JSON: --write-out=json.

A message has the names of its protobuf fields and lacks those that are zero; bytes are base64. The answers about leases
are of Go's client instead: the header's fields are among the others, and some have other names.
"""

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etcdz.proto import etcdserverpb as pb


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if hasattr(value, "ListFields"):
        return {field.name: _value(of) for field, of in value.ListFields()}
    if isinstance(value, int | str):
        return value
    return [_value(each) for each in value]


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


class Json:
    name = "json"

    def put(self, answer: "pb.PutResponse") -> bytes:
        return _line(_value(answer))

    def get(self, answer: "pb.RangeResponse", value_only: bool) -> bytes:
        return _line(_value(answer))

    def delete(self, answer: "pb.DeleteRangeResponse") -> bytes:
        return _line(_value(answer))

    def grant(self, answer: "pb.LeaseGrantResponse") -> bytes:
        return _line({**_value(answer.header), "ID": answer.ID, "TTL": answer.TTL, "Error": answer.error})

    def revoke(self, lease: int, answer: "pb.LeaseRevokeResponse") -> bytes:
        return _line(_value(answer))

    def keep_alive(self, answer: "pb.LeaseKeepAliveResponse") -> bytes:
        return _line({**_value(answer.header), "ID": answer.ID, "TTL": answer.TTL})

    def time_to_live(self, answer: "pb.LeaseTimeToLiveResponse", keys: bool) -> bytes:
        fields = {"id": answer.ID, "ttl": answer.TTL, "granted-ttl": answer.grantedTTL}
        return _line({**_value(answer.header), **fields, "keys": _value(answer.keys) or None})

    def leases(self, answer: "pb.LeaseLeasesResponse") -> bytes:
        return _line({**_value(answer.header), "leases": [{"id": one.ID} for one in answer.leases]})
