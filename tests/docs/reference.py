"""The pages of docs/reference, made from the table of flags and the trees of commands.

    python -m tests.docs.reference              says which pages are not as the code has it
    python -m tests.docs.reference --rewrite    writes them

A flag of the member is a row of a table; of any other command the page has what --help prints, so that nobody finds one
thing on the page and another in the terminal. What neither knows (variables, exit statuses) is in reference_heads.py.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Final
from unittest.mock import patch

from etcdz.cli import actors, bench, gateway, grpc_proxy, monitor, utl
from etcdz.cli.bench import options
from etcdz.cli.command_tree import Command
from etcdz.cli.ctl import tree
from etcdz.cli.gateway import command as gateway_command
from etcdz.cli.grpc_proxy import command as grpc_proxy_command
from etcdz.cli.utl import commands as utl_commands
from etcdz.config.flags import SECTIONS, SETTINGS, Flag, Status
from tests.docs.reference_heads import HEADS, MEMBER

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "reference"
COLUMNS: Final = 98
"""What a line of a page has room for."""
_NOTES: Final = {
    Status.DEFAULT_ONLY: "Another value is refused.",
    Status.WITHOUT_EFFECT: "Accepted, without effect.",
    Status.WITHOUT_MEANING: "Accepted: it tunes bbolt, which is not used here.",
}
Words = tuple[str, ...]


def pages() -> dict[str, str]:
    """File name -> text."""
    return {
        "etcdz.md": _member_page(),
        "etcdzctl.md": _page("etcdzctl", tree.run, ways(tree.ROOT)),
        "etcdzutl.md": _page("etcdzutl", utl.main, ways(utl_commands.ROOT)),
        "etcdz-actors.md": _page("etcdz actors", actors.main, [(command.name,) for command in actors.COMMANDS]),
        "etcdz-monitor.md": _page("etcdz monitor", monitor.main, []),
        "etcdz-bench.md": _page("etcdz bench", bench.main, [(name,) for name, _, _ in options._COMMANDS]),
        "etcdz-gateway.md": _page("etcdz gateway", gateway.main, ways(gateway_command.COMMAND)),
        "etcdz-grpc-proxy.md": _page("etcdz grpc-proxy", grpc_proxy.main, ways(grpc_proxy_command.COMMAND)),
    }


def ways(command: Command, before: Words = ()) -> list[Words]:
    """The words that lead to each command below this one that does something, but for those that nobody is told of."""
    found: list[Words] = []
    for child in command.children:
        if not child.is_hidden:
            way = (*before, child.name)
            found += [way] if child.run is not None else ways(child, way)
    return found


# ---- the member ----


def _member_page() -> str:
    return "\n".join(["# etcdz", "", MEMBER, *_sections()])


def _sections() -> Iterator[str]:
    for section, rows in SECTIONS.items():
        yield from (f"## {section}", "", "| flag | default | what it does |", "|---|---|---|")
        yield from (_row(SETTINGS[row[0]]) for row in rows)
        yield ""


def _row(flag: Flag) -> str:
    default = "${name}.etcd" if flag.name == "data-dir" else flag.default
    shown = f"`{default}`" if default else ""
    text = " ".join(filter(None, (flag.help, _NOTES.get(flag.status))))
    return f"| `--{flag.name}` | {shown} | {_cell(text)} |"


def _cell(text: str) -> str:
    """Markdown that shows text as it is. NB: HTML's < and what looks like emphasis are in some help texts."""
    return text.replace("|", r"\|").replace("<", "&lt;").replace("*", r"\*")


# ---- the other commands ----


def _page(name: str, main: Callable[[Sequence[str]], int], found: Sequence[Words]) -> str:
    parts = [f"# {name}\n\n{HEADS[name]}", _block(main, ())]
    parts += [f"## {' '.join(way)}\n\n{_block(main, way)}" for way in found]
    return "\n".join(parts)


def _block(main: Callable[[Sequence[str]], int], way: Words) -> str:
    """What --help prints, without the flags of all commands, which the first block of the page has."""
    text = _printed(main, [*way, "--help"])
    return f"```text\n{text.partition('Global Flags:')[0].rstrip()}\n```\n"


def _printed(main: Callable[[Sequence[str]], int], argv: Sequence[str]) -> str:
    with patch.dict(os.environ, {"COLUMNS": str(COLUMNS)}), redirect_stdout(StringIO()) as out, suppress(SystemExit):
        main(argv)
    return out.getvalue()


def main() -> int:
    """return the exit status: 1 if pages differ and are not to be written."""
    made = pages()
    stale = [name for name, text in made.items() if not (FOLDER / name).exists() or (FOLDER / name).read_text() != text]
    stale += sorted(path.name for path in FOLDER.glob("*.md") if path.name not in made)
    if "--rewrite" not in sys.argv:
        print("\n".join(stale) or "all pages are as the code has it")
        return bool(stale)
    FOLDER.mkdir(exist_ok=True)
    for name in stale:
        if name in made:
            (FOLDER / name).write_text(made[name])
        else:
            (FOLDER / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
