"""The answers themselves: --write-out=protobuf."""

from typing import TYPE_CHECKING, Any

from etcdz.cli.ctl.printers.printer import Printer

if TYPE_CHECKING:
    from etcdz.proto import etcdserverpb as pb


class Protobuf(Printer):
    name = "protobuf"

    def other(self, answer: Any) -> bytes:
        encoded: bytes = answer.SerializeToString()
        return encoded

    def done(self, answer: Any, text: bytes, in_fields: bool = True) -> bytes:
        return self.other(answer)

    def watch(self, answer: "pb.WatchResponse") -> bytes:
        """NB: without the watcher's id, which is this connection's alone."""
        shown = type(answer)()
        shown.CopyFrom(answer)
        for name in ("watch_id", "cancel_reason", "fragment"):
            shown.ClearField(name)
        return self.other(shown)
