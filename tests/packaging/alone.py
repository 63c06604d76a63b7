"""A program's first lines: of third parties it finds two packages, and of etcdz what the folder has.

    python alone.py FOLDER import           imports every module of the folder, and prints how many there are
    python alone.py FOLDER ctl WORD...      is etcdzctl

Run as a file and not as a module, so that nothing of the repository is to be found.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

ALLOWED = {"etcdz", "google"}


class Refusal(MetaPathFinder):
    """Asked before all others."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """raises ModuleNotFoundError: as if it were not installed"""
        top = fullname.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def main(folder: str, what: str, words: list[str]) -> int:
    """return the exit status."""
    sys.path[0] = folder  # in the place of the folder of this file
    # NB: the finder of an editable installation would find in the repository what the folder lacks.
    sys.meta_path[:] = [Refusal(), *(finder for finder in sys.meta_path if "editable" not in repr(finder).lower())]
    if what == "ctl":
        sys.argv = ["etcdzctl", *words]
        return int(import_module("etcdz.cli.ctl").main(words))
    paths = [path.relative_to(folder).with_suffix("") for path in Path(folder).rglob("*.py")]
    names = [".".join(path.parts).removesuffix(".__init__") for path in paths if path.name != "__main__"]
    for name in names:
        import_module(name)
    print(len(names))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
