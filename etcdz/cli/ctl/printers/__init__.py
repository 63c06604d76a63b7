"""Outputs: each answer of a member as --write-out asks for. An answer is the protobuf message; the text is bytes."""

from typing import TYPE_CHECKING, Protocol

from etcdz.cli.command_tree import CommandError

if TYPE_CHECKING:
    from etcdz.proto import etcdserverpb as pb


class Printer(Protocol):
    """name: of the output, as --write-out has it."""

    name: str

    def put(self, answer: "pb.PutResponse") -> bytes: ...
    def get(self, answer: "pb.RangeResponse", value_only: bool) -> bytes: ...
    def delete(self, answer: "pb.DeleteRangeResponse") -> bytes: ...
    def grant(self, answer: "pb.LeaseGrantResponse") -> bytes: ...
    def revoke(self, lease: int, answer: "pb.LeaseRevokeResponse") -> bytes: ...
    def keep_alive(self, answer: "pb.LeaseKeepAliveResponse") -> bytes: ...
    def time_to_live(self, answer: "pb.LeaseTimeToLiveResponse", keys: bool) -> bytes: ...
    def leases(self, answer: "pb.LeaseLeasesResponse") -> bytes: ...


def make_printer(name: str, is_hex: bool) -> Printer:
    """raises CommandError: there is no such output"""
    if name == "simple":
        from etcdz.cli.ctl.printers.simple import Simple

        return Simple(is_hex)
    if name == "fields":
        from etcdz.cli.ctl.printers.fields import Fields

        return Fields()
    if name == "json":
        from etcdz.cli.ctl.printers.json import Json

        return Json()
    if name in ("protobuf", "table"):
        raise CommandError(f"etcdzctl --write-out={name} is not supported yet")
    raise CommandError("unsupported output format", 4)
