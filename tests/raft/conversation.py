"""Play conversation files: python -m tests.raft.conversation [--rewrite] DIR...

Each DIR (or file) is searched for .txt files, deeply. Prints a line per file and a count; for a file that fails, the
difference between what it says (-) and what was answered (+). Exit status 1 if any failed, 2 if there were none.
--rewrite puts the answers into the files: look at the difference as at code.
"""

import argparse
import difflib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.raft.confchange_talk import ConfChangeTalk
from tests.raft.datadriven import ConversationError, Directive, Played, parse, play
from tests.raft.interaction import Environment
from tests.raft.quorum_talk import QuorumTalk

_QUORUM_COMMANDS = frozenset({"committed", "vote"})
_CONFCHANGE_COMMANDS = frozenset({"simple", "enter-joint", "leave-joint"})


def partner_for(text: str) -> Callable[[Directive], str]:
    """Whom the file talks to, told by its commands: each kind of file has its own."""
    commands = {item.command for item in parse(text) if isinstance(item, Directive)}
    if commands & _QUORUM_COMMANDS:
        return QuorumTalk().handle
    if commands & _CONFCHANGE_COMMANDS:
        return ConfChangeTalk().handle
    return Environment().handle


def play_file(path: Path) -> Played:
    text = path.read_text()
    try:
        return play(text, partner_for(text))
    except ConversationError as error:
        return Played(False, text, f"{error}\n")


def difference(path: Path, played: Played) -> str:
    before, after = played.expected.splitlines(keepends=True), played.actual.splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, f"{path} (expected)", f"{path} (actual)"))


def find(places: Iterable[Path]) -> list[Path]:
    files: list[Path] = []
    for place in places:
        files += sorted(place.rglob("*.txt")) if place.is_dir() else [place]
    return files


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.raft.conversation", description="play conversation files")
    parser.add_argument("places", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--rewrite", action="store_true", help="put the answers into the files")
    options = parser.parse_args(arguments)
    files = find(options.places)
    failed = 0
    for path in files:
        played = play_file(path)
        print(f"{'ok    ' if played.passed else 'FAILED'} {path}")
        if not played.passed:
            failed += 1
            print(difference(path, played), end="")
            if options.rewrite:
                path.write_text(played.actual)
    print(f"{len(files) - failed} of {len(files)} conversations passed")
    return 2 if not files else int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
