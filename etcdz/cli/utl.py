"""`etcdzutl`: for now it knows its version."""

import sys
from collections.abc import Sequence

from etcdz.cli import ctl


def main(argv: Sequence[str] | None = None) -> int:
    """As `etcdzctl`. return the exit status."""
    return ctl.main(argv, program="etcdutl")


if __name__ == "__main__":
    sys.exit(main())
