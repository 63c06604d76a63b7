"""snapshot save; status and restore, which are etcdzutl's."""

import sys
import threading

from etcdz.cli.command_tree import CommandError, Values
from etcdz.cli.ctl.exits import BAD_ARGUMENTS, INTERRUPTED
from etcdz.cli.ctl.session import Session, said
from etcdz.client.errors import ClientClosed, EtcdError


def save(arguments: list[str], values: Values) -> int:
    if len(arguments) != 1:
        raise CommandError("snapshot save expects one argument", BAD_ARGUMENTS)
    from etcdz.client.threads import Maintenance

    path = arguments[0]
    session = Session(values)
    if len(session.endpoints) != 1:
        text = f"snapshot must be requested to one selected node, not multiple [{' '.join(session.endpoints)}]"
        raise CommandError(text, INTERRUPTED)
    with session:
        alarm = threading.Timer(session.timeout_s, session.reactor.close)
        if "command-timeout" in values.given:
            alarm.start()
        try:
            Maintenance(session.reactor).snapshot(path)
        except ClientClosed:
            raise CommandError("context deadline exceeded", INTERRUPTED) from None
        except EtcdError as error:
            raise CommandError(said(error), INTERRUPTED) from None
        except OSError as error:
            text = f"could not open {path}.part ({error.strerror})"
            raise CommandError(text, INTERRUPTED) from None
        finally:
            alarm.cancel()
    session.show(f"Snapshot saved at {path}\n".encode(errors="surrogateescape"))
    return 0


def status(arguments: list[str], values: Values) -> int:
    from etcdz.cli.utl import status as of_file

    sys.stderr.write("Deprecated: Use `etcdzutl snapshot status` instead.\n\n")
    if len(arguments) != 1:
        raise CommandError("snapshot status requires exactly one argument", BAD_ARGUMENTS)
    return of_file.run(arguments[0], values["write-out"])


def restore(arguments: list[str], values: Values) -> int:
    from etcdz.cli.utl import restore as of_file

    sys.stderr.write("Deprecated: Use `etcdzutl snapshot restore` instead.\n\n")
    if len(arguments) != 1:
        raise CommandError("snapshot restore requires exactly one argument", BAD_ARGUMENTS)
    options = of_file.Options(
        arguments[0],
        data_dir=values["data-dir"] or f"{values['name']}.etcd",
        wal_dir=values["wal-dir"],
        name=values["name"],
        initial_cluster=values["initial-cluster"],
        token=values["initial-cluster-token"],
        peer_urls=values["initial-advertise-peer-urls"],
        skip_hash_check=values["skip-hash-check"] == "true",
    )
    return of_file.run(options)
