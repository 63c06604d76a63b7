"""`etcdzctl`: for now it knows its version."""

import sys
from collections.abc import Sequence

from etcdz import ETCD_VERSION, __version__


def main(argv: Sequence[str] | None = None, program: str = "etcdctl") -> int:
    """Print the version as etcd's own tool does, so that scripts can read it. return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in (["version"], ["--version"]):
        api = ETCD_VERSION.rpartition(".")[0]
        sys.stdout.write(f"{program} version: {ETCD_VERSION}\nAPI version: {api}\netcdz version: {__version__}\n")
        return 0
    command = " ".join(words) or "without a command"
    sys.stderr.write(
        f"Error: etcdz's {program} {command} is not supported yet; etcd's own {program} works with etcdz\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
