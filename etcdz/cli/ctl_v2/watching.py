"""watch and exec-watch: from one change to the next; they end by SIGINT."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from etcdz.cli.ctl_v2.keys import changed, key_path, show
from etcdz.cli.ctl_v2.requests import Request, RequestError
from etcdz.cli.ctl_v2.session import BAD_ARGUMENTS, SERVER_ERROR, Failed, Session, fail
from etcdz.cli.ctl_v2.words import Values


def watch(arguments: list[str], values: Values, options: Values) -> int:
    session = Session(options)
    if not arguments:
        fail("key required", BAD_ARGUMENTS)
    for said in _changes(session, arguments[0], values):
        if said["node"].get("dir"):
            continue
        if values["recursive"] == "true":
            print(f"[{said['action']}] {said['node']['key']}")
        show(said, session.output)
        sys.stdout.flush()
        if values["forever"] != "true":
            break
    return 0


def exec_watch(arguments: list[str], values: Values, options: Values) -> int:
    session = Session(options)
    if len(arguments) < 2:
        fail("key and command to exec required", BAD_ARGUMENTS)
    key, command = _parted(arguments)
    for said in _changes(session, key, values):
        node = said["node"]
        if node.get("dir"):
            print(f"Ignored dir {node['key']} change", file=sys.stderr)
            continue
        told = {
            "ETCD_WATCH_ACTION": said["action"],
            "ETCD_WATCH_MODIFIED_INDEX": str(node["modifiedIndex"]),
            "ETCD_WATCH_KEY": node["key"],
            "ETCD_WATCH_VALUE": node.get("value", ""),
        }
        try:
            subprocess.Popen(command, env={**os.environ, **told})
        except OSError as error:
            raise Failed(f'exec: "{command[0]}": {error.strerror}', 1) from None
    return 0


def _parted(arguments: list[str]) -> tuple[str, list[str]]:
    """(key, command). NB: without `--` the key is the last word: the order in which an option leaves the words."""
    if "--" in arguments[1:]:
        return arguments[0], arguments[2:]
    return arguments[-1], arguments[:-1]


def _changes(session: Session, key: str, values: Values) -> Iterator[dict[str, Any]]:
    """raises Failed"""
    after = int(values["after-index"])
    index = after + 1 if after else 0
    while True:
        query = {"wait": "true", "waitIndex": str(index), "recursive": values["recursive"]}
        try:
            answer = session.do(Request("GET", key_path(key), query), waits=True)
            if answer.status == 200 and not answer.body:
                continue  # the member has let it wait for long enough
            said = changed(answer)
        except RequestError as error:
            fail(error, SERVER_ERROR)
        index = said["node"]["modifiedIndex"] + 1
        yield said
