"""One command of `etcdz actors`."""

import argparse
import os
from collections.abc import Callable
from typing import NamedTuple


def no_arguments(parser: argparse.ArgumentParser) -> None:
    """Of its own; all have --data-dir, --name and --json."""


def data_dir_of(args: argparse.Namespace) -> str:
    """Data directory of the member that a command line names: --data-dir, else the environment's, else NAME.etcd."""
    return str(args.data_dir or os.environ.get("ETCD_DATA_DIR") or f"{args.name}.etcd")


class Command(NamedTuple):
    """run: args -> exit status; raises Refused (etcdz/control). args has data_dir, name, json, and what add_arguments
    adds."""

    name: str
    help: str
    run: Callable[[argparse.Namespace], int]
    add_arguments: Callable[[argparse.ArgumentParser], None] = no_arguments
