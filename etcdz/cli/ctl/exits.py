"""Exit statuses, etcdctl's."""

from typing import Final

ERROR: Final = 1
BAD_CONNECTION: Final = 2
INVALID_INPUT: Final = 3
BAD_FEATURE: Final = 4
INTERRUPTED: Final = 5
BAD_ARGUMENTS: Final = 128
