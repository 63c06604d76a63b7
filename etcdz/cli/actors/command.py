"""One command of `etcdz actors`."""

import argparse
from collections.abc import Callable
from typing import NamedTuple


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """Of its own; all have --data-dir, --name and --json."""


class Command(NamedTuple):
    """run: args -> exit status; raises asking.Refused. args has data_dir, name, json, and what add_arguments adds."""

    name: str
    help: str
    run: Callable[[argparse.Namespace], int]
    add_arguments: Callable[[argparse.ArgumentParser], None] = no_arguments
