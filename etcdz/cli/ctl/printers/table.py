"""Tables: --write-out=table, of members and endpoints alone."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from etcdz.cli.ctl.printers import rows
from etcdz.cli.ctl.printers.printer import Health, Printer

if TYPE_CHECKING:
    from etcdz.proto import etcdserverpb as pb

_WRAP: Final = 30


def _wrapped(text: str) -> list[str]:
    """Lines of 30 characters, broken between words."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= _WRAP:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def _table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> bytes:
    cells = [[_wrapped(cell) for cell in row] for row in body]
    widths = [
        max([len(head), *[len(line) for row in cells for line in row[column]]]) for column, head in enumerate(heads)
    ]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    lines = [rule, _line([_centred(head.upper(), width) for head, width in zip(heads, widths, strict=True)]), rule]
    for row in cells:
        for number in range(max(map(len, row))):
            parts = [cell[number] if number < len(cell) else "" for cell in row]
            lines.append(_line([f"{part:>{width}}" for part, width in zip(parts, widths, strict=True)]))
    return "".join(f"{line}\n" for line in [*lines, rule]).encode(errors="surrogateescape")


def _centred(text: str, width: int) -> str:
    """NB: what is left over goes to the right."""
    gap = width - len(text)
    return " " * (gap // 2) + text + " " * (gap - gap // 2)


def _line(parts: Sequence[str]) -> str:
    return "| " + " | ".join(parts) + " |"


class Table(Printer):
    name = "table"

    def members(self, answer: "pb.MemberListResponse") -> bytes:
        return _table(rows.MEMBERS, rows.member_rows(answer))

    def healths(self, found: Sequence[Health]) -> bytes:
        return _table(rows.HEALTHS, rows.health_rows(found))

    def statuses(self, found: "Sequence[tuple[str, pb.StatusResponse]]") -> bytes:
        return _table(rows.STATUSES, rows.status_rows(found))

    def hashes(self, found: "Sequence[tuple[str, pb.HashKVResponse]]") -> bytes:
        return _table(rows.HASHES, rows.hash_rows(found))
