"""One line of JSON: --write-out=json.

A message has the names of its protobuf fields and lacks those that are zero; bytes are base64. The answers about leases
and watches are of Go's client instead: the header's fields are among the others, or some have other names.
"""

from base64 import b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from etcdz.cli.ctl.printers.printer import Health, Printer
from etcdz.cli.go_json import go_json
from etcdz.proto.text import printable

if TYPE_CHECKING:
    from etcdz.proto import etcdserverpb as pb


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if hasattr(value, "ListFields"):
        fields = {field.name: _field(field, of) for field, of in value.ListFields()}
        return {"Response": fields} if value.DESCRIPTOR.name == "ResponseOp" else fields
    if isinstance(value, int | str):
        return value
    return [_value(each) for each in value]


def _field(field: Any, value: Any) -> Any:
    """NB: of a string that is not UTF-8 the library makes bytes."""
    if field.type != field.TYPE_STRING:
        return _value(value)
    return printable(value) if isinstance(value, str | bytes) else [printable(each) for each in value]


def _line(value: Any) -> bytes:
    return go_json(value).encode() + b"\n"


class Json(Printer):
    name = "json"

    def __init__(self, is_hex: bool) -> None:
        self._is_hex = is_hex

    def other(self, answer: Any) -> bytes:
        return _line(_value(answer))

    def done(self, answer: Any, text: bytes, in_fields: bool = True) -> bytes:
        return self.other(answer)

    def watch(self, answer: "pb.WatchResponse") -> bytes:
        fields = {
            "Header": _value(answer.header),
            "Events": _value(answer.events),
            "CompactRevision": answer.compact_revision,
            "Canceled": answer.canceled,
            "Created": answer.created,
        }
        return _line(fields)

    def grant(self, answer: "pb.LeaseGrantResponse") -> bytes:
        return _line({**_value(answer.header), "ID": answer.ID, "TTL": answer.TTL, "Error": answer.error})

    def keep_alive(self, answer: "pb.LeaseKeepAliveResponse") -> bytes:
        return _line({**_value(answer.header), "ID": answer.ID, "TTL": answer.TTL})

    def time_to_live(self, answer: "pb.LeaseTimeToLiveResponse", keys: bool) -> bytes:
        fields = {"id": answer.ID, "ttl": answer.TTL, "granted-ttl": answer.grantedTTL}
        return _line({**_value(answer.header), **fields, "keys": _value(answer.keys) or None})

    def leases(self, answer: "pb.LeaseLeasesResponse") -> bytes:
        return _line({**_value(answer.header), "leases": [{"id": one.ID} for one in answer.leases]})

    def members(self, answer: "pb.MemberListResponse") -> bytes:
        """With --hex: ids are hexadecimal, and some names are others."""
        if not self._is_hex:
            return self.other(answer)
        head, members = answer.header, [_value(member) for member in answer.members]
        header = {
            "cluster_id": f"{head.cluster_id:x}",
            "member_id": f"{head.member_id:x}",
            "raft_term": head.raft_term,
        }
        shown = [
            {
                "ID": f"{member['ID']:x}",
                "name": member.get("name", ""),
                "peerURLs": member.get("peerURLs"),
                "clientURLS": member.get("clientURLs"),
            }
            for member in members
        ]
        return _line({"header": header, **({"members": shown} if shown else {})})

    def healths(self, found: Sequence[Health]) -> bytes:
        return _line(
            [
                {"endpoint": each.endpoint, "health": each.is_healthy, "took": each.took}
                | ({"error": each.error} if each.error else {})
                for each in found
            ]
        )

    def statuses(self, found: "Sequence[tuple[str, pb.StatusResponse]]") -> bytes:
        return _line([{"Endpoint": endpoint, "Status": _value(answer)} for endpoint, answer in found])

    def hashes(self, found: "Sequence[tuple[str, pb.HashKVResponse]]") -> bytes:
        return _line([{"Endpoint": endpoint, "HashKV": _value(answer)} for endpoint, answer in found])
