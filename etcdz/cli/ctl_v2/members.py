"""member list, add, remove, update."""

import sys
from typing import Any

from etcdz.cli.ctl_v2.requests import Request
from etcdz.cli.ctl_v2.session import Failed, Session, refuse
from etcdz.cli.ctl_v2.words import Values
from etcdz.config.literals import quote

_MEMBERS = "/v2/members"


def list_all(arguments: list[str], values: Values, options: Values) -> int:
    if arguments:
        refuse("No arguments accepted")
    session = Session(options)
    found = _all(session)
    leader = session.json(Request("GET", f"{_MEMBERS}/leader"), 200)["id"]
    for member in found:
        urls = f"peerURLs={','.join(member['peerURLs'])}"
        if not member["name"]:
            print(f"{member['id']}[unstarted]: {urls}")
            continue
        is_leader = "true" if member["id"] == leader else "false"
        clients = ",".join(member["clientURLs"])
        print(f"{member['id']}: name={member['name']} {urls} clientURLs={clients} isLeader={is_leader}")
    return 0


def _all(session: Session) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = session.json(Request("GET", _MEMBERS), 200)["members"]
    return found


def add(arguments: list[str], values: Values, options: Values) -> int:
    if len(arguments) != 2:
        refuse("Provide a name and a single member peerURL")
    session = Session(options)
    name, url = arguments
    _check([url])
    member = session.json(Request("POST", _MEMBERS, object={"peerURLs": [url]}), 201)
    print(f"Added member named {name} with ID {member['id']} to cluster\n")
    cluster = [
        f"{name if each['id'] == member['id'] else each['name']}={url}"
        for each in _all(session)
        for url in each["peerURLs"]
    ]
    print(f"ETCD_NAME={quote(name)}\nETCD_INITIAL_CLUSTER={quote(','.join(cluster))}")
    print('ETCD_INITIAL_CLUSTER_STATE="existing"')
    return 0


def remove(arguments: list[str], values: Values, options: Values) -> int:
    if len(arguments) != 1:
        refuse("Provide a single member ID")
    session = Session(options)
    try:
        found = _all(session)
    except Failed as error:
        refuse(f"Error while verifying ID against known members: {error}")
    for member in found:
        if member["name"] == arguments[0]:
            print(
                f"Found a member named {member['name']}; if this is correct, please use its ID, eg:\n"
                f"\tetcdctl member remove {member['id']}",
                file=sys.stderr,
            )
    if all(member["id"] != arguments[0] for member in found):
        refuse(f"Couldn't find a member in the cluster with an ID of {arguments[0]}.")
    try:
        session.json(Request("DELETE", f"{_MEMBERS}/{arguments[0]}"), 204, 410)
    except Failed as error:
        refuse(f"Received an error trying to remove member {arguments[0]}: {error}")
    print(f"Removed member {arguments[0]} from cluster")
    return 0


def update(arguments: list[str], values: Values, options: Values) -> int:
    if len(arguments) != 2:
        refuse("Provide an ID and a list of comma separated peerURL (0xabcd http://example.com,http://example1.com)")
    session = Session(options)
    urls = arguments[1].split(",")
    _check(urls)
    session.json(Request("PUT", f"{_MEMBERS}/{arguments[0]}", object={"peerURLs": urls}), 204)
    print(f"Updated member with ID {arguments[0]} in cluster")
    return 0


def _check(urls: list[str]) -> None:
    """raises Failed"""
    from etcdz.config.urls import parse_member_url

    for url in urls:
        try:
            parse_member_url(url)
        except ValueError as error:
            refuse(error)
