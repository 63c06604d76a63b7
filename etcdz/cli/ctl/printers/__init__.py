"""Outputs: each answer of a member as --write-out asks for. An answer is the protobuf message; the text is bytes."""

from etcdz.cli.command_tree import CommandError
from etcdz.cli.ctl.exits import BAD_FEATURE
from etcdz.cli.ctl.printers.printer import Printer


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

        return Json(is_hex)
    if name == "protobuf":
        from etcdz.cli.ctl.printers.protobuf import Protobuf

        return Protobuf()
    if name == "table":
        from etcdz.cli.ctl.printers.table import Table

        return Table()
    raise CommandError("unsupported output format", BAD_FEATURE)


__all__ = ["Printer", "make_printer"]
