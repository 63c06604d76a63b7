"""Files as the commands open them: what is wrong with one ends the command."""

from etcdz.bbolt import BoltFile
from etcdz.cli.command_tree import CommandError
from etcdz.migration.errors import MigrationError
from etcdz.migration.files import open_database
from etcdz.wal.files import File


def open_file(path: str, verb: str = "open") -> tuple[BoltFile, File]:
    """A bbolt file and its source, which the caller closes.

    verb    what etcd's tool does first, for its error text
    raises  CommandError
    """
    try:
        return open_database(path, verb)
    except MigrationError as error:
        raise CommandError(str(error)) from None
