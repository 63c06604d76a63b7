"""get, ls, set, mk, update, rm and those of directories."""

import sys
from typing import Any

from etcdz.cli.ctl_v2.requests import NOT_JSON, Answer, Request, RequestError
from etcdz.cli.ctl_v2.session import BAD_ARGUMENTS, SERVER_ERROR, Failed, Session, fail
from etcdz.cli.ctl_v2.words import Values
from etcdz.cli.go_json import go_json


def key_path(key: str) -> str:
    """NB: a trailing slash stays."""
    return (
        "/v2/keys/"
        + "/".join(part for part in key.split("/") if part)
        + ("/" if key.endswith("/") and key.strip("/") else "")
    )


def changed(answer: Answer) -> dict[str, Any]:
    """What the answer to a request for keys says, its index included. raises RequestError: what is wrong"""
    if answer.status not in (200, 201):
        error = answer.json()
        if not isinstance(error, dict) or "errorCode" not in error:
            raise RequestError(NOT_JSON)
        raise RequestError(
            f"{error['errorCode']}: {error.get('message', '')} ({error.get('cause', '')}) [{error.get('index', 0)}]"
        )
    if not answer.body:
        raise RequestError("client: response body is empty")
    said = answer.json()
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return {**said, "index": int(headers.get("x-etcd-index", "0"))}


def ask(session: Session, request: Request) -> dict[str, Any]:
    """raises Failed"""
    try:
        return changed(session.do(request))
    except RequestError as error:
        fail(error, SERVER_ERROR)


# ---- what is printed ----


def show(said: dict[str, Any], output: str) -> None:
    node, before = said["node"], said.get("prevNode")
    if output == "simple":
        if said["action"] == "delete":
            print("PrevNode.Value:", (before or {}).get("value", ""))
        else:
            print(node.get("value", ""))
    elif output == "extended":
        rows = [
            ("Key", node["key"]),
            ("Created-Index", node["createdIndex"]),
            ("Modified-Index", node["modifiedIndex"]),
        ]
        rows += [("PrevNode.Value", before.get("value", ""))] if before else []
        rows += [("TTL", node.get("ttl", 0)), ("Index", said["index"])]
        print("".join(f"{name}: {value}\n" for name, value in rows), end="")
        if said["action"] != "delete":
            print(f"\n{node.get('value', '')}")
    elif output == "json":
        shown = {"action": said["action"], "node": _node(node), "prevNode": _node(before) if before else None}
        print(go_json(shown))
    else:
        print("Unsupported output format:", output, file=sys.stderr)


def _node(node: dict[str, Any]) -> dict[str, Any]:
    """In the order and with the words of etcdctl."""
    children = node.get("nodes")
    shown: dict[str, Any] = {"key": node.get("key", "")}
    if node.get("dir"):
        shown["dir"] = True
    shown["value"] = node.get("value", "")
    shown["nodes"] = None if children is None else [_node(child) for child in children]
    shown["createdIndex"], shown["modifiedIndex"] = node.get("createdIndex", 0), node.get("modifiedIndex", 0)
    return shown | {name: node[name] for name in ("expiration", "ttl") if node.get(name)}


# ---- commands ----


def _key(arguments: list[str]) -> str:
    """raises Failed"""
    if not arguments:
        fail("key required", BAD_ARGUMENTS)
    return arguments[0]


def _value(arguments: list[str]) -> str:
    """The second argument, or what stdin has. raises Failed"""
    if len(arguments) > 1:
        return arguments[1]
    value = sys.stdin.read()
    if not value:
        fail("value required", BAD_ARGUMENTS)
    return value


def _lifetime(values: Values) -> dict[str, str]:
    return {"ttl": values["ttl"]} if int(values["ttl"]) > 0 else {}


def get(arguments: list[str], values: Values, options: Values) -> int:
    session = Session(options)
    query = {"recursive": "false", "sorted": values["sort"], "quorum": values["quorum"]}
    said = ask(session, Request("GET", key_path(_key(arguments)), query))
    if said["node"].get("dir"):
        raise Failed(f"{said['node'].get('key', '/')}: is a directory", 1)
    show(said, session.output)
    return 0


def ls(arguments: list[str], values: Values, options: Values) -> int:
    session = Session(options)
    query = {"recursive": values["recursive"], "sorted": values["sort"], "quorum": values["quorum"]}
    said = ask(session, Request("GET", key_path(arguments[0] if arguments else "/"), query))
    if session.output != "simple":
        show(said, session.output)
        return 0
    if not said["node"].get("dir"):
        print(said["node"]["key"])
    for node in said["node"].get("nodes", ()):
        _list(node, values["p"] == "true")
    return 0


def _list(node: dict[str, Any], marks: bool) -> None:
    print(node["key"] + ("/" if marks and node.get("dir") else ""))
    for child in node.get("nodes", ()):
        _list(child, marks)


def set_(arguments: list[str], values: Values, options: Values) -> int:
    session = Session(options)
    key, value = _key(arguments), _value(arguments)
    query = {}
    if values["swap-with-value"]:
        query["prevValue"] = values["swap-with-value"]
    if int(values["swap-with-index"]):
        query["prevIndex"] = values["swap-with-index"]
    return _written(session, Request("PUT", key_path(key), query, {"value": value, **_lifetime(values)}))


def make(arguments: list[str], values: Values, options: Values) -> int:
    session = Session(options)
    key, form = _key(arguments), {"value": _value(arguments), **_lifetime(values)}
    if values["in-order"] == "true":
        return _written(session, Request("POST", key_path(key), {}, form, once=True))
    return _written(session, Request("PUT", key_path(key), {"prevExist": "false"}, form, once=True))


def update(arguments: list[str], values: Values, options: Values) -> int:
    session = Session(options)
    key, form = _key(arguments), {"value": _value(arguments), **_lifetime(values)}
    return _written(session, Request("PUT", key_path(key), {"prevExist": "true"}, form))


def _written(session: Session, request: Request) -> int:
    show(ask(session, request), session.output)
    return 0


def make_directory(arguments: list[str], values: Values, options: Values) -> int:
    return _directory(arguments, values, options, {"prevExist": "false"})


def set_directory(arguments: list[str], values: Values, options: Values) -> int:
    return _directory(arguments, values, options, {})


def update_directory(arguments: list[str], values: Values, options: Values) -> int:
    return _directory(arguments, values, options, {"prevExist": "true"})


def _directory(arguments: list[str], values: Values, options: Values, condition: dict[str, str]) -> int:
    session = Session(options)
    once = condition.get("prevExist") == "false"
    request = Request("PUT", key_path(_key(arguments)), {"dir": "true", **condition}, _lifetime(values), once=once)
    said = ask(session, request)
    if session.output != "simple":
        show(said, session.output)
    return 0


def remove(arguments: list[str], values: Values, options: Values) -> int:
    query = {name: "true" for name in ("dir", "recursive") if values[name] == "true"}
    if values["with-value"]:
        query["prevValue"] = values["with-value"]
    if int(values["with-index"]):
        query["prevIndex"] = values["with-index"]
    return _removed(arguments, options, query)


def remove_directory(arguments: list[str], values: Values, options: Values) -> int:
    return _removed(arguments, options, {"dir": "true"})


def _removed(arguments: list[str], options: Values, query: dict[str, str]) -> int:
    session = Session(options)
    said = ask(session, Request("DELETE", key_path(_key(arguments)), query, {}))
    if not said["node"].get("dir") or session.output != "simple":
        show(said, session.output)
    return 0
